"""Interval bounds of every node, rounded outwards.

A sum of n products in float64 is within n eps of Σ |terms| of its true value, in any order and fused or not; eps is
twice the unit roundoff, which leaves room for the rounding of the allowance itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.verify.functions import Function
from ranvier.verify.graphs.graph import ComputationGraph, Input, Product, Unary
from ranvier.verify.graphs.linear import LinearOperator

EPS = torch.finfo(torch.float64).eps
INFINITE = 1e100  # bounds beyond are infinite, as products would overflow or underflow unnoticed
TINY = 1e-150


@dataclass
class NodeBounds:
    """lower, upper (B, size) of each node that has been computed; magnitude: of the sum of absolute terms."""

    lower: list[Tensor]
    upper: list[Tensor]
    magnitude: list[Tensor]

    def append(self, lower: Tensor, upper: Tensor, magnitude: Tensor) -> None:
        self.lower.append(lower)
        self.upper.append(upper)
        self.magnitude.append(magnitude)

    def narrow(self, k: int, lower: Tensor, upper: Tensor) -> None:
        """Intersect node k's bounds with others."""
        self.lower[k] = torch.maximum(self.lower[k], lower)
        self.upper[k] = torch.minimum(self.upper[k], upper)

    def empty(self) -> Tensor:
        """(B,): where some node's bounds exclude each other: such a domain holds no point."""
        return torch.stack([(l > u).any(1) for l, u in zip(self.lower, self.upper, strict=True)]).any(0)


def allowance(node_size: int, input_sizes: Sequence[int]) -> float:
    """Relative error of a linear operator's sums, forwards or transposed."""
    return (node_size + sum(input_sizes) + 16) * EPS


def outward(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds with what is no number, or too large, made infinite on the safe side."""
    lower = torch.where((lower >= -INFINITE) & (lower <= INFINITE), lower, -torch.inf)
    upper = torch.where((upper <= INFINITE) & (upper >= -INFINITE), upper, torch.inf)
    return lower, upper


def magnitude(lower: Tensor, upper: Tensor) -> Tensor:
    """The largest |x|."""
    return torch.maximum(lower.abs(), upper.abs())


def interval(graph: ComputationGraph, k: int, bounds: NodeBounds) -> tuple[Tensor, Tensor, Tensor]:
    """Lower and upper bounds of node k, and its magnitude, from those of its inputs."""
    node = graph.nodes[k]
    lows, highs = [bounds.lower[i] for i in node.inputs], [bounds.upper[i] for i in node.inputs]
    match node.operator:
        case Input():
            raise ValueError("the node is an input; expected an operator, as an input's bounds are the domain")
        case Unary(function=function):
            l, u = outward(*unary_range(function, lows[0], highs[0]))
            return l, u, magnitude(l, u)
        case Product():
            l, u = outward(*product_range(lows[0], highs[0], lows[1], highs[1]))
            return l, u, magnitude(l, u)
        case operator:
            sizes = [graph.nodes[i].size for i in node.inputs]
            return linear_range(operator, lows, highs, allowance(node.size, sizes))


def unary_range(function: Function, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of f over [l, u]; infinite outside f's domain."""
    low, high = function.range(l, u)
    return low, high


def product_range(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds of x y, x in [a, b], y in [c, d]."""
    corners = torch.stack([a * c, a * d, b * c, b * d])
    low, high = corners.amin(0), corners.amax(0)  # a corner that is no number makes both so
    return low - 2 * EPS * low.abs() - TINY, high + 2 * EPS * high.abs() + TINY


def linear_range(
    operator: LinearOperator, lows: Sequence[Tensor], highs: Sequence[Tensor], error: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds of a linear operator, as centre and radius; exact for copies."""
    offset = operator.offset
    if operator.exact:
        l, u = operator.apply(lows), operator.apply(highs)
        if offset is not None:
            l, u = l + offset, u + offset
        return l, u, magnitude(l, u)
    centres = [0.5 * l + 0.5 * u for l, u in zip(lows, highs, strict=True)]
    radii = [
        torch.maximum(u - c, c - l) * (1 + 4 * EPS) for l, u, c in zip(lows, highs, centres, strict=True)
    ]  # fmt: skip
    centre, radius = operator.apply(centres), operator.apply_absolute(radii)
    terms = operator.apply_absolute([c.abs() + r for c, r in zip(centres, radii, strict=True)])
    if offset is not None:
        centre, terms = centre + offset, terms + offset.abs()
    radius = radius * (1 + error) + error * terms + TINY
    l, u = centre - radius, centre + radius
    good = torch.isfinite(centre) & torch.isfinite(radius)
    l, u = outward(torch.where(good, l, -torch.inf), torch.where(good, u, torch.inf))
    return l, u, torch.where(torch.isfinite(terms), terms, torch.inf)


def propagate(
    graph: ComputationGraph,
    lower: Tensor,
    upper: Tensor,
    *,
    last: int | None = None,
    known: dict[int, tuple[Tensor, Tensor]] | None = None,
    refine: Callable[[int, NodeBounds], tuple[Tensor, Tensor] | None] | None = None,
) -> NodeBounds:
    """Bounds of all nodes up to `last`, over boxes lower, upper (B, size).

    known: bounds of nodes to intersect with. refine: called for each node that a nonlinear one reads, returns better
    bounds or None.
    """
    lower, upper = outward(lower, upper)
    bounds = NodeBounds([], [], [])
    bounds.append(lower, upper, magnitude(lower, upper))
    relaxed = set(graph.relaxed)
    for k in range(1, (graph.output if last is None else last) + 1):
        bounds.append(*interval(graph, k, bounds))
        if known is not None and k in known:
            bounds.narrow(k, *known[k])
        if refine is not None and k in relaxed:
            better = refine(k, bounds)
            if better is not None:
                bounds.narrow(k, *better)
    return bounds


__all__ = [
    "EPS", "INFINITE", "TINY", "NodeBounds", "allowance", "interval", "linear_range", "magnitude", "outward",
    "product_range", "propagate", "unary_range",
]  # fmt: skip
