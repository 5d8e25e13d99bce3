"""Bodies in MuJoCo, and circuits that move them."""

from ranvier.bodies.evolution import evolve
from ranvier.bodies.ncap import NCAP
from ranvier.bodies.swimmer import Swimmer, SwimmerEpisode

__all__ = ["NCAP", "Swimmer", "SwimmerEpisode", "evolve"]
