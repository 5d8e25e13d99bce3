"""Free energies of beliefs: predictive coding with Gaussian layers, active inference with discrete states."""

from ranvier.energies.predictive import active_inference
from ranvier.energies.predictive.hierarchy import FixedPredictions, Hierarchy

__all__ = ["FixedPredictions", "Hierarchy", "active_inference"]
