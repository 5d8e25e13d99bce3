"""Networks at strong coupling: rates and covariances to second order in the recurrent input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganglion.theory.membrane import Membrane
from ganglion.theory.response import response
from ganglion.theory.second_order import filtered_noise, frequency_quadrature, second_order
from ganglion.theory.stationary import stationary

Neurons = Callable[[Tensor, Tensor], Membrane]


@dataclass(frozen=True)
class StrongCoupling:
    """A network's working point to second order in its recurrent input.

    `rates`, `linear_rates` (N,) Hz: with the repair, and by the mean input alone; `variance` (N,) mV^2: of the
    recurrent input, filtered, before the membrane; `radius`: of K at zero frequency; `neurons`, as they are at
    their mean input; `matched`, the same with so much more white noise that they fire at `rates`.
    """

    rates: Tensor
    linear_rates: Tensor
    variance: Tensor
    radius: float
    neurons: Membrane
    matched: Membrane
    weights: Tensor
    tau_s: float
    delay: Tensor

    @torch.no_grad()
    def spectrum(self, f: Tensor | float) -> Tensor:
        """C_ij(f) = int C_ij(tau) e^{-2 pi i f tau} dtau, complex (F, N, N) Hz, for f (F,) in Hz."""
        return _spectrum(self._interaction(f), response(self.matched, f).spectrum)

    @torch.no_grad()
    def covariance(self, window: float, count: int = 60) -> Tensor:
        """(N, N): of spike counts in windows of `window` ms, by a quadrature of `count` frequencies."""
        f, w = frequency_quadrature(count, 1500.0 / window)
        share = 2 * w * (torch.sin(math.pi * f * window / 1000) / (math.pi * f)) ** 2
        r = torch.diag(self.rates)
        C = torch.zeros_like(r)
        for some in torch.arange(count).split(16):
            C += (share[some, None, None] * (self.spectrum(f[some]).real - r)).sum(0)
        return C + r * window / 1000

    def _interaction(self, f: Tensor | float) -> Tensor:
        return _interaction(self.neurons, self.weights, self.tau_s, self.delay, self.variance, f)


@torch.no_grad()
def strong_coupling(
    neurons: Neurons, weights: Tensor, *, tau_s: float, delay: Any, accuracy: float = 1e-6
) -> StrongCoupling:
    """Where linear response ends: second order in the recurrent input, self-consistently.

    neurons: function of (mu, extra), both (N,): the neurons at mean recurrent input mu (mV), with `extra`
    (mV^2) added to sigma^2. weights: W (N, N), j -> i, mV ms. tau_s (ms) of the exponential synapses; delay:
    ms, a number or (N, N).

    Three corrections, each by nested solves of the threshold-integration operator (`filtered_noise`):

    - rates: r_i = r0_i(mu_i) + 1/2 int df chi2_i(f, -f) S_i(f), where S_i is the spectrum of the recurrent
      input, cross-correlations included;
    - the interaction: a spike of j changes i's rate by A_i W_ij and, at second order, by a term in W_ij^2 that
      makes excitation stronger than linear and inhibition weaker;
    - the susceptibility A_i, for the fluctuations (chi3).

    Spike-train spectra are those of neurons with so much more white noise that they fire at the repaired rate;
    this overestimates count variances by some 4 % at the strongest coupling tried.
    Raises ValueError where K has a spectral radius of 1 or more, or no working point is found.
    """
    W = torch.as_tensor(weights, dtype=torch.float64).detach()
    N = W.shape[0]
    d = torch.as_tensor(delay, dtype=torch.float64).expand(N, N)
    none = torch.zeros(N, dtype=torch.float64)
    per_rate = W**2 / (2 * tau_s) / 1000  # mV^2 per Hz

    def linear(r: Tensor) -> tuple[Tensor, Tensor]:
        cells = neurons(W @ r / 1000, none)
        return stationary(cells).rate, response(cells, 0.0).current[0].real[:, None] * W / 1000

    def repaired(r: Tensor) -> tuple[Tensor, Tensor]:
        told, slope = linear(r)
        shift = filtered_noise(neurons(W @ r / 1000, none), tau_s, 0.0).shift
        return told + (per_rate @ r) * shift + extra, slope + shift[:, None] * per_rate

    linear_rates = _settled(linear, stationary(neurons(none, none)).rate, accuracy)
    rates, extra = linear_rates, none
    for _ in range(2):
        rates = _settled(repaired, rates, accuracy)
        cells = neurons(W @ rates / 1000, none)
        variance = per_rate @ rates
        radius = _stable(_interaction(cells, W, tau_s, d, variance, 0.0)[0])
        extra = _not_white(cells, W, tau_s, d, variance, rates)
    rates = _settled(repaired, rates, accuracy)
    mu, variance = W @ rates / 1000, per_rate @ rates
    matched = _matched(neurons, mu, rates)
    return StrongCoupling(rates, linear_rates, variance, radius, neurons(mu, none), matched, W, tau_s, d)


def _settled(step: Callable[[Tensor], tuple[Tensor, Tensor]], r: Tensor, accuracy: float) -> Tensor:
    """Newton's rates r = told(r), from step(r) = (told, slope)."""
    unit = torch.eye(len(r), dtype=torch.float64)
    for _ in range(50):
        told, slope = step(r)
        change = torch.linalg.solve(unit - slope, told - r)
        if not bool(torch.isfinite(change).all()):
            break
        r = (r + change).clamp_min(0.0)
        if float(change.abs().max()) < accuracy:
            return r
    raise ValueError(
        "no working point: the rates do not converge. The coupling is too strong for an expansion about "
        "uncoupled neurons; weaken it, or simulate"
    )


