"""Bodies in MuJoCo, and circuits that move them."""

from ranvier.bodies.evolution import evolve
from ranvier.bodies.ncap import NCAP
from ranvier.bodies.policy_gradient import policy_gradient
from ranvier.bodies.swimmer import Swimmer, SwimmerEpisode

__all__ = ["NCAP", "Swimmer", "SwimmerEpisode", "evolve", "policy_gradient"]
