"""A neuron of many compartments: shape, channels, and the constants of its cable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import instance, nearest, number, positive
from ranvier.cables.channels import Channel
from ranvier.cables.compartments import Compartments, cut
from ranvier.cables.morphology import CableBranch, Morphology

#: pF of 1 um² at 1 uF/cm², which is also the pA of 1 um² at 1 uA/cm²
PER_AREA = 0.01
#: nS of a conductor of 1 um (area over length) at 1 Ω cm
PER_SHAPE = 1e5

ByRegion = float | Mapping[str, float]


class CableCell:
    """A neuron as a cable: C dV/dt = Σ axial currents − Σ currents of channels and synapses + injected current.

    Parameters
    ----------
    morphology
        Its shape, by hand or by `read_swc`.
    channels
        Region -> channels of its membrane; a list of channels stands for all regions.
    R_a
        Resistivity of the inside, Ω cm; one number or region -> number.
    C_m
        Capacitance of the membrane, uF/cm²; one number or region -> number.
    max_length
        No piece of a branch is longer, um. None: a tenth of the length constant at 100 Hz, √(d/(4π f R_a C_m)) of the
        branch's mean diameter d (Hines & Carnevale 2001, Neuroscientist 7:123).

    Compartments are numbered from 0, the root; `at` finds one. Currents are in pA, conductances in nS, capacitances in
    pF, lengths in um, densities of channels in mS/cm^2.

    Raises
    ------
    ValueError
        for numbers outside their domain, regions that the morphology does not have, and a shape without membrane.
    TypeError
        for what is no morphology or no channel.

    Examples
    --------
    >>> import ranvier as rv
    >>> shape = rv.cables.Morphology(soma_diameter=20.0)
    >>> dendrite = shape.add(500.0, 2.0)
    >>> cell = rv.cables.CableCell(shape, [rv.cables.Leak(g=0.05)], R_a=150.0, max_length=50.0)
    >>> len(cell), cell.at(dendrite, 0.5), round(float(cell.capacitance.sum()), 2)
    (11, 5, 43.98)
    """

    def __init__(
        self,
        morphology: Morphology,
        channels: Mapping[str, Sequence[Channel]] | Sequence[Channel],
        *,
        R_a: ByRegion = 100.0,
        C_m: ByRegion = 1.0,
        max_length: float | None = None,
    ) -> None:
        instance(morphology, Morphology, "morphology", "a Morphology: by hand, or of read_swc(path)")
        self.morphology = morphology
        resistivity = _by_region(R_a, morphology, "R_a", "Ohm cm")
        capacity = _by_region(C_m, morphology, "C_m", "uF/cm^2")
        longest = None if max_length is None else positive(max_length, "max_length", "um")
        self.compartments = cut(
            morphology, lambda b: _pieces(b, longest, resistivity[b.region] * capacity[b.region])
        )
        if not morphology.area > 0:
            raise ValueError("the morphology has no membrane; expected a soma, or a branch: add one")
        areas, shape = self.compartments.areas, self.compartments.shape
        #: pF (n,)
        self.capacitance: NDArray[np.float64] = PER_AREA * sum(
            (capacity[r] * areas[r] for r in morphology.regions), np.zeros(len(self))
        )
        owner = self.compartments.branch[1:]
        regions = np.array([resistivity[b.region] for b in morphology.branches])
        #: nS to the parent (n,), 0 of the root
        self.axial: NDArray[np.float64] = np.concatenate([[0.0], PER_SHAPE * shape[1:] / regions[owner]])
        #: (channel, area in um² (n,)), one for each channel and the regions that it lies in
        self.membrane: tuple[tuple[Channel, NDArray[np.float64]], ...] = _membrane(channels, self.compartments)

    def __len__(self) -> int:
        return len(self.compartments)

    @property
    def parent(self) -> NDArray[np.int64]:
        """Of each compartment (n,), −1 of the root."""
        return self.compartments.parent

    @property
    def distance(self) -> NDArray[np.float64]:
        """Of each compartment from the root, um along the branches (n,)."""
        return self.compartments.distance

    @property
    def area(self) -> NDArray[np.float64]:
        """um² (n,)."""
        return sum(self.compartments.areas.values(), np.zeros(len(self)))

    def at(self, branch: int, x: float = 1.0) -> int:
        """The compartment nearest to the fraction x of a branch, from 0 at its start to 1 at its end."""
        if not 0 <= branch < len(self.morphology.branches):
            raise ValueError(
                f"branch is {branch}; expected one of the morphology's {len(self.morphology.branches)} branches, from 0"
            )
        if not 0 <= number(x, "x") <= 1:
            raise ValueError(f"x is {x}; expected a fraction of the branch from 0 to 1")
        return self.compartments.at(branch, x)

    def require(self, places: Any, what: str) -> NDArray[np.int64]:
        """`places` as an int64 array (k,) of compartments; ValueError for others."""
        out = np.atleast_1d(np.asarray(places))
        if out.size == 0 and out.ndim == 1:
            return np.empty(0, np.int64)
        if out.ndim != 1 or out.dtype.kind not in "iu":
            raise ValueError(
                f"{what} is {places!r:.60}; expected a compartment or a flat list of them: cell.at(branch, x)"
            )
        if out.min() < 0 or out.max() >= len(self):
            raise ValueError(
                f"{what} holds {out.min() if out.min() < 0 else out.max()}; expected compartments from 0 to "
                f"{len(self) - 1}"
            )
        return out.astype(np.int64)

    def __repr__(self) -> str:
        names = dict.fromkeys(type(c).__name__ for c, _ in self.membrane)
        return f"CableCell({len(self)} compartments, {', '.join(names) or 'no channels'})"


def _by_region(value: ByRegion, morphology: Morphology, name: str, unit: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(morphology.regions, positive(value, name, unit))
    for region in value:
        if region not in morphology.regions:
            raise ValueError(f"{name} has the region {region!r}; {nearest(region, morphology.regions)}")
    if missing := [r for r in morphology.regions if r not in value]:
        raise ValueError(
            f"{name} has no value for the region {missing[0]!r}; expected one for each region, or one number for all"
        )
    return {region: positive(x, f"{name} of {region}", unit) for region, x in value.items()}


def _pieces(branch: CableBranch, longest: float | None, product: float) -> int:
    if longest is None:
        at, r = np.array(branch.positions), np.array(branch.radii)
        diameter = 2 * float(np.sum(np.diff(at) * (r[1:] + r[:-1]) / 2)) / branch.length
        # um, with f = 100 Hz, R_a C_m in Ω uF/cm, and d in um
        longest = 0.1 * 1e5 * math.sqrt(diameter / (4 * math.pi * 100.0 * product))
    return max(1, math.ceil(min(branch.length / longest * (1 - 1e-12), 1e15)))


def _membrane(
    channels: Mapping[str, Sequence[Channel]] | Sequence[Channel], compartments: Compartments
) -> tuple[tuple[Channel, NDArray[np.float64]], ...]:
    areas = compartments.areas
    by_region = channels if isinstance(channels, Mapping) else dict.fromkeys(areas, channels)
    total: dict[int, NDArray[np.float64]] = {}
    kinds: dict[int, Channel] = {}
    for region, own in by_region.items():
        if region not in areas:
            raise ValueError(f"channels has the region {region!r}; {nearest(region, areas)}")
        for channel in own:
            instance(channel, Channel, f"a channel of {region}", "a Channel: rv.cables.Leak()")
            kinds[id(channel)] = channel
            total[id(channel)] = total.get(id(channel), np.zeros(len(compartments))) + areas[region]
    return tuple((kinds[k], area) for k, area in total.items())


__all__ = ["PER_AREA", "CableCell"]
