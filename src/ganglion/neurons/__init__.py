"""Neuron models: one file each, its equations beside its parameters."""

from ganglion.neurons._base import Neuron
from ganglion.neurons.adex import AdEx
from ganglion.neurons.eif import EIF
from ganglion.neurons.graded import Graded
from ganglion.neurons.hodgkin_huxley import HodgkinHuxley
from ganglion.neurons.izhikevich import Izhikevich
from ganglion.neurons.lif import LIF
from ganglion.neurons.qif import QIF
from ganglion.neurons.sources import Poisson, Source, SpikeTimes

__all__ = [
    "EIF", "LIF", "QIF", "AdEx", "Graded", "HodgkinHuxley", "Izhikevich", "Neuron", "Poisson", "Source",
    "SpikeTimes",
]
