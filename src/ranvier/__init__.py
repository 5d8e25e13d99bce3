"""Networks of neurons, described once: simulated, predicted, trained, read."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: public name -> module that defines it; imported on first use, so that `ranvier --help` is quick
_HOMES = {
    "ranvier.equations": ["Equations"],
    "ranvier.neurons": [
        "EIF", "LIF", "QIF", "AdEx", "Graded", "HodgkinHuxley", "Izhikevich", "Neuron", "Poisson", "SpikeTimes",
    ],
    "ranvier.synapses": [
        "Alpha", "AlphaConductance", "BiExponential", "Delta", "Electrical", "Exponential",
        "ExponentialConductance", "Sigmoidal", "Synapse",
    ],
    "ranvier.networks": [
        "EdgeList", "Network", "Normal", "TimeSeries", "Uniform", "read_edges", "read_network", "read_nir",
        "write_network", "write_nir",
    ],
    "ranvier.report": ["compare"],
    "ranvier.engines": ["Probe", "Recording", "Simulation", "WeightProbe", "as_cell", "simulate"],
    "ranvier.theory": ["Prediction", "predict"],
    "ranvier.learners": ["fit"],
}
_MODULES = [
    "analysis", "atlas", "brains", "data", "energies", "engines", "learners", "networks", "neurons", "nn", "report",
    "reservoirs", "rules", "synapses", "theory",
]
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_WHERE), *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"ranvier.{name}")
    elif name == "wiring":
        value = importlib.import_module("ranvier.networks.wiring")
    else:
        raise AttributeError(f"module 'ranvier' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
