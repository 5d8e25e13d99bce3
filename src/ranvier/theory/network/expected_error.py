"""How far rates and covariances can be off, from what is known of a network's inputs.

The theory takes inputs as Gaussian, independent and with the spectrum of Poisson trains, and responses as linear. Its
errors follow from what they are not: by how much a single spike changes the logarithm of a rate; the skewness and the
excess kurtosis of the membrane's shot noise (cumulants of Poisson input through the synapse and the membrane;
Edgeworth's series of the density at threshold), and the irregularity of the sources.
The factors are those of simulations of random networks (`tests/theory/random_networks.py`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ranvier.theory.network.lowering import LoweredNetwork
from ranvier.theory.network.self_consistency.rates import Coupling

COLOURED, WHITE, ADAPTING = 0.02, 0.005, 0.04  # relative errors of rates in Gaussian noise
SKEWED, IRREGULAR = 1.0, 1.0  # factors of the terms of rates
LEAST, KURTOSIS, REGULAR = 0.08, 1.5, 0.7  # of covariances: at least, and the terms' factors


class InputStatistics(NamedTuple):
    """Of each node's membrane (size,): `recurrent`, `variance` mV^2, of recurrent input and of all; `skewness` of the
    shot noise of all inputs; `kurtosis`, the excess of that of the recurrent ones."""

    recurrent: Tensor
    variance: Tensor
    skewness: Tensor
    kurtosis: Tensor

    @property
    def share(self) -> Tensor:
        """(size,) recurrent variance over that of all other noise."""
        other = self.variance - self.recurrent
        return torch.where(self.recurrent > 0, self.recurrent / other, 0.0)


@torch.no_grad()
def input_statistics(lowered: LoweredNetwork, rates: Tensor, strength: Tensor) -> InputStatistics:
    """Of rates (size,) 1/ms and the edges' weights as currents `strength` (E,) mV ms. A pulse of area W through a
    filter that leaves the share c of the variance gives the cumulants W^2 c/(2 tau), W^3 c^2/(3 tau^2) and
    W^4 c^3/(4 tau^3) per spike."""
    coupling, tau = lowered.coupling, lowered.tau
    t, sent = coupling.targets, rates[coupling.sources]
    if lowered.silent is not None:
        sent = torch.where(lowered.silent, 0.0, sent)
    share = coupling.noise_shares(tau)
    quadratic = sent * _power(coupling, strength, 2) * share / (2 * tau[t])
    recurrent = coupling.into(torch.where(lowered.from_source, 0.0, quadratic))
    variance = coupling.into(quadratic) + lowered.variance.detach()
    cubic = coupling.into(sent * _power(coupling, strength, 3) * share**2 / (3 * tau[t] ** 2))
    quartic = sent * _power(coupling, strength, 4) * share**3 / (4 * tau[t] ** 3)
    quartic = coupling.into(torch.where(lowered.from_source, 0.0, quartic))
    for f, w3 in zip(coupling.filters, lowered.background_cumulants[0], strict=True):
        if f.E_rev is None:
            cubic = cubic + w3 * f.noise_share(tau) ** 2 / (3 * tau**2)
    for group in lowered.cells:
        variance[group.index] += group.variance.detach()
    safe = torch.where(variance > 0, variance, 1.0)
    return InputStatistics(recurrent, variance, cubic / safe**1.5, quartic / safe**2)


def _power(coupling: Coupling, strength: Tensor, n: int) -> Tensor:
    return strength**n if coupling.in_degree is None else strength**n / coupling.in_degree ** (n - 1)


@torch.no_grad()
def rate_error(
    inputs: InputStatistics, rates: Tensor, gain: Tensor, cv: Tensor, coloured: bool, adapting: Tensor, sources: Tensor
) -> Tensor:
    """(size,) expected errors, in the unit of `rates`, from the static `gain` (size,) per mV: y = sigma gain/r is by
    how many standard deviations the threshold lies above the mean where noise makes spikes."""
    y = (torch.sqrt(inputs.variance) * gain.abs() / rates.clamp(min=1e-12)).clamp(0.3, 4.0)
    shot = SKEWED * inputs.skewness.abs() / 6 * (y**3 / 2 + y) + inputs.kurtosis / 24 * y**4
    part = inputs.recurrent / inputs.variance.clamp(min=1e-300)
    irregular = IRREGULAR * part * (1 - cv**2).abs() * y / 2
    relative = (COLOURED if coloured else WHITE) + ADAPTING * adapting + shot + irregular
    return torch.where(sources, 0.0, relative * rates)


@torch.no_grad()
def spike_effect(lowered: LoweredNetwork, rates: Tensor, strength: Tensor, gain: Tensor) -> float:
    """x, by how much one recurrent spike changes the logarithm of its target's rate at the peak of its potential: a
    mean over edges, weighed by (gain strength)^2 rate, what they make of covariances. `rates` (size,) 1/ms, `strength`
    (E,) mV ms, `gain` (size,) 1/ms per mV."""
    coupling, tau = lowered.coupling, lowered.tau
    t, count = coupling.targets, 1.0 if coupling.in_degree is None else coupling.in_degree
    counted = ~lowered.from_source & (rates[t] > 1e-12)
    if lowered.silent is not None:
        counted &= ~lowered.silent
    one = gain[t] * strength / count
    weight = torch.where(counted, one**2 * count * rates[coupling.sources], 0.0)
    if not float(weight.sum()) > 0:
        return 0.0
    x = one.abs() * coupling.noise_shares(tau) / tau[t] / rates[t].clamp(min=1e-12)
    return float((weight * x).sum() / weight.sum())


@torch.no_grad()
def covariance_error(inputs: InputStatistics, cv: Tensor, effect: float) -> float:
    """Expected relative error of covariances between neurons, at most 1, from means over the nodes.

    The larger of two: what the answer of a rate that is exponential in V to a spike of `effect` x (`spike_effect`)
    lacks of the linear one where it inhibits, 1 - (1 - e^-x)/x; and the root of the recurrent noise's excess kurtosis,
    small where many weak spikes make that noise and near 1 where a few do. Added is its part of all noise times by how
    much its sources are more regular than Poisson trains."""
    some = inputs.recurrent > 0
    if not bool(some.any()):
        return LEAST
    saturation = 1 + math.expm1(-effect) / effect if effect > 1e-6 else effect / 2
    root = float(torch.sqrt(inputs.kurtosis)[some].mean())
    part = float((inputs.recurrent / inputs.variance)[some].mean())
    regular = REGULAR * part * float((1 - cv[some] ** 2).abs().mean())
    return min(1.0, LEAST + max(KURTOSIS * root, saturation) + regular)
