"""Linear decoders: ridge regression of values, ridge classification of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import reals
from ranvier.analysis.manifolds.components import table

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ridge:
    """y = weight x + bias: weight (k, N), bias (k,). classes: of a classifier, in the order of its outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import decoding
    >>> x = np.arange(10.0)[:, None]
    >>> fitted = decoding.ridge(x, x[:, 0])
    >>> fitted.weight.shape
    (1, 1)
    """

    weight: Array
    bias: Array
    classes: NDArray[Any] | None = None

    def __call__(self, x: ArrayLike) -> Array:
        """Outputs (T, k) of rows (T, N)."""
        return reals(x, "x") @ self.weight.T + self.bias

    def classify(self, x: ArrayLike) -> NDArray[Any]:
        """The label with the largest output, (T,). Raises ValueError for a decoder of values."""
        if self.classes is None:
            raise ValueError("the decoder was fitted to values; expected one of labels: fit with ridge_classifier")
        return self.classes[self(x).argmax(1)]


def ridge(x: ArrayLike, y: ArrayLike, *, penalty: float = 1.0) -> Ridge:
    """Least squares of y (T,) or (T, k) on rows (T, N), with `penalty` times the weights' square; the bias is free.

    Solved in the smaller of rows and columns. Raises ValueError for values that are not finite, or another number.

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import decoding
    >>> x = np.arange(10.0)[:, None]
    >>> fitted = decoding.ridge(x, 2 * x[:, 0] + 1, penalty=1e-9)
    >>> round(float(fitted.weight[0, 0]), 3), round(float(fitted.bias[0]), 3)
    (2.0, 1.0)
    """
    a, b = table(x), reals(y, "y")
    b = b[:, None] if b.ndim == 1 else b
    if len(b) != len(a) or not np.isfinite(b).all():
        raise ValueError(f"y has shape {b.shape}; expected finite values, one row for each of {len(a)}: mask others")
    if not penalty >= 0:
        raise ValueError(f"penalty is {penalty}; expected 0 or above")
    mean, center = a.mean(0), b.mean(0)
    a, b = a - mean, b - center
    if penalty == 0:
        weight = np.linalg.lstsq(a, b, rcond=None)[0].T
    elif len(a) >= a.shape[1]:
        weight = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ b).T
    else:
        weight = (a.T @ np.linalg.solve(a @ a.T + penalty * np.eye(len(a)), b)).T
    return Ridge(weight, center - weight @ mean)


def ridge_classifier(x: ArrayLike, labels: ArrayLike, *, penalty: float = 1.0) -> Ridge:
    """Ridge regression on ±1 for each class, (T,) of two or more labels; `classify` takes the largest.

    Examples
    --------
    >>> import numpy as np
    >>> from ranvier.analysis import decoding
    >>> x = np.arange(10.0)[:, None]
    >>> decoding.ridge_classifier(x, x[:, 0] > 4.5).classes.tolist()
    [False, True]
    """
    labels = np.asarray(labels)
    classes, place = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels holds {len(classes)} class; expected at least two")
    fit = ridge(x, 2.0 * (place.reshape(-1)[:, None] == np.arange(len(classes))) - 1.0, penalty=penalty)
    return Ridge(fit.weight, fit.bias, classes)


__all__ = ["Ridge", "ridge", "ridge_classifier"]
