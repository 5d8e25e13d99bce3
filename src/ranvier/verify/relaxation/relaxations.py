"""Lines and planes below and above the nonlinear nodes of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ranvier.verify.graphs.graph import ComputationGraph, Product, Unary
from ranvier.verify.relaxation.intervals import EPS, NodeBounds


@dataclass(frozen=True)
class Side:
    """y >= (or <=) Σ_k slope_k x_k + intercept; each (B, S or 1, size)."""

    slopes: tuple[Tensor, ...]
    intercept: Tensor


@dataclass(frozen=True)
class Relaxation:
    """A lower and an upper side; terms: (B, 1, size), the largest sum of absolute terms of a side over the domain."""

    lower: Side
    upper: Side
    terms: Tensor


@dataclass
class NodeSlopes:
    """What may be chosen: node -> slopes of lower and upper sides, each a tuple with a tensor (B, S or 1, size) an
    operand; ranges: what is sensible; best: where nothing is to be gained."""

    lower: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    upper: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)


def default_slopes(
    graph: ComputationGraph, k: int, bounds: NodeBounds
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Slopes (B, 1, size) of node k's lower and upper sides: of least area, or McCormick's mean planes."""
    node = graph.nodes[k]
    l, u = [bounds.lower[i] for i in node.inputs], [bounds.upper[i] for i in node.inputs]
    if isinstance(node.operator, Unary):
        slopes = node.operator.function.slopes(l[0], u[0])
        return (slopes.lower[:, None],), (slopes.upper[:, None],)
    # planes through two corners: of the two below, and of the two above, those halfway
    mx, my = 0.5 * l[0] + 0.5 * u[0], 0.5 * l[1] + 0.5 * u[1]
    halfway = tuple(torch.where(torch.isfinite(m), m, 0.0)[:, None] for m in (my, mx))
    return halfway, halfway


def relax(graph: ComputationGraph, k: int, bounds: NodeBounds, slopes: NodeSlopes | None = None) -> Relaxation:
    """Node k's sides over the bounds of its operands, by the slopes given or the default ones."""
    node = graph.nodes[k]
    if slopes is not None and k in slopes.lower:
        low, high = slopes.lower[k], slopes.upper[k]
    else:
        low, high = default_slopes(graph, k, bounds)
    l = [bounds.lower[i][:, None] for i in node.inputs]
    u = [bounds.upper[i][:, None] for i in node.inputs]
    if isinstance(node.operator, Unary):
        function = node.operator.function
        t_low = function.intercept(low[0], l[0], u[0], False)
        t_high = function.intercept(high[0], l[0], u[0], True)
    else:
        t_low, t_high = _plane(l, u, low, False), _plane(l, u, high, True)
    with torch.no_grad():
        terms = []
        for side, t in ((low, t_low), (high, t_high)):
            total = t.detach().abs()
            for s, i in zip(side, node.inputs, strict=True):
                m = torch.maximum(bounds.lower[i].abs(), bounds.upper[i].abs())[:, None]
                total = total + torch.where(s == 0, 0.0, s.detach().abs() * m)
            terms.append(total.amax(1, keepdim=True))
        most = torch.maximum(*terms).nan_to_num(torch.inf)
    return Relaxation(Side(low, t_low), Side(high, t_high), most)


def _plane(l: list[Tensor], u: list[Tensor], slopes: tuple[Tensor, ...], upper: bool) -> Tensor:
    """The intercept of a plane of these slopes above or below x y: x y − a x − b y is extreme at a corner."""
    a, b = slopes
    corners = []
    for x in (l[0], u[0]):
        for y in (l[1], u[1]):
            value = x * y - a * x - b * y
            with torch.no_grad():
                slack = 8 * EPS * ((x * y).abs() + (a * x).abs() + (b * y).abs()) + 1e-300
            corners.append(value + slack if upper else value - slack)
    stack = torch.stack(torch.broadcast_tensors(*corners))
    extreme = stack.amax(0) if upper else stack.amin(0)
    return extreme.nan_to_num(torch.inf if upper else -torch.inf)


def relax_all(
    graph: ComputationGraph, last: int, bounds: NodeBounds, slopes: NodeSlopes | None = None,
    known: Mapping[int, Relaxation] | None = None,
) -> dict[int, Relaxation]:  # fmt: skip
    """Relaxations of all nonlinear nodes that node `last` depends on; `known` ones are taken over."""
    result = {}
    for k in graph.ancestors(last):
        if isinstance(graph.nodes[k].operator, (Unary, Product)):
            result[k] = known[k] if known is not None and k in known else relax(graph, k, bounds, slopes)
    return result


__all__ = ["NodeSlopes", "Relaxation", "Side", "default_slopes", "relax", "relax_all"]
