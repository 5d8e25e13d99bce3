"""Plastic projections of the compiled engine: their synapses, traces and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.compilation import compiled, kernel_address
from ranvier.engines.compiled.synapse_tables import delay_steps, padded, weights_of
from ranvier.engines.plasticity import columns as g
from ranvier.engines.plasticity._kernels import LAYERS, constants, recorded, replays, sources
from ranvier.engines.plasticity.modulators import ModulatorSource, series_rows
from ranvier.networks import Projection
from ranvier.rules import Rule

_NEVER = -(2**30)


@compiled(nogil=True)
def _by_source(indptr, given, delays, steps, order, cursor, items, edges):
    """Lay out the edges whose delay is `steps` (or all) by source; targets come out ascending."""
    for target in range(len(indptr) - 1):
        for e in range(indptr[target], indptr[target + 1]):
            edge = order[e] if len(order) > 0 else e
            if len(delays) > 0 and delays[edge] != steps:
                continue
            s = given[e]
            at = cursor[s]
            cursor[s] = at + 1
            if len(items) > 0:
                items[at] = target
            if len(edges) > 0:
                edges[at] = edge


@dataclass(frozen=True)
class Layout:
    """Synapses of one delay (steps) by source: rows (sources + 1,), their targets, and their places in the
    order of `Projection.edges()`."""

    delay: int
    rows: NDArray[np.int64]
    items: NDArray
    edges: NDArray[np.int64]


def layouts(p: Projection, dt: float) -> Iterator[Layout]:
    """The projection's synapses, delay by delay."""
    steps: Any = delay_steps(p, dt)
    indptr, given = p.draw()
    order = p.order()
    order = np.zeros(0, np.int64) if order is None else order
    delays = steps if steps.ndim else np.zeros(0, np.int64)
    kind = np.uint16 if p.target.size <= 2**16 else np.int32
    for delay in np.unique(steps) if len(given) else []:
        counts = np.zeros(p.source.size, np.int64)
        _by_source(indptr, given, delays, delay, order, counts, np.zeros(0, kind), np.zeros(0, np.int64))
        rows = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        items, edges = np.empty(rows[-1], kind), np.empty(rows[-1], np.int64)
        _by_source(indptr, given, delays, delay, order, rows[:-1].copy(), items, edges)
        yield Layout(int(delay), rows, items, edges)


