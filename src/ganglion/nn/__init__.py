"""Layers of neurons as torch modules, each a `Cell`: `forward(x[T, B, N], state=None) -> (y, state)`."""

from ganglion.engines import surrogates
from ganglion.nn._buffers import release_buffers
from ganglion.nn._from_nir import from_nir, read_nir
from ganglion.nn._to_nir import to_nir, write_nir
from ganglion.nn.accounting import Operations, count_operations, spike_operations
from ganglion.nn.astrocyte import AstrocyteLIF
from ganglion.nn.cfc import CfC
from ganglion.nn.delays import Delay, DelayedLinear
from ganglion.nn.dendrites import ActiveDendrites
from ganglion.nn.elm import ELM
from ganglion.nn.hopfield import Hopfield, HopfieldLookup, HopfieldPooling
from ganglion.nn.lif import LI, LIF
from ganglion.nn.ltc import LTC
from ganglion.nn.neuron import from_neuron
from ganglion.nn.quadratic import QuadraticConv2d, QuadraticLinear, quadratic_groups
from ganglion.nn.sequence_memory import SequenceMemory
from ganglion.nn.sequential import Sequential, TimeDistributed
from ganglion.nn.wirings import NCP, AutoNCP, FullyConnected, Wiring

__all__ = [
    "ELM", "LI", "LIF", "LTC", "NCP", "ActiveDendrites", "AstrocyteLIF", "AutoNCP", "CfC", "Delay", "DelayedLinear",
    "FullyConnected", "Hopfield", "HopfieldLookup", "HopfieldPooling", "Operations", "QuadraticConv2d",
    "QuadraticLinear", "SequenceMemory", "Sequential", "TimeDistributed", "Wiring", "count_operations", "from_neuron",
    "from_nir", "quadratic_groups", "read_nir", "release_buffers", "spike_operations", "surrogates", "to_nir",
    "write_nir",
]  # fmt: skip
