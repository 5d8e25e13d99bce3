"""`predict`: rates and correlations of a network from its wiring alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ranvier._progress import reached
from ranvier._steps import require_threshold, require_time
from ranvier.networks import Network, Population
from ranvier.networks.changes import require_valid
from ranvier.theory.network.graded import graded_prediction
from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.junctions import electrical_point
from ranvier.theory.network.lowering import LoweredNetwork, lower
from ranvier.theory.network.self_consistency.adaptation import adapted_point
from ranvier.theory.network.self_consistency.coloured import ColouredPoint, coloured_point
from ranvier.theory.network.self_consistency.coloured_gains import ExactPoint
from ranvier.theory.network.self_consistency.conductances import conductance_point
from ranvier.theory.network.self_consistency.rates import WorkingPoint, self_consistent
from ranvier.theory.prediction import Prediction
from ranvier.theory.reach import TheoryReport
from ranvier.theory.second_order.network import SecondPoint, second_point
from ranvier.theory.time.prediction import TimePrediction, changes_in_time

SHARES = ("coloured", "none", "filtered", "white")


def predict(
    net: Network,
    *,
    order: int = 1,
    recurrent_noise: str | float = "coloured",
    stability: str = "radius",
    N: int | None = None,
    V_lb: float | None = None,
    dt: float = 0.0,
    threshold: str = "step",
    initial_rates: Any = None,
    threads: int = 1,
) -> Any:
    """Rates, covariances and spectra of a network of one-variable spiking neurons, without simulation.

    Rates are self-consistent: each neuron has the mean input of its sources' rates, its own noise and that of
    Poisson sources and backgrounds, in the diffusion approximation (many small inputs): jumps as white noise, what
    synapses filter as coloured noise, by the Fokker-Planck equation of voltage and input
    (`ranvier.theory.filtered_rate`; rates within 3 % for tau_s/tau_m up to 1), which gives responses, too
    (`ranvier.theory.coloured_response`), those of neurons with a CV below 0.16 more and more as
    in white noise. Correlations are linear response (Trousdale et al. 2012, 10.1371/journal.pcbi.1002408).
    Everything is differentiable in the network's tensors: weights, delays, drive, noise, rates of sources and the
    neurons' parameters.

    Conductance-based synapses: their mean in the drift, their noise at the driving force of the mean voltage
    (`ranvier.theory.network.self_consistency.conductances`), for conductances that fluctuate little against the leak.

    Adaptation: a second variable w with dw/dt = (a V + c - w)/tau_w and w = w + b at spikes (`AdEx`) at its mean, as
    slow against the intervals; in linear response each spike's b acts back on its neuron. Beside simulations with
    tau_w of 50 to 200 ms: rates to 3 %, variances of counts to 5 %. Without gradients where a is not 0.

    Gap junctions (`Electrical`): the partners' mean voltages and the leak in the drift, the fluctuations of voltages
    and spikes together in linear response (`ranvier.theory.network.junctions`); order 1, beside current synapses,
    without gradients. Beside simulations with 0.2 to 1 of the leak in junctions: mean rates to 0.5 %,
    covariances to 10 %; with three times the leak covariances are off by 10 to 20 %, of joined pairs in short windows
    by 35 %.

    Returns a `Prediction`; for a network without any spikes the `GradedPrediction` of its linear noise
    approximation; for one with inputs that are `TimeSeries` a `TimePrediction`, of rates in time only.

    Parameters
    ----------
    order
        1: linear response about neurons whose rates are those of their mean input and white noise. 2: to second
        order in the recurrent input, see `ranvier.theory.second_order.network`: rates, spectra and what a spike does
        to a rate, in the presence of the filtered recurrent noise; for strong coupling. It takes some 1 ms a
        neuron, synapse and frequency of 48, and has no gradients. Neurons that drive others with regular trains (CV
        below 0.3) count as Poisson trains of as much power: beside a hub of 72 Hz covariances of its targets in 5 ms
        are then off by 2 to 18 %, with order 1 by 4 to 23 %, and `report` expects 18 % at least.
    recurrent_noise
        "coloured": fluctuations of the recurrent input are those of independent Poisson trains, filtered by the
        synapses, as are those of backgrounds and sources. Otherwise, of order 1 and quicker, all filtered noise is
        taken as white noise of the variance that it gives the membrane, that of recurrent input by the share "none"
        (0), "filtered" (what the synapse's filter lets through to the membrane, tau/(tau + tau_s) for an
        exponential one), "white" (1), or a number of that without a filter; at hard thresholds rates are then up to
        60 % off. The answer's `report` says how large that noise is.
    stability
        "radius" refuses networks with a spectral radius of K(0) of 1 or more. "nyquist" asks instead
        whether det(I − K) runs round zero, which strong inhibition alone does not make it do; with gap junctions
        that is always computed too, since regular neurons may oscillate together at any radius.
    N, V_lb
        Steps of the voltage grid and its lower end in mV; by default as `rv.theory.membrane` chooses.
        Gradients hold the grid's lower end where it is.
    dt
        ms: predict what a simulation in steps of dt gives, which asks for the threshold at the ends of its steps and
        so misses crossings (a threshold higher by 0.5826 sigma sqrt(2 dt/tau_m); of LIF neurons at dt = 0.1
        some 4 % of a rate of 20 Hz) and follows upstrokes late (some two steps a spike). 0: time as it is.
        `rv.compare` takes the recording's.
    threshold
        "step", or "bridge": with `dt`, that of the simulation (`rv.simulate`), whose bridges miss no crossings of the
        neurons' noise and find them half a step late.
    initial_rates
        Hz, one for all, one a population or one a neuron, from which rates are looked for: where a network has several
        stationary states (`rv.theory.stationary_states`) this chooses one. By default from low rates.
    threads
        Threads of the threshold integration.

    Raises
    ------
    ValueError
        by name, with what to do instead: for neurons of more than one variable or without spikes, without
        noise, with the threshold below the reset; for `Sigmoidal` synapses;
        where no rates are found; where linear response is unstable.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=0.0), 2, drive=12.0, noise=5.0)
    >>> exact = rv.theory.siegert(12.0, 5.0, tau=20.0, V_th=15.0, V_reset=0.0).rate
    >>> bool((rv.predict(net).rates() - exact).abs().max() < 1e-3 * exact)
    True
    """
    if order not in (1, 2):
        raise ValueError(f"order is {order}; expected 1 (linear response) or 2")
    if order == 2 and recurrent_noise not in ("coloured", "filtered"):
        raise ValueError(
            "recurrent_noise is given with order=2, which knows what each synapse's noise does; expected it with "
            "order=1 only: leave it out"
        )
    if stability not in ("radius", "nyquist"):
        raise ValueError(f"stability is {stability!r}; expected 'radius' or 'nyquist'")
    require_threshold(threshold)
    require_valid(net)
    if net.populations and all(_graded(p) for p in net.populations):
        return graded_prediction(net)
    if changes_in_time(net):
        if order == 2 or initial_rates is not None or N is not None or V_lb is not None or threshold != "step":
            raise ValueError(
                "an input of the network changes in time beside order=2, threshold, initial_rates, N or V_lb; expected "
                "none of these for rates in time: leave them out"
            )
        return TimePrediction(net, _step(dt))
    start = _start(net, initial_rates)
    options = _Options(order, recurrent_noise, stability, N, V_lb, _step(dt), threshold, threads, start)
    return _solved(net, lower(net), options)


@dataclass(frozen=True)
class _Options:
    order: int
    recurrent_noise: str | float
    stability: str
    N: int | None
    V_lb: float | None
    dt: float
    threshold: str
    threads: int
    start: Tensor | None


def _step(dt: float) -> float:
    require_time(dt, "dt", or_zero=True)
    return float(dt)


def _start(net: Network, rates: Any) -> Tensor | None:
    """(size,) 1/ms."""
    if rates is None:
        return None
    values = torch.atleast_1d(torch.as_tensor(rates, dtype=torch.float64)).detach() / 1000
    if values.ndim == 1 and len(values) == len(net.populations):
        values = torch.cat([values[k].expand(p.size) for k, p in enumerate(net.populations)])
    if values.ndim != 1 or len(values) not in (1, net.size) or not bool((values >= 0).all()):
        raise ValueError(
            f"initial_rates has shape {tuple(values.shape)}; expected rates in Hz, 0 or above: one, one for each of "
            f"{len(net.populations)} populations, or one for each of {net.size} neurons"
        )
    return values.expand(net.size).clone()


def _solved(net: Network, lowered: LoweredNetwork, options: _Options) -> Prediction:
    threads = options.threads
    cells = [_on_grid(group, options) for group in lowered.cells]
    if options.start is not None and (len(lowered.junctions.share) or lowered.conducting):
        raise ValueError("initial_rates is given for conductances; expected it for current synapses only: leave it out")
    if lowered.silent is not None and (len(lowered.junctions.share) or lowered.conducting):
        raise ValueError(
            "adapting neurons beside conductance-based or Electrical synapses are not known to the theory; expected "
            "current synapses: use those, or simulate"
        )
    if len(lowered.junctions.share):
        _require_plain(lowered, options.order)
        first: WorkingPoint = electrical_point(lowered, cells, partial(_counted, options.recurrent_noise), threads)
    elif lowered.conducting:
        if options.order == 2:
            raise ValueError(
                "order is 2 and there are conductance-based synapses; expected order=1, or current synapses"
            )
        first = conductance_point(lowered, cells, partial(_share, options.recurrent_noise, lowered), threads)
    else:
        solve = partial(_first_order, lowered, options=options)
        if lowered.silent is not None and options.order == 2:
            raise ValueError("order is 2 and there is adaptation; expected order=1")
        first = solve(cells) if lowered.silent is None else adapted_point(net, cells, solve, threads)
    point: WorkingPoint | SecondPoint = first
    counted = str(options.recurrent_noise)
    if options.order == 2:
        if first.rates.requires_grad:
            raise ValueError("order is 2, which has no gradients; expected order=1, or torch.no_grad() around predict")
        moved = lowered.input + (first.shift if isinstance(first, ColouredPoint) else 0.0)
        arrays = {"input": moved, "variance": lowered.variance, "tau": lowered.tau}
        point = second_point(first, **arrays, threads=threads)
        counted = "to second order"
    reached("errors of the theory")
    report = TheoryReport.of(lowered, point, counted, threads)

    prediction = Prediction(
        net, lowered, point, report, threads, dt=options.dt, threshold=options.threshold,
        at_step=partial(_at_step, net, lowered, _started(options, first)),
    )  # fmt: skip
    prediction.require_stable(options.stability)
    return prediction


def _at_step(net: Network, lowered: LoweredNetwork, options: _Options, dt: float, threshold: str) -> Prediction:
    require_threshold(threshold)
    return _solved(net, lowered, replace(options, dt=_step(dt), threshold=threshold))


def _started(options: _Options, point: WorkingPoint) -> _Options:
    """With Newton's method begun at the rates of `point`, where that is possible."""
    if isinstance(point, ColouredPoint) and options.order == 1 and options.start is None:
        return replace(options, start=point.rates.detach())
    return options


