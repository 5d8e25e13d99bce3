"""CUBA: current-based integrate-and-fire network (Vogels & Abbott 2005; benchmark 2 of Brette et al. 2007).

tau_m 20, tau_e 5, tau_i 10, refractory 5 ms; E_L -49, threshold -50, reset -60 mV; a spike adds 1.62 mV
(excitatory) or -9 mV (inhibitory) to the filtered input; 80 % excitatory; every neuron hears 64 + 16 others;
V(0) uniform between reset and threshold. The delay is one step of 0.1 ms everywhere.
"""

from types import ModuleType
from typing import Any

from ._wiring import brian2_sources, nest_rule

TAU_M, TAU_E, TAU_I, T_REF, DELAY = 20.0, 5.0, 10.0, 5.0, 0.1
E_L, V_TH, V_RESET = -49.0, -50.0, -60.0
W_E, W_I = 1.62, -9.0
K_E, K_I = 64, 16


def ranvier(n: int, seed: int = 0) -> Any:
    import ranvier as rv

    net = rv.Network(seed=seed)
    cell = rv.LIF(tau_m=TAU_M, E_L=E_L, V_th=V_TH, V_reset=V_RESET, t_ref=T_REF)
    start = {"V": rv.Uniform(V_RESET, V_TH)}
    exc = net.add(cell, 4 * n // 5, name="exc", initial=start)
    inh = net.add(cell, n // 5, name="inh", initial=start)
    fast = rv.Exponential(tau=TAU_E, normalise="peak")
    slow = rv.Exponential(tau=TAU_I, normalise="peak")
    net.connect(exc, [exc, inh], weight=W_E, delay=DELAY, synapse=fast, in_degree=K_E)
    net.connect(inh, [exc, inh], weight=W_I, delay=DELAY, synapse=slow, in_degree=K_I)
    return net


def brian2(b2: ModuleType, n: int) -> list[Any]:
    ms, mV = b2.ms, b2.mV
    names = {
        "tau_m": TAU_M * ms, "tau_e": TAU_E * ms, "tau_i": TAU_I * ms, "E_L": E_L * mV,
        "V_th": V_TH * mV, "V_r": V_RESET * mV, "w_e": W_E * mV, "w_i": W_I * mV,
    }  # fmt: skip
    cells = b2.NeuronGroup(
        n,
        """dv/dt = (ge + gi - (v - E_L))/tau_m : volt (unless refractory)
           dge/dt = -ge/tau_e : volt
           dgi/dt = -gi/tau_i : volt""",
        threshold="v > V_th",
        reset="v = V_r",
        refractory=(T_REF + 0.1) * ms,  # Brian2 integrates again one step before 5 ms have passed
        method="exact",
        namespace=names,
    )
    cells.v = "V_r + rand()*(V_th - V_r)"
    n_e = 4 * n // 5
    from_e = b2.Synapses(cells[:n_e], cells, on_pre="ge += w_e", delay=DELAY * ms, namespace=names)
    from_e.connect(i=brian2_sources(n_e, K_E))
    from_i = b2.Synapses(cells[n_e:], cells, on_pre="gi += w_i", delay=DELAY * ms, namespace=names)
    from_i.connect(i=brian2_sources(n - n_e, K_I))
    return [cells, from_e, from_i]


def nest(nest: ModuleType, n: int) -> Any:
    cells = nest.Create(
        "iaf_psc_exp",
        n,
        {
            "C_m": TAU_M, "tau_m": TAU_M, "E_L": E_L, "V_th": V_TH, "V_reset": V_RESET, "t_ref": T_REF,
            "tau_syn_ex": TAU_E, "tau_syn_in": TAU_I, "V_m": nest.random.uniform(V_RESET, V_TH),
        },
    )  # fmt: skip  # a membrane of 1 GOhm: pA are mV
    n_e = 4 * n // 5
    for sources, degree, weight in ((cells[:n_e], K_E, W_E), (cells[n_e:], K_I, W_I)):
        rule = nest_rule(degree)
        nest.Connect(sources, cells, rule, {"weight": weight, "delay": DELAY})
    return cells
