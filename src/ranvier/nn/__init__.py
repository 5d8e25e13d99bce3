"""Layers of neurons as torch modules, each a `Cell`: `forward(x[T, B, N], state=None) -> (y, state)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier._lazy import attributes

# What a type checker reads; at run time a name is imported on first use, so that a first layer loads no other.
if TYPE_CHECKING:
    from ranvier.codegen.buffers import release_buffers
    from ranvier.engines import surrogates
    from ranvier.nn.conversion.from_ann import from_ann
    from ranvier.nn.conversion.loss import ConversionLoss, conversion_loss
    from ranvier.nn.counting.operations import Operations, count_operations, spike_operations
    from ranvier.nn.delays import Delay, DelayedLinear
    from ranvier.nn.dendrites.segments import ActiveDendrites
    from ranvier.nn.dendrites.sequence_memory import SequenceMemory
    from ranvier.nn.elementwise import Scale, Shift, Threshold
    from ranvier.nn.feedback import feed_back
    from ranvier.nn.graph import Graph
    from ranvier.nn.hopfield import Hopfield, HopfieldLookup, HopfieldPooling
    from ranvier.nn.liquid.cfc import CfC
    from ranvier.nn.liquid.ltc import LTC
    from ranvier.nn.liquid.wirings import NCP, AutoNCP, FullyConnected, LiquidWiring
    from ranvier.nn.losses import population_counts, rate_penalty
    from ranvier.nn.memory.elm import ELM
    from ranvier.nn.monitor import LayerMonitor
    from ranvier.nn.nir.reading import from_nir, read_nir
    from ranvier.nn.nir.writing import to_nir, write_nir
    from ranvier.nn.normalisation.batch import BatchNormThroughTime, ThresholdBatchNorm
    from ranvier.nn.normalisation.weights import standardise_weights
    from ranvier.nn.padding import run_packed, run_padded
    from ranvier.nn.quadratic import QuadraticConv2d, QuadraticLinear, quadratic_groups
    from ranvier.nn.sequential import Sequential, TimeDistributed
    from ranvier.nn.spiking.astrocyte import AstrocyteLIF
    from ranvier.nn.spiking.lif import LI, LIF
    from ranvier.nn.spiking.lstm import SpikingConvLSTM, SpikingLSTM
    from ranvier.nn.spiking.neuron import from_neuron
    from ranvier.nn.spiking.parallel import PSN, SlidingPSN

#: module -> public names that it defines
_HOMES = {
    "ranvier.codegen.buffers": ["release_buffers"],
    "ranvier.engines": ["surrogates"],
    "ranvier.nn.conversion.from_ann": ["from_ann"],
    "ranvier.nn.conversion.loss": ["ConversionLoss", "conversion_loss"],
    "ranvier.nn.counting.operations": ["Operations", "count_operations", "spike_operations"],
    "ranvier.nn.delays": ["Delay", "DelayedLinear"],
    "ranvier.nn.dendrites.segments": ["ActiveDendrites"],
    "ranvier.nn.dendrites.sequence_memory": ["SequenceMemory"],
    "ranvier.nn.elementwise": ["Scale", "Shift", "Threshold"],
    "ranvier.nn.feedback": ["feed_back"],
    "ranvier.nn.graph": ["Graph"],
    "ranvier.nn.hopfield": ["Hopfield", "HopfieldLookup", "HopfieldPooling"],
    "ranvier.nn.liquid.cfc": ["CfC"],
    "ranvier.nn.liquid.ltc": ["LTC"],
    "ranvier.nn.liquid.wirings": ["NCP", "AutoNCP", "FullyConnected", "LiquidWiring"],
    "ranvier.nn.losses": ["population_counts", "rate_penalty"],
    "ranvier.nn.memory.elm": ["ELM"],
    "ranvier.nn.monitor": ["LayerMonitor"],
    "ranvier.nn.nir.reading": ["from_nir", "read_nir"],
    "ranvier.nn.nir.writing": ["to_nir", "write_nir"],
    "ranvier.nn.normalisation.batch": ["BatchNormThroughTime", "ThresholdBatchNorm"],
    "ranvier.nn.normalisation.weights": ["standardise_weights"],
    "ranvier.nn.padding": ["run_packed", "run_padded"],
    "ranvier.nn.quadratic": ["QuadraticConv2d", "QuadraticLinear", "quadratic_groups"],
    "ranvier.nn.sequential": ["Sequential", "TimeDistributed"],
    "ranvier.nn.spiking.astrocyte": ["AstrocyteLIF"],
    "ranvier.nn.spiking.lif": ["LI", "LIF"],
    "ranvier.nn.spiking.lstm": ["SpikingConvLSTM", "SpikingLSTM"],
    "ranvier.nn.spiking.neuron": ["from_neuron"],
    "ranvier.nn.spiking.parallel": ["PSN", "SlidingPSN"],
}

__all__ = [  # spelled out for type checkers; a test keeps it equal to the table above
    "ELM",
    "LI",
    "LIF",
    "LTC",
    "NCP",
    "PSN",
    "ActiveDendrites",
    "AstrocyteLIF",
    "AutoNCP",
    "BatchNormThroughTime",
    "CfC",
    "ConversionLoss",
    "Delay",
    "DelayedLinear",
    "FullyConnected",
    "Graph",
    "Hopfield",
    "HopfieldLookup",
    "HopfieldPooling",
    "LayerMonitor",
    "LiquidWiring",
    "Operations",
    "QuadraticConv2d",
    "QuadraticLinear",
    "Scale",
    "SequenceMemory",
    "Sequential",
    "Shift",
    "SlidingPSN",
    "SpikingConvLSTM",
    "SpikingLSTM",
    "Threshold",
    "ThresholdBatchNorm",
    "TimeDistributed",
    "conversion_loss",
    "count_operations",
    "feed_back",
    "from_ann",
    "from_neuron",
    "from_nir",
    "population_counts",
    "quadratic_groups",
    "rate_penalty",
    "read_nir",
    "release_buffers",
    "run_packed",
    "run_padded",
    "spike_operations",
    "standardise_weights",
    "surrogates",
    "to_nir",
    "write_nir",
]  # fmt: skip

if not TYPE_CHECKING:  # with it a type checker would take any misspelt name
    __getattr__, __dir__ = attributes(__name__, _HOMES)
