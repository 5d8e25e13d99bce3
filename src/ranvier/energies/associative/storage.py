"""Weights that store patterns as the rest states of a Hopfield network; ValueError for patterns that are not ±1."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.energies._arrays import as_tensor


def hebb(patterns: Tensor) -> Tensor:
    """W = Σ_μ ξ^μ ξ^μᵀ/N without its diagonal, (N, N), from patterns (P, N) of ±1 (Hopfield 1982).

    Random patterns are recalled with few errors up to P = 0.138 N (Amit, Gutfreund & Sompolinsky 1985), and
    without any up to about N/(2 ln N) (McEliece et al. 1987).

    >>> rv.energies.storage.hebb(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))[0].tolist()
    [0.0, -0.25, 0.25, 0.25]
    """
    xi = _checked(patterns)
    return _hollow(xi.T @ xi / xi.shape[1])


def storkey(patterns: Tensor) -> Tensor:
    """Pattern after pattern, w_ij += (ξ_i ξ_j − ξ_i h_ji − h_ij ξ_j)/N, h_ij = Σ_{k≠i,j} w_ik ξ_k (Storkey 1997).

    From patterns (P, N) of ±1, (N, N) with a diagonal of zeros. Local and incremental as Hebb's rule, with a capacity
    of about N/√(2 ln N) without errors.

    >>> pattern = torch.tensor([[1.0, -1.0, 1.0, 1.0]])
    >>> torch.equal(rv.energies.storage.storkey(pattern), rv.energies.storage.hebb(pattern))  # the first is Hebb's
    True
    """
    xi = _checked(patterns)
    n = xi.shape[1]
    W = xi.new_zeros(n, n)
    for pattern in xi:
        h = (W @ pattern)[:, None] - W * pattern  # the diagonal of W is zero: k = i counts nothing
        step = torch.outer(pattern, pattern) - pattern[:, None] * h.T - h * pattern
        W = _hollow(W + step / n)
    return W


def pseudo_inverse(patterns: Tensor) -> Tensor:
    """The projection (N, N) onto the span of the patterns (P, N) of ±1, without its diagonal (Personnaz, Guyon &
    Dreyfus 1985).

    Linearly independent patterns, up to N of them, are exact rest states; with basins up to about N/2.

    >>> patterns = torch.tensor([[1.0, 1, 1, -1, -1, 1], [1.0, -1, 1, -1, 1, 1]])  # correlated: overlap 1/3
    >>> weight = rv.energies.storage.pseudo_inverse(patterns)
    >>> torch.equal(torch.sign(patterns @ weight), patterns)
    True
    """
    xi = _checked(patterns)
    _, size, V = torch.linalg.svd(xi, full_matrices=False)
    V = V[size > float(size[0]) * max(xi.shape) * torch.finfo(xi.dtype).eps]
    return _hollow(V.T @ V)


RULES = {"hebb": hebb, "storkey": storkey, "pseudo_inverse": pseudo_inverse}


def _checked(patterns: Tensor) -> Tensor:
    patterns = as_tensor("the patterns", patterns)
    if patterns.ndim != 2 or 0 in patterns.shape:
        raise ValueError(f"patterns have shape {tuple(patterns.shape)}; expected (P, N)")
    if not bool((patterns.abs() == 1).all()):
        raise ValueError(
            "patterns have entries that are not ±1; expected ±1 only: binarise them, by torch.where(p > 0, 1.0, "
            "-1.0)"
        )
    return patterns if patterns.is_floating_point() else patterns.to(torch.get_default_dtype())


def _hollow(weight: Tensor) -> Tensor:
    weight = (weight + weight.T) / 2  # symmetric to the last bit
    return weight.fill_diagonal_(0.0)


__all__ = ["RULES", "hebb", "pseudo_inverse", "storkey"]
