"""Where to split: the point by a table, the neuron by bound propagation with shortcuts (GenBaB; Shi et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ranvier.verify.functions import Function
from ranvier.verify.graphs.graph import ComputationGraph, Unary
from ranvier.verify.relaxation.backward import pull_back
from ranvier.verify.relaxation.intervals import NodeBounds
from ranvier.verify.relaxation.relaxations import relax_all

#: of the table, in both directions: from −20 to 20, dense around 0
_AXIS = torch.sinh(torch.linspace(-3.7, 3.7, 61, dtype=torch.float64))
_AT_ZERO = {"relu", "leaky_relu", "abs", "heaviside"}
SHORTCUTS = 30_000_000  # coefficients of shortcuts at most


@lru_cache(maxsize=64)
def point_table(functions: tuple[Function, ...]) -> Tensor:
    """Points p by (l, u) on a grid over [−20, 20] that leave least area between the lines of both halves, summed over
    the functions that read the neuron; found by trying 23 ratios. nan where l >= u or outside a domain."""
    l, u = torch.meshgrid(_AXIS, _AXIS, indexing="ij")
    t = torch.arange(1, 24, dtype=torch.float64) / 24
    valid = u > l
    a, b = l[valid][:, None], u[valid][:, None]
    p = a + (b - a) * t
    area = torch.stack([_area(f, a.expand_as(p), p) + _area(f, p, b.expand_as(p)) for f in functions]).sum(0)
    least, best = area.nan_to_num(torch.inf).min(-1, keepdim=True)
    table = torch.full_like(l, torch.nan)
    table[valid] = torch.where(torch.isfinite(least), p.gather(-1, best), torch.nan)[:, 0]
    return table


def _area(f: Function, l: Tensor, u: Tensor) -> Tensor:
    """Between the default lines over [l, u]."""
    slopes, middle = f.slopes(l, u), 0.5 * (l + u)
    upper = slopes.upper * middle + f.intercept(slopes.upper, l, u, True)
    lower = slopes.lower * middle + f.intercept(slopes.lower, l, u, False)
    return (upper - lower) * (u - l)


def branching_points(functions: tuple[Function, ...], l: Tensor, u: Tensor, *, optimised: bool = True) -> Tensor:
    """Where to split [l, u]: 0 for functions with a corner there, from the table, or the middle."""
    middle = 0.5 * l + 0.5 * u
    names = {f.name for f in functions}
    if names and names <= _AT_ZERO:
        return torch.where((l < 0) & (u > 0), 0.0, middle)
    if not functions or not optimised:
        return middle
    table = point_table(functions)
    i = torch.searchsorted(_AXIS, l.contiguous())  # the grid's next point inwards
    j = torch.searchsorted(_AXIS, u.contiguous(), right=True) - 1
    most = len(table) - 1
    inside = (l >= _AXIS[0]) & (u <= _AXIS[-1]) & (i < j)
    p = table[i.clamp(0, most), j.clamp(0, most)]
    quarter = 0.25 * (u - l)  # nearer to an end, a split leaves nearly the whole on one side
    p = torch.maximum(torch.minimum(p, u - quarter), l + quarter)
    return torch.where(inside & torch.isfinite(p), p, middle)


@dataclass(frozen=True)
class Shortcut:
    """Bounds of a node that are linear in the input: z >= A_low x + c_low, z <= A_high x + c_high; (size, inputs)."""

    A_low: Tensor
    c_low: Tensor
    A_high: Tensor
    c_high: Tensor


class Splitter:
    """Scores and points of the neurons of one graph."""

    def __init__(self, graph: ComputationGraph, *, optimised_points: bool = True) -> None:
        self.graph, self.optimised_points = graph, optimised_points
        self.nodes = graph.relaxed
        self.functions: dict[int, tuple[Function, ...]] = {}
        for k in self.nodes:
            operators = [graph.nodes[j].operator for j, _, _ in graph.consumers[k]]
            unique = {o.function: None for o in operators if isinstance(o, Unary)}
            self.functions[k] = tuple(sorted(unique, key=repr))

    def readers(self) -> frozenset[int]:
        """The nonlinear nodes, whose coefficients the scores need."""
        return frozenset(j for k in self.nodes for j, _, _ in self.graph.consumers[k])

    def shortcuts(self, bounds: NodeBounds) -> dict[int, Shortcut]:
        """Of one box (B = 1), for all nodes, as far as memory goes."""
        result: dict[int, Shortcut] = {}
        inputs = self.graph.nodes[0].size
        total = sum(self.graph.nodes[k].size for k in self.nodes) * inputs
        if total > SHORTCUTS:
            return result
        for k in self.nodes:
            eye = torch.eye(self.graph.nodes[k].size, dtype=torch.float64)[None]
            bound = pull_back(
                self.graph, k, torch.cat([eye, -eye], 1), bounds, relax_all(self.graph, k, bounds), exact=False
            )
            (A, B), (c, d) = bound.coefficients[0].chunk(2), bound.constant[0].chunk(2)
            result[k] = Shortcut(A, c, -B, -d)
        return result

    def points(self, bounds: NodeBounds) -> dict[int, Tensor]:
        return {
            k: branching_points(self.functions[k], bounds.lower[k], bounds.upper[k], optimised=self.optimised_points)
            for k in self.nodes
        }

    def open(self, bounds: NodeBounds, k: int) -> Tensor:
        """(B, size): elements of node k worth a split."""
        l, u = bounds.lower[k], bounds.upper[k]
        wide = (u - l > 1e-7 * (1 + l.abs() + u.abs())) & torch.isfinite(u - l)
        if self.functions[k] and {f.name for f in self.functions[k]} <= _AT_ZERO:
            only = all(isinstance(self.graph.nodes[j].operator, Unary) for j, _, _ in self.graph.consumers[k])
            wide = wide & ((l < 0) & (u > 0) | (not only))
        return wide

    def scores(
        self, bounds: NodeBounds, at: dict[int, Tensor], slopes: dict[int, Tensor], coefficients: Tensor,
        shortcuts: dict[int, Shortcut], points: dict[int, Tensor],
    ) -> dict[int, Tensor]:  # fmt: skip
        """(B, size) of each node: by how much splitting each neuron would raise the bound, estimated.

        at: coefficients (B, size) of the nonlinear nodes in the bound's row, and slopes (B, size) of the lines in use
        there; coefficients (B, inputs): of the input.
        """
        result = {}
        for k in self.nodes:
            l, u, p = bounds.lower[k], bounds.upper[k], points[k]
            total = torch.zeros_like(l)
            for j, position, index in self.graph.consumers[k]:
                if j not in at:
                    continue
                operator = self.graph.nodes[j].operator
                if isinstance(operator, Unary):
                    gain = self._gain(operator.function, k, index, bounds, at[j], slopes[j], coefficients, shortcuts, p)
                else:
                    other = self.graph.nodes[j].inputs[1 - position]
                    width = bounds.upper[other] - bounds.lower[other]
                    own = (u - l) if index is None else (u - l)[:, index]
                    gain = at[j].abs() * width * own / 8
                gain = gain.nan_to_num(0.0, 0.0, 0.0)
                total = total + gain if index is None else total.index_add(1, index, gain)
            result[k] = torch.where(self.open(bounds, k), total + 1e-10 * (u - l), -torch.inf)
        return result

    def _gain(
        self, f: Function, k: int, index: Tensor | None, bounds: NodeBounds, A: Tensor, slope: Tensor,
        coefficients: Tensor, shortcuts: dict[int, Shortcut], p: Tensor,
    ) -> Tensor:  # fmt: skip
        """The lesser gain of the two halves. In each the line in use may be kept and moved up to f, or a line of least
        area be taken, of whose slope the change is bounded by the half's own interval or by the shortcut."""
        l, u = bounds.lower[k], bounds.upper[k]

        def pick(t: Tensor) -> Tensor:
            return t if index is None else t[..., index]

        before = _shift(f, A, slope, pick(l), pick(u))
        gains = []
        for a, b in ((l, p), (p, u)):
            low, high = pick(a), pick(b)
            gain = _shift(f, A, slope, low, high) - before
            default = f.slopes(low, high)
            new = torch.where(A >= 0, default.lower, default.upper)
            change, shift = A * (new - slope), _shift(f, A, new, low, high) - before
            gain = torch.maximum(gain, torch.minimum(change * low, change * high) + shift)
            if k in shortcuts:
                gain = torch.maximum(gain, _by_shortcut(change, shift, coefficients, shortcuts[k], index, bounds))
            gains.append(gain)
        return torch.minimum(*gains).clamp(min=0.0)


