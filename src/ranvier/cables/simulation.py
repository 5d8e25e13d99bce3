"""Run cells of many compartments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier._checks import count as whole_count
from ranvier._checks import instance, nearest, number, reals
from ranvier._results import Columns, Curves
from ranvier._steps import require_time, rounded_steps, whole_steps
from ranvier.cables.cell import CableCell
from ranvier.cables.group import WIDTH, CellGroup, Events, Plan
from ranvier.cables.processes import Process, channels_of, synapse_on
from ranvier.synapses import Synapse

METHODS = {"midpoint": 0.5, "backward_euler": 1.0}


@dataclass(frozen=True, eq=False)
class Current:
    """A current into one compartment, pA: constant from `start` to `stop` (ms), or one for each step.

    values: a number, (cells,), or by steps (steps, 1) or (steps, cells), which begin at `start`.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.Current(0, 100.0, start=10.0, stop=60.0).stop
    60.0
    """

    at: int
    values: Any
    start: float = 0.0
    stop: float = math.inf

    def __post_init__(self) -> None:
        number(self.start, "start of a current", "ms")
        if self.stop != math.inf:
            number(self.stop, "stop of a current", "ms")
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"a current lasts from {self.start} to {self.stop} ms; expected 0 <= start <= stop")


@dataclass(frozen=True, eq=False)
class SynapticInput:
    """Spikes that arrive by a synapse on one compartment: at `times` (ms), each of `weight`, a number or one a spike.

    Weights are in the synapse's unit where it is nS; currents, whose weights elsewhere are in mV or mV ms, are in pA
    and pA ms here. cells: to which cell each spike goes; None: each to all.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.cables.SynapticInput(0, rv.ExponentialConductance(), [5.0, 8.0], 0.5).weight
    0.5
    """

    at: int
    synapse: Synapse
    times: Any
    weight: Any
    cells: Any = None


@dataclass(frozen=True, eq=False)
class CableRecording(Columns):
    """What `simulate` of cables returns.

    times, cells, compartments: of the spikes (S,), sorted by time: upward crossings of the threshold, linear between
    steps. sample_times: (T,) ms; traces: name -> (T, places, cells) in the order in which the places were named. "V" is
    taken at the sample times, currents and variables at the middle of the step that ends there.
    """

    times: Tensor
    cells: Tensor
    compartments: Tensor
    sample_times: Tensor
    traces: dict[str, Tensor]

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {"time": self.sample_times}
        for name, values in self.traces.items():
            flat = values.flatten(1)
            one = flat.shape[1] == 1
            cells = values.shape[2] if values.ndim > 2 else 1
            for k in range(flat.shape[1]):
                columns[name if one else f"{name} {k // cells} of cell {k % cells}"] = flat[:, k]
        return columns

    def _curves(self) -> Curves:
        name = "V" if "V" in self.traces else next(iter(self.traces))
        lines = dict([(k, v) for k, v in self._columns().items() if k.split(" ")[0] == name][:10])
        unit = " (mV)" if name == "V" else "" if "." in name else " (pA)"
        return Curves(self.sample_times, lines, "time (ms)", name + unit)

    def __repr__(self) -> str:
        return f"CableRecording({len(self.times)} spikes, {len(self.sample_times)} samples of {', '.join(self.traces)})"


def simulate(
    cell: CableCell,
    duration: float,
    *,
    dt: float = 0.025,
    cells: int = 1,
    V: float = -65.0,
    currents: Sequence[Current] = (),
    synapses: Sequence[SynapticInput] = (),
    record: Mapping[str, Any] | None = None,
    every: float | None = None,
    detect: Any = (),
    threshold: float = 0.0,
    method: str = "midpoint",
    dtype: torch.dtype = torch.float64,
    threads: int = 1,
) -> CableRecording:
    """Run `cells` copies of a cell, which do not meet, from the voltage V (mV) and the channels' steady states there.

    Parameters
    ----------
    duration, dt, every
        ms: of the run, of a step, and between samples of what is recorded (None: every step).
    currents, synapses
        What comes in, each into one compartment.
    record
        What to sample -> compartments: "V" (mV); a channel's or synapse's class name, for its current out of the cell
        (pA); "SquidSodium.m", for a variable. Default: V of compartment 0.
    detect, threshold
        Compartments whose upward crossings of the threshold (mV) are spikes.
    method
        "midpoint" (Crank-Nicolson, with gates half a step apart: second order) or "backward_euler" (first order,
        without the ringing that sudden changes leave in stiff pieces).
    dtype
        torch.float64, or torch.float32, which loses changes of V below some 4e-6 mV a step: with steps of 1e-4 ms
        slow approaches stop short by tenths of a mV.
    threads
        Cells are shared out over so many; no result depends on it.

    Returns
    -------
    CableRecording

    Raises
    ------
    ValueError
        for times that fit no steps, compartments and names that the cell does not have, values and parameters of other
        shapes, and a voltage that is not finite at the end.
    TypeError
        for inputs of other classes.

    Examples
    --------
    >>> import ranvier as rv
    >>> shape = rv.cables.Morphology()
    >>> axon = shape.add(2000.0, 2.0, region="axon")
    >>> squid = [rv.cables.SquidSodium(), rv.cables.SquidPotassium(), rv.cables.Leak(g=0.3, E=-54.4)]
    >>> cell = rv.cables.CableCell(shape, squid, R_a=35.4, max_length=50.0)
    >>> ends = [cell.at(axon, 0.0), cell.at(axon, 1.0)]
    >>> run = rv.cables.simulate(cell, 20.0, currents=[rv.cables.Current(0, 300.0, 1.0, 3.0)], detect=ends)
    >>> run.compartments.tolist() == ends
    True
    >>> speed = 2000.0 / (run.times[1] - run.times[0])  # um/ms
    >>> 300 < speed < 1000
    tensor(True)
    """
    instance(cell, CableCell, "cell", "a CableCell")
    require_time(dt, "dt")
    steps = whole_steps(duration, dt, f"the duration is {duration} ms")
    interval = 1 if every is None else whole_steps(every, dt, f"every is {every} ms")
    cells = whole_count(cells, "cells", 1)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; expected one of {', '.join(map(repr, METHODS))}")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype is {dtype}; expected torch.float32 or torch.float64")
    instance(currents, (list, tuple), "currents", "a list of Current")
    instance(synapses, (list, tuple), "synapses", "a list of SynapticInput")
    processes, events = _processes(cell, synapses, cells, steps, dt)
    chosen = {"V": 0} if record is None else record
    instance(chosen, Mapping, "record", "a dictionary: {'V': [0]}")
    places = {name: cell.require(at, f"record[{name!r}]") for name, at in chosen.items()}
    if nowhere := [name for name, at in places.items() if not len(at)]:
        raise ValueError(f"record[{nowhere[0]!r}] holds no compartment; expected one at least, or no such entry")
    sampled = [(name, p) for name in places for p in _recorded(name, processes)]
    plan = Plan(
        cell, processes, steps, dt, METHODS[method], number(V, "V", "mV"), interval,
        [(name, p, places[name]) for name, p in sampled], cell.require(detect, "detect"),
        number(threshold, "threshold", "mV"), dtype,
    )  # fmt: skip
    injections = [_injection(cell, c, cells, steps, dt) for c in currents]
    bounds = [(lo, min(lo + WIDTH, cells)) for lo in range(0, cells, WIDTH)]
    with ThreadPoolExecutor(whole_count(threads, "threads", 1)) as pool:
        parts = list(pool.map(lambda b: CellGroup(plan, b, injections, events).run(), bounds))
    return _joined(parts, bounds, plan, places, steps)


def _processes(
    cell: CableCell, synapses: Sequence[SynapticInput], cells: int, steps: int, dt: float
) -> tuple[list[Process], Events]:
    processes = channels_of(cell, cells)
    kinds: dict[Synapse, list[SynapticInput]] = {}
    for s in synapses:
        instance(s, SynapticInput, "an entry of synapses", "a SynapticInput")
        instance(s.synapse, Synapse, "synapse", "a Synapse: rv.ExponentialConductance()")
        cell.require(s.at, "at of a SynapticInput")
        kinds.setdefault(s.synapse, []).append(s)
    columns: list[tuple[Any, ...]] = []
    for synapse, inputs in kinds.items():
        places = np.unique([s.at for s in inputs])
        for s in inputs:
            times = _one_each(s.times, "times", None)
            at = rounded_steps(times, dt)
            if times.size and at.min() < 0:
                raise ValueError("times of a SynapticInput are negative or not finite; expected times in ms from 0")
            weights = _one_each(s.weight, "weight", len(times))
            synapse.weight_parameter.require(torch.from_numpy(weights.copy()), "weight of a SynapticInput", "spike")
            own = _one_each(-1 if s.cells is None else s.cells, "cells", len(times)).astype(np.int64)
            if own.size and (own.min() < (-1 if s.cells is None else 0) or own.max() >= cells):
                raise ValueError(f"cells of a SynapticInput reach {own.max()}; expected cells from 0 to {cells - 1}")
            item = int(np.searchsorted(places, s.at))
            columns.append((at, np.full(len(at), len(processes)), np.full(len(at), item), own, weights))
        processes.append(synapse_on(synapse, places))
    if not columns:
        empty = np.empty(0, np.int64)
        return processes, Events(empty, empty, empty, empty, np.empty(0))
    joined = [np.concatenate(c) for c in zip(*columns)]
    order = np.argsort(joined[0], kind="stable")
    order = order[joined[0][order] < steps]
    return processes, Events(*(c[order] for c in joined))


def _one_each(values: Any, name: str, spikes: int | None) -> NDArray[np.float64]:
    """(spikes,), of one for each, or one for all; whole numbers where they are cells."""
    array = reals(values, f"{name} of a SynapticInput")
    if array.ndim > 1 or (spikes is not None and array.shape not in ((), (1,), (spikes,))):
        each = "a flat list" if spikes is None else f"a number, or one for each of {spikes} spikes"
        raise ValueError(f"{name} of a SynapticInput has shape {array.shape}; expected {each}")
    if not np.isfinite(array).all() or (name == "cells" and (array != np.floor(array)).any()):
        kind = "whole numbers" if name == "cells" else "finite numbers"
        raise ValueError(f"{name} of a SynapticInput holds {array.reshape(-1)[:3].tolist()}; expected {kind}")
    return np.atleast_1d(array) if spikes is None else np.broadcast_to(array, (spikes,))


def _recorded(name: str, processes: list[Process]) -> list[int | None]:
    if name == "V":
        return [None]
    kind = name.partition(".")[0]
    known = {p.kind.name: p.kind for p in processes}
    names = ["V", *known, *(f"{k.name}.{x}" for k in known.values() for x in k.states)]
    if name not in names:
        raise ValueError(f"record has {name!r}; {nearest(name, names)}")
    return [k for k, p in enumerate(processes) if p.kind.name == kind]


def _injection(
    cell: CableCell, current: Current, cells: int, steps: int, dt: float
) -> tuple[int, int, int, NDArray[np.float64]]:
    """(compartment, first step, last step, values (1 or steps, 1 or cells))."""
    instance(current, Current, "an entry of currents", "a Current")
    (at,) = cell.require(current.at, "at of a Current")
    values = reals(current.values, "values of a Current")
    if not np.isfinite(values).all():
        raise ValueError("values of a Current hold NaN or infinity; expected finite numbers in pA")
    if values.ndim > 2 or values.shape[-1:] not in ((), (1,), (cells,)):
        raise ValueError(
            f"values of a Current have shape {values.shape}; expected a number, ({cells},), or (steps, 1 or {cells})"
        )
    first = 0 if current.start == 0 else int(rounded_steps(number(current.start, "start", "ms"), dt))
    last = steps if current.stop == math.inf else int(rounded_steps(number(current.stop, "stop", "ms"), dt))
    if values.ndim == 2:
        last = min(last, first + len(values))
    if first < 0:
        raise ValueError(f"start of a Current is {current.start} ms; expected 0 or above")
    return int(at), first, min(last, steps), values.reshape(-1, values.shape[-1] if values.ndim else 1)


def _joined(
    parts: list[Any], bounds: list[tuple[int, int]], plan: Plan, places: Mapping[str, NDArray[np.int64]], steps: int
) -> CableRecording:
    times = np.concatenate([p.spike_times for p in parts])
    which = np.concatenate([p.spikes for p in parts])
    widths = np.concatenate([np.full(len(p.spikes), hi - lo) for p, (lo, hi) in zip(parts, bounds, strict=True)])
    firsts = np.concatenate([np.full(len(p.spikes), lo) for p, (lo, hi) in zip(parts, bounds, strict=True)])
    detector, cell = which // np.maximum(widths, 1), which % np.maximum(widths, 1) + firsts
    order = np.lexsort((detector, cell, times))
    traces: dict[str, Tensor] = {}
    for name, at in places.items():
        chosen = [k for k, (n, _, _) in enumerate(plan.recorded) if n == name]
        # a current is the sum over a class's instances; of a variable, instances lie in different compartments
        total = sum(np.concatenate([p.traces[k] for p in parts], 2) for k in chosen)
        traces[name] = torch.from_numpy(np.asarray(total, np.float64).reshape(-1, len(at), bounds[-1][1]))
    samples = plan.dt * plan.every * np.arange(1, steps // plan.every + 1)
    return CableRecording(
        torch.from_numpy(times[order]), torch.from_numpy(cell[order]), torch.from_numpy(plan.detect[detector[order]]),
        torch.from_numpy(samples), traces,
    )  # fmt: skip


__all__ = ["CableRecording", "Current", "SynapticInput", "simulate"]
