"""The compiled run of an echo-state reservoir: weights between units as shifts of a ring, or as any sparse matrix."""

from __future__ import annotations

import numpy as np

from ranvier.codegen.arithmetic.simd import tanh
from ranvier.codegen.compilation import compiled
from ranvier.codegen.loops import assign

FASTMATH = {"contract", "nsz", "arcp", "reassoc"}


@compiled(error_model="numpy", fastmath=FASTMATH)
def recur(shifts, weights, starts, sources, values, twice, total):
    """`total` (units,) gains W r; `twice` (2 units,) holds the state r two times over."""
    units, eights = len(total), len(shifts) // 8 * 8
    for k in range(0, eights, 8):  # eight at once: as many fewer passes over `total`
        a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        e, f, g, h = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        p, q = twice[shifts[k] : shifts[k] + units], twice[shifts[k + 1] : shifts[k + 1] + units]
        r, s = twice[shifts[k + 2] : shifts[k + 2] + units], twice[shifts[k + 3] : shifts[k + 3] + units]
        t, u = twice[shifts[k + 4] : shifts[k + 4] + units], twice[shifts[k + 5] : shifts[k + 5] + units]
        v, w = twice[shifts[k + 6] : shifts[k + 6] + units], twice[shifts[k + 7] : shifts[k + 7] + units]
        for i in range(units):
            total[i] += (a[i] * p[i] + b[i] * q[i] + c[i] * r[i] + d[i] * s[i]) + (
                e[i] * t[i] + f[i] * u[i] + g[i] * v[i] + h[i] * w[i]
            )
    for k in range(eights, len(shifts)):
        row, moved = weights[k], twice[shifts[k] : shifts[k] + units]
        for i in range(units):
            total[i] += row[i] * moved[i]
    for i in range(len(starts) - 1):
        heard = total[i]
        for k in range(starts[i], starts[i + 1]):
            heard += values[k] * twice[sources[k]]
        total[i] = heard


@compiled(error_model="numpy", fastmath=FASTMATH)
def net_input(u, inputs, bias, shifts, weights, starts, sources, values, twice, total):
    """`total` (units,) becomes W_in u + b + W r; `twice` (2 units,) holds the state r two times over."""
    assign(total, bias)
    for j in range(len(u)):
        for i in range(len(bias)):
            total[i] += inputs[j, i] * u[j]
    recur(shifts, weights, starts, sources, values, twice, total)


@compiled(error_model="numpy", fastmath=FASTMATH)
def advance(u, inputs, bias, shifts, weights, starts, sources, values, leak, twice, total):
    """One step: `twice` (2 units,) holds the state two times over and is changed; `total` (units,) becomes it."""
    units = len(bias)
    net_input(u, inputs, bias, shifts, weights, starts, sources, values, twice, total)
    for i in range(units):  # by itself: what is written here twice over would keep it from going by vectors
        total[i] = twice[i] + leak * (tanh(total[i]) - twice[i])
    for i in range(units):
        twice[i] = total[i]
        twice[units + i] = total[i]


@compiled(error_model="numpy", fastmath=FASTMATH)
def powers(shifts, weights, starts, sources, values, vector, times):
    """W^times v up to a factor, of norm 1, and by how much the last product made it longer."""
    units = len(vector)
    twice, total, length = np.concatenate((vector, vector)), np.empty_like(vector), 0.0
    for _ in range(times):
        total[:] = 0.0
        recur(shifts, weights, starts, sources, values, twice, total)
        square = 0.0
        for i in range(units):
            square += total[i] * total[i]
        length = np.sqrt(square)
        if length == 0.0:
            break
        for i in range(units):
            twice[i] = total[i] / length
        assign(twice[units:], twice[:units])
    return twice[:units].copy(), length


@compiled(error_model="numpy", fastmath=FASTMATH)
def run(X, inputs, bias, shifts, weights, starts, sources, values, leak, state, out):
    """r <- (1 - leak) r + leak tanh(W_in x + b + W r) for each row of X (T, d), into the rows of `out` (T, units)."""
    twice, total = np.concatenate((state, state)), np.empty_like(state)
    for t in range(len(X)):
        advance(X[t], inputs, bias, shifts, weights, starts, sources, values, leak, twice, total)
        assign(out[t], total)
    return total if len(X) else state


@compiled(error_model="numpy", fastmath=FASTMATH)
def read(readout, total, x, direct, difference, out):
    """out (outputs,) = readout (outputs, units + direct (1 + d)) of the state and the input x (d,)."""
    units = len(total)
    for j in range(len(out)):
        a = x[j] if difference else x.dtype.type(0)
        row = readout[j]
        for i in range(units):
            a += row[i] * total[i]
        if direct:
            a += row[units]
            for m in range(len(x)):
                a += row[units + 1 + m] * x[m]
        out[j] = a


