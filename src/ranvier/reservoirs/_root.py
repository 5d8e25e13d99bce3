"""Ridge regression and recursive least squares as one thing: the triangular root of the normal equations.

R is upper triangular with RᵀR = Σ λ^age x xᵀ + ridge and z = R⁻ᵀ Σ λ^age x y, so that the coefficients solve
R c = z. Rows are added by orthogonal transformations (Golub & Van Loan, Matrix Computations, 6.5), which never
square the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, lapack, solve_triangular

BLOCK = 32  # columns that LAPACK transforms at once
#: the least reciprocal condition number of a Gram matrix whose Cholesky factor refinement can mend
CONDITION = 1e-13


@dataclass(frozen=True)
class Root:
    """`R` (F, F), `z` (F, outputs)."""

    R: np.ndarray
    z: np.ndarray

    @classmethod
    def prior(cls, features: int, outputs: int, ridge: float) -> Root:
        """What ridge regression knows before any data."""
        return cls(np.sqrt(ridge) * np.eye(features), np.zeros((features, outputs)))

    def coefficients(self) -> np.ndarray:
        """(F, outputs). Raises ValueError where the features are linearly dependent and there is no ridge."""
        scale = np.abs(np.diag(self.R))
        if scale.min() <= len(scale) * np.finfo(float).eps * scale.max():
            raise ValueError(
                "there are linearly dependent features, whose least-squares solution is not unique; expected "
                "ridge > 0, or more samples than features"
            )
        return solve_triangular(self.R, self.z)

    def updated(self, x: np.ndarray, y: np.ndarray, forget: float = 1.0) -> Root:
        """With rows x (n, F), y (n, outputs) added, the last of which is the newest."""
        if forget != 1.0:
            age = np.arange(len(x))[::-1, None]
            x, y = x * forget ** (age / 2), y * forget ** (age / 2)
            decay = forget ** (len(x) / 2)
            return _rotate(self.R * decay, self.z * decay, x, y)
        if len(x) >= 2 * x.shape[1] > 256 and (quick := self._by_gram(x, y)) is not None:
            return quick
        return _rotate(self.R, self.z, x, y)

    def _by_gram(self, x: np.ndarray, y: np.ndarray) -> Root | None:
        """A quarter of the operations, all of them products; None where the condition number does not allow it.

        The error of a Cholesky factor is taken back by refinement with residuals from the rows themselves
        (corrected semi-normal equations, Björck 1987).
        """
        gram, right = self._own(), self._residual(x[:0], y[:0], np.zeros_like(self.z))
        for first in range(0, len(x), 256):  # while they are in the cache
            rows = x[first : first + 256]
            gram = blas.dsyrk(1.0, rows.T, beta=1.0, c=gram, overwrite_c=1)  # the upper triangle
            right += rows.T @ y[first : first + 256]
        R, info = lapack.dpotrf(gram, clean=1, overwrite_a=1)
        if info != 0 or lapack.dtrcon(R)[0] ** 2 < CONDITION:
            return None
        c = lapack.dpotrs(R, right)[0]
        before = np.abs(c).max()
        for _ in range(20):
            step = lapack.dpotrs(R, self._residual(x, y, c))[0]
            size = np.abs(step).max()
            if size > before / 2:  # as far as the residuals' own rounding allows
                return Root(R, R @ c) if before <= 1e-9 * np.abs(c).max() else None
            c = c + step
            if size**2 <= 1e-13 * before * np.abs(c).max():  # size²/before: what the next step would take back
                return Root(R, R @ c)
            before = size
        return None

    def _own(self) -> np.ndarray:
        """RᵀR, as Fortran has it."""
        if self._is_diagonal():
            return np.diag(np.diag(self.R) ** 2).T
        return (self.R.T @ self.R).T

    def _is_diagonal(self) -> bool:
        return np.count_nonzero(self.R) == np.count_nonzero(np.diag(self.R))

    def _residual(self, x: np.ndarray, y: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Right minus left side of the normal equations (F, outputs), each row read from memory once."""
        if self._is_diagonal():
            diagonal = np.diag(self.R)[:, None]
            total = diagonal * (self.z - diagonal * c)
        else:
            total = self.R.T @ (self.z - self.R @ c)
        for first in range(0, len(x), 64):
            rows = x[first : first + 64]
            total += rows.T @ (y[first : first + 64] - rows @ c)
        return total


def _rotate(R: np.ndarray, z: np.ndarray, x: np.ndarray, y: np.ndarray) -> Root:
    """QR of [R; x] on [z; y] in blocks of rows: memory stays that of one block."""
    block = max(len(R), 64)
    for first in range(0, len(x), block):
        rows = slice(first, first + block)
        R, v, t, info = lapack.dtpqrt(0, min(BLOCK, len(R)), R, x[rows])
        if info == 0:
            z, _, info = lapack.dtpmqrt(0, v, t, z, y[rows], trans="T")
        if info != 0:
            raise RuntimeError(f"LAPACK's update of a triangular factor returned {info}; expected 0")
    return Root(np.triu(R), z)
