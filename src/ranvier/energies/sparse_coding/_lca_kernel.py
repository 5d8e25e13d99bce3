"""LCA's compiled loop, one signal after another."""

import numpy as np

from ranvier.codegen.compilation import compiled


@compiled(fastmath={"nsz", "arcp", "contract", "reassoc", "afn"})
def run(b, gram, lam, step, tol, max_steps, hard):  # pragma: no cover
    """b (B, M), gram (M, M) -> (codes (B, M), steps taken (B,), -1 where it still moves)."""
    B, M = b.shape
    codes, taken = np.zeros_like(b), np.full(B, -1)
    u, g, active = np.empty_like(b[0]), np.empty_like(b[0]), np.empty(M, np.int64)
    zero, half = b.dtype.type(0), b.dtype.type(0.5)
    rounding = b.dtype.type(1e-6) if b.itemsize == 4 else b.dtype.type(1e-14)
    for s in range(B):
        a, drive, eta, k, last = codes[s], b[s], step, 0, zero
        u[:] = zero
        for t in range(max_steps):
            inhibit(g, drive, gram, a, active, k)  # g = b − Ga
            energy, scale = zero, zero
            for q in range(k):
                i = active[q]
                energy += (half * lam * lam if hard else lam * abs(a[i])) - half * a[i] * (drive[i] + g[i])
                scale += abs(a[i] * drive[i])
            if energy > last + rounding * scale:
                eta = half * eta
            last, driven = energy, zero
            for i in range(M):
                driven = max(driven, abs(g[i]))
                u[i] += eta * (g[i] - u[i] + a[i])
            moved = zero
            for q in range(k):
                i = active[q]
                if abs(u[i]) <= lam:
                    moved = max(moved, abs(a[i]))
                    a[i] = zero
            k = 0
            for i in range(M):
                if abs(u[i]) > lam:
                    value = u[i] if hard else (u[i] - lam if u[i] > 0 else u[i] + lam)
                    moved = max(moved, abs(value - a[i]))
                    a[i] = value
                    active[k] = i
                    k += 1
            if moved <= tol * lam * eta and driven <= (1 + tol) * lam:
                taken[s] = t + 1
                break
    return codes, taken


@compiled(fastmath={"nsz", "arcp", "contract", "reassoc", "afn"})
def inhibit(g, drive, gram, a, active, k):  # pragma: no cover
    """g = drive − gram a, four active neurons at a time: each of g's values is then read and written once a four."""
    M = len(g)
    for i in range(M):
        g[i] = drive[i]
    q = 0
    while q + 4 <= k:
        i0, i1, i2, i3 = active[q], active[q + 1], active[q + 2], active[q + 3]
        r0, r1, r2, r3 = gram[i0], gram[i1], gram[i2], gram[i3]
        a0, a1, a2, a3 = a[i0], a[i1], a[i2], a[i3]
        for i in range(M):
            g[i] -= a0 * r0[i] + a1 * r1[i] + a2 * r2[i] + a3 * r3[i]
        q += 4
    while q < k:
        row, value = gram[active[q]], a[active[q]]
        for i in range(M):
            g[i] -= value * row[i]
        q += 1
