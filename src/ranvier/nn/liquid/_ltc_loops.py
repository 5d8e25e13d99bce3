# mypy: ignore-errors
"""A liquid network's steps through time, forward and back, for one block of the batch.

A row is L = LANES batch entries. What a synapse computes is never stored, but computed again on the way back; the
membranes after every unfold are, and the inverse of the update's denominator. `table` holds the arrays' addresses,
in the order of the first lines; `first` (N + 1) tells where each target's synapses begin, `sources` (int32) whence.
`share`: the address of the blocks' tables, the first block and the end, T, N, inputs, unfolds, keep.
"""

from numba import njit

from ranvier.codegen.arithmetic.lanes import LANES, add_synapse_gradients, add_synapses
from ranvier.codegen.pointers import INNER, pointer, weight_bytes


def forward_loop(share, one):
    """`_forward` for each of its blocks."""
    R = pointer(share, 0)
    for k in range(R[1], R[2]):
        _forward(R[0] + 8 * 13 * k, R[3], R[4], R[5], R[6], R[7], one)


@njit(**INNER)
def _forward(table, T, N, inputs, unfolds, keep, one):
    """x (T, I, L), v0 (N, L), rate (T, L) = unfolds/Δt -> y, the membranes: (T, unfolds, N, L) if `keep`, with the
    denominators' inverses, else (T, N, L). cells (N, 3): C, g E, g + epsilon; scratch (4 N + 2, L)."""
    at = pointer(table, 0)
    x, v0, rate, first, sources, weights = at[0], at[1], at[2], at[3], at[4], at[5]
    sensory_first, sensory_sources, sensory_weights, cells = at[6], at[7], at[8], at[9]
    scratch, y, inverse = at[10], at[11], at[12]
    size = weight_bytes(one)
    row = size * LANES
    block = row * N
    n, d = scratch, scratch + row
    sensory_n, sensory_d = scratch + 2 * row, scratch + 2 * row + block
    spare = scratch + 2 * row + 2 * block
    targets, sensory_targets, cell = pointer(first, 0), pointer(sensory_first, 0), pointer(cells, one)
    num, den = pointer(n, one), pointer(d, one)
    v = v0
    for t in range(T):
        rates = pointer(rate + row * t, one)
        for j in range(N):
            s_n, s_d = pointer(sensory_n + row * j, one), pointer(sensory_d + row * j, one)
            for l in range(LANES):
                s_n[l] = type(one)(0)
                s_d[l] = type(one)(0)
            add_synapses(x + row * inputs * t, sensory_sources, sensory_weights, sensory_targets[j],
                         sensory_targets[j + 1], sensory_n + row * j, sensory_d + row * j, one)  # fmt: skip
        for u in range(unfolds):
            if keep:
                new = y + block * (t * unfolds + u)
            elif u == unfolds - 1:
                new = y + block * t
            else:
                new = spare + block * (u % 2)
            for j in range(N):
                old, fresh = pointer(v + row * j, one), pointer(new + row * j, one)
                s_n, s_d = pointer(sensory_n + row * j, one), pointer(sensory_d + row * j, one)
                capacity, leak, total = cell[3 * j], cell[3 * j + 1], cell[3 * j + 2]
                for l in range(LANES):
                    c = capacity * rates[l]
                    num[l] = c * old[l] + (leak + s_n[l])
                    den[l] = c + (total + s_d[l])
                add_synapses(v, sources, weights, targets[j], targets[j + 1], n, d, one)
                if keep:
                    inv = pointer(inverse + block * (t * unfolds + u) + row * j, one)
                    for l in range(LANES):
                        q = type(one)(1) / den[l]
                        inv[l] = q
                        fresh[l] = num[l] * q
                else:
                    for l in range(LANES):
                        fresh[l] = num[l] * (type(one)(1) / den[l])
            v = new


def backward_loop(share, one):
    """`_backward` for each of its blocks."""
    R = pointer(share, 0)
    for k in range(R[1], R[2]):
        _backward(R[0] + 8 * 20 * k, R[3], R[4], R[5], R[6], R[7], one)