def _first_order(lowered: LoweredNetwork, cells: list[NeuronGroup], options: _Options) -> WorkingPoint:
    """Of a network whose synapses give currents; where order 2 follows, recurrent noise is white for a start."""
    coupling, second, start = lowered.coupling, options.order == 2, options.start
    loud = torch.ones_like(lowered.from_source) if lowered.silent is None else ~lowered.silent
    if start is not None:
        start = torch.where(lowered.source_rates > 0, lowered.source_rates, start).detach()
    shares = _share("filtered" if second else options.recurrent_noise, lowered, lowered.tau) * loud
    if options.recurrent_noise == "coloured":
        coloured = lowered.from_source | (not second)
        filters = torch.tensor([not f.instant for f in coupling.filters], dtype=torch.bool)
        coloured &= loud
        edges = coloured & filters[coupling.synapse] & (coupling.weight != 0)
        if bool((lowered.background_power.detach()[filters] > 0).any() or edges.any()):
            parts = coloured.to(torch.float64), torch.where(coloured, 0.0, shares), shares
            point = coloured_point(lowered, cells, *parts, options.threads, start=start)
            return point if second else ExactPoint.of(point)
    return self_consistent(
        cells,
        coupling,
        noise_share=shares,
        source_rates=lowered.source_rates,
        input=lowered.input,
        variance=lowered.variance,
        threads=options.threads,
        start=start,
    )


