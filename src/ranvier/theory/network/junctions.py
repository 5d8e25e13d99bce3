"""Networks of spiking neurons with gap junctions: means and linear response of voltages beside those of spikes.

tau dV_i = F(V_i) + sum_j gamma_ij (V_j(t) - V_i), gamma_ij = w_ij/g_L. The mean voltages of the partners enter the
drift, with the leak that the junctions are; their fluctuations are input. A neuron then is two nodes, its spike train
and its voltage (upstroke and reset included), both with a linear response to input and, left alone, with the spectra
and the cross-spectrum of `_voltage.voltages`. (For whole populations: Ostojic, Brunel, Hakim 2009,
J. Comput. Neurosci. 26:369, who find that at little noise the asynchronous state gives way to oscillations at the
firing rate; K(0) does not show that, so stability is checked at all frequencies.)

To the neurons' noise the partners' fluctuations add as filtered noise does: variance v and correlation time
tau_c = S_VV(0)/2v of a voltage are white noise gamma^2 v tau_c/tau, of which the membrane keeps
tau_m/(tau_m + tau_c), tau_m = tau/(1 + sum gamma).

Voltages of the uncoupled neuron are V = L s + noise, L = S_Vs/S_ss, with noise that its spikes s tell nothing of: so
the network of 2 size nodes has independent noises again and edges V_j -> s_i of gain A_i gamma_ij, V_j -> V_i of
(A^V_i - L_i A_i) gamma_ij, those of the chemical synapses likewise, and s_i -> V_i of L_i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ranvier.theory.network.filters import Filter
from ranvier.theory.network.groups import NeuronGroup, shared
from ranvier.theory.network.lowering import Junctions, LoweredNetwork
from ranvier.theory.network.self_consistency.rates import Coupling, WorkingPoint, self_consistent
from ranvier.theory.single_neuron.functions import StationaryFunction
from ranvier.theory.single_neuron.membrane import Membrane
from ranvier.theory.single_neuron.voltage import voltages

Counted = Callable[[Tensor], Tensor]
ROUNDS, HOLD, ACCURACY = 100, 4, 1e-10
LEAK, REACH = "junctions' share", "partners' voltage"


@dataclass(frozen=True)
class ElectricalPoint(WorkingPoint):
    """`cells` hold the junctions' leak and the partners' mean voltages; `voltages` (size,) mV, the mean ones,
    refractory neurons at their reset; `fluctuations` (size,) mV^2, what those of the partners' voltages add to each
    neuron's noise where they are counted as filtered; `junctions`, the shares of the leak."""

    voltages: Tensor
    fluctuations: Tensor
    junctions: Junctions

    @property
    def wiring(self) -> Coupling:
        """Of 2 size nodes: spike trains, then voltages."""
        c, j, n = self.coupling, self.junctions, self.coupling.size
        own, k = torch.arange(n), len(c.filters)
        none = torch.zeros(0, dtype=torch.float64)
        instant = Filter(torch.zeros(0, 0, dtype=torch.float64), none, none)
        sources = [c.sources, c.sources, j.sources + n, j.sources + n, own]
        targets = [c.targets, c.targets + n, j.targets, j.targets + n, own + n]
        weight = [c.weight, c.weight, j.share, j.share, torch.ones(n, dtype=torch.float64)]
        delay = [c.delay, c.delay, *(torch.zeros_like(x) for x in weight[2:])]
        kind = [c.synapse, c.synapse, *(torch.full((len(x),), k) for x in weight[2:4]), torch.full((n,), k + 1)]
        s, t, w, d, synapse = (torch.cat(x) for x in (sources, targets, weight, delay, kind))
        return Coupling(2 * n, s, t, w, d, synapse, (*c.filters, instant, instant))

    def linear(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Gains (1, filters + 2, F, 2 size) of `wiring`, and spectra (F, 2 size): 1/ms of spike trains, mV^2 ms of
        what is left of the voltages without them."""
        gain, spectrum, by_voltage, cross, power = self._alone(frequencies, threads)
        L = torch.where(spectrum > 0, cross / spectrum, 0.0)
        rest = (power - (L * cross.conj()).real).clamp(min=0.0)
        both = torch.cat([gain, by_voltage - L * gain], 1)
        chemical = self.coupling.transfers(frequencies)[:, :, None] * both
        own = torch.cat([torch.zeros_like(L), L], 1)
        return torch.cat([chemical, both[None], own[None]])[None], torch.cat([spectrum, rest], 1)

    def feedback(self, threads: int = 1) -> tuple[Coupling, Tensor]:
        """(coupling, K(0) of its edges): of inputs to spikes and voltages, without what a neuron's voltage owes to
        its own spikes; its eigenvalues, unlike those of the network of `wiring`, are those of the responses."""
        c, at = self.wiring, torch.zeros(1, dtype=torch.float64)
        gain, _, by_voltage, _, _ = self._alone(at, threads)
        both = torch.cat([gain, by_voltage], 1)[0].real
        K = both[c.targets] * c.weight
        return c, torch.where(c.synapse == len(c.filters) - 1, 0.0, K)

    def _alone(self, frequencies: Tensor, threads: int) -> tuple[Tensor, ...]:
        """Of the uncoupled nodes, (F, size): susceptibility and spectrum of spikes; of the voltage response, spectrum
        with the spikes, and spectrum."""
        gain, spectrum = WorkingPoint.responses(self, frequencies, threads)
        by_voltage, cross = torch.zeros_like(gain), torch.zeros_like(gain)
        power = torch.zeros_like(spectrum)
        for group in self.cells:
            at = group.index
            response_of = shared(group, self.input[at], self.variance[at], lambda m: voltages(m, frequencies, threads))
            by_voltage[:, at], cross[:, at], power[:, at] = response_of
        c = self.coupling
        if bool(self.outside.any()):  # what sources give, the coupling will add
            e = torch.nonzero(self.outside)[:, 0]
            counted = self.shares[e] * c.weight[e] ** 2 * self.rates[c.sources[e]]
            own_spikes = torch.zeros_like(self.rates).index_add(0, c.targets[e], counted)
            spectrum = spectrum - gain.abs() ** 2 * own_spikes
            cross = cross - by_voltage * gain.conj() * own_spikes
            power = power - by_voltage.abs() ** 2 * own_spikes
        return gain, spectrum, by_voltage, cross, power


def electrical_point(
    lowered: LoweredNetwork, cells: Sequence[NeuronGroup], counted: Counted, threads: int = 1
) -> ElectricalPoint:
    """Self-consistent rates and mean voltages; `counted`: shares of recurrent noise that membranes keep -> those that
    are counted. No gradients.

    Raises ValueError where none are found.
    """
    with torch.no_grad():
        return _solved(lowered, cells, counted, threads)


def _solved(lowered: LoweredNetwork, cells: Sequence[NeuronGroup], counted: Counted, threads: int) -> ElectricalPoint:
    j, size = lowered.junctions, lowered.coupling.size
    leak = torch.zeros(size, dtype=torch.float64).index_add(0, j.targets, j.share)
    tau = lowered.tau / (1 + leak)
    background = torch.zeros_like(tau)
    for f, power in zip(lowered.coupling.filters, lowered.background_power):
        background = background + f.noise_share(tau) * power / (2 * lowered.tau)
    V, groups = torch.zeros_like(tau), list(cells)
    for group in cells:
        V[group.index] = group.V_reset
    filtered = lowered.coupling.noise_shares(tau)
    shares = torch.where(lowered.from_source, filtered, counted(filtered))
    noise, fluctuations = torch.zeros_like(V), torch.zeros_like(V)
    matrix = torch.zeros(size, size, dtype=torch.float64).index_put((j.targets, j.sources), j.share, accumulate=True)
    moved, rates = 0.0, None  # each round begins where the last one ended
    for step in range(ROUNDS):
        opened = [_opened(g, leak[g.index], (matrix @ V)[g.index]) for g in groups]
        point = self_consistent(
            opened, lowered.coupling, noise_share=shares, source_rates=lowered.source_rates,
            input=lowered.input, variance=background + noise, threads=threads, start=rates,
        )  # fmt: skip
        rates = point.rates
        answer, slope, lasting, power = V.clone(), torch.zeros_like(V), torch.zeros_like(V), torch.zeros_like(V)
        for group in point.cells:
            at = group.index
            response_of = shared(group, point.input[at], point.variance[at], lambda m: _still(m, threads))
            answer[at], slope[at], lasting[at], power[at] = response_of
        # Newton's step, the rates held
        change = torch.linalg.solve(torch.eye(size, dtype=torch.float64) - slope[:, None] * matrix, answer - V)
        passed = tau[j.targets] / (tau[j.targets] + lasting[j.sources])
        white = j.share**2 * power[j.sources] / (2 * lowered.tau[j.targets])
        fluctuations = torch.zeros_like(V).index_add(0, j.targets, white * passed)
        more = torch.zeros_like(V).index_add(0, j.targets, white * counted(passed))
        moved = max(float((answer - V).abs().max()), float((more - noise).abs().max()))
        if moved < ACCURACY * max(1.0, float(V.abs().max())):
            break
        V, noise = V + change, more
        if step >= HOLD:
            groups = [replace(g, V_lb=p.V_lb, N=p.N) for g, p in zip(cells, point.cells, strict=True)]
    else:
        raise ValueError(
            f"no self-consistent mean voltages found: after {ROUNDS} rounds they still move by {moved:.3g} mV. The "
            "network may have no stationary state; expected weaker weights, more noise or another drive"
        )
    return ElectricalPoint(
        point.cells, point.coupling, point.rates, point.input, point.variance, point.shares, lowered.from_source,
        point.iterations, point.residual, V, fluctuations, j,
    )  # fmt: skip


def _still(m: Membrane, threads: int) -> tuple[Tensor, ...]:
    """(M,): mean voltage in mV, its slope in mu, its correlation time in ms, its spectrum at 0 in mV^2 ms."""
    _, _, mass = StationaryFunction.apply(*m.integration(), threads)
    height = m.grid.nodes - m.grid.V_reset
    above = (mass.T * height).sum(0)
    response_of = voltages(m, torch.zeros(1, dtype=torch.float64), threads)
    lasting = response_of.power[0] / (2 * ((mass.T * height**2).sum(0) - above**2))
    return m.grid.V_reset + above, response_of.gain[0].real, lasting, response_of.power[0]


def _opened(group: NeuronGroup, leak: Tensor, toward: Tensor) -> NeuronGroup:
    """With the junctions' currents at the partners' mean voltages."""
    return group.pulled(_through_junctions, {LEAK: leak, REACH: toward})


def _through_junctions(V: Tensor, own: dict[str, Tensor]) -> Tensor:
    return own[REACH] - own[LEAK] * V
