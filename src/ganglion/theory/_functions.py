"""torch.autograd.Functions around the sweeps, with hand-written adjoints.

Both take the ladder of `Membrane.ladder` (y (M, N), c, reset position, t_ref) and give quantities free of its
scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ganglion.theory import _frequency, _ladder


def _arrays(y: Tensor, c: Tensor, position: Tensor, t_ref: Tensor) -> tuple:
    """Ladder as arrays: (y, decay, phi, c, reset face, share of the reset at the node above, t_ref)."""
    Y = np.ascontiguousarray(y.detach().numpy())
    decay, phi = _ladder.coefficients(Y)
    kappa = position.detach().numpy()
    reset = np.clip(np.floor(kappa), 0, Y.shape[1] - 2).astype(np.int64)
    return Y, decay, phi, c.detach().numpy().copy(), reset, kappa - reset, t_ref.detach().numpy().copy()


def _stationary(ladder: tuple, threads: int) -> tuple:
    """(mass, flux scale, probability, scalars) of `_ladder.stationary_sweep`."""
    y = ladder[0]
    out = (np.empty_like(y), np.empty_like(y), np.empty_like(y), np.empty((y.shape[0], 6)))
    _ladder.over_neurons(_ladder.stationary_sweep, y.shape[0], threads, *ladder, *out)
    return out


class StationaryFunction(torch.autograd.Function):
    """(rate (M,) 1/ms, cv (M,), probability per node (M, N)) of a ladder."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, c: Tensor, position: Tensor, t_ref: Tensor, threads: int) -> Any:
        ladder = _arrays(y, c, position, t_ref)
        state = _stationary(ladder, threads)
        if any(ctx.needs_input_grad):
            ctx.ladder, ctx.state, ctx.threads = ladder, state, threads
        scalars = torch.from_numpy(state[3])
        return scalars[:, 0].clone(), scalars[:, 1].clone(), torch.from_numpy(state[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor) -> Any:
        y = ctx.ladder[0]
        M = y.shape[0]
        y_bar, c_bar, share_bar, t_bar = np.zeros_like(y), np.zeros(M), np.zeros(M), np.zeros(M)
        given = [np.ascontiguousarray(b.numpy()) for b in bars]
        _ladder.over_neurons(
            _ladder.stationary_adjoint,
            M,
            ctx.threads,
            *ctx.ladder[:6],
            *ctx.state,
            *given,
            y_bar,
            c_bar,
            share_bar,
            t_bar,
        )
        return *map(torch.from_numpy, (y_bar, c_bar, share_bar, t_bar)), None


class ResponseFunction(torch.autograd.Function):
    """(gains (sources, F, M) complex, rho (F, M) complex) of a ladder at omega (F,) rad/ms.

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
        ladder = _arrays(y, c, position, t_ref)
        mass, flux_scale, _, scalars = _stationary(ladder, threads)
        w, u = omega.numpy().copy(), np.ascontiguousarray(directions.detach().numpy())
        M, F = y.shape[0], len(w)
        S = np.empty((2 + len(u), M, F), dtype=complex)
        top, back, dback = (np.empty((M, F), dtype=complex) for _ in range(3))
        scale = np.empty((M, F))
        args = (*ladder[:6], mass, flux_scale, w, u)
        _ladder.over_neurons(_frequency.kernels(F)[0], M, threads, *args, S, top, back, dback, scale)
        rate, t = scalars[:, 0, None], ladder[6][:, None]
        shift = np.exp(-1j * w * t)
        x0 = scale * scalars[:, 3, None]
        den = top - shift * back + x0 * t * np.sinc(w * t / (2 * np.pi)) * np.exp(-0.5j * w * t)
        psi = x0 + 1j * w * top
        never = psi == 0  # at omega = 0, when the rate has underflowed to 0
        psi[never], x0[never] = 1.0, 1.0
        rho = shift * (x0 + 1j * w * back) / psi
        gains = -rate * (S / den)
        if any(ctx.needs_input_grad):
            ctx.args, ctx.scalars, ctx.threads, ctx.t_ref = args, scalars, threads, t
            ctx.parts = S, back, dback, x0, den, psi, rho, gains
        return torch.from_numpy(gains).transpose(1, 2), torch.from_numpy(rho).T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gains_bar: Tensor, rho_bar: Tensor) -> Any:
        S, back, dback, x0, den, psi, rho, gains = ctx.parts
        y, w, u, t = ctx.args[0], ctx.args[8], ctx.args[9], ctx.t_ref
        rate, R = ctx.scalars[:, 0], ctx.scalars[:, 4]
        M = y.shape[0]
        # cotangents in the holomorphic sense: dl = Re(sum x dz), x = conj(torch's gradient)
        g = gains_bar.resolve_conj().numpy().conj().transpose(0, 2, 1)
        q = rho_bar.resolve_conj().numpy().conj().T
        shift = np.exp(-1j * w * t)
        x = np.ascontiguousarray(-rate[:, None] / den * g)
        x_den = -(g * gains).sum(0) / den
        x_h = q * shift * 1j * w / psi
        x_top = np.ascontiguousarray(x_den - x_h * rho / shift)
        x_back = np.ascontiguousarray(x_h - shift * x_den)
        rate_bar = -(g * S / den).sum(0).real.sum(1)
        t_bar = (x_den * shift * (1j * w * back + x0) - 1j * w * q * rho).real.sum(1) - rate_bar * rate**2
        share_bar = (x_back * dback).real.sum(1)
        y_bar, c_bar, u_bar = np.zeros_like(y), np.zeros(M), np.zeros_like(u)
        _ladder.over_neurons(
            _frequency.kernels(len(w))[1],
            M,
            ctx.threads,
            *ctx.args,
            x,
            x_top,
            x_back,
            -rate * R * rate_bar,
            y_bar,
            c_bar,
            share_bar,
            u_bar,
        )
        return *map(torch.from_numpy, (y_bar, c_bar, share_bar, t_bar, u_bar)), None, None
