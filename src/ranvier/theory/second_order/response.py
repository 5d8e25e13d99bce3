"""Where linear response ends: the mean rate's second-order response to a fluctuating input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.second_order import nested_solves
from ranvier.theory.second_order._modes import Modes
from ranvier.theory.single_neuron.functions import in_hertz, integration_of
from ranvier.theory.single_neuron.membrane import Membrane
from ranvier.theory.single_neuron.threshold_integration import over_neurons, stationary_state


@torch.no_grad()
def second_order(neurons: Membrane, frequencies: Tensor | float, threads: int = 1) -> Tensor:
    """chi2(omega, -omega), (F, M) in Hz/mV^2: an input e cos(omega t) mV raises the mean rate by e^2 chi2/4.

    chi2 = 2 R0[L1 Re P1(omega)]: P1 is the first-order density under e^{i omega t}, L1 = -(1/tau) d/dV what
    the input does to it, R0 the rate's response to a static source. At omega = 0 it is the curvature of the
    f-I curve. Rounding leaves some 1e-9 Hz/mV^2, whatever the rate. No gradients.
    Raises ValueError for frequencies that are not finite.

    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> static = rv.theory.second_order(neurons, 0.0)[0, 0]
    >>> slopes = [rv.theory.siegert(mu, 5.0, tau=20.0, V_th=15.0, V_reset=0.0).by_mu for mu in (11.9, 12.1)]
    >>> bool(abs(static - (slopes[1] - slopes[0]) / 0.2) < 1e-2 * abs(static))
    True
    """
    state, omega = prepared(neurons, frequencies, threads)
    outer = np.empty((neurons.size, len(omega)), dtype=complex)
    over_neurons(nested_solves.nested, neurons.size, threads, state, omega, outer)
    return 2000 * torch.from_numpy(outer.real.T.copy())


@torch.no_grad()
def mean_shift(neurons: Membrane, frequencies: Tensor, spectrum: Tensor, weights: Tensor, threads: int = 1) -> Tensor:
    """(M,) Hz: the change of the mean rates by an input of zero mean and two-sided `spectrum` (F, M) mV^2/Hz.

    r2 = 1/2 int df chi2(f, -f) S(f) over both signs of f; `frequencies`, `weights` (F,) Hz: a quadrature over
    f > 0, such as `frequency_quadrature()`.

    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> slow, weight = torch.tensor([1e-3]), torch.ones(1)  # a slow cosine of 1 mV: a power of 1/4 mV² at each sign
    >>> shift = rv.theory.mean_shift(neurons, slow, torch.full((1, 1), 0.25), weight)
    >>> bool(torch.isclose(shift, rv.theory.second_order(neurons, 0.0)[0] / 4, rtol=1e-4))
    True
    """
    chi2 = second_order(neurons, frequencies, threads)
    return (weights[:, None] * chi2 * spectrum).sum(0)


def frequency_quadrature(count: int = 48, middle: float = 40.0) -> tuple[Tensor, Tensor]:
    """Nodes and weights (F,) in Hz for integrals over f > 0; half of the nodes lie below `middle`.

    Examples
    --------
    >>> import ranvier as rv
    >>> f, weights = rv.theory.frequency_quadrature(48)
    >>> round(float((weights * 40 / (f**2 + 40**2)).sum()), 3)  # ∫ from 0 on: pi/2
    1.571
    """
    x, w = np.polynomial.legendre.leggauss(count)
    x, w = (x + 1) / 2, w / 2
    return torch.from_numpy(middle * x / (1 - x)), torch.from_numpy(middle * w / (1 - x) ** 2)


@dataclass(frozen=True, repr=False)
class FilteredNoise(Brief):
    """What exponentially filtered input noise of variance v mV^2 does, to first order in v, per mV^2.

    `shift` (M,) Hz/mV^2, of the mean rates: r2 = v shift. `event` (F, M) Hz/mV^2: of the rate, when v changes
    as e^{i omega t} at the filter's entrance (see `filtered_noise`). `gain` (F, M) Hz/mV^3, of the
    susceptibility: A + v gain.
    """

    shift: Tensor
    event: Tensor
    gain: Tensor


@torch.no_grad()
def filtered_noise(neurons: Membrane, tau_s: float, frequencies: Tensor | float, threads: int = 1) -> FilteredNoise:
    """Second order in noise I(t) filtered by exp(-t/tau_s)/tau_s (ms), by three nested solves, at `frequencies` (F,)
    or one, in Hz.

    Its correlation function v e^{-|t|/tau_s} turns chi2 weighted by its spectrum into one resolvent at
    gamma = 1/tau_s: r2 = v R0 L1 G(gamma) L1 P0. Impulses of area W (mV ms) at rate r have v = W^2 r/(2 tau_s);
    each changes the mean rate, beyond the linear A W e^{-t/tau_s}/tau_s, by the transform
    W^2 R L1 G(i omega + gamma) L1 P0 / (tau_s (2 + i omega tau_s)): `event` is that without W^2/(2 tau_s),
    so that a change dr of their rate acts as dv = W^2 dr/(2 tau_s). No gradients. Raises ValueError for tau_s that is
    not positive and frequencies that are not finite.

    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> slow = rv.theory.filtered_noise(neurons, 1e5, 1.0).shift[0]  # half the curvature of the f-I curve
    >>> curvature = rv.theory.second_order(neurons, 0.0)[0, 0]
    >>> bool(abs(slow - curvature / 2) < 1e-2 * abs(curvature))
    True
    """
    if not tau_s > 0:
        raise ValueError(f"tau_s is {tau_s}; expected a time above 0 ms: white noise belongs into sigma")
    state, omega = prepared(neurons, frequencies, threads)
    solution = nested_solves.DressedSolves.empty(neurons.size, 1, len(omega), spectra=False)
    modes = np.array([1 / tau_s]), np.zeros((1, 1), dtype=bool), omega
    over_neurons(nested_solves.dressed, neurons.size, threads, state, *modes, solution)
    filtered = 1 / (1 + 0.5j * omega * tau_s)
    parts = solution.shift[:, 0], (solution.event[:, 0] * filtered).T, solution.gain[:, 0].T
    return FilteredNoise(*(torch.from_numpy(1000 * x) for x in parts))


class Dressed(NamedTuple):
    """As `nested_solves.DressedSolves`, neurons last: shift (n, M); event, gain, spectrum (n, F, M); third_order
    (n, n, F, M)."""

    shift: Tensor
    event: Tensor
    third_order: Tensor
    gain: Tensor
    spectrum: Tensor


@torch.no_grad()
def dressed(
    neurons: Membrane, modes: Modes, frequencies: Tensor, threads: int = 1, *, spectra: bool = True
) -> Dressed:
    """In 1/ms; without `spectra`, `spectrum` is empty."""
    state, omega = prepared(neurons, frequencies, threads)
    if spectra:
        omega = np.maximum(omega, 1e-5)  # the spectrum's peak at 0 is imaginary elsewhere
    solution = nested_solves.DressedSolves.empty(neurons.size, len(modes.rates), len(omega), spectra)
    over_neurons(nested_solves.dressed, neurons.size, threads, state, modes.rates, modes.together, omega, solution)
    return Dressed(*(torch.from_numpy(np.moveaxis(x, 0, -1).copy()) for x in solution))


def prepared(neurons: Membrane, frequencies: Any, threads: int) -> tuple[nested_solves.SolverState, np.ndarray]:
    """(what the kernels in `_second` expand about, omega (F,) rad/ms)."""
    scheme = integration_of(*neurons.integration())
    per_mV = (-neurons.grid.step / neurons.sigma**2).detach().numpy().copy()
    omega = (in_hertz(frequencies) * (2 * math.pi / 1000)).numpy()
    return nested_solves.SolverState(scheme, stationary_state(scheme, threads).probability, per_mV), omega
