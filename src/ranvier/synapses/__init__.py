"""Synapses: current, conductance, continuous."""

from ranvier.synapses._base import Continuous, Synapse
from ranvier.synapses.conductance import NMDA, AlphaConductance, BiExponentialConductance, ExponentialConductance
from ranvier.synapses.continuous import Electrical, Proportional, Sigmoidal
from ranvier.synapses.current import Alpha, BiExponential, Delta, Exponential, Jump

__all__ = [
    "NMDA", "Alpha", "AlphaConductance", "BiExponential", "BiExponentialConductance", "Continuous", "Delta",
    "Electrical", "Exponential", "ExponentialConductance", "Jump", "Proportional", "Sigmoidal", "Synapse",
]