def _interaction(
    cells: Membrane, W: Tensor, tau_s: float, delay: Tensor, variance: Tensor, f: Tensor | float
) -> Tensor:
    """K (F, N, N), dimensionless: the change of i's rate per change of j's."""
    at = torch.atleast_1d(torch.as_tensor(f, dtype=torch.float64))
    omega = (2 * math.pi / 1000 * at)[:, None]
    noise = filtered_noise(cells, tau_s, at)
    A = (response(cells, at).current + variance * noise.gain) / (1 + 1j * omega * tau_s)
    K = A[:, :, None] * W + noise.event[:, :, None] * (W**2 / (2 * tau_s))
    return K * torch.exp(-1j * omega[:, :, None] * delay) / 1000


def _spectrum(K: Tensor, S: Tensor) -> Tensor:
    M = torch.linalg.inv(torch.eye(K.shape[1]) - K)
    return (M * S[:, None, :]) @ M.mH


def _stable(K: Tensor) -> float:
    radius = float(torch.linalg.eigvals(K).abs().max())
    if not radius < 1:
        raise ValueError(
            f"the interaction has spectral radius {radius:.3g}, expected below 1: fluctuations grow, and no "
            "expansion holds. Weaken the coupling, or simulate"
        )
    return radius


def _not_white(cells: Membrane, W: Tensor, tau_s: float, delay: Tensor, variance: Tensor, r: Tensor) -> Tensor:
    """(N,) Hz: what the input's spectrum adds to the mean rates beyond that of independent Poisson trains."""
    f, w = frequency_quadrature(32)
    K = _interaction(cells, W, tau_s, delay, variance, f)
    C = _spectrum(K, response(cells, f).spectrum) - torch.diag(r)
    J = torch.exp(-2j * math.pi / 1000 * f[:, None, None] * delay) * W / 1000
    S = ((J @ C) * J.conj()).sum(2).real / (1 + (2 * math.pi / 1000 * f * tau_s) ** 2)[:, None]
    return (w[:, None] * second_order(cells, f) * S).sum(0)


def _matched(neurons: Neurons, mu: Tensor, rates: Tensor) -> Membrane:
    """The neurons with as much more white noise as makes them fire at `rates`."""
    extra = torch.zeros_like(mu)
    for _ in range(20):
        cells = neurons(mu, extra)
        miss = stationary(cells).rate - rates
        if float(miss.abs().max()) < 1e-9:
            break
        extra = extra - miss * cells.sigma**2 / response(cells, 0.0).noise[0].real
    return cells
