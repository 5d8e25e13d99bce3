"""A compiled sweep of a dense associative memory: overlaps are whole numbers, so F is looked up."""

from __future__ import annotations

from ranvier.codegen.compilation import compiled


@compiled(nogil=True)
def sweeps(xi, s, overlap, order, table, steep):
    """Units in `order` take the sign with more Σ_μ F(overlap); ties stay. s and overlap (P,) in place. Flips.

    xi: (N, P), int32. table: F at −N .. N; if `steep`, exp(−k), to be read k below the largest overlap.
    """
    n, flips = len(s), 0
    for k in range(len(order)):
        i = order[k]
        row, up, down = xi[i], 0.0, 0.0
        if steep:
            top = -n
            for mu in range(len(overlap)):
                top = max(top, overlap[mu] - row[mu] * s[i])
            top += 1
            for mu in range(len(overlap)):
                rest = overlap[mu] - row[mu] * s[i]
                up += table[top - rest - row[mu]]
                down += table[top - rest + row[mu]]
        else:
            for mu in range(len(overlap)):
                rest = overlap[mu] - row[mu] * s[i] + n
                up += table[rest + row[mu]]
                down += table[rest - row[mu]]
        gain = (down - up) * s[i]
        if gain > 1e-13 * (abs(up) + abs(down)):  # a tie, but for rounding, is one
            for mu in range(len(overlap)):
                overlap[mu] -= 2 * row[mu] * s[i]
            s[i] = -s[i]
            flips += 1
    return flips


__all__ = ["sweeps"]
