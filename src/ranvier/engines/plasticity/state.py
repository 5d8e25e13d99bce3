"""What changes of a plastic projection while it runs: weights, traces, spikes on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.compiled.synapse_tables import weights_of
from ranvier.engines.plasticity._kernels import LAYERS, behind, on_edges, recorded
from ranvier.engines.plasticity.modulators import ModulatorSource, series_rows
from ranvier.engines.plasticity.tables import PlasticProgram, delay_groups, late_steps, with_coincidence

_NEVER = -(2**30)


@dataclass(eq=False)
class PlasticState:
    """The state of one plastic projection; lists are by group of equal delay, and every thread has its own pre traces.

    post (traces, n): the targets' traces; values (n,): their modulator now; layers (LAYERS, n), records: the targets'
    last spikes and what the rule reads of them; past: of traces that are read late, a ring of steps; flushed
    (threads,): the step up to which all is replayed; modulator, series, origin: where the modulator comes from, its
    values and the step at which they begin.
    """

    post: NDArray[Any]
    values: NDArray[Any]
    layers: NDArray[np.int32]
    records: NDArray[Any]
    past: NDArray[Any]
    flushed: NDArray[np.int64]
    weights: list[NDArray[Any]]
    eligibilities: list[NDArray[Any]]
    pre: list[NDArray[Any]]
    times: list[NDArray[np.int64]]
    modulator: ModulatorSource
    series: NDArray[Any]
    origin: int = 0

    @classmethod
    def initial(cls, program: PlasticProgram) -> PlasticState:
        """At t = 0."""
        p, law, real, n = program.projection, program.rule.law, program.real, program.columns
        own, constant = weights_of(p, real)
        if own is None:
            weights = [np.full(len(group.items), constant, real) for group in program.groups]
        else:
            weights = [own[group.edges] for group in delay_groups(p, program.dt)]
        marks = len(on_edges(program.rule))
        return cls(
            post=np.zeros((max(len(behind(program.rule)), 1), n), real),
            values=np.zeros(n, real),
            layers=np.full((LAYERS, n), _NEVER, np.int32),
            records=np.zeros((LAYERS * max(len(recorded(program.rule)), 1), n), real),
            past=np.zeros((max(sum(late_steps(program.rule, program.dt)), 1), n), real),
            flushed=np.zeros(program.threads, np.int64),
            weights=weights,
            eligibilities=[np.zeros((max(marks, 1), len(w) if marks else 0), real) for w in weights],
            pre=[np.zeros((program.threads, max(len(law.pre), 1), p.source.size), real) for _ in weights],
            times=[np.zeros((program.threads, p.source.size), np.int64) for _ in weights],
            modulator=program.modulator,
            series=series_rows(program.modulator.series, real),
        )

    def set_modulator(self, modulator: ModulatorSource, step: int) -> None:
        """Another modulator, from this step on."""
        self.modulator, self.series, self.origin = modulator, series_rows(modulator.series, self.values.dtype), step
        self.values[...] = 0

    def adopt_modulator(self, other: PlasticState) -> None:
        """The modulator of an earlier state, where it stands."""
        self.modulator, self.series, self.origin = other.modulator, other.series, other.origin
        self.values[...] = other.values

    def arrays(self, index: int) -> dict[str, NDArray[Any]]:
        """Everything that the future depends on, once all synapses are up to date, by name: views."""
        name = f"plastic_{index}"
        out = {f"{name}_post": self.post}
        if len(self.past) > 1:
            out[f"{name}_past"] = self.past
        for k in range(len(self.weights)):
            out[f"{name}_weights_{k}"] = self.weights[k]
            out[f"{name}_edges_{k}"] = self.eligibilities[k]
            out[f"{name}_pre_{k}"] = self.pre[k][0]
            out[f"{name}_times_{k}"] = self.times[k][0]
        return out

    def settled(self, program: PlasticProgram, step: int) -> list[NDArray[Any]]:
        """The weights by group, with what a coincidence has added up to `step` and is not in them yet."""
        index = program.projection.index
        own = self.arrays(index)
        return [
            with_coincidence(program.rule, program.dt, step, group, own, f"plastic_{index}", k)
            for k, group in enumerate(program.groups)
        ]

    def replace_weights(self, program: PlasticProgram, values: NDArray[Any]) -> None:
        """Other weights (edges,), in the order of `edges()`; what was added to the old ones is over."""
        for k, places in enumerate(program.places()):
            self.weights[k][...] = values[places]
            if program.rule.law.joint is not None:
                self.eligibilities[k][-1] = self.post[-1][program.groups[k].items]

    def settle(self, step: int) -> None:
        """After `arrays` were written: all threads alike, nothing left to replay."""
        for k in range(len(self.weights)):
            self.pre[k][1:] = self.pre[k][0]
            self.times[k][1:] = self.times[k][0]
        self.layers[...] = _NEVER
        self.flushed[...] = step


__all__ = ["PlasticState"]
