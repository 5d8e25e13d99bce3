"""The compiled loop of `cross_correlation`, apart so that numba is imported only when it runs."""

from __future__ import annotations

from ranvier.codegen.compilation import compiled


@compiled(nogil=True)
def count_pairs(bins, starts, fresh, pairs, lo, hi, out):  # type: ignore[no-untyped-def]
    """Add to out[p, d − lo] the spikes a of i and b of j with bins d = a − b, the later one ≥ fresh.

    `bins` are sorted within each neuron, whose spikes are starts[n] .. starts[n + 1].
    """
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        opening, end = starts[i], starts[i + 1]
        for y in range(starts[j], starts[j + 1]):
            b = bins[y]
            while opening < end and bins[opening] < b + lo:
                opening += 1
            x = opening
            while x < end and bins[x] <= b + hi:
                if bins[x] >= fresh or b >= fresh:
                    out[p, bins[x] - b - lo] += 1
                x += 1
