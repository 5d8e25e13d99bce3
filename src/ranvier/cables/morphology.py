"""The shape of a neuron: an isopotential soma or a plain end, and unbranched pieces that begin where others end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ranvier._checks import count, positive
from ranvier._names import identifier


@dataclass(frozen=True)
class CableBranch:
    """One unbranched piece of a `Morphology`, whose radius is linear between samples.

    after: the branch at whose end it begins, None for the root; positions: of the samples, um from its start; radii:
    there, um.

    Examples
    --------
    >>> from ranvier.cables import CableBranch
    >>> CableBranch(None, "axon", (0.0, 10.0), (1.0, 0.5)).length
    10.0
    """

    after: int | None
    region: str
    positions: tuple[float, ...]
    radii: tuple[float, ...]

    @property
    def length(self) -> float:
        """um."""
        return self.positions[-1]


class Morphology:
    """A tree of branches on a root.

    Parameters
    ----------
    soma_diameter
        The root is a sphere of that diameter (um), without resistance inside; None: a point without area.
    soma_region
        The region that the sphere belongs to.

    Raises
    ------
    ValueError, TypeError
        for lengths and diameters that are no numbers above 0, and for regions that are no identifiers.

    Examples
    --------
    >>> from ranvier.cables import Morphology
    >>> neuron = Morphology(soma_diameter=20.0)
    >>> stem = neuron.add(100.0, 2.0)
    >>> left, right = (neuron.add(50.0, 1.0, after=stem) for _ in range(2))
    >>> neuron.regions, round(neuron.area, 1)
    (('soma', 'dendrite'), 2199.1)
    """

    def __init__(self, soma_diameter: float | None = None, *, soma_region: str = "soma") -> None:
        self.soma_region = identifier(soma_region, "soma_region")
        #: area of the root itself, um²
        self.soma_area = 0.0 if soma_diameter is None else math.pi * positive(soma_diameter, "soma_diameter", "um") ** 2
        self._branches: list[CableBranch] = []

    @classmethod
    def with_soma_area(cls, area: float, region: str = "soma") -> Morphology:
        """One whose root is a soma of that area (um²) and of any shape."""
        out = cls(soma_region=region)
        out.soma_area = positive(area, "area", "um^2")
        return out

    def add(
        self,
        length: float,
        diameter: float,
        *,
        end_diameter: float | None = None,
        after: int | None = None,
        region: str = "dendrite",
    ) -> int:
        """A cylinder, or a frustum where there is an `end_diameter` (um), at the end of the branch `after` (None: at
        the root); returns its number."""
        radius = positive(diameter, "diameter", "um") / 2
        end = radius if end_diameter is None else positive(end_diameter, "end_diameter", "um") / 2
        return self.add_samples((0.0, positive(length, "length", "um")), (radius, end), after=after, region=region)

    def add_samples(
        self, positions: Sequence[float], radii: Sequence[float], *, after: int | None = None, region: str = "dendrite"
    ) -> int:
        """A branch by samples: `positions` (um) rise from 0, `radii` (um) lie above 0; returns its number."""
        if after is not None and count(after, "after") >= len(self._branches):
            raise ValueError(
                f"after is {after}; expected None for the root, or a branch from 0 to {len(self._branches) - 1}: add "
                "that one first"
            )
        at, r = tuple(map(float, positions)), tuple(positive(x, "a radius", "um") for x in radii)
        if len(at) != len(r) or len(at) < 2 or at[0] != 0.0 or not all(a < b < math.inf for a, b in pairwise(at)):
            raise ValueError(
                f"a branch has the positions {str(at)[:60]} and {len(r)} radii; expected two samples or more, at "
                "positions that rise from 0, and a radius for each"
            )
        self._branches.append(CableBranch(after, identifier(region, "region"), at, r))
        return len(self._branches) - 1

    @property
    def branches(self) -> tuple[CableBranch, ...]:
        """In the order in which they were added: a branch comes after the one that it begins at."""
        return tuple(self._branches)

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of all regions, the soma's first."""
        own = [self.soma_region] if self.soma_area else []
        return tuple(dict.fromkeys(own + [b.region for b in self._branches]))

    @property
    def area(self) -> float:
        """Of the membrane, um²; ends of branches are none."""
        total = self.soma_area
        for branch in self._branches:
            at, r = np.array(branch.positions), np.array(branch.radii)
            total += float(frustum_area(np.diff(at), r[:-1], r[1:]).sum())
        return total

    def __repr__(self) -> str:
        return f"Morphology({len(self._branches)} branches, regions {', '.join(self.regions) or 'none'})"


def frustum_area(length: Any, first: Any, last: Any) -> Any:
    """The side of a frustum with these radii, of numbers or of arrays."""
    return math.pi * (first + last) * np.hypot(length, first - last)


__all__ = ["CableBranch", "Morphology", "frustum_area"]
