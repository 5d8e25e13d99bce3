"""Networks of neurons, described once: simulated, predicted, trained, read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# What a type checker reads; at run time a name is imported on first use, so that `ranvier --help` is quick.
if TYPE_CHECKING:
    from ranvier import (
        analysis,
        atlas,
        bodies,
        brains,
        cables,
        data,
        dynamics,
        energies,
        engines,
        hardware,
        interpret,
        learners,
        networks,
        neurons,
        nn,
        operators,
        plot,
        recordings,
        report,
        reservoirs,
        rules,
        symmetries,
        synapses,
        theory,
        verify,
        worlds,
    )
    from ranvier.engines import Probe, Recording, Simulation, WeightProbe, as_cell, simulate
    from ranvier.equations import Equations, Parameter, parameter
    from ranvier.learners import fit
    from ranvier.networks import (
        EdgeList,
        Network,
        Normal,
        TimeSeries,
        Uniform,
        read_edges,
        read_network,
        read_nir,
        wiring,
        write_network,
        write_nir,
    )
    from ranvier.neurons import (
        EIF,
        LIF,
        QIF,
        AdEx,
        Graded,
        HodgkinHuxley,
        Izhikevich,
        Neuron,
        Poisson,
        SpikeTimes,
    )
    from ranvier.report import compare
    from ranvier.synapses import (
        Alpha,
        AlphaConductance,
        BiExponential,
        Delta,
        Electrical,
        Exponential,
        ExponentialConductance,
        Sigmoidal,
        Synapse,
    )
    from ranvier.theory import Prediction, predict

#: public name -> module that defines it
_HOMES = {
    "ranvier.equations": ["Equations", "Parameter", "parameter"],
    "ranvier.neurons": [
        "EIF", "LIF", "QIF", "AdEx", "Graded", "HodgkinHuxley", "Izhikevich", "Neuron", "Poisson", "SpikeTimes",
    ],
    "ranvier.synapses": [
        "Alpha", "AlphaConductance", "BiExponential", "Delta", "Electrical", "Exponential",
        "ExponentialConductance", "Sigmoidal", "Synapse",
    ],
    "ranvier.networks": [
        "EdgeList", "Network", "Normal", "TimeSeries", "Uniform", "read_edges", "read_network", "read_nir",
        "wiring", "write_network", "write_nir",
    ],
    "ranvier.report": ["compare"],
    "ranvier.engines": ["Probe", "Recording", "Simulation", "WeightProbe", "as_cell", "simulate"],
    "ranvier.theory": ["Prediction", "predict"],
    "ranvier.learners": ["fit"],
}  # fmt: skip
_MODULES = [
    "analysis", "atlas", "bodies", "brains", "cables", "data", "dynamics", "energies", "engines", "hardware",
    "interpret", "learners", "networks", "neurons", "nn", "operators", "plot", "recordings", "report", "reservoirs",
    "rules", "symmetries", "synapses", "theory", "verify", "worlds",
]  # fmt: skip
_WHERE = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # spelled out for type checkers; a test keeps it equal to the tables above
    "EIF", "LIF", "QIF", "AdEx", "Alpha", "AlphaConductance", "BiExponential", "Delta", "EdgeList", "Electrical",
    "Equations", "Exponential", "ExponentialConductance", "Graded", "HodgkinHuxley", "Izhikevich", "Network",
    "Neuron", "Normal", "Parameter", "Poisson", "Prediction", "Probe", "Recording", "Sigmoidal", "Simulation",
    "SpikeTimes", "Synapse", "TimeSeries", "Uniform", "WeightProbe", "__version__", "analysis", "as_cell", "atlas",
    "bodies", "brains", "cables", "compare", "data", "dynamics", "energies", "engines", "fit", "hardware", "interpret",
    "learners", "networks", "neurons", "nn", "operators", "parameter", "plot", "predict", "read_edges", "read_network",
    "read_nir", "recordings", "report", "reservoirs", "rules", "simulate", "symmetries", "synapses", "theory", "verify",
    "wiring", "worlds", "write_network", "write_nir",
]  # fmt: skip


if not TYPE_CHECKING:  # with it a type checker would take any misspelt name

    def __getattr__(name: str) -> object:
        if name in _WHERE:
            value = getattr(importlib.import_module(_WHERE[name]), name)
        elif name in _MODULES:
            value = importlib.import_module(f"ranvier.{name}")
        else:
            raise AttributeError(f"module 'ranvier' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
