"""Adaptive exponential integrate-and-fire."""

from ranvier.equations import Equations, parameter
from ranvier.neurons._base import Neuron


class AdEx(Neuron):
    """Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005, eqs. 1–3).

    tau_m = C_m/g_L. A current of 1 pA is a drive of 1/g_L mV.

    Examples
    --------
    >>> import ranvier as rv
    >>> cell = rv.AdEx(b=0.0)
    >>> cell.C_m / cell.g_L  # ms
    9.366666666666667
    >>> rv.AdEx.equations.names
    ('V', 'w')
    """

    equations = Equations(
        """dV/dt = (g_L*(E_L - V + psi + drive + I) - w)/C_m + noise*sqrt(2*g_L/C_m)*xi : mV
        dw/dt = (a*(V - E_L) - w)/tau_w : pA
        psi = Delta_T*exp((V - V_T)/Delta_T)""",
        threshold="V >= V_th",
        reset="V = V_reset; w = w + b",
        refractory="t_ref",
    )
    initial = {"V": "E_L"}
    relations = ("V_reset < V_th",)
    C_m: float = parameter(281.0, "pF", "membrane capacitance", above=0)
    g_L: float = parameter(30.0, "nS", "leak conductance", above=0)
    E_L: float = parameter(-70.6, "mV", "reversal potential of the leak")
    Delta_T: float = parameter(2.0, "mV", "sharpness of the spike's onset", above=0)
    V_T: float = parameter(-50.4, "mV", "soft threshold")
    V_th: float = parameter(0.0, "mV", "where a spike is counted")
    V_reset: float = parameter(-70.6, "mV", "reset")
    tau_w: float = parameter(144.0, "ms", "time constant of the adaptation", above=0)
    a: float = parameter(4.0, "nS", "subthreshold adaptation")
    b: float = parameter(80.5, "pA", "spike-triggered adaptation")
    t_ref: float = parameter(0.0, "ms", "refractory period", at_least=0)


class ClopathAdEx(Neuron):
    """AdEx whose spikes have a shape (Clopath, Büsing, Vasilaki & Gerstner 2010, methods; Badel et al. 2008).

    Beyond V_th the voltage stays at V_clamp for t_clamp, which is also the refractory period, then goes to V_reset. A
    spike sets the depolarising current z to I_sp and the threshold V_T to V_T_max, from which both decay. As NEST's
    aeif_psc_delta_clopath. What `rules.Clopath` reads of a spike is its height, so give both the same rest.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cell = net.add(rv.neurons.ClopathAdEx(), 1, drive=40.0)
    >>> V = rv.simulate(net, 100.0, record="V").states["V"].values
    >>> float(V.max())
    33.0
    """

    equations = Equations(
        """dV/dt = (g_L*(E_L - V + psi + drive + I) - w + z)/C_m + noise*sqrt(2*g_L/C_m)*xi : mV
        dw/dt = (a*(V - E_L) - w)/tau_w : pA
        dz/dt = -z/tau_z : pA
        dV_T/dt = (V_T_rest - V_T)/tau_T : mV
        dclamp/dt = -on : ms
        don/dt = 0*on/t_clamp : 1
        psi = Delta_T*exp((V - V_T)/Delta_T)""",
        threshold="V >= V_th",
        reset="V = V_clamp; w = w + b; z = I_sp; V_T = V_T_max; clamp = t_clamp; on = 1",
        refractory="t_clamp",
        holds="V, w",
        events={"released": ("clamp < 0.51*dt", "V = V_reset; clamp = t_clamp; on = 0")},
    )
    initial = {"V": "E_L", "V_T": "V_T_rest", "clamp": "t_clamp"}
    relations = ("V_reset < V_th", "V_th <= V_clamp")
    C_m: float = parameter(281.0, "pF", "membrane capacitance", above=0)
    g_L: float = parameter(30.0, "nS", "leak conductance", above=0)
    E_L: float = parameter(-70.6, "mV", "reversal potential of the leak")
    Delta_T: float = parameter(2.0, "mV", "sharpness of the spike's onset", above=0)
    V_T_rest: float = parameter(-50.4, "mV", "soft threshold at rest")
    V_T_max: float = parameter(30.4, "mV", "soft threshold after a spike")
    tau_T: float = parameter(50.0, "ms", "time constant of the soft threshold", above=0)
    V_th: float = parameter(20.0, "mV", "where a spike is counted")
    V_clamp: float = parameter(33.0, "mV", "voltage during a spike")
    V_reset: float = parameter(-49.6, "mV", "reset after a spike")
    tau_w: float = parameter(144.0, "ms", "time constant of the adaptation", above=0)
    a: float = parameter(4.0, "nS", "subthreshold adaptation")
    b: float = parameter(80.5, "pA", "spike-triggered adaptation")
    tau_z: float = parameter(40.0, "ms", "time constant of the depolarising current", above=0)
    I_sp: float = parameter(400.0, "pA", "depolarising current after a spike")
    t_clamp: float = parameter(2.0, "ms", "duration of a spike", above=0)
