"""Rates of one-variable neurons under filtered input noise, from the Fokker-Planck equation of (V, input).

tau dV = (F(V) + z) dt + sigma sqrt(2 tau) dW,   tau_s dz = -z dt + s sqrt(2 tau_s) dW',

with the threshold at V_th for every z; z goes on while V is reset and refractory. Where sigma vanishes only paths
with F + z > 0 reach the threshold (Fourcaud & Brunel 2002, Neural Comput. 14:2057; Moreno-Bote & Parga 2006 and
Schuecker, Diesmann & Helias 2015 expand about the limits of this equation; here it is solved). z is taken at the
nodes of Gauss-Hermite quadrature, V on a grid with exponentially fitted fluxes, twice, so that the first order of
the step, with which a grid spreads what noiseless drift carries, is extrapolated away.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ranvier.theory.single_neuron import _coloured_kernels as kernels
from ranvier.theory.single_neuron.membrane import Force, Value, check_parameters, lower_bound
from ranvier.theory.single_neuron.threshold_integration import over_neurons, reset_nodes

VALUES = ((1.0, 6), (0.05, 8), (0.0, 12))  # of the input, where white noise gives so much of the membrane's variance
STEPS, LAYER, MOST_STEPS = 160, 64.0, 1600  # of the coarser grid: at least, times sqrt(tau/tau_s), at most
WHITE = 0.2  # of filtered noise's variance: white noise that counts
UPSTROKE = 8.0  # a force above so many standard deviations of all noise carries V on alone,
RETURN = 0.1  # where the variance times the force's slope, over its square, is below this: few turn back


def filtered_rate(
    force: Force,
    *,
    tau: Value,
    sigma: Value,
    s: Value,
    tau_s: Value,
    V_th: Value,
    V_reset: Value,
    t_ref: Value = 0.0,
    steps: int | None = None,
    values: int | None = None,
    threads: int = 1,
    without: Tensor | None = None,
) -> Tensor:
    """Rates in Hz, (M,), of neurons whose noise is in part, or wholly, filtered by exp(-t/tau_s)/tau_s.

    force: callable V (N, M) -> F (N, M) in mV. tau, tau_s, t_ref: ms. sigma: mV, the white noise's standard deviation
    of the free membrane, 0 or above. s: mV, the standard deviation of the filtered input itself: independent
    Poisson trains of rate r and areas W have s^2 = W^2 r/(2 tau_s), and alone give the free membrane the
    variance s^2 tau_s/(tau + tau_s). Floats or tensors (M,); differentiable in all of them.

    `steps`: of the coarser of two grids; `values`: of the input; chosen where None. `without` (M,) Hz: the rates
    without the filtered noise, where a finer grid has given them; what this grid misses of those is then made up
    for, where white noise counts. For tau_s/tau from 0.01 to 1, and
    hard or soft thresholds, rates above 0.5 Hz are within 1 % of the exact ones. Raises ValueError naming the value
    at fault.

    >>> values = {"tau": 20.0, "V_th": 15.0, "V_reset": 0.0}
    >>> rate = rv.theory.filtered_rate(lambda V: 12.0 - V, sigma=5.0, s=0.0, tau_s=2.0, **values)
    >>> white = rv.theory.siegert(12.0, 5.0, **values).rate
    >>> bool(abs(rate - white) < 1e-2 * white)  # without filtered noise
    True
    """
    d = discretised(force, tau, sigma, s, tau_s, V_th, V_reset, t_ref, steps, values)
    coarse, fine = (_on_grid(d, n, threads) for n in (d.steps, 2 * d.steps))
    rate = 1000 * (2 * fine - coarse)
    if without is None:
        return rate
    alone = d._replace(p=d.p | {"s": torch.zeros_like(d.p["s"])}, values=2)
    coarse, fine = (_on_grid(alone, n, threads) for n in (d.steps, 2 * d.steps))
    own = 1000 * (2 * fine - coarse)
    filtered = d.p["s"] ** 2 * d.p["tau_s"] / (d.p["tau"] + d.p["tau_s"])
    counts = ((d.variance > WHITE * filtered) & (own > 1e-9) & (without > 1e-9)).detach()
    return rate * torch.where(counts, without / torch.where(counts, own, 1.0), 1.0)


class Discretisation(NamedTuple):
    """What the two grids share: the arguments `p`, each (B,); `variance` of white noise, `low` and `top`, the grid's
    ends, `tail`, the time from the upper one to the threshold, (B,); `steps` of the coarser grid, `values` of z."""

    force: Force
    p: dict[str, Tensor]
    variance: Tensor
    low: Tensor
    top: Tensor
    tail: Tensor
    steps: int
    values: int


def discretised(
    force: Force, tau: Value, sigma: Value, s: Value, tau_s: Value, V_th: Value, V_reset: Value, t_ref: Value,
    steps: int | None, values: int | None,
) -> Discretisation:
    """Of the arguments of `filtered_rate`; raises ValueError as it does."""
    names = ("tau", "sigma", "s", "tau_s", "V_th", "V_reset", "t_ref")
    arguments = (tau, sigma, s, tau_s, V_th, V_reset, t_ref)
    parts = torch.broadcast_tensors(*(torch.atleast_1d(torch.as_tensor(x, dtype=torch.float64)) for x in arguments))
    with torch.no_grad():
        like = force(parts[5][None])[0]
    p = dict(zip(names, (x.expand(torch.broadcast_shapes(x.shape, like.shape)) for x in parts), strict=True))
    _check(p)
    floor = 1e-12 * (p["s"].detach() ** 2 + 1e-12)
    variance = p["sigma"] ** 2 + torch.where(p["sigma"].detach() ** 2 < floor, floor, 0.0)
    low, top, tail = _reach(force, p, variance)
    if steps is None:
        ratio = float((p["tau"] / p["tau_s"]).detach().max())
        steps = int(min(max(STEPS, LAYER * math.sqrt(ratio)), MOST_STEPS))
    if values is None:
        filtered = p["s"] ** 2 * p["tau_s"] / (p["tau"] + p["tau_s"])
        least = float((variance / filtered.clamp(min=1e-300)).detach().min())
        values = next(n for share, n in VALUES if least >= share)
    return Discretisation(force, p, variance, low, top, tail, steps, values)


def _check(p: dict[str, Tensor]) -> None:
    rest = {k: v for k, v in p.items() if k not in ("s", "tau_s")}
    positive = torch.maximum(p["sigma"].detach(), p["s"].detach())
    check_parameters({k: v.detach() for k, v in rest.items()} | {"sigma": positive})
    for name, least in (("sigma", 0.0), ("s", 0.0), ("tau_s", None)):
        bad = ~torch.isfinite(p[name]) | (p[name] < 0) | ((p[name] <= 0) if least is None else False)
        if bool(bad.any()):
            i = int(torch.nonzero(bad)[0])
            expected = "a positive time in ms" if least is None else "a finite number of mV, 0 or above"
            raise ValueError(f"neuron {i}: {name} is {float(p[name][i]):.6g}; expected {expected}")


@torch.no_grad()
def _ends(force: Force, p: dict[str, Tensor], variance: Tensor) -> tuple[Tensor, Tensor]:
    """Where the grid begins, and where the force alone carries V to the threshold; (M,) mV."""
    filtered = p["s"] ** 2 * p["tau_s"] / (p["tau"] + p["tau_s"])
    whole = torch.sqrt(variance + filtered)
    low = lower_bound(force, {k: p[k] for k in ("V_th", "V_reset")} | {"sigma": whole}, 20.0)
    k = torch.arange(2001, dtype=torch.float64)[:, None] / 2000
    V = p["V_reset"] + k * (p["V_th"] - p["V_reset"])
    F = force(V)
    slope = torch.gradient(F, dim=0)[0] * 2000 / (p["V_th"] - p["V_reset"])
    strong = (UPSTROKE * (p["s"] + whole) < F) & ((whole**2 * slope < RETURN * F * F) | F.isinf())
    strong = torch.flip(torch.cummin(torch.flip(strong.to(torch.int8), [0]), 0).values, [0])  # from there to the end
    first = torch.where(strong.any(0), strong.argmax(0), 2000)
    first = first.clamp(min=20)  # the reset lies within the grid
    return low, V.gather(0, first[None])[0]


def _reach(force: Force, p: dict[str, Tensor], variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The grid's ends (M,) mV, and the time (M,) ms from the upper one to the threshold."""
    low, top = _ends(force, p, variance)
    top = torch.where(top >= p["V_th"].detach(), p["V_th"], top)
    k = (torch.arange(400, dtype=torch.float64)[:, None] + 0.5) / 400
    span = p["V_th"] - top
    there = span > 0
    F = force(top + k * span)
    safe = torch.where(there, F, torch.ones_like(F))
    return low, top, torch.where(there, p["tau"] * span * (1 / safe).mean(0), 0.0)


