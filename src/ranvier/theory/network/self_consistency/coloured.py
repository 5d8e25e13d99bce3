"""Self-consistent rates of networks whose synapses filter: noise in part white, in part coloured.

Each neuron's filtered inputs are one Ornstein-Uhlenbeck process of their variance, with the time constant that gives
the free membrane the variance which they give it; `two_variables.filtered_rate` has the rate. Spectra are those of
neurons in white noise of the membrane's variance whose mean input is moved so that they fire at these rates, as are
responses but for the factor of `coloured_gains`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ranvier.theory.network.groups import NeuronGroup, on_own_grid
from ranvier.theory.network.lowering import LoweredNetwork
from ranvier.theory.network.self_consistency._shifts import InputTable, matching_shift, shift_of_noise
from ranvier.theory.network.self_consistency.newton import solve_rates
from ranvier.theory.network.self_consistency.rates import ImplicitRates, WorkingPoint, self_consistent
from ranvier.theory.single_neuron.stationary import rate_alone
from ranvier.theory.single_neuron.two_variables import filtered_rate

NEGLIGIBLE = 1e-10  # of the variance: filtered noise that is left out
MANY = 60  # neurons that differ, from which on their shifts are interpolated


class InputNoise(NamedTuple):
    """Of each node (size,): `white` mV^2, what synapses add to the neurons' own white noise; `filtered` mV^2, the
    variance of the filtered current; `tau` ms, its time constant (1 where there is none); `membrane` mV^2, what
    both give the free membrane."""

    white: Tensor
    filtered: Tensor
    tau: Tensor
    membrane: Tensor

    @classmethod
    def of(cls, lowered: LoweredNetwork, power: Tensor, white: Tensor) -> InputNoise:
        """From `power` (filters, size) mV^2 ms, W^2 times rates, and more `white` noise (size,) mV^2."""
        filtered = passed = torch.zeros_like(white)
        for f, x in zip(lowered.coupling.filters, power, strict=True):
            if f.instant:
                white = white + x / (2 * lowered.tau)
            else:
                filtered = filtered + f.power * x
                passed = passed + f.noise_share(lowered.tau) * x / (2 * lowered.tau)
        some = filtered > 0
        rest = torch.where(some, filtered - passed, 1.0)
        tau = torch.where(some, lowered.tau * torch.where(some, passed, 1.0) / rest, 1.0)
        return cls(white, filtered, tau, white + passed)


@dataclass(frozen=True, repr=False)
class ColouredPoint(WorkingPoint):
    """`input` holds `shift` (size,) mV, by which the mean input of neurons in white noise is moved so that they fire
    at the rates of those in coloured noise; `noise`: what the synapses give; `mean` (size,) mV without the shift."""

    shift: Tensor
    mean: Tensor
    noise: InputNoise


class RateMap:
    """Rates that neurons have when their sources have given ones; its fixed points are a network's stationary states.

    `colours`, `whites` (E,): shares of each edge's noise that are taken as its filter makes it, and as white noise.
    """

    def __init__(
        self, lowered: LoweredNetwork, cells: Sequence[NeuronGroup], colours: Tensor, whites: Tensor, threads: int = 1
    ) -> None:
        coupling = lowered.coupling
        self.lowered, self.cells, self.threads, self.coupling = lowered, cells, threads, coupling
        self._through = coupling.synapse * coupling.size + coupling.targets
        self._filtered = colours * coupling.squared
        self._white = whites * coupling.squared / (2 * lowered.tau[coupling.targets])
        self.tables = [InputTable(shift_of_noise(two_variable_rates, threads)) for _ in cells]

    def received(self, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """At rates r (size,) 1/ms: mean input (size,), power (filters, size), more white noise (size,)."""
        coupling, lowered = self.coupling, self.lowered
        sent, size = r[coupling.sources], coupling.size
        power = torch.zeros(len(coupling.filters) * size, dtype=torch.float64)
        power = power.index_add(0, self._through, self._filtered * sent).reshape(-1, size)
        mean = lowered.input + coupling.into(coupling.weight * sent)
        return mean, lowered.background_power + power, coupling.into(self._white * sent)

    def noise(self, power: Tensor, white: Tensor) -> InputNoise:
        return InputNoise.of(self.lowered, power, white)

    def rates(self, groups: Sequence[NeuronGroup], mean: Tensor, noise: InputNoise) -> Tensor:
        """(size,) 1/ms."""
        r = self.lowered.source_rates
        for group, table in zip(groups, self.tables, strict=True):
            at = group.index
            own = InputNoise(*(x[at] for x in noise))
            r = r.index_copy(0, at, group_rates(group, mean[at], own, table, self.threads))
        return r

    @torch.no_grad()
    def linearised(self, groups: Sequence[NeuronGroup], r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(rates, their slopes in the mean input (size,), derivatives in the sources' rates at the edges (E,))."""
        leaves = [x.detach().requires_grad_() for x in self.received(r)]
        with torch.enable_grad():
            phi = self.rates(groups, leaves[0], self.noise(leaves[1], leaves[2]))
            slopes = torch.autograd.grad(phi.sum(), leaves, allow_unused=True) if len(groups) else [None] * 3
        mean, power, white = (torch.zeros_like(x) if g is None else g for x, g in zip(leaves, slopes, strict=True))
        for group in groups:
            mean[group.index] *= group.receives
        t = self.coupling.targets
        edges = mean[t] * self.coupling.weight + power.reshape(-1)[self._through] * self._filtered
        return phi.detach(), mean, edges + white[t] * self._white

    @torch.no_grad()
    def gridded(self, r: Tensor) -> list[NeuronGroup]:
        """The groups with the grids that suit their input at r."""
        mean, power, white = self.received(r)
        noise = self.noise(power, white)
        return [on_own_grid(group, mean[group.index], noise.membrane[group.index]) for group in self.cells]


