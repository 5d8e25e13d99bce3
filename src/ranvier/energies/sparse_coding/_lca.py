"""The locally competitive algorithm: neurons that inhibit each other until few are left to explain the input."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.energies._arrays import as_floats
from ranvier.energies._energy import Energy
from ranvier.energies._implicit import ConvergenceWarning
from ranvier.energies.sparse_coding._cost import Penalty, checked, threshold


class SparseCode(Energy):
    """The energy that LCA descends (Rozell, Johnson, Baraniuk and Olshausen 2008, eq. 3.1 and 3.4).

    E(u) = |aD|²/2 + Σ C(a_i), a = T_λ(u), D (M, N) with an atom a row. With the field `drive(x)` = x Dᵀ, E is the
    code's `objective` less |x|²/2, and its force −∂E/∂a = x Dᵀ − u − (D Dᵀ − 1) a is LCA's: so

        Descent(SparseCode(D, 0.1), Fixed(step=0.1))          # step: dt/τ

    is LCA as a `Cell` over drives (T, B, M). Atoms ought to have length 1 (`normalised`).

    >>> energy = rv.energies.sparse_coding.SparseCode(torch.eye(2), lam=0.5)
    >>> drive = energy.drive(torch.tensor([[2.0, 0.3]]))
    >>> end = rv.energies.Descent(energy, rv.energies.Fixed(0.5)).settle(torch.zeros(1, 2), field=drive)
    >>> [round(v, 3) for v in end.y[0].tolist()]
    [1.5, 0.0]
    """

    def __init__(self, dictionary: Tensor, lam: float, penalty: Penalty = "soft") -> None:
        super().__init__()
        dictionary = as_floats("the dictionary", dictionary)
        checked(dictionary[:1], dictionary, lam, penalty)
        self.dictionary = nn.Parameter(dictionary.clone())
        self.lam, self.penalty, self.units = lam, penalty, len(dictionary)

    def drive(self, x: Tensor) -> Tensor:
        """x (..., N) -> the field (..., M)."""
        return as_floats("x", x, self.dictionary) @ self.dictionary.T

    def activations(self, x: Tensor) -> Tensor:
        """The code a (B, M) of membrane potentials u (B, M)."""
        return threshold(x, self.lam, self.penalty)

    def _value(self, x: Tensor) -> Tensor:
        a = self.activations(x)
        cost = self.lam * a.abs() if self.penalty == "soft" else 0.5 * self.lam**2 * (a != 0)
        return 0.5 * (a @ self.dictionary).square().sum(1) + cost.sum(1)

    def _force(self, x: Tensor) -> Tensor:
        a = self.activations(x)
        return a - x - (a @ self.dictionary) @ self.dictionary.T

    def extra_repr(self) -> str:
        return f"{tuple(self.dictionary.shape)}, lam={self.lam}, penalty={self.penalty!r}"


@torch.no_grad()
def lca(
    x: Tensor,
    dictionary: Tensor,
    lam: float,
    *,
    penalty: Penalty = "soft",
    step: float = 0.2,
    tol: float = 1e-2,
    max_steps: int = 5000,
) -> Tensor:
    """Codes (B, M) by LCA, τ du/dt = x Dᵀ − u − (D Dᵀ − 1) T_λ(u) from u = 0, in compiled Euler steps.

    As `Descent(SparseCode(...))` finds them, at the cost of the active neurons alone: only these inhibit.

    Parameters
    ----------
    x, dictionary : signals (B, N), atoms (M, N) of length 1 (`normalised`).
    lam : λ, the threshold.
    penalty : "soft", whose fixed point is the lasso's minimum, or "hard", whose is a local minimum.
    step : dt/τ at first; halved for a signal whose energy rises.
    tol : ends when no activation moves by more than tol · λ per τ and no silent neuron is driven above
        (1 + tol) λ. The objective is then some tol² above its minimum.

    Raises ValueError and TypeError for shapes, types and numbers that do not fit, and atoms not of length 1.
    Warns `ConvergenceWarning` after max_steps.

    >>> code = rv.energies.sparse_coding.lca(torch.tensor([[2.0, 0.3]]), torch.eye(2), lam=0.5)
    >>> [round(v, 1) for v in code[0].tolist()]  # of orthogonal atoms: soft thresholds
    [1.5, 0.0]
    """
    x, dictionary = checked(x, dictionary, lam, penalty)
    if not 0 < step <= 1:
        raise ValueError(f"step is {step}; expected dt/τ within (0, 1]")
    length = dictionary.norm(dim=1)
    if bool(((length - 1).abs() > 1e-3).any()):
        worst = int((length - 1).abs().argmax())
        raise ValueError(f"there is atom {worst} of length {length[worst]:g}; expected 1: see `normalised`")
    b, gram = (x @ dictionary.T).numpy(), (dictionary @ dictionary.T).numpy()
    real = b.dtype.type
    code, steps = _kernel()(b, gram, real(lam), real(step), real(tol), max_steps, penalty == "hard")
    late = int((steps < 0).sum())
    if late:
        warnings.warn(
            f"{late} of {len(x)} codes still move after {max_steps} steps: raise max_steps or tol",
            ConvergenceWarning,
            stacklevel=2,
        )
    return torch.from_numpy(code)


@functools.cache
def _kernel() -> Callable[..., Any]:
    from ranvier.energies.sparse_coding._lca_kernel import run

    return run


__all__ = ["SparseCode", "lca"]
