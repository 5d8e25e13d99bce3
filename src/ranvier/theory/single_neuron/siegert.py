"""Rate of the leaky integrate-and-fire neuron in white noise, by Siegert's formula in a stable form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.special import dawsn, erfc, erfcx
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.single_neuron.membrane import Value, check_parameters

ROOT_PI = math.sqrt(math.pi)


@dataclass(frozen=True, repr=False)
class Siegert(Brief):
    """`rate` Hz; `by_mu`, `by_sigma`: its slopes, Hz/mV. All have the broadcast shape of the parameters.

    Examples
    --------
    >>> import ranvier as rv
    >>> result = rv.theory.siegert(12.0, 5.0, tau=20.0, V_th=15.0, V_reset=0.0)
    >>> bool(result.by_mu > 0), bool(result.by_sigma > 0)
    (True, True)
    """

    rate: Tensor
    by_mu: Tensor
    by_sigma: Tensor


def siegert(
    mu: Value, sigma: Value, *, tau: Value, V_th: Value, V_reset: Value, t_ref: Value = 0.0
) -> Siegert:
    """tau dV = (mu - V) dt + sigma sqrt(2 tau) dW: rate and slopes, all differentiable (twice for the rate).

    mu: mean of the free membrane, E_L + drive, mV. sigma: its standard deviation, mV; Siegert (1951), Brunel
    (2000) and NNMT write sqrt(2) sigma. tau, t_ref: ms. V_th, V_reset: mV. Floats or tensors that broadcast.

    1/rate = t_ref + tau sqrt(pi) I, where I is the integral of erfcx(-u) from y_r to y_th and
    y = (V - mu)/(sqrt(2) sigma). What is computed is log I, so that neither I nor its slopes overflow. Raises
    ValueError naming the value at fault.

    Examples
    --------
    >>> import math
    >>> import ranvier as rv
    >>> rate = rv.theory.siegert(20.0, 0.1, tau=20.0, V_th=15.0, V_reset=0.0).rate  # hardly any noise
    >>> round(float(rate), 1), round(1000 / (20 * math.log(20 / 5)), 1)
    (36.1, 36.1)
    """
    names = ("mu", "sigma", "tau", "V_th", "V_reset", "t_ref")
    values_in = (torch.as_tensor(v, dtype=torch.float64) for v in (mu, sigma, tau, V_th, V_reset, t_ref))
    p = dict(zip(names, torch.broadcast_tensors(*values_in), strict=True))
    check_parameters({k: v.reshape(-1) for k, v in p.items()})
    s = math.sqrt(2) * p["sigma"]
    y_th, y_r = (p["V_th"] - p["mu"]) / s, (p["V_reset"] - p["mu"]) / s
    log_integral = LogIntegral.apply(y_r, y_th)
    inverse = torch.exp(-log_integral) / (p["tau"] * ROOT_PI)
    rate = inverse / (1 + p["t_ref"] * inverse)
    share = 1 / (1 + p["t_ref"] * inverse)  # of the interval that is not refractory
    by_th = torch.exp(_log_erfcx(y_th) - log_integral)
    by_r = torch.exp(_log_erfcx(y_r) - log_integral)
    by_mu = rate * share * (by_th - by_r) / s
    by_sigma = rate * share * (by_th * y_th - by_r * y_r) / p["sigma"]
    return Siegert(1000 * rate, 1000 * by_mu, 1000 * by_sigma)


class LogIntegral(torch.autograd.Function):
    """log of the integral of erfcx(-u) from y_r to y_th."""

    @staticmethod
    def forward(ctx: Any, y_r: Tensor, y_th: Tensor) -> Tensor:
        value = torch.from_numpy(np.asarray(_log_integral(y_r.detach().numpy(), y_th.detach().numpy())))
        ctx.save_for_backward(y_r, y_th, value)
        return value

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        y_r, y_th, value = ctx.saved_tensors
        return -bar * torch.exp(_log_erfcx(y_r) - value), bar * torch.exp(_log_erfcx(y_th) - value)


def _log_erfcx(y: Tensor) -> Tensor:
    """log erfcx(-y); each branch is evaluated only where it is finite, or its gradient would spoil the
    other's."""
    above = y > -1
    up = torch.where(above, y, torch.zeros_like(y))
    down = torch.where(above, torch.ones_like(y), -y)
    return torch.where(
        above, up * up + torch.log(torch.special.erfc(-up)), torch.log(torch.special.erfcx(down))
    )


@cache
def _gauss() -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(80)
    return (x + 1) / 2, w / 2


def _erfcx_integral(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Integral of erfcx over [a, b], 0 <= a; log(1 + u) as variable, for erfcx falls like 1/u."""
    x, w = _gauss()
    lo, hi = np.log1p(a), np.log1p(b)
    width = np.where(b - a < 1e-3 * (1 + a), np.log1p((b - a) / (1 + a)), hi - lo)
    t = lo[..., None] + width[..., None] * x
    return width * ((erfcx(np.expm1(t)) * np.exp(t)) @ w)


def _log_integral(y_r: np.ndarray, y_th: np.ndarray) -> np.ndarray:
    """Three forms by the signs of y_r and y_th; exp(y_th^2) stays symbolic."""
    zero = np.zeros_like(y_r)
    below = y_th <= 0
    lo, hi = np.where(below, -y_th, 0), np.where(below, -y_r, 1)
    far_below = np.log(_erfcx_integral(lo, hi))
    th = np.where(below, 1.0, y_th)
    r = np.where(below, 0.0, y_r)
    small = np.exp(-th * th)
    across = 2 * dawsn(th) + small * (_erfcx_integral(zero, np.maximum(-r, 0)) - _erfcx_integral(zero, th))
    r = np.maximum(r, 0)
    above = (
        2 * dawsn(th)
        - 2 * np.exp((r - th) * (r + th)) * dawsn(r)
        - small * _erfcx_integral(np.minimum(r, th), th)
    )
    x, w = _gauss()
    u = r[..., None] + (th - r)[..., None] * x
    top = th[..., None]
    narrow = (th - r) * ((np.exp(np.minimum((u - top) * (u + top), 0)) * erfc(-u)) @ w)
    value = np.where(y_r <= 0, across, np.where((th - r) * (th + r) < 4, narrow, above))
    return np.where(below, far_below, th * th + np.log(value))
