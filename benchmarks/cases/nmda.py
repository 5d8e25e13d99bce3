"""AMPA, NMDA and GABA receptors in a sparse network of integrate-and-fire neurons (as of Wang 2002, Neuron 36:955).

8000 E + 2000 I LIF neurons, tau_m 20 ms, g_L 25 nS, rest -70, threshold -50, reset -55 mV, refractory 2 ms; every
neuron hears 80 + 20 others with a delay of 1 ms. A spike of an excitatory neuron opens AMPA (decay 2 ms) and NMDA
receptors (rise 2, decay 100 ms, blocked by 1 mM of magnesium: Jahr & Stevens 1990, J. Neurosci. 10:3178), one of an
inhibitory neuron GABA receptors (decay 5 ms, -70 mV). 2.4 kHz of external Poisson spikes open AMPA receptors.
The block makes the current no line in V: both sides take the fourth-order Runge-Kutta method.
"""

from types import ModuleType
from typing import Any

from ._wiring import brian2_sources

TAU_M, G_L, E_L, T_REF, DELAY = 20.0, 25.0, -70.0, 2.0, 1.0
V_TH, V_RESET = -50.0, -55.0
DT = 0.1  # Brian2 integrates again one step before the refractory period has passed
TAU_AMPA, TAU_RISE, TAU_NMDA, TAU_GABA, E_GABA = 2.0, 2.0, 100.0, 5.0, -70.0
W_AMPA, W_NMDA, W_GABA, W_OUT, RATE = 0.5, 0.05, 3.0, 2.0, 2_400.0  # nS; NMDA: what r jumps by; Hz
K_E, K_I = 80, 20


def ranvier(n: int, seed: int = 0) -> Any:
    import ranvier as rv
    from ranvier.equations import Equations, parameter
    from ranvier.synapses import Synapse

    class AMPANMDA(Synapse):
        """One spike opens both receptors; the weight is AMPA's peak."""

        equations = Equations("da/dt = -a/tau_a : nS\ndg/dt = (r - g)/tau_d : nS\ndr/dt = -r/tau_r : nS")
        jumps = {"a": "1", "r": "share"}
        current = "(a + g/(1 + exp(-0.062*V)/3.57))*(0 - V)/g_L"
        weight_unit = "nS"
        tau_a: float = parameter(TAU_AMPA, "ms", above=0)
        tau_r: float = parameter(TAU_RISE, "ms", above=0)
        tau_d: float = parameter(TAU_NMDA, "ms", above=0)
        share: float = parameter(W_NMDA / W_AMPA * TAU_NMDA / TAU_RISE, "1", at_least=0)

    net = rv.Network(seed=seed)
    cell = rv.LIF(tau_m=TAU_M, g_L=G_L, E_L=E_L, V_th=V_TH, V_reset=V_RESET, t_ref=T_REF)
    exc, inh = (
        net.add(cell, size, name=name, initial={"V": rv.Uniform(V_RESET, V_TH)})
        for name, size in (("exc", 4 * n // 5), ("inh", n // 5))
    )
    gaba = rv.ExponentialConductance(tau=TAU_GABA, E_rev=E_GABA)
    net.connect(exc, [exc, inh], weight=W_AMPA, delay=DELAY, synapse=AMPANMDA(), in_degree=K_E)
    net.connect(inh, [exc, inh], weight=W_GABA, delay=DELAY, synapse=gaba, in_degree=K_I)
    outside = rv.ExponentialConductance(tau=TAU_AMPA, E_rev=0.0)
    for population in (exc, inh):
        net.background(population, rate=RATE, weight=W_OUT, synapse=outside)
    return net


def brian2(b2: ModuleType, n: int) -> list[Any]:
    ms, mV, nS = b2.ms, b2.mV, b2.nS
    names = {
        "tau_m": TAU_M * ms, "gl": G_L * nS, "El": E_L * mV, "ta": TAU_AMPA * ms, "tr": TAU_RISE * ms,
        "td": TAU_NMDA * ms, "tg": TAU_GABA * ms, "Eg": E_GABA * mV, "mV": mV, "wa": W_AMPA * nS,
        "wn": W_NMDA * TAU_NMDA / TAU_RISE * nS, "wg": W_GABA * nS,
    }  # fmt: skip
    cells = b2.NeuronGroup(
        n,
        """dv/dt = (El - v + (open*(0*mV - v) + h*(Eg - v))/gl)/tau_m : volt (unless refractory)
           open = a + g/(1 + exp(-0.062*v/mV)/3.57) : siemens
           da/dt = -a/ta : siemens
           dg/dt = (r - g)/td : siemens
           dr/dt = -r/tr : siemens
           dh/dt = -h/tg : siemens""",
        threshold=f"v > {V_TH}*mV", reset=f"v = {V_RESET}*mV", refractory=(T_REF + DT) * ms,
        method="rk4", namespace=names,
    )  # fmt: skip
    cells.v = f"({V_RESET} + rand()*{V_TH - V_RESET})*mV"
    n_e = 4 * n // 5
    from_e = b2.Synapses(cells[:n_e], cells, on_pre="a_post += wa\nr_post += wn", delay=DELAY * ms, namespace=names)
    from_e.connect(i=brian2_sources(n_e, K_E))
    from_i = b2.Synapses(cells[n_e:], cells, on_pre="h_post += wg", delay=DELAY * ms, namespace=names)
    from_i.connect(i=brian2_sources(n - n_e, K_I))
    outside = b2.PoissonInput(cells, "a", 100, RATE / 100 * b2.Hz, weight=W_OUT * nS)
    return [cells, from_e, from_i, outside]
