"""Hodgkin and Huxley's neuron with the currents of Traub and Miles."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class HodgkinHuxley(Neuron):
    """Conductance-based neuron of the COBAHH benchmark (Traub & Miles 1991; Brette et al. 2007, appendix B).

    Spikes are counted where V passes V_th; nothing is reset, and none is counted for t_spike afterwards.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.HodgkinHuxley.equations.names
    ('V', 'm', 'h', 'n')
    """

    equations = Equations(
        """dV/dt = (g_L*(E_L - V + drive + I) - g_Na*m**3*h*(V - E_Na) - g_K*n**4*(V - E_K))/C_m + s*xi : mV
        dm/dt = alpha_m*(1 - m) - beta_m*m
        dh/dt = alpha_h*(1 - h) - beta_h*h
        dn/dt = alpha_n*(1 - n) - beta_n*n
        v = V - V_T
        alpha_m = 1.28/exprel((13 - v)/4)
        beta_m = 1.4/exprel((v - 40)/5)
        alpha_h = 0.128*exp((17 - v)/18)
        beta_h = 4/(1 + exp((40 - v)/5))
        alpha_n = 0.16/exprel((15 - v)/5)
        beta_n = 0.5*exp((10 - v)/40)
        s = noise*sqrt(2*g_L/C_m)""",
        threshold="V >= V_th",
        refractory="t_spike",
        holds=False,
    )
    initial = {"V": "E_L", "m": 0.0, "h": 1.0, "n": 0.0}
    C_m: float = parameter(200.0, "pF", "membrane capacitance", above=0)
    g_L: float = parameter(10.0, "nS", "leak conductance", above=0)
    E_L: float = parameter(-60.0, "mV", "reversal potential of the leak")
    g_Na: float = parameter(20_000.0, "nS", "largest sodium conductance", at_least=0)
    E_Na: float = parameter(50.0, "mV", "reversal potential of sodium")
    g_K: float = parameter(6_000.0, "nS", "largest potassium conductance", at_least=0)
    E_K: float = parameter(-90.0, "mV", "reversal potential of potassium")
    V_T: float = parameter(-63.0, "mV", "shifts the rate functions")
    V_th: float = parameter(-20.0, "mV", "where a spike is counted")
    t_spike: float = parameter(3.0, "ms", "during which one spike is counted once", at_least=0)
