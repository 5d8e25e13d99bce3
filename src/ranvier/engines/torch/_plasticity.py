"""Plastic projections of the torch engine, edge by edge; differentiable, also in the initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ranvier.engines.plasticity import records as g
from ranvier.engines.plasticity.modulators import ModulatorSource, modulator_of
from ranvier.engines.plasticity.tables import back_steps
from ranvier.networks import Network, Projection
from ranvier.rules.dense import advance, fresh, transmit, with_pasts


class LearningSynapses(NamedTuple):
    """The synapses of one delay: weight (B, edges), and the rule's state."""

    weight: Tensor
    state: dict[str, Tensor]


class TorchPlastic:
    """One plastic projection; `groups`: (delay in steps, its edges or None for all)."""

    def __init__(
        self,
        net: Network,
        p: Projection,
        groups: list[tuple[int, Tensor | None]],
        edges: tuple[Tensor, Tensor],
        dt: float,
        dtype: torch.dtype,
    ) -> None:
        if p.plasticity is None:
            raise ValueError(f"{p!r} has no plasticity; expected a plastic projection")
        self.net, self.projection, self.rule, self.dt, self.dtype = net, p, p.plasticity, dt, dtype
        self.count = len(edges[0])
        #: whether a source may spike several times in a step
        self.counts = getattr(p.source.neuron, "equations", None) is None
        sources, targets = edges
        self.groups: list[tuple[int, Tensor, Tensor, Tensor | None]] = [
            (delay, sources, targets, None) if chosen is None else (delay, sources[chosen], targets[chosen], chosen)
            for delay, chosen in groups
        ]
        self.shortest = min((delay for delay, _ in groups), default=1)
        self.back = back_steps(p.plasticity, dt)
        self.modulator: ModulatorSource | None = None
        self.origin = 0

    def set_modulator(self, modulator: ModulatorSource, step: int) -> None:
        """Where the modulator comes from; a series begins at `step`."""
        modulator.interval_steps(self.dt)
        self.modulator, self.origin = modulator, step

    def init_state(self, batch: int) -> tuple[LearningSynapses, ...]:
        weight = torch.as_tensor(self.projection.weight, dtype=torch.float64).to(self.dtype).expand(self.count)
        groups = []
        for _, sources, _, chosen in self.groups:
            own = (weight if chosen is None else weight[chosen]).expand(batch, -1)
            shapes = (batch, self.projection.source.size), (batch, self.projection.target.size), (batch, len(sources))
            groups.append(LearningSynapses(own, with_pasts(self.rule, fresh(self.rule, own, *shapes), self.dt)))
        return tuple(groups)

    def deliver(
        self, own: tuple[LearningSynapses, ...], history: Tensor, total: Tensor, generator: torch.Generator
    ) -> Tensor:
        """`total` (B, targets) with the spikes that arrive now."""
        for (delay, sources, targets, _), each in zip(self.groups, own, strict=True):
            sent = history[delay][:, self.projection.source.slice]
            arrivals = one_by_one(sent) if self.counts and self.rule.law.short_term else (sent,)
            delivered = transmit(
                self.rule, each.state, each.weight, arrivals, self.dt,
                lambda x, at=sources: x[:, at], generator,  # type: ignore[misc]
            )  # fmt: skip
            total = total.index_add(1, targets, delivered)
        return total

    def step(
        self, own: tuple[LearningSynapses, ...], history: Tensor, now: int, generator: torch.Generator | None = None,
        variables: Mapping[str, Tensor] | None = None,
    ) -> tuple[LearningSynapses, ...]:  # fmt: skip
        """What the spikes that arrive, and those that the targets emitted, at step `now` leave behind; variables: what
        the rule reads of the targets (B, targets)."""
        post = history[self.back][:, self.projection.target.slice]
        modulator = self._modulator(history, now)
        out = []
        for (delay, sources, targets, _), each in zip(self.groups, own, strict=True):
            pre = history[delay][:, self.projection.source.slice]
            arrivals = one_by_one(pre) if self.counts else (pre,)
            state, weight = advance(
                self.rule, each.state, each.weight, arrivals, post, modulator, self.dt,
                lambda x, at=sources: x[:, at], lambda y, at=targets: y[:, at],  # type: ignore[misc]
                generator, variables,
            )  # fmt: skip
            out.append(LearningSynapses(weight, state))
        return tuple(out)

    def in_order(self, own: tuple[LearningSynapses, ...]) -> Tensor:
        """Weights (B, edges) in the order of `edges()`."""
        out = torch.zeros(len(own[0].weight) if own else 1, self.count, dtype=self.dtype)
        for (_, _, _, chosen), each in zip(self.groups, own, strict=True):
            out[:, slice(None) if chosen is None else chosen] = each.weight.detach()
        return out

    def _modulator(self, history: Tensor, now: int) -> Tensor | None:
        if self.modulator is None:
            self.modulator = modulator_of(self.net, self.projection)
        batch, size = history.shape[1], self.projection.target.size
        if self.modulator.kind == g.NOWHERE:
            return None
        if self.modulator.series is None:
            modulators = self.net.populations[self.modulator.population]
            spikes = history[self.shortest][:, modulators.slice].sum(1, keepdim=True)
            return (spikes / (modulators.size * self.dt)).expand(batch, size)
        values = self.modulator.series.values
        row = (now - 1 - self.origin) // self.modulator.interval_steps(self.dt)
        return values[min(row, len(values) - 1)].to(self.dtype).expand(batch, size)


def one_by_one(counts: Tensor) -> tuple[Tensor, ...]:
    """Spike counts as several trains of 0 and 1, whose sum they are."""
    if counts.requires_grad:
        return (counts,)
    return tuple((counts > k).to(counts.dtype) for k in range(max(1, int(counts.max().ceil()))))


__all__ = ["LearningSynapses", "TorchPlastic"]
