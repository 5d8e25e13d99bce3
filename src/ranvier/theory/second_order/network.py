"""A network's working point to second order in its recurrent input, for any synapses, delays and neurons.

Each neuron is expanded about one with so much more white noise (x, mV^2) that it fires at the right rate; what
the filtered noise does beyond that is of second order in it, by nested solves of the threshold-integration
operator (`second_order.dressed`):

- rates: r = r0(mu, sigma^2 + x), where x dr/d sigma^2 = 1/2 int df chi2(f, -f) S(f) + sum_j r_j W_j^3 (third
  order of single impulses), with the spectrum S of the input that the network has, correlations included;
- what a spike does to a rate: A W + second- and third-order terms in W^2 and W^3 (excitation is stronger than
  linear, inhibition weaker), with A in the presence of the filtered noise (chi3);
- the spectra of the uncoupled neurons in the presence of that noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.network.fluctuations.linear_response import edge_interaction
from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.self_consistency.newton import solve_linear
from ranvier.theory.network.self_consistency.rates import Coupling, WorkingPoint
from ranvier.theory.second_order._modes import Modes
from ranvier.theory.second_order._rates import Problem, Trial, rates
from ranvier.theory.second_order.response import dressed, frequency_quadrature, second_order
from ranvier.theory.single_neuron.response import response

ROUNDS, STEPS = 3, 80
MIDDLE = 40.0  # Hz: half of the nodes between which corrections are interpolated lie below


class _Corrections(NamedTuple):
    """At frequencies (F,): `gain` and `spectrum` (F, size) beyond those of the neurons as they are expanded
    about; `two`, `three` (filters, F, size): of single impulses."""

    gain: Tensor
    spectrum: Tensor
    two: Tensor
    three: Tensor


@dataclass(frozen=True, repr=False)
class SecondPoint(Brief):
    """As `WorkingPoint`; `matched` (size,) mV^2 is x, in `variance`, and `noise` (modes, size) mV^2 what the
    filtered synapses give; `coloured` (size,) 1/ms the rates' share by which S is not that of Poisson trains."""

    cells: tuple[NeuronGroup, ...]
    coupling: Coupling
    rates: Tensor
    input: Tensor
    variance: Tensor
    matched: Tensor
    noise: Tensor
    coloured: Tensor
    modes: Modes
    iterations: int
    residual: float
    nodes: Tensor
    corrections: _Corrections

    def linear(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Gains of the edges (3, filters, F, size) and spectra (F, size), 1/ms, of the uncoupled nodes."""
        gain, spectrum = self._base.responses(frequencies, threads)
        solution = self.corrections
        to = _interpolation(self.nodes, frequencies)
        one = self.coupling.transfers(frequencies)[:, :, None] * (gain + to @ solution.gain)
        spectrum = (spectrum + (to.real @ solution.spectrum)).clamp(min=0.0)
        return torch.stack([one, to @ solution.two, to @ solution.three]), spectrum

    def susceptibility(self, frequencies: Tensor, threads: int = 1) -> Tensor:
        """To current, complex (F, size), 1/ms per mV."""
        gain, _ = self._base.responses(frequencies, threads)
        return gain + _interpolation(self.nodes, frequencies) @ self.corrections.gain

    def cv(self, threads: int = 1) -> Tensor:
        """(size,) of the neurons with so much more white noise that they fire at these rates."""
        return self._base.cv(threads)

    def renewal(self, threads: int = 1) -> tuple[Tensor, Tensor]:
        """(rates (size,) 1/ms, coefficients of variation) of those neurons."""
        return self._base.renewal(threads)

    @property
    def _base(self) -> WorkingPoint:
        none = torch.zeros_like(self.coupling.weight)
        return WorkingPoint(
            self.cells, self.coupling, self.rates, self.input, self.variance, none, none.bool(), 0, 0.0
        )


@torch.no_grad()
def second_point(
    start: WorkingPoint, *, variance: Tensor, tau: Tensor, input: Tensor, threads: int = 1
) -> SecondPoint:
    """From a working point of first order; `input`, `variance` (size,) mV, mV^2 from outside; `tau` (size,) ms.

    Raises ValueError where no working point is found, or a synapse's kernel oscillates.
    """
    coupling, r = start.coupling, start.rates
    problem = Problem.of(start.cells, coupling, tau, input, variance, threads)
    spiking = torch.cat([g.index for g in start.cells]) if start.cells else coupling.sources[:0]
    jumps = coupling.into(problem.white * r[coupling.sources])
    x, coloured = (start.variance - variance - jumps).clamp(min=0.0), torch.zeros_like(r)
    nodes, quadrature = frequency_quadrature(48, MIDDLE)
    for _ in range(ROUNDS):
        r, x, count, residual = _settled(problem, r, x, coloured, spiking)
        trial = problem.at(r, x, coloured)
        corrections = _corrections(problem, trial, nodes)
        point = SecondPoint(
            start.cells, coupling, r, trial.input, trial.variance, x, trial.noise, coloured, problem.modes, count,
            residual, nodes, corrections,
        )  # fmt: skip
        following = _coloured(point, quadrature, threads)
        moved = float((following - coloured).abs().max()) if len(r) else 0.0
        if moved < 1e-7:
            break
        coloured = following
    return point


def _settled(
    problem: Problem, r: Tensor, x: Tensor, coloured: Tensor, spiking: Tensor
) -> tuple[Tensor, Tensor, int, float]:
    """(rates, matched noise, steps, residual) at which neither moves any more, from r and x."""
    for step in range(STEPS):
        solution = rates(problem, problem.at(r, x, coloured))
        change = solve_linear(problem.coupling, solution.slopes, solution.phi - r)
        change = torch.zeros_like(r).index_copy(0, spiking, change[spiking])
        residual = float(change.abs().max()) if len(r) else 0.0
        residual = max(residual, float((solution.matched - x).abs().max()) * 1e-3 if len(r) else 0.0)
        r, x = (r + change).clamp(min=0.0), solution.matched
        if residual < 1e-10:
            return r, x, step + 1, residual
    raise ValueError(
        f"rates to second order after {STEPS} steps still move by {1000 * residual:.3g} Hz; expected them at "
        "rest, but the coupling is too strong for an expansion: weaken it, use order=1, or simulate"
    )


def _corrections(problem: Problem, trial: Trial, nodes: Tensor) -> _Corrections:
    coupling, modes, threads = problem.coupling, problem.modes, problem.threads
    x, v = trial.matched, trial.noise
    F, size, filters = len(nodes), len(x), len(coupling.filters)
    omega = nodes * (2 * math.pi / 1000)
    gain = torch.zeros(F, size, dtype=torch.complex128)
    spectrum = torch.zeros(F, size, dtype=torch.float64)
    two, three = (torch.zeros(filters, F, size, dtype=torch.complex128) for _ in range(2))
    jumps = coupling.into(problem.white * trial.rates[coupling.sources])
    lorentz = torch.stack([2 * g / (g**2 + omega**2) for g in modes.rates.tolist()]) if len(modes.rates) else None
    for group in problem.cells:
        at = group.index
        mean, total = trial.input[at], trial.variance[at]
        m = group.membrane(mean, total)
        held = replace(group, V_lb=m.grid.V_lb.detach(), N=m.grid.N)
        A = response(m, nodes, threads=threads)
        current = A.current / 1000
        h = 1e-3 * (group.variance + total)
        low, high = (response(held.membrane(mean, total + d), nodes, threads=threads) for d in (-h, h))
        solution = dressed(m, modes, nodes, threads)
        # the noise that the network has, over that of Poisson trains
        predicted_shift = (solution.shift * v[:, at]).sum(0)
        q = torch.where(predicted_shift.abs() > 1e-12, 1 + trial.coloured[at] / predicted_shift, 1.0).clamp(0.3, 2.0)
        gain[:, at] = (q * v[:, None, at] * solution.gain).sum(0)
        gain[:, at] -= x[at] * (high.current - low.current) / (2000 * h)
        spectrum[:, at] = -x[at] * (high.spectrum - low.spectrum) / (2000 * h)
        # of what these noises do to the spectrum, all but what linear response will add
        spectrum[:, at] += (q * v[:, None, at] * solution.spectrum).sum(0)
        if lorentz is not None:
            spectrum[:, at] -= q * current.abs() ** 2 * (v[:, None, at] * lorentz[:, :, None]).sum(0)
        spectrum[:, at] -= current.abs() ** 2 * 2 * group.tau * jumps[at]
        pulses = modes.pulses(omega, solution.event, solution.third_order)
        two[: modes.filters, :, at], three[: modes.filters, :, at] = pulses
        for k, f in enumerate(coupling.filters):
            if f.instant:  # a jump is white noise at second order
                two[k, :, at] = A.noise / (1000 * m.sigma**2) / (2 * group.tau)
        if not group.receives:
            gain[:, at], two[:, :, at], three[:, :, at] = 0.0, 0.0, 0.0
    return _Corrections(gain, spectrum, two, three)


def _coloured(point: SecondPoint, quadrature: Tensor, threads: int) -> Tensor:
    """(size,) 1/ms: what the input's spectrum adds to the rates beyond that of independent Poisson trains."""
    coupling, f = point.coupling, point.nodes
    gains, spectrum = point.linear(f, threads)
    K = edge_interaction(coupling, gains, f)
    omega = f * (2 * math.pi / 1000)
    J = coupling.transfers(f)[coupling.synapse].T * coupling.weight * torch.exp(-1j * omega[:, None] * coupling.delay)
    S = torch.zeros(len(f), coupling.size, dtype=torch.float64)
    one = torch.eye(coupling.size)
    for k in range(len(f)):
        R = torch.linalg.inv(one - coupling.dense(K[k]))
        C = (R * spectrum[k]) @ R.mH - torch.diag(point.rates)
        sent = coupling.dense(J[k])
        S[k] = ((sent @ C) * sent.conj()).sum(1).real  # mV^2 ms
    result = torch.zeros_like(point.rates)
    for group in point.cells:
        at = group.index
        chi2 = second_order(group.membrane(point.input[at], point.variance[at]), f, threads) / 1000
        result[at] = (quadrature[:, None] / 1000 * chi2 * S[:, at]).sum(0)
    return result


def _interpolation(nodes: Tensor, f: Tensor) -> Tensor:
    """(F, nodes) complex: of smooth functions, by a cubic spline in f/(f + MIDDLE), even in f."""
    from scipy.interpolate import CubicSpline

    def place(x: Tensor) -> Any:
        return (x.abs() / (x.abs() + MIDDLE)).detach().numpy()

    spline = CubicSpline(place(nodes), torch.eye(len(nodes)).numpy())
    return torch.from_numpy(spline(place(f))).to(torch.complex128)
