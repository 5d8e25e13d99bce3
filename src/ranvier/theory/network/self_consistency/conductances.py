"""Networks with conductance-based synapses, at the mean of their conductances.

tau dV/dt = F(V) + sum_k gamma_k(t) (E_k - V), gamma_k = g_k/g_L. The means of gamma_k enter the drift as they
are: a leak, and an effective time constant tau/(1 + sum gamma_k) (Richardson 2004, PRE 69:051918; Richardson &
Gerstner 2005, Neural Comput. 17:923). Their fluctuations are additive noise of the driving force at the
membrane's mean voltage, E_k - <V>; what is left out is of the order of sd(gamma)/(1 + gamma) and of sd(V) over
the driving force, which make noise depend on V. The response of a rate to a spike is that to a change of gamma_k
at every V.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.lowering import LoweredNetwork
from ranvier.theory.network.self_consistency.rates import WorkingPoint, self_consistent
from ranvier.theory.single_neuron.functions import StationaryFunction
from ranvier.theory.single_neuron.response import response

Shares = Callable[[Tensor], Tensor]
ROUNDS, HOLD, ACCURACY = 100, 4, 1e-12


@dataclass(frozen=True, repr=False)
class ConductancePoint(WorkingPoint):
    """`cells` hold the mean conductances; `strength` (E,) mV·ms: each edge's weight as a current at the targets'
    mean `voltages` (size,) mV."""

    strength: Tensor
    voltages: Tensor

    def linear(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Gains of the edges (1, filters, F, size) and spectra (F, size), 1/ms, of the uncoupled nodes."""
        filters, F, size = self.coupling.filters, len(frequencies), len(self.rates)
        gains = [torch.zeros(F, size, dtype=torch.complex128) for _ in filters]
        spectrum = self.rates.expand(F, -1)
        for group in self.cells:
            at = group.index
            m = group.membrane(self.input[at], self.variance[at])
            forces = {str(k): f.E_rev - m.grid.faces for k, f in enumerate(filters) if f.E_rev is not None}
            solution = response(m, frequencies, parameters=forces, threads=threads)
            spectrum = spectrum.index_copy(1, at, solution.spectrum / 1000)
            for n, f in enumerate(filters):
                gain = solution.current if f.E_rev is None else solution.parameters[str(n)]
                gains[n] = gains[n].index_copy(1, at, gain / 1000)
        every = torch.stack(gains) if gains else torch.zeros(0, F, size, dtype=torch.complex128)
        if bool(self.outside.any()):
            e = torch.nonzero(self.outside)[:, 0]
            s, t, k = (x[e] for x in (self.coupling.sources, self.coupling.targets, self.coupling.synapse))
            counted = self.shares[e] * self.coupling.weight[e] ** 2 * self.rates[s]
            own_spikes = (every[k, :, t].abs() ** 2 * counted[:, None]).T  # (F, edges)
            spectrum = spectrum - torch.zeros_like(spectrum).index_add(1, t, own_spikes)
        return (self.coupling.transfers(frequencies)[:, :, None] * every)[None], spectrum


class _State(NamedTuple):
    """What rates and mean voltages (size,) make of a network."""

    cells: list[NeuronGroup]
    input: Tensor
    variance: Tensor
    strength: Tensor
    shares: Tensor
    background: Tensor


def conductance_point(
    lowered: LoweredNetwork, cells: Sequence[NeuronGroup], shares: Shares, threads: int = 1
) -> ConductancePoint:
    """Self-consistent rates and mean voltages; `shares`: the effective time constants (size,) -> the share of
    each edge's noise that is counted. Differentiable in everything, by the implicit function theorem.

    Raises ValueError where no rates are found.
    """
    coupling, size = lowered.coupling, lowered.coupling.size
    with torch.no_grad():
        r = lowered.source_rates.clone()
        V = torch.zeros(size, dtype=torch.float64)
        for group in cells:
            V[group.index], r[group.index] = group.V_reset, 0.005
        groups, point = list(cells), None
        for step in range(ROUNDS):
            state = _state(lowered, groups, r, V, shares)
            # about these rates: conductances are currents, whose means are in the drift already
            known = coupling.into(torch.where(_conducts(lowered), state.strength * r[coupling.sources], 0.0))
            point = self_consistent(
                state.cells, replace(coupling, weight=state.strength), noise_share=state.shares,
                source_rates=lowered.source_rates, input=lowered.input - known, variance=state.background,
                threads=threads, start=None if point is None else point.rates,
            )  # fmt: skip
            now = _state(lowered, groups, point.rates, V, shares)
            _, voltages = _implied(now, lowered, V, threads)
            moved = max(float((point.rates - r).abs().max()), 1e-3 * float((voltages - V).abs().max()))
            damped = 0.5 if step > 30 else 1.0
            r, V = r + damped * (point.rates - r), V + damped * (voltages - V)
            if moved < ACCURACY * max(1e-3, float(r.max())) * 1e3:
                break
            if step >= HOLD:
                groups = [replace(g, V_lb=p.V_lb, N=p.N) for g, p in zip(cells, point.cells, strict=True)]
        else:
            raise ValueError(
                f"no self-consistent conductances found: after {ROUNDS} rounds rates still move by {1000 * moved:.3g} "
                "Hz. The network may have no stationary state; expected weaker weights, more noise or another drive"
            )
    groups = [replace(g, V_lb=p.V_lb, N=p.N) for g, p in zip(cells, point.cells, strict=True)]
    if torch.is_grad_enabled():
        r, V = _attached(lowered, groups, r, V, shares, threads)
    state = _state(lowered, groups, r, V, shares)
    outside = lowered.from_source
    return ConductancePoint(
        tuple(state.cells), coupling, r, state.input, state.variance, state.shares, outside, point.iterations,
        point.residual, state.strength, V,
    )  # fmt: skip


