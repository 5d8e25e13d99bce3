"""Plastic projections lowered for the compiled loop: synapses by source, kernels, rows of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import rounded_steps
from ranvier.codegen.compilation import compiled, kernel_address
from ranvier.codegen.records import address
from ranvier.engines.compiled.synapse_tables import delay_steps, padded
from ranvier.engines.plasticity._kernels import constants, replays, sources
from ranvier.engines.plasticity.chance import projection_key
from ranvier.engines.plasticity.modulators import ModulatorSource
from ranvier.engines.plasticity.records import PLASTIC
from ranvier.networks import Projection
from ranvier.rules import Rule

if TYPE_CHECKING:
    from ranvier.engines.plasticity.state import PlasticState

#: time constants between two sweeps of a coincidence: sums grow in numbers by exp of it, and lose as much in precision
_PERIOD = 4


@compiled(nogil=True)
def _by_source(indptr, origins, delays, steps, order, cursor, items, edges):
    """Lay out the edges whose delay is `steps` (or all) by source; targets come out ascending."""
    for target in range(len(indptr) - 1):
        for e in range(indptr[target], indptr[target + 1]):
            edge = order[e] if len(order) > 0 else e
            if len(delays) > 0 and delays[edge] != steps:
                continue
            s = origins[e]
            at = cursor[s]
            cursor[s] = at + 1
            if len(items) > 0:
                items[at] = target
            if len(edges) > 0:
                edges[at] = edge


@dataclass(frozen=True)
class DelayGroup:
    """Synapses of one delay (steps) by source: rows (sources + 1,), their targets, and their places in the
    order of `Projection.edges()`."""

    delay: int
    rows: NDArray[np.int64]
    items: NDArray[Any]
    edges: NDArray[np.int64]


def delay_groups(p: Projection, dt: float) -> Iterator[DelayGroup]:
    """The projection's synapses, delay by delay."""
    steps: Any = delay_steps(p, dt)
    indptr, origins = p.draw()
    order = p.order()
    order = np.zeros(0, np.int64) if order is None else order
    delays = steps if steps.ndim else np.zeros(0, np.int64)
    kind = np.uint16 if p.target.size <= 2**16 else np.int32
    for delay in np.unique(steps) if len(origins) else []:
        counts = np.zeros(p.source.size, np.int64)
        _by_source(indptr, origins, delays, delay, order, counts, np.zeros(0, kind), np.zeros(0, np.int64))
        rows = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        items, edges = np.empty(rows[-1], kind), np.empty(rows[-1], np.int64)
        _by_source(indptr, origins, delays, delay, order, rows[:-1].copy(), items, edges)
        yield DelayGroup(int(delay), rows, items, edges)


@dataclass(frozen=True, eq=False)
class PlasticProgram:
    """One plastic projection, lowered: what does not change in a run.

    groups: synapses by delay; splits: for each group (sources, threads + 1), where in a row each thread's targets
    begin; ring: its port's column; every: steps between two sweeps, 0 for none; columns: padded targets.
    """

    projection: Projection
    rule: Rule
    dt: float
    real: Any
    threads: int
    ring: int
    columns: int
    every: int
    groups: tuple[DelayGroup, ...]
    splits: tuple[NDArray[np.int32], ...]
    constants: NDArray[Any]
    kernels: dict[str, int]
    modulator: ModulatorSource
    seed: int

    def places(self) -> Iterator[NDArray[np.int64]]:
        """For every delay, where its synapses stand in the order of `edges()`; drawn again."""
        return (group.edges for group in delay_groups(self.projection, self.dt))


def lower_plastic(
    p: Projection, *, dt: float, real: Any, threads: int, ring: int, bounds: NDArray[np.int64] | None,
    modulator: ModulatorSource, seed: int, variables: Sequence[str] = (),
) -> PlasticProgram:  # fmt: skip
    """Lower a projection; `bounds` (threads + 1,) are the threads' first targets, `variables` the target's rows.
    Raises ValueError for a rule that cannot be run at this dt."""
    rule = p.plasticity
    if rule is None:
        raise ValueError(f"{p!r} has no plasticity; expected a rule")
    groups = tuple(
        DelayGroup(x.delay, x.rows, x.items, np.zeros(0, np.int64)) for x in delay_groups(p, dt)
    )
    rows = {name: variables.index(name) for name in rule.law.reads}
    texts = sources(rule, real is np.float64, p.target.size > 2**16, rows)
    return PlasticProgram(
        p, rule, dt, real, threads, ring, padded(p.target.size), steps_between(rule, dt), groups,
        tuple(_splits(group, bounds) for group in groups), np.array(_constants(rule, dt), real),
        {name: kernel_address(text) for name, text in texts.items()}, modulator, seed,
    )  # fmt: skip


def _constants(rule: Rule, dt: float) -> list[float]:
    taus = [rule.parameters[tau] for _, tau in rule.law.decays]
    rates = [-dt / tau if tau > 0 else -1e4 for tau in taus]
    values = [rule.parameters[name] for name in rule.law.names] + rates
    values += [*late_steps(rule, dt), *rule.bounds, rule.interval, dt]
    if len(values) != len(constants(rule)) + 1:
        raise RuntimeError(
            "the kernels and their constants have come apart; expected one list: this is a fault of Ranvier's; "
            "expected one list: this is a fault of Ranvier's"
        )
    return values


