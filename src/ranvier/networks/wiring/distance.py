"""Wiring by distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import chance, number, period, periods, positive
from ranvier.networks.wiring.rule import Block, Wiring

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Distance(Wiring):
    """A pair is wired with a probability that falls with its distance r (unit: the positions').

    `profile`: "gaussian" peak·exp(−r²/2scale²), "exponential" peak·exp(−r/scale), "disc"
    (peak within r ≤ scale), or "constant" (peak). `periodic`: the length of a periodic space, one number or one a
    dimension (0: not periodic), or None. Both populations need `positions`. Each pair is looked at
    once: the time is proportional to n_source · n_target.

    `mask`: the sources of a target lie in a region about it, of size `extent`: "circle" (radius, a sphere in three
    dimensions), "doughnut" (inner radius, outer radius), "rectangle" (its sides) or "ellipse" (its axes), in one to
    three dimensions; `angle` (degrees) turns the latter two in the first two dimensions, `shift` (one a dimension)
    moves the region, which goes on at the other side of a periodic space; each source counts at its place nearest to
    the region's middle.

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

    _PROFILES = ("gaussian", "exponential", "disc", "constant")
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

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        counts = np.zeros(block.targets + 1, np.int64)
        self._look(counts, np.empty(0, np.int32), block, False)
        return counts

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        self._look(indptr, sources, block, True)

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks.wiring._draw import near

        xs, xt = (np.ascontiguousarray(x, np.float64) for x in block.positions)
        lengths = periods(self.periodic, xs.shape[1])
        mask = 0 if self.mask is None else 1 + self._MASKS.index(self.mask)
        degrees = np.array([self.angle % 360.0])
        turn = np.round(np.concatenate([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]), 15)
        shift, extent = np.array(self.shift or (0.0,) * xs.shape[1]), np.array(self.extent or (0.0,))
        near(xs, xt, lengths, self._PROFILES.index(self.profile), self.scale, self.peak, mask, extent, turn, shift,
             block.stream, block.alone, block.lo, block.hi, indptr, sources, fill)  # fmt: skip
