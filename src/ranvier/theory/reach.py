"""What a prediction says of its own reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.network.expected_error import covariance_error, input_statistics, rate_error, spike_effect
from ranvier.theory.network.fluctuations.linear_response import edge_interaction
from ranvier.theory.network.fluctuations.stability import spectral_radius
from ranvier.theory.network.junctions import ElectricalPoint
from ranvier.theory.network.lowering import LoweredNetwork
from ranvier.theory.network.self_consistency.coloured import ColouredPoint
from ranvier.theory.network.self_consistency.coloured_gains import REGULAR as TOO_REGULAR
from ranvier.theory.network.self_consistency.coloured_gains import SILENT, ExactPoint
from ranvier.theory.network.self_consistency.rates import WorkingPoint
from ranvier.theory.second_order.network import SecondPoint

ADVISE = 0.15  # relative error of covariances from which order=2 is advised
SECOND_ORDER = 0.2  # the share of the errors that order=2 leaves
#: relative error that it leaves of covariances between neurons that a regular one drives, whose fluctuations it takes
#: as those of a Poisson train but for their size: 2 to 18 % beside simulations, of a hub of 72 Hz (first: 4 to 23)
HUB, REGULAR = 0.18, 0.3  # below this CV
GAIN = 0.03  # relative error of responses in filtered noise, beside simulations at 20 to 325 Hz


@dataclass(frozen=True, repr=False)
class TheoryReport(Brief):
    """How far the theory can be trusted here.

    `rate_error` (neurons,) Hz: the expected error of each rate; `covariance_error`: that of covariances between
    neurons, relative (`ranvier.theory.network.expected_error` says what makes them). `treatment`: how filtered
    noise enters the rates. `spectral_radius` of K(0): linear response is a series in it. `recurrent_noise`
    (neurons,): variance that recurrent input gives each membrane, over that of all its other noise. `counted`: the
    share of it that the neurons' noise has (`predict`). `iterations`, `residual` (Hz): of the rates.
    `states`: how many stationary states are known (`theory.stationary_states` looks for them). `spectrum_error`: of
    populations, the largest relative error of spectra up to 400 Hz (`PopulationPrediction.spectrum_error`); inf where
    modes grow or may grow.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=12.0, noise=5.0)
    >>> report = rv.predict(net).report
    >>> report.spectral_radius  # nothing is connected
    0.0
    """

    rate_error: Tensor
    covariance_error: float
    treatment: str
    spectral_radius: float
    recurrent_noise: Tensor
    counted: str
    iterations: int
    residual: float
    states: int = 1
    spectrum_error: float | None = None

    @classmethod
    def of(cls, lowered: LoweredNetwork, point: WorkingPoint | SecondPoint, counted: str, threads: int) -> TheoryReport:
        """Of a network's working point; `counted` says which share of the recurrent noise that has."""
        with torch.no_grad():
            at = torch.zeros(1, dtype=torch.float64)
            coupling = lowered.coupling
            strength = getattr(point, "strength", coupling.weight)
            inputs = input_statistics(lowered, point.rates, strength)
            share, second = inputs.share, isinstance(point, SecondPoint)
            if isinstance(point, ElectricalPoint):
                coupling, K = point.feedback(threads)
                other = inputs.variance - inputs.recurrent
                share = torch.where(other > 0, (inputs.recurrent + point.fluctuations) / other, 0.0)
            else:
                K = edge_interaction(coupling, point.linear(at, threads)[0], at)[0].real
                if lowered.silent is not None:  # a neuron's adaptation only weakens its responses
                    K = torch.where(lowered.silent, 0.0, K)
            sources = torch.ones_like(share, dtype=torch.bool)
            for group in lowered.cells:
                sources[group.index] = False
            adapting = torch.zeros_like(share)
            if lowered.silent is not None:
                adapting[lowered.coupling.targets[lowered.silent]] = 1.0
            gain, cv = point.susceptibility(at, threads)[0].real, point.cv(threads)
            size = len(share)
            coloured, treatment = _treatment(lowered, point, inputs.recurrent, cv[:size])
            if lowered.silent is not None:
                treatment += ", adaptation by its mean"
            errors = rate_error(inputs, point.rates, gain[:size], cv[:size], coloured, adapting, sources)
            effect = spike_effect(lowered, point.rates, strength, gain[:size])
            relative = covariance_error(inputs, cv[:size], effect)
        radius = spectral_radius(coupling.sources, coupling.targets, K, coupling.size)
        better = SECOND_ORDER if second else 1.0
        errors, relative = 1000 * errors * better, relative * better
        if second and _regular_sources(lowered, point.rates, cv):
            relative, treatment = max(relative, HUB), f"{treatment}, regular neurons as Poisson trains of their power"
        return cls(errors, relative, treatment, radius, share, counted, point.iterations, 1000 * point.residual)

    def __str__(self) -> str:
        share, error = self.recurrent_noise, self.rate_error
        largest, mean = (float(x) for x in (share.max(), share.mean())) if len(share) else (0.0, 0.0)
        off = float(error.mean()) if len(error) else 0.0
        text = (
            f"{self.treatment}; expected errors: rates {off:.2g} Hz on average, covariances "
            f"{100 * self.covariance_error:.0f} %; "
            f"spectral radius {self.spectral_radius:.3f}; recurrent noise {mean:.3f} "
            f"of the rest of the variance on average, {largest:.3f} at most, counted: {self.counted}"
        )
        if self.spectrum_error == math.inf:
            text += "; modes grow, or may grow: spectra mean nothing where they do (see spectrum_error and exponents)"
        elif self.spectrum_error is not None:
            text += f"; spectra up to {100 * self.spectrum_error:.0f} % off, where a mode is nearest to instability"
        if self.states > 1:
            text += f"; one of {self.states} stationary states: see theory.stationary_states"
        if self.covariance_error > ADVISE and self.counted != "to second order":
            text += "; order=2 expects a fifth of these errors"
        return text


def _regular_sources(lowered: LoweredNetwork, rates: Tensor, cv: Tensor) -> bool:
    """Whether some neuron that is regular drives others."""
    sent = lowered.coupling.sources[lowered.coupling.weight != 0]
    return bool(((cv[sent] < REGULAR) & (rates[sent] > 1e-5)).any())


def _treatment(lowered: LoweredNetwork, point: Any, recurrent: Tensor, cv: Tensor) -> tuple[bool, str]:
    """Whether noise is coloured, and how it is treated, in words."""
    if isinstance(point, ColouredPoint) and bool((point.noise.filtered > 0).any()):
        at = point.noise.filtered > 0
        ratio = float((point.noise.tau / lowered.tau)[at].max())
        text = "filtered noise by the Fokker-Planck equation of voltage and input "
        text += f"(tau_s/tau_m to {ratio:.2g}) in rates"
        if not isinstance(point, ExactPoint):
            return True, f"{text}, responses as in white noise (off by 3 to 25 %)"
        text += f" and responses (to {100 * GAIN:.0f} %)"
        if bool((at & (cv < TOO_REGULAR[1]) & (point.rates > SILENT)).any()):
            text += f", where the CV is below {TOO_REGULAR[1]:g} more and more those in white noise (to 12 %)"
        return True, text
    filtered = any(not f.instant for f in lowered.coupling.filters)
    if filtered and bool((recurrent > 0).any() or (lowered.background_power > 0).any()):
        return True, "filtered noise as white noise of the same variance"
    return False, "white noise"
