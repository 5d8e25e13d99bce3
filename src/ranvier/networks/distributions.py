"""Distributions that parameters, weights, delays and initial values are drawn from."""

from __future__ import annotations

import dataclasses
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import number, period, periods, positive

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ranvier.networks._projection import Projection

_LEAST_SHARE = 1e-3  # of a normal distribution within its bounds: rejection would take long


@dataclass(frozen=True)
class Distribution:
    """What numbers are drawn from, independently: one a neuron, or one an edge.

    `Network.add`, `connect`, `background` and `set` take one for a parameter, weight, delay or rate, and draw at once,
    by the network's seed: what they keep is a tensor. One among `initial` is drawn by the run's seed.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network(seed=1)
    >>> cells = net.add(rv.LIF(), 1000, tau_m=rv.Normal(20.0, 2.0, low=5.0))
    >>> abs(float(cells.parameters["tau_m"].mean()) - 20.0) < 0.4
    True
    >>> isinstance(rv.Uniform(0, 1), rv.networks.Distribution)
    True
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            unbounded = field.name in ("low", "high") and isinstance(value, float) and math.isinf(value)
            object.__setattr__(self, field.name, value if unbounded else number(value, field.name))
        self._check()

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """`size` numbers, with the bits of float32: NumPy's last ones differ between processors. Bounds hold as given.

        Raises ValueError for numbers that are beyond float32's.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            values = self._draw(rng, size).astype(np.float32).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{self!r} has numbers that are not finite in float32; expected some below 1e38")
        return np.clip(values, getattr(self, "low", -math.inf), getattr(self, "high", math.inf))

    def _check(self) -> None:
        """Raise ValueError for numbers that do not fit together."""

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        raise NotImplementedError


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform from `low` to `high`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 5, initial={"V": rv.Uniform(-65.0, -50.0)})
    """

    low: float
    high: float

    def _check(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"Uniform from {self.low} to {self.high}; expected low <= high, finite. Swap them.")

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return rng.uniform(self.low, self.high, size)


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal with this mean and standard deviation; within `low` and `high`, where they are given, truncated: numbers
    outside are drawn again.

    Raises ValueError for a negative sd, and for bounds that hold less than a thousandth of the distribution.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Normal(mean=-60.0, sd=2.0)
    Normal(mean=-60.0, sd=2.0, low=-inf, high=inf)
    """

    mean: float
    sd: float
    low: float = -math.inf
    high: float = math.inf

    def _check(self) -> None:
        if self.sd < 0.0:
            raise ValueError(f"Normal with sd {self.sd}; expected a standard deviation of 0 or above.")
        ends = [(x - self.mean) / max(self.sd, 1e-300) / math.sqrt(2) for x in (self.low, self.high)]
        share = 0.5 * (math.erf(ends[1]) - math.erf(ends[0]))
        if self.low > self.high or share < _LEAST_SHARE:
            raise ValueError(
                f"Normal({self.mean:g}, {self.sd:g}) from {self.low:g} to {self.high:g} keeps {max(share, 0.0):.2g} of "
                f"its numbers; expected bounds that hold {_LEAST_SHARE:g} or more"
            )

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        values = rng.normal(self.mean, self.sd, size)
        while len(outside := np.flatnonzero((values < self.low) | (values > self.high))):
            values[outside] = rng.normal(self.mean, self.sd, len(outside))
        return values


@dataclass(frozen=True)
class LogNormal(Distribution):
    """Lognormal; `mean` and `sd` are those of the numbers themselves, not of their logarithm. Raises ValueError for a
    mean that is not positive and a negative sd.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 100)
    >>> p = net.connect(cells, cells, weight=rv.networks.LogNormal(0.2, 0.3), in_degree=20)
    >>> bool((p.weight > 0).all()), abs(float(p.weight.mean()) - 0.2) < 0.04
    (True, True)
    """

    mean: float
    sd: float

    def _check(self) -> None:
        if self.mean <= 0.0 or self.sd < 0.0:
            raise ValueError(f"LogNormal of mean {self.mean} and sd {self.sd}; expected a mean above 0, sd from 0 on")

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        variance = math.log1p((self.sd / self.mean) ** 2)
        return rng.lognormal(math.log(self.mean) - variance / 2, math.sqrt(variance), size)


