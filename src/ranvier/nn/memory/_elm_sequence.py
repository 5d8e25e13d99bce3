"""An expressive leaky memory over a whole sequence: one node of the autograd graph, products of all steps at once
where they can be, weights' gradients from one product at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ranvier.codegen.buffers import empty
from ranvier.codegen.calls import call
from ranvier.nn.memory._elm_loops import carry_back, leak, leak_back, rectify, rectify_back, remember, remember_back
from ranvier.nn.operators import compiling, first_order, operator

#: Δ = HEIGHT tanh(SLOPE u)
HEIGHT, SLOPE = 1.7159, 2 / 3


class LeakySum(torch.autograd.Function):
    """s_t = κ s_{t−1} + x_t: x (T, B, N), s_{−1} (B, N), κ (N,) without gradient -> s (T, B, N)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Tensor, kappa: Tensor) -> Tensor:  # type: ignore[override]
        s = empty(tuple(x.shape), x.dtype).copy_(x)
        first, kappa = first.contiguous(), kappa.contiguous()
        call(leak, "iiiiii", x.dtype)(s.data_ptr(), first.data_ptr(), kappa.data_ptr(), *x.shape)
        ctx.save_for_backward(kappa)
        return s

    @staticmethod
    @first_order
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (kappa,) = ctx.saved_tensors
        back = empty(tuple(g.shape), g.dtype).copy_(g)
        call(leak_back, "iiiii", g.dtype)(back.data_ptr(), kappa.data_ptr(), *g.shape)
        return back, kappa * back[0], None


class Memory(torch.autograd.Function):
    """s (T, B, K), m (B, N), κ and gain λ(1 − κ) (N,), matrix and bias of each layer of the MLP -> m (T, B, N)."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, s: Tensor, m: Tensor, kappa: Tensor, gain: Tensor, *weights: Tensor
    ) -> Tensor:
        (T, B, inputs), N = s.shape, m.shape[1]
        matrices, biases = weights[::2], weights[1::2]
        rows = [empty((T, B, len(each)), s.dtype) for each in matrices]
        torch.addmm(biases[0], s.reshape(T * B, inputs), matrices[0][:, :inputs].T, out=rows[0].view(T * B, -1))
        recurrent = matrices[0][:, inputs:].T.contiguous()
        others = [each.T for each in matrices[1:]]
        y = empty((T, B, N), s.dtype)
        decayed = (kappa * m).contiguous()
        squash, update = call(rectify, "ii", s.dtype), call(remember, "iiiiiiidd", s.dtype)
        steps = [row.unbind(0) for row in rows]
        kappa, gain = kappa.contiguous(), gain.contiguous()
        for t, after in enumerate(y.unbind(0)):
            z = steps[0][t]
            z.addmm_(decayed, recurrent)
            for k, matrix in enumerate(others, 1):
                squash(z.data_ptr(), z.numel())
                z = torch.addmm(biases[k], z, matrix, out=steps[k][t])
            update(z.data_ptr(), decayed.data_ptr(), after.data_ptr(), kappa.data_ptr(), gain.data_ptr(), B, N, HEIGHT,
                   SLOPE)  # fmt: skip
        ctx.layers = len(matrices)
        ctx.save_for_backward(s, m, kappa, gain, y, *rows, *matrices)
        return y

    @staticmethod
    @first_order
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        s, m, kappa, gain, y, *rest = ctx.saved_tensors
        rows, matrices = rest[: ctx.layers], rest[ctx.layers :]
        (T, B, inputs), N = s.shape, m.shape[1]
        total = empty(tuple(g.shape), g.dtype).copy_(g)
        g_m = torch.zeros_like(m, memory_format=torch.contiguous_format)
        g_rows = [empty(tuple(row.shape), s.dtype) for row in rows]
        learned = ctx.needs_input_grad[2] or ctx.needs_input_grad[3]
        recurrent, through = matrices[0][:, inputs:].contiguous(), empty((T if learned else 1, B, N), s.dtype)
        squash, update = call(rectify_back, "iii", s.dtype), call(remember_back, "iiiiiidd", s.dtype)
        carry = call(carry_back, "iiiiii", s.dtype)
        steps, g_steps = [row.unbind(0) for row in rows], [row.unbind(0) for row in g_rows]
        carried, partial = [g_m, *total.unbind(0)], through.unbind(0)
        at_kappa, at_gain = kappa.data_ptr(), gain.data_ptr()
        for t in range(T - 1, -1, -1):
            at, last, q = carried[t + 1].data_ptr(), g_steps[-1][t], partial[t if learned else 0]
            update(at, steps[-1][t].data_ptr(), last.data_ptr(), at_gain, B, N, HEIGHT, SLOPE)
            for k in range(ctx.layers - 1, 0, -1):
                last = torch.mm(last, matrices[k], out=g_steps[k - 1][t])
                squash(last.data_ptr(), steps[k - 1][t].data_ptr(), last.numel())
            torch.mm(last, recurrent, out=q)
            carry(at, q.data_ptr(), at_kappa, carried[t].data_ptr(), B, N)
        by_kappa = by_gain = None
        if learned:
            by_kappa = (through[0] * m).sum(0) + (through[1:] * y[:-1]).sum((0, 1))
            by_gain = (total * rows[-1]).sum((0, 1))
        flat = [row.view(T * B, -1) for row in g_rows]
        past = flat[0][:B].T @ (kappa * m)
        if T > 1:
            past = past + (flat[0][B:].T @ y[:-1].reshape(-1, N)) * kappa
        by_weight: list[Tensor] = [torch.cat([flat[0].T @ s.reshape(T * B, inputs), past], 1), flat[0].sum(0)]
        for k in range(1, ctx.layers):
            by_weight += [flat[k].T @ rows[k - 1].view(T * B, -1), flat[k].sum(0)]
        g_s = (flat[0] @ matrices[0][:, :inputs]).view(T, B, inputs) if ctx.needs_input_grad[0] else None
        return g_s, g_m, by_kappa, by_gain, *by_weight


_leaky_sum = operator(
    "elm_traces", LeakySum, lambda options, graph: (), lambda tensors, options: [tuple(tensors[0].shape)]
)
_memory = operator(
    "elm_memory", Memory, lambda options, graph: (),
    lambda tensors, options: [(*tensors[0].shape[:2], tensors[1].shape[1])],
)  # fmt: skip


def fused(
    x: Tensor, s: Tensor, m: Tensor, kappa_s: Tensor, kappa: Tensor, gain: Tensor, weights: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Branches' input x (T, B, K), s (B, K), m (B, N) -> traces (T, B, K), memories (T, B, N)."""
    if compiling():
        traces = _leaky_sum([x, s, kappa_s], [], [], [])[0]
        return traces, _memory([traces, m, kappa, gain, *weights], [], [], [])[0]
    traces = LeakySum.apply(x, s, kappa_s)
    return traces, Memory.apply(traces, m, kappa, gain, *weights)
