"""Linear response and spike-train spectrum of one-variable neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.single_neuron.dispersion import corrected_cv, corrected_passage, corrected_rate, missing_time
from ranvier.theory.single_neuron.functions import ResponseFunction, StationaryFunction, in_hertz
from ranvier.theory.single_neuron.membrane import Membrane


@dataclass(frozen=True, repr=False)
class Response(Brief):
    """Of `response`, at `frequencies` (F,) Hz; everything is (F, M). A modulation x e^{i omega t} changes the rate by
    A x e^{i omega t}, so that a lag is a negative phase.

    `current`: Hz per mV of mu. `noise`: Hz per relative change of sigma^2. `parameters`: name ->
    Hz per unit of it.
    `passage`: Fourier transform of the density of interspike intervals, the refractory time included.
    `spectrum`: of the spike train, Hz, without the delta peak 2 pi r^2 delta(omega); at 0 it is r CV^2.
    """

    frequencies: Tensor
    current: Tensor
    noise: Tensor
    parameters: dict[str, Tensor]
    passage: Tensor
    spectrum: Tensor


def response(
    neurons: Membrane,
    frequencies: Tensor | float,
    *,
    parameters: Mapping[str, Tensor] | None = None,
    threads: int = 1,
) -> Response:
    """Susceptibilities, first passage and spectrum by threshold integration (Richardson 2007; 2008).

    parameters: name -> dF/dparameter at the faces, (N, M) or (N, 1), mV per unit of the parameter.
    Regular at frequency 0. Differentiable in everything the membrane was made of, and in `parameters`; the
    backward pass costs about three forward ones. Raises ValueError for frequencies that are not finite
    numbers.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> slow = rv.theory.response(neurons, torch.tensor([1e-3])).current[0, 0].real  # Hz per mV
    >>> slope = rv.theory.siegert(12.0, 5.0, tau=20.0, V_th=15.0, V_reset=0.0).by_mu
    >>> bool(abs(slow - slope) < 1e-2 * slope)
    True
    """
    f = in_hertz(frequencies)
    omega = f * (2 * math.pi / 1000)
    y, c, position, t_ref = neurons.integration()
    per_mV = -neurons.grid.step / neurons.sigma**2  # dy/dF
    names = dict(parameters or {})
    N, M = neurons.grid.N, neurons.size
    modulations = [torch.as_tensor(d, dtype=torch.float64).expand(N, M).T * per_mV[:, None] for d in names.values()]
    directions = torch.stack(modulations) if modulations else y.new_zeros((0, M, N))
    gains, rho = ResponseFunction.apply(y, c, position, t_ref, directions, omega, threads)
    rate, cv, _ = StationaryFunction.apply(y, c, position, t_ref, threads)
    missing = missing_time(neurons)
    cv, rho = corrected_cv(neurons, rate, cv, missing), corrected_passage(neurons, omega, rho, missing)
    rate = corrected_rate(rate, missing)
    return Response(
        f,
        1000 * gains[0] * per_mV,
        1000 * gains[1],
        {name: 1000 * gains[2 + n] for n, name in enumerate(names)},
        rho,
        1000 * _spectrum(omega, rate, cv, rho),
    )


def rate_slopes(neurons: Membrane, threads: int = 1) -> tuple[Tensor, Tensor]:
    """Of the rate, (M,): in mu, 1/ms per mV, and in sigma^2, 1/ms per mV^2; `response` at 0, at a small part of the
    time."""
    y, c, position, t_ref = neurons.integration()
    none, zero = y.new_zeros((0, *y.shape)), torch.zeros(1, dtype=torch.float64)
    gains = ResponseFunction.apply(y, c, position, t_ref, none, zero, threads)[0][:, 0].real
    variance = neurons.sigma**2
    return -gains[0] * neurons.grid.step / variance, gains[1] / variance


def _spectrum(omega: Tensor, rate: Tensor, cv: Tensor, rho: Tensor) -> Tensor:
    """S = r Re[(1 + rho)/(1 - rho)]; near 0, where that loses all digits, its limit r CV^2 (error of order
    (omega/r)^2, at most 1e-8)."""
    low = omega[:, None].abs() <= 1e-4 * rate
    safe = torch.where(low, torch.zeros_like(rho), rho)
    return torch.where(low, rate * cv**2, rate * ((1 + safe) / (1 - safe)).real)
