"""`Prediction`: rates, covariances and spectra from theory, by the same methods as a `Recording`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier._checks import index_pairs
from ranvier._steps import require_time
from ranvier._text import plural
from ranvier.networks import Network
from ranvier.networks.groups import groups_of, resolve
from ranvier.theory import _tables
from ranvier.theory.network.fluctuations import correlations, frequencies
from ranvier.theory.network.fluctuations.linear_response import (
    Selection,
    cross_spectra,
    encirclements,
    interaction,
)
from ranvier.theory.network.fluctuations.motifs import Path, motif_orders, strongest_paths
from ranvier.theory.network.junctions import ElectricalPoint
from ranvier.theory.network.lowering import LoweredNetwork
from ranvier.theory.network.self_consistency.rates import WorkingPoint
from ranvier.theory.reach import TheoryReport
from ranvier.theory.second_order.network import SecondPoint
from ranvier.theory.single_neuron import renewal
from ranvier.theory.single_neuron.functions import in_hertz, numbers

if TYPE_CHECKING:
    from ranvier.theory.network.hawkes import HawkesPoint

REGULAR = 0.3  # CV below which a neuron's own train is integrated in closed form
MOST = 0.8  # relative error of covariances above which none are given


class Prediction:
    """Answers of the theory to the questions of a `Recording`, as float64 tensors with gradients.

    `report` says how far they can be trusted. Every question takes `neurons=`: a population, its name, global
    indices, or a list of populations; by default all. Made by `predict`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=12.0, noise=5.0)
    >>> prediction = rv.predict(net)
    >>> prediction.rates().shape, prediction.covariance(window=100.0).shape
    (torch.Size([2]), torch.Size([2, 2]))
    """

    def __init__(
        self,
        network: Network,
        lowered: LoweredNetwork,
        point: WorkingPoint | SecondPoint | HawkesPoint,
        report: TheoryReport,
        threads: int = 1,
        *,
        dt: float = 0.0,
        threshold: str = "step",
        at_step: Callable[[float, str], Prediction] | None = None,
    ) -> None:
        self.network, self.report = network, report
        self.working_point, self.dt, self.threshold = point, dt, threshold
        self._at_step = at_step
        self._lowered, self._threads = lowered, threads
        self._coupling = point.wiring if isinstance(point, ElectricalPoint) else lowered.coupling

    @property
    def n_neurons(self) -> int:
        """N, over all populations, sources of spikes included."""
        return self._lowered.coupling.size

    def at_step(self, dt: float, threshold: str = "step") -> Prediction:
        """What a simulation in steps of `dt` ms gives, with its `threshold`; see `predict`."""
        if self._at_step is None or (dt, threshold) == (self.dt, self.threshold):
            return self
        return self._at_step(dt, threshold)

    # The questions

    def rates(self, t: Any = None, *, neurons: Any = None) -> Tensor:
        """Stationary rates in Hz, (N,); at times `t` (T,) ms, (T, N), where they are the same at all."""
        rates = self._chosen(1000 * self.working_point.rates, neurons)
        return rates if t is None else rates.expand(len(numbers(t, "t", "times in ms")), -1)

    def cv(self, *, neurons: Any = None) -> Tensor:
        """Coefficients of variation of the inter-spike intervals, (N,)."""
        return self._chosen(self.working_point.cv(self._threads), neurons)

    def susceptibility(self, f: Any, *, neurons: Any = None) -> Tensor:
        """Change of each rate with a current e^{2πift} of 1 mV into that neuron, complex (F, N), Hz/mV."""
        gain = 1000 * self.working_point.susceptibility(in_hertz(f), self._threads)
        return gain if neurons is None else gain[:, self._indices(neurons)]

    def covariance(self, window: float, *, neurons: Any = None, pairs: Any = None) -> Tensor:
        """Covariance of spike counts in windows of `window` ms, (N, N), or (P,) for `pairs`."""
        require_time(window, "window")
        T = float(window)
        rows, places = self._selection(neurons, pairs)
        weights = correlations.window_weights(self.frequencies, T)
        smooth = self._integral(weights, rows, places)[0]
        # of the white part r δ(τ), which no quadrature of finite reach sees, T r remains
        white = self._white() * (T / 1000 - weights.real.sum(1))[:, None]
        window_ms = torch.tensor([T], dtype=torch.float64)
        own = self._own_trains(white, weights, rows, lambda r, cv: renewal.count_variance(r, cv, window_ms))
        return smooth + self._diagonal(own[0], rows, places)

    def correlation(self, window: float, *, neurons: Any = None) -> Tensor:
        """Pearson correlation of spike counts in windows of `window` ms, (N, N); math.inf for the long-window
        limit C_ij(0)/√(C_ii(0) C_jj(0))."""
        if window == math.inf:
            C = self.spectrum([0.0], neurons=neurons)[0].real
        else:
            C = self.covariance(window, neurons=neurons)
        sd = torch.sqrt(C.diagonal())
        return C / torch.outer(sd, sd)

    def cross_correlation(
        self, lags: Any, *, neurons: Any = None, pairs: Any = None, bin: float | None = None
    ) -> Tensor:
        """C_ij(τ) = ⟨s_i(t + τ) s_j(t)⟩ − r_i r_j in Hz² at `lags` in ms; at positive lag j leads i.

        (L, N, N), or (L, P) for `pairs` (P, 2) of global indices (i, j). As a recording's, it is that of
        spikes in bins of `bin` ms, by default the spacing of the lags: smoothed with a triangle of base
        2·bin, the peak δ(τ) r_i of i = j kept. With bin=0 the function itself up to 2 kHz, without that peak.
        Raises ValueError for lags that are not finite, and one lag without a bin.
        """
        tau = numbers(lags, "lags", "times in ms")
        if tau.ndim != 1 or not len(tau) or not bool(torch.isfinite(tau).all()):
            raise ValueError("lags is empty or not finite; expected times in ms, (L,)")
        bin = correlations.bin_width(tau, bin)
        rows, places = self._selection(neurons, pairs)
        weights = correlations.lag_weights(self.frequencies, tau, bin)
        smooth = self._integral(weights, rows, places)
        peak = correlations.triangle(tau, bin) if bin > 0 else torch.zeros_like(tau)
        white = self._white() * (peak - weights.real.sum(1))[:, None]
        own = self._own_trains(white, weights, rows, lambda r, cv: 1e6 * renewal.correlation(r, cv, tau, bin))
        return smooth + self._diagonal(own, rows, places)

    def spectrum(self, f: Any, *, neurons: Any = None, pairs: Any = None) -> Tensor:
        """Cross-spectra ∫ C_ij(τ) e^{−2πifτ} dτ in Hz at `f` in Hz, complex (F, N, N), or (F, P)."""
        rows, places = self._selection(neurons, pairs)
        return self._spectra(in_hertz(f), Selection(rows, places))

    def coupling(self, f: Any) -> Tensor:
        """The linear interaction K (F, N, N) at `f` in Hz: how the rate of i follows that of j."""
        f = in_hertz(f)
        self._require_spikes_alone()
        return interaction(self._lowered.coupling, self.working_point.linear(f, self._threads)[0], f)

    def motifs(self, order: int, f: float = 0.0) -> Tensor:
        """The spectrum at `f` in Hz by the length of the paths that make it: (order + 1, N, N), in Hz."""
        K, S = self._parts(f)
        return motif_orders(K, S, order)

    def paths(self, i: int, j: int, *, order: int = 4, count: int = 10, f: float = 0.0) -> list[Path]:
        """The paths that contribute most to the spectrum of the pair (i, j) at `f` in Hz."""
        return strongest_paths(*self._parts(f), i, j, order=order, count=count)

    # How they are answered

    def _parts(self, f: float) -> tuple[Tensor, Tensor]:
        """K (N, N), real at 0, and the spectra (N,) in Hz without coupling."""
        at = in_hertz(f)
        self._require_spikes_alone()
        gains, spectrum = self.working_point.linear(at, self._threads)
        K = interaction(self._lowered.coupling, gains, at)[0]
        return K.real if f == 0 else K, 1000 * spectrum[0]

    @cached_property
    def frequencies(self) -> Tensor:
        """(F,) Hz: where spectra are taken for covariances and cross-correlations."""
        return self._resolved[0]

    @cached_property
    def _resolved(self) -> tuple[Tensor, bool]:
        """The frequencies, and whether they resolve every peak."""
        with torch.no_grad():
            rate, cv = self.working_point.renewal(self._threads)
            regular = torch.zeros(len(rate), dtype=torch.bool)
            regular[self._regular_places(rate, cv)] = True
            slow = [self._lowered.coupling.delay, *(c.t_ref for c in self._lowered.cells)]
            longest = max((float(x.max()) for x in slow if len(x)), default=0.0)
            return frequencies.spectrum_nodes(1000 * rate, cv, regular, longest)

    def require_stable(self, stability: str = "radius") -> None:
        """Raise ValueError where linear response does not hold; see `predict`."""
        radius = self.report.spectral_radius
        if radius < 1 and self._coupling.size == self.n_neurons:
            return
        if radius >= 1 and stability == "radius":
            raise ValueError(
                f"the spectral radius of K(0) is {radius:.3g}; expected less than 1 for linear response: weaken "
                "the weights, or, where strong inhibition makes it so, give stability='nyquist', which asks "
                "whether the network is unstable"
            )
        with torch.no_grad():
            f, gains = self.frequencies, self._nodes[0]
            if len(peaks := self._narrow_peaks()):
                f = torch.unique(torch.cat([f, peaks]))
                gains = self.working_point.linear(f, self._threads)[0]
            turns = encirclements(self._coupling, gains, f)
        if turns:
            raise ValueError(
                f"det(I − K) runs round zero {abs(turns)} times; expected 0, or the asynchronous state is "
                f"unstable (spectral radius {radius:.3g}): weaken the weights, shorten the delays or add noise; "
                "or simulate"
            )

    def _narrow_peaks(self) -> Tensor:
        """Frequencies as close as the resonances of regular neurons are narrow, where gap junctions may make them
        oscillate; none where `frequencies` are."""
        r, cv = self.working_point.rates * 1000, self.cv()
        spiking = r > 0.01
        if self._coupling.size == self.n_neurons or not bool(spiking.any()):
            return r[:0]
        width, highest = float((math.pi * r * cv**2)[spiking].min()), 2.5 * float(r.max())
        if width > highest / 30:
            return r[:0]
        return torch.arange(0.0, highest, max(width / 4, highest / 2000), dtype=torch.float64)

    @cached_property
    def _nodes(self) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            return self.working_point.linear(self.frequencies, self._threads)

    @cached_property
    def _smooth_nodes(self) -> tuple[Tensor, Tensor]:
        """`_nodes`, at peaks that they do not resolve with the spectrum that `_own_trains` takes away."""
        gains, spectrum = self._nodes
        at, rate, cv = self._regular
        if not len(at):
            return gains, spectrum
        with torch.enable_grad():
            closed, f = renewal.spectrum(rate, cv, self.frequencies), self.frequencies
            mixed = torch.where(renewal.unresolved(rate, cv, f), closed, spectrum[:, at])
            return gains, spectrum.index_copy(1, at, mixed)

    @cached_property
    def _regular(self) -> tuple[Tensor, Tensor, Tensor]:
        """Places (M,) of regular neurons, their rates in 1/ms and CVs."""
        with torch.enable_grad():  # whoever asks first
            rate, cv = self.working_point.renewal(self._threads)
            at = self._regular_places(rate, cv)
            return at, rate[at], cv[at]

    def _regular_places(self, rate: Tensor, cv: Tensor) -> Tensor:
        whole = self._coupling.size == self.n_neurons
        return torch.nonzero((cv < REGULAR) & (rate > 1e-5) & whole)[:, 0]

    def _require_spikes_alone(self) -> None:
        if self._coupling.size > self.n_neurons:
            raise ValueError(
                "Electrical synapses pass on voltages, so that no matrix of what spikes do to rates makes the "
                "spectra; expected a network without them, for coupling, motifs and paths. Ask for spectrum"
            )

    def _spectra(self, f: Tensor, selection: Selection, linear: tuple[Tensor, Tensor] | None = None) -> Tensor:
        if self.report.covariance_error > MOST:
            raise ValueError(
                f"covariances are expected to be off by {100 * self.report.covariance_error:.0f} % at first order; "
                f"expected at most {100 * MOST:.0f} %: predict with order=2, which leaves a fifth of that, weaken the "
                "weights, or simulate"
            )
        gains, spectrum = self.working_point.linear(f, self._threads) if linear is None else linear
        if selection.rows is None and self._coupling.size > self.n_neurons:  # the first are spike trains
            selection = replace(selection, rows=torch.arange(self.n_neurons))
        return 1000 * cross_spectra(self._coupling, gains, spectrum, f, selection)

    def _integral(self, weights: Tensor, rows: Tensor | None, places: Tensor | None) -> Tensor:
        gains, spectrum = self._smooth_nodes
        coupled = len(self._coupling.weight) > 0
        if coupled and not self._resolved[1] and torch.is_grad_enabled() and spectrum.requires_grad:
            raise ValueError(
                f"spectra have more narrow peaks than {frequencies.MOST} frequencies resolve, for the neurons are "
                f"regular (CV down to {float(self._regular[2].detach().min()):.2g}); expected fewer such neurons for a "
                "gradient of counts or lags: more noise, that of rates or spectra, or torch.no_grad()"
            )
        return self._spectra(self.frequencies, Selection(rows, places, weights), (gains, spectrum))

    def _white(self) -> Tensor:
        """(N,) Hz: what the spectra of single neurons end at."""
        point = self.working_point
        return 1000 * (point.rates if isinstance(point, SecondPoint) else point.renewal(self._threads)[0])

    def _own_trains(
        self, white: Tensor, weights: Tensor, rows: Tensor | None, exact: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """(Q, N) what `weights` (Q, F) miss of each neuron's own train: `white` (Q, N); of regular neurons, whose
        peaks are too narrow for any frequencies, all of the renewal process of their rate and CV, by `exact` (rates
        in 1/ms, CVs) -> (Q, M), but what the weights have of it."""
        at, rate, cv = self._regular
        if rows is not None:
            among = torch.isin(at, rows)
            at, rate, cv = at[among], rate[among], cv[among]
        if not len(at):
            return white
        summed = 1000 * weights.real @ renewal.spectrum(rate, cv, self.frequencies)
        return white.index_copy(1, at, exact(rate, cv) - summed)

    # Which neurons

    def _indices(self, neurons: Any) -> Tensor:
        chosen = resolve(neurons, groups_of(self.network, {}, self.n_neurons), self.n_neurons)
        return torch.as_tensor(chosen, dtype=torch.int64)

    def _chosen(self, values: Tensor, neurons: Any) -> Tensor:
        return values if neurons is None else values[self._indices(neurons)]

    def _selection(self, neurons: Any, pairs: Any) -> tuple[Tensor | None, Tensor | None]:
        """Nodes whose rows of the inverse are needed, and places of the pairs among them."""
        if neurons is not None and pairs is not None:
            raise ValueError("both neurons= and pairs= given; expected one: pairs are of global indices")
        if pairs is None:
            return (None if neurons is None else self._indices(neurons)), None
        chosen = torch.from_numpy(index_pairs(pairs))
        rows, places = torch.unique(self._indices(chosen.reshape(-1)), return_inverse=True)
        return rows, places.reshape(-1, 2)

    def _diagonal(self, values: Tensor, rows: Tensor | None, places: Tensor | None) -> Tensor:
        """values (..., N) where i = j, else 0: (..., n, n) or (..., P)."""
        chosen = values if rows is None else values[..., rows]
        if places is None:
            same = torch.eye(len(chosen[0]) if values.ndim > 1 else len(chosen), dtype=torch.bool)
            if rows is not None:
                same = rows[:, None] == rows
            return torch.where(same, chosen[..., None], 0.0)
        return torch.where(places[:, 0] == places[:, 1], chosen[..., places[:, 0]], 0.0)

    def __repr__(self) -> str:
        return f"Prediction({plural(self.n_neurons, 'neuron')}; {self.report})"

    def _repr_html_(self) -> str:
        return _tables.as_html("Prediction", self.network, "rate (Hz)", self.rates())

    def to_pandas(self) -> Any:
        """Columns neuron, name, population and rate (Hz), a row a neuron. Raises ImportError without pandas."""
        return _tables.as_frame(self.network, "rate", self.rates())
