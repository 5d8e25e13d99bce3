"""Every neuron's spikes fed back to all, one step or several later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ranvier.codegen.arithmetic.products import product
from ranvier.nn.spiking.products import find_active, linear, outer


@dataclass(frozen=True)
class Delays:
    """How many steps each neuron's spikes travel: its numbers (N,), or one for all.

    The state keeps the last spikes: "y" (B, N) where all travel one step, else "history" (longest, B, N), the
    newest last.
    """

    steps: tuple[int, ...] = (1,)

    @property
    def longest(self) -> int:
        return max(self.steps)

    @property
    def shortest(self) -> int:
        return min(self.steps)

    def each(self, size: int) -> Tensor:
        """(size,), one a neuron."""
        return torch.tensor(self.steps, device="cpu").expand(size).contiguous()  # whatever torch's default is

    @property
    def name(self) -> str:
        """The state's."""
        return "y" if self.longest == 1 else "history"

    def shape(self, batch: int, size: int) -> tuple[int, ...]:
        """The state's."""
        return (batch, size) if self.longest == 1 else (self.longest, batch, size)

    @cached_property
    def groups(self) -> list[tuple[int, Tensor | None]]:
        """(steps, the neurons concerned), or None for all."""
        if len(set(self.steps)) == 1:
            return [(self.steps[0], None)]
        steps = torch.tensor(self.steps, device="cpu")  # whatever torch's default is
        return [(d, (steps == d).nonzero()[:, 0]) for d in sorted(set(self.steps))]

    def groups_on(self, device: torch.device) -> list[tuple[int, Tensor | None]]:
        """The groups, their indices on a device."""
        return self.groups if device.type == "cpu" else _moved(self, device)

    def arriving(self, state: Tensor) -> Tensor:
        """What arrives at the next step (B, N)."""
        past = state[None] if self.longest == 1 else state
        if len(self.groups) == 1:
            return past[-self.groups[0][0]]
        out = torch.empty_like(past[0])
        for d, neurons in self.groups_on(out.device):
            out = out.index_copy(1, neurons, past[-d].index_select(1, neurons))  # type: ignore[arg-type]
        return out

    def after(self, state: Tensor, y: Tensor) -> Tensor:
        """The state once y (B, N) was sent."""
        return y if self.longest == 1 else torch.cat([state[1:], y[None]])

    def after_all(self, state: Tensor, y: Tensor) -> Tensor:
        """The state once y (T, B, N) was sent."""
        if self.longest == 1:
            return y[-1]
        return y[-self.longest :] if len(y) >= self.longest else torch.cat([state[len(y) :], y])


@lru_cache(maxsize=64)
def _moved(delays: Delays, device: torch.device) -> list[tuple[int, Tensor | None]]:
    return [(d, None if neurons is None else neurons.to(device)) for d, neurons in delays.groups]


@dataclass(frozen=True)
class Recurrence:
    """total[t, :] = x[t] + Σ_k W[:, k] y[t − d_k, k], and its adjoint; W (N, N) is [target, source], y of the steps
    before the first is the state `first`. On a CPU the loops of `_fed_back_loops` do it."""

    delays: Delays
    first: Tensor
    weight: Tensor

    def forward(self, x: Tensor, y: Tensor) -> Iterator[None]:
        """Makes x[t] the total, at each next(), for the next t; y is filled meanwhile."""
        sent = torch.empty_like(x[0])
        for t in range(len(x)):
            x[t].copy_(product(self._arriving(t, y, sent), self.weight.T, x[t]))
            yield

    def backward(self, g: Tensor, g_x: Tensor) -> Iterator[Tensor]:
        """y's gradient at each step, from the last; g_x is filled meanwhile."""
        T, sums = len(g), torch.empty_like(g[0])
        groups, longest = self.delays.groups_on(g.device), self.delays.longest
        if len(groups) == 1:
            for t in range(T - 1, -1, -1):
                yield g[t] if t + longest >= T else product(g_x[t + longest], self.weight, g[t])
            return
        back: dict[int, Tensor] = {}  # what step t's input sends to all that reached it
        for t in range(T - 1, -1, -1):
            sums.copy_(g[t])
            if t + 1 < T:
                back[t + 1] = product(g_x[t + 1], self.weight)
                back.pop(t + 1 + longest, None)
            for d, neurons in groups:
                if t + d < T:
                    sums.index_add_(1, neurons, back[t + d].index_select(1, neurons))  # type: ignore[arg-type]
            yield sums

    def gradients(self, g_x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """By the spikes before the first step, and by the weight."""
        first, weight = self.first, self.weight
        past = first[None] if self.delays.longest == 1 else first
        T, D, g_weight = len(g_x), len(past), torch.zeros_like(weight)
        g_past = torch.zeros_like(past)
        whole = len(self.delays.groups) == 1
        for d, neurons in self.delays.groups_on(g_x.device):
            later, sent = g_x[d:].flatten(0, 1), y[: max(T - d, 0)].flatten(0, 1)
            early, old = g_x[:d].flatten(0, 1), past[D - d : D - d + min(d, T)].flatten(0, 1)
            if not whole:
                sent, old = sent.index_select(1, neurons), old.index_select(1, neurons)  # type: ignore[arg-type]
            active = find_active(sent) if sent.numel() else None
            part = product(later.T, sent) if active is None else outer(sent, later, active)
            part = part + early.T @ old
            back = early @ (weight if whole else weight[:, neurons])
            if whole:
                g_weight += part
                g_past[D - d : D - d + min(d, T)] += back.unflatten(0, (-1, first.shape[-2]))
            else:
                g_weight[:, neurons] += part
                g_past[D - d : D - d + min(d, T), :, neurons] += back.unflatten(0, (-1, first.shape[-2]))
        return g_past.view_as(first), g_weight

    def _arriving(self, t: int, y: Tensor, sent: Tensor) -> Tensor:
        past = self.first[None] if self.delays.longest == 1 else self.first
        groups = self.delays.groups_on(y.device)
        rows = [(y[t - d] if t >= d else past[len(past) + t - d], neurons) for d, neurons in groups]
        if len(rows) == 1:
            return rows[0][0].contiguous()
        for row, neurons in rows:
            sent.index_copy_(1, neurons, row.index_select(1, neurons))  # type: ignore[arg-type]
        return sent


def fed_back(state: Tensor, delays: Delays, weight: Tensor, x: Tensor) -> Tensor:
    """One step's total input (B, N), in torch; the sums are those of the compiled loops, however many spike."""
    return linear(delays.arriving(state), weight, x, densest=1.0)


__all__ = ["Delays", "Recurrence", "fed_back"]
