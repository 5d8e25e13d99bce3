"""Energies of networks, and the descent along them."""

import importlib
from typing import Any

from ranvier.energies import lagrangians, storage, synapses
from ranvier.energies._descent import Backtracking, Conjugate, Descent, Fixed, Settled
from ranvier.energies._energy import Clamp, Energy, check_symmetric
from ranvier.energies._implicit import ConvergenceWarning
from ranvier.energies._layout import Layout
from ranvier.energies.boltzmann import RBM, Boltzmann
from ranvier.energies.dense import DenseMemory, Exponential, Polynomial, Rectified
from ranvier.energies.dense_classifier import DenseClassifier, MaxNormMomentum
from ranvier.energies.graph import Graph, Neurons
from ranvier.energies.hopfield import ContinuousHopfield, Hopfield, Recalled
from ranvier.energies.ising import Ising, Sampled
from ranvier.energies.layered import Layered
from ranvier.energies.modern import ModernHopfield

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
        raise AttributeError(f"module 'ranvier.energies' has no attribute {name!r}")
    return importlib.import_module(f"ranvier.energies.{name}")
