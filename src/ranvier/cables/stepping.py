"""The loop over steps: currents of all processes, the tree's linear system by elimination, spikes and recordings.

A step of the midpoint rule solves (2C/dt + S + G) δ = −M(V) − G V + I for the change δ up to its middle, M being the
membrane's current and S its slope there, G the axial conductances; V moves by 2δ. Gates lie half a step behind V, so
that M is taken with gates of the middle (Hines 1984, Int. J. Biomed. Comput. 15:69): second order. Backward Euler has
dt in the place of dt/2, and V moves by δ: first order, without ringing. Elimination begins at the tips, where a row has
two entries, and takes a number of operations proportional to the compartments (Hines 1984).
"""

from __future__ import annotations

from ranvier.codegen.compilation import compiled
from ranvier.codegen.pointers import call7


@compiled(nogil=True, error_model="numpy")
def eliminate_one(D, R, axial, parent, V):
    """δ in place of R, of one cell; D is the diagonal without axial conductances, R the currents without them."""
    n = len(parent)
    for i in range(n - 1, 0, -1):
        p, g = parent[i], axial[i]
        flow = g * (V[p] - V[i])
        inverse = 1 / (D[i] + g)
        share = g * inverse
        r = R[i] + flow
        D[p] += D[i] * share
        R[p] += share * r - flow
        D[i], R[i] = share, r * inverse
    R[0] /= D[0]
    for i in range(1, n):
        R[i] += D[i] * R[parent[i]]


@compiled(nogil=True, error_model="numpy")
def eliminate(D, R, axial, parent, V, cells):
    """As `eliminate_one`, of several cells that lie beside each other."""
    n = len(parent)
    for i in range(n - 1, 0, -1):
        p, g, at = parent[i] * cells, axial[i], i * cells
        for c in range(cells):
            flow = g * (V[p + c] - V[at + c])
            inverse = 1 / (D[at + c] + g)
            share = g * inverse
            r = R[at + c] + flow
            D[p + c] += D[at + c] * share
            R[p + c] += share * r - flow
            D[at + c], R[at + c] = share, r * inverse
    for c in range(cells):
        R[c] /= D[c]
    for i in range(1, n):
        p, at = parent[i] * cells, i * cells
        for c in range(cells):
            R[at + c] += D[at + c] * R[p + c]


@compiled(nogil=True, error_model="numpy")
def advance(
    start, stop, base, dt, move, V, M, S, X, loads, axial, parent, cells, table, injected, injections,
    event_steps, event_places, event_sizes, event, detectors, threshold, spikes, spike_times, recorded, slopes, changes,
    every, rows, row,
):  # fmt: skip
    """Steps `start` to `stop`; returns (the step reached, next event, spikes, next row); it stops early when there is
    no room for more spikes. `X` holds the processes' memory, `table` a row of addresses for each of them."""
    count = 0
    size = len(parent) * cells
    for step in range(start, stop):
        if count + len(detectors) > len(spikes):
            return step, event, count, row
        while event < len(event_steps) and event_steps[event] <= step:
            X[event_places[event]] += event_sizes[event]
            event += 1
        for i in range(size):
            M[i] = 0
            S[i] = loads[i]
        for p in range(len(table)):
            at = V.ctypes.data, M.ctypes.data, S.ctypes.data
            call7(table[p, 0], table[p, 1], table[p, 2], table[p, 3], at[0], at[1], at[2], 0, dt)
        for i in range(size):
            M[i] = -M[i]
        for k in range(len(injected)):
            M[injected[k]] += injections[step - base, k]
        if cells == 1:
            eliminate_one(S, M, axial, parent, V)
        else:
            eliminate(S, M, axial, parent, V, cells)
        for k in range(len(detectors)):
            at = detectors[k]
            before, after = V[at], V[at] + move * M[at]
            if before < threshold and after >= threshold:
                spikes[count] = k
                spike_times[count] = (step + (threshold - before) / (after - before)) * dt
                count += 1
        for i in range(size):
            V[i] += move * M[i]
        if (step + 1) % every == 0 and row < len(rows):
            for k in range(len(recorded)):
                value = V[recorded[k]] if slopes[k] == -2 else X[recorded[k]]
                if slopes[k] >= 0:
                    value += X[slopes[k]] * M[changes[k]]
                rows[row, k] = value
            row += 1
    return stop, event, count, row


__all__ = ["advance", "eliminate", "eliminate_one"]
