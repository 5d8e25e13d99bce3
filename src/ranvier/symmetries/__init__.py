"""What changes nothing: generators found in functions and in data, permutations of objects and of neurons."""

from ranvier.symmetries.equivariant import PermutationEquivariant, commuting_maps
from ranvier.symmetries.generators import (
    Generators,
    alignment,
    boosts,
    fit_function,
    invariance_generators,
    rotations,
    scaling,
)
from ranvier.symmetries.lie_gan import LieGANResult, lie_gan
from ranvier.symmetries.permutations import barrier, interpolate, match_neurons, object_symmetries, permute_neurons

__all__ = [
    "Generators", "LieGANResult", "PermutationEquivariant", "alignment", "barrier", "boosts", "commuting_maps",
    "fit_function", "interpolate", "invariance_generators", "lie_gan", "match_neurons", "object_symmetries",
    "permute_neurons", "rotations", "scaling",
]  # fmt: skip
