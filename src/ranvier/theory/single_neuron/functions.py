"""torch.autograd.Functions around the sweeps, with hand-written adjoints.

Both take the scheme of `Membrane.integration` (y (M, N), c, reset position, t_ref) and give quantities free of its
scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ranvier.theory.single_neuron import _frequency, threshold_integration
from ranvier.theory.single_neuron.threshold_integration import (
    StationaryStateAdjoint,
    ThresholdIntegration,
    ThresholdIntegrationAdjoint,
    over_neurons,
    stationary_state,
)


def in_hertz(f: Any) -> Tensor:
    """Frequencies f, one or many, as (F,) float64 without a graph. Raises ValueError unless they are finite
    and there is at least one."""
    frequencies = numbers(f, "f", "frequencies in Hz")
    if frequencies.ndim != 1 or not len(frequencies) or not bool(torch.isfinite(frequencies).all()):
        raise ValueError(f"f is {f}; expected finite numbers in Hz, one or more, shape (F,)")
    return frequencies


def numbers(values: Any, name: str, expected: str) -> Tensor:
    """`values`, one or many, as float64 without a graph. Raises TypeError for what is no numbers."""
    try:
        return torch.atleast_1d(torch.as_tensor(values, dtype=torch.float64)).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is {values!r}; expected {expected}: a number, a list of them or a tensor") from error


def integration_of(*scheme: Tensor) -> ThresholdIntegration:
    """From what `Membrane.integration` gives."""
    return ThresholdIntegration.of(*(x.detach().numpy() for x in scheme))


class StationaryFunction(torch.autograd.Function):
    """(rate (M,) 1/ms, cv (M,), probability per node (M, N)) of a scheme."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, c: Tensor, position: Tensor, t_ref: Tensor, threads: int) -> Any:
        scheme = integration_of(y, c, position, t_ref)
        rest = stationary_state(scheme, threads)
        if any(ctx.needs_input_grad):
            ctx.scheme, ctx.stationary, ctx.threads = scheme, rest, threads
        return tuple(torch.from_numpy(x) for x in (rest.rate.copy(), rest.cv.copy(), rest.probability))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        bars = ThresholdIntegrationAdjoint.zeros(ctx.scheme.y)
        upstream = StationaryStateAdjoint(*(np.ascontiguousarray(x.numpy()) for x in cotangents))
        adjoint = threshold_integration.stationary_adjoint
        over_neurons(adjoint, len(bars.c), ctx.threads, ctx.scheme, ctx.stationary, upstream, bars)
        return *map(torch.from_numpy, bars), None


class ResponseFunction(torch.autograd.Function):
    """(gains (sources, F, M) complex, rho (F, M) complex) of a scheme at omega (F,) rad/ms.

    gains[0] is the response of the rate (1/ms) to a unit change of every y, gains[1] to a relative change of
    sigma^2, gains[2 + n] to the change directions[n] (M, N) of y; rho is the Fourier transform of the density
    of interspike intervals, the refractory time included.
    """

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        c: Tensor,
        position: Tensor,
        t_ref: Tensor,
        directions: Tensor,
        omega: Tensor,
        threads: int,
    ) -> Any:
        scheme = integration_of(y, c, position, t_ref)
        rest = stationary_state(scheme, threads)
        w, u = omega.numpy().copy(), np.ascontiguousarray(directions.detach().numpy())
        M, F = y.shape[0], len(w)
        sums = _frequency.Sums.empty(2 + len(u), M, F)
        over_neurons(_frequency.kernels(F)[0], M, threads, scheme, rest, w, u, sums)
        rate, t = rest.rate[:, None], scheme.t_ref[:, None]
        shift = np.exp(-1j * w * t)
        x0 = sums.scale * rest.bottom[:, None]
        den = sums.top - shift * sums.back + x0 * t * np.sinc(w * t / (2 * np.pi)) * np.exp(-0.5j * w * t)
        psi = x0 + 1j * w * sums.top
        never = psi == 0  # at omega = 0, when the rate has underflowed to 0
        psi[never], x0[never] = 1.0, 1.0
        rho = shift * (x0 + 1j * w * sums.back) / psi
        gains = -rate * (sums.sources / den)
        if any(ctx.needs_input_grad):
            ctx.scheme, ctx.stationary, ctx.omega, ctx.directions, ctx.threads = scheme, rest, w, u, threads
            ctx.sums, ctx.parts = sums, (x0, den, psi, rho, gains)
        return torch.from_numpy(gains).transpose(1, 2), torch.from_numpy(rho).T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gains_bar: Tensor, rho_bar: Tensor) -> Any:
        scheme, rest, w, u, sums = ctx.scheme, ctx.stationary, ctx.omega, ctx.directions, ctx.sums
        x0, den, psi, rho, gains = ctx.parts
        rate, t = rest.rate, scheme.t_ref[:, None]
        # cotangents in the holomorphic sense: dl = Re(sum x dz), x = conj(torch's gradient)
        g = gains_bar.resolve_conj().numpy().conj().transpose(0, 2, 1)
        q = rho_bar.resolve_conj().numpy().conj().T
        shift = np.exp(-1j * w * t)
        x = np.ascontiguousarray(-rate[:, None] / den * g)
        x_den = -(g * gains).sum(0) / den
        x_h = q * shift * 1j * w / psi
        x_top = np.ascontiguousarray(x_den - x_h * rho / shift)
        x_back = np.ascontiguousarray(x_h - shift * x_den)
        rate_bar = -(g * sums.sources / den).sum(0).real.sum(1)
        bars, u_bar = ThresholdIntegrationAdjoint.zeros(scheme.y), np.zeros_like(u)
        bars.t_ref[:] = (x_den * shift * (1j * w * sums.back + x0) - 1j * w * q * rho).real.sum(1)
        bars.t_ref[:] -= rate_bar * rate**2
        bars.share[:] = (x_back * sums.back_by_share).real.sum(1)
        cotangents = _frequency.SumsBars(x, x_top, x_back, -rate * rest.scaled_rate * rate_bar)
        kernel = _frequency.kernels(len(w))[1]
        over_neurons(kernel, len(rate), ctx.threads, scheme, rest, w, u, cotangents, bars, u_bar)
        return *map(torch.from_numpy, (*bars, u_bar)), None, None