def _splits(group: DelayGroup, bounds: NDArray[np.int64] | None) -> NDArray[np.int32]:
    if bounds is None:
        return np.zeros((1, 2), np.int32)
    before = np.stack([group.items < bound for bound in bounds], 1)
    total = np.concatenate([np.zeros((1, len(bounds)), np.int64), np.cumsum(before, 0)])
    return (total[group.rows[1:]] - total[group.rows[:-1]]).astype(np.int32)


def plastic_rows(program: PlasticProgram, state: PlasticState, variables: NDArray[Any]) -> NDArray[Any]:
    """Its rows of the table, whose addresses are of the program's and the state's arrays; variables: the target's."""
    p, where = program.projection, state.modulator
    out = np.zeros(len(program.groups), PLASTIC)
    shared = {
        "layers": state.layers, "records": state.records, "post": state.post, "constants": program.constants,
        "flushed": state.flushed, "modulator": state.values, "series": state.series,
        "past": state.past, "variables": variables,
    }  # fmt: skip
    for name, array in shared.items():
        out[name] = address(array)
    for name in ("row", "sweep", "step"):
        out[name] = program.kernels[name]
    out["source"], out["target"], out["ring"] = p.source.index, p.target.index, program.ring
    out["sources"], out["columns"], out["every"] = p.source.size, program.columns, program.every
    out["back"] = back_steps(program.rule, program.dt)
    out["replays"], out["single"], out["kind"] = replays(program.rule), program.rule.law.short_term, where.kind
    out["series_columns"], out["count"] = state.series.shape[1], state.series.shape[0]
    out["interval"], out["population"] = where.interval_steps(program.dt), where.population
    out["wait"], out["origin"] = min((group.delay for group in program.groups), default=1), state.origin
    for k, (row, group) in enumerate(zip(out, program.groups, strict=True)):
        row["groups"], row["delay"] = len(out) if k == 0 else 0, group.delay
        row["key"] = projection_key(program.seed, p.index, k)
        row["edges"] = state.eligibilities[k].shape[1]
        for name, array in (
            ("rows", group.rows), ("items", group.items), ("splits", program.splits[k]),
            ("weights", state.weights[k]), ("pre", state.pre[k]), ("times", state.times[k]),
            ("eligibility", state.eligibilities[k]),
        ):  # fmt: skip
            row[name] = address(array)
    return out


def edge_weights(p: Projection, dt: float, state: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """A plastic projection's weights (edges,) in the order of `edges()`, from an engine's state."""
    if f"weights_{p.index}" in state:
        return state[f"weights_{p.index}"]
    out = np.zeros(p.size, state["x"].dtype)
    for k, group in enumerate(delay_groups(p, dt)):
        prefix, step = f"plastic_{p.index}", int(state["step"][0])
        out[group.edges] = with_coincidence(p.plasticity, dt, step, group, state, prefix, k)
    return out


def with_coincidence(
    rule: Rule | None, dt: float, step: int, group: DelayGroup, state: Mapping[str, NDArray[Any]], prefix: str, k: int
) -> NDArray[Any]:
    """The weights of group k in a state's arrays, with what a coincidence has added up to `step` and is not in them."""
    w = state[f"{prefix}_weights_{k}"]
    if rule is None or rule.law.joint is None or step == 0:
        return w
    every, trace = steps_between(rule, dt), [t.name for t in rule.law.pre].index(rule.law.joint.name)
    since = (step - 1) // every * every - state[f"{prefix}_times_{k}"]
    gain = state[f"{prefix}_pre_{k}"][trace] * np.exp(-dt / rule.parameters[rule.law.joint.tau] * since)
    sums = state[f"{prefix}_post"][-1][group.items] - state[f"{prefix}_edges_{k}"][-1]
    total = w + np.repeat(gain, np.diff(group.rows)) * sums
    return np.clip(total, *rule.bounds).astype(w.dtype)


def late_steps(rule: Rule, dt: float) -> list[int]:
    """How many steps late the traces are read that have a delay."""
    return [int(rounded_steps(rule.parameters[delay], dt)) for _, delay in rule.law.delays]


def back_steps(rule: Rule, dt: float) -> int:
    """Steps from a spike of the target to its arrival at the synapses, rounded as delays are."""
    return int(rounded_steps(rule.dendritic_delay, dt))


def steps_between(rule: Rule, dt: float) -> int:
    """Steps between two sweeps, 0 for rules without drift and coincidence."""
    if (joint := rule.law.joint) is not None:
        tau = rule.parameters[joint.tau]
        if dt > 20 * tau:
            raise ValueError(
                f"{joint.tau} of {type(rule).__name__} is {tau:g} ms, dt {dt:g} ms; expected a dt of at most 20 times "
                "that: its coincidence grows by a trace that forgets within a step"
            )
        return max(1, int(_PERIOD * tau / dt))
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


__all__ = ["PlasticProgram", "back_steps", "edge_weights", "lower_plastic", "plastic_rows",
           "with_coincidence"]  # fmt: skip
