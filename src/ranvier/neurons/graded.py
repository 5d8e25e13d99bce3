"""Graded (non-spiking) neuron."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class Graded(Neuron):
    """Leaky integrator without spikes, as most of the nematode's neurons (Wicks et al. 1996; Kunert et al. 2014).

    Its synapses are continuous: `Sigmoidal`, `Electrical`.
    """

    equations = Equations("dV/dt = (E_L - V + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV")
    initial = {"V": "E_L"}
    tau_m: float = 10.0  # ms
    E_L: float = -35.0  # mV
    g_L: float = 1.0  # nS
