"""Counterexamples by projected gradient descent, checked before they count."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ranvier.verify.graphs.graph import ComputationGraph
from ranvier.verify.networks import NetworkUnderTest
from ranvier.verify.properties import Case, Unsafe
from ranvier.verify.relaxation.intervals import propagate


def margin(y: Tensor, C: Tensor, d: Tensor) -> Tensor:
    """(B,): the largest of C y − d over rows; <= 0 is unsafe. y (B, outputs), C (B or 1, R, outputs)."""
    return ((C @ y[:, :, None])[..., 0] - d).amax(1)


def descend(
    graph: ComputationGraph, case: Case, C: Tensor, d: Tensor, *, restarts: int = 16, steps: int = 40, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Inputs (G, size) of the least margin met for goals C (G, R, outputs), d (G, R), and those margins (G,).

    Steps by the gradient's sign, from random points and corners, shrinking from a quarter of the box.
    """
    generator = torch.Generator().manual_seed(seed)
    lower, upper, goals = case.lower, case.upper, len(C)
    width = upper - lower
    share = torch.rand(goals * restarts, len(lower), generator=generator, dtype=torch.float64)
    share[::3] = share[::3].round()
    share[0] = 0.5
    x = lower + width * share
    C, d = (v.repeat_interleave(restarts, 0) for v in (C, d))
    best_x, best = x.clone(), torch.full((len(x),), torch.inf, dtype=torch.float64)
    for step in range(steps + 1):
        x = x.detach().requires_grad_()
        m = margin(graph.values(x)[graph.output], C, d)
        with torch.no_grad():
            better = m < best
            best, best_x = torch.where(better, m, best), torch.where(better[:, None], x, best_x)
        if step == steps or bool((best.reshape(goals, -1).amin(1) < 0).all()):
            break
        (gradient,) = torch.autograd.grad(m.sum(), x)
        size = 0.25 * 0.92**step
        x = torch.maximum(torch.minimum(x - size * width * gradient.nan_to_num(0.0).sign(), upper), lower)
    best, best_x = best.reshape(goals, restarts), best_x.reshape(goals, restarts, -1)
    least, which = best.nan_to_num(torch.inf).min(1)
    return best_x[torch.arange(goals), which].detach(), least


def confirmed(network: NetworkUnderTest, case: Case, unsafe: Sequence[Unsafe], x: Tensor) -> Tensor | None:
    """x, or its nearest float32 numbers in the box, if it is a counterexample beyond doubt: intervals of float64 and
    the network itself both say that its output is unsafe."""
    graph = network.graph
    single = x.float().double()
    low = torch.where(single < case.lower, torch.nextafter(x.float(), torch.tensor(torch.inf)).double(), single)
    single = torch.where(low > case.upper, torch.nextafter(low.float(), torch.tensor(-torch.inf)).double(), low)
    inside = torch.where((single >= case.lower) & (single <= case.upper), single, x.clamp(case.lower, case.upper))
    bounds = propagate(graph, inside[None], inside[None])
    l, u = bounds.lower[graph.output][0], bounds.upper[graph.output][0]
    y = network.run(inside.reshape(graph.input_shape)).reshape(1, -1)
    for each in unsafe:
        positive, negative = each.C.clamp(min=0.0), each.C.clamp(max=0.0)
        most = positive @ u + negative @ l
        most = most + 4e-16 * (each.C.shape[1] + 4) * (each.C.abs() @ torch.maximum(l.abs(), u.abs()))
        certain = torch.where(each.strict, most < each.d, most <= each.d).all()
        if bool(certain) and bool(each.holds(y).all()):
            return inside
    return None


__all__ = ["confirmed", "descend", "margin"]
