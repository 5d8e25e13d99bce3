"""Hodgkin and Huxley's neuron with the currents of Traub and Miles."""

from ranvier.equations import Equations
from ranvier.neurons._base import Neuron


class HodgkinHuxley(Neuron):
    """Conductance-based neuron of the COBAHH benchmark (Traub & Miles 1991; Brette et al. 2007, appendix B).

    Spikes are counted where V passes V_th; nothing is reset, and none is counted for t_spike afterwards.
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
    C_m: float = 200.0  # pF
    g_L: float = 10.0  # nS
    E_L: float = -60.0  # mV
    g_Na: float = 20_000.0  # nS
    E_Na: float = 50.0  # mV
    g_K: float = 6_000.0  # nS
    E_K: float = -90.0  # mV
    V_T: float = -63.0  # mV, shifts the rate functions
    V_th: float = -20.0  # mV, where a spike is counted
    t_spike: float = 3.0  # ms, during which one spike is counted once