def _share(recurrent_noise: str | float, lowered: LoweredNetwork, tau: Tensor) -> Tensor:
    """(E,) share of each edge's noise at membranes of `tau` (size,) ms; that of sources is always the filtered
    one."""
    filtered = lowered.coupling.noise_shares(tau)
    return torch.where(lowered.from_source, filtered, _counted(recurrent_noise, filtered))


def _counted(recurrent_noise: str | float, filtered: Tensor) -> Tensor:
    """The share of recurrent noise that is counted, where membranes keep the share `filtered` of it."""
    if isinstance(recurrent_noise, str):
        if recurrent_noise not in SHARES:
            raise ValueError(
                f"recurrent_noise is {recurrent_noise!r}; expected {', '.join(map(repr, SHARES))}, "
                "or a number"
            )
        known = filtered, torch.zeros_like(filtered), filtered, torch.ones_like(filtered)
        return dict(zip(SHARES, known, strict=True))[recurrent_noise]
    if not 0 <= float(recurrent_noise) <= 1:
        raise ValueError(f"recurrent_noise is {recurrent_noise}; expected a share from 0 to 1")
    return torch.full_like(filtered, float(recurrent_noise))


def _require_plain(lowered: LoweredNetwork, order: int) -> None:
    """Raise ValueError, by name, for what is not known of networks with gap junctions."""
    if order == 2:
        raise ValueError("order is 2 and there are Electrical synapses between spiking neurons; expected order=1")
    if lowered.conducting:
        raise ValueError(
            "Electrical synapses beside conductance-based ones are there; expected either, for the theory of "
            "spiking neurons: use current synapses, or simulate"
        )
    values = [lowered.junctions.share, lowered.source_rates, lowered.background, lowered.background_power]
    values += [lowered.coupling.weight]
    for g in lowered.cells:
        values += [g.tau, g.variance, g.V_th, g.V_reset, g.t_ref, *g.parameters.values()]
    if torch.is_grad_enabled() and any(x.requires_grad for x in values):
        raise ValueError(
            "predictions with Electrical synapses between spiking neurons have no gradients; expected none to be "
            "requested: use torch.no_grad() around predict"
        )


def _on_grid(cells: NeuronGroup, options: _Options) -> NeuronGroup:
    lowest = None if options.V_lb is None else torch.full_like(cells.tau.detach(), options.V_lb)
    return replace(cells, N=options.N, V_lb=lowest, dt=options.dt, bridge=options.threshold == "bridge")


def _graded(population: Population) -> bool:
    equations = getattr(population.neuron, "equations", None)
    return equations is not None and equations.threshold is None