@njit(**INNER)
def _backward(table, T, N, inputs, unfolds, keep, one):
    """The adjoint of `_forward` with `keep`. g_y (T, N, L); g_v (N, L), on entry the last state's gradient, on
    return the first one's; g_x (T, I, L) and g_rate (T, L) are written, sums added to: of synapses (S, 4, 16), of
    cells (N, 3, L): by C, g E, g. Here a synapse's row is a, b, E, w σ; scratch (3 N + 2, L)."""
    at = pointer(table, 0)
    x, v0, rate, first, sources, weights = at[0], at[1], at[2], at[3], at[4], at[5]
    sensory_first, sensory_sources, sensory_weights, cells = at[6], at[7], at[8], at[9]
    scratch, y, inverse, g_y, g_v, g_x, g_rate = at[10], at[11], at[12], at[13], at[14], at[15], at[16]
    sums, sensory_sums, cell_sums = at[17], at[18], at[19]
    size = weight_bytes(one)
    row = size * LANES
    block = row * N
    zero = type(one)(0)
    g_n, g_d = scratch, scratch + row
    sensory_n, sensory_d = scratch + 2 * row, scratch + 2 * row + block
    other = scratch + 2 * row + 2 * block
    targets, sensory_targets, cell = pointer(first, 0), pointer(sensory_first, 0), pointer(cells, one)
    by_n, by_d = pointer(g_n, one), pointer(g_d, one)
    g_old, g_new = other, g_v
    for s in range(T):
        t = T - 1 - s
        rates, g_rates = pointer(rate + row * t, one), pointer(g_rate + row * t, one)
        cotangent, carried = pointer(g_y + block * t, one), pointer(g_new, one)
        for l in range(LANES):
            g_rates[l] = zero
        clear_n, clear_d = pointer(sensory_n, one), pointer(sensory_d, one)
        for l in range(LANES * N):
            carried[l] += cotangent[l]
            clear_n[l] = zero
            clear_d[l] = zero
        for back in range(unfolds):
            u = t * unfolds + (unfolds - 1 - back)
            v = v0 if u == 0 else y + block * (u - 1)
            cleared = pointer(g_old, one)
            for l in range(LANES * N):
                cleared[l] = zero
            for j in range(N):
                old, fresh = pointer(v + row * j, one), pointer(y + block * u + row * j, one)
                inv, g = pointer(inverse + block * u + row * j, one), pointer(g_new + row * j, one)
                to = pointer(g_old + row * j, one)
                s_n, s_d = pointer(sensory_n + row * j, one), pointer(sensory_d + row * j, one)
                capacity = cell[3 * j]
                by_c = pointer(cell_sums + 3 * row * j, one)
                by_leak = pointer(cell_sums + 3 * row * j + row, one)
                by_g = pointer(cell_sums + 3 * row * j + 2 * row, one)
                for l in range(LANES):
                    a = g[l] * inv[l]
                    b = -a * fresh[l]
                    c = a * old[l] + b
                    by_n[l] = a
                    by_d[l] = b
                    s_n[l] += a
                    s_d[l] += b
                    by_c[l] += c * rates[l]
                    g_rates[l] += c * capacity
                    by_g[l] += b
                    by_leak[l] += a
                    to[l] += a * capacity * rates[l]
                add_synapse_gradients(v, g_old, sources, weights, sums, targets[j], targets[j + 1], g_n, g_d,
                                      one)  # fmt: skip
            swap = g_new
            g_new = g_old
            g_old = swap
        cleared = pointer(g_x + row * inputs * t, one)
        for l in range(LANES * inputs):
            cleared[l] = zero
        for j in range(N):
            add_synapse_gradients(x + row * inputs * t, g_x + row * inputs * t, sensory_sources, sensory_weights,
                                  sensory_sums, sensory_targets[j], sensory_targets[j + 1], sensory_n + row * j,
                                  sensory_d + row * j, one)  # fmt: skip
    if g_new != g_v:
        left, right = pointer(g_v, one), pointer(g_new, one)
        for l in range(LANES * N):
            left[l] = right[l]
