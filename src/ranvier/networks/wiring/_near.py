# mypy: ignore-errors
# (numba compiles these functions: their arguments have no Python types)
"""Compiled draws of wiring by distance."""

from __future__ import annotations

import numpy as np
from numba import njit

from ranvier.codegen.arithmetic.laws import exponential
from ranvier.codegen.arithmetic.simd import exp_f64, log_f64
from ranvier.codegen.arithmetic.streams import seeded, uniform
from ranvier.codegen.compilation import compiled
from ranvier.codegen.loops import assign
from ranvier.networks.wiring._draw import INNER, sort


@njit(**INNER)
def _chance(profile, square, scale, shape):
    if profile == 0:
        return exp_f64(-0.5 * square / (scale * scale))
    if profile == 1:
        return exp_f64(-np.sqrt(square) / scale)
    if profile == 3:
        return 1.0
    if profile == 4:
        if square == 0.0:
            return 0.0
        r, mode = np.sqrt(square) / scale, shape - 1.0
        return exp_f64(mode * log_f64(r / mode) - (r - mode))
    return 1.0 if square <= scale * scale else 0.0


@njit(**INNER)
def _shorter(gap, period):
    return gap - period * np.floor(gap / period + 0.5) if period > 0.0 else gap


@njit(**INNER)
def _gap(xs, xt, source, target, axis, period):
    """From target to source along an axis, the shorter way round where space is periodic."""
    return _shorter(xs[source, axis] - xt[target, axis], period[axis])


@njit(**INNER)
def _within(mask, extent, turn, gaps):
    """Whether a displacement lies in a mask: 0 none, 1 circle, 2 doughnut, 3 rectangle, 4 ellipse."""
    if mask == 0:
        return True
    if mask <= 2:
        square = 0.0
        for gap in gaps:
            square += gap * gap
        outer = extent[len(extent) - 1]
        return square <= outer * outer and (mask == 1 or square > extent[0] * extent[0])
    total = 0.0
    for axis in range(len(gaps)):
        gap = gaps[axis]
        if axis == 0 and len(gaps) > 1:
            gap = turn[0] * gaps[0] + turn[1] * gaps[1]
        elif axis == 1:
            gap = turn[0] * gaps[1] - turn[1] * gaps[0]
        share = 2.0 * abs(gap) / extent[axis]
        total = max(total, share) if mask == 3 else total + share * share
    return total <= 1.0


@njit(**INNER)
def _share(xs, xt, source, target, space, profile, gaps):
    """Of the peak, the chance of a pair.

    space: period (dimensions,), 0 where it is not periodic, and mask, extent, turn as of `_within`, about shift
    (dimensions,) from the target. profile: its number (0 Gaussian, 1 exponential, 2 disc, 3 constant, 4 gamma), scale
    and shape.
    """
    period, mask, extent, turn, shift = space
    square = 0.0
    for axis in range(len(gaps)):
        gap = _gap(xs, xt, source, target, axis, period)
        square += gap * gap
        gaps[axis] = _shorter(gap - shift[axis], period[axis])
    if mask != 0 and not _within(mask, extent, turn, gaps):
        return 0.0
    return _chance(profile[0], square, profile[1], profile[2])


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def near(xs, xt, space, profile, peak, key, alone, lo, hi, indptr, sources, fill):
    """Bernoulli draws with a chance that falls with distance; counts or fills as `scattered`.

    `space`, `profile`: as of `_share`.
    """
    n_source, gaps = len(xs), np.empty(xs.shape[1])
    for target in range(lo, hi):
        state, _ = uniform(seeded(key, target))
        row = target - lo
        edge = indptr[row]
        count = 0
        for source in range(n_source):
            state, u = uniform(state)
            if u >= peak or (alone and source == target):
                continue
            if u < peak * _share(xs, xt, source, target, space, profile, gaps):
                if fill:
                    sources[edge + count] = source
                count += 1
        if not fill:
            indptr[row + 1] = edge + count


@njit(**INNER)
def _smallest(a, k):
    """The k-th smallest number; reorders `a` (Hoare's selection: NumPy's partition takes long to compile)."""
    low, high = 0, len(a) - 1
    while low < high:
        pivot, i, j = a[(low + high) // 2], low, high
        while i <= j:
            while a[i] < pivot:
                i += 1
            while a[j] > pivot:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    return a[k - 1]


@compiled(error_model="numpy", no_cfunc_wrapper=True)
def chosen(xs, xt, space, profile, k, multapses, key, alone, lo, hi, sources):
    """Each target draws k sources in proportion to `_share`, one after the other; without `multapses` from those that
    are left. Returns the first target that has too few to choose from, or -1.

    Without replacement: the k smallest of exponential times with these rates (Efraimidis and Spirakis 2006).
    """
    n_source, gaps = len(xs), np.empty(xs.shape[1])
    values, ordered = np.empty(n_source), np.empty(n_source)
    for target in range(lo, hi):
        state, _ = uniform(seeded(key, target))
        at, total = (target - lo) * k, 0.0
        for source in range(n_source):
            share = 0.0 if alone and source == target else _share(xs, xt, source, target, space, profile, gaps)
            total += share
            if multapses:
                values[source] = total
            else:
                state, time = exponential(state)
                values[source] = time / share if share > 0.0 else np.inf
        if multapses:
            if k > 0 and total == 0.0:
                return target
            for edge in range(at, at + k):
                state, u = uniform(state)
                source, last = 0, n_source - 1
                while source < last:
                    middle = (source + last) // 2
                    if values[middle] > u * total:
                        last = middle
                    else:
                        source = middle + 1
                sources[edge] = source
            sort(sources[at : at + k])
        elif k > 0:
            assign(ordered, values)
            latest = _smallest(ordered, k)
            if latest == np.inf:
                return target
            count = 0
            for source in range(n_source):
                if values[source] <= latest and count < k:
                    sources[at + count] = source
                    count += 1
    return -1