def _shift(f: Function, A: Tensor, slope: Tensor, l: Tensor, u: Tensor) -> Tensor:
    """A f(z) >= A slope z + shift over [l, u]."""
    t = torch.where(A >= 0, f.intercept(slope, l, u, False), f.intercept(slope, l, u, True))
    return torch.where(A == 0, 0.0, A * t)


def _by_shortcut(
    slope: Tensor, shift: Tensor, coefficients: Tensor, shortcut: Shortcut, index: Tensor | None, bounds: NodeBounds
) -> Tensor:
    """The change of the bound when slope z + shift is added, z replaced by its bounds that are linear in the input."""
    l, u = bounds.lower[0], bounds.upper[0]
    centre, radius = 0.5 * (l + u), 0.5 * (u - l)
    now = (coefficients * centre).sum(1) - (coefficients.abs() * radius).sum(1)
    low, high = slope.clamp(min=0.0), slope.clamp(max=0.0)
    out = torch.empty_like(slope)
    elements = torch.arange(slope.shape[1]) if index is None else index
    piece = max(1, 8_000_000 // max(1, slope.numel() // slope.shape[1] * coefficients.shape[1]))
    for part in torch.arange(slope.shape[1]).split(piece):
        e = elements[part]
        A = coefficients[:, None] + low[:, part, None] * shortcut.A_low[e] + high[:, part, None] * shortcut.A_high[e]
        least = (A @ centre[:, :, None])[..., 0] - (A.abs() @ radius[:, :, None])[..., 0]
        constant = low[:, part] * shortcut.c_low[e] + high[:, part] * shortcut.c_high[e]
        out[:, part] = least + constant
    return out - now[:, None] + shift


__all__ = ["Shortcut", "Splitter", "branching_points", "point_table"]
