"""Principal components and dimension of activity that need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, reals

Array = NDArray[np.float64]
_SMALL = 1500  # columns up to which the whole covariance is made
_CHUNK = 2**22  # entries held in memory at a time
_EXTRA, _ROUNDS = 12, 5  # further directions, and passes, of the iteration for more columns


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components: mean (N,), axes (k, N) of unit length, variance (k,) along them, `total` over all N.

    An axis's largest entry is positive.

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import manifolds
    >>> line = np.arange(10.0)[:, None] * np.array([3.0, 4.0])
    >>> components = manifolds.principal_components(line, 1)
    >>> components.mean.tolist()
    [13.5, 18.0]
    """

    mean: Array
    axes: Array
    variance: Array
    total: float

    def project(self, x: Any) -> Array:
        """Coordinates (T, k) of rows (T, N); only pieces of them are read at a time."""
        return np.concatenate([(piece - self.mean) @ self.axes.T for piece in pieces(x)])

    @property
    def explained(self) -> Array:
        """Share of the variance along each axis, (k,)."""
        return self.variance / self.total if self.total > 0 else np.full(len(self.variance), np.nan)


def principal_components(x: Any, k: int, *, seed: int = 0) -> Components:
    """The k directions of largest variance of rows (T, N), an array or anything that is cut like one.

    Up to 1500 columns by the eigenvectors of their covariance, exactly; of more, by subspace iteration (Halko,
    Martinsson & Tropp 2011) over several passes, so that little more than the data is held. seed: of its start.
    Raises ValueError for rows that are not finite, fewer than two, or fewer of either than k.

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import manifolds
    >>> line = np.arange(10.0)[:, None] * np.array([3.0, 4.0])
    >>> manifolds.principal_components(line, 1).axes.round(3).tolist()
    [[0.6, 0.8]]
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    rows, columns = _shape(x)
    count(k, "k", 1)
    if k > min(rows - 1, columns):
        raise ValueError(f"k is {k}, of {rows} rows of {columns}; expected at most {min(rows - 1, columns)}")
    mean = sum((piece.sum(0) for piece in pieces(x)), np.zeros(columns)) / rows
    if columns <= _SMALL:
        covariance = np.zeros((columns, columns))
        for piece in pieces(x):
            piece = piece - mean
            covariance += piece.T @ piece
        covariance /= rows - 1
        values, vectors = np.linalg.eigh(covariance)
        return _components(mean, vectors[:, ::-1][:, :k], values[::-1][:k], float(np.trace(covariance)))
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((columns, min(k + _EXTRA, columns))))[0]
    total = 0.0
    for turn in range(_ROUNDS):
        image = np.zeros_like(basis)
        for piece in pieces(x):
            piece = piece - mean
            image += piece.T @ (piece @ basis)
            total += float((piece * piece).sum()) if turn == 0 else 0.0
        if turn < _ROUNDS - 1:
            basis = np.linalg.qr(image)[0]
    values, vectors = np.linalg.eigh((basis.T @ image + image.T @ basis) / 2 / (rows - 1))
    return _components(mean, (basis @ vectors)[:, ::-1][:, :k], values[::-1][:k], total / (rows - 1))


def participation_ratio(x: Any) -> float:
    """(Σ λ)²/Σ λ² of the covariance's eigenvalues λ, of rows (T, N): 1 for a line, N for a ball (Gao et al. 2017).

    Of few rows it is biased downwards, to T − 1 at most. NaN without variance.

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import manifolds
    >>> line = np.arange(10.0)[:, None] * np.ones(3)
    >>> round(manifolds.participation_ratio(line), 3)
    1.0
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    rows, columns = _shape(x)
    mean = sum((piece.sum(0) for piece in pieces(x)), np.zeros(columns)) / rows
    if rows <= columns:  # the Gram matrix of rows has the same eigenvalues
        y = np.concatenate(list(pieces(x))) - mean
        matrix = y @ y.T
    else:
        matrix = sum(((piece - mean).T @ (piece - mean) for piece in pieces(x)), np.zeros((columns, columns)))
    square = float((matrix**2).sum())
    return float(np.trace(matrix)) ** 2 / square if square > 0 else float("nan")


def dimension(x: Any, *, share: float = 0.9) -> int:
    """How many principal components hold `share` of the variance of rows (T, N).

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import manifolds
    >>> manifolds.dimension(np.arange(10.0)[:, None] * np.array([3.0, 4.0]))
    1
    """
    x = x if hasattr(x, "shape") else np.asarray(x)
    rows, columns = _shape(x)
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; expected more than 0, at most 1")
    explained = principal_components(x, min(rows - 1, columns)).explained
    return int(np.searchsorted(np.cumsum(explained), share - 1e-12) + 1)


def pieces(x: Any) -> Iterator[Array]:
    """Consecutive rows of x as float64, some 32 MiB at a time. Raises ValueError where they are not finite."""
    rows, columns = x.shape
    step = max(1, _CHUNK // max(1, columns))
    for at in range(0, rows, step):
        piece = reals(x[at : at + step], "x")
        if not np.isfinite(piece).all():
            bad = np.argwhere(~np.isfinite(piece))[0]
            raise ValueError(f"x holds {piece[tuple(bad)]} in row {at + bad[0]}, column {bad[1]}; expected finite "
                             "values: leave those rows out, or fill them")  # fmt: skip
        yield piece


def table(x: ArrayLike, name: str = "x") -> Array:
    """A float64 copy of finite rows (T, N). Raises ValueError for anything else."""
    array = np.array(reals(x, "x"), order="C")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; expected rows (T, N)")
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"{name} holds {array[tuple(bad)]} in row {bad[0]}, column {bad[1]}; expected finite values: "
                         "leave those rows out, or fill them")  # fmt: skip
    return array


def centred(x: ArrayLike, name: str, axis: int) -> Array:
    """Rows (T, N) less their mean along an axis, a new array: `table` in one pass less, as a sum tells what is not
    finite."""
    array = reals(x, "x")
    if array.ndim != 2 or 0 in array.shape:
        return table(array, name)  # raises
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.reduce(array, axis, keepdims=True) / array.shape[axis]
        total = np.add.reduce(mean, None)
    if not np.isfinite(total):
        array = table(array, name)  # raises, but for finite values whose sum is not
        mean = (array / array.shape[axis]).sum(axis, keepdims=True)
    return array - mean


def _shape(x: Any) -> tuple[int, int]:
    shape = getattr(x, "shape", np.shape(x))
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 1:
        raise ValueError(f"x has shape {tuple(shape)}; expected at least two rows (T, N)")
    return int(shape[0]), int(shape[1])


def _components(mean: Array, vectors: Array, values: Array, total: float) -> Components:
    axes = vectors.T.copy()
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    axes *= np.where(largest < 0, -1.0, 1.0)
    return Components(mean, axes, np.maximum(values, 0.0), total)


__all__ = ["Components", "dimension", "participation_ratio", "principal_components"]
