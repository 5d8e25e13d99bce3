"""Boltzmann machines: laws p(z) ∝ exp(−E(z)) of units z = 0, 1 that learn their data's."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ranvier.codegen.arithmetic.products import matmul
from ranvier.energies._arrays import as_floats
from ranvier.energies._energy import Clamp
from ranvier.energies.machines.pairwise import PairwiseEnergy

if TYPE_CHECKING:
    from ranvier.energies.machines.spiking_sampler import SpikeSamples

_MOST = 20  # units whose states can be enumerated


class Boltzmann(PairwiseEnergy):
    """E(z) = −½ Σ w_ij z_i z_j − Σ b_i z_i of units z = 0, 1 (Ackley, Hinton & Sejnowski 1985).

    weight: (N, N), symmetric, zero diagonal. bias: (N,) or a number. As an `Energy` it is defined within [0, 1].
    `sample` runs the spiking sampler of Buesing et al. (2011); `distribution` enumerates up to 20 units.

    >>> machine = rv.energies.Boltzmann(torch.zeros(2, 2), bias=torch.tensor([0.0, 1.0]))
    >>> states, p = machine.distribution()
    >>> states.tolist(), [round(v, 3) for v in p.tolist()]  # units independent: the second is 1 at 1/(1 + exp(-1))
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.134, 0.366, 0.134, 0.366])
    """

    lowest = 0.0

    def distribution(self) -> tuple[Tensor, Tensor]:
        """All states (2^N, N), the first unit the most significant, and their probabilities (2^N,)."""
        states = all_states(self.units).to(self.bias)
        return states, torch.softmax(-self.energy(states), 0)

    def sample(
        self,
        states: Tensor,
        sweeps: int,
        *,
        tau: int = 20,
        clamp: Clamp | None = None,
        every: int = 0,
        seed: int = 0,
    ) -> SpikeSamples:
        """The network as spiking neurons, refractory for `tau` sweeps, from states (B, N) of 0 and 1.

        clamp: units held on or off. every: sweeps between two returned states (0: none). seed: entry b's
        stream is seeded by (seed, b). Returns `SpikeSamples`: states, mean and spikes, (B, N) each, and samples
        (sweeps // every, B, N). Raises ValueError for states that are not 0 or 1, and tau or sweeps below 1.
        """
        from ranvier.energies.machines.spiking_sampler import sample

        return sample(self, states, sweeps, tau=tau, clamp=clamp, every=every, seed=seed)

    def learn(
        self, data: Tensor, *, chains: Tensor, rate: float, sweeps: int = 5, tau: int = 1, seed: int = 0
    ) -> Tensor:
        """One step of wake and sleep for a network without hidden units: weights move by the data's correlations less
        those of the network's own spikes. data (B, N) of 0 and 1; chains (C, N): where sleep went on from, handed on.
        Returns the chains after it.
        """
        data = as_floats("the data", data, self.weight)
        asleep = self.sample(chains, sweeps, tau=tau, seed=seed).states
        wake, sleep = data.T @ data / len(data), asleep.T @ asleep / len(asleep)
        step = rate * (wake - sleep)
        # new tensors: the first ones may be the caller's
        self.bias = self.bias + step.diagonal()
        self.weight = self.weight + step - step.diagonal().diag()
        return asleep


class RBM(nn.Module):
    """A restricted Boltzmann machine, E(v, h) = −v W h − a·v − b·h of binary units (Smolensky 1986; Hinton 2002).

    `step` learns from a batch by contrastive divergence (CD-k, chains start at the data) or, with `persistent`
    chains, by PCD-k (Tieleman 2008). `free_energy(v)` is −log Σ_h exp(−E). `joint` is the `Boltzmann` network of all
    units, visible first: its spiking sampler samples the same law.

    visible, hidden: numbers of units. persistent: of chains (0: contrastive divergence). scale: deviation of the
    first weights. Parameters: weight W (visible, hidden), visible_bias a, hidden_bias b; buffer: chains
    (persistent, visible).
    Raises ValueError for sizes that are not positive, and for units of another shape than (B, visible) or (B, hidden).

    >>> model = rv.energies.RBM(3, 2)
    >>> v = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]])
    >>> round(model.log_likelihood(v).exp().sum().item(), 4)  # over all states
    1.0
    """

    chains: Tensor

    def __init__(self, visible: int, hidden: int, *, persistent: int = 0, scale: float = 0.01) -> None:
        super().__init__()
        for name, size in {"visible": visible, "hidden": hidden}.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} is {size!r}; expected a positive whole number")
        self.weight = nn.Parameter(scale * torch.randn(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("chains", torch.bernoulli(torch.full((persistent, visible), 0.5)))

    def hidden_given(self, v: Tensor) -> Tensor:
        """P(h = 1 | v), (B, hidden), of v (B, visible)."""
        v = self._checked(v, 0)
        return torch.sigmoid(matmul(v, self.weight) + self.hidden_bias)

    def visible_given(self, h: Tensor) -> Tensor:
        """P(v = 1 | h), (B, visible), of h (B, hidden)."""
        h = self._checked(h, 1)
        return torch.sigmoid(matmul(h, self.weight.T) + self.visible_bias)

    def free_energy(self, v: Tensor) -> Tensor:
        """−log Σ_h exp(−E(v, h)), (B,), of v (B, visible); forward does the same."""
        v = self._checked(v, 0)
        return -v @ self.visible_bias - nn.functional.softplus(matmul(v, self.weight) + self.hidden_bias).sum(1)

    def forward(self, v: Tensor) -> Tensor:
        """As `free_energy`: v (B, visible) -> (B,)."""
        return self.free_energy(v)

    @torch.no_grad()
    def gibbs(self, v: Tensor, steps: int = 1, clamp: Clamp | None = None) -> Tensor:
        """v (B, visible) of 0 and 1 after `steps` of h ~ P(h | v), v ~ P(v | h), with torch's random numbers; clamped
        visible units stay."""
        v = v if clamp is None else clamp(v)
        for _ in range(steps):
            v = torch.bernoulli(self.visible_given(torch.bernoulli(self.hidden_given(v))))
            v = v if clamp is None else clamp(v)
        return v

    @torch.no_grad()
    def step(self, data: Tensor, rate: float = 0.05, *, steps: int = 1, decay: float = 0.0) -> float:
        """Learn from a batch (B, visible) of values within [0, 1]; mean squared error of one reconstruction.

        rate: of learning. steps: k, of Gibbs sampling. decay: rate · decay of each weight is taken off.
        Raises ValueError for data outside [0, 1].
        """
        data = self._checked(data, 0)
        if not bool(((data >= 0) & (data <= 1)).all()):
            raise ValueError("there is data outside [0, 1]; expected binary units or their probabilities")
        model = self.gibbs(self.chains if len(self.chains) else torch.bernoulli(data), steps)
        if len(self.chains):
            self.chains.copy_(model)
        up, down = self.hidden_given(data), self.hidden_given(model)
        positive, negative = matmul(data.T, up) / len(data), matmul(model.T, down) / len(model)
        self.weight.add_(positive - negative - decay * self.weight, alpha=rate)
        self.visible_bias.add_(data.mean(0) - model.mean(0), alpha=rate)
        self.hidden_bias.add_(up.mean(0) - down.mean(0), alpha=rate)
        return float((self.visible_given(torch.bernoulli(up)) - data).square().mean())

    def joint(self) -> Boltzmann:
        """The network of visible and hidden units, in this order."""
        n, m = self.weight.shape
        W = self.weight.new_zeros(n + m, n + m)
        W[:n, n:], W[n:, :n] = self.weight.detach(), self.weight.detach().T
        return Boltzmann(W, torch.cat([self.visible_bias, self.hidden_bias]).detach())

    def log_likelihood(self, v: Tensor) -> Tensor:
        """log p(v), (B,), of v (B, visible), exactly; ValueError where the smaller side has more than 20 units."""
        return -self.free_energy(v) - self.log_partition()

    def log_partition(self) -> Tensor:
        """log Σ exp(−E), (), by enumeration of the smaller side; ValueError where it has more than 20 units."""
        n, m = self.weight.shape
        if n <= m:
            return torch.logsumexp(-self.free_energy(all_states(n).to(self.weight)), 0)
        h = all_states(m).to(self.weight)
        return torch.logsumexp(h @ self.hidden_bias + nn.functional.softplus(
            h @ self.weight.T + self.visible_bias).sum(1), 0)  # fmt: skip

    def _checked(self, x: Tensor, side: int) -> Tensor:
        x = as_floats(("visible units", "hidden units")[side], x, self.weight)
        if x.ndim != 2 or x.shape[1] != self.weight.shape[side]:
            name = ("visible", "hidden")[side]
            raise ValueError(
                f"{name} units have shape {tuple(x.shape)}; expected (B, {self.weight.shape[side]})"
            )
        return x


def all_states(n: int) -> Tensor:
    """(2^n, n) of 0 and 1; the first unit is the most significant. ValueError above 20 units."""
    if n > _MOST:
        raise ValueError(f"there are {n} units to enumerate; expected at most {_MOST}; sample instead")
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)))


__all__ = ["RBM", "Boltzmann", "all_states"]
