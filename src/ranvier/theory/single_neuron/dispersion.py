"""What the grid itself adds to the scatter of first passages, and how it is taken away.

Between nodes a step apart mass hops, at rates that give drift v = F/tau exactly and the diffusion
(v step/2) coth(v step/2D) in place of D = sigma^2/tau: that of hopping where the step exceeds 2 D/v, however small D.
Where drift carries a neuron up, the transform of the time over a face is then 1/(1 + i omega step/v) and not
e^{-i omega step/v}, which is known, and divided out, by the share of the diffusion that is the grid's.

The mean time loses, too: of what diffusion adds to it where the drift changes, D v'/v^3 per mV, hops leave the share
(y/2)^2/sinh^2(y/2), y = F step/sigma^2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.theory.single_neuron.membrane import Membrane

LARGEST, ORDER = 0.7, 16  # of x, and of the series in it
CARRIED = 0.2  # of |y| = |F| step/sigma^2, above which a face counts in full


def _faces(neurons: Membrane) -> tuple[Tensor, Tensor]:
    """(time step/v over each face, the grid's share of the hopping there), (N, M); 0 below the reset and where the
    force does not point up."""
    grid = neurons.grid
    F = neurons.force
    y = F * grid.step / neurons.sigma**2
    up = (F > 0) & (grid.faces > grid.V_reset)
    safe = torch.where(up, y, torch.ones_like(y))
    half = safe / 2
    small = half < 1e-2
    ratio = torch.where(small, half / 3, 1 / torch.tanh(torch.where(small, torch.ones_like(half), half)) - 1 / half)
    weight = -torch.expm1(-((safe / CARRIED) ** 2))
    time = torch.where(up, neurons.tau * grid.step / torch.where(up, F, torch.ones_like(F)), 0.0)
    return time, torch.where(up, ratio * weight, 0.0)


def excess_variance(neurons: Membrane) -> Tensor:
    """(M,) ms^2: by how much the grid widens the distribution of passage times from the reset to the threshold."""
    time, share = _faces(neurons)
    return (share * time**2).sum(0)


def missing_time(neurons: Membrane) -> Tensor:
    """(M,) ms: by how much the grid's mean time from the reset to the threshold is too short."""
    grid = neurons.grid
    F, step = neurons.force, grid.step
    y = F * step / neurons.sigma**2
    slope = torch.gradient(F, dim=0)[0] / step
    gentle = (y < 1e6) & (slope.abs() * step < F.abs())  # an upstroke beyond that takes no time
    up = (F > 0) & (grid.faces > grid.V_reset) & gentle
    slope = torch.where(up, slope, 0.0)
    half = torch.where(up, y / 2, torch.ones_like(y)).clamp(max=300.0)
    small = half < 1e-2
    sinh = torch.sinh(torch.where(small, torch.ones_like(half), half))
    lost = torch.where(small, half**2 / 3, 1 - (torch.where(small, torch.ones_like(half), half) / sinh) ** 2)
    lost = lost * -torch.expm1(-((2 * half / CARRIED) ** 2))
    time = step * neurons.sigma**2 * neurons.tau * slope / torch.where(up, F, torch.ones_like(F)) ** 3
    return torch.where(up, lost * time, 0.0).sum(0)


def corrected_rate(rate: Tensor, missing: Tensor) -> Tensor:
    """(M,) 1/ms, of a `rate` in 1/ms on the grid and its `missing_time`."""
    return rate / (1 + rate * missing)


def corrected_cv(neurons: Membrane, rate: Tensor, cv: Tensor, missing: Tensor) -> Tensor:
    """(M,) without the grid's dispersion and its error of the mean; `rate` in 1/ms, on the grid, and `missing_time`."""
    square = cv**2 - excess_variance(neurons) * rate**2
    mean = 1 + rate * missing
    return torch.sqrt(torch.maximum(square, 1e-6 * cv.detach() ** 2 + 1e-300)) / mean


def corrected_passage(neurons: Membrane, omega: Tensor, passage: Tensor, missing: Tensor) -> Tensor:
    """Transforms (F, M) of the intervals' density at omega (F,) rad/ms without the grid's dispersion: times the product
    of (1 + i x) e^{-i x} over the faces, x = omega times their time, by its logarithm's series in x."""
    time, share = _faces(neurons)
    w = omega[:, None]
    time = time.clamp(max=LARGEST / max(float(omega.abs().max()), 1e-9))  # slow faces, which have no share
    real, imaginary = torch.zeros(len(omega), time.shape[1]).double(), torch.zeros(len(omega), time.shape[1]).double()
    power = share * time
    for n in range(2, ORDER):
        power = power * time
        term = power.sum(0) * w**n / n
        if n % 2 == 0:
            real = real + term * (1 if n % 4 == 2 else -1)
        else:
            imaginary = imaginary + term * (-1 if n % 4 == 3 else 1)
    result = passage * torch.exp(torch.complex(real, imaginary))
    result = result * torch.exp(-1j * w * missing)
    size = result.abs()
    return torch.where(size > 1, result / size.clamp(min=1.0), result)
