"""A liquid network over a whole sequence, by the compiled loops of `_liquid_loops`, or in plain torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.arithmetic.lanes import LANES, WIDTH
from ranvier.codegen.buffers import empty
from ranvier.codegen.threads import run_shares, shares
from ranvier.nn.liquid._ltc_loops import backward_loop, forward_loop
from ranvier.nn.liquid.wirings import LiquidSynapses
from ranvier.nn.operators import compiling, first_order, operator

_LOG2_E = math.log2(math.e)
_GROUPS = 8  # of blocks that sum gradients for themselves, whatever the number of threads


@dataclass(frozen=True, eq=False)
class Wires:
    """Synapses as tensors: where each target's begin, (N + 1,); sources (S,) int32 and int64; targets (S,)."""

    first: Tensor
    narrow: Tensor
    sources: Tensor
    targets: Tensor

    @classmethod
    def of(cls, synapses: LiquidSynapses, units: int) -> Wires:
        sources = torch.from_numpy(synapses.sources)
        return cls(
            torch.from_numpy(synapses.first(units)), sources.int(), sources, torch.from_numpy(synapses.targets)
        )

    def to(self, device: torch.device) -> Wires:
        """On another device."""
        return Wires(*(t.to(device) for t in (self.first, self.narrow, self.sources, self.targets)))


