# mypy: ignore-errors
"""What a closed-form cell does elementwise between its matrix products, and the way back."""

from ranvier.codegen.arithmetic import simd
from ranvier.codegen.pointers import pointer, weight_bytes


def activate(z, count, height, slope, one):
    """z ← height tanh(slope z)."""
    at, h, s = pointer(z, one), type(one)(height), type(one)(slope)
    for i in range(count):
        at[i] = h * simd.tanh(s * at[i])


def activate_back(g, z, count, height, slope, one):
    """g ← g dz/d(input), from z after `activate`."""
    at, to, h, s = pointer(z, one), pointer(g, one), type(one)(height), type(one)(slope)
    for i in range(count):
        y = at[i] / h
        to[i] *= h * s * (type(one)(1) - y * y)


def interpolate(heads, spans, h, batch, units, gate, one):
    """heads (B, 4 N), before their activations f₁, f₂, t_a, t_b, become tanh, tanh, t_a and σ(t_a Δt + t_b);
    h (B, N) = f₁ (1 − σ) + f₂ σ, without the gate f₁ + f₂ σ."""
    row = weight_bytes(one) * units
    unit = type(one)(1)
    share = unit if gate else type(one)(0)
    dt = pointer(spans, one)
    for b in range(batch):
        f, g = pointer(heads + 4 * row * b, one), pointer(heads + 4 * row * b + row, one)
        ta, tb = pointer(heads + 4 * row * b + 2 * row, one), pointer(heads + 4 * row * b + 3 * row, one)
        out, span = pointer(h + row * b, one), dt[b]
        for i in range(units):
            f[i] = simd.tanh(f[i])
        for i in range(units):
            g[i] = simd.tanh(g[i])
        for i in range(units):
            tb[i] = unit / (unit + simd.exp(-(ta[i] * span + tb[i])))
        for i in range(units):
            out[i] = f[i] * (unit - share * tb[i]) + g[i] * tb[i]


def interpolate_back(g_h, heads, spans, g_heads, g_spans, batch, units, gate, one):
    """The adjoint of `interpolate`, from the heads it left."""
    row = weight_bytes(one) * units
    unit = type(one)(1)
    share = unit if gate else type(one)(0)
    dt, by_dt = pointer(spans, one), pointer(g_spans, one)
    for b in range(batch):
        f, g = pointer(heads + 4 * row * b, one), pointer(heads + 4 * row * b + row, one)
        ta, s = pointer(heads + 4 * row * b + 2 * row, one), pointer(heads + 4 * row * b + 3 * row, one)
        gf, rv = pointer(g_heads + 4 * row * b, one), pointer(g_heads + 4 * row * b + row, one)
        ga, gb = pointer(g_heads + 4 * row * b + 2 * row, one), pointer(g_heads + 4 * row * b + 3 * row, one)
        cotangent, span = pointer(g_h + row * b, one), dt[b]
        for i in range(units):
            gf[i] = cotangent[i] * (unit - share * s[i]) * (unit - f[i] * f[i])
        for i in range(units):
            rv[i] = cotangent[i] * s[i] * (unit - g[i] * g[i])
        for i in range(units):
            gb[i] = cotangent[i] * (g[i] - share * f[i]) * s[i] * (unit - s[i])
        total = type(one)(0)
        for i in range(units):
            ga[i] = gb[i] * span
            total += gb[i] * ta[i]
        by_dt[b] = total
