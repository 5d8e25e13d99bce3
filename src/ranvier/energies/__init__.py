"""Energies of networks, and the descent along them."""

import importlib
from typing import TYPE_CHECKING

from ranvier.energies._descent import Descent
from ranvier.energies._energy import Clamp, Energy, check_symmetric
from ranvier.energies._implicit import ConvergenceWarning
from ranvier.energies._layout import Layout
from ranvier.energies._result import DescentResult, Ending
from ranvier.energies.associative import storage
from ranvier.energies.associative.dense import (
    DenseMemory,
    ExponentialInteraction,
    PolynomialInteraction,
    RectifiedInteraction,
)
from ranvier.energies.associative.dense_classifier import DenseClassifier, MaxNormMomentum
from ranvier.energies.associative.hopfield import ContinuousHopfield, Hopfield
from ranvier.energies.associative.modern import ModernHopfield
from ranvier.energies.graphs import lagrangians, synapses
from ranvier.energies.graphs.graph import EnergyGraph, Layer
from ranvier.energies.graphs.layered import Layered
from ranvier.energies.machines.boltzmann import RBM, Boltzmann
from ranvier.energies.machines.ising import Ising, SpinSamples
from ranvier.energies.steps import Backtracking, Conjugate, Fixed, StepRule

if TYPE_CHECKING:
    from ranvier.energies import predictive as predictive
    from ranvier.energies import sparse_coding as sparse_coding

__all__ = [
    "RBM",
    "Backtracking",
    "Boltzmann",
    "Clamp",
    "Conjugate",
    "ContinuousHopfield",
    "ConvergenceWarning",
    "DenseClassifier",
    "DenseMemory",
    "Descent",
    "DescentResult",
    "Ending",
    "Energy",
    "EnergyGraph",
    "ExponentialInteraction",
    "Fixed",
    "Hopfield",
    "Ising",
    "Layer",
    "Layered",
    "Layout",
    "MaxNormMomentum",
    "ModernHopfield",
    "PolynomialInteraction",
    "RectifiedInteraction",
    "SpinSamples",
    "StepRule",
    "check_symmetric",
    "lagrangians",
    "storage",
    "synapses",
]  # fmt: skip

#: imported on first use: they take scikit-learn, or engines, along
_MODULES = ("predictive", "sparse_coding")


if not TYPE_CHECKING:  # with it a type checker would take any misspelt name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'ranvier.energies' has no attribute {name!r}")
        return importlib.import_module(f"ranvier.energies.{name}")
