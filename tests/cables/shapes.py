"""Cells that several tests of cables use, and the matrices of their linear systems by the plainest means."""

from __future__ import annotations

import numpy as np

from ranvier import cables


def tree(region: str = "dendrite") -> cables.Morphology:
    """A soma, a tapering stem, two unequal children, one of which branches into three."""
    shape = cables.Morphology(soma_diameter=15.0)
    stem = shape.add(120.0, 3.0, end_diameter=2.0, region=region)
    shape.add(80.0, 1.0, after=stem, region=region)
    right = shape.add(60.0, 1.5, after=stem, region=region)
    for length in (30.0, 55.0, 90.0):
        shape.add(length, 0.8, after=right, region=region)
    shape.add(200.0, 1.0, region=region)
    return shape


def conductances(cell: cables.CableCell) -> np.ndarray:
    """(n, n) nS: what axial currents take out of each compartment."""
    G = np.zeros((len(cell), len(cell)))
    for i, p in enumerate(cell.parent):
        if p >= 0:
            g = cell.axial[i]
            G[i, i] += g
            G[p, p] += g
            G[i, p] -= g
            G[p, i] -= g
    return G


SQUID = (cables.SquidSodium(), cables.SquidPotassium(), cables.Leak(g=0.3, E=-54.387))