def _conducts(lowered: LoweredNetwork) -> Tensor:
    kinds = torch.tensor([f.E_rev is not None for f in lowered.coupling.filters])
    return kinds[lowered.coupling.synapse]


def _state(lowered: LoweredNetwork, cells: Sequence[NeuronGroup], r: Tensor, V: Tensor, shares: Shares) -> _State:
    coupling, filters = lowered.coupling, lowered.coupling.filters
    conducts, sent = _conducts(lowered), coupling.weight * r[coupling.sources]
    gamma, leak = {}, torch.zeros_like(r)
    E, spread = torch.zeros_like(coupling.weight), torch.zeros_like(r)
    for k, f in enumerate(filters):
        if f.E_rev is not None:
            own = coupling.synapse == k
            gamma[k] = lowered.background[k] + coupling.into(torch.where(own, sent, 0.0))
            leak, E = leak + gamma[k], torch.where(own, f.E_rev, E)
    tau = lowered.tau / (1 + leak)
    for f, power in zip(filters, lowered.background_power):
        force = 1.0 if f.E_rev is None else (f.E_rev - V) ** 2
        spread = spread + f.noise_share(tau) * force * power / (2 * lowered.tau)
    strength = torch.where(conducts, coupling.weight * (E - V[coupling.targets]), coupling.weight)
    counted = shares(tau)
    noise = counted * strength**2 * r[coupling.sources] / (2 * lowered.tau[coupling.targets])
    mean = lowered.input + coupling.into(torch.where(conducts, 0.0, sent))
    opened = [_opened(g, {k: (filters[k].E_rev, x[g.index]) for k, x in gamma.items()}) for g in cells]
    return _State(opened, mean, spread + coupling.into(noise), strength, counted, spread)


def _opened(group: NeuronGroup, conductances: dict[int, tuple[Any, Tensor]]) -> NeuronGroup:
    """With mean conductances in the drift: number of the filter -> (its reversal, (M,))."""
    names = {f"conductance {k}": (E, x) for k, (E, x) in conductances.items()}
    reversals = {name: E for name, (E, _) in names.items()}
    return group.pulled(partial(_through_conductances, reversals), {k: x for k, (_, x) in names.items()})


def _through_conductances(reversals: dict[str, Any], V: Tensor, own: dict[str, Tensor]) -> Tensor:
    return sum((own[name] * (E - V) for name, E in reversals.items()), V.new_zeros(()))


def _implied(state: _State, lowered: LoweredNetwork, V: Tensor, threads: int) -> tuple[Tensor, Tensor]:
    """Rates, and mean voltages where the neuron is not refractory."""
    r, voltages = lowered.source_rates, V
    for group in state.cells:
        at = group.index
        m = group.membrane(state.input[at], state.variance[at])
        rate, _, mass = StationaryFunction.apply(*m.integration(), threads)
        r = r.index_copy(0, at, rate)
        voltages = voltages.index_copy(0, at, (mass.T * m.grid.nodes).sum(0) / mass.sum(1))
    return r, voltages


def _attached(
    lowered: LoweredNetwork, cells: Sequence[NeuronGroup], r: Tensor, V: Tensor, shares: Shares, threads: int
) -> tuple[Tensor, Tensor]:
    """The solution u = (r, V) of u = updated(u, parameters) as a function of the parameters."""
    size = len(r)

    def updated(u: Tensor) -> Tensor:
        return torch.cat(_implied(_state(lowered, cells, u[:size], u[size:], shares), lowered, u[size:], threads))

    u = torch.cat([r, V])
    there = updated(u)
    if not there.requires_grad:
        return r, V
    free = u.clone().requires_grad_()
    image = updated(free)

    def pulled(x: Tensor) -> Tensor:
        (back,) = torch.autograd.grad(image, free, x, retain_graph=True, allow_unused=True)
        return torch.zeros_like(free) if back is None else back

    solution = _ImplicitConductances.apply(there, pulled)
    solution = u + (solution - solution.detach())  # the residual is no part of the answer
    return solution[:size], solution[size:]


class _ImplicitConductances(torch.autograd.Function):
    """updated(u, parameters) at its fixed point as a function of the parameters alone: (I - J^T)^-1 in the adjoint,
    by GMRES on products with J^T."""

    @staticmethod
    def forward(ctx: Any, there: Tensor, pulled: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.pulled = pulled
        return there.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor) -> Any:  # type: ignore[override]
        import numpy as np
        from scipy.sparse.linalg import LinearOperator, gmres

        def product(x: Any) -> Any:
            with torch.enable_grad():
                return x - ctx.pulled(torch.from_numpy(np.ascontiguousarray(x))).numpy()

        n = len(bar)
        x, _ = gmres(
            LinearOperator((n, n), matvec=product, dtype=float), bar.numpy(), rtol=1e-12, atol=0.0,
            restart=min(n, 100), maxiter=5,
        )  # fmt: skip
        return torch.from_numpy(np.ascontiguousarray(x)), None
