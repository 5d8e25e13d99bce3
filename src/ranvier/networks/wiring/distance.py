"""Wiring by distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import chance, count, number, period, periods, positive
from ranvier.networks.wiring.rule import Block, Wiring, require_enough, same_degree

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Distance(Wiring):
    """A pair is wired with a probability that falls with its distance r (unit: the positions').

    `profile`: "gaussian" peak·exp(−r²/2scale²), "exponential" peak·exp(−r/scale), "disc" (peak within r ≤ scale),
    "constant" (peak), or "gamma", the density of a gamma distribution of order `shape` above 1, which is highest at
    m = (shape − 1)·scale: peak·(r/m)^(shape − 1)·exp((m − r)/scale). `periodic`: the length of a periodic space, one
    number or one a dimension (0: not periodic), or None. Both populations need `positions`. Each pair is looked at
    once: the time is proportional to n_source · n_target.

    `mask`: the sources of a target lie in a region about it, of size `extent`: "circle" (radius, a sphere in three
    dimensions), "doughnut" (inner radius, outer radius), "rectangle" (its sides) or "ellipse" (its axes), in one to
    three dimensions; `angle` (degrees) turns the latter two in the first two dimensions, `shift` (one a dimension)
    moves the region, which goes on at the other side of a periodic space; each source counts at its place nearest to
    the region's middle.

    `in_degree`: every target draws so many sources in proportion to these chances, one after the other, with
    `multapses` each from all, else from those that are left; the peak then does not matter. Raises ValueError where a
    target has fewer sources in reach.

    >>> line = np.arange(4.0)[:, None]  # neurons 1 apart
    >>> rule = rv.wiring.Distance("disc", scale=1.0)
    >>> rule.draw(4, 4, key=0, same=True, positions=(line, line))[1].tolist()  # each one's neighbours
    [1, 0, 2, 1, 3, 2]
    """

    profile: str = "gaussian"
    scale: float = 1.0
    peak: float = 1.0
    periodic: float | tuple[float, ...] | None = None
    autapses: bool = False
    mask: str | None = None
    extent: tuple[float, ...] = ()
    angle: float = 0.0
    shift: tuple[float, ...] = ()
    shape: float = 2.0
    in_degree: int | None = None
    multapses: bool = False

    _PROFILES = ("gaussian", "exponential", "disc", "constant", "gamma")
    _MASKS = ("circle", "doughnut", "rectangle", "ellipse")

    def __post_init__(self) -> None:
        if self.profile not in self._PROFILES:
            raise ValueError(f"Unknown distance profile {self.profile!r}; expected one of {self._PROFILES}.")
        object.__setattr__(self, "scale", positive(self.scale, "scale"))
        object.__setattr__(self, "peak", chance(self.peak, "peak"))
        object.__setattr__(self, "periodic", period(self.periodic))
        if self.mask is not None and self.mask not in self._MASKS:
            raise ValueError(f"mask is {self.mask!r}; expected None or one of {self._MASKS}")
        for name in ("extent", "shift"):
            value = getattr(self, name)
            numbers = tuple(number(x, name) for x in (value if np.iterable(value) else (value,)))
            object.__setattr__(self, name, numbers)
        object.__setattr__(self, "angle", number(self.angle, "angle", "degrees"))
        shape = number(self.shape, "shape")
        if not 1.0 < shape <= 1e6:
            raise ValueError(f"shape is {shape:g}; expected a number above 1: at 1, take the exponential profile")
        object.__setattr__(self, "shape", shape)
        if self.in_degree is not None:
            object.__setattr__(self, "in_degree", count(self.in_degree, "in_degree"))
        elif self.multapses:
            raise ValueError("multapses is True without an in_degree; expected in_degree=, or no multapses")
        self._check_mask()

    def _check_mask(self) -> None:
        """Raise ValueError for an extent that is not of the mask."""
        sizes = {None: (0,), "circle": (1,), "doughnut": (2,)}.get(self.mask, (1, 2, 3))
        least = 0.0 if self.mask == "doughnut" else 1e-300
        rising = self.mask != "doughnut" or (len(self.extent) == 2 and self.extent[0] < self.extent[1])
        if len(self.extent) not in sizes or not all(x >= least for x in self.extent) or not rising:
            raise ValueError(
                f"extent is {self.extent} with the mask {self.mask!r}; expected (radius,) of a circle, (inner, outer) "
                "of a doughnut, sides of a rectangle, axes of an ellipse, all above 0, and none without a mask"
            )
        if self.mask is None and (self.angle or self.shift):
            raise ValueError("there is an angle or a shift, but no mask; expected mask=, or neither")

    def check(self, n_source: int, n_target: int, same: bool, positions: Any) -> None:
        if positions is None or positions[0] is None or positions[1] is None:
            raise ValueError(
                "there are no positions for "
                f"{('the source' if positions is not None and positions[0] is None else 'the target')}; expected "
                "those of both populations for distance wiring: give positions=(neurons, dimensions) to "
                "Network.add."
            )
        dimensions = {array.shape[1] for array in positions}
        if len(dimensions) > 1:
            raise ValueError(f"Positions have {sorted(dimensions)} dimensions; expected the same in both.")
        sides = self.extent if self.mask in ("rectangle", "ellipse") else ()
        for name, numbers in (("extent", sides), ("shift", self.shift)):
            if numbers and dimensions != {len(numbers)}:
                raise ValueError(
                    f"{name} has {len(numbers)} numbers for positions of {dimensions.pop()} dimensions; expected one "
                    "a dimension"
                )
        periods(self.periodic, dimensions.pop())
        if self.in_degree is not None:
            require_enough(self.in_degree, n_source, same, self, "sources")

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        return super()._indptr(block) if self.in_degree is None else same_degree(self.in_degree, block)

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        if self.in_degree is None:
            super()._fill(indptr, sources, block)
            return
        from ranvier.networks.wiring._near import chosen

        failed = chosen(*self._geometry(block), self.in_degree, self.multapses, block.stream, block.alone, block.lo,
                        block.hi, sources)  # fmt: skip
        if failed >= 0:
            raise ValueError(
                f"target {failed} has fewer than {self.in_degree} sources in reach; expected at least that many: widen "
                "the mask or the profile, lower in_degree, or allow repeats with multapses=True"
            )

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks.wiring._near import near

        near(*self._geometry(block), self.peak, block.stream, block.alone, block.lo, block.hi, indptr, sources, fill)

    def _geometry(self, block: Block) -> tuple[Any, ...]:
        """The positions, space and profile that compiled draws take."""
        xs, xt = (np.ascontiguousarray(x, np.float64) for x in block.positions)
        lengths = periods(self.periodic, xs.shape[1])
        mask = 0 if self.mask is None else 1 + self._MASKS.index(self.mask)
        degrees = np.array([self.angle % 360.0])
        turn = np.round(np.concatenate([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]), 15)
        shift, extent = np.array(self.shift or (0.0,) * xs.shape[1]), np.array(self.extent or (0.0,))
        profile = (self._PROFILES.index(self.profile), self.scale, self.shape)
        return xs, xt, (lengths, mask, extent, turn, shift), profile
