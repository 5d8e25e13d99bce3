"""Models of worlds: latent world models (JEPA), and hippocampal ones of graphs (TEM, TEM-t)."""

from ranvier.worlds.graphs import GridWorld, Walk, Walks, novelty
from ranvier.worlds.learner import WorldLearner, WorldModel
from ranvier.worlds.memory import HebbianMemory, attend
from ranvier.worlds.tem import TEM, TEMSteps
from ranvier.worlds.transformer import TEMTransformer

__all__ = [
    "TEM", "GridWorld", "HebbianMemory", "TEMSteps", "TEMTransformer", "Walk", "Walks", "WorldLearner", "WorldModel",
    "attend", "novelty",
]  # fmt: skip
