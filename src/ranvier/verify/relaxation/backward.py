"""Backward linear bounds (CROWN; Zhang et al. 2018, Xu et al. 2020): coefficients of an output are pulled back through
the network, each nonlinear node replaced by a line or plane on the side that its coefficient's sign asks for.

Coefficients as computed are taken for exact; what each step may have rounded is charged at that step, as eps times the
sum of absolute terms there, to an allowance that is taken off at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.verify.graphs.graph import ComputationGraph, Input, Product, Unary
from ranvier.verify.relaxation.intervals import EPS, INFINITE, TINY, NodeBounds, allowance, magnitude, propagate
from ranvier.verify.relaxation.relaxations import NodeSlopes, Relaxation, relax_all

ELEMENTS = 12_000_000  # of coefficients of one node at a time


@dataclass(frozen=True)
class LinearBound:
    """Rows of C y >= coefficients x + constant − allowance over each domain, x (size,) the input.

    coefficients (B, S, size), constant, allowance (B, S); at: node -> coefficients (B, S, size) of nodes requested.
    """

    coefficients: Tensor
    constant: Tensor
    allowance: Tensor
    at: dict[int, Tensor]

    def least(self, lower: Tensor, upper: Tensor, *, exact: bool = True) -> Tensor:
        """(B, S): the least value over boxes (B, size); exact=False leaves out what rounding may have done."""
        A = self.coefficients
        l, u = lower[:, None], upper[:, None]
        if bool(torch.isfinite(lower).all()) and bool(torch.isfinite(upper).all()):
            centre = 0.5 * l + 0.5 * u
            radius = torch.maximum(u - centre, centre - l) * (1 + 4 * EPS)
            if len(A) == 1 or len(l) == 1:
                total = (A * centre).sum(-1) - (A.abs() * radius).sum(-1)
            else:
                total = (A @ centre.mT)[..., 0] - (A.abs() @ radius.mT)[..., 0]
        else:
            total = torch.where(A > 0, A * l, torch.where(A < 0, A * u, 0.0)).sum(-1)
        if not exact:
            return total + self.constant
        with torch.no_grad():
            terms = absolute_sum(A, magnitude(lower, upper)[:, None]) + self.constant.abs()
            slack = (self.allowance + (A.shape[-1] + 16) * EPS * terms) * (1 + 1e-9) + TINY
        result = total + self.constant - slack
        return torch.where(torch.isfinite(result), result, -torch.inf)


def absolute_sum(A: Tensor, terms: Tensor) -> Tensor:
    """Σ |A| terms over the last axis, 0 · inf = 0: A (B, S, n), terms (B, 1, n)."""
    if bool(torch.isfinite(terms).all()):
        if len(terms) in (1, len(A)) and terms.shape[1] == 1:
            return (A.abs() @ terms.mT)[..., 0]
        return (A.abs() * terms).sum(-1)
    return torch.where(A == 0, 0.0, A.abs() * terms).sum(-1)


def pull_back(
    graph: ComputationGraph,
    start: int,
    A: Tensor,
    bounds: NodeBounds,
    relaxations: Mapping[int, Relaxation],
    *,
    exact: bool = True,
    multipliers: Mapping[int, tuple[Tensor, Tensor]] | None = None,
    record: frozenset[int] = frozenset(),
) -> LinearBound:
    """A linear lower bound, in the input, of A y: y the value of node `start`, A (B or 1, S, size).

    multipliers: node -> β >= 0 (B, 1 or S, size) of the constraints z >= lower and z <= upper there (β-CROWN).
    """
    batch, rows = max(len(A), len(bounds.lower[0])), A.shape[1]
    zeros = bounds.lower[0].new_zeros(batch, rows)
    constant, slack, at = zeros, zeros, {}
    gained: Tensor | None
    error: Tensor | None
    pending: dict[int, Tensor] = {start: A}
    result = A.new_zeros(batch, rows, graph.nodes[0].size)
    for k in graph.ancestors(start):
        if k not in pending:
            continue
        A, node = pending.pop(k), graph.nodes[k]
        if multipliers is not None and k in multipliers:
            A, gained, error = _constrained(A, bounds.lower[k], bounds.upper[k], multipliers[k], exact)
            constant, slack = constant + gained, slack + error
        if k in record:
            at[k] = A.expand(batch, -1, -1)
        match node.operator:
            case Input():
                result = A.expand(batch, -1, -1)
                continue
            case Unary() | Product():
                parts, gained, error = _relaxed(A, relaxations[k], node.size, exact)
            case operator:
                flat = operator.transpose(A.reshape(-1, node.size))
                parts = [p.reshape(*A.shape[:2], -1) for p in flat]
                gained = A @ operator.offset if operator.offset is not None else None
                error = None
                if exact:
                    sizes = [graph.nodes[i].size for i in node.inputs]
                    error = allowance(node.size, sizes) * absolute_sum(A, bounds.magnitude[k][:, None])
        if gained is not None:
            constant = constant + gained
        if error is not None:
            slack = slack + error + 2 * EPS * constant.detach().abs()
        for i, part in zip(node.inputs, parts, strict=True):
            if i in pending:
                part = part + pending[i]
                if exact:
                    m = magnitude(bounds.lower[i], bounds.upper[i])[:, None]
                    slack = slack + 2 * EPS * absolute_sum(part, m)
            pending[i] = part
    return LinearBound(result, constant, slack, at)


def _relaxed(
    A: Tensor, relaxation: Relaxation, size: int, exact: bool
) -> tuple[list[Tensor], Tensor, Tensor | None]:
    """Coefficients of the operands, what the intercepts add, and what was rounded."""
    positive, low, high = A.clamp(min=0.0), relaxation.lower, relaxation.upper
    # A⁺ a + A⁻ b = A b + A⁺ (a − b)
    parts = [torch.addcmul(A * b, positive, a - b) for a, b in zip(low.slopes, high.slopes, strict=True)]
    difference = low.intercept - high.intercept
    if bool(torch.isfinite(difference).all()):
        gained = _dot(A, high.intercept) + _dot(positive, difference)
    else:
        gained = _dot(positive, low.intercept) + _dot(A.clamp(max=0.0), high.intercept)
    error = 3 * (size + 16) * EPS * absolute_sum(A, relaxation.terms) if exact else None
    return parts, gained, error


def _dot(A: Tensor, t: Tensor) -> Tensor:
    """Σ A t over the last axis, 0 · inf = 0."""
    if not bool(torch.isfinite(t).all()):
        return torch.where(A == 0, 0.0, A * t).sum(-1)
    return (A @ t.mT)[..., 0] if t.shape[1] == 1 else (A * t).sum(-1)


def _constrained(
    A: Tensor, lower: Tensor, upper: Tensor, multipliers: tuple[Tensor, Tensor], exact: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """For z >= l and z <= u any β >= 0 gives A z >= (A − β_l + β_u) z + β_l l − β_u u."""
    of_lower, of_upper = (m.clamp(min=0.0) for m in multipliers)
    l = torch.where(torch.isfinite(lower), lower, 0.0)[:, None]
    u = torch.where(torch.isfinite(upper), upper, 0.0)[:, None]
    of_lower = torch.where(torch.isfinite(lower)[:, None], of_lower, 0.0)
    of_upper = torch.where(torch.isfinite(upper)[:, None], of_upper, 0.0)
    changed = A - of_lower + of_upper
    gained = _dot(of_lower, l) - _dot(of_upper, u)
    error = torch.zeros_like(gained)
    if exact:
        m = torch.maximum(l.abs(), u.abs())
        size = changed.shape[-1]
        error = (size + 16) * EPS * (absolute_sum(changed, m) + absolute_sum(of_lower + of_upper, m))
    return changed, gained.expand(len(changed), -1), error


def crown(graph: ComputationGraph, lower: Tensor, upper: Tensor, *, slopes: NodeSlopes | None = None) -> NodeBounds:
    """Bounds of every node over boxes (B, size): intervals, and backward bounds where a nonlinear node reads."""

    def refine(k: int, bounds: NodeBounds) -> tuple[Tensor, Tensor] | None:
        return node_bounds(graph, k, bounds, slopes)

    return propagate(graph, lower, upper, refine=refine)


def open_mask(graph: ComputationGraph, k: int, bounds: NodeBounds) -> Tensor:
    """(B, size): elements of node k for which better bounds could matter: not those where all readers are linear on
    either side of 0, and the element keeps its sign."""
    l, u = bounds.lower[k], bounds.upper[k]
    readers = [graph.nodes[j].operator for j, _, _ in graph.consumers[k]]
    if all(isinstance(o, Unary) and o.function.name in ("relu", "leaky_relu", "abs", "heaviside") for o in readers):
        return (l < 0) & (u > 0)
    return u > l


def open_elements(graph: ComputationGraph, k: int, bounds: NodeBounds) -> Tensor:
    """Elements of node k that are open in some domain."""
    return open_mask(graph, k, bounds).any(0).nonzero()[:, 0]


def node_bounds(
    graph: ComputationGraph, k: int, bounds: NodeBounds, slopes: NodeSlopes | None = None
) -> tuple[Tensor, Tensor] | None:
    """Backward bounds of node k from the bounds of earlier ones."""
    depends = graph.ancestors(k)
    if not any(isinstance(graph.nodes[j].operator, (Unary, Product)) for j in depends) and len(depends) <= 2:
        return None  # one linear step from the input: the interval is exact
    mask = open_mask(graph, k, bounds)
    most, union = int(mask.sum(1).max()), int(mask.any(0).sum())
    if most == 0:
        return None
    relaxations = relax_all(graph, k, bounds, slopes)
    lower, upper = bounds.lower[k].clone(), bounds.upper[k].clone()
    batch, size = lower.shape
    if most < 0.6 * union:  # each domain has its own few
        elements = mask.to(torch.float64).topk(most, 1).indices
    else:
        elements = mask.any(0).nonzero()[:, 0][None]
    piece = max(1, ELEMENTS // (2 * batch * max(graph.nodes[j].size for j in depends)))
    for part in elements.split(piece, 1):
        A = torch.zeros(*part.shape, size, dtype=torch.float64).scatter_(2, part[..., None], 1.0)
        bound = pull_back(graph, k, torch.cat([A, -A], 1), bounds, relaxations)
        below, above = bound.least(bounds.lower[0], bounds.upper[0]).split(part.shape[1], 1)
        where = part.expand(batch, -1)
        lower.scatter_(1, where, torch.maximum(lower.gather(1, where), below))
        upper.scatter_(1, where, torch.minimum(upper.gather(1, where), -above))
    return lower, upper


def output_bound(
    graph: ComputationGraph, C: Tensor, bounds: NodeBounds, slopes: NodeSlopes | None = None, **options: object
) -> LinearBound:
    """The backward bound of C y, y the output, C (B or 1, S, size)."""
    return pull_back(
        graph, graph.output, C, bounds, relax_all(graph, graph.output, bounds, slopes), **options  # type: ignore[arg-type]
    )  # fmt: skip


__all__ = [
    "INFINITE", "LinearBound", "absolute_sum", "crown", "node_bounds", "open_elements", "open_mask", "output_bound",
    "pull_back",
]  # fmt: skip
