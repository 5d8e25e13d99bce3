"""Forward linear bounds: every node between two linear functions of the input, carried from node to node.

Cheaper than backward bounds where inputs are few: (size, inputs) numbers a node. What is rounded is charged to the
constants as it arises.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.verify.graphs.graph import ComputationGraph, Product, Unary
from ranvier.verify.graphs.linear import LinearOperator
from ranvier.verify.relaxation.intervals import EPS, TINY, NodeBounds, allowance, interval, magnitude, outward
from ranvier.verify.relaxation.relaxations import Side, relax


@dataclass(frozen=True)
class Tube:
    """A_low x + c_low <= value <= A_high x + c_high: A (B, inputs, size), c (B, size)."""

    A_low: Tensor
    c_low: Tensor
    A_high: Tensor
    c_high: Tensor


def forward_bounds(graph: ComputationGraph, lower: Tensor, upper: Tensor) -> NodeBounds:
    """Bounds of every node over boxes (B, size): intervals, narrowed by forward linear bounds."""
    lower, upper = outward(lower, upper)
    batch, inputs = lower.shape
    eye = torch.eye(inputs, dtype=torch.float64).expand(batch, -1, -1)
    zero = torch.zeros_like(lower)
    tubes = [Tube(eye, zero, eye, zero)]
    bounds = NodeBounds([], [], [])
    bounds.append(lower, upper, magnitude(lower, upper))
    box = magnitude(lower, upper)
    for k in range(1, graph.output + 1):
        node = graph.nodes[k]
        parts = [tubes[i] for i in node.inputs]
        bounds.append(*interval(graph, k, bounds))
        if isinstance(node.operator, (Unary, Product)):
            sides = relax(graph, k, bounds)
            low = _composed(parts, sides.lower, False, box)
            high = _composed(parts, sides.upper, True, box)
        else:
            error = allowance(node.size, [graph.nodes[i].size for i in node.inputs])
            low, high = _mapped(node.operator, parts, error, box)  # type: ignore[arg-type]
        tube = Tube(*low, *high)
        tubes.append(tube)
        turned = Tube(-tube.A_high, -tube.c_high, zero, zero)
        bounds.narrow(k, _least(tube, lower, upper), -_least(turned, lower, upper))
    return bounds


def _terms(A: Tensor, c: Tensor, box: Tensor) -> Tensor:
    """(B, size): of the sum of absolute terms."""
    return _times(A.abs(), box) + c.abs()


def _times(A: Tensor, x: Tensor) -> Tensor:
    """x A with 0 · inf = 0."""
    if bool(torch.isfinite(x).all()):
        return (x[:, None] @ A)[:, 0]
    return torch.where(A == 0, 0.0, A * x[:, :, None]).sum(1)


def _composed(parts: list[Tube], side: Side, upper: bool, box: Tensor) -> tuple[Tensor, Tensor]:
    """Σ slope value + intercept, each value by the bound that the slope's sign asks for."""
    sign = 1.0 if upper else -1.0
    t = side.intercept[:, 0]
    A: Tensor | float = 0.0
    c, terms = t, t.abs()
    for part, s in zip(parts, side.slopes, strict=True):
        s = s[:, 0]
        above = (s >= 0) == upper
        chosen = torch.where(above[:, None], part.A_high, part.A_low)
        constant = torch.where(above, part.c_high, part.c_low)
        A = A + s[:, None] * chosen
        c = c + torch.where(s == 0, 0.0, s * constant)
        terms = terms + torch.where(s == 0, 0.0, s.abs() * _terms(chosen, constant, box))
    return A, c + sign * (16 * EPS * terms + TINY)  # type: ignore[return-value]


def _mapped(
    operator: LinearOperator, parts: list[Tube], error: float, box: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Positive weights take a bound as it is, negative ones the other: by half the sum and half the difference."""
    batch, inputs = parts[0].A_low.shape[:2]

    def flat(name: str) -> list[Tensor]:
        return [getattr(p, name).reshape(batch * inputs, -1) for p in parts]

    def both(low: list[Tensor], high: list[Tensor]) -> tuple[Tensor, Tensor]:
        centre = operator.apply([0.5 * a + 0.5 * b for a, b in zip(low, high, strict=True)])
        half = operator.apply_absolute([0.5 * b - 0.5 * a for a, b in zip(low, high, strict=True)])
        return centre - half, centre + half

    low, high = both(flat("A_low"), flat("A_high"))
    A_low, A_high = low.reshape(batch, inputs, -1), high.reshape(batch, inputs, -1)
    c_low, c_high = both([p.c_low for p in parts], [p.c_high for p in parts])
    terms = operator.apply_absolute(
        [_terms(p.A_low, p.c_low, box) + _terms(p.A_high, p.c_high, box) for p in parts]
    )  # fmt: skip
    if operator.offset is not None:
        c_low, c_high = c_low + operator.offset, c_high + operator.offset
        terms = terms + operator.offset.abs()
    slack = (error + 8 * EPS) * 2 * terms + TINY
    return (A_low, c_low - slack), (A_high, c_high + slack)


def _least(tube: Tube, lower: Tensor, upper: Tensor) -> Tensor:
    A, c = tube.A_low, tube.c_low
    l, u = lower[:, :, None], upper[:, :, None]
    value = torch.where(A > 0, A * l, torch.where(A < 0, A * u, 0.0)).sum(1) + c
    slack = (A.shape[1] + 16) * EPS * _terms(A, c, magnitude(lower, upper)) + TINY
    least = value - slack
    return torch.where(torch.isfinite(least), least, -torch.inf)


__all__ = ["forward_bounds"]
