"""Maps of activity in space: rates by place, spatial information, and how grid-like a map is."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def rate_maps(places: Any, activity: Any, shape: tuple[int, int]) -> Array:
    """Mean activity (T, N) at each place (T,), row by row: maps (N, rows, columns), NaN at unvisited places."""
    where, y = np.asarray(places), np.asarray(activity, float)
    if where.ndim != 1 or where.dtype.kind not in "iu" or len(where) == 0:
        raise ValueError(f"places has shape {where.shape}, {where.dtype}; expected whole numbers (T,)")
    if y.ndim != 2 or len(y) != len(where) or not np.isfinite(y).all():
        raise ValueError(f"activity has shape {y.shape}; expected finite rows ({len(where)}, N), one a place")
    size = shape[0] * shape[1]
    if where.min() < 0 or where.max() >= size:
        raise ValueError(f"places reach from {where.min()} to {where.max()}; expected 0 to {size - 1}: see the shape")
    visits = np.bincount(where, minlength=size).astype(float)
    sums = np.stack([np.bincount(where, weights=column, minlength=size) for column in y.T])
    maps = np.divide(sums, visits, out=np.full_like(sums, np.nan), where=visits > 0)
    return maps.reshape(-1, *shape)


def spatial_information(maps: Any, occupancy: Any) -> Array:
    """Σ_i p_i (r_i/r) log₂(r_i/r), r = Σ p_i r_i: bits a spike tells of the place (Skaggs et al. 1993), (N,).

    maps (N, rows, columns) of rates from 0, occupancy (rows, columns) in any unit; NaN for silent cells.
    """
    rates, p = np.asarray(maps, float), np.asarray(occupancy, float)
    if rates.ndim != 3 or rates.shape[1:] != p.shape:
        raise ValueError(f"maps has shape {rates.shape}; expected (N, {', '.join(map(str, p.shape))}) as occupancy has")
    visited = p > 0
    if not visited.any() or not np.isfinite(p).all() or (p < 0).any():
        raise ValueError(f"occupancy adds up to {p.sum()}; expected times from 0 on, somewhere more")
    rates, p = rates[:, visited], p[visited] / p[visited].sum()
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise ValueError("maps holds NaN or rates below 0 at visited places; expected rates from 0 on")
    mean = rates @ p
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = rates / mean[:, None]
        terms = np.where(ratio > 0, ratio * np.log2(np.where(ratio > 0, ratio, 1.0)), 0.0)
    return np.where(mean > 0, terms @ p, np.nan)


def autocorrelogram(rate_map: Any) -> Array:
    """Pearson's correlation of a map (R, C) with itself at every shift, (2 R − 1, 2 C − 1), over overlapping bins.

    NaN bins are left out; NaN where fewer than 10 bins overlap or one side is constant.
    """
    x = _square(rate_map)
    known = np.isfinite(x).astype(float)
    x = np.where(known > 0, x, 0.0)
    x = x - x.sum() / known.sum()
    x = x * known
    shape = tuple(2 * n - 1 for n in x.shape)

    def crossed(a: Array, b: Array) -> Array:
        product = np.fft.rfft2(a, shape) * np.conj(np.fft.rfft2(b, shape))
        return np.fft.fftshift(np.fft.irfft2(product, shape))

    n = np.round(crossed(known, known))
    first, second = crossed(x, known), crossed(known, x)
    squares, others = crossed(x * x, known), crossed(known, x * x)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (squares - first**2 / n) * (others - second**2 / n)
        result = (crossed(x, x) - first * second / n) / np.sqrt(variance)
    tiny = 1e-12 * max((x * x).sum(), 1e-300) ** 2
    return np.where((n >= 10) & (variance > tiny), result.clip(-1, 1), np.nan)


def gridness(rate_map: Any, *, fold: int = 6) -> float:
    """How far a map (R, C) repeats under rotation by 360°/`fold` and not in between, from −2 to 2.

    Of the autocorrelogram's annulus, without its central peak: the least correlation with itself rotated by multiples
    of 360°/fold below 180°, or at 180° where that is the only one but for 90° (fold 4), less the greatest at half-way
    angles; the best of all outer radii (Sargolini et al. 2006; Langston et al. 2010: fold 6, 60° and 120° against 30°,
    90° and 150°; fold 4 for square lattices: 90° against 45° and 135°). NaN for a constant map.
    """
    from scipy.ndimage import rotate

    if fold not in (4, 6):
        raise ValueError(f"fold is {fold}; expected 6, or 4 for square lattices")
    r = autocorrelogram(rate_map)
    centre = np.array([(n - 1) / 2 for n in r.shape])
    rows, columns = np.indices(r.shape)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    known = np.isfinite(r)
    if not known.any():
        return float("nan")
    radii = np.arange(1.0, centre.min() + 1)
    means = np.array([r[known & (abs(distance - k) <= 0.5)].mean() if (known & (abs(distance - k) <= 0.5)).any()
                      else np.nan for k in radii])  # fmt: skip
    valleys = np.flatnonzero((means[1:-1] <= means[:-2]) & (means[1:-1] <= means[2:])) + 1
    inner = radii[valleys[0]] if len(valleys) else 1.5
    step = 360 // fold
    angles = [*range(step, 180, step)], [*range(step // 2, 180, step)]
    filled = np.where(known, r, 0.0)
    turned = {a: (rotate(filled, a, reshape=False, order=1), rotate(known.astype(float), a, reshape=False, order=1))
              for a in (*angles[0], *angles[1])}  # fmt: skip
    best = float("nan")
    for outer in radii[radii >= inner + 2]:
        ring = (distance >= inner) & (distance <= outer) & known
        scores = {}
        for a, (image, share) in turned.items():
            both = ring & (share > 0.99)
            flat = both.sum() < 8 or np.ptp(filled[both]) < 1e-9 or np.ptp(image[both]) < 1e-9
            scores[a] = float("nan") if flat else float(np.corrcoef(filled[both], image[both])[0, 1])
        score = min(scores[a] for a in angles[0]) - max(scores[a] for a in angles[1])
        best = score if not best >= score else best
    return best


def _square(rate_map: Any) -> Array:
    x = np.asarray(rate_map, float, order="C")
    if x.ndim != 2 or min(x.shape) < 5:
        raise ValueError(f"rate_map has shape {x.shape}; expected (R, C), five bins or more a side")
    if not np.isfinite(x).any() or np.isinf(x).any():
        raise ValueError("rate_map holds no number, or infinity; expected rates, NaN where the animal was not")
    return x


__all__ = ["autocorrelogram", "gridness", "rate_maps", "spatial_information"]
