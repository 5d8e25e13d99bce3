"""Wiring by distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import chance, period, positive
from ranvier.networks.wiring.rule import Block, Wiring

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Distance(Wiring):
    """A pair is wired with a probability that falls with its distance r (unit: the positions').

    `profile`: "gaussian" peak·exp(−r²/2scale²), "exponential" peak·exp(−r/scale), or "disc"
    (peak within r ≤ scale). `periodic`: the length of a periodic space, one number or one a
    dimension (0: not periodic), or None. Both populations need `positions`. Each pair is looked at
    once: the time is proportional to n_source · n_target.

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

    _PROFILES = ("gaussian", "exponential", "disc")

    def __post_init__(self) -> None:
        if self.profile not in self._PROFILES:
            raise ValueError(f"Unknown distance profile {self.profile!r}; expected one of {self._PROFILES}.")
        object.__setattr__(self, "scale", positive(self.scale, "scale"))
        object.__setattr__(self, "peak", chance(self.peak, "peak"))
        object.__setattr__(self, "periodic", period(self.periodic))

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
        if isinstance(self.periodic, tuple) and dimensions != {len(self.periodic)}:
            raise ValueError(
                f"periodic has {len(self.periodic)} lengths for {dimensions.pop()} dimensions; "
                "expected one number, or one a dimension."
            )

    def _indptr(self, block: Block) -> NDArray[np.int64]:
        counts = np.zeros(block.targets + 1, np.int64)
        self._look(counts, np.empty(0, np.int32), block, False)
        return counts

    def _fill(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block) -> None:
        self._look(indptr, sources, block, True)

    def _look(self, indptr: NDArray[np.int64], sources: NDArray[np.int32], block: Block, fill: bool) -> None:
        from ranvier.networks.wiring._draw import near

        xs, xt = (np.ascontiguousarray(x, np.float64) for x in block.positions)
        lengths = np.broadcast_to(np.asarray(self.periodic or 0.0, np.float64), xs.shape[1:]).copy()
        near(xs, xt, lengths, self._PROFILES.index(self.profile), self.scale, self.peak, block.stream, block.alone,
             block.lo, block.hi, indptr, sources, fill)  # fmt: skip
