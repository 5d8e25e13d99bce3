"""Burgers' equation: waves that steepen."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ranvier._checks import array, positive
from ranvier.operators.problems.random_fields import gaussian_field


def solve_burgers(
    u: Tensor, time: float, *, viscosity: float = 0.01, length: float = 1.0, steps: int | None = None
) -> Tensor:
    """u(time) (batch, n), float64, of u_t + u u_x = ν u_xx on a circle of the given length, from u(0) (batch, n).

    Fourier series without the upper third, which would alias (Orszag's rule); diffusion exact and Runge-Kutta of
    fourth order for the rest. steps None: 1.2 for every sample that the fastest wave passes, and ten. The grid must
    resolve the fronts, of width 4 ν/|jump|.

    >>> from ranvier.operators.problems import solve_burgers
    >>> x = torch.arange(64, dtype=torch.float64) / 64
    >>> u = solve_burgers(torch.sin(2 * torch.pi * x)[None], 0.5, viscosity=0.05)
    >>> bool(u.abs().max() < 1)
    True
    """
    v = array(u, "u", "(batch, n)").detach().to(torch.float64)
    if v.ndim != 2 or v.shape[1] < 4:
        raise ValueError(f"u has shape {tuple(v.shape)}; expected (batch, n) with 4 samples or more")
    if not bool(torch.isfinite(v).all()):
        raise ValueError("u holds a value that is not finite; expected finite numbers: look where it was computed")
    time, viscosity = positive(time, "time"), positive(viscosity, "viscosity")
    n = v.shape[1]
    if len(v) == 0:
        return v.clone()
    k = 2 * math.pi / positive(length, "length") * torch.arange(n // 2 + 1, dtype=torch.float64)
    if steps is None:
        steps = math.ceil(1.2 * time * float(v.abs().max() if v.numel() else 0) * n / length) + 10
    if steps < 1:
        raise ValueError(f"steps is {steps}; expected 1 or more")
    h = time / steps
    below = torch.arange(n // 2 + 1) <= (n - 1) // 3
    half = torch.exp(-viscosity * k.square() * h / 2)

    def advection(spectrum: Tensor) -> Tensor:
        field = torch.fft.irfft(spectrum * below, n=n)
        return -0.5j * k * torch.fft.rfft(field.square()) * below

    w = torch.fft.rfft(v) * below
    for _ in range(steps):
        a = advection(w)
        b = advection(half * (w + h / 2 * a))
        c = advection(half * w + h / 2 * b)
        d = advection(half.square() * w + h * half * c)
        w = half.square() * (w + h / 6 * a) + h / 3 * half * (b + c) + h / 6 * d
    return torch.fft.irfft(w, n=n)


def burgers_examples(
    count: int,
    size: int = 128,
    *,
    time: float = 1.0,
    viscosity: float = 0.01,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """u(0) and u(time), each (count, 1, size), of the same periodic random functions on every grid (Li et al. 2021,
    section 5.1, of covariance 625 (−Δ + 25)^−2).

    Solved on 256 samples at least, an odd multiple of `size`; `size` of them are returned, at cell centres.

    >>> before, after = rv.operators.problems.burgers_examples(2, 32)
    >>> bool(torch.allclose(before.mean(2), after.mean(2), atol=0.01))  # the mean is conserved
    True
    """
    if size < 2:
        raise ValueError(f"size is {size}; expected 2 or more")
    fine = size * max(1, -(-256 // size))
    fine += size * ((fine // size + 1) % 2)  # an odd multiple has the centres of the coarse cells
    start = 25.0 * 5.0**-1.5 * gaussian_field(count, (fine,), alpha=2.0, tau=5.0, boundary="periodic", seed=seed)
    end = solve_burgers(start, time, viscosity=viscosity)
    ratio = fine // size
    pick = slice(ratio // 2, None, ratio)
    return start[:, None, pick].to(dtype), end[:, None, pick].to(dtype)