def coloured_point(
    lowered: LoweredNetwork, cells: Sequence[NeuronGroup], colours: Tensor, whites: Tensor, shares: Tensor,
    threads: int = 1, *, start: Tensor | None = None,
) -> ColouredPoint:
    """Rates by Newton's method, differentiable in everything by the implicit function theorem.

    `colours`, `whites` as in `RateMap`; `shares` (E,) of the white noise of each edge that the membrane's variance has
    then; `start` (size,) 1/ms, where Newton's method begins. Raises ValueError where no rates are found.
    """
    coupling = lowered.coupling
    rate_map = RateMap(lowered, cells, colours, whites, threads)
    with torch.no_grad():
        guess = _white_rates(lowered, cells, shares, threads) if start is None else start
        solution = solve_rates(rate_map.linearised, rate_map.gridded, guess, coupling)
    groups = tuple(solution.cells)
    r = solution.rates
    mean, power, white = rate_map.received(r)
    if torch.is_grad_enabled():
        phi = rate_map.rates(groups, mean, rate_map.noise(power, white))
        r = ImplicitRates.apply(phi, coupling, solution.slopes)
        r = solution.rates + (r - r.detach())  # the residual is no part of the answer
        mean, power, white = rate_map.received(r)
    noise = rate_map.noise(power, white)
    shift = torch.zeros_like(r)
    for group, table in zip(groups, rate_map.tables, strict=True):
        at = group.index
        own = InputNoise(*(x[at] for x in noise))
        shift = shift.index_copy(0, at, group_shift(group, mean[at], own, r[at], table, threads))
    return ColouredPoint(
        groups, coupling, r, mean + shift, noise.membrane, shares, lowered.from_source, solution.iterations,
        solution.residual, shift, mean, noise,
    )  # fmt: skip


def _white_rates(lowered: LoweredNetwork, cells: Sequence[NeuronGroup], shares: Tensor, threads: int) -> Tensor:
    """Where Newton's method begins, (size,) 1/ms: the rates in white noise, where there are any."""
    try:
        white = self_consistent(
            cells, lowered.coupling, noise_share=shares, source_rates=lowered.source_rates, input=lowered.input,
            variance=lowered.variance, threads=threads, rough=True,
        )  # fmt: skip
    except ValueError as error:
        if "no self-consistent rates" not in str(error):
            raise
    else:
        return white.rates
    guess = lowered.source_rates.clone()
    for group in cells:
        guess[group.index] = 0.005
    return guess