@dataclass(frozen=True)
class ExponentialDistribution(Distribution):
    """Exponential with this mean, from `low` on. Raises ValueError for a mean that is not above `low`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 100)
    >>> delays = rv.networks.ExponentialDistribution(mean=2.0, low=0.5)
    >>> p = net.connect(cells, cells, weight=0.1, delay=delays, in_degree=20)
    >>> bool((p.delay >= 0.5).all()), abs(float(p.delay.mean()) - 2.0) < 0.2
    (True, True)
    """

    mean: float
    low: float = 0.0

    def _check(self) -> None:
        if not -math.inf < self.low < self.mean:
            raise ValueError(f"ExponentialDistribution of mean {self.mean} from {self.low} on; expected low below mean")

    def _draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        return self.low + rng.exponential(self.mean - self.low, size)


@dataclass(frozen=True)
class ByDistance:
    """A weight or delay of each edge from the distance r of its ends (in the positions' unit), for `Network.connect`.

    `profile`: "linear" value + slope·r, "exponential" value·exp(−r/scale), "gaussian" value·exp(−r²/2scale²).
    `periodic`: as of `wiring.Distance`, whose own is taken where this is None. A delay of 1 ms and 0.5 ms a unit of
    length is ByDistance(1.0, slope=0.5).

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3, positions=[0.0, 1.0, 3.0])
    >>> delay = rv.networks.ByDistance(1.0, slope=0.5)
    >>> net.connect(cells, cells, weight=1.0, delay=delay, edges=([0, 0, 1], [1, 2, 2])).delay.tolist()
    [1.5, 2.5, 2.0]
    """

    value: float
    slope: float = 0.0
    profile: str = "linear"
    scale: float = 1.0
    periodic: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.profile not in ("linear", "exponential", "gaussian"):
            raise ValueError(f"profile is {self.profile!r}; expected 'linear', 'exponential' or 'gaussian'")
        for name in ("value", "slope"):
            object.__setattr__(self, name, number(getattr(self, name), name))
        object.__setattr__(self, "scale", positive(self.scale, "scale"))
        object.__setattr__(self, "periodic", period(self.periodic))

    def at(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values (edges,) at distances (edges,)."""
        if self.profile == "linear":
            return self.value + self.slope * distance
        power = 1 if self.profile == "exponential" else 2
        return self.value * np.exp(-((distance / self.scale) ** power) / power)


def drawn(value: Any, key: int, name: str, size: int) -> Any:
    """`value`, but for a distribution `size` numbers of it, (size,), by a stream of the key and the name."""
    import torch

    if not isinstance(value, Distribution):
        return value
    rng = np.random.Generator(np.random.Philox(key=[key, zlib.crc32(name.encode())]))
    return torch.from_numpy(value.draw(rng, size))


def drawn_per_edge(value: Any, name: str, bare: Projection) -> Any:
    """As `drawn`, one an edge of the projection; and values by distance."""
    import torch

    if isinstance(value, Distribution):
        return drawn(value, bare.key, name, bare.size)
    if not isinstance(value, ByDistance):
        return value
    return torch.from_numpy(value.at(_distances(bare, value.periodic))).to(torch.float64)


def _distances(bare: Projection, periodic: Any) -> NDArray[np.float64]:
    """(edges,), in the order of `edges()`. Raises ValueError where there are no positions."""
    places: list[Tensor | None] = [bare.source.positions, bare.target.positions]
    if places[0] is None or places[1] is None or places[0].shape[1] != places[1].shape[1]:
        raise ValueError(
            f"{bare!r} has a value by distance, but no positions of equal dimensions at both ends; expected them: give "
            "positions=(neurons, dimensions) to Network.add"
        )
    sources, targets = bare.edges()
    gap = np.abs((places[0][sources] - places[1][targets]).detach().numpy())
    own = getattr(bare.wiring, "periodic", None) if periodic is None else periodic
    lengths = periods(own, gap.shape[1])
    safe = np.where(lengths > 0, lengths, 1.0)
    around = gap % safe
    gap = np.where(lengths > 0, np.minimum(around, safe - around), gap)
    return np.sqrt((gap**2).sum(1))


__all__ = [
    "ByDistance", "Distribution", "ExponentialDistribution", "LogNormal", "Normal", "Uniform", "drawn",
    "drawn_per_edge",
]  # fmt: skip