class Plastic:
    """One plastic projection, ready to run."""

    def __init__(
        self, p: Projection, *, dt: float, real: Any, threads: int, bounds: NDArray[np.int64] | None,
        modulator: ModulatorSource,
    ) -> None:
        if p.plasticity is None:
            raise ValueError(f"{p!r} has no plasticity")
        rule = p.plasticity
        law = rule.law
        self.projection, self.rule, self.threads, self.real, self.dt = p, rule, threads, real, dt
        self.every = steps_between(rule, dt)
        n, sources_, behind = padded(p.target.size), p.source.size, len(law.post) + len(law.modulator)
        self.post = np.zeros((max(behind, 1), n), real)
        self.modulator = np.zeros(n, real)
        self.layers = np.full((LAYERS, n), _NEVER, np.int32)
        self.records = np.zeros((LAYERS * max(len(recorded(rule)), 1), n), real)
        self.flushed = np.zeros(threads, np.int64)
        self.groups = list(layouts(p, dt))
        given, constant = weights_of(p, real)
        shape = [len(group.items) for group in self.groups]
        self.weights = [
            np.full(count, constant, real) if given is None else given[group.edges]
            for count, group in zip(shape, self.groups, strict=True)
        ]
        self.groups = [Layout(x.delay, x.rows, x.items, np.zeros(0, np.int64)) for x in self.groups]
        self.edges = [np.zeros((max(len(law.eligibilities), 1), k if law.eligibilities else 0), real) for k in shape]
        self.pre = [np.zeros((threads, max(len(law.pre), 1), sources_), real) for _ in shape]
        self.times = [np.zeros((threads, sources_), np.int64) for _ in shape]
        self.constants = np.array(self._constants(), real)
        self.splits = [self._splits(group, bounds) for group in self.groups]
        self._places: list[NDArray[np.int64]] | None = None
        self.source, self.origin = modulator, 0
        self.values = series_rows(modulator.series, real)
        wide = p.target.size > 2**16
        self.kernels = {k: kernel_address(text) for k, text in sources(rule, real is np.float64, wide).items()}

    def _constants(self) -> list[float]:
        rule, law = self.rule, self.rule.law
        taus = [rule.parameters[tau] for _, tau in law.decays]
        rates = [-self.dt / tau if tau > 0 else -1e4 for tau in taus]
        made = [rule.parameters[name] for name in law.names] + rates + [*rule.bounds, rule.interval, self.dt]
        if len(made) != len(constants(rule)) + 1:
            raise RuntimeError("the kernels and their constants have come apart")
        return made

    def _splits(self, group: Layout, bounds: NDArray[np.int64] | None) -> NDArray[np.int32]:
        """(sources, threads + 1): where in a row each thread's targets begin."""
        if bounds is None:
            return np.zeros((1, 2), np.int32)
        before = np.stack([group.items < bound for bound in bounds], 1)
        total = np.concatenate([np.zeros((1, len(bounds)), np.int64), np.cumsum(before, 0)])
        return (total[group.rows[1:]] - total[group.rows[:-1]]).astype(np.int32)

    def table(self, ring: int) -> NDArray[np.int64]:
        """Its rows of the table; `ring` is its port's column. The arrays must live as long as the table."""
        p, where = self.projection, self.source
        out = np.zeros((len(self.groups), g.G_WIDTH), np.int64)
        for k, row in enumerate(out):
            row[[g.G_ROW, g.G_SWEEP, g.G_STEP]] = [self.kernels[x] for x in ("row", "sweep", "step")]
            row[[g.G_GROUPS, g.G_SOURCE, g.G_TARGET]] = len(out) if k == 0 else 0, p.source.index, p.target.index
            row[[g.G_DELAY, g.G_RING, g.G_SOURCES]] = self.groups[k].delay, ring, p.source.size
            row[[g.G_COLUMNS, g.G_EDGES]] = self.post.shape[1], self.edges[k].shape[1]
            row[[g.G_EVERY, g.G_REPLAYS]] = self.every, replays(self.rule)
            for column, array in (
                (g.G_POINTERS, self.groups[k].rows), (g.G_ITEMS, self.groups[k].items),
                (g.G_WEIGHTS, self.weights[k]), (g.G_SPLITS, self.splits[k]), (g.G_PRE, self.pre[k]),
                (g.G_TIMES, self.times[k]), (g.G_EDGE, self.edges[k]), (g.G_LAYERS, self.layers),
                (g.G_RECORDS, self.records), (g.G_POST, self.post), (g.G_CONSTANTS, self.constants),
                (g.G_FLUSHED, self.flushed), (g.G_MODULATOR, self.modulator), (g.G_SERIES, self.values),
            ):  # fmt: skip
                row[column] = array.ctypes.data
            row[g.G_KIND] = where.kind
            row[[g.G_SERIES_COLUMNS, g.G_COUNT]] = self.values.shape[1], self.values.shape[0]
            row[[g.G_INTERVAL, g.G_POPULATION]] = where.interval_steps(self.dt), where.population
            row[[g.G_WAIT, g.G_ORIGIN]] = min(group.delay for group in self.groups), self.origin
        return out

    def set_modulator(self, modulator: ModulatorSource, step: int) -> None:
        """Another modulator, from this step on; the table must be made anew."""
        self.source, self.values, self.origin = modulator, series_rows(modulator.series, self.real), step
        self.modulator[...] = 0

    def places(self) -> list[NDArray[np.int64]]:
        """For every delay, where its synapses stand in the order of `edges()`."""
        if self._places is None:
            self._places = [x.edges for x in layouts(self.projection, self.dt)]
        return self._places

    def state(self) -> dict[str, NDArray]:
        """Everything that its future depends on, once all synapses are up to date."""
        name = f"plastic_{self.projection.index}"
        out = {f"{name}_post": self.post.copy()}
        for k in range(len(self.groups)):
            out[f"{name}_weights_{k}"] = self.weights[k].copy()
            out[f"{name}_edges_{k}"] = self.edges[k].copy()
            out[f"{name}_pre_{k}"] = self.pre[k][0].copy()
            out[f"{name}_times_{k}"] = self.times[k][0].copy()
        return out

    def load(self, state: dict[str, NDArray], step: int) -> None:
        """Take up a state of `state()`, at that step."""
        name = f"plastic_{self.projection.index}"
        own = {f"{name}_post": self.post}
        for k in range(len(self.groups)):
            own |= {f"{name}_weights_{k}": self.weights[k], f"{name}_edges_{k}": self.edges[k]}
            own |= {f"{name}_pre_{k}": self.pre[k][0], f"{name}_times_{k}": self.times[k][0]}
        for key, mine in own.items():
            if key not in state or state[key].shape != mine.shape or state[key].dtype != mine.dtype:
                found = "missing" if key not in state else f"{state[key].dtype}{list(state[key].shape)}"
                raise ValueError(
                    f"the saved state's {key} is {found}, expected {mine.dtype}{list(mine.shape)}: it belongs to "
                    "another network; start in a new folder"
                )
            mine[...] = state[key]
        for k in range(len(self.groups)):
            self.pre[k][1:] = self.pre[k][0]
            self.times[k][1:] = self.times[k][0]
        self.layers[...] = _NEVER
        self.flushed[...] = step


def edge_weights(p: Projection, dt: float, state: dict[str, NDArray]) -> NDArray:
    """A plastic projection's weights (edges,) in the order of `edges()`, from an engine's state."""
    if f"weights_{p.index}" in state:
        return state[f"weights_{p.index}"]
    out = np.zeros(p.size, state["x"].dtype)
    for k, group in enumerate(layouts(p, dt)):
        out[group.edges] = state[f"plastic_{p.index}_weights_{k}"]
    return out


def steps_between(rule: Rule, dt: float) -> int:
    """Steps between two sweeps, 0 for rules without a drift."""
    if rule.law.drift == 0:
        return 0
    from ranvier.rules.dense import steps_of

    for each in rule.law.eligibilities:
        tau = rule.parameters[each.tau]
        if rule.interval > 20 * tau:
            raise ValueError(
                f"{type(rule).__name__} sweeps every interval = {rule.interval:g} ms, its {each.name} forgets in "
                f"{each.tau} = {tau:g} ms; expected an interval of at most 20 times that"
            )
    return steps_of(rule, dt)


__all__ = ["Plastic", "edge_weights", "layouts"]
