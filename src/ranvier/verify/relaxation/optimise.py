"""α-CROWN and β-CROWN: slopes of lines, and multipliers of split constraints, by gradient ascent on the bound.

Xu et al. (2021), Wang et al. (2021), Shi et al. (2025). Any slope and any multiplier gives a sound bound; the best one
met is evaluated once more with its allowance for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ranvier.verify.graphs.graph import ComputationGraph, Product, Unary
from ranvier.verify.relaxation.backward import LinearBound, pull_back
from ranvier.verify.relaxation.intervals import NodeBounds, propagate
from ranvier.verify.relaxation.relaxations import NodeSlopes, default_slopes, relax_all


@dataclass
class Choice:
    """Parameters of a bound: `shares` node -> of each side and operand, where within the sensible slopes, in [0, 1],
    (B, S, size); `multipliers` node -> β of z >= lower and z <= upper, (B, S, size)."""

    shares: dict[int, list[Tensor]] = field(default_factory=dict)
    multipliers: dict[int, list[Tensor]] = field(default_factory=dict)

    def leaves(self) -> list[Tensor]:
        return [t for group in (self.shares, self.multipliers) for parts in group.values() for t in parts]

    def map(self, change: Callable[[Tensor], Tensor]) -> Choice:
        return Choice(*({k: [change(t) for t in v] for k, v in g.items()} for g in (self.shares, self.multipliers)))


@dataclass(frozen=True)
class _Frame:
    """Least slope, range and fixed default of a node's sides: lower's operands, then upper's."""

    low: list[Tensor]
    span: list[Tensor]
    fixed: list[Tensor | None]
    default: list[Tensor]


class SlopeSpace:
    """What slopes are sensible over given bounds."""

    def __init__(self, graph: ComputationGraph, last: int, bounds: NodeBounds) -> None:
        self.graph, self.frames = graph, {}
        for k in graph.ancestors(last):
            if isinstance(graph.nodes[k].operator, (Unary, Product)):
                self.frames[k] = self._frame(k, bounds)

    def _frame(self, k: int, bounds: NodeBounds) -> _Frame:
        node = self.graph.nodes[k]
        lower, upper = default_slopes(self.graph, k, bounds)
        default = [*lower, *upper]
        if isinstance(node.operator, Unary):
            function, i = node.operator.function, node.inputs[0]
            l, u = bounds.lower[i], bounds.upper[i]
            best = function.slopes(l, u)
            low, high = (r[:, None] for r in function.slope_range(l, u))
            low, high = torch.minimum(low, torch.minimum(*default)), torch.maximum(high, torch.maximum(*default))
            fixed: list[Tensor | None] = [best.lower_is_best[:, None], best.upper_is_best[:, None]]
            return _Frame([low, low], [high - low] * 2, fixed, default)
        ends = []
        for i in reversed(node.inputs):  # the slope in x lies within y, and the other way round
            l, u = bounds.lower[i][:, None], bounds.upper[i][:, None]
            usable = torch.isfinite(l) & torch.isfinite(u)
            ends.append((torch.where(usable, l, 0.0), torch.where(usable, u, 0.0)))
        low_, span = [e[0] for e in ends] * 2, [e[1] - e[0] for e in ends] * 2
        return _Frame(low_, span, [None] * 4, default)

    def start(self, batch: int, rows: int) -> Choice:
        """The default slopes, for S rows of each of B domains."""
        shares = {}
        for k, frame in self.frames.items():
            shares[k] = [
                torch.where(span > 0, (d - low) / torch.where(span > 0, span, 1.0), 0.0).clamp(0, 1)
                .expand(batch, rows, -1).clone()
                for d, low, span in zip(frame.default, frame.low, frame.span, strict=True)
            ]  # fmt: skip
        return Choice(shares)

    def slopes(self, choice: Choice) -> NodeSlopes:
        result = NodeSlopes()
        for k, frame in self.frames.items():
            sides = []
            for share, low, span, fixed, default in zip(
                choice.shares[k], frame.low, frame.span, frame.fixed, frame.default, strict=True
            ):
                s = low + span * share
                sides.append(s if fixed is None else torch.where(fixed, default, s))
            half = len(sides) // 2
            result.lower[k], result.upper[k] = tuple(sides[:half]), tuple(sides[half:])
        return result


@dataclass(frozen=True)
class Optimised:
    """least (B, S): sound lower bounds of C y; their linear bound, and the choice and slopes that gave them."""

    least: Tensor
    bound: LinearBound
    choice: Choice
    slopes: NodeSlopes


