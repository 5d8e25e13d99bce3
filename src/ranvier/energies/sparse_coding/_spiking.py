"""LCA by spikes: leaky integrate-and-fire neurons that inhibit each other through synapses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.energies.sparse_coding._cost import checked
from ranvier.engines import Recording, simulate
from ranvier.equations import Equations
from ranvier.networks import Network
from ranvier.neurons import Neuron
from ranvier.synapses import Exponential


class SpikingLCA(Neuron):
    """Leaky integrate-and-fire neuron that loses V_th with a spike and keeps what is above.

    Driven by μ it fires at 1/(tau_m ln(μ/(μ − V_th))) (Gerstner et al. 2014, eq. 8.2), which is
    (μ − V_th/2)/(tau_m V_th) where μ is well above V_th: a soft threshold (Shapero, Zhu, Hasler and Rozell 2014).

    >>> neuron = rv.energies.sparse_coding.SpikingLCA(tau_m=10.0, V_th=0.5)
    >>> neuron.V_th
    0.5
    """

    equations = Equations(
        "dV/dt = (drive + I - V)/tau_m : mV",
        threshold="V >= V_th",
        reset="V = V - V_th",
    )
    tau_m: float = 20.0  # ms
    V_th: float = 0.05  # mV


@dataclass(frozen=True)
class SpikeCode:
    """code (B, M): read from the rates. recording: of B × 2M neurons; a signal's are M for positive, M for negative
    coefficients."""

    code: Tensor
    recording: Recording


def spiking_lca(
    x: Tensor,
    dictionary: Tensor,
    lam: float,
    *,
    duration: float = 1000.0,
    warm_up: float = 500.0,
    resolution: float = 0.1,
    tau_m: float = 20.0,
    tau: float = 10.0,
    dt: float = 0.05,
    seed: int = 0,
) -> SpikeCode:
    """Codes (B, M) from the rates of `SpikingLCA` neurons, simulated by the compiled engine.

    After Shapero, Zhu, Hasler and Rozell (2014), with the soft threshold in the drive and exponential synapses
    (Tang, Lin and Davies 2017): neuron j inhibits i with d_i · d_j times its rate. Two neurons a coefficient, one for
    each sign, as spikes have none. The rate follows a soft threshold but for a corner of width V_th = resolution · λ.

    Parameters
    ----------
    x, dictionary : signals (B, N), atoms (M, N) of length 1; one number is one mV.
    lam : λ, the threshold.
    duration, warm_up : ms simulated, and left out of the rates at first.
    tau_m, tau, dt : ms, of the membrane, the synapses and a step.

    Raises ValueError and TypeError for shapes, types and numbers that do not fit.

    >>> code = rv.energies.sparse_coding.spiking_lca(torch.tensor([[2.0, 0.3]]), torch.eye(2), lam=0.5, duration=700.0)
    >>> [round(v, 1) for v in code.code[0].tolist()]  # rates of two neurons that do not inhibit each other
    [1.5, 0.0]
    """
    x, dictionary = checked(x, dictionary, lam)
    if not 0 <= warm_up < duration:
        raise ValueError(f"warm_up is {warm_up}, duration is {duration}; expected 0 <= warm_up < duration")
    B, M = len(x), len(dictionary)
    V_th = resolution * lam
    D = torch.cat([dictionary, -dictionary]).double()
    drive = (x.double() @ D.T - lam + V_th / 2).flatten()
    inhibition = -(D @ D.T) * V_th * tau_m
    others = ~torch.eye(M, dtype=torch.bool).repeat(2, 2)  # a pair of signs is one neuron of LCA
    target, source = others.nonzero().T
    shift = 2 * M * torch.arange(B).repeat_interleave(len(target))
    net = Network()
    cells = net.add(SpikingLCA(tau_m=tau_m, V_th=V_th), 2 * M * B, drive=drive)
    net.connect(
        cells, cells, edges=(source.repeat(B) + shift, target.repeat(B) + shift),
        weight=inhibition[target, source].repeat(B), delay=dt, synapse=Exponential(tau=tau),
    )  # fmt: skip
    recording = simulate(net, duration, dt=dt, seed=seed, dtype=torch.float64)
    rates = recording.after(warm_up).rates().reshape(B, 2, M) / 1000.0  # Hz -> 1/ms
    return SpikeCode(((rates[:, 0] - rates[:, 1]) * V_th * tau_m).to(x.dtype), recording)


__all__ = ["SpikeCode", "SpikingLCA", "spiking_lca"]
