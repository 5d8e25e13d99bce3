"""Short-term depression in a sparse network (Tsodyks, Pawelzik & Markram 1998, Neural Comput. 10:821).

8000 E + 2000 I LIF neurons, tau_m 20 ms, threshold 20, reset 10 mV, refractory 2 ms; every neuron hears 400 + 100
others with a delay of 1.5 ms by exponential currents of 5 ms. Excitatory synapses depress and facilitate (U 0.5,
recovery 200 ms, facilitation 50 ms); inhibitory ones do not. 12 kHz of external Poisson spikes of 0.13 mV a neuron.

Brian2's side is written as in its documentation: two variables a synapse, advanced at its spikes.
"""

from types import ModuleType
from typing import Any

from ._wiring import brian2_sources

TAU_M, T_REF, DELAY, TAU_S = 20.0, 2.0, 1.5, 5.0
V_TH, V_RESET = 20.0, 10.0
DT = 0.1  # Brian2 integrates again one step before the refractory period has passed
U, TAU_REC, TAU_FACIL = 0.5, 200.0, 50.0
W_E, W_I = 12.0, -20.0  # areas, mV ms
JUMP, RATE = 0.13, 12_000.0
K_E, K_I = 400, 100


def ranvier(n: int, seed: int = 0) -> Any:
    import ranvier as rv

    net = rv.Network(seed=seed)
    cell = rv.LIF(tau_m=TAU_M, E_L=0.0, V_th=V_TH, V_reset=V_RESET, t_ref=T_REF)
    exc, inh = (
        net.add(cell, size, name=name, initial={"V": rv.Uniform(0.0, V_TH)})
        for name, size in (("exc", 4 * n // 5), ("inh", n // 5))
    )
    current, rule = rv.Exponential(tau=TAU_S), rv.rules.TsodyksMarkram(U=U, tau_rec=TAU_REC, tau_facil=TAU_FACIL)
    net.connect(exc, [exc, inh], weight=W_E, delay=DELAY, synapse=current, in_degree=K_E, plasticity=rule)
    net.connect(inh, [exc, inh], weight=W_I, delay=DELAY, synapse=current, in_degree=K_I)
    for population in (exc, inh):
        net.background(population, rate=RATE, weight=JUMP)
    return net


def brian2(b2: ModuleType, n: int) -> list[Any]:
    ms, mV = b2.ms, b2.mV
    names = {
        "tau_m": TAU_M * ms, "tau_s": TAU_S * ms, "tau_d": TAU_REC * ms, "tau_f": TAU_FACIL * ms, "U": U,
        "w_e": W_E / TAU_S * mV, "w_i": W_I / TAU_S * mV,
    }  # fmt: skip
    cells = b2.NeuronGroup(
        n, "dv/dt = (s - v)/tau_m : volt (unless refractory)\nds/dt = -s/tau_s : volt",
        threshold=f"v > {V_TH}*mV", reset=f"v = {V_RESET}*mV", refractory=(T_REF + DT) * ms,
        method="exact", namespace=names,
    )  # fmt: skip
    cells.v = f"rand()*{V_TH}*mV"
    n_e = 4 * n // 5
    from_e = b2.Synapses(
        cells[:n_e], cells, "dx/dt = (1 - x)/tau_d : 1 (event-driven)\ndu/dt = -u/tau_f : 1 (event-driven)",
        on_pre="u += U*(1 - u)\ns_post += w_e*u*x\nx -= u*x", delay=DELAY * ms, namespace=names,
    )  # fmt: skip
    from_e.connect(i=brian2_sources(n_e, K_E))
    from_e.x = 1.0
    from_i = b2.Synapses(cells[n_e:], cells, on_pre="s_post += w_i", delay=DELAY * ms, namespace=names)
    from_i.connect(i=brian2_sources(n - n_e, K_I))
    outside = b2.PoissonInput(cells, "v", 1000, RATE / 1000 * b2.Hz, weight=JUMP * mV)
    return [cells, from_e, from_i, outside]
