"""Worlds on graphs: a rectangle of places, each with a stimulus, and walks through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ranvier._checks import count, instance, number, reals, whole

#: (row, column) of a step north, east, south, west
STEPS = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1]])


class Walk(NamedTuple):
    """observations (T, B), actions (T, B), places (T, B), int64: action t leads from place t to place t + 1.

    >>> walk = rv.worlds.GridWorld(4, 4).walk(6, 2)
    >>> tuple(walk.observations.shape), bool((walk.places >= 0).all())
    ((6, 2), True)
    """

    observations: Tensor
    actions: Tensor
    places: Tensor


@dataclass(frozen=True)
class GridWorld:
    """height × width places, joined to their neighbours north, east, south and west (actions 0 to 3).

    Each environment gives every place one of `stimuli` stimuli, drawn uniformly with replacement: environments share
    their structure and nothing else (Whittington et al. 2020). On a `torus` opposite borders are joined.

    >>> from ranvier.worlds import GridWorld
    >>> walk = GridWorld(4, 4).walk(10, batch=2, generator=torch.Generator().manual_seed(0))
    >>> walk.places.shape, int(walk.places.max()) < 16
    (torch.Size([10, 2]), True)
    """

    height: int
    width: int
    stimuli: int = 45
    torus: bool = False

    def __post_init__(self) -> None:
        for name, low in (("height", 1), ("width", 1), ("stimuli", 2)):
            count(getattr(self, name), name, low)
        if self.height * self.width < 2:
            raise ValueError("height × width is 1 place; expected two at least, or there is nowhere to go")

    @property
    def places(self) -> int:
        """Number of places; place r·width + c is in row r and column c."""
        return self.height * self.width

    def walk(
        self,
        steps: int,
        batch: int,
        *,
        straight: float = 2.0,
        start: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Walk:
        """Random walks of `steps` places, each through an environment of its own.

        A step goes to a neighbour, with `straight` times the others' chance the same way as the last one.
        start: first places (batch,), drawn where it is None. generator: torch's global one where it is None.
        """
        steps, batch = count(steps, "steps", 1), count(batch, "batch", 1)
        straight = number(straight, "straight")
        if straight <= 0:
            raise ValueError(f"straight is {straight}; expected a factor above 0")
        here = torch.randint(0, self.places, (batch,), generator=generator) if start is None else start
        if here.shape != (batch,) or int(here.min()) < 0 or int(here.max()) >= self.places:
            raise ValueError(f"start is {start}; expected {batch} places from 0 to {self.places - 1}")
        last = torch.randint(0, 4, (batch,), generator=generator)
        targets = self._targets()
        places, actions = [], []
        for _ in range(steps):
            chances = (targets[here] >= 0) * (1.0 + (straight - 1) * one_hot(last, 4))
            last = torch.multinomial(chances, 1, generator=generator)[:, 0]
            places.append(here)
            actions.append(last)
            here = targets[here, last]
        return self.furnished(torch.stack(places), torch.stack(actions), generator=generator)

    def furnished(self, places: Tensor, actions: Tensor, *, generator: torch.Generator | None = None) -> Walk:
        """Walks (T, B) through new environments: each column's places get stimuli of their own."""
        whole(places, "places", "(T, B)", 2, self.places), whole(actions, "actions", "(T, B)", 2, 4)
        if places.shape != actions.shape:
            raise ValueError(
                f"places and actions have shapes {tuple(places.shape)} and {tuple(actions.shape)}; expected one"
            )
        stimuli = torch.randint(0, self.stimuli, (places.shape[1], self.places), generator=generator)
        return Walk(stimuli.gather(1, places.T).T.contiguous(), actions, places)

    def along(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Places (T,) and actions (T,) of an animal's path, positions (N, 2), x to the east and y to the north.

        The path's bounding box is cut into the world's places, in equal shares; samples in one place count once, and
        a move to no neighbour goes there row first. The last action is 0, and leads nowhere.
        Raises ValueError for positions of another shape, NaN, and a path along a line.
        """
        xy = reals(positions, "positions")
        if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) < 2:
            raise ValueError(f"positions has shape {xy.shape}; expected at least two rows (N, 2)")
        if not np.isfinite(xy).all():
            raise ValueError("positions holds NaN or infinity; expected finite numbers: leave those samples out")
        low, span = xy.min(0), np.ptp(xy, axis=0)
        if not (span > 0).all():
            raise ValueError(f"positions span {span.tolist()}; expected a path with an extent in both directions")
        share = np.clip((xy - low) / span, 0, 1 - 1e-9)
        rows, columns = ((1 - 1e-9 - share[:, 1]) * self.height).astype(int), (share[:, 0] * self.width).astype(int)
        places, actions = [int(rows[0]) * self.width + int(columns[0])], []
        r, c = int(rows[0]), int(columns[0])
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            while (r, c) != (row, column):
                action = (2 if row > r else 0) if row != r else (1 if column > c else 3)
                r, c = r + int(STEPS[action, 0]), c + int(STEPS[action, 1])
                actions.append(action)
                places.append(r * self.width + c)
        return torch.tensor(places), torch.tensor([*actions, 0])

    def _targets(self) -> Tensor:
        """Where each action leads from each place (places, 4); −1 where there is a wall."""
        place = torch.arange(self.places)
        row, column = (torch.stack([place // self.width, place % self.width])[:, :, None] + STEPS.T[:, None]).unbind(0)
        if self.torus:
            return row % self.height * self.width + column % self.width
        inside = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        return torch.where(inside, row * self.width + column, -1)


class Walks:
    """A loader for `rv.fit`: `batches` batches (observations, actions), new environments and walks every time.

    They are drawn from torch's global random numbers, which `fit` keeps in its checkpoints.

    >>> observations, actions = next(iter(rv.worlds.Walks(rv.worlds.GridWorld(4, 4), steps=6, batch=2, batches=1)))
    >>> observations.shape, actions.shape
    (torch.Size([6, 2]), torch.Size([6, 2]))
    """

    def __init__(self, world: GridWorld, steps: int, batch: int, batches: int, *, straight: float = 2.0):
        self.world, self.steps, self.batch = world, count(steps, "steps", 2), count(batch, "batch", 1)
        self.batches, self.straight = count(batches, "batches", 1), straight

    def __len__(self) -> int:
        return self.batches

    def __iter__(self):  # type: ignore[no-untyped-def]
        for _ in range(self.batches):
            walk = self.world.walk(self.steps, self.batch, straight=self.straight)
            yield walk.observations, walk.actions


def novelty(walk: Walk) -> tuple[Tensor, Tensor]:
    """(T, B) each: whether a place was visited earlier, and whether, besides, the edge to it was not used before.

    Observations at the second kind can be known by inference only: the place is known, the way to it is new, in both
    directions (Whittington et al. 2020).

    >>> places, rest = torch.tensor([[0], [1], [0], [1]]), torch.zeros(4, 1, dtype=torch.int64)
    >>> visited, inferable = rv.worlds.novelty(rv.worlds.Walk(rest, rest, places))
    >>> visited[:, 0].tolist(), inferable[:, 0].tolist()  # back and forth on one edge
    ([False, False, True, True], [False, False, False, False])
    """
    instance(walk, Walk, "walk", "a Walk, as GridWorld.walk makes it")
    places = walk.places
    visited = _earlier(places)
    edges = torch.minimum(places[1:], places[:-1]) * (int(places.max()) + 1) + torch.maximum(places[1:], places[:-1])
    fresh = torch.zeros_like(visited)
    fresh[1:] = ~_earlier(edges)
    return visited, visited & fresh


def _earlier(values: Tensor) -> Tensor:
    """Whether each value (T, B) was there before in its column."""
    result = torch.zeros(values.shape, dtype=torch.bool)
    for column, target in zip(values.T.tolist(), result.T, strict=True):
        known: set[int] = set()
        for t, value in enumerate(column):
            target[t] = value in known
            known.add(value)
    return result


__all__ = ["GridWorld", "Walk", "Walks", "novelty"]
