"""Engines: `simulate` a network, compiled or in torch, into a `Recording`; `as_cell` to train it."""

from ranvier.engines import surrogates
from ranvier.engines._session import Simulation
from ranvier.engines._simulate import simulate
from ranvier.engines.recording.probes import Probe
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.traces import Trace
from ranvier.engines.recording.weights import WeightProbe, Weights
from ranvier.engines.torch.engine import NetworkCell, as_cell

__all__ = [
    "NetworkCell", "Probe", "Recording", "Simulation", "Trace", "WeightProbe", "Weights", "as_cell", "simulate",
    "surrogates",
]  # fmt: skip
