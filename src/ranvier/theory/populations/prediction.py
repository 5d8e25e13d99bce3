"""What theory says of populations: rates, transfer functions, spectra, stability, modes and what moves them."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ranvier._checks import count as whole_count
from ranvier._checks import period, periods
from ranvier._results import Columns
from ranvier._steps import require_time
from ranvier.networks import Network
from ranvier.networks.wiring import Distance
from ranvier.theory.network.fluctuations.linear_response import interaction
from ranvier.theory.network.lowering import LoweredNetwork
from ranvier.theory.network.self_consistency.coloured import ColouredPoint, coloured_point
from ranvier.theory.network.self_consistency.coloured_gains import ExactPoint
from ranvier.theory.populations.lowering import lower_populations, wave_coupling
from ranvier.theory.populations.modes import HIGH, LOW, amplified, exponents, growing
from ranvier.theory.reach import TheoryReport
from ranvier.theory.single_neuron.functions import in_hertz


class Mode(NamedTuple):
    """An eigenmode of the coupling M at `frequency` Hz: `eigenvalue`, complex; it makes a spectral peak where that
    comes near 1.

    >>> mode = rv.theory.Mode(40.0, 0.9 + 0.1j)
    >>> abs(1 - mode.eigenvalue) < 0.2  # near 1: a peak at 40 Hz
    True
    """

    frequency: float
    eigenvalue: complex


class PopulationPrediction(Columns):
    """Answers for P populations as nodes, in order of `names`; float64, with gradients. Made by
    `predict_populations`.

    Bos, Diesmann & Helias 2016, PLoS Comput. Biol. 12:e1005132: population activities A_a, spikes of a population a
    neuron and time, have the coupling M_ab = H_a(f) K_ab W_ab h_ab e^{-i omega d} and the cross-spectra
    (I - M)^-1 diag(S_a/N_a) (I - M)^-†, S_a the spectrum of one of its neurons.

    `wave_vector`: None, or (dimensions,) in 1 per unit of length, of the plane waves that the answers are about (see
    `wave`).
    """

    wave_vector: Tensor | None = None

    def __init__(
        self, network: Network, lowered: LoweredNetwork, sizes: Tensor, point: ColouredPoint, threads: int = 1
    ) -> None:
        self.network, self.sizes, self.working_point = network, sizes, point
        self.names = [p.name for p in network.populations]
        self._lowered, self._threads = lowered, threads
        self._coupling = lowered.coupling
        report = TheoryReport.of(lowered, point, "coloured", threads)
        self.report = replace(report, spectrum_error=self._largest_error(report))

    def rates(self) -> Tensor:
        """(P,) Hz."""
        return 1000 * self.working_point.rates

    def cv(self) -> Tensor:
        """(P,) of the intervals of a neuron."""
        return self.working_point.cv(self._threads)

    def _columns(self) -> dict[str, Any]:
        return {"population": self.names, "neurons": [p.size for p in self.network.populations
                                                      if p.name in self.names], "rate": self.rates()}  # fmt: skip

    def susceptibility(self, f: Any) -> Tensor:
        """Complex (F, P), Hz per mV: change of each population's rate with a current e^{2 pi i f t}."""
        return 1000 * self.working_point.susceptibility(in_hertz(f), self._threads)

    def coupling(self, f: Any) -> Tensor:
        """M, complex (F, P, P) [target, source]: how a population's rate follows that of another."""
        f = in_hertz(f)
        return interaction(self._coupling, self.working_point.linear(f, self._threads)[0], f)

    def spectrum(self, f: Any) -> Tensor:
        """Cross-spectra of the population activities in Hz, complex (F, P, P); finite-size fluctuations."""
        f = in_hertz(f)
        gains, spectrum = self.working_point.linear(f, self._threads)
        M = interaction(self._coupling, gains, f)
        B = torch.linalg.inv(torch.eye(len(self.names)) - M)
        return 1000 * (B * (spectrum / self.sizes)[:, None]) @ B.mH

    def wave(self, *cycles: int, length: Any = None) -> PopulationPrediction:
        """The same state's answers about activity that varies as e^{i k x} over the neurons' positions x: the
        dispersion relation, wave by wave.

        cycles: how many fit into the space, one whole number a dimension; k is 2 pi cycles/length. `length`: of
        the periodic space, one number or one a dimension; by default that of the projections' `wiring.Distance`.
        Population activities are A_a(k, t) = sum_i s_i(t) e^{-i k x_i}/N_a then, and M_ab(k) takes each edge with its
        weight, its delay, and its phase e^{-i k (x_target - x_source)} (Senk et al. 2020, Phys. Rev. Research
        2:023174): `unstable_modes` is above 0 where a pattern of this wave grows, in place where its frequency is 0.
        The edges are those that the network has; waves are its eigenmodes as far as all places in it are alike.

        Raises ValueError for populations without positions, and where no length is known.

        >>> net = rv.Network()
        >>> ring = net.add(rv.LIF(), 200, drive=12.0, noise=4.0, positions=range(200))
        >>> rule = rv.wiring.Distance("disc", scale=10, periodic=200)
        >>> p = net.connect(ring, ring, weight=2.0, synapse=rv.Exponential(tau=2.0), wiring=rule)
        >>> prediction = rv.theory.predict_populations(net)
        >>> gains = [prediction.wave(n).modes([0.0])[0, 0].real for n in (0, 5, 10)]
        >>> bool(gains[0] > gains[1] > gains[2])  # excitation favours long waves
        True
        """
        each = [whole_count(abs(n), "cycles", 0) * (-1 if n < 0 else 1) for n in cycles]
        space = _lengths(self.network, len(each)) if length is None else _positive(length, len(each))
        result = copy(self)
        result.wave_vector = 2 * math.pi * torch.tensor(each, dtype=torch.float64) / space
        result._coupling = wave_coupling(self.network, self._lowered, result.wave_vector)
        result.report = replace(self.report, spectrum_error=result._largest_error(self.report))
        return result

    def modes(self, f: Any) -> Tensor:
        """Eigenvalues of M, complex (F, P), those nearest 1 first."""
        values = torch.linalg.eigvals(self.coupling(f))
        return torch.gather(values, 1, (values - 1).abs().argsort(1))

    def sensitivity(self, f: float) -> Tensor:
        """Z, complex (P, P): by how much the eigenvalue of M nearest 1 at `f` Hz moves, per relative change of each
        connection (Bos et al. 2016, eq. 12): its real part along 1 - lambda raises the peak, the part across it
        changes its frequency."""
        M = self.coupling(f)[0]
        values, right = torch.linalg.eig(M)
        left = torch.linalg.inv(right)
        k = int((values - 1).abs().argmin())
        toward = (1 - values[k]) / (1 - values[k]).abs()
        return left[k][:, None] * M * right[:, k] * toward.conj()

    @torch.no_grad()
    def dominant_mode(self) -> Mode:
        """The mode that comes nearest 1 at any frequency up to 400 Hz."""
        values = self.modes(LOW)[:, 0]
        k = int((values - 1).abs().argmin())
        return Mode(float(LOW[k]), complex(values[k]))

    @property
    def unstable_modes(self) -> int:
        """How many modes grow: the turns of det(I - M) round 0 (Nyquist)."""
        with torch.no_grad():
            return growing(self._coupling, self.working_point.linear(torch.cat([LOW, HIGH]), self._threads)[0])

    @torch.no_grad()
    def exponents(self) -> Tensor:
        """How modes grow: complex (n,), in 1/s, the zeros s of det(I - M(s)), those that grow fastest first. Their real
        parts are growth rates, their imaginary ones over 2 pi frequencies in Hz; waves of a negative one run the other
        way. From M at real frequencies up to 400 Hz, as a rational function: near the imaginary axis, down to -200/s.

        >>> net = rv.Network()
        >>> cells = net.add(rv.LIF(), 100, drive=12.0, noise=5.0)
        >>> p = net.connect(cells, cells, weight=1.0, in_degree=50, synapse=rv.Exponential(tau=5.0))
        >>> s = rv.theory.predict_populations(net).exponents()
        >>> bool(-200 < s[0].real < 0)  # fluctuations decay
        True
        """
        return exponents(self._coupling, self.working_point.linear(LOW, self._threads)[0])

    @torch.no_grad()
    def spectrum_error(self, f: Any) -> Tensor:
        """Expected relative errors (F,) of spectra at `f` Hz: that of `report.covariance_error`, of which half is an
        error of each mode's eigenvalue, as the mode's distance from instability amplifies it; inf where that may be
        none, and everywhere where a mode grows."""
        error = self.report.covariance_error
        each = amplified(self.modes(f), error / 2).clamp(min=error)
        return torch.full_like(each, math.inf) if self.unstable_modes else each

    @torch.no_grad()
    def _largest_error(self, report: TheoryReport) -> float:
        gains = self.working_point.linear(torch.cat([LOW, HIGH]), self._threads)[0]
        if growing(self._coupling, gains):
            return math.inf
        values = torch.linalg.eigvals(interaction(self._coupling, gains[:, :, : len(LOW)], LOW))
        return max(report.covariance_error, float(amplified(values, report.covariance_error / 2).max()))

    @property
    def stable(self) -> bool:
        """Whether the asynchronous state is stable."""
        return self.unstable_modes == 0

    def __repr__(self) -> str:
        rates = ", ".join(f"{n} {r:.4g}" for n, r in zip(self.names, self.rates().tolist(), strict=True))
        return f"PopulationPrediction(Hz: {rates}; {self.report})"


