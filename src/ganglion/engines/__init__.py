"""Engines: `simulate` a network, compiled or in torch, into a `Recording`; `as_cell` to train it."""

from ganglion.engines import surrogates
from ganglion.engines._probes import Probe
from ganglion.engines._recording import Recording
from ganglion.engines._session import Simulation
from ganglion.engines._simulate import simulate
from ganglion.engines._traces import Trace
from ganglion.engines._weights import WeightProbe, Weights
from ganglion.engines.torch_engine import NetworkCell, as_cell

__all__ = [
    "NetworkCell", "Probe", "Recording", "Simulation", "Trace", "WeightProbe", "Weights", "as_cell", "simulate",
    "surrogates",
]  # fmt: skip