def optimise(
    graph: ComputationGraph,
    start: int,
    C: Tensor,
    bounds: NodeBounds,
    *,
    steps: int = 20,
    choice: Choice | None = None,
    constrained: Mapping[int, tuple[Tensor, Tensor]] | None = None,
    rate: float = 0.1,
    decay: float = 0.97,
    enough: Callable[[Tensor], bool] | None = None,
    record: frozenset[int] = frozenset(),
) -> Optimised:
    """Lower bounds of C y over the boxes of `bounds`, y the value of node `start`, C (B, S, size).

    steps: of Adam; 0 evaluates the choice as it is. constrained: node -> which of z >= lower and z <= upper are
    constraints that the bound may use, masks (B, size). enough: of bounds (B, S), ends the ascent early.
    """
    batch, rows = len(bounds.lower[0]), C.shape[1]
    space = SlopeSpace(graph, start, bounds)
    current = space.start(batch, rows) if choice is None else choice.map(torch.clone)
    masks = {}
    for k, (of_lower, of_upper) in (constrained or {}).items():
        masks[k] = of_lower[:, None], of_upper[:, None]
        if k not in current.multipliers:
            size = graph.nodes[k].size
            current.multipliers[k] = [torch.zeros(batch, rows, size, dtype=C.dtype) for _ in range(2)]

    def evaluate(some: Choice, exact: bool, recorded: frozenset[int] = frozenset()) -> LinearBound:
        relaxations = relax_all(graph, start, bounds, space.slopes(some))
        betas = {}
        for k, (low, high) in masks.items():
            of_lower, of_upper = some.multipliers[k]
            betas[k] = torch.where(low, of_lower, 0.0), torch.where(high, of_upper, 0.0)
        return pull_back(graph, start, C, bounds, relaxations, exact=exact, multipliers=betas or None, record=recorded)

    l, u = bounds.lower[0], bounds.upper[0]
    best = current
    if steps > 0:
        leaves = [t.requires_grad_() for t in current.leaves()]
        n_shares = sum(len(v) for v in current.shares.values())
        first = [torch.zeros_like(t) for t in leaves]
        second = [torch.zeros_like(t) for t in leaves]
        highest = torch.full((batch, rows), -torch.inf, dtype=C.dtype)
        best = current.map(lambda t: t.detach().clone())
        for step in range(steps + 1):
            least = evaluate(current, False).least(l, u, exact=False)
            with torch.no_grad():
                better = least > highest
                highest = torch.where(better, least, highest)
                for saved, t in zip(best.leaves(), leaves, strict=True):
                    saved.copy_(torch.where(better[..., None], t, saved))
            if step == steps or (enough is not None and enough(highest)):
                break
            objective = torch.where(torch.isfinite(least), least, 0.0).sum()
            if not objective.requires_grad:
                break
            gradients = torch.autograd.grad(objective, leaves, allow_unused=True)
            with torch.no_grad():
                for k, (t, g) in enumerate(zip(leaves, gradients, strict=True)):
                    if g is None:
                        continue
                    g = g.nan_to_num(0.0, 0.0, 0.0)
                    first[k].mul_(0.9).add_(g, alpha=0.1)
                    second[k].mul_(0.999).addcmul_(g, g, value=0.001)
                    corrected = first[k] / (1 - 0.9 ** (step + 1))
                    scale = (second[k] / (1 - 0.999 ** (step + 1))).sqrt_().add_(1e-12)
                    t.add_(corrected / scale, alpha=rate * decay**step)
                    t.clamp_(0.0, 1.0) if k < n_shares else t.clamp_(min=0.0)
    with torch.no_grad():
        bound = evaluate(best, True, record)
        return Optimised(bound.least(l, u), bound, best, space.slopes(best))


def alpha_crown(
    graph: ComputationGraph,
    lower: Tensor,
    upper: Tensor,
    *,
    steps: int = 20,
    rows: int = 400,
    known: dict[int, tuple[Tensor, Tensor]] | None = None,
    over: Callable[[], bool] | None = None,
) -> NodeBounds:
    """As `crown`, with the slopes of every node's bounds optimised, at most `rows` bounds at a time.

    known: bounds to intersect with. over: once it is true, what is left is bounded as by `crown`.
    """
    from ranvier.verify.relaxation.backward import node_bounds, open_elements

    def refine(k: int, bounds: NodeBounds) -> tuple[Tensor, Tensor] | None:
        first = node_bounds(graph, k, bounds)
        if first is None:
            return None
        low, high = torch.maximum(first[0], bounds.lower[k]), torch.minimum(first[1], bounds.upper[k])
        for part in open_elements(graph, k, bounds).split(max(1, rows // 2)):
            if over is not None and over():
                break
            A = low.new_zeros(len(low), len(part), graph.nodes[k].size)
            A[:, torch.arange(len(part)), part] = 1.0
            least = optimise(graph, k, torch.cat([A, -A], 1), bounds, steps=steps).least
            below, above = least.split(len(part), 1)
            low[:, part] = torch.maximum(low[:, part], below)
            high[:, part] = torch.minimum(high[:, part], -above)
        return low, high

    return propagate(graph, lower, upper, known=known, refine=refine)


__all__ = ["Choice", "Optimised", "SlopeSpace", "alpha_crown", "optimise"]
