"""What was measured of a run, and the tables of its neurons and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import positive
from ranvier.report._activity import ActivitySummary, activity_of, standing_out
from ranvier.report._wiring import WiringSummary, distances, wiring_of
from ranvier.report.explore.tables import Column, DataTable

if TYPE_CHECKING:
    from ranvier.report._comparison import Comparison

MAX_COMPARED = 4000  # neurons whose pairs are compared: their matrices then take some 2 GB
PAIRS_ON_A_PAGE, PAIRS_IN_A_FILE = 3000, 100_000
EFFECTS = {1: "excites", -1: "inhibits", 0: "mixed or none"}


@dataclass(frozen=True)
class Measured:
    """A run as the page looks at it, of `measure`; pairs are of `few` (n,), global indices, and so are `steps` (n, n),
    the synapses on the shortest paths [target, source]."""

    wiring: WiringSummary
    activity: ActivitySummary
    few: NDArray[np.int64]
    steps: NDArray[np.int16]
    comparison: Comparison | None = None

    @property
    def whole(self) -> bool:
        """Whether `few` are all neurons."""
        return len(self.few) == self.wiring.size

    @cached_property
    def part(self) -> WiringSummary:
        """The wiring among the neurons whose pairs are compared."""
        return self.wiring.part(self.few)

    @cached_property
    def among(self) -> ActivitySummary:
        """The activity of the neurons whose pairs are compared."""
        return self.activity.among()

    @cached_property
    def inputs(self) -> NDArray[np.int64]:
        """(N,) how many neurons a neuron receives from, by synapses and gap junctions."""
        return _partners(self.wiring, 1)

    @cached_property
    def strong_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs as places in `few`, the strongest correlation first; where one of a pair alone reaches the other
        directly, it is the first. All pairs of small networks, of others those that stand out."""
        i, j = np.triu_indices(len(self.few), k=1)
        values = self.activity.correlation[i, j]
        chosen = np.flatnonzero(np.isfinite(values))
        if len(chosen) > PAIRS_ON_A_PAGE:
            chosen = chosen[standing_out(self.activity)[chosen]]
        chosen = chosen[np.argsort(-np.abs(values[chosen]), kind="stable")[:PAIRS_IN_A_FILE]]
        i, j = i[chosen].astype(np.int64), j[chosen].astype(np.int64)
        turn = (self.steps[i, j] == 1) & (self.steps[j, i] != 1)
        return np.where(turn, j, i), np.where(turn, i, j)

    def single_input(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        """(pairs,) 2 where j has no input but i's, 1 where i has none but j's, else 0; places in `few`."""
        alone = self.inputs[self.few] == 1
        second = alone[j] & (self.steps[j, i] == 1)
        return np.where(second, 2, np.where(alone[i] & (self.steps[i, j] == 1), 1, 0))

    def neurons(self, chosen: NDArray[np.int64] | None = None) -> DataTable:
        """A row a neuron, of `chosen` (global indices) or all: its place in the wiring, and its activity."""
        wiring, activity = self.wiring, self.activity
        at = np.arange(wiring.size) if chosen is None else chosen
        spiking = activity.kind == "spikes"
        what, unit = ("rate", "Hz") if spiking else ("voltage", "mV")
        columns = [
            Column("neuron", "neuron", [wiring.names[n] for n in at], of=np.arange(len(at))),
            Column("class", "class", [wiring.labels[n] for n in at]),
            Column("effect", "effect", [EFFECTS[int(s)] for s in wiring.signs[at]]),
            Column("inputs", "inputs", self.inputs[at], 0),
            Column("outputs", "outputs", _partners(wiring, 0)[at], 0),
            Column(f"{what} ({unit})", f"{what}_{unit}", activity.level[at], 2),
            Column("CV", "cv", activity.spread[at], 2) if spiking else
            Column("SD (mV)", "voltage_sd_mV", activity.spread[at], 2),
        ]  # fmt: skip
        one = self.comparison
        if one is not None:
            columns += [
                Column(f"predicted ({unit})", f"predicted_{what}_{unit}", one.predicted_levels[at], 2),
                Column(f"error ({unit})", f"{what}_error_{unit}", one.level_errors[at], 3),
            ]
        return DataTable("neurons", columns)

    def pairs(self, most: int = PAIRS_IN_A_FILE) -> DataTable:
        """A row a pair, the strongest correlation first."""
        i, j = (ends[:most] for ends in self.strong_pairs)
        activity, names = self.among, self.part.names
        r, error = activity.correlation[i, j], activity.error[i, j]
        with np.errstate(divide="ignore", invalid="ignore"):
            z = r / error
        columns = [
            Column("first", "first", [names[n] for n in i], of=i),
            Column("second", "second", [names[n] for n in j], of=j),
            Column("correlation", "correlation", r, 3),
            Column("error", "error", error, 3),
            Column("z", "z", z, 1),
        ]
        if self.comparison is not None:
            predicted = self.comparison.correlation_of(self.few[i], self.few[j])
            columns.append(Column("predicted", "predicted", predicted, 3))
        unit = self.part.unit
        columns += [
            Column(f"weight → ({unit})", "weight_first_to_second", self._weights(j, i), 2),
            Column(f"weight ← ({unit})", "weight_second_to_first", self._weights(i, j), 2),
            Column("path", "synapses_between", self._shortest(i, j), 0),
            Column("remark", "remark", self._remarks(i, j)),
        ]
        return DataTable("pairs", columns)

    def _weights(self, targets: NDArray[np.int64], sources: NDArray[np.int64]) -> NDArray[np.float64]:
        """Chemical weights; NaN where there is no connection."""
        values = np.asarray(self.part.weights[targets, sources], np.float64).ravel() if len(targets) else np.zeros(0)
        return np.where(values == 0, np.nan, values)

    def _shortest(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        there, back = (np.where(s < 0, np.inf, s) for s in (self.steps[j, i], self.steps[i, j]))
        least = np.minimum(there, back)
        return np.where(np.isfinite(least), least, np.nan)

    def _remarks(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> list[str]:
        words = {0: "", 1: "single input of the first", 2: "single input of the second"}
        single = self.single_input(i, j)
        junction = np.asarray(self.part.junctions[j, i]).ravel() != 0 if len(i) else np.zeros(0, bool)
        return [
            "; ".join(filter(None, [words[int(s)], "gap junction" if g else ""])) for s, g in zip(single, junction)
        ]


def measure(
    network: Any, recording: Any, comparison: Comparison | None = None, *, classes: Sequence[str] = (),
    window: float = 100.0, most: int = MAX_COMPARED,
) -> Measured:  # fmt: skip
    """Measure a `Recording` of a `Network`: what `page` shows and the tables hold.

    window: ms, of the spike counts that are correlated; classes: those shown first; most: neurons whose pairs are
    compared. Raises ValueError for a window that is not positive, and for a recording shorter than twenty windows.

    >>> net = rv.Network()
    >>> source = net.add(rv.Poisson(50.0), 3)
    >>> recording = rv.simulate(net, 3000.0, dt=1.0, engine="torch")
    >>> measured = rv.report.measure(net, recording)
    >>> measured.whole, measured.inputs.tolist()
    (True, [0, 0, 0])
    """
    positive(window, "window", "ms")
    wiring = wiring_of(network, classes)
    few = wiring.sample(most)
    return Measured(wiring, activity_of(recording, window, neurons=few), few, distances(wiring, few), comparison)


def _partners(wiring: WiringSummary, axis: int) -> NDArray[np.int64]:
    """(N,) how many neurons are connected to a neuron: those it receives from (axis 1), or that it reaches (0)."""
    both = ((wiring.weights != 0) + (wiring.junctions != 0)).astype(np.int64)
    return np.asarray(both.sum(axis=axis)).ravel()


__all__ = ["EFFECTS", "MAX_COMPARED", "PAIRS_ON_A_PAGE", "Measured", "measure"]
