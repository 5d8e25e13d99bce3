"""Engines: `simulate` a network, compiled or in torch, into a `Recording`."""

from ganglion.engines._probes import Probe
from ganglion.engines._recording import Recording, Trace
from ganglion.engines._simulate import simulate

__all__ = ["Probe", "Recording", "Trace", "simulate"]
