"""The rates of a network to second order: what neurons with a guessed input do, and the slopes of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.self_consistency.rates import Coupling
from ranvier.theory.second_order._modes import Modes, modes_of
from ranvier.theory.second_order.response import dressed
from ranvier.theory.single_neuron.response import response
from ranvier.theory.single_neuron.stationary import stationary


class Trial(NamedTuple):
    """Neurons at guessed `rates` (size,) 1/ms, expanded about `matched` (size,) mV^2 more white noise, their rates
    moved by `coloured` (size,) 1/ms: `input` (size,) mV, `variance` (size,) mV^2 with `matched` in it, and `noise`
    (modes, size) mV^2 from the filtered synapses."""

    rates: Tensor
    matched: Tensor
    coloured: Tensor
    input: Tensor
    variance: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Problem:
    """What stays as it is while a working point is looked for.

    `input`, `variance` (size,) mV, mV^2: from outside. Per edge (E,) and rate of its source, in mV^2 ms: `white`,
    the variance that jumps add, and `filtered` (modes, E), that each mode adds.
    """

    cells: tuple[NeuronGroup, ...]
    coupling: Coupling
    modes: Modes
    input: Tensor
    variance: Tensor
    white: Tensor
    filtered: Tensor
    threads: int

    @classmethod
    def of(
        cls, cells: tuple[NeuronGroup, ...], coupling: Coupling, tau: Tensor, input: Tensor, variance: Tensor,
        threads: int,
    ) -> Problem:
        """`tau` (size,) ms. Raises ValueError for a synapse whose kernel oscillates."""
        modes, w = modes_of(coupling.filters), coupling.weight
        instant = torch.tensor([f.instant for f in coupling.filters])[coupling.synapse] if len(w) else w.bool()
        white = torch.where(instant, w**2 / (2 * tau[coupling.targets]), 0.0)
        own = torch.from_numpy(modes.filter)[:, None] == coupling.synapse
        filtered = torch.where(own, w**2, 0.0) * torch.from_numpy(modes.variance)[:, None]
        return cls(cells, coupling, modes, input, variance, white, filtered, threads)

    def at(self, rates: Tensor, matched: Tensor, coloured: Tensor) -> Trial:
        into, sent = self.coupling.into, rates[self.coupling.sources]
        noise = [into(x * sent) for x in self.filtered]
        return Trial(
            rates,
            matched,
            coloured,
            self.input + into(self.coupling.weight * sent),
            self.variance + into(self.white * sent) + matched,
            torch.stack(noise) if noise else torch.zeros(0, len(rates), dtype=torch.float64),
        )


class Rates(NamedTuple):
    """What a trial's neurons do: their rates `phi` (size,) 1/ms; the `slopes` (E,) of those in the rates; `matched`
    (size,) mV^2 as it should have been."""

    phi: Tensor
    slopes: Tensor
    matched: Tensor


def rates(problem: Problem, trial: Trial) -> Rates:
    coupling, modes, threads = problem.coupling, problem.modes, problem.threads
    w, t, s = coupling.weight, coupling.targets, coupling.sources
    r, x = trial.rates, trial.matched
    phi, by_mean, by_variance = r.clone(), torch.zeros_like(r), torch.zeros_like(r)
    shift = torch.zeros(len(modes.rates), len(r), dtype=torch.float64)
    three = torch.zeros(len(coupling.filters), len(r), dtype=torch.float64)
    for group in problem.cells:
        at = group.index
        m = group.membrane(trial.input[at], trial.variance[at])
        A = response(m, 0.0, threads=threads)
        phi[at], by_mean[at] = stationary(m, threads).rate / 1000, A.current[0].real / 1000 * group.receives
        by_variance[at] = A.noise[0].real / (1000 * m.sigma**2)
        zero = torch.zeros(1, dtype=torch.float64)
        solution = dressed(m, modes, zero, threads, spectra=False)
        shift[:, at] = solution.shift
        three[: modes.filters, at] = modes.pulses(zero, solution.event, solution.third_order)[1][:, 0].real
    cubic = three[coupling.synapse, t] * w**3
    added = (shift * trial.noise).sum(0) + trial.coloured + coupling.into(cubic * r[s])
    # x stays between 0 and what white noise of the same strength would add
    most = 10 * trial.noise.sum(0)
    required = torch.where(by_variance > 0, added / by_variance.clamp(min=1e-300), x)
    matched = torch.minimum(required.clamp(min=0.0), most)
    slopes = by_mean[t] * w + cubic + by_variance[t] * problem.white
    for filtered, one in zip(problem.filtered, shift, strict=True):
        slopes = slopes + filtered * one[t]
    return Rates((phi + added - x * by_variance).clamp(min=0.0), slopes, matched)