def group_rates(
    group: NeuronGroup, mean: Tensor, noise: InputNoise, table: InputTable, threads: int = 1
) -> Tensor:
    """(M,) 1/ms of neurons with mean input `mean` mV and noise as in `InputNoise`; one of each kind is solved."""
    white, filtered, tau, membrane = noise
    distinct = group.distinct(mean, white, filtered, tau)
    if distinct is not None:
        rows, place = distinct
        return group_rates(group.take(rows), mean[rows], InputNoise(*(x[rows] for x in noise)), table, threads)[place]
    rows, plain = coloured_rows(group, noise)
    rates = torch.zeros_like(mean)
    if len(plain):
        m = group.take(plain).membrane(mean[plain], white[plain])
        rates = rates.index_copy(0, plain, rate_alone(m, threads))
    if not len(rows):
        return rates
    some = group.take(rows)
    mean, white, filtered, tau, membrane = (x[rows] for x in (mean, white, filtered, tau, membrane))
    if many(some):
        moved = mean + table(some, mean, white, filtered, tau)
        return rates.index_copy(0, rows, rate_alone(some.membrane(moved, membrane), threads))
    return rates.index_copy(0, rows, two_variable_rates(some, mean, white, filtered, tau, threads))


def group_shift(
    group: NeuronGroup, mean: Tensor, noise: InputNoise, rate: Tensor, table: InputTable, threads: int = 1
) -> Tensor:
    """(M,) mV, `matching_shift` of neurons with the `rate` (M,) 1/ms of `group_rates`, whose table has it of many."""
    distinct = group.distinct(mean, *noise[:3], rate)
    if distinct is not None:
        rows, place = distinct
        own = InputNoise(*(x[rows] for x in noise))
        return group_shift(group.take(rows), mean[rows], own, rate[rows], table, threads)[place]
    rows, _ = coloured_rows(group, noise)
    some = group.take(rows)
    if not many(some):
        return matching_shift(group, mean, noise.membrane, rate, threads)
    moved = table(some, mean[rows], *(x[rows] for x in noise[:3]))
    return torch.zeros_like(mean).index_copy(0, rows, moved)


def coloured_rows(group: NeuronGroup, noise: InputNoise) -> tuple[Tensor, Tensor]:
    """Places of the neurons that have filtered noise, and of the others."""
    coloured = noise.filtered.detach() > NEGLIGIBLE * (group.variance + noise.membrane).detach()
    return torch.nonzero(coloured)[:, 0], torch.nonzero(~coloured)[:, 0]


def many(group: NeuronGroup) -> bool:
    """Whether what neurons have of their input is interpolated: of many of the same parameters, none of which needs a
    gradient."""
    own = [group.tau, group.V_th, group.V_reset, group.t_ref, *group.parameters.values()]
    if group.size <= MANY or (torch.is_grad_enabled() and any(x.requires_grad for x in [*own, group.variance])):
        return False
    return all(bool((x == x[0]).all()) for x in own)


def two_variable_rates(
    group: NeuronGroup, mean: Tensor, white: Tensor, filtered: Tensor, tau: Tensor, threads: int = 1
) -> Tensor:
    """(M,) 1/ms."""
    total = group.variance + white
    without = None
    passed = filtered * tau / (group.tau + tau)
    if bool(((total > 0.1 * passed) & (total > 1e-6)).all()):
        without = 1000 * rate_alone(group.membrane(mean, white), threads)
    try:
        rate = filtered_rate(
            lambda V: group.force(V, mean),
            tau=group.tau, sigma=torch.sqrt(total + 1e-30), s=torch.sqrt(filtered), tau_s=tau,
            V_th=group.threshold(total), V_reset=group.V_reset, t_ref=group.wait(mean, total), threads=threads,
            without=without,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{group.name}: {error}") from error
    return rate.clamp(min=0.0) / 1000

