"""Sequences learned by neurons with active dendrites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state
from ranvier.nn.dendrites.segments import ActiveDendrites


@dataclass(frozen=True)
class SequenceState:
    """State of a `SequenceMemory`, cells by column · cells + cell: `active`, `winners` and `predicted` (cells,) bool;
    `matches`, `near` (segments,): active synapses of each segment, connected ones and all."""

    active: np.ndarray
    winners: np.ndarray
    predicted: np.ndarray
    matches: np.ndarray
    near: np.ndarray


class SequenceMemory:
    """Associative memory of sequences of sparse patterns (Hawkins & Ahmad 2016, "Why neurons have thousands of
    synapses").

    A column's cells share their feedforward input; each has dendritic segments with synapses from cells that were
    active the step before. A segment with `threshold` active connected synapses predicts its cell. In a column that
    comes active the predicted cells alone fire; if there are none all do: the column bursts. So one input has another
    code in every context, and sequences that share elements stay apart.

    Learning is local. A segment that predicted its cell rightly: synapses from active cells gain `gain` of permanence,
    others lose `loss`, and it grows new ones, to `sample` active, from cells that won the step before. In a bursting
    column the best near match (`near` active synapses, connected or not) learns so; without one, the cell
    with fewest segments grows a segment. A segment that predicted wrongly loses `wrong` at its active synapses.
    A synapse is connected from permanence `connected` on; with `initial` at or above it once is enough.

    Learning is of one sequence at a time, for the next has to meet what the last one taught; several can take turns,
    each with its own state. What has been learned is read in batches by `recall`.

    Parameters: columns; cells of a column; the above; synapses, the most a segment has; seed, of ties and samples.
    Raises ValueError for numbers that are not positive, or not near <= threshold <= sample <= synapses.

    >>> memory = rv.nn.SequenceMemory(columns=30, cells=4, threshold=3, near=2, sample=5, synapses=8)
    >>> first, second = np.arange(5), np.arange(10, 15)
    >>> for _ in range(3):  # first, then second
    ...     _ = memory.step(memory.step(memory.init_state(), first), second)
    >>> state = memory.step(memory.init_state(), first, learn=False)
    >>> memory.predicted_columns(state).tolist()
    [10, 11, 12, 13, 14]
    """

    def __init__(
        self,
        columns: int,
        cells: int = 16,
        *,
        threshold: int = 12,
        near: int = 8,
        sample: int = 20,
        synapses: int = 40,
        permanence: tuple[float, float] = (0.5, 0.5),
        gain: float = 0.1,
        loss: float = 0.05,
        wrong: float = 0.01,
        seed: int = 0,
    ) -> None:
        if columns < 1 or cells < 1:
            raise ValueError(f"there are {columns} columns of {cells} cells; expected positive whole numbers")
        if not 1 <= near <= threshold <= sample <= synapses:
            raise ValueError(f"near is {near}, threshold is {threshold}, sample is {sample}, synapses is {synapses}; "
                             "expected them positive and in rising order")  # fmt: skip
        self.columns, self.cells, self.threshold, self.near = columns, cells, threshold, near
        self.sample, self.synapses, self.gain, self.loss, self.wrong = sample, synapses, gain, loss, wrong
        self.initial, self.connected = permanence
        self._rng = np.random.default_rng(seed)
        self._source = np.full((64, synapses), -1, np.int64)
        self._permanence = np.zeros((64, synapses))
        self._owner = np.zeros(64, np.int64)
        self._used = 0

    @property
    def segments(self) -> int:
        """Number of segments grown so far."""
        return self._used

    def init_state(self) -> SequenceState:
        """A sequence begins: nothing is active or predicted."""
        return self._predict(*(np.zeros(self.columns * self.cells, bool) for _ in range(2)))

    def step(self, state: SequenceState, columns: np.ndarray, *, learn: bool = True) -> SequenceState:
        """The state after an input that activates `columns` (n,), indices; segments learn unless learn=False.

        Raises ValueError for a column that there is not.
        """
        columns = np.unique(np.asarray(columns, np.int64))
        if columns.size and not (columns[0] >= 0 and columns[-1] < self.columns):
            raise ValueError(f"there are columns {columns[0]} to {columns[-1]}; expected 0 to {self.columns - 1}")
        predicted = state.predicted.reshape(self.columns, self.cells)
        active = np.zeros_like(predicted)
        was_predicted = predicted[columns].any(1)
        active[columns] = np.where(was_predicted[:, None], predicted[columns], True)
        winners = np.zeros_like(predicted)
        winners[columns[was_predicted]] = predicted[columns[was_predicted]]
        if learn:
            spoke = np.flatnonzero(state.matches >= self.threshold)
            right = np.isin(self._owner[spoke] // self.cells, columns)
            for segment in spoke[right]:
                self._adapt(segment, state)
            self._punish(spoke[~right], state)
        fits = np.flatnonzero(state.near >= self.near)
        homes = self._owner[fits] // self.cells
        load = np.bincount(self._owner[: self._used], minlength=self.columns * self.cells)
        for column in columns[~was_predicted]:
            winners[column, self._winner(column, fits[homes == column], load, state, learn)] = True
        return self._predict(active.ravel(), winners.ravel())

    def predicted_columns(self, state: SequenceState) -> np.ndarray:
        """Columns with a predicted cell, as indices (n,), ascending."""
        return np.flatnonzero(state.predicted.reshape(self.columns, self.cells).any(1))

    def dendrites(self, **options: object) -> ActiveDendrites:
        """What has been learned, as a `Cell` from active cells to predicted ones, connected synapses only."""
        rows = self._permanence[: self._used] >= self.connected
        source = np.where(rows, self._source[: self._used], -1)
        size = self.columns * self.cells
        owner = torch.from_numpy(self._owner[: self._used].copy())
        return ActiveDendrites(
            size, size, torch.from_numpy(source), owner, threshold=float(self.threshold), **options  # type: ignore
        )

    def recall(self) -> SequenceRecall:
        """What has been learned so far, as a `Cell` from columns to the columns predicted, for batches."""
        return SequenceRecall(self.columns, self.cells, self.dendrites())

    def _predict(self, active: np.ndarray, winners: np.ndarray) -> SequenceState:
        source = self._source[: self._used]
        on = active[source] & (source >= 0)
        matches = (on & (self._permanence[: self._used] >= self.connected)).sum(1)
        predicted = np.zeros_like(active)
        predicted[self._owner[: self._used][matches >= self.threshold]] = True
        return SequenceState(active, winners, predicted, matches, on.sum(1))

    def _adapt(self, segment: int, before: SequenceState) -> None:
        source, permanence = self._source[segment], self._permanence[segment]
        here = source >= 0
        on = before.active[source] & here
        permanence[:] = np.clip(permanence + np.where(on, self.gain, -self.loss), 0, 1) * here
        source[here & (permanence == 0)] = -1
        self._grow(segment, before, self.sample - int(on.sum()))

    def _punish(self, segments: np.ndarray, before: SequenceState) -> None:
        source = self._source[segments]
        on = before.active[source] & (source >= 0)
        lower = np.maximum(self._permanence[segments] - self.wrong * on, 0)
        self._permanence[segments] = lower
        self._source[segments] = np.where(lower > 0, source, -1)

    def _winner(self, column: int, fits: np.ndarray, load: np.ndarray, before: SequenceState, learn: bool) -> int:
        """The cell of a bursting column that comes to represent the input in this context."""
        if fits.size:
            segment = int(fits[before.near[fits].argmax()])
            if learn:
                self._adapt(segment, before)
            return int(self._owner[segment] % self.cells)
        counts = load[column * self.cells : (column + 1) * self.cells]
        cell = int(self._rng.choice(np.flatnonzero(counts == counts.min())))
        if learn and before.winners.sum() >= self.near:
            if self._used == len(self._owner):
                self._source = np.concatenate([self._source, np.full_like(self._source, -1)])
                self._permanence = np.concatenate([self._permanence, np.zeros_like(self._permanence)])
                self._owner = np.concatenate([self._owner, np.zeros_like(self._owner)])
            self._owner[self._used] = column * self.cells + cell
            self._used += 1
            self._grow(self._used - 1, before, self.sample)
        return cell

    def _grow(self, segment: int, before: SequenceState, count: int) -> None:
        source, permanence = self._source[segment], self._permanence[segment]
        new = np.setdiff1d(np.flatnonzero(before.winners), source)
        count = min(count, len(new))
        if count <= 0:
            return
        new = self._rng.choice(new, count, replace=False)
        free = np.argsort(np.where(source < 0, -1.0, permanence), kind="stable")[:count]  # the weakest make room
        source[free], permanence[free] = new, self.initial


class SequenceRecall(SequenceCell):
    """What a `SequenceMemory` had learned, as a `Cell`: in an active column the predicted cells fire, or all if there
    are none, and their dendrites predict what follows.

    `forward(x[T, B, columns], state=None) -> (y[T, B, columns], state)`: x is 1 for active columns, 0 for others; y
    for those predicted after it. The state is a dict of predicted (B, columns · cells). Its synapses are parameters.
    Raises ValueError for wrong sizes, and for input that is not finite.
    """

    FIXED = frozenset({"in_features", "cells"})

    def __init__(self, columns: int, cells: int, dendrites: ActiveDendrites) -> None:
        super().__init__()
        self.in_features, self.cells, self.dendrites = columns, cells, dendrites

    def init_state(self, batch: int) -> CellState:
        """A sequence begins: nothing is predicted."""
        return {"predicted": self.dendrites.weight.new_zeros(batch, self.in_features * self.cells)}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, columns) -> y (T, B, columns) and the state after the last step."""
        self._require_sequence(x, self.dendrites.weight)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"predicted": (x.shape[1], self.in_features * self.cells)}, self.dendrites.weight)
        predicted, outputs = state["predicted"].unflatten(1, (self.in_features, self.cells)), []
        for row in x.unbind(0):
            bursts = 1 - predicted.amax(2, keepdim=True)
            active = row[..., None] * torch.maximum(predicted, bursts)
            predicted = self.dendrites.recognised(active.flatten(1)).view_as(predicted)
            outputs.append(predicted.amax(2))
        return torch.stack(outputs), {"predicted": predicted.flatten(1)}


__all__ = ["SequenceMemory", "SequenceRecall", "SequenceState"]