def plain(
    x: Tensor, v: Tensor, rate: Tensor, cells: Sequence[Tensor], recurrent: Sequence[Tensor], sensory: Sequence[Tensor],
    wires: tuple[Wires, Wires], unfolds: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """x (T, B, I), v (B, N), rate (T, B) = unfolds/Δt; cells C, g E, g + epsilon (N,); synapses σ, μ, w, E (S,)."""
    capacity, leak, total = cells
    wires = wires[0].to(x.device), wires[1].to(x.device)
    outputs = []
    for row, r in zip(x.unbind(0), rate.unbind(0), strict=True):
        n_in, d_in = conductances(row, sensory, wires[1], v)
        c = capacity * r[:, None]
        for _ in range(unfolds):
            n, d = conductances(v, recurrent, wires[0], v)
            v = (c * v + leak + n_in + n) / (c + total + d_in + d)
        outputs.append(v)
    return torch.stack(outputs), v


def conductances(pre: Tensor, synapses: Sequence[Tensor], wires: Wires, like: Tensor) -> tuple[Tensor, Tensor]:
    """Σ w σ(·) E and Σ w σ(·) by target, (B, N), from what the sources hold (B, K)."""
    sigma, mu, w, reversal = synapses
    s = w * torch.sigmoid(sigma * (pre[:, wires.sources] - mu))
    zero, at = torch.zeros_like(like), wires.targets.expand(s.shape)  # scatter_add goes to ONNX, index_add does not
    return zero.scatter_add(1, at, s * reversal), zero.scatter_add(1, at, s)


def fused(
    x: Tensor, v: Tensor, rate: Tensor, cells: Sequence[Tensor], recurrent: Sequence[Tensor], sensory: Sequence[Tensor],
    wires: tuple[Wires, Wires], unfolds: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `plain`."""
    tensors = (x, v, rate, *cells, *recurrent, *sensory)
    addresses = [t for each in wires for t in (each.first, each.narrow)]
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    if compiling():
        y = _operator([*tensors, *addresses], [], [], [unfolds])[0]
    else:
        y = _Liquid.apply(unfolds, graph, *tensors, *addresses)
    return y, y[-1]


class _Liquid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, unfolds: int, graph: bool, *tensors: Tensor) -> Tensor:  # type: ignore[override]
        wires, tensors = tensors[-4:], tensors[:-4]
        x, v, rate = tensors[:3]
        cells = torch.stack(tensors[3:6], 1)
        (T, B, inputs), N = x.shape, v.shape[1]
        blocks = _blocks(B)
        xs, vs, rates = to_lanes(x), to_lanes(v[None])[:, 0], to_lanes(rate[:, :, None], fill=1.0)
        synapses = _synapses(wires, [_forward_table(*tensors[k : k + 4]) for k in (6, 10)])
        shape = (blocks, T, unfolds, N, LANES)
        y = empty(shape if graph else (blocks, T, N, LANES), x.dtype)
        inverse = empty(shape, x.dtype) if graph else None
        scratch = x.new_empty(blocks, 4 * N + 2, LANES)
        states = y if inverse is None else inverse
        tables = _tables([xs[k], vs[k], rates[k], *synapses, cells, scratch[k], y[k], states[k]] for k in range(blocks))
        sizes = (T, N, inputs, unfolds, int(graph))
        parts = shares(blocks, y.numel() * 64)
        run_shares(forward_loop, x.dtype, [(tables.ctypes.data, *part, *sizes) for part in parts])
        ctx.unfolds = unfolds
        if graph:
            ctx.save_for_backward(xs, vs, rates, cells, y, inverse, *tensors[6:], *wires)
            ctx.batch = B
        return from_lanes(y[:, :, -1] if graph else y, B)

    @staticmethod
    @first_order
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        xs, vs, rates, cells, y, inverse, *synapses = ctx.saved_tensors
        synapses, wires = synapses[:-4], synapses[-4:]
        unfolds, B = ctx.unfolds, ctx.batch
        (blocks, T, inputs, _), N = xs.shape, vs.shape[1]
        groups = min(blocks, _GROUPS)
        g_y = to_lanes(g)
        g_v, g_x, g_rate = torch.zeros_like(vs), torch.empty_like(xs), torch.empty_like(rates)
        sums, sensory_sums = (g.new_zeros(groups, len(s), 4, WIDTH) for s in (synapses[0], synapses[4]))
        cell_sums = g.new_zeros(groups, N, 3, LANES)
        table = _synapses(wires, [_backward_table(*synapses[k : k + 4]) for k in (0, 4)])
        scratch = g.new_empty(groups, 3 * N + 2, LANES)
        ends = [blocks * group // groups for group in range(groups + 1)]
        tables = _tables(
            [xs[k], vs[k], rates[k], *table, cells, scratch[group], y[k], inverse[k], g_y[k], g_v[k], g_x[k], g_rate[k],
             sums[group], sensory_sums[group], cell_sums[group]]
            for group in range(groups) for k in range(ends[group], ends[group + 1])
        )  # fmt: skip
        sizes = (T, N, inputs, unfolds, 1)
        parts = [(ends[lo], ends[hi]) for lo, hi in shares(groups, y.numel() * 64)]
        run_shares(backward_loop, g.dtype, [(tables.ctypes.data, *part, *sizes) for part in parts])
        by_cell = cell_sums.sum((0, 3))
        return (
            None, None, from_lanes(g_x, B), from_lanes(g_v[:, None], B)[0], from_lanes(g_rate, B)[..., 0],
            *by_cell.unbind(1), *_by_synapse(sums, *synapses[:4]), *_by_synapse(sensory_sums, *synapses[4:]),
            *[None] * 4,
        )  # fmt: skip


_operator = operator(
    "ltc", _Liquid, lambda options, graph: (options[2][0], graph),
    lambda tensors, options: [(*tensors[0].shape[:2], tensors[1].shape[1])],
)  # fmt: skip


def _by_synapse(sums: Tensor, sigma: Tensor, mu: Tensor, w: Tensor, reversal: Tensor) -> tuple[Tensor, ...]:
    """Gradients by σ, μ, w, E from what `add_synapse_gradients` summed."""
    by_n, by_d, h, vh = sums.sum((0, 3)).unbind(1)
    return w * (vh - mu * h), -w * sigma * h, reversal * by_n + by_d, w * by_n


def _forward_table(sigma: Tensor, mu: Tensor, w: Tensor, reversal: Tensor) -> Tensor:
    return torch.stack([-_LOG2_E * sigma, _LOG2_E * sigma * mu, w, w * reversal], 1)


def _backward_table(sigma: Tensor, mu: Tensor, w: Tensor, reversal: Tensor) -> Tensor:
    return torch.stack([-_LOG2_E * sigma, _LOG2_E * sigma * mu, reversal, w * sigma], 1)


def _synapses(wires: Sequence[Tensor], tables: list[Tensor]) -> list[Tensor]:
    return [*wires[:2], tables[0], *wires[2:], tables[1]]


def _blocks(batch: int) -> int:
    return -(-batch // LANES)


def to_lanes(x: Tensor, fill: float = 0.0) -> Tensor:
    """(T, B, K) -> (blocks, T, K, LANES), filled up."""
    T, B, K = x.shape
    full = B // LANES
    out = empty((_blocks(B), T, K, LANES), x.dtype)
    if full:
        out[:full].copy_(x[:, : full * LANES].unflatten(1, (full, LANES)).permute(1, 0, 3, 2))
    if rest := B - full * LANES:
        out[full, :, :, :rest].copy_(x[:, full * LANES :].transpose(1, 2))
        out[full, :, :, rest:].fill_(fill)
    return out


def from_lanes(y: Tensor, batch: int) -> Tensor:
    """(blocks, T, K, LANES) -> (T, B, K)."""
    return y.permute(1, 0, 3, 2).flatten(1, 2)[:, :batch]


def _tables(arrays: Iterable[list[Tensor]]) -> np.ndarray:
    """The arrays' addresses, a row a block."""
    return np.array([[a.data_ptr() for a in row] for row in arrays], np.int64)
