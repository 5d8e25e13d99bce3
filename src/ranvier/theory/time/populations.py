"""A Network whose inputs change in time as coupled populations for `evolve`."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ranvier._steps import require_time, whole_steps
from ranvier.networks import Network, TimeSeries
from ranvier.neurons import Poisson
from ranvier.theory.network.filters import Filter
from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.neuron_lowering import require_poisson
from ranvier.theory.populations.lowering import lower_populations
from ranvier.theory.populations.prediction import solved
from ranvier.theory.single_neuron.membrane import Grid, Membrane


def as_coupled_populations(
    net: Network, duration: float, dt: float, step: float = 0.0
) -> tuple[Membrane, dict[str, Any]]:
    """(neurons of the M spiking populations in the stationary state of the first values, the arguments of `evolve`).

    Drives, rates of `Poisson` populations and of backgrounds may be `TimeSeries`. Raises ValueError, naming it, for
    what else changes in time, and for synapses that are neither jumps nor exponential.
    """
    require_time(duration, "duration")
    require_time(dt, "dt")
    steps = round(duration / dt)
    if steps < 1:
        raise ValueError(f"duration is {duration} ms and dt {dt} ms; expected positive times, at least one step")
    first = at_first(net)
    lowered, sizes = lower_populations(first)
    if not lowered.cells:
        raise ValueError("the network has no spiking populations but sources; expected at least one to follow in time")
    point = solved(first, lowered, sizes, None, step, 1).working_point
    _require_shared_input(lowered.cells)
    index = torch.cat([g.index for g in point.cells])
    mean = torch.zeros(steps, len(net.populations), dtype=torch.float64)  # mV, relative to the first values
    variance = torch.zeros(steps, len(net.populations), dtype=torch.float64)  # mV^2, of all but recurrent input
    for group in lowered.cells:
        k = int(group.index[0])
        drive = net.populations[k].parameters.get("drive", 0.0)
        variance[:, k] = group.variance
        if isinstance(drive, TimeSeries):
            series = _sampled(drive, steps, dt, f"drive of population {net.populations[k].name!r}")
            mean[:, k] += series - series[0]
    for b in net.backgrounds:
        k = net.populations.index(b.target)
        series = _rate(b.rate, steps, dt, f"rate of the background of {b.target.name!r}")
        alone = copy.copy(first)
        alone.backgrounds = [replace(b, target=first.populations[k], rate=1000.0)]  # one spike a ms
        unit, _ = lower_populations(alone)
        filter_ = _only(unit.coupling.filters, unit.background[:, k])
        sent = _filtered(series, _time_constant(filter_, f"background of {b.target.name!r}"), dt)
        mean[:, k] += unit.input[k] * (sent - series[0])
        variance[:, k] += unit.variance[k] * sent
    P, coupling = lowered.coupling.size, lowered.coupling
    weight, spread, delay = (torch.zeros(P, P, dtype=torch.float64) for _ in range(3))
    tau_s = torch.zeros(P, P, dtype=torch.float64)
    powers = coupling.noise_shares(lowered.tau) * coupling.squared / (2 * lowered.tau[coupling.targets])
    known: set[tuple[int, int]] = set()
    for e in range(len(coupling.weight)):
        s, t = int(coupling.sources[e]), int(coupling.targets[e])
        source, target = net.populations[s], net.populations[t]
        where = f"projection from {source.name!r} to {target.name!r}"
        constant = _time_constant(coupling.filters[int(coupling.synapse[e])], where)
        if isinstance(source.neuron, Poisson):
            series = _rate(source.parameters["rate"], steps, dt, f"rate of population {source.name!r}")
            sent = _filtered(_delayed(series, float(coupling.delay[e]) / dt), constant, dt)
            mean[:, t] += coupling.weight[e] * (sent - series[0])
            variance[:, t] += powers[e] * sent
            continue
        if (s, t) in known and (float(delay[t, s]), float(tau_s[t, s])) != (float(coupling.delay[e]), constant):
            raise ValueError(
                f"the {where} is one of several with different delays or time constants; expected one of each a pair "
                "of populations: give them the same"
            )
        known.add((s, t))
        delay[t, s], tau_s[t, s] = coupling.delay[e], constant
        weight[t, s] += coupling.weight[e]
        spread[t, s] += powers[e]
    mean = mean - weight @ point.rates  # evolve adds what the populations send
    inside = index[:, None], index[None]
    arguments = {
        "drive": mean[:, index], "sigma": torch.sqrt(variance[:, index]), "coupling": weight[inside],
        "noise_coupling": spread[inside], "delay": torch.where(delay > 0, delay, dt)[inside], "tau_s": tau_s[inside],
    }  # fmt: skip
    return _joined(point.cells, point.input, point.variance), arguments


def at_first(net: Network) -> Network:
    """The network with every series at its first value."""

    def first(value: Any) -> Any:
        return value.values.detach()[0] if isinstance(value, TimeSeries) else value

    still = copy.copy(net)
    for p in net.populations:
        require_poisson(p)
        changing = [k for k, v in p.parameters.items() if isinstance(v, TimeSeries)]
        if others := [k for k in changing if k != "drive" and not isinstance(p.neuron, Poisson)]:
            raise ValueError(
                f"the {others[0]} of population {p.name!r} changes in time; expected a number: of neurons, only the "
                "drive may change here"
            )
    still.populations = [
        replace(p, parameters={k: first(v) for k, v in p.parameters.items()}) for p in net.populations
    ]
    at = {id(old): new for old, new in zip(net.populations, still.populations, strict=True)}
    still.projections = [replace(q, source=at[id(q.source)], target=at[id(q.target)]) for q in net.projections]
    still.backgrounds = [replace(b, target=at[id(b.target)], rate=first(b.rate)) for b in net.backgrounds]
    for q in still.projections:
        if q.plasticity is not None:
            raise ValueError(
                f"projection from {q.source.name!r} to {q.target.name!r} is plastic; expected constant weights"
            )
    return still


def _sampled(series: TimeSeries, steps: int, dt: float, what: str) -> Tensor:
    """(steps,) its value in each step."""
    values = series.values.detach().double()
    if values.ndim == 2:
        if bool((values != values[:, :1]).any()):
            raise ValueError(f"the {what} differs between neurons; expected one value a population at each time")
        values = values[:, 0]
    each = whole_steps(series.interval, dt, f"the {what} changes every {series.interval} ms")
    return values[(torch.arange(steps) // each).clamp(max=len(values) - 1)]


def _rate(rate: Any, steps: int, dt: float, what: str) -> Tensor:
    """(steps,) 1/ms."""
    if isinstance(rate, TimeSeries):
        return _sampled(rate, steps, dt, what) / 1000
    return (torch.as_tensor(rate, dtype=torch.float64).detach().reshape(-1)[:1] / 1000).expand(steps)


def _delayed(series: Tensor, delay: float) -> Tensor:
    """`delay` in steps, 0 or more; before the beginning the first value."""
    whole, part = math.floor(delay), delay - math.floor(delay)
    at = torch.arange(len(series)) - whole
    return (1 - part) * series[at.clamp(min=0)] + part * series[(at - 1).clamp(min=0)]


def _filtered(series: Tensor, tau_s: float, dt: float) -> Tensor:
    """Through an exponential of `tau_s` ms, 0 for none; in equilibrium with the first value before."""
    if tau_s == 0:
        return series
    from scipy.signal import lfilter

    keep = math.exp(-dt / tau_s)
    values, _ = lfilter([1 - keep], [1.0, -keep], series.numpy(), zi=[keep * float(series[0])])
    return torch.from_numpy(values)


def _only(filters: tuple[Filter, ...], background: Tensor) -> Filter:
    return filters[int(background.detach().abs().argmax())]


def _time_constant(filter_: Filter, where: str) -> float:
    if filter_.instant:
        return 0.0
    if len(filter_.b) != 1:
        raise ValueError(
            f"the {where} has a synapse of {len(filter_.b)} variables; expected Delta or Exponential to follow in time"
        )
    return float(-1 / filter_.A[0, 0])


def _require_shared_input(cells: tuple[NeuronGroup, ...]) -> None:
    """Where drives move the force as input does, a change of one is a change of the other."""
    for group in cells:
        if "drive" not in group.parameters:
            continue
        V, none = group.V_reset[None].detach(), torch.zeros(1, dtype=torch.float64)
        own = {k: v.detach() for k, v in group.parameters.items()}
        by_input = group.drift(V, none + 1, own) - group.drift(V, none, own)
        by_drive = group.drift(V, none, own | {"drive": own["drive"] + 1}) - group.drift(V, none, own)
        if not torch.allclose(by_input, by_drive, rtol=1e-9, atol=0) and bool(by_input.any()):
            raise ValueError(f"the drive of {group.name} does not enter as its input I does; expected 'I + drive'")


def _joined(cells: tuple[NeuronGroup, ...], input: Tensor, variance: Tensor) -> Membrane:
    """One membrane a population, on one number of steps."""
    N = max(group.membrane(input[group.index], variance[group.index]).grid.N for group in cells)
    parts = [replace(group, N=N).membrane(input[group.index], variance[group.index]) for group in cells]
    columns = {k: torch.cat([getattr(m, k) for m in parts]) for k in ("tau", "sigma", "t_ref")}
    low, high, reset = (torch.cat([getattr(m.grid, k) for m in parts]) for k in ("V_lb", "V_th", "V_reset"))
    return Membrane(Grid(low, high, reset, N), torch.cat([m.force for m in parts], 1), **columns)
