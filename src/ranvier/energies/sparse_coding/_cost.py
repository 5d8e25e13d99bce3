"""What a sparse code minimises: |x − aD|²/2 + Σ C(a_i), and how far a code is from the least of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ranvier.energies._arrays import as_floats, as_tensor

#: "soft": C = λ|a|, the lasso. "hard": C = λ²/2 where a is not 0, whose fixed points are local minima.
Penalty = Literal["soft", "hard"]


def checked(x: Tensor, dictionary: Tensor, lam: float, penalty: str = "soft") -> tuple[Tensor, Tensor]:
    """x (B, N) and the dictionary (M, N) as tensors; ValueError or TypeError for what no code can be found for."""
    x, dictionary = as_tensor("x", x), as_tensor("the dictionary", dictionary)
    if dictionary.ndim != 2 or x.ndim != 2 or x.shape[1] != dictionary.shape[1]:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and a dictionary {tuple(dictionary.shape)}; "
            "expected (B, N) and (M, N): an atom is a row"
        )
    for name, value in (("x", x), ("the dictionary", dictionary)):
        if not value.is_floating_point():
            raise TypeError(f"{name} is {value.dtype}; expected floating numbers")
        if not bool(torch.isfinite(value).all()):
            where = (~torch.isfinite(value)).nonzero()[0].tolist()
            raise ValueError(f"there is {value[tuple(where)].item()} in {name} at {where}; expected finite numbers")
    if x.dtype != dictionary.dtype:
        raise TypeError(f"x is {x.dtype} and the dictionary {dictionary.dtype}; expected one type")
    if not lam > 0:
        raise ValueError(f"lam is {lam}; expected a positive threshold")
    if penalty not in ("soft", "hard"):
        raise ValueError(f"penalty is {penalty!r}; expected 'soft' or 'hard'")
    return x, dictionary


def threshold(u: Tensor, lam: float, penalty: Penalty = "soft") -> Tensor:
    """T_λ(u), of u's shape: 0 within [−λ, λ]; beyond, u − λ sign(u) (soft) or u itself (hard).

    >>> u = torch.tensor([-2.0, 0.3, 1.0])
    >>> [rv.energies.sparse_coding.threshold(u, 0.5, kind).tolist() for kind in ("soft", "hard")]
    [[-1.5, 0.0, 0.5], [-2.0, 0.0, 1.0]]
    """
    u = as_floats("u", u)
    if penalty == "soft":
        return u - u.clamp(-lam, lam)
    return torch.where(u.abs() > lam, u, 0.0)


def objective(x: Tensor, dictionary: Tensor, code: Tensor, lam: float, penalty: Penalty = "soft") -> Tensor:
    """(B,): half the squared error of x (B, N) as the code (B, M) times the dictionary (M, N), plus the code's cost.

    >>> x, atoms, code = torch.tensor([[2.0, 1.0]]), torch.eye(2), torch.tensor([[1.5, 0.0]])
    >>> rv.energies.sparse_coding.objective(x, atoms, code, lam=0.5).tolist()  # (0.25 + 1)/2 + 0.5 · 1.5
    [1.375]
    """
    x, dictionary, code = (as_floats(n, v) for n, v in (("x", x), ("the dictionary", dictionary), ("the code", code)))
    error = 0.5 * (x - code @ dictionary).square().sum(1)
    cost = lam * code.abs() if penalty == "soft" else 0.5 * lam**2 * (code != 0)
    return error + cost.sum(1)


def duality_gap(x: Tensor, dictionary: Tensor, code: Tensor, lam: float) -> Tensor:
    """(B,): the lasso's objective at `code` (B, M) is at most this far above its minimum; x (B, N), dictionary (M, N).

    The residual, scaled so that no atom correlates with it by more than λ, is a feasible point of the dual
    (Kim, Koh, Lustig, Boyd and Gorinevsky 2007, eq. 10).

    >>> x, atoms = torch.tensor([[2.0, 0.3]]), torch.eye(2)
    >>> best = rv.energies.sparse_coding.threshold(x, 0.5)  # of orthogonal atoms
    >>> abs(round(rv.energies.sparse_coding.duality_gap(x, atoms, best, 0.5).item(), 3))
    0.0
    """
    x, dictionary, code = (as_floats(n, v) for n, v in (("x", x), ("the dictionary", dictionary), ("the code", code)))
    residual = x - code @ dictionary
    largest = (residual @ dictionary.T).abs().amax(1, keepdim=True)
    dual = residual * (lam / largest.clamp_min(lam))
    bound = 0.5 * x.square().sum(1) - 0.5 * (x - dual).square().sum(1)
    return objective(x, dictionary, code, lam) - bound


def normalised(dictionary: Tensor) -> Tensor:
    """The dictionary (M, N) with atoms, its rows, of length 1; ValueError for an atom of zeros.

    >>> atoms = rv.energies.sparse_coding.normalised(torch.tensor([[3.0, 4.0]]))
    >>> [round(v, 3) for v in atoms[0].tolist()]
    [0.6, 0.8]
    """
    dictionary = as_floats("the dictionary", dictionary)
    length = dictionary.norm(dim=1, keepdim=True)
    if not bool((length > 0).all()):
        raise ValueError(f"there is atom {int(length.argmin())} of length 0; expected none: it has no direction")
    return dictionary / length


__all__ = ["Penalty", "checked", "duality_gap", "normalised", "objective", "threshold"]
