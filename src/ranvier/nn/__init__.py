"""Layers of neurons as torch modules, each a `Cell`: `forward(x[T, B, N], state=None) -> (y, state)`."""

from ranvier.codegen.buffers import release_buffers
from ranvier.engines import surrogates
from ranvier.nn.counting.operations import Operations, count_operations, spike_operations
from ranvier.nn.delays import Delay, DelayedLinear
from ranvier.nn.dendrites.segments import ActiveDendrites
from ranvier.nn.dendrites.sequence_memory import SequenceMemory
from ranvier.nn.hopfield import Hopfield, HopfieldLookup, HopfieldPooling
from ranvier.nn.liquid.cfc import CfC
from ranvier.nn.liquid.ltc import LTC
from ranvier.nn.liquid.wirings import NCP, AutoNCP, FullyConnected, Wiring
from ranvier.nn.memory.elm import ELM
from ranvier.nn.nir.reading import from_nir, read_nir
from ranvier.nn.nir.writing import to_nir, write_nir
from ranvier.nn.quadratic import QuadraticConv2d, QuadraticLinear, quadratic_groups
from ranvier.nn.sequential import Sequential, TimeDistributed
from ranvier.nn.spiking.astrocyte import AstrocyteLIF
from ranvier.nn.spiking.lif import LI, LIF
from ranvier.nn.spiking.neuron import from_neuron

__all__ = [
    "ELM", "LI", "LIF", "LTC", "NCP", "ActiveDendrites", "AstrocyteLIF", "AutoNCP", "CfC", "Delay", "DelayedLinear",
    "FullyConnected", "Hopfield", "HopfieldLookup", "HopfieldPooling", "Operations", "QuadraticConv2d",
    "QuadraticLinear", "SequenceMemory", "Sequential", "TimeDistributed", "Wiring", "count_operations", "from_neuron",
    "from_nir", "quadratic_groups", "read_nir", "release_buffers", "spike_operations", "surrogates", "to_nir",
    "write_nir",
]  # fmt: skip
