"""Manifolds of activity: components and dimension, density and distance, topology, angles along loops."""

from ranvier.analysis.manifolds.components import Components, dimension, participation_ratio, principal_components
from ranvier.analysis.manifolds.neighbours import distances, downsample, farthest, fuzzy_distances
from ranvier.analysis.manifolds.topology import (
    Persistence,
    align_angles,
    circular_coordinates,
    extend_angles,
    persistence,
    shuffle_threshold,
)

__all__ = [
    "Components",
    "Persistence",
    "align_angles",
    "circular_coordinates",
    "dimension",
    "distances",
    "downsample",
    "extend_angles",
    "farthest",
    "fuzzy_distances",
    "participation_ratio",
    "persistence",
    "principal_components",
    "shuffle_threshold",
]
