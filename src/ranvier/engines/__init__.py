"""Engines: `simulate` a network, compiled or in torch, into a `Recording`; `as_cell` to train it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier._lazy import attributes

# What a type checker reads; at run time a name is imported on first use: layers take the surrogates alone.
if TYPE_CHECKING:
    from ranvier.engines import surrogates
    from ranvier.engines._assignments import Assignments
    from ranvier.engines._session import Simulation
    from ranvier.engines._simulate import simulate
    from ranvier.engines._values import StoredState
    from ranvier.engines.recording.probes import Probe
    from ranvier.engines.recording.recording import Recording
    from ranvier.engines.recording.traces import StateTrace
    from ranvier.engines.recording.weights import WeightProbe, Weights
    from ranvier.engines.structural import StructuralPlasticity
    from ranvier.engines.torch.engine import NetworkCell, as_cell

#: module -> public names that it defines; "" for modules
_HOMES = {
    "": ["surrogates"],
    "ranvier.engines._assignments": ["Assignments"],
    "ranvier.engines._session": ["Simulation"],
    "ranvier.engines._values": ["StoredState"],
    "ranvier.engines._simulate": ["simulate"],
    "ranvier.engines.recording.probes": ["Probe"],
    "ranvier.engines.recording.recording": ["Recording"],
    "ranvier.engines.recording.traces": ["StateTrace"],
    "ranvier.engines.recording.weights": ["WeightProbe", "Weights"],
    "ranvier.engines.structural": ["StructuralPlasticity"],
    "ranvier.engines.torch.engine": ["NetworkCell", "as_cell"],
}

__all__ = [
    "Assignments",
    "NetworkCell",
    "Probe",
    "Recording",
    "Simulation",
    "StateTrace",
    "StoredState",
    "StructuralPlasticity",
    "WeightProbe",
    "Weights",
    "as_cell",
    "simulate",
    "surrogates",
]  # fmt: skip

if not TYPE_CHECKING:  # with it a type checker would take any misspelt name
    __getattr__, __dir__ = attributes(__name__, _HOMES)