def _on_grid(d: Discretisation, N: int, threads: int) -> Tensor:
    """Rates (B,) in 1/ms on N steps."""
    up, down = face_rates(d, N)
    decay, position, wait = returns(d, N)
    return _Rates.apply(up, down, 1 / d.p["tau_s"], decay, position, wait, threads)


def face_rates(d: Discretisation, N: int, current: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """Rates up and down (B, N, M) in 1/ms over the faces of N steps, with a constant `current` (B,) mV more."""
    step = (d.top - d.low) / N
    faces = d.low + (torch.arange(N, dtype=torch.float64)[:, None] + 0.5) * step
    F = (d.force(faces) + current).clamp(-1e100, 1e100).expand(N, len(step)).T  # (B, N)
    velocity = F[:, :, None] + d.p["s"][:, None, None] * torch.from_numpy(basis(d.values)[0])
    rate = 1 / (d.p["tau"] * step)
    return _jumps(velocity, d.variance[:, None, None] / step[:, None, None], rate[:, None, None])


def returns(d: Discretisation, N: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of what comes back at the reset: by what the input's moments have decayed (B, M), its place in steps (B,), and
    how long it was away (B,) ms."""
    wait = d.p["t_ref"] + d.tail
    order = torch.arange(d.values, dtype=torch.float64)
    return torch.exp(-order * (wait / d.p["tau_s"])[:, None]), (d.p["V_reset"] - d.low) * N / (d.top - d.low), wait


def _jumps(velocity: Tensor, noise: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """Rates up and down over faces: noise/(e^y - 1) y with y = -velocity/noise, and e^y times it."""
    y = velocity.abs() / noise
    small = y < 1e-6
    safe = torch.where(small, torch.ones_like(y), y)
    fast = torch.where(small, noise + velocity.abs() / 2, velocity.abs() / -torch.expm1(-safe)) * rate
    slow = fast * torch.exp(-y)
    forward = velocity > 0
    return torch.where(forward, fast, slow), torch.where(forward, slow, fast)


@cache
def basis(M: int) -> tuple[np.ndarray, kernels.Basis]:
    return kernels.basis(M)


def arrays(
    up: Tensor, down: Tensor, relaxation: Tensor, decay: Tensor, position: Tensor, wait: Tensor
) -> kernels.Discretised:
    """Of the tensors that `face_rates` and `returns` give, and 1/tau_s."""
    node, share = reset_nodes(position.detach().numpy(), up.shape[1])
    values = (np.ascontiguousarray(x.detach().numpy()) for x in (up, down, relaxation, decay, wait))
    own = dict(zip(("up", "down", "relaxation", "decay", "t_ref"), values, strict=True))
    return kernels.Discretised(node=node, share=share, **own)


class _Rates(torch.autograd.Function):
    """Rates (B,) of the two-variable scheme, with its adjoint."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, threads = arguments
        scheme = arrays(*tensors)
        B, N, M = scheme.up.shape
        rate = np.empty(B)
        if not any(ctx.needs_input_grad):
            over_neurons(kernels.rates, B, threads, scheme, basis(M)[1], rate)
            return torch.from_numpy(rate)
        ctx.bars = kernels.Bars.empty(B, N, M)
        over_neurons(kernels.rate_gradients, B, threads, scheme, basis(M)[1], rate, ctx.bars)
        return torch.from_numpy(rate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor) -> Any:  # type: ignore[override]
        result = []
        for x in map(torch.from_numpy, ctx.bars):
            result.append(x * bar.reshape(-1, *[1] * (x.ndim - 1)))
        return *result, None


class Masses(torch.autograd.Function):
    """Stationary masses (B, N, M) of the two-variable scheme, with their adjoint."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, ctx.threads = arguments
        ctx.scheme = arrays(*tensors)
        mass = np.empty_like(ctx.scheme.up)
        over_neurons(kernels.masses, len(mass), ctx.threads, ctx.scheme, basis(mass.shape[2])[1], mass)
        return torch.from_numpy(mass)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor) -> Any:  # type: ignore[override]
        B, N, M = bar.shape
        bars, cotangent = kernels.Bars.empty(B, N, M), np.ascontiguousarray(bar.numpy())
        over_neurons(kernels.masses_adjoint, B, ctx.threads, ctx.scheme, basis(M)[1], cotangent, bars)
        return *map(torch.from_numpy, bars), None
