"""Branch and bound over boxes of inputs: for networks of few inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.verify.branch_and_bound.attack import confirmed, margin
from ranvier.verify.branch_and_bound.search import Goals, Outcome, SearchProgress, SearchSettings
from ranvier.verify.networks import NetworkUnderTest
from ranvier.verify.relaxation.backward import crown, output_bound


@torch.no_grad()
def split_inputs(
    subject: NetworkUnderTest, goals: Goals, settings: SearchSettings, progress: SearchProgress
) -> Outcome:
    """Halve boxes along the input in which the bound is steepest, until each is decided."""
    graph, case = subject.graph, goals.case
    count = len(goals.C)
    lower, upper = case.lower.expand(count, -1), case.upper.expand(count, -1)
    goal = torch.arange(count)
    margins = torch.full((count,), -torch.inf, dtype=torch.float64)
    steepness = torch.ones(count, len(case.lower), dtype=torch.float64) * (upper - lower)
    first = True
    while len(goal):
        worst = float(margins.min())
        progress.say(len(goal), worst)
        if progress.over():
            return Outcome(False, worst, note=f"{len(goal)} boxes are left")
        take = min(settings.batch if first else settings.batch // 2, len(goal))
        order = torch.argsort(margins)[:take]
        rest = torch.ones(len(goal), dtype=torch.bool)
        rest[order] = False
        l, u, g, s = lower[order], upper[order], goal[order], steepness[order]
        if not first:
            if settings.branching == "none":
                return Outcome(False, worst, note="no branching was requested")
            parts = _halves(l, u, s)
            if parts is None:
                return Outcome(False, worst, note="a box cannot be halved further")
            (l, u), g = parts, g.repeat(2)
        first = False
        bounds = crown(graph, l, u)
        bound = output_bound(graph, goals.C[g], bounds)
        least = bound.least(l, u)
        progress.domains += len(l)
        decided = (least > goals.d[g]).any(1) | bounds.empty()
        gap = (least - goals.d[g]).nan_to_num(-torch.inf, -torch.inf, -torch.inf)
        m, row = gap.max(1)
        keep = ~decided
        A = bound.coefficients[torch.arange(len(l)), row]
        corner = torch.where(A > 0, l, u)[keep]
        x = _tried(subject, goals, torch.cat([corner, (0.5 * l + 0.5 * u)[keep]]), g[keep].repeat(2))
        if x is not None:
            return Outcome(False, -torch.inf, x)
        lower, upper = torch.cat([lower[rest], l[keep]]), torch.cat([upper[rest], u[keep]])
        goal, margins = torch.cat([goal[rest], g[keep]]), torch.cat([margins[rest], m[keep]])
        steepness = torch.cat([steepness[rest], (A.abs() * (u - l))[keep].nan_to_num(0.0, 0.0, 0.0)])
    return Outcome(True, torch.inf)


def _halves(l: Tensor, u: Tensor, steepness: Tensor) -> tuple[Tensor, Tensor] | None:
    middle = 0.5 * l + 0.5 * u
    splittable = (middle > l) & (middle < u)
    if not bool(splittable.any(1).all()):
        return None
    # a little of the width, so that an input whose coefficient happens to vanish is split too
    width = u - l
    score = steepness / steepness.amax(1, keepdim=True).clamp(min=1e-300) + 1e-3 * width / width.amax(1, keepdim=True)
    at = torch.where(splittable, score, -torch.inf).argmax(1)
    rows = torch.arange(len(l))
    first_u, second_l = u.clone(), l.clone()
    first_u[rows, at], second_l[rows, at] = middle[rows, at], middle[rows, at]
    return torch.cat([l, second_l]), torch.cat([first_u, u])


def _tried(subject: NetworkUnderTest, goals: Goals, x: Tensor, goal: Tensor) -> Tensor | None:
    """A counterexample among inputs x, each for its goal."""
    if len(x) == 0:
        return None
    m = margin(subject.graph.values(x)[subject.graph.output], goals.C[goal], goals.attackable()[goal])
    for k in torch.nonzero(m <= 0)[:4, 0].tolist():
        sure = confirmed(subject, goals.case, goals.unsafe, x[k])
        if sure is not None:
            return sure
    return None


__all__ = ["split_inputs"]