def _lengths(net: Network, dimensions: int) -> Tensor:
    """(dimensions,) of the space that the projections' wiring goes round."""
    rules = {p.wiring.periodic for p in net.projections if isinstance(p.wiring, Distance)} - {None}
    if len(rules) != 1:
        raise ValueError(
            f"the projections' wiring is by distance with the periods {sorted(map(str, rules)) or None}; expected one "
            "for all: give length=, that of the periodic space"
        )
    return _positive(rules.pop(), dimensions)


def _positive(value: Any, dimensions: int) -> Tensor:
    lengths = periods(period(value), dimensions)
    if not (lengths > 0).all():
        raise ValueError(f"length is {value}; expected a number above 0, or one a dimension")
    return torch.from_numpy(lengths)


def predict_populations(
    net: Network, *, initial_rates: Any = None, dt: float = 0.0, exact: bool = True, threads: int = 1
) -> PopulationPrediction:
    """Theory of populations from their sizes and in-degrees: no neuron and no synapse is expanded.

    Every neuron of a population has its mean in-degree, and independent inputs. `initial_rates`: (P,) Hz, or one
    for all, where the search for a stationary state begins; by default those of white noise from low rates.
    `dt` as in `rv.predict`. Unlike that, it answers in unstable states; ask for `stable`. Weights and delays drawn an
    edge count by their mean and mean square, and by e^{-i omega d}.

    exact: susceptibilities in filtered noise from the Fokker-Planck equation of voltage and input
    (`coloured_response`), as of `rv.predict`; else those in white noise at the same rate, which for
    tau_s/tau_m = 0.05 are 3 % too small and 0.17 rad late at 80 Hz, 23 % and 0.4 rad at 325 Hz.

    Raises ValueError, naming population or projection: where neurons of one population, or weights of one projection,
    differ; for conductances and gap junctions; where no rates are found.

    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> exc = net.add(rv.LIF(), 80_000, name="exc", drive=12.0, noise=4.0)
    >>> p = net.connect(exc, exc, weight=0.2, in_degree=1000, synapse=rv.Exponential(tau=2.0))
    >>> prediction = rv.theory.predict_populations(net)
    >>> prediction.stable, prediction.spectrum([0.0, 40.0]).shape
    (True, torch.Size([2, 1, 1]))
    """
    require_time(dt, "dt", or_zero=True)
    lowered, sizes = lower_populations(net)
    return solved(net, lowered, sizes, initial_rates, dt, threads, exact=exact)


