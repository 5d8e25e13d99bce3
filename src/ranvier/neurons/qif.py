"""Quadratic integrate-and-fire."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class QIF(Neuron):
    """Quadratic integrate-and-fire neuron (Ermentrout & Kopell 1986; Latham et al. 2000, eq. 2).

    tau_m dV/dt = (V − V_rest)(V − V_c)/(V_c − V_rest) + drive + I; the slope at rest is that of a leak.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.QIF(V_c=-45.0).parameters["V_c"]
    -45.0
    >>> rv.QIF.relations
    ('V_rest < V_c', 'V_reset < V_th')
    """

    equations = Equations(
        "dV/dt = ((V - V_rest)*(V - V_c)/(V_c - V_rest) + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "V_rest"}
    relations = ("V_rest < V_c", "V_reset < V_th")
    tau_m: float = parameter(20.0, "ms", "membrane time constant", above=0)
    V_rest: float = parameter(-65.0, "mV", "stable fixed point without input")
    V_c: float = parameter(-50.0, "mV", "unstable fixed point without input")
    V_th: float = parameter(30.0, "mV", "where a spike is counted")
    V_reset: float = parameter(-80.0, "mV", "reset")
    t_ref: float = parameter(0.0, "ms", "refractory period", at_least=0)
    g_L: float = parameter(10.0, "nS", "leak conductance, which only conductance-based synapses use", above=0)
