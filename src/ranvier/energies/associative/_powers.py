"""Compiled sums of rectified powers, for `DenseClassifier`: whole powers by squaring, a row of memories at a time."""

from __future__ import annotations

import numpy as np

from ranvier.codegen.compilation import compiled


@compiled(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _raise(base, n, out):
    """out = baseⁿ; base is spoilt. The loop over bits lies outside, so that rows are vectorised."""
    out[:] = np.float32(1.0)
    while n > 0:
        if n & 1:
            for k in range(len(out)):
                out[k] *= base[k]
        n >>= 1
        if n > 0:
            for k in range(len(out)):
                base[k] *= base[k]


@compiled(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def forward(low, raised, n, out):
    """out[b, c] = Σ_k [low[b, k] + raised[c, k]]₊ⁿ − [low[b, k]]₊ⁿ."""
    base, power = np.empty_like(low[0]), np.empty_like(low[0])
    zero = np.float32(0.0)
    for b in range(len(low)):
        row = low[b]
        for k in range(len(base)):
            base[k] = max(row[k], zero)
        _raise(base, n, power)
        below = zero
        for k in range(len(power)):
            below += power[k]
        for c in range(len(raised)):
            up = raised[c]
            for k in range(len(base)):
                base[k] = max(row[k] + up[k], zero)
            _raise(base, n, power)
            total = zero
            for k in range(len(power)):
                total += power[k]
            out[b, c] = total - below


@compiled(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def backward(low, raised, n, grad, to_low, to_raised):
    """Gradients of `forward`; to_raised must be zero at first."""
    base, power = np.empty_like(low[0]), np.empty_like(low[0])
    zero = np.float32(0.0)
    for b in range(len(low)):
        row, sent, total = low[b], to_low[b], zero
        for c in range(len(raised)):
            total += grad[b, c]
        for k in range(len(base)):
            base[k] = max(row[k], zero)
        _raise(base, n - 1, power)
        factor = -np.float32(n) * total
        for k in range(len(base)):
            sent[k] = factor * power[k]
        for c in range(len(raised)):
            up, into = raised[c], to_raised[c]
            for k in range(len(base)):
                base[k] = max(row[k] + up[k], zero)
            _raise(base, n - 1, power)
            factor = np.float32(n) * grad[b, c]
            for k in range(len(base)):
                each = factor * power[k]
                sent[k] += each
                into[k] += each


__all__ = ["backward", "forward"]
