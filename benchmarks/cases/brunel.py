"""Brunel's sparse network of inhibitory and excitatory neurons (Brunel 2000, J. Comput. Neurosci. 8:183).

10 000 E + 2500 I LIF neurons, tau_m 20 ms, threshold 20, reset 10 mV, refractory 2 ms; every neuron hears
1000 + 250 others; delta synapses of 0.1 mV, five times as strong and negative from inhibitory neurons, delay
1.5 ms; 20 kHz of external Poisson spikes a neuron (twice the threshold rate).
"""

import math
from types import ModuleType
from typing import Any

from ._wiring import brian2_sources, nest_rule

TAU_M, T_REF, DELAY = 20.0, 2.0, 1.5
V_TH, V_RESET = 20.0, 10.0
DT = 0.1
J, G, RATE = 0.1, 5.0, 20_000.0
K_E, K_I = 1000, 250


def ranvier(n: int, seed: int = 0) -> Any:
    import ranvier as rv

    net = rv.Network(seed=seed)
    cell = rv.LIF(tau_m=TAU_M, E_L=0.0, V_th=V_TH, V_reset=V_RESET, t_ref=T_REF)
    exc = net.add(cell, 4 * n // 5, name="exc", initial={"V": 0.0})
    inh = net.add(cell, n // 5, name="inh", initial={"V": 0.0})
    net.connect(exc, [exc, inh], weight=J, delay=DELAY, synapse=rv.Delta(), in_degree=K_E)
    net.connect(inh, [exc, inh], weight=-G * J, delay=DELAY, synapse=rv.Delta(), in_degree=K_I)
    for population in (exc, inh):
        net.background(population, rate=RATE, weight=J, synapse=rv.Delta())
    return net


def brian2(b2: ModuleType, n: int) -> list[Any]:
    ms, mV = b2.ms, b2.mV
    names = {"tau_m": TAU_M * ms, "V_th": V_TH * mV, "V_r": V_RESET * mV, "J": J * mV, "g": G}
    cells = b2.NeuronGroup(
        n,
        "dv/dt = -v/tau_m : volt (unless refractory)",
        threshold="v > V_th",
        reset="v = V_r*exp(dt/tau_m)",  # Brian2 integrates again one step before 2 ms have passed
        refractory=T_REF * ms,
        method="exact",
        namespace=names,
    )
    n_e = 4 * n // 5
    # Jumps that meet a refractory neuron are lost, as in NEST and Ranvier: "unless refractory" covers them.
    from_e = b2.Synapses(cells[:n_e], cells, on_pre="v_post += J", delay=DELAY * ms, namespace=names)
    from_e.connect(i=brian2_sources(n_e, K_E))
    from_i = b2.Synapses(cells[n_e:], cells, on_pre="v_post -= g*J", delay=DELAY * ms, namespace=names)
    from_i.connect(i=brian2_sources(n - n_e, K_I))
    outside = b2.PoissonInput(cells, "v", 1000, RATE / 1000 * b2.Hz, weight="J")
    return [cells, from_e, from_i, outside]


def nest(nest: ModuleType, n: int) -> Any:
    """NEST asks for the threshold right after a jump, Ranvier and Brian2 after the step that follows it.

    Threshold and reset before that step's decay, and recurrent delays longer by the step that a spike is
    earlier, make the two the same; with the plain values NEST's rates are higher (uncoupled neurons: 97.4
    against 96.8 Hz).
    """
    before = math.exp(DT / TAU_M)
    cells = nest.Create(
        "iaf_psc_delta",
        n,
        {
            "C_m": 1.0,
            "tau_m": TAU_M,
            "E_L": 0.0,
            "V_th": V_TH * before,
            "V_reset": V_RESET * before,
            "t_ref": T_REF,
            "V_m": 0.0,
        },
    )
    n_e = 4 * n // 5
    for sources, degree, weight in ((cells[:n_e], K_E, J), (cells[n_e:], K_I, -G * J)):
        rule = nest_rule(degree)
        nest.Connect(sources, cells, rule, {"weight": weight, "delay": DELAY + DT})
    outside = nest.Create("poisson_generator", params={"rate": RATE})
    nest.Connect(outside, cells, "all_to_all", {"weight": J, "delay": DELAY})
    return cells
