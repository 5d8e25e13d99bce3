"""Recursive least squares, for any number of outputs that share their inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class RecursiveLeastSquares:
    """Weights W (outputs, n) that minimise Σ|W r − target|² + alpha |W − W₀|² over all that was observed, brought up to
    date row by row: k = P r/(1 + rᵀ P r), P ← P − k rᵀ P, W ← W − (W r − target) kᵀ, P = 1/alpha at first
    (Haykin 2002, chapter 9).

    P (n, n) is float64 whatever the weights are: in float32 it would soon cease to be positive. Only one triangle of it
    is read and written (BLAS symv, syr), so that it is symmetric to the bit. Rows of a batch (m, n) are taken at once
    (Woodbury), with the result of taking them one by one.

    >>> rng = torch.Generator().manual_seed(0)
    >>> r = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    >>> true, w = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    >>> solver = rv.learners.RecursiveLeastSquares(3, alpha=1e-6)
    >>> solver.update([w], r, [r @ w.T - r @ true.T])
    >>> bool(torch.allclose(w, true, atol=1e-6))
    True
    """

    def __init__(self, size: int, alpha: float = 1.0) -> None:
        if size < 1 or not 0 < alpha < float("inf"):
            raise ValueError(f"size is {size}, alpha {alpha}; expected size >= 1 and a finite alpha > 0")
        self._upper = np.asfortranarray(np.eye(size) / alpha)  # what is below the diagonal is not read

    @property
    def inverse(self) -> Tensor:
        """P, (n, n), a copy."""
        upper = np.triu(self._upper)
        return torch.from_numpy(upper + np.triu(upper, 1).T)

    @inverse.setter
    def inverse(self, value: Tensor) -> None:
        if value.shape != self._upper.shape:
            raise ValueError(f"P has shape {tuple(value.shape)}; expected {self._upper.shape}")
        self._upper = np.asfortranarray(value.detach().cpu().double().numpy().copy())

    @torch.no_grad()
    def update(self, weights: Sequence[Tensor], r: Tensor, errors: Sequence[Tensor]) -> None:
        """Change `weights`, each (outputs, n), in place, for inputs r (m, n) and errors W r − target, each
        (m, outputs), taken before the update."""
        gain = torch.from_numpy(self._gain(r.detach().double().cpu().numpy()))
        for weight, error in zip(weights, errors, strict=True):
            weight.addmm_(error.to(weight).T, gain.to(weight), alpha=-1)

    def _gain(self, rows: np.ndarray) -> np.ndarray:
        """K (m, n); P is brought up to date."""
        from scipy.linalg import blas, lapack

        if len(rows) == 1:
            moved = blas.dsymv(1.0, self._upper, rows[0])
            scale = 1 + float(rows[0] @ moved)
            blas.dsyr(-1 / scale, moved, a=self._upper, overwrite_a=True)
            return (moved / scale)[None]
        moved = blas.dsymm(1.0, self._upper, rows.T)  # (n, m)
        factor, fault = lapack.dpotrf(rows @ moved + np.eye(len(rows)), lower=True)
        if fault:
            raise ValueError("P is no longer positive; expected inputs of a moderate size: take a larger alpha")
        half = blas.dtrsm(1.0, factor, moved, side=True, lower=True, trans_a=True)  # moved L⁻ᵀ
        blas.dsyrk(-1.0, half, beta=1.0, c=self._upper, overwrite_c=True)
        return blas.dtrsm(1.0, factor, half, side=True, lower=True).T


__all__ = ["RecursiveLeastSquares"]
