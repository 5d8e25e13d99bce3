"""COBAHH: conductance-based network of Hodgkin-Huxley neurons (benchmark 3 of Brette et al. 2007).

Traub & Miles kinetics; 20 000 um^2 of membrane: C 200 pF, g_L 10 nS, g_Na 20 uS, g_K 6 uS; E_L -65, E_Na 50,
E_K -90, V_T -63 mV; exponential conductances tau 5 ms, 6 nS, reversal 0 mV, and tau 10 ms, 67 nS, reversal
-80 mV; every neuron hears 64 + 16 others. It starts with open synapses, as the authors' code does.
"""

from types import ModuleType
from typing import Any

from ._wiring import brian2_sources, nest_rule

C_M, G_L, G_NA, G_K = 200.0, 10.0, 20_000.0, 6_000.0
E_L, E_NA, E_K, V_T = -65.0, 50.0, -90.0, -63.0
TAU_E, TAU_I, E_E, E_I = 5.0, 10.0, 0.0, -80.0
W_E, W_I, DELAY = 6.0, 67.0, 0.1
T_REF, V_SPIKE = 3.0, -20.0
K_E, K_I = 64, 16
V_0 = (-70.0, 5.0)  # mean and standard deviation at the start, mV
G_E0, G_I0 = (40.0, 15.0), (200.0, 120.0)  # the same of the conductances, nS, cut off at zero


def ranvier(n: int, seed: int = 0) -> Any:
    import torch

    import ranvier as rv

    net = rv.Network(seed=seed)
    cell = rv.HodgkinHuxley(
        C_m=C_M, g_L=G_L, g_Na=G_NA, g_K=G_K, E_L=E_L, E_Na=E_NA, E_K=E_K, V_T=V_T, V_th=V_SPIKE,
        t_spike=T_REF,
    )  # fmt: skip
    start = {"V": rv.Normal(*V_0)}
    exc = net.add(cell, 4 * n // 5, name="exc", initial=start)
    inh = net.add(cell, n // 5, name="inh", initial=start)
    ampa = rv.ExponentialConductance(tau=TAU_E, E_rev=E_E)
    gaba = rv.ExponentialConductance(tau=TAU_I, E_rev=E_I)
    net.connect(exc, [exc, inh], weight=W_E, delay=DELAY, synapse=ampa, in_degree=K_E)
    net.connect(inh, [exc, inh], weight=W_I, delay=DELAY, synapse=gaba, in_degree=K_I)
    # The first conductances come as one spike each.
    stream = torch.Generator().manual_seed(seed)
    for label, synapse, (mean, deviation) in (("ampa", ampa, G_E0), ("gaba", gaba, G_I0)):
        for population in (exc, inh):
            size = population.size
            first = net.add(
                rv.SpikeTimes(torch.full((size,), DELAY), torch.arange(size)),
                size,
                name=f"{label}_{population.name}",
            )
            draw = torch.randn(size, generator=stream, dtype=torch.float64)
            weight = (mean + deviation * draw).clamp(min=0.0)
            each = torch.arange(size)
            net.connect(first, population, weight=weight, delay=DELAY, synapse=synapse, edges=(each, each))
    return net


def brian2(b2: ModuleType, n: int) -> list[Any]:
    ms, mV, nS, pF = b2.ms, b2.mV, b2.nS, b2.pF
    names = {
        "Cm": C_M * pF, "gl": G_L * nS, "g_na": G_NA * nS, "g_kd": G_K * nS,
        "El": E_L * mV, "ENa": E_NA * mV, "EK": E_K * mV, "VT": V_T * mV, "Ee": E_E * mV, "Ei": E_I * mV,
        "taue": TAU_E * ms, "taui": TAU_I * ms, "we": W_E * nS, "wi": W_I * nS, "mV": mV, "ms": ms,
    }  # fmt: skip
    cells = b2.NeuronGroup(
        n,
        """dv/dt = (gl*(El-v)+ge*(Ee-v)+gi*(Ei-v)-g_na*(m*m*m)*h*(v-ENa)-g_kd*(n*n*n*n)*(v-EK))/Cm : volt
           dm/dt = alpha_m*(1-m)-beta_m*m : 1
           dn/dt = alpha_n*(1-n)-beta_n*n : 1
           dh/dt = alpha_h*(1-h)-beta_h*h : 1
           dge/dt = -ge/taue : siemens
           dgi/dt = -gi/taui : siemens
           alpha_m = 0.32*(mV**-1)*4*mV/exprel((13*mV-v+VT)/(4*mV))/ms : Hz
           beta_m = 0.28*(mV**-1)*5*mV/exprel((v-VT-40*mV)/(5*mV))/ms : Hz
           alpha_h = 0.128*exp((17*mV-v+VT)/(18*mV))/ms : Hz
           beta_h = 4./(1+exp((40*mV-v+VT)/(5*mV)))/ms : Hz
           alpha_n = 0.032*(mV**-1)*5*mV/exprel((15*mV-v+VT)/(5*mV))/ms : Hz
           beta_n = .5*exp((10*mV-v+VT)/(40*mV))/ms : Hz""",
        threshold=f"v > {V_SPIKE}*mV",
        refractory=T_REF * ms,
        method="exponential_euler",
        namespace=names,
    )
    n_e = 4 * n // 5
    from_e = b2.Synapses(cells[:n_e], cells, on_pre="ge += we", delay=DELAY * ms, namespace=names)
    from_e.connect(i=brian2_sources(n_e, K_E))
    from_i = b2.Synapses(cells[n_e:], cells, on_pre="gi += wi", delay=DELAY * ms, namespace=names)
    from_i.connect(i=brian2_sources(n - n_e, K_I))
    cells.v = f"{V_0[0]}*mV + randn()*{V_0[1]}*mV"
    cells.ge = f"clip(randn()*{G_E0[1]} + {G_E0[0]}, 0, inf)*nS"
    cells.gi = f"clip(randn()*{G_I0[1]} + {G_I0[0]}, 0, inf)*nS"
    return [cells, from_e, from_i]


def nest(nest: ModuleType, n: int) -> Any:
    cells = nest.Create(
        "hh_cond_exp_traub",
        n,
        {
            "C_m": C_M, "g_L": G_L, "g_Na": G_NA, "g_K": G_K,
            "E_L": E_L, "E_Na": E_NA, "E_K": E_K, "V_T": V_T,
            "E_ex": E_E, "E_in": E_I, "tau_syn_ex": TAU_E, "tau_syn_in": TAU_I, "t_ref": T_REF,
            "V_m": nest.random.normal(*V_0),
        },
    )  # fmt: skip
    n_e = 4 * n // 5
    for sources, degree, weight in ((cells[:n_e], K_E, W_E), (cells[n_e:], K_I, -W_I)):
        rule = nest_rule(degree)
        nest.Connect(sources, cells, rule, {"weight": weight, "delay": DELAY})
    # The first conductances come as one spike each: the model does not let them be set.
    first = nest.Create("spike_generator", params={"spike_times": [DELAY]})
    for sign, start in ((1.0, G_E0), (-1.0, G_I0)):
        weight = sign * nest.math.max(nest.random.normal(*start), 0.0)
        nest.Connect(first, cells, "all_to_all", {"weight": weight, "delay": DELAY})
    return cells