@compiled(error_model="numpy", fastmath=FASTMATH)
def respond(X, y, inputs, bias, shifts, weights, starts, sources, values, leak, state, readout, direct, difference):
    """Outputs (T, outputs) of rows X (T, d) where units hear the last output, y at first: inputs (d + outputs, ...)."""
    d, heard = X.shape[1], len(inputs) - X.shape[1]
    twice, total = np.concatenate((state, state)), np.empty_like(state)
    u, out = np.empty(len(inputs)), np.empty((len(X), len(readout)))
    last = y.copy()
    for t in range(len(X)):
        assign(u[:d], X[t])
        assign(u[d:], last[:heard])
        advance(u, inputs, bias, shifts, weights, starts, sources, values, leak, twice, total)
        read(readout, total, X[t], direct, difference, out[t])
        assign(last, out[t])
    return out, twice[: len(state)].copy(), last


@compiled(error_model="numpy", fastmath=FASTMATH)
def roll(first, y, inputs, bias, shifts, weights, starts, sources, values, leak, state, readout, direct, difference,
         steps):  # fmt: skip
    """The same where the row itself is the last output, `first` at the beginning."""
    d, heard = len(first), len(inputs) - len(first)
    twice, total = np.concatenate((state, state)), np.empty_like(state)
    u, out, x, last = np.empty(len(inputs)), np.empty((steps, d)), first.copy(), y.copy()
    for t in range(steps):
        assign(u[:d], x)
        assign(u[d:], last[:heard])
        advance(u, inputs, bias, shifts, weights, starts, sources, values, leak, twice, total)
        read(readout, total, x, direct, difference, out[t])
        assign(x, out[t])
        assign(last, out[t])
    return out


@compiled(error_model="numpy", fastmath=FASTMATH)
def force(X, Y, certainty, y, inputs, bias, shifts, weights, starts, sources, values, leak, state, readout, P, direct,
          skip):  # fmt: skip
    """FORCE (Sussillo & Abbott 2009, eq. 3-5): recursive least squares while the units hear what is read out.

    certainty (T,): the weight of each row. readout (outputs, F) and P (F, F) are changed. Returns the outputs, each
    before it was learned from, the state and the last output.
    """
    d, heard, units = X.shape[1], len(inputs) - X.shape[1], len(bias)
    twice, total = np.concatenate((state, state)), np.empty_like(state)
    F = len(P)
    u, out, f, g = np.empty(len(inputs)), np.empty((len(X), len(readout))), np.empty(F), np.empty(F)
    last = y.copy()
    for t in range(len(X)):
        assign(u[:d], X[t])
        assign(u[d:], last[:heard])
        advance(u, inputs, bias, shifts, weights, starts, sources, values, leak, twice, total)
        read(readout, total, X[t], direct, False, out[t])
        if t >= skip and certainty[t] > 0:
            assign(f[:units], total)
            if direct:
                f[units] = 1.0
                assign(f[units + 1 :], X[t])
            scale = 1.0 / certainty[t]
            for i in range(F):
                product = 0.0
                for j in range(F):
                    product += P[i, j] * f[j]
                g[i] = product
                scale += f[i] * product
            for i in range(F):
                step = g[i] / scale
                for j in range(F):
                    P[i, j] -= step * g[j]
            for k in range(len(readout)):
                error = out[t, k] - Y[t, k]
                for i in range(F):
                    readout[k, i] -= error * g[i] / scale
        assign(last, out[t])
    return out, twice[:units].copy(), last


@compiled(error_model="numpy", fastmath=FASTMATH)
def adapt(X, inputs, bias, shifts, weights, starts, sources, values, leak, state, gain, mean, deviation, rate):
    """Intrinsic plasticity (Schrauwen et al. 2008, eq. 9-10): `gain` and `bias` of each unit change, so that the law of
    its activity nears a Gaussian one. y = tanh(gain net + bias)."""
    units = len(bias)
    twice, total, zero = np.concatenate((state, state)), np.empty_like(state), np.zeros_like(bias)
    for t in range(len(X)):
        before = twice.copy()
        net_input(X[t], inputs, zero, shifts, weights, starts, sources, values, twice, total)
        for i in range(units):
            net = total[i]
            y = np.tanh(gain[i] * net + bias[i])
            variance = deviation * deviation
            change = -rate * (-mean / variance + y / variance * (2 * variance + 1 - y * y + mean * y))
            bias[i] += change
            gain[i] += rate / gain[i] + change * net
            new = before[i] + leak * (y - before[i])
            twice[i] = new
            twice[units + i] = new
    return twice[:units].copy()
