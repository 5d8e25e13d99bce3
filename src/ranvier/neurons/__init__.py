"""Neuron models: one file each, its equations beside its parameters."""

from ranvier.neurons._base import Neuron
from ranvier.neurons.adex import AdEx, ClopathAdEx
from ranvier.neurons.eif import EIF
from ranvier.neurons.graded import Graded
from ranvier.neurons.growing import GrowingLIF
from ranvier.neurons.hodgkin_huxley import HodgkinHuxley
from ranvier.neurons.izhikevich import Izhikevich
from ranvier.neurons.lif import LIF
from ranvier.neurons.qif import QIF
from ranvier.neurons.sources import CorrelatedPoisson, GammaProcess, Poisson, PulsePackets, Source, SpikeTimes
from ranvier.neurons.synaptic_lif import SynapticLIF

__all__ = [
    "EIF", "LIF", "QIF", "AdEx", "ClopathAdEx", "CorrelatedPoisson", "GammaProcess", "Graded", "GrowingLIF",
    "HodgkinHuxley", "Izhikevich", "Neuron", "Poisson", "PulsePackets", "Source", "SpikeTimes", "SynapticLIF",
]  # fmt: skip
