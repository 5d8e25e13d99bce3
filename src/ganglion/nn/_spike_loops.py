# mypy: ignore-errors
"""The loops of `_spikes`, compiled and called through their addresses; z is (rows, inputs), `one` its number type."""

import numpy as np

from ganglion.engines._loops import weight_bytes
from ganglion.engines._machine import pointer


def count_active(z, rows, inputs, starts, one):
    """starts[r + 1] = number of inputs of rows 0 .. r that are not zero."""
    first = pointer(starts, 0)
    total = 0
    first[0] = 0
    for r in range(rows):
        row = pointer(z + weight_bytes(one) * r * inputs, one)
        n = np.int32(0)
        for k in range(inputs):
            n += np.int32(1) if row[k] != type(one)(0) else np.int32(0)
        total += n
        first[r + 1] = total


def list_active(z, rows, inputs, starts, active, one):
    """Their indices, row after row; one place more than there are is written to."""
    first, out = pointer(starts, 0), pointer(active, np.int32(0))
    for r in range(rows):
        row = pointer(z + weight_bytes(one) * r * inputs, one)
        at = first[r]
        for k in range(inputs):
            out[at] = np.int32(k)
            at += 1 if row[k] != type(one)(0) else 0


def add_rows(z, weight, active, starts, out, inputs, outputs, lo, hi, one):
    """out[r] += Σ_k z[r, k] weight[k] for rows lo .. hi − 1; weight is (inputs, outputs)."""
    first, index = pointer(starts, 0), pointer(active, np.int32(0))
    size = weight_bytes(one)
    for r in range(lo, hi):
        row, total = pointer(z + size * r * inputs, one), pointer(out + size * r * outputs, one)
        j, end = first[r], first[r + 1]
        while j + 4 <= end:
            ka, kb, kc, kd = index[j], index[j + 1], index[j + 2], index[j + 3]
            za, zb, zc, zd = row[ka], row[kb], row[kc], row[kd]
            a, b = pointer(weight + size * outputs * ka, one), pointer(weight + size * outputs * kb, one)
            c, d = pointer(weight + size * outputs * kc, one), pointer(weight + size * outputs * kd, one)
            for i in range(outputs):
                total[i] = (((total[i] + za * a[i]) + zb * b[i]) + zc * c[i]) + zd * d[i]
            j += 4
        while j < end:
            k = index[j]
            zk, w = row[k], pointer(weight + size * outputs * k, one)
            for i in range(outputs):
                total[i] += zk * w[i]
            j += 1


def add_outer(z, g, active, starts, out, inputs, outputs, lo, hi, one):
    """out[k] += Σ_r z[r, k] g[r] over all rows, columns lo .. hi − 1; out is (inputs, outputs)."""
    first, index = pointer(starts, 0), pointer(active, np.int32(0))
    size = weight_bytes(one)
    rows = pointer(starts - 8, 0)[0]
    for r in range(rows):
        row, gradient = pointer(z + size * r * inputs, one), pointer(g + size * (r * outputs + lo), one)
        for j in range(first[r], first[r + 1]):
            k = index[j]
            zk, total = row[k], pointer(out + size * (outputs * k + lo), one)
            for i in range(hi - lo):
                total[i] += zk * gradient[i]
