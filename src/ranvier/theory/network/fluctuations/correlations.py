"""From cross-spectra at some frequencies to covariances over windows and cross-correlation functions.

What is wanted is an integral of C(f) against a known kernel that may oscillate: C(f), which is smooth, is
interpolated by a cubic spline between the nodes, and spline times kernel integrated exactly (a Filon rule).
One set of nodes then serves every window and lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray


def frequency_nodes(highest: float, finest: float, coarsest: float, growth: float = 40.0) -> Tensor:
    """(F,) Hz from 0 to `highest`: steps of at most `finest`, then of f/growth, then of `coarsest`."""
    finest = min(finest, coarsest)
    nodes = [0.0]
    while nodes[-1] < highest:
        nodes.append(nodes[-1] + min(max(finest, nodes[-1] / growth), coarsest))
    return torch.tensor(nodes, dtype=torch.float64) * (highest / nodes[-1])


def window_weights(nodes: Tensor, window: float) -> Tensor:
    """(1, F): weights with which sum_f w_f Re C(f) is the integral of C(f) [sin(pi f T)/(pi f)]^2 over all f,
    T = `window` in ms; counts for C in Hz."""
    T = window / 1000
    return torch.from_numpy(_filon(nodes.numpy(), lambda f: (T * np.sinc(f * T))[None] ** 2 + 0j, T))


def lag_weights(nodes: Tensor, lags: Tensor, bin: float) -> Tensor:
    """(L, F): weights with which Re sum_f w_f C(f) is the integral of C(f) e^{2 pi i f tau} over all f,
    smoothed by a triangle of base 2 `bin` (ms; 0: not at all), at `lags` tau (L,) in ms."""
    tau, width = lags.numpy()[:, None] / 1000, bin / 1000

    def kernel(f: Array) -> Array:
        return np.exp(2j * np.pi * f * tau) * np.sinc(f * width) ** 2

    return torch.from_numpy(_filon(nodes.numpy(), kernel, float(np.abs(tau).max(initial=0)) + 2 * width))


def triangle(lags: Tensor, bin: float) -> Tensor:
    """(L,) 1/s: a delta peak at lag 0 after binning: (1 - |lag|/bin)/bin, 0 beyond."""
    return torch.clamp(1 - lags.abs() / bin, min=0) * (1000 / bin)


def _filon(nodes: Array, kernel: Callable[[Array], Array], reach: float) -> Array:
    """(Q, F) complex weights of the integral of spline(f) kernel_q(f) over all f, C(-f) being conj C(f).

    kernel: (f,) -> (Q, f), oscillating as fast as e^{2 pi i f reach}.
    """
    from scipy.interpolate import CubicSpline

    pieces = CubicSpline(nodes, np.eye(len(nodes))).c  # (power, interval, node)
    widths = np.diff(nodes)
    moments = np.zeros((4, len(widths), len(kernel(nodes[:1]))), dtype=complex)
    points = (4 + np.ceil(2.5 * widths * reach)).astype(int)
    for count in np.unique(points):
        chosen = np.flatnonzero(points == count)
        # many points are laid as several panels of few
        panels, order = (1, count) if count <= 24 else (-(-count // 12), 12)
        x, weight = np.polynomial.legendre.leggauss(order)
        u = ((np.arange(panels)[:, None] + (x + 1) / 2) / panels).reshape(-1)
        weight = np.tile(weight / 2 / panels, panels)
        for at in np.array_split(chosen, max(1, len(chosen) * len(u) * moments.shape[2] // 4_000_000)):
            offset = u * widths[at, None]
            values = kernel((nodes[at, None] + offset).reshape(-1)).reshape(-1, *offset.shape)
            for p in range(4):
                scaled = offset ** (3 - p) * weight * widths[at, None]
                moments[p, at] = (values * scaled).sum(-1).T
    return 2 * np.einsum("pkn,pkq->qn", pieces, moments, optimize=True)


def bin_width(lags: Tensor, bin: float | None) -> float:
    """`bin` in ms, by default the least spacing of `lags` (L,). Raises ValueError where there is none."""
    if bin is None:
        if len(lags) < 2 or float(torch.unique(lags).diff().min() if len(torch.unique(lags)) > 1 else 0) <= 0:
            raise ValueError(
                "there is one lag, which has no spacing; expected the bin's width in ms: give bin= (0: no bins)"
            )
        return float(torch.unique(lags).diff().min())
    if not (math.isfinite(bin) and bin >= 0):
        raise ValueError(f"bin is {bin}; expected a width in ms, or 0")
    return float(bin)
