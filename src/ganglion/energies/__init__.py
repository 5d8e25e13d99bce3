"""Energies of networks, and the descent along them."""

import importlib
from typing import Any

from ganglion.energies import lagrangians, storage, synapses
from ganglion.energies._descent import Backtracking, Conjugate, Descent, Fixed, Settled
from ganglion.energies._energy import Clamp, Energy, check_symmetric
from ganglion.energies._implicit import ConvergenceWarning
from ganglion.energies._layout import Layout
from ganglion.energies.boltzmann import RBM, Boltzmann
from ganglion.energies.dense import DenseMemory, Exponential, Polynomial, Rectified
from ganglion.energies.dense_classifier import DenseClassifier, MaxNormMomentum
from ganglion.energies.graph import Graph, Neurons
from ganglion.energies.hopfield import ContinuousHopfield, Hopfield, Recalled
from ganglion.energies.ising import Ising, Sampled
from ganglion.energies.layered import Layered
from ganglion.energies.modern import ModernHopfield

__all__ = [
    "RBM", "Backtracking", "Boltzmann", "Clamp", "Conjugate", "ContinuousHopfield", "ConvergenceWarning",
    "DenseClassifier", "DenseMemory", "Descent", "Energy", "Exponential", "Fixed", "Graph", "Hopfield", "Ising",
    "Layered", "Layout", "MaxNormMomentum", "ModernHopfield", "Neurons", "Polynomial", "Recalled", "Rectified",
    "Sampled", "Settled", "check_symmetric", "lagrangians", "storage", "synapses",
]  # fmt: skip

#: imported on first use: they take scikit-learn, or engines, along
_MODULES = ("active_inference", "predictive_coding", "sparse_coding")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'ganglion.energies' has no attribute {name!r}")
    return importlib.import_module(f"ganglion.energies.{name}")
