"""Wirings: which neuron of a source population reaches which of a target population.

A wiring is a rule, and stays one until it is drawn. Every random rule draws each target's sources
from a stream keyed by (network seed, projection index, target), so any block of targets can be
drawn alone and comes out as it would in the whole (`OutDegree`: keyed by source, see there).
"""

from ranvier.networks.wiring.distance import Distance
from ranvier.networks.wiring.fixed import AllToAll, Edges, OneToOne
from ranvier.networks.wiring.random import (
    InDegree,
    OutDegree,
    PairwisePoisson,
    Probability,
    SymmetricProbability,
    TotalNumber,
)
from ranvier.networks.wiring.rule import Wiring

__all__ = [
    "AllToAll", "Distance", "Edges", "InDegree", "OneToOne", "OutDegree", "PairwisePoisson", "Probability",
    "SymmetricProbability", "TotalNumber", "Wiring",
]  # fmt: skip
