"""Poisson counts by inversion, and rates by step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import whole_steps
from ranvier.networks import TimeSeries

MOST_MEAN = 128  # of a Poisson source; its tail beyond 255, the most in a step, is below 1e-22
_TAIL = 2.0**-33


def poisson_table(
    rate: Any, dt: float, size: int, padded: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Thresholds (K, 1 or padded) and base (1 or padded): the count is base + #{u > threshold}.

    u is a uniform 32-bit word; the distribution is exact to 2⁻³². `rate` in Hz, one or one a neuron.
    """
    mean = np.atleast_1d(np.asarray(rate.detach() if hasattr(rate, "detach") else rate, np.float64)) * dt / 1000
    if len(mean) > 1 and (mean == mean[0]).all():
        mean = mean[:1]
    # wide enough for both tails: Chernoff's bounds for a Poisson variable at e^-32, far below 2^-33
    spread = np.sqrt(64 * mean)
    first = np.maximum(np.floor(mean - spread), 0)
    below = _distribution(mean, first, int(np.ceil((mean + spread + 40 - first).max())) + 4)
    skipped = (below < _TAIL).sum(0)
    lowest = first + skipped
    rows = int(((1 - below > _TAIL).sum(0) - skipped).max()) + 1
    rows = -(-rows // 4) * 4
    places = np.minimum(skipped + np.arange(rows)[:, None], len(below) - 1)
    below = np.take_along_axis(below, places, 0)
    thresholds = np.clip(np.rint(below * 2.0**32) - 1, 0, 2.0**32 - 1).astype(np.uint32)
    if len(mean) == 1:
        return thresholds, lowest.astype(np.float32)
    wide = np.concatenate([thresholds, np.repeat(thresholds[:, -1:], padded - size, 1)], 1)
    base = np.concatenate([lowest, np.repeat(lowest[-1:], padded - size)])
    return np.ascontiguousarray(wide), base.astype(np.float32)


class PoissonTables(NamedTuple):
    """Thresholds (samples, K, 1 or padded) and bases (samples, 1 or padded) of `poisson_table`, for `interval` steps
    each, the last one for ever."""

    table: NDArray[np.uint32]
    base: NDArray[np.float32]
    interval: int

    @property
    def row(self) -> dict[str, int]:
        """What the loop's tables say of it, but for addresses."""
        samples, rows, columns = self.table.shape
        return {"rows": rows, "stride": columns if columns > 1 else 0, "interval": self.interval, "samples": samples}

    @property
    def most(self) -> int:
        """The largest count."""
        return int(self.base.max()) + self.table.shape[1]


def poisson_tables(
    rate: Any, dt: float, size: int, padded: int, what: str, most: float = math.inf
) -> PoissonTables:
    """Of a rate in Hz: a number, one a neuron, or a `TimeSeries`. Raises ValueError for rates out of range."""
    rates, interval = rate_samples(rate, dt, what, most)
    parts = [poisson_table(sample, dt, size, padded) for sample in rates]
    rows, columns = max(len(t) for t, _ in parts), max(t.shape[1] for t, _ in parts)
    table = np.full((len(parts), rows, columns), 2**32 - 1, np.uint32)  # never exceeded: it counts nothing
    base = np.zeros((len(parts), columns), np.float32)
    for k, (thresholds, lowest) in enumerate(parts):
        table[k, : len(thresholds)], base[k] = thresholds, lowest
    return PoissonTables(table, base, interval)


def rate_samples(rate: Any, dt: float, what: str, most: float = math.inf) -> tuple[NDArray[np.float64], int]:
    """Rates in Hz (samples, 1 or neurons), and the steps that each holds for. Raises ValueError for rates out of
    range; `most`: expected spikes in a step, of sources."""
    interval = 1
    if isinstance(rate, TimeSeries):
        interval = whole_steps(rate.interval, dt, f"the rate of {what} changes every {rate.interval} ms")
        rates = rate.values.detach().double().numpy().reshape(len(rate.values), -1)
    else:
        rates = np.atleast_2d(np.asarray(rate.detach() if hasattr(rate, "detach") else rate, np.float64))
    if not (np.isfinite(rates).all() and rates.min() >= 0 and rates.max() * dt / 1000 <= most):
        raise ValueError(
            f"{what} has rates from {rates.min():g} to {rates.max():g} Hz; expected 0 "
            f"to {most * 1000 / dt:g} Hz, {most:g} spikes a step of a neuron: shorten dt (now {dt:g} ms), or "
            "spread them over more neurons"
        )
    return rates, interval


def _distribution(mean: NDArray[Any], first: NDArray[Any], rows: int) -> NDArray[Any]:
    """P(count <= first + k) (rows, neurons): sums of products, the same on every processor."""
    counts = first + np.arange(rows)[:, None]
    with np.errstate(under="ignore"):
        terms = np.cumprod(np.concatenate([np.ones((1, len(mean))), mean / counts[1:]]), 0)
    sums = np.cumsum(terms, 0)
    return sums / sums[-1]
