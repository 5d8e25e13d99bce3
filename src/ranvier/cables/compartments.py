"""From a morphology to compartments: volumes about the ends of short equal pieces, joined by axial resistances.

Branches are cut into equal pieces; a compartment reaches from the middle of one piece to that of the next, about the
place where its voltage is taken. So ends and branch points are compartments themselves, no compartment is without area,
and the error is of second order in the pieces' length (Mascagni & Sherman 1998, in Koch & Segev, chapter 14).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier.cables.morphology import CableBranch, Morphology, frustum_area

Array = NDArray[np.float64]
_MOST = 10_000_000


@dataclass(frozen=True, eq=False)
class Compartments:
    """Arrays over compartments; 0 is the root, and each comes after its parent.

    parent: (n,), -1 for the root; areas: region -> um² (n,); shape: (n,), um, 1/∫ds/(πr²) from the parent's place;
    distance: path from the root, um; branch: which one it lies on; starts: branch -> compartment where it begins;
    firsts: branch -> its first own one; pieces: branch -> how many.
    """

    parent: NDArray[np.int64]
    areas: dict[str, Array]
    shape: Array
    distance: Array
    branch: NDArray[np.int64]
    starts: tuple[int, ...]
    firsts: tuple[int, ...]
    pieces: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.parent)

    def at(self, branch: int, x: float) -> int:
        """The compartment nearest to the fraction x of a branch."""
        k = round(x * self.pieces[branch])
        return self.starts[branch] if k == 0 else self.firsts[branch] + k - 1


def cut(morphology: Morphology, pieces: Callable[[CableBranch], int]) -> Compartments:
    """The compartments of a morphology, each branch in `pieces(branch)` equal pieces; ValueError for too many."""
    counts = [pieces(branch) for branch in morphology.branches]
    size = 1 + sum(counts)
    if size > _MOST:
        raise ValueError(f"the cell would have {size} compartments; expected at most {_MOST}: take a larger max_length")
    parent, shape, distance = np.full(size, -1), np.zeros(size), np.zeros(size)
    owner = np.full(size, -1)
    areas = {region: np.zeros(size) for region in morphology.regions}
    if morphology.soma_area:
        areas[morphology.soma_region][0] = morphology.soma_area
    starts: list[int] = []
    firsts: list[int] = []
    ends: list[int] = []
    at = 1
    for index, (branch, count) in enumerate(zip(morphology.branches, counts, strict=True)):
        start = 0 if branch.after is None else ends[branch.after]
        nodes = np.concatenate([[start], np.arange(at, at + count)])
        area, resistance = _halves(branch, count)
        own = areas[branch.region]
        np.add.at(own, nodes[:-1], area[0::2])
        np.add.at(own, nodes[1:], area[1::2])
        parent[nodes[1:]] = nodes[:-1]
        shape[nodes[1:]] = 1 / (resistance[0::2] + resistance[1::2])
        distance[nodes[1:]] = distance[start] + branch.length * np.arange(1, count + 1) / count
        owner[nodes[1:]] = index
        starts.append(start)
        firsts.append(at)
        at += count
        ends.append(at - 1)
    return Compartments(
        parent, areas, shape, distance, owner, tuple(starts), tuple(firsts), tuple(counts)
    )  # fmt: skip


def _halves(branch: CableBranch, count: int) -> tuple[Array, Array]:
    """Area (um²) and ∫ds/(πr²) (1/um) of each half of each piece, (2 count,)."""
    edges = branch.length * np.arange(2 * count + 1) / (2 * count)
    places = np.union1d(edges, branch.positions)
    radii = np.interp(places, branch.positions, branch.radii)
    length, first, last = np.diff(places), radii[:-1], radii[1:]
    half = np.clip(np.searchsorted(edges, (places[:-1] + places[1:]) / 2) - 1, 0, 2 * count - 1)
    area = frustum_area(length, first, last)
    resistance = length / (math.pi * first * last)
    areas, resistances = np.zeros(2 * count), np.zeros(2 * count)
    np.add.at(areas, half, area)
    np.add.at(resistances, half, resistance)
    return areas, resistances


__all__ = ["Compartments", "cut"]
