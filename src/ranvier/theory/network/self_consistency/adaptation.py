"""Networks of adapting neurons: the slow variable at its mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ranvier.networks import Network
from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.neuron_lowering import Adaptation, adaptation
from ranvier.theory.network.self_consistency.rates import WorkingPoint
from ranvier.theory.single_neuron.stationary import stationary

ROUNDS = 60  # of mean voltages
FOLLOWING = 0.3  # of the leak: an adaptation that follows the voltage so strongly is refused


def adapted_point(
    net: Network, cells: list[NeuronGroup], solve: Callable[[list[NeuronGroup]], WorkingPoint], threads: int
) -> WorkingPoint:
    """Of neurons with a slow variable w at its mean: what spikes add to it is an edge to the neuron itself, what
    follows the voltage is found with the voltage's mean."""
    slow = {p.start: adaptation(p) for p in net.populations}
    follows = [s for s in slow.values() if s is not None and bool((s.slope != 0).any() | (s.level != 0).any())]
    if not follows:
        return solve(cells)
    for group in cells:
        _require_weak(group, slow[int(group.index[0])])
    leaves = [x for s in follows for x in s[1:]] + [x for g in cells for x in (g.tau, *g.parameters.values())]
    if torch.is_grad_enabled() and any(x.requires_grad for x in leaves):
        raise ValueError(
            "predictions of neurons whose adaptation follows the voltage (a != 0) have no gradients; expected a = 0, "
            "or torch.no_grad() around predict"
        )
    means = [g.V_reset for g in cells]
    for _ in range(ROUNDS):
        held = []
        for group, V in zip(cells, means, strict=True):
            s = slow[int(group.index[0])]
            w = {} if s is None else {s.name: s.level + s.slope * V}
            held.append(replace(group, parameters=group.parameters | w))
        point = solve(held)
        following = [_mean_voltage(g, point, threads) for g in point.cells]
        moved = max(float((a - b).abs().max()) for a, b in zip(means, following, strict=True))
        means = following
        if moved < 1e-6:
            return point
    raise ValueError(
        f"no stationary adaptation found: the mean voltage still moves by {moved:.3g} mV; expected it to come to "
        "rest: simulate"
    )


@torch.no_grad()
def _require_weak(group: NeuronGroup, slow: Adaptation | None) -> None:
    """Raise ValueError where w follows the voltage so strongly that its mean does not stand for it."""
    if slow is None:
        return
    V, none = group.V_reset[None], torch.zeros_like(group.V_reset)
    leak = (group.force(V + 0.01, none) - group.force(V - 0.01, none))[0].abs() / 0.02
    ratio = float((slow.slope * slow.current).abs().div(leak.clamp(min=1e-9)).max())
    if ratio > FOLLOWING:
        raise ValueError(
            f"the adaptation of {group.name} follows the voltage {ratio:.2g} times as strongly as the leak; expected "
            f"at most {FOLLOWING}, for the theory to take its mean: simulate"
        )


@torch.no_grad()
def _mean_voltage(group: NeuronGroup, point: WorkingPoint, threads: int) -> Tensor:
    """(M,) mV, refractory neurons at their reset."""
    m = group.membrane(point.input[group.index], point.variance[group.index])
    density = stationary(m, threads).density * m.grid.step
    return (density * m.grid.nodes).sum(0) + (1 - density.sum(0)) * group.V_reset
