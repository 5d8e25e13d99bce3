"""Graded (non-spiking) neuron."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class Graded(Neuron):
    """Leaky integrator without spikes, as most of the nematode's neurons (Wicks et al. 1996; Kunert et al. 2014).

    Its synapses are continuous: `Sigmoidal`, `Electrical`, `synapses.Proportional`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cell = net.add(rv.Graded(), 1, drive=2.0)
    >>> V = rv.simulate(net, 100.0, engine="torch", record="V").states["V"].values
    >>> round(float(V[-1, 0]), 3)  # the leak's reversal potential and the drive
    -33.0
    """

    equations = Equations("dV/dt = (E_L - V + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV")
    initial = {"V": "E_L"}
    tau_m: float = parameter(10.0, "ms", "membrane time constant", above=0)
    E_L: float = parameter(-35.0, "mV", "reversal potential of the leak")
    g_L: float = parameter(1.0, "nS", "leak conductance", above=0)
