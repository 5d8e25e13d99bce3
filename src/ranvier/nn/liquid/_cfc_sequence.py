"""A closed-form cell over a whole sequence: matrix products of all steps at once where they can be, one node of the
autograd graph, weights' gradients from one product at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.codegen.buffers import empty
from ranvier.codegen.calls import call
from ranvier.nn.liquid._cfc_loops import activate, activate_back, interpolate, interpolate_back
from ranvier.nn.operators import compiling, first_order, operator

#: activations height · tanh(slope · z) of the backbone; LeCun's as ncps rounds it
HEIGHTS = {"lecun_tanh": (1.7159, 0.666), "tanh": (1.0, 1.0)}


def fused(x: Tensor, h: Tensor, spans: Tensor, gate: bool, activation: str, weights: list[Tensor]) -> Tensor:
    """x (T, B, I), h (B, N), spans (T, B) -> h (T, B, N). `weights`: matrix and bias of each layer of the backbone,
    then of the four heads together (4 N, ·)."""
    if compiling():
        return _operator([x, h, spans, *weights], [], list(HEIGHTS[activation]), [int(gate)])[0]
    return _ClosedForm.apply(gate, HEIGHTS[activation], x, h, spans, *weights)


class _ClosedForm(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, gate: bool, heights: tuple[float, float], x: Tensor, h: Tensor, spans: Tensor, *weights: Tensor
    ) -> Tensor:
        (T, B, inputs), N = x.shape, h.shape[1]
        matrices, biases = weights[::2], weights[1::2]
        flat, spans = x.reshape(T * B, inputs), spans.contiguous()
        rows = [empty((T, B, len(m)), x.dtype) for m in matrices]
        torch.addmm(biases[0], flat, matrices[0][:, :inputs].T, out=rows[0].view(T * B, -1))
        y = empty((T, B, N), x.dtype)
        recurrent = matrices[0][:, inputs:].T.contiguous()
        others = [m.T for m in matrices[1:]]
        squash, blend = call(activate, "iidd", x.dtype), call(interpolate, "iiiiii", x.dtype)
        steps = [row.unbind(0) for row in rows]
        before = h.contiguous()
        for t, (after, span) in enumerate(zip(y.unbind(0), spans.unbind(0), strict=True)):
            z = steps[0][t]
            z.addmm_(before, recurrent)
            for k, matrix in enumerate(others, 1):
                squash(z.data_ptr(), z.numel(), *heights)
                z = torch.addmm(biases[k], z, matrix, out=steps[k][t])
            blend(z.data_ptr(), span.data_ptr(), after.data_ptr(), B, N, int(gate))
            before = after
        ctx.gate, ctx.heights, ctx.layers = gate, heights, len(matrices)
        ctx.save_for_backward(x, h, spans, y, *rows, *matrices)
        return y

    @staticmethod
    @first_order
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, h, spans, y, *rest = ctx.saved_tensors
        rows, matrices = rest[: ctx.layers], rest[ctx.layers :]
        (T, B, inputs), N = x.shape, h.shape[1]
        g_rows = [empty(tuple(row.shape), x.dtype) for row in rows]
        g_spans = torch.empty_like(spans)
        g, recurrent = g.contiguous(), matrices[0][:, inputs:].contiguous()
        squash = call(activate_back, "iiidd", x.dtype)
        blend = call(interpolate_back, "iiiiiiii", x.dtype)
        steps, g_steps = [row.unbind(0) for row in rows], [row.unbind(0) for row in g_rows]
        at_spans, at_g_spans = spans.unbind(0), g_spans.unbind(0)
        carried = torch.empty_like(h)
        total = g[-1]
        for t in range(T - 1, -1, -1):
            blend(total.data_ptr(), steps[-1][t].data_ptr(), at_spans[t].data_ptr(), g_steps[-1][t].data_ptr(),
                  at_g_spans[t].data_ptr(), B, N, int(ctx.gate))  # fmt: skip
            for k in range(ctx.layers - 1, 0, -1):
                z = steps[k - 1][t]
                back = torch.mm(g_steps[k][t], matrices[k], out=g_steps[k - 1][t])
                squash(back.data_ptr(), z.data_ptr(), z.numel(), *ctx.heights)
            if t:
                total = torch.addmm(g[t - 1], g_steps[0][t], recurrent, out=carried)
        g_h = g_rows[0][0] @ recurrent
        flat = [row.view(T * B, -1) for row in g_rows]
        before = flat[0][:B].T @ h
        if T > 1:
            before = before + flat[0][B:].T @ y[:-1].reshape(-1, N)
        by_weight: list[Tensor] = [torch.cat([flat[0].T @ x.reshape(T * B, inputs), before], 1), flat[0].sum(0)]
        for k in range(1, ctx.layers):
            by_weight += [flat[k].T @ rows[k - 1].view(T * B, -1), flat[k].sum(0)]
        g_x = (flat[0] @ matrices[0][:, :inputs]).view(T, B, inputs) if ctx.needs_input_grad[2] else None
        return None, None, g_x, g_h, g_spans, *by_weight


_operator = operator(
    "cfc", _ClosedForm, lambda options, graph: (bool(options[2][0]), tuple(options[1])),
    lambda tensors, options: [(*tensors[0].shape[:2], tensors[1].shape[1])],
)  # fmt: skip