def solved(
    net: Network, lowered: LoweredNetwork, sizes: Tensor, initial_rates: Any, dt: float, threads: int,
    exact: bool = True,
) -> PopulationPrediction:
    cells = [replace(group, dt=dt) for group in lowered.cells]
    one = torch.ones_like(lowered.coupling.weight)
    shares = lowered.coupling.noise_shares(lowered.tau)
    start = None if initial_rates is None else starting_rates(lowered, initial_rates)
    point = coloured_point(lowered, cells, one.detach(), 0 * one.detach(), shares, threads, start=start)
    if exact:
        point = ExactPoint.of(point)
    return PopulationPrediction(net, lowered, sizes, point, threads)


def starting_rates(lowered: LoweredNetwork, rates: Any) -> Tensor:
    """(P,) 1/ms; sources keep theirs."""
    P = lowered.coupling.size
    requested = torch.as_tensor(rates, dtype=torch.float64).detach()
    if requested.ndim > 1 or (requested.ndim == 1 and len(requested) not in (1, P)) or not bool((requested >= 0).all()):
        raise ValueError(f"initial_rates is {rates}; expected one rate in Hz, or one for each of {P} nodes, 0 or above")
    start = lowered.source_rates.detach().clone()
    for group in lowered.cells:
        start[group.index] = (requested / 1000).expand(P)[group.index]
    return start
