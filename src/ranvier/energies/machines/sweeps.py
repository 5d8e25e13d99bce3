"""Compiled sweeps over ±1 spins: the fields are kept, so that a unit which does not flip costs nothing.

A flip of unit i adds −2 s_i W[i] to all fields: one row is read in order, which is the memory's own speed.
"""

from __future__ import annotations

import math

from ranvier.codegen.compilation import compiled

QUENCH, METROPOLIS, GLAUBER, HEAT_BATH = range(4)


@compiled(nogil=True)
def sweep(W, s, h, order, u, beta, rule):
    """One pass over the units in `order`, with uniforms u; s and h = W s + field change in place. Flips."""
    flips = 0
    for k in range(len(order)):
        i = order[k]
        aligned = s[i] * h[i]  # a flip costs 2 s_i h_i
        if rule == QUENCH:
            flip = aligned < 0
        elif rule == METROPOLIS:
            flip = aligned <= 0 or u[k] < math.exp(-2 * beta * aligned)
        elif rule == GLAUBER:
            flip = u[k] * (1 + math.exp(min(2 * beta * aligned, 700.0))) < 1
        else:
            up = u[k] * (1 + math.exp(min(-2 * beta * h[i], 700.0))) < 1
            flip = up != (s[i] > 0)
        if flip:
            s[i] = -s[i]
            change = s[i] + s[i]
            row = W[i]
            for j in range(len(h)):
                h[j] += change * row[j]
            flips += 1
    return flips


@compiled(nogil=True)
def sweeps(W, s, h, orders, u, beta, rule, flips, magnetisation, energy, field):
    """Rows of `orders` and `u` (T, n), one sweep each; a record of each sweep; a quench ends when none flips."""
    for t in range(len(orders)):
        flips[t] = sweep(W, s, h, orders[t], u[t], beta, rule)
        total, e = 0.0, 0.0
        for j in range(len(s)):
            total += s[j]
            e -= 0.5 * s[j] * (h[j] + field[j])  # −½ s·W s − s·field, as h = W s + field
        magnetisation[t], energy[t] = total / len(s), e
        if rule == QUENCH and flips[t] == 0:
            return t + 1
    return len(orders)


__all__ = ["GLAUBER", "HEAT_BATH", "METROPOLIS", "QUENCH", "sweep", "sweeps"]
