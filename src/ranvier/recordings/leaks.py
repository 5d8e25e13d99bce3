"""Does what is learned from know what is tested on? Change one and look at the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._results import Fields
from ranvier.recordings.splits import Split

#: prepare(values (T, K), times (T,), split) -> what a model learns from, what it is tested on
Preparation = Callable[[NDArray[np.float64], NDArray[np.float64], Split], tuple[Any, Any]]


@dataclass(frozen=True)
class LeakReport(Fields):
    """Shares of rows, from 0 to 1, that know the other half.

    train: rows to learn from that change with the tested samples: shared trials, statistics over all, kernels across
    the border. test: tested rows that change with the *order* of the samples learned from; means, variances and
    covariances do not, kernels across the border do. samples: entries that were measured (finite).
    Returned by `check_leaks`.
    """

    train: float
    test: float
    samples: int

    @property
    def clean(self) -> bool:
        """Whether nothing leaks."""
        return self.train == 0 and self.test == 0

    def require(self) -> None:
        """Raise ValueError where something leaks."""
        if not self.clean:
            raise ValueError(
                f"{self.train:.1%} of the rows to learn from change with what is tested, {self.test:.1%} of the tested "
                "rows with the order of what is learned from; expected none: fit on the training part alone, and "
                "filter each part by itself, or leave a gap as long as the filter"
            )


def check_leaks(
    prepare: Preparation, values: ArrayLike, times: ArrayLike, split: Split, *, seed: int = 0, tolerance: float = 1e-9
) -> LeakReport:
    """Run `prepare` on the data, on data whose tested samples are replaced by noise, and on data whose training
    samples are in the reverse order; compare what comes out.

    prepare: a function of (values (T, K), times (T,), split) that gives rows to learn from and rows to test on, arrays
    or tuples of arrays. It must be deterministic. tolerance: relative change that counts as rounding.
    NaN stay where they are. Raises ValueError where `prepare` gives other shapes or other values the second time.

    >>> def prepare(values, times, split):  # normalised by the mean of all: leaks
    ...     values = values - values.mean(0)
    ...     return values[split.in_train(times)], values[split.in_test(times)]
    >>> split = rv.recordings.hold_out(0.0, 100.0)
    >>> times = np.arange(100.0)
    >>> report = rv.recordings.check_leaks(prepare, np.sin(times)[:, None], times, split)
    >>> report.train, report.clean
    (1.0, False)
    """
    values, times = np.asarray(values, np.float64), np.asarray(times, np.float64)
    if len(values) != len(times):
        raise ValueError(f"values have {len(values)} rows, times {len(times)}; expected as many")
    train, test = _rows(prepare(values.copy(), times.copy(), split))
    again = _rows(prepare(values.copy(), times.copy(), split))
    if _changed(train, again[0], 0.0) or _changed(test, again[1], 0.0):
        raise ValueError("prepare gives other values the second time; expected the same: fix its seed")
    rng = np.random.default_rng(seed)
    finite = values[np.isfinite(values)]
    scale = float(finite.std()) if finite.size else 1.0
    tested, noise = split.in_test(times), values.copy()
    shape = noise[tested].shape
    noise[tested] = np.where(np.isnan(noise[tested]), np.nan, 10 * (scale or 1.0) * rng.standard_normal(shape) + 3)
    learned, reverse = np.flatnonzero(split.in_train(times)), values.copy()
    reverse[learned] = values[learned[::-1]]
    return LeakReport(
        _changed(train, _rows(prepare(noise, times.copy(), split))[0], tolerance),
        _changed(test, _rows(prepare(reverse, times.copy(), split))[1], tolerance),
        int(finite.size),
    )


def _rows(answer: tuple[Any, Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    def arrays(part: Any) -> list[NDArray[Any]]:
        return [np.asarray(each, np.float64) for each in (part if isinstance(part, tuple) else (part,))]

    train, test = answer
    return arrays(train), arrays(test)


def _changed(one: list[NDArray[Any]], other: list[NDArray[Any]], tolerance: float) -> float:
    """The largest share of rows that differ in any of the arrays."""
    share = 0.0
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"prepare gives shapes {a.shape} and {b.shape} of data of one shape; expected the same")
        scale = np.nanmax(np.abs(a), initial=0.0)
        differs = ~((np.abs(a - b) <= tolerance * max(scale, 1e-300)) | (np.isnan(a) & np.isnan(b)))
        if len(a):
            share = max(share, float(differs.reshape(len(a), -1).any(1).mean()))
    return share


__all__ = ["LeakReport", "Preparation", "check_leaks"]
