"""Synapses: current, conductance, continuous."""

from ganglion.synapses._base import Continuous, Synapse
from ganglion.synapses.conductance import AlphaConductance, ExponentialConductance
from ganglion.synapses.continuous import Electrical, Sigmoidal
from ganglion.synapses.current import Alpha, BiExponential, Delta, Exponential

__all__ = [
    "Alpha", "AlphaConductance", "BiExponential", "Continuous", "Delta", "Electrical", "Exponential",
    "ExponentialConductance", "Sigmoidal", "Synapse",
]
