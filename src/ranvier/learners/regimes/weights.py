"""Initial weights of a rank, or with the structure of a measured wiring, at equal norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ranvier.networks import EdgeList


def of_rank(weight: Tensor, rank: int) -> Tensor:
    """The best approximation of `weight` (N, M) of that rank, rescaled to the Frobenius norm that `weight` has.

    Equal norms are what makes ranks comparable (Liu et al. 2024, ICLR, section 3): the truncation alone would also
    make weights smaller, and smaller weights learn richer.

        >>> from ranvier.learners.regimes import of_rank
        >>> w = of_rank(torch.eye(4), 1)
        >>> float(w.norm()), int(torch.linalg.matrix_rank(w))
        (2.0, 1)

    Raises ValueError for what is no finite matrix, is zero, or has no such rank.
    """
    _require_matrix(weight)
    largest = min(weight.shape)
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= largest:
        raise ValueError(f"rank is {rank!r}; expected a whole number from 1 to {largest}, the smaller of both sizes")
    if rank == largest:
        return weight.detach().clone()
    u, s, v = torch.linalg.svd(weight.detach(), full_matrices=False)
    low = (u[:, :rank] * s[:rank]) @ v[:rank]
    return low * (weight.detach().norm() / low.norm())


def stable_rank(weight: Tensor) -> float:
    """‖W‖²_F/‖W‖²_2 of weight (N, M): at most the rank, and little changed by small singular values.

    >>> round(rv.learners.regimes.stable_rank(torch.diag(torch.tensor([2.0, 2.0, 0.02]))), 3)
    2.0
    """
    _require_matrix(weight)
    s = torch.linalg.svdvals(weight.detach().double())
    return float(s.square().sum() / s[0] ** 2)


def balanced_wiring(
    edges: EdgeList, size: int, *, gain: float = 1.25, inhibitory: float = 0.2, seed: int = 0
) -> Tensor:
    """Initial recurrent weights (size, size), [target, source], float64, with the structure of a measured wiring.

    They are the numbers of synapses among the `size` neurons with most of them. A share `inhibitory` of sources, drawn
    by `seed`, is negative (Dale's law); in every row negative weights are scaled to balance the positive ones where
    there are both, so that no large outlier of the spectrum is left. The whole has the Frobenius norm gain √size, which
    a Gaussian matrix of standard deviation gain/√size has.

    Raises ValueError for a size beyond the wiring's, and for shares outside [0, 1).

    >>> edges = rv.networks.from_sparse(np.random.default_rng(0).poisson(1.0, (20, 20)).astype(float))
    >>> weight = rv.learners.regimes.balanced_wiring(edges, 20, gain=1.25)
    >>> round(float(weight.square().sum()) / 20, 4)  # gain²
    1.5625
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= edges.size:
        raise ValueError(f"size is {size!r}; expected a whole number from 2 to {edges.size}, the wiring's neurons")
    if not 0 <= inhibitory < 1 or not 0 < gain < float("inf"):
        raise ValueError(f"inhibitory is {inhibitory}, gain {gain}; expected a share in [0, 1), and a finite gain > 0")
    whole = torch.zeros(edges.size, edges.size, dtype=torch.float64)
    sources, targets = (torch.as_tensor(ends, dtype=torch.int64) for ends in (edges.sources, edges.targets))
    counts = torch.as_tensor(edges.weights, dtype=torch.float64).abs()
    whole.index_put_((targets, sources), counts, accumulate=True)
    whole.fill_diagonal_(0.0)
    degree = whole.sum(0) + whole.sum(1)
    chosen = torch.argsort(degree, descending=True, stable=True)[:size]
    w = whole[chosen][:, chosen]
    if not bool(w.any()):
        raise ValueError(f"the {size} neurons chosen have no synapses among each other; expected a larger size")
    negative = torch.rand(size, generator=torch.Generator().manual_seed(seed)) < inhibitory
    plus, minus = w[:, ~negative].sum(1), w[:, negative].sum(1)
    scale = torch.where((plus > 0) & (minus > 0), plus / minus.clamp(min=1e-300), torch.ones_like(plus))
    w[:, negative] *= -scale[:, None]
    return w * (gain * size**0.5 / w.norm())


def _require_matrix(weight: Tensor) -> None:
    if not isinstance(weight, Tensor) or weight.ndim != 2 or not weight.is_floating_point():
        what = f"{tuple(weight.shape)} of {weight.dtype}" if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"weight is {what}; expected a matrix (N, M) of floats")
    if not bool(torch.isfinite(weight).all()) or not bool(weight.any()):
        raise ValueError(
            "weight has entries that are not finite, or none but 0; expected a finite matrix that is not 0"
        )


__all__ = ["balanced_wiring", "of_rank", "stable_rank"]
