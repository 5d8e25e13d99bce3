"""Neural sampling: spiking neurons whose connectivity is an internal model (Buesing, Bill, Nessler & Maass 2011).

A neuron that spikes is on, and refractory, for tau sweeps; its membrane u_k = b_k + Σ_j w_kj z_j, less log tau, gives
the probability σ(u_k − log tau) of the next spike. Updated one after another, what is on follows the Boltzmann law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranvier._results import Fields
from ranvier.codegen.compilation import compiled
from ranvier.energies._energy import Clamp, Energy
from ranvier.energies.machines.boltzmann import Boltzmann

_BLOCK = 128


@dataclass(frozen=True)
class SpikeSamples(Fields):
    """states (B, N): on or off after the last sweep. mean (B, N): how often each was on. spikes (B, N): how many.
    samples (sweeps // every, B, N): states on the way, where requested."""

    states: Tensor
    mean: Tensor
    spikes: Tensor
    samples: Tensor | None = None


def sample(
    model: Boltzmann, states: Tensor, sweeps: int, *, tau: int = 20, clamp: Clamp | None = None, every: int = 0,
    seed: int = 0,
) -> SpikeSamples:  # fmt: skip
    """Sweeps from states (B, N) of 0 and 1; a neuron that is on at first has a random part of its time left.

    clamp: units held on or off, as by a strong current. Entry b has its own random numbers, of (seed, b).
    Raises ValueError for states that are not 0 or 1, and tau or sweeps below 1.
    """
    if sweeps < 1 or tau < 1 or every < 0:
        raise ValueError(f"sweeps is {sweeps}, tau is {tau}, every is {every}; expected >= 1, >= 1, >= 0")
    x = Energy.place(model, states, clamp)
    if not bool(((x == 0) | (x == 1)).all()):
        raise ValueError("states are not 0 or 1; expected such: take (p > 0.5).float(), or torch.bernoulli(p)")
    W, bias = model.weight.cpu().numpy(), model.bias.cpu().numpy() - math.log(tau)
    held = torch.zeros(x.shape, dtype=torch.bool) if clamp is None else clamp.mask.expand(x.shape)
    rows = [
        _run(W, bias, z, h, sweeps, tau, every, np.random.default_rng([seed, b]))
        for b, (z, h) in enumerate(zip(x.detach().cpu().numpy().astype(W.dtype), held.cpu().numpy(), strict=True))
    ]
    state, mean, spikes, samples = (np.stack([row[k] for row in rows], 1 if k == 3 else 0) for k in range(4))

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(model.weight)

    return SpikeSamples(tensor(state), tensor(mean), tensor(spikes), tensor(samples) if every else None)


def _run(
    W: np.ndarray, bias: np.ndarray, z: np.ndarray, held: np.ndarray, sweeps: int, tau: int, every: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    zeta = np.where(z > 0, rng.integers(1, tau + 1, len(z)), 0)
    on, spikes, samples, done = np.zeros(len(z)), np.zeros(len(z)), [], 0
    free = np.flatnonzero(~held)
    while done < sweeps:
        length = min(every or _BLOCK, sweeps - done)
        u = bias + W @ z  # again, so that rounding does not pile up
        _sweeps(W, u, z, zeta, free, rng.random((length, len(free))), tau, on, spikes)
        done += length
        if length == every:
            samples.append(z.copy())
    return z, on / sweeps, spikes, np.array(samples)


@compiled(nogil=True)
def _sweeps(W, u, z, zeta, free, draws, tau, on, spikes):
    """Each free neuron in turn; the membranes are kept, so that only a change of state costs a row."""
    for t in range(len(draws)):
        for k in range(len(free)):
            i = free[k]
            if zeta[i] > 1:
                zeta[i] -= 1
                continue
            fires = draws[t, k] * (1 + math.exp(-u[i])) < 1
            zeta[i] = tau if fires else 0
            spikes[i] += fires
            if fires != (z[i] > 0):
                row = W[i]
                if fires:
                    for j in range(len(u)):
                        u[j] += row[j]
                else:
                    for j in range(len(u)):
                        u[j] -= row[j]
                z[i] = 1.0 if fires else 0.0
        for i in range(len(z)):
            on[i] += z[i]


__all__ = ["SpikeSamples", "sample"]
