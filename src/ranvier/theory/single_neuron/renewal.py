"""Renewal processes whose intervals are inverse Gaussian: spectrum, counts and correlation function in closed form.

The sum of k such intervals is inverse Gaussian again (Tweedie 1957, Ann. Math. Stat. 28:362), of mean k mu and shape
k^2 mu/CV^2. The spectrum of a regular neuron has peaks as narrow as pi r CV^2, which no grid of frequencies resolves;
that of this process with its rate and CV has the same peaks, and their integrals are known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TAIL = 9.0  # standard deviations after which no further interval ends


def spectrum(rate: Tensor, cv: Tensor, f: Tensor) -> Tensor:
    """Of spike trains at `f` (F,) Hz, (F, M) in the unit of `rate` (M,) 1/ms; r CV^2 at 0."""
    x = (f * (2 * math.pi / 1000))[:, None] / rate
    low = (x == 0).expand(len(f), len(rate))
    safe = torch.where(low, torch.ones_like(x), x)
    half = (torch.sqrt(1 + 2j * safe * cv**2) - 1) / (2 * cv**2)  # minus half the logarithm of the transform
    return torch.where(low, rate * cv**2, rate * (1 / torch.tanh(half)).real)


def unresolved(rate: Tensor, cv: Tensor, f: Tensor) -> Tensor:
    """(F, M) whether `f` (F,) Hz, ascending, lies at a peak narrower than its distance to the next."""
    apart = torch.diff(f)
    apart = torch.maximum(torch.cat([apart, apart[-1:]]), torch.cat([apart[:1], apart]))[:, None]
    r = 1000 * rate.detach()
    k = torch.round(f[:, None] / r).clamp(min=1.0)
    return (math.pi * r * (k * cv.detach()) ** 2 < apart) & ((f[:, None] - k * r).abs() < 2 * apart)


def count_variance(rate: Tensor, cv: Tensor, window: Tensor) -> Tensor:
    """Of spikes in stationary windows of `window` (L,) ms, (L, M); `rate` (M,) 1/ms.

    r T - (r T)^2 + 2 r sum_k E[(T - X_k)^+], X_k the sum of k intervals (Cox & Lewis 1966, eq. 4.5.9)."""
    T, mean = window.abs()[:, None], rate * window.abs()[:, None]
    total = torch.zeros_like(mean)
    for k in range(1, _terms(mean, cv) + 1):
        total = total + _remaining(k / rate, k / cv**2, T)
    return mean - mean**2 + 2 * rate * total


def correlation(rate: Tensor, cv: Tensor, lags: Tensor, bin: float) -> Tensor:
    """Autocorrelation function at `lags` (L,) ms of spikes in bins of `bin` ms, with the peak at 0; with bin 0 the
    function without that peak; (L, M) 1/ms^2, less r^2."""
    if bin > 0:
        up, at, down = (count_variance(rate, cv, x) for x in (lags + bin, lags, lags - bin))
        return (up + down - 2 * at) / (2 * bin**2)
    t = lags.abs()[:, None].clamp(min=1e-9)
    total = torch.zeros_like(t * rate)
    for k in range(1, _terms(rate * t, cv) + 1):
        mean, shape = k / rate, k / cv**2
        z2 = shape * (t / mean - 1) ** 2 * mean / t
        total = total + torch.sqrt(shape * mean / (2 * math.pi * t**3)) * torch.exp(-z2 / 2)
    return total * rate - rate**2


def _terms(mean: Tensor, cv: Tensor) -> int:
    """Most intervals that end within windows of `mean` spikes."""
    most = mean.detach() + TAIL * cv.detach() * torch.sqrt(mean.detach() + 1) + TAIL**2 * cv.detach() ** 2
    return math.ceil(float(most.max())) + 1


def _remaining(mean: Tensor, shape: Tensor, T: Tensor) -> Tensor:
    """E[(T - X)^+] for X inverse Gaussian of `mean` and lambda = shape mean, at T (L, 1)."""
    t = T.clamp(min=1e-9)
    root = torch.sqrt(shape * mean / t)
    a, b = root * (t / mean - 1), root * (t / mean + 1)
    below = torch.special.ndtr(a)
    beyond = 0.5 * torch.special.erfcx(b / math.sqrt(2)) * torch.exp(-(a**2) / 2)
    return (t * (below + beyond) - mean * (below - beyond)).clamp(min=0.0)
