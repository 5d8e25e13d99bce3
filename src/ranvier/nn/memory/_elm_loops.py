# mypy: ignore-errors
"""What an expressive leaky memory does elementwise between its matrix products, and the way back."""

from ranvier.codegen.arithmetic import simd
from ranvier.codegen.pointers import pointer, weight_bytes


def leak(x, first, kappa, steps, batch, units, one):
    """x (T, B, N) ← its leaky sums x_t + κ x_{t−1}, from `first` (B, N) on."""
    row = weight_bytes(one) * units
    k = pointer(kappa, one)
    for t in range(steps):
        for b in range(batch):
            at = pointer(x + row * (t * batch + b), one)
            before = pointer(first + row * b if t == 0 else x + row * ((t - 1) * batch + b), one)
            for i in range(units):
                at[i] += k[i] * before[i]


def leak_back(g, kappa, steps, batch, units, one):
    """The adjoint of `leak`: g (T, B, N) ← g_t + κ g_{t+1}."""
    row = weight_bytes(one) * units
    k = pointer(kappa, one)
    for s in range(steps - 1):
        t = steps - 2 - s
        for b in range(batch):
            at, after = pointer(g + row * (t * batch + b), one), pointer(g + row * ((t + 1) * batch + b), one)
            for i in range(units):
                at[i] += k[i] * after[i]


def rectify(z, count, one):
    """z ← max(z, 0)."""
    at, zero = pointer(z, one), type(one)(0)
    for i in range(count):
        at[i] = at[i] if at[i] > zero else zero


def rectify_back(g, z, count, one):
    """g ← g where z > 0, from z after `rectify`."""
    to, at, zero = pointer(g, one), pointer(z, one), type(one)(0)
    for i in range(count):
        to[i] = to[i] if at[i] > zero else zero


def remember(u, decayed, m, kappa, gain, batch, units, height, slope, one):
    """u (B, N) ← Δ = height tanh(slope u); m ← kept + gain Δ; kept ← κ m, for the next step."""
    row, h, s = weight_bytes(one) * units, type(one)(height), type(one)(slope)
    k, a = pointer(kappa, one), pointer(gain, one)
    for b in range(batch):
        at, hold, out = pointer(u + row * b, one), pointer(decayed + row * b, one), pointer(m + row * b, one)
        for i in range(units):
            at[i] = h * simd.tanh(s * at[i])
        for i in range(units):
            out[i] = hold[i] + a[i] * at[i]
        for i in range(units):
            hold[i] = k[i] * out[i]


def remember_back(g, delta, g_u, gain, batch, units, height, slope, one):
    """From m's gradient g and Δ, the gradient by u."""
    row, h, s = weight_bytes(one) * units, type(one)(height), type(one)(slope)
    a = pointer(gain, one)
    for b in range(batch):
        at, d, to = pointer(g + row * b, one), pointer(delta + row * b, one), pointer(g_u + row * b, one)
        for i in range(units):
            y = d[i] / h
            to[i] = at[i] * a[i] * h * s * (type(one)(1) - y * y)


def carry_back(g, through, kappa, g_next, batch, units, one):
    """The rest of a step back: through ← q = g + through, the gradient by κ m of the step before; g_next += κ q."""
    row = weight_bytes(one) * units
    k = pointer(kappa, one)
    for b in range(batch):
        at, t, to = pointer(g + row * b, one), pointer(through + row * b, one), pointer(g_next + row * b, one)
        for i in range(units):
            q = at[i] + t[i]
            t[i] = q
            to[i] += k[i] * q
