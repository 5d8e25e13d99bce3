"""Self-consistent rates of networks of one-variable neurons, on plain arrays, with implicit gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.network.filters import Filter
from ranvier.theory.network.groups import NeuronGroup, on_own_grid, shared
from ranvier.theory.network.self_consistency.newton import solve_rates
from ranvier.theory.single_neuron.dispersion import corrected_rate, missing_time
from ranvier.theory.single_neuron.membrane import Membrane
from ranvier.theory.single_neuron.response import rate_slopes, response
from ranvier.theory.single_neuron.stationary import rate_alone, stationary


@dataclass(frozen=True, repr=False)
class Coupling(Brief):
    """Edges of a network of `size` nodes: `sources`, `targets` (E,); `weight` (E,), the area in mV·ms that a
    spike adds to the target's input; `delay` (E,) ms; `synapse` (E,), the number of its filter in
    `filters`. Where nodes are populations, an edge is `in_degree` (E,) synapses from different neurons, and `weight`
    their sum."""

    size: int
    sources: Tensor
    targets: Tensor
    weight: Tensor
    delay: Tensor
    synapse: Tensor
    filters: tuple[Filter, ...]
    in_degree: Tensor | None = None

    @property
    def squared(self) -> Tensor:
        """(E,) mV^2 ms^2: of independent spikes, the sum of squares of what makes `weight`."""
        return self.power(2)

    def power(self, n: int) -> Tensor:
        """(E,) the sum of n-th powers of the areas that make `weight`: of one synapse, or of `in_degree` equal ones."""
        return self.weight**n if self.in_degree is None else self.weight**n / self.in_degree ** (n - 1)

    def into(self, values: Tensor) -> Tensor:
        """Sum of values (E,) over the edges into each node, (size,)."""
        return torch.zeros(self.size, dtype=values.dtype).index_add(0, self.targets, values)

    def dense(self, values: Tensor) -> Tensor:
        """(size, size) matrix [target, source] of values (E,); repeated edges add."""
        n = self.size
        flat = torch.zeros(n * n, dtype=values.dtype)
        return flat.index_add(0, self.targets * n + self.sources, values).reshape(n, n)

    def transfers(self, frequencies: Tensor) -> Tensor:
        """(filters, F) complex: of each filter, at `frequencies` (F,) Hz."""
        none = torch.zeros(0, len(frequencies), dtype=torch.complex128)
        return torch.stack([f.transfer(frequencies) for f in self.filters]) if self.filters else none

    def noise_shares(self, tau: Tensor) -> Tensor:
        """(E,) what each synapse's filter leaves of the variance, at the targets' tau (size,)."""
        shares = torch.stack([f.noise_share(tau) for f in self.filters]) if self.filters else tau[None]
        return shares[self.synapse, self.targets]


@dataclass(frozen=True, repr=False)
class WorkingPoint(Brief):
    """Where a network of `size` nodes sits to first order: `rates` (size,) 1/ms; `input` (size,) mV and
    `variance` (size,) mV^2 from the synapses; `shares` (E,) of the white noise of each edge that is counted in
    `variance`; `outside` (E,) whether an edge comes from a source of spikes; `cells` with their grids; `residual`
    (1/ms) after `iterations` of Newton's method."""

    cells: tuple[NeuronGroup, ...]
    coupling: Coupling
    rates: Tensor
    input: Tensor
    variance: Tensor
    shares: Tensor
    outside: Tensor
    iterations: int
    residual: float

    def linear(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Gains of the edges (1, filters, F, size) at `frequencies` (F,) Hz, see `linear_response.cross_spectra`,
        and spectra (F, size), 1/ms, of the nodes without the noise that the coupling will add: what sources give
        is already in their noise."""
        gain, spectrum = self.responses(frequencies, threads)
        coupling = self.coupling
        if bool(self.outside.any()):
            e = torch.nonzero(self.outside)[:, 0]
            counted = self.shares[e] * coupling.squared[e] * self.rates[coupling.sources[e]]
            own_spikes = torch.zeros_like(self.rates).index_add(0, coupling.targets[e], counted)
            spectrum = spectrum - self.own_gain(frequencies, gain, threads).abs() ** 2 * own_spikes
        return (coupling.transfers(frequencies)[:, :, None] * gain)[None], spectrum

    def own_gain(self, frequencies: Tensor, gain: Tensor, threads: int = 1) -> Tensor:
        """The susceptibility with which the spectra of `responses` have their noise, where those have `gain`."""
        return gain

    def susceptibility(self, frequencies: Tensor, threads: int = 1) -> Tensor:
        """To current, complex (F, size), 1/ms per mV; 0 for a source of spikes."""
        return self.responses(frequencies, threads)[0]

    def responses(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Susceptibility to current (F, size) complex, 1/ms per mV, and spectrum (F, size), 1/ms, of the
        nodes at `frequencies` (F,) Hz, each with its mean input and noise; a source of spikes has no
        susceptibility and the spectrum of a Poisson process."""
        gain = torch.zeros(len(frequencies), len(self.rates), dtype=torch.complex128)
        spectrum = self.rates.expand(len(frequencies), -1)
        for group in self.cells:
            at, mean, variance = group.index, self.input[group.index], self.variance[group.index]
            solution = shared(group, mean, variance, lambda m: _both(m, frequencies, threads))
            gain = gain.index_copy(1, at, solution[0] if group.receives else torch.zeros_like(solution[0]))
            spectrum = spectrum.index_copy(1, at, solution[1])
        return gain, spectrum

    def cv(self, threads: int = 1) -> Tensor:
        """Coefficients of variation (size,), of renewal processes with each neuron's mean input and noise."""
        return self.renewal(threads)[1]

    def renewal(self, threads: int = 1) -> tuple[Tensor, Tensor]:
        """(rates (size,) 1/ms, without the grid's error; coefficients of variation) of the uncoupled nodes."""
        rates, cv = self.rates, torch.ones_like(self.rates)
        for group in self.cells:
            at = group.index
            solution = shared(group, self.input[at], self.variance[at], lambda m: _renewal(m, threads))
            rates, cv = rates.index_copy(0, at, solution[0]), cv.index_copy(0, at, solution[1])
        return rates, cv


def _renewal(m: Membrane, threads: int) -> tuple[Tensor, Tensor]:
    state = stationary(m, threads)
    return corrected_rate(state.rate / 1000, missing_time(m)), state.cv


def _both(m: Membrane, frequencies: Tensor, threads: int) -> tuple[Tensor, Tensor]:
    r = response(m, frequencies, threads=threads)
    return r.current / 1000, r.spectrum / 1000


def self_consistent(
    cells: Sequence[NeuronGroup],
    coupling: Coupling,
    *,
    noise_share: Tensor | float,
    source_rates: Tensor | None = None,
    input: Tensor | None = None,
    variance: Tensor | None = None,
    threads: int = 1,
    start: Tensor | None = None,
    rough: bool = False,
) -> WorkingPoint:
    """Rates r of nodes with mu = input + W r and sigma^2 = own + variance + c (W∘W) r/(2 tau), by Newton's
    method with G = diag(A_mu(0)) W + diag(A_D(0)/sigma^2) c W∘W/(2 tau).

    noise_share: c, one for all or (E,): 0 takes recurrent input as its mean only, 1 as white noise.
    source_rates: (size,) 1/ms, of the nodes that no cells describe (sources of spikes).
    input, variance: (size,) mV, mV^2 from outside (backgrounds).
    start: (size,) 1/ms, where Newton's method begins. rough: to 1e-7 of the largest rate only.

    Differentiable in everything, by the implicit function theorem: one solve with (I - G)' and one
    vector-Jacobian product. Raises ValueError where no rates are found.
    """
    size = coupling.size
    zero = torch.zeros(size, dtype=torch.float64)
    outside, spread = (zero if x is None else x for x in (input, variance))
    sources = zero if source_rates is None else source_rates
    tau = zero + 1
    for group in cells:
        tau = tau.index_copy(0, group.index, group.tau)
    shares = torch.as_tensor(noise_share, dtype=torch.float64).expand(len(coupling.weight))
    by_noise = shares * coupling.squared / (2 * tau[coupling.targets])

    def received(r: Tensor) -> tuple[Tensor, Tensor]:
        sent = r[coupling.sources]
        return outside + coupling.into(coupling.weight * sent), spread + coupling.into(by_noise * sent)

    def rates(groups: Sequence[NeuronGroup], mean: Tensor, noise: Tensor) -> Tensor:
        r = sources
        for group in groups:
            at = group.index
            (solution,) = shared(group, mean[at], noise[at], lambda m: (rate_alone(m, threads),))
            r = r.index_copy(0, at, solution)
        return r

    with torch.no_grad():

        def linearised(groups: Sequence[NeuronGroup], r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, noise = received(r)
            phi, by_mean, by_variance = rates(groups, mean, noise), zero.clone(), zero.clone()
            for group in groups:
                at = group.index
                solution = shared(group, mean[at], noise[at], lambda m: rate_slopes(m, threads))
                by_mean[at], by_variance[at] = solution[0] * group.receives, solution[1]
            t = coupling.targets
            return phi, by_mean, by_mean[t] * coupling.weight + by_variance[t] * by_noise

        def gridded(r: Tensor) -> list[NeuronGroup]:
            mean, noise = received(r)
            return [on_own_grid(group, mean[group.index], noise[group.index]) for group in cells]

        noiseless = any(bool((g.variance + spread[g.index] <= 0).any()) for g in cells)
        recurrent = bool((shares > 0).any()) and size > 0
        guess = sources.clone()
        for group in cells:
            guess[group.index] = 0.005
        if start is not None:
            guess = start
        elif not (noiseless and recurrent):
            guess = torch.minimum(rates(list(cells), outside, spread), torch.maximum(guess, sources))
        solution = solve_rates(linearised, gridded, guess, coupling, rough)
    groups = tuple(solution.cells)
    if torch.is_grad_enabled():
        mean, noise = received(solution.rates)
        r = ImplicitRates.apply(rates(groups, mean, noise), coupling, solution.slopes)
        r = solution.rates + (r - r.detach())  # the residual is no part of the answer
    else:
        r = solution.rates
    mean, noise = received(r)
    spiking = torch.zeros(size, dtype=torch.bool)
    for group in cells:
        spiking[group.index] = True
    outer = ~spiking[coupling.sources]
    return WorkingPoint(groups, coupling, r, mean, noise, shares, outer, solution.iterations, solution.residual)


class ImplicitRates(torch.autograd.Function):
    """phi(r, parameters) at the fixed point r = phi as a function of the parameters alone."""

    @staticmethod
    def forward(ctx: Any, phi: Tensor, coupling: Coupling, slopes: Tensor) -> Tensor:
        ctx.coupling, ctx.slopes = coupling, slopes
        return phi.clone()

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> Any:  # type: ignore[override]
        from ranvier.theory.network.self_consistency.newton import solve_linear

        return solve_linear(ctx.coupling, ctx.slopes, bar, transpose=True), None, None
