"""Models of worlds: latent models of scenes (JEPA), and hippocampal models of graphs (TEM, TEM-t)."""

from ranvier.worlds.dots import MovingDots, Scene, SceneBatches
from ranvier.worlds.graphs import GridWorld, Walk, Walks, novelty
from ranvier.worlds.jepa import JEPA, HierarchicalJEPA, PixelPredictor
from ranvier.worlds.learner import WorldLearner, WorldModel
from ranvier.worlds.memory import HebbianMemory, attend
from ranvier.worlds.planning import latent_energy, plan
from ranvier.worlds.slow import SlowFeatures, effective_rank, slow_features
from ranvier.worlds.tem import TEM, TEMSteps
from ranvier.worlds.transformer import TEMTransformer

__all__ = [
    "JEPA", "TEM", "GridWorld", "HebbianMemory", "HierarchicalJEPA", "MovingDots", "PixelPredictor", "Scene",
    "SceneBatches", "SlowFeatures", "TEMSteps", "TEMTransformer", "Walk", "Walks", "WorldLearner", "WorldModel",
    "attend", "effective_rank", "latent_energy", "novelty", "plan", "slow_features",
]  # fmt: skip
