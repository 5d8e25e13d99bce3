"""Some copies of a cell that one thread runs, beside each other in memory so that each instruction works on several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.cables.cell import CableCell
from ranvier.cables.kernels import CHUNK, CURRENT, SIZE, SLOPE, rows, source
from ranvier.cables.processes import Process
from ranvier.cables.stepping import advance
from ranvier.codegen.compilation import kernel_address
from ranvier.equations.printing import torch_function

#: cells of a group
WIDTH = 8
#: steps whose injected currents are in memory at a time, and spikes that one call may find
_SEGMENT, _SPIKES = 2048, 65536


@dataclass(frozen=True, eq=False)
class Plan:
    """What all groups of cells have in common; recorded: (name, process or None for V, compartments)."""

    cell: CableCell
    processes: list[Process]
    steps: int
    dt: float
    share: float
    V: float
    every: int
    recorded: list[tuple[str, int | None, NDArray[np.int64]]]
    detect: NDArray[np.int64]
    threshold: float
    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Events:
    """Spikes that arrive, sorted by step: (E,) each; item: the place within the process; cell −1 for all."""

    steps: NDArray[np.int64]
    processes: NDArray[np.int64]
    items: NDArray[np.int64]
    cells: NDArray[np.int64]
    weights: NDArray[np.float64]


class CellGroup:
    """Cells `bounds` of a plan; `run` leaves spikes (detector · cells + cell), their times, and traces."""

    def __init__(self, plan: Plan, bounds: tuple[int, int], injections: list[Any], events: Events) -> None:
        self.plan, self.lo, self.cells = plan, bounds[0], bounds[1] - bounds[0]
        self.real: Any = np.float64 if plan.dtype == torch.float64 else np.float32
        n = len(plan.cell) * self.cells
        # one place more, where items that fill up a chunk come from and go to
        self.V = np.full(n + 1, plan.V, self.real)
        self.M, self.S = np.zeros(n + 1, self.real), np.zeros(n + 1, self.real)
        self.loads = np.repeat(plan.cell.capacitance / (plan.share * plan.dt), self.cells).astype(self.real)
        self._blocks(plan)
        self.injections = [(at, first, last, self._own(values)) for at, first, last, values in injections]
        self._events(events)
        self.spikes: NDArray[np.int64] = np.empty(0, np.int64)
        self.spike_times = np.empty(0)
        self.traces: list[NDArray[Any]] = []

    def _own(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if values.shape[1] == 1 else values[:, self.lo : self.lo + self.cells]

    def _blocks(self, plan: Plan) -> None:
        """The processes' memory, and where everything lies in it."""
        parts: list[NDArray[Any]] = []
        self.where: list[NDArray[np.int64]] = []
        self.firsts: list[dict[str, int]] = []
        texts, at = [], 0
        for process in plan.processes:
            values = process.numbers(plan.dt)
            varied = tuple(name for name, x in values.items() if np.ndim(x))
            names = rows(process.kind, varied)
            where, block = self._block(process, names, {k: self._parameter(k, x) for k, x in values.items()})
            scalars = [float(values[name]) for name in process.kind.names if name not in varied]
            self.firsts.append({name: at + k * len(where) for k, name in enumerate(names)})
            parts += [block.reshape(-1), np.array(scalars)]
            self.where.append(where)
            texts.append(source(process.kind, varied, self.real is np.float64))
            at += block.size + len(scalars)
        self.X = np.concatenate(parts).astype(self.real) if parts else np.zeros(1, self.real)
        table = [
            [kernel_address(text), self.X.ctypes.data + self.X.itemsize * min(first.values()), len(w), w.ctypes.data]
            for text, first, w in zip(texts, self.firsts, self.where, strict=True)
        ]
        self.table = np.array(table, np.int64).reshape(-1, 4)

    def _parameter(self, name: str, value: Any) -> Any:
        if np.ndim(value) == 0:
            return float(value)
        array = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, np.float64)
        return array[self.lo : self.lo + self.cells]

    def _block(
        self, process: Process, names: tuple[str, ...], values: dict[str, Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Compartment of each item, filled up to whole chunks, and the rows (rows, items)."""
        cells, places = self.cells, process.places
        items = len(places) * cells
        where = np.full(-(-items // CHUNK) * CHUNK, len(self.V) - 1)
        where[:items] = (places[:, None] * cells + np.arange(cells)).reshape(-1)
        start = {k: torch.as_tensor(v, dtype=torch.float64) for k, v in {**values, "V": self.plan.V}.items()}
        begun = torch_function(process.kind.initial)(**start) if process.kind.initial else {}
        block = np.zeros((len(names), len(where)))
        for k, name in enumerate(names):
            if name in begun:
                block[k].reshape(-1)[:] = np.resize(np.broadcast_to(begun[name].numpy(), (cells,)), len(where))
            elif name == SIZE:
                block[k, :items] = np.repeat(process.sizes, cells)
            elif name in values:
                block[k] = np.resize(values[name], len(where))
        return where, block

    def _events(self, events: Events) -> None:
        """Steps, places in X, and sizes of what arrives."""
        none = np.empty(0, np.int64)
        steps, places, sizes = [none], [none], [np.empty(0)]
        for p, process in enumerate(self.plan.processes):
            chosen = np.flatnonzero(events.processes == p)
            if not len(chosen):
                continue
            jumps = torch_function(process.model.jump_sizes())(  # type: ignore[union-attr]
                **{k: torch.tensor(v) for k, v in process.model.numbers.items()}  # type: ignore[union-attr]
            )
            for c in range(self.cells):
                own = chosen[(events.cells[chosen] == -1) | (events.cells[chosen] == self.lo + c)]
                for name, size in jumps.items():
                    steps.append(events.steps[own])
                    places.append(self.firsts[p][name] + events.items[own] * self.cells + c)
                    sizes.append(events.weights[own] * float(size))
        order = np.argsort(np.concatenate(steps), kind="stable")
        ordered = [np.concatenate(x)[order] for x in (steps, places, sizes)]
        self.events = ordered[0], ordered[1], ordered[2].astype(self.real)

    def _recorded(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[tuple[int, int]]]:
        """Where each recorded number lies; slopes −2: in V, −1: in X as it is, else the place of ∂I/∂V; and its δ."""
        at, slope, change, shapes = [], [], [], []
        for name, p, places in self.plan.recorded:
            lanes = np.arange(self.cells)
            flat = (places[:, None] * self.cells + lanes).reshape(-1)
            shapes.append((len(places), self.cells))
            if p is None:
                at.append(flat)
                slope.append(np.full(len(flat), -2))
                change.append(flat)
                continue
            process, first = self.plan.processes[p], self.firsts[p]
            item = np.searchsorted(process.places, places)
            inside = process.places[np.minimum(item, len(process.places) - 1)] == places
            variable = name.partition(".")[2] or CURRENT
            own = np.where(inside, item, 0)[:, None] * self.cells + lanes
            keep = np.repeat(inside, self.cells)
            at.append(np.where(keep, first[variable] + own.reshape(-1), -1))
            slope.append(first[SLOPE] + own.reshape(-1) if variable == CURRENT else np.full(len(flat), -1))
            change.append(flat)
        joined = [np.concatenate(x).astype(np.int64) if x else np.empty(0, np.int64) for x in (at, slope, change)]
        return joined[0], joined[1], joined[2], shapes

    def run(self) -> CellGroup:
        """All steps."""
        plan, real = self.plan, self.real
        places, slopes, changes, shapes = self._recorded()
        outside = places < 0
        out = np.zeros((plan.steps // plan.every, len(places)), real)
        detectors = (plan.detect[:, None] * self.cells + np.arange(self.cells)).reshape(-1)
        size = max(_SPIKES, len(detectors))
        spikes, times = np.empty(size, np.int64), np.empty(size)
        crossings: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        injected = np.concatenate(
            [np.empty(0, np.int64)] + [at * self.cells + np.arange(self.cells) for at, *_ in self.injections]
        ).astype(np.int64)
        axial = plan.cell.axial.astype(real)
        step, event, row = 0, 0, 0
        for base in range(0, plan.steps, _SEGMENT):
            stop = min(base + _SEGMENT, plan.steps)
            injections = self._injections(base, stop)
            while step < stop:
                step, event, count, row = advance(
                    step, stop, base, real(plan.dt), real(1 / plan.share), self.V, self.M, self.S, self.X, self.loads,
                    axial, plan.cell.parent, self.cells, self.table, injected, injections, *self.events, event,
                    detectors, real(plan.threshold), spikes, times, np.where(outside, 0, places),
                    np.where(outside, -1, slopes), changes, plan.every, out, row,
                )  # fmt: skip
                crossings.append((spikes[:count].copy(), times[:count].copy()))
        if not np.isfinite(self.V).all():
            raise ValueError(
                "a voltage is not finite at the end of the run; expected finite ones: use a smaller dt, or look at the "
                "channels' equations"
            )
        out[:, outside] = 0.0
        self.spikes = np.concatenate([s for s, _ in crossings])
        self.spike_times = np.concatenate([t for _, t in crossings])
        edges = np.cumsum([0] + [a * b for a, b in shapes])
        self.traces = [out[:, edges[k] : edges[k + 1]].reshape(-1, *shape) for k, shape in enumerate(shapes)]
        return self

    def _injections(self, base: int, stop: int) -> NDArray[Any]:
        out = np.zeros((stop - base, len(self.injections), self.cells), self.real)
        for k, (_, first, last, values) in enumerate(self.injections):
            lo, hi = max(first, base), min(last, stop)
            if lo < hi:
                out[lo - base : hi - base, k] = values if len(values) == 1 else values[lo - first : hi - first]
        return out.reshape(stop - base, -1)


__all__ = ["WIDTH", "CellGroup", "Events", "Plan"]
