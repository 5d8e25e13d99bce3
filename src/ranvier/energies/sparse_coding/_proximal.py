"""ISTA and FISTA: the lasso's minimum, with a certificate of how near it is."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from ranvier.energies._implicit import ConvergenceWarning
from ranvier.energies.sparse_coding._cost import checked, duality_gap, threshold


def ista(x: Tensor, dictionary: Tensor, lam: float, *, tol: float = 1e-6, max_steps: int = 10_000) -> Tensor:
    """Codes (B, M) by iterated soft thresholding (Daubechies, Defrise and De Mol 2004), a step of 1/L.

    Parameters
    ----------
    x, dictionary : signals (B, N), atoms (M, N).
    lam : λ, the price of a unit of |a|.
    tol : ends when no duality gap is larger than tol · |x|²/2. Looked at every tenth step.

    Raises ValueError and TypeError for shapes, types and numbers that do not fit. Warns `ConvergenceWarning`
    after max_steps.

    >>> code = rv.energies.sparse_coding.ista(torch.tensor([[2.0, 0.3]]), torch.eye(2), lam=0.5)
    >>> [round(v, 3) for v in code[0].tolist()]  # of orthogonal atoms: soft thresholds
    [1.5, 0.0]
    """
    return _proximal(x, dictionary, lam, tol, max_steps, fast=False)


def fista(x: Tensor, dictionary: Tensor, lam: float, *, tol: float = 1e-6, max_steps: int = 10_000) -> Tensor:
    """As `ista`, with Nesterov's momentum (Beck and Teboulle 2009, eq. 4.1-4.3), restarted whenever it points
    uphill (O'Donoghue and Candes 2015).

    >>> code = rv.energies.sparse_coding.fista(torch.tensor([[2.0, 0.3]]), torch.eye(2), lam=0.5)
    >>> [round(v, 3) for v in code[0].tolist()]  # of orthogonal atoms: soft thresholds
    [1.5, 0.0]
    """
    return _proximal(x, dictionary, lam, tol, max_steps, fast=True)


@torch.no_grad()
def _proximal(x: Tensor, dictionary: Tensor, lam: float, tol: float, max_steps: int, *, fast: bool) -> Tensor:
    x, dictionary = checked(x, dictionary, lam)
    gram, drive = dictionary @ dictionary.T, x @ dictionary.T
    step = 1.0 / max(float(torch.linalg.matrix_norm(dictionary, 2)) ** 2, 1e-300)
    code, ahead, t = torch.zeros_like(drive), torch.zeros_like(drive), 1.0
    allowed = tol * 0.5 * x.square().sum(1)
    for k in range(max_steps + 1):
        if k % 10 == 0 or k == max_steps:
            gap = duality_gap(x, dictionary, code, lam)
            if bool((gap <= allowed).all()):
                return code
        if k == max_steps:
            break
        new = threshold(ahead + step * (drive - ahead @ gram), step * lam)
        uphill = fast and bool(((ahead - new) * (new - code)).sum() > 0)
        following = 1.0 if uphill else 0.5 * (1 + math.sqrt(1 + 4 * t * t))
        momentum = (t - 1) / following if fast and not uphill else 0.0
        ahead, code, t = new + momentum * (new - code), new, following
    worst = float((gap / x.square().sum(1).clamp_min(1e-300)).max())
    warnings.warn(
        f"{int((gap > allowed).sum())} of {len(x)} codes are not at the minimum after {max_steps} steps (gap "
        f"{2 * worst:.1e} of |x|²/2; expected {tol:.1e}): raise max_steps or tol",
        ConvergenceWarning,
        stacklevel=3,
    )
    return code


__all__ = ["fista", "ista"]
