"""Random networks of different neurons and synapses, for predictions beside simulations."""

import math

import torch

import ranvier as rv

CONTINUITY = 0.5826  # |zeta(1/2)|/sqrt(2 pi): Broadie, Glasserman, Kou 1997


class AbsoluteIF(rv.Neuron):
    """A user's own neuron: restoring below V_m, running away above it."""

    equations = rv.Equations(
        "dV/dt = (abs(V - V_m) - depth + drive + I)/tau_m + noise*sqrt(2/tau_m)*xi : mV",
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory="t_ref",
    )
    initial = {"V": "V_reset"}
    tau_m: float = 10.0
    V_m: float = -55.0
    depth: float = 8.0
    V_th: float = -10.0
    V_reset: float = -65.0
    t_ref: float = 1.0


def lif(dt):
    """LIF neurons with jumps. A threshold seen only every dt is crossed less; it is lowered by what makes up
    for that (dt = 0: as it is)."""
    net = rv.Network(seed=1)
    shift = CONTINUITY * 5.0 * math.sqrt(2 * dt / 20.0)
    neuron = rv.LIF(V_th=-50.0 - shift, V_reset=-60.0)
    a = net.add(neuron, 40, drive=torch.linspace(10.0, 14.0, 40).double(), noise=5.0)
    b = net.add(neuron, 10, drive=12.0, noise=5.0)
    net.connect(a, [a, b], weight=0.5, delay=1.5, synapse=rv.Delta(), probability=0.2)
    net.connect(b, [a, b], weight=-1.5, delay=1.0, synapse=rv.Delta(), in_degree=3)
    return net


def qif(dt):
    net = rv.Network(seed=2)
    a = net.add(rv.QIF(tau_m=10.0), 50, drive=2.0, noise=torch.linspace(4.5, 6.0, 50).double())
    w = torch.cat([torch.full((200,), 12.0), torch.full((100,), -20.0)]).double()
    edges = _edges(50, 40, 200, 100, seed=2)
    net.connect(a, a, weight=w, delay=2.0, synapse=rv.Alpha(tau=3.0), edges=edges)
    return net


def eif(dt):
    """Heterogeneous delays."""
    net = rv.Network(seed=3)
    R = rv.EIF(tau_m=10.0, E_L=-60.0, Delta_T=2.0, V_T=-50.0, V_th=-10.0, V_reset=-65.0, t_ref=1.5)
    a = net.add(R, 50, drive=torch.linspace(-1.0, 3.0, 50).double(), noise=9.0)
    w = torch.cat([torch.full((300,), 8.0), torch.full((120,), -18.0)]).double()
    delay = (
        torch.round(
            10
            * torch.linspace(0.5, 12.0, 420).double()[torch.randperm(420, generator=torch.Generator().manual_seed(3))]
        )
        / 10
    )
    synapse = rv.BiExponential(tau_rise=1.0, tau_decay=6.0)
    net.connect(a, a, weight=w, delay=delay, synapse=synapse, edges=_edges(50, 40, 300, 120, seed=3))
    return net


def own(dt):
    net = rv.Network(seed=4)
    a = net.add(AbsoluteIF(), 50, drive=torch.linspace(3.0, 6.0, 50).double(), noise=5.0)
    w = torch.cat([torch.full((250,), 8.0), torch.full((100,), -16.0)]).double()
    net.connect(a, a, weight=w, delay=1.0, synapse=rv.Exponential(tau=4.0), edges=_edges(50, 40, 250, 100, seed=4))
    return net


def driven(dt):
    """Two models, no noise but that of Poisson trains: private ones, and twenty that are shared."""
    net = rv.Network(seed=5)
    a = net.add(rv.QIF(tau_m=15.0), 25, name="a", drive=-1.0)
    b = net.add(rv.EIF(tau_m=10.0, E_L=-60.0, V_T=-50.0, V_th=0.0, V_reset=-62.0), 25, name="b", drive=-1.0)
    p = net.add(rv.Poisson(40.0), 20, name="p")
    net.background(a, rate=12_000.0, weight=0.2, synapse=rv.Delta())
    net.background(a, rate=12_000.0, weight=-0.19, synapse=rv.Delta())
    net.background(b, rate=10_000.0, weight=3.0, synapse=rv.Exponential(tau=0.5))
    net.background(b, rate=10_000.0, weight=-2.6, synapse=rv.Exponential(tau=0.5))
    net.connect(p, [a, b], weight=12.0, delay=1.0, synapse=rv.Exponential(tau=3.0), probability=0.2)
    net.connect(a, b, weight=10.0, delay=1.0, synapse=rv.Exponential(tau=3.0), probability=0.2)
    net.connect(b, a, weight=-15.0, delay=2.0, synapse=rv.Alpha(tau=2.0), probability=0.2)
    return net


def _edges(size, excitatory, n_exc, n_inh, seed):
    """(sources, targets): n_exc edges from the first neurons, n_inh from the rest, to any."""
    g = torch.Generator().manual_seed(seed)
    low = torch.randint(0, excitatory, (n_exc,), generator=g)
    high = torch.randint(excitatory, size, (n_inh,), generator=g)
    targets = torch.randint(0, size, (n_exc + n_inh,), generator=g)
    return torch.cat([low, high]), targets


NETWORKS = [lif, qif, eif, own, driven]
