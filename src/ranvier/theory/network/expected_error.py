"""How far rates and covariances can be off, from what is known of a network's inputs.

The theory takes inputs as Gaussian, independent and with the spectrum of Poisson trains. Its errors follow from what
they are not: the skewness and the excess kurtosis of the membrane's shot noise (cumulants of Poisson input through the
synapse and the membrane; Edgeworth's series of the density at threshold), and the irregularity of the sources.
The factors are those of simulations of random networks (`tests/theory/random_networks.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ranvier.theory.network.lowering import Assembly
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
def input_statistics(assembly: Assembly, rates: Tensor, strength: Tensor) -> InputStatistics:
    """Of rates (size,) 1/ms and the edges' weights as currents `strength` (E,) mV ms. A pulse of area W through a
    filter that leaves the share c of the variance gives the cumulants W^2 c/(2 tau), W^3 c^2/(3 tau^2) and
    W^4 c^3/(4 tau^3) per spike."""
    coupling, tau = assembly.coupling, assembly.tau
    t, sent = coupling.targets, rates[coupling.sources]
    if assembly.silent is not None:
        sent = torch.where(assembly.silent, 0.0, sent)
    share = coupling.noise_shares(tau)
    quadratic = sent * _power(coupling, strength, 2) * share / (2 * tau[t])
    recurrent = coupling.into(torch.where(assembly.from_source, 0.0, quadratic))
    variance = coupling.into(quadratic) + assembly.variance.detach()
    cubic = coupling.into(sent * _power(coupling, strength, 3) * share**2 / (3 * tau[t] ** 2))
    quartic = sent * _power(coupling, strength, 4) * share**3 / (4 * tau[t] ** 3)
    quartic = coupling.into(torch.where(assembly.from_source, 0.0, quartic))
    for f, w3 in zip(coupling.filters, assembly.background_cumulants[0], strict=True):
        if f.E_rev is None:
            cubic = cubic + w3 * f.noise_share(tau) ** 2 / (3 * tau**2)
    for group in assembly.cells:
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
def covariance_error(inputs: InputStatistics, cv: Tensor) -> float:
    """Expected relative error of covariances between neurons, at most 1, from means over the nodes: the root of the
    recurrent noise's excess kurtosis, small where many weak spikes make that noise and near 1 where a few do, and
    its part of all noise times by how much its sources are more regular than Poisson trains."""
    some = inputs.recurrent > 0
    if not bool(some.any()):
        return LEAST
    root = float(torch.sqrt(inputs.kurtosis)[some].mean())
    part = float((inputs.recurrent / inputs.variance)[some].mean())
    return min(1.0, LEAST + KURTOSIS * root + REGULAR * part * float((1 - cv[some] ** 2).abs().mean()))
