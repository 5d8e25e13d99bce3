"""Moving scenes: an object with an identity and a place, among distractors and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ranvier._checks import count, floating, number, whole

#: where the blobs of an object lie, from its place (rows, columns): across, upright, two diagonals, a corner, a cross
SHAPES = torch.tensor([
    [[0.0, -2.0], [0.0, 0.0], [0.0, 2.0]], [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]],
    [[-1.5, -1.5], [0.0, 0.0], [1.5, 1.5]], [[-1.5, 1.5], [0.0, 0.0], [1.5, -1.5]],
])  # fmt: skip
WIDTH = 0.8  # of a blob, in pixels


class Scene(NamedTuple):
    """frames (T, B, side²), actions (T, B, 2), positions (T, B, 2) within [−1, 1], identities (B,).

    Action t leads from frame t to t + 1; the last leads nowhere.

    >>> scene = rv.worlds.MovingDots().sample(5, 2)
    >>> len(scene.frames), scene.actions.shape, bool(scene.positions.abs().max() <= 1)
    (5, torch.Size([5, 2, 2]), True)
    """

    frames: Tensor
    actions: Tensor
    positions: Tensor
    identities: Tensor


@dataclass(frozen=True)
class MovingDots:
    """An object of three blobs on side × side pixels, moved by actions, one of four shapes for a whole scene.

    A step goes `speed` times the action, within [−1, 1] a direction, as far as the borders ±1. `distractors` are
    single blobs of the object's brightness, and `noise` the upper end of uniform noise in every pixel; both are drawn
    again for each frame ("changing"), or once for each scene ("fixed": Sobal et al. 2022).

    >>> from ranvier.worlds import MovingDots
    >>> scene = MovingDots(side=10).sample(5, 3, generator=torch.Generator().manual_seed(0))
    >>> scene.frames.shape
    torch.Size([5, 3, 100])
    """

    side: int = 12
    distractors: int = 2
    noise: float = 0.5
    background: Literal["changing", "fixed"] = "changing"
    speed: float = 0.4
    shapes: int = 4

    def __post_init__(self) -> None:
        count(self.side, "side", 7)
        count(self.distractors, "distractors")
        if number(self.noise, "noise") < 0 or number(self.speed, "speed") <= 0:
            raise ValueError(f"noise is {self.noise}, speed is {self.speed}; expected 0 or more, and more than 0")
        if self.background not in ("changing", "fixed"):
            raise ValueError(f"background is {self.background!r}; expected 'changing' or 'fixed'")
        if not 1 <= count(self.shapes, "shapes", 1) <= len(SHAPES):
            raise ValueError(f"shapes is {self.shapes}; expected 1 to {len(SHAPES)}")

    def sample(self, steps: int, batch: int, *, generator: torch.Generator | None = None) -> Scene:
        """SceneBatches of random actions; float32, from `generator` or torch's global random numbers."""
        steps, batch = count(steps, "steps", 1), count(batch, "batch", 1)
        actions = 2 * torch.rand(steps, batch, 2, generator=generator) - 1
        here = 2 * torch.rand(batch, 2, generator=generator) - 1
        identities = torch.randint(0, self.shapes, (batch,), generator=generator)
        positions = []
        for action in actions:
            positions.append(here)
            here = self.move(here, action)
        places = torch.stack(positions)
        return Scene(self.frames(places, identities, generator=generator), actions, places, identities)

    def move(self, positions: Tensor, actions: Tensor) -> Tensor:
        """Positions (..., 2) a step later."""
        floating(positions, "positions", "(..., 2)", last=2), floating(actions, "actions", "(..., 2)", last=2)
        if positions.shape != actions.shape:
            raise ValueError(
                f"positions and actions have shapes {tuple(positions.shape)} and {tuple(actions.shape)}; expected one"
            )
        return (positions + self.speed * actions.clamp(-1, 1)).clamp(-1, 1)

    def frames(self, positions: Tensor, identities: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Pictures (T, B, side²) of objects (B,) at positions (T, B, 2), distractors and noise about them."""
        steps, batch = floating(positions, "positions", "(T, B, 2)", 3, last=2).shape[:2]
        whole(identities, "identities", "(B,)", 1, len(SHAPES))
        if len(identities) != batch:
            raise ValueError(f"there are {len(identities)} identities; expected one an object: {batch}")
        drawn = steps if self.background == "changing" else 1
        centre, reach = (self.side - 1) / 2, (self.side - 1) / 2 - 2
        blobs = (centre + reach * positions)[:, :, None] + SHAPES[identities]
        picture = self._blobs(blobs)
        if self.distractors:
            others = (self.side - 1) * torch.rand(drawn, batch, self.distractors, 2, generator=generator)
            picture = picture + self._blobs(others)
        return picture + self.noise * torch.rand(drawn, batch, self.side**2, generator=generator)

    def _blobs(self, places: Tensor) -> Tensor:
        """Blobs at places (T, B, n, 2), in pixels: (T, B, side²)."""
        pixels = torch.arange(self.side, dtype=places.dtype)
        rows, columns = (torch.exp(-((places[..., k, None] - pixels) ** 2) / (2 * WIDTH**2)) for k in (0, 1))
        return torch.einsum("tbnr,tbnc->tbrc", rows, columns).flatten(2)


class SceneBatches:
    """A loader for `rv.fit`: `batches` batches (frames, actions), new scenes every time, of torch's random numbers.

    >>> frames, actions = next(iter(rv.worlds.SceneBatches(rv.worlds.MovingDots(), steps=5, batch=2, batches=1)))
    >>> len(frames), actions.shape
    (5, torch.Size([5, 2, 2]))
    """

    def __init__(self, world: MovingDots, steps: int, batch: int, batches: int):
        self.world, self.steps = world, count(steps, "steps", 2)
        self.batch, self.batches = count(batch, "batch", 1), count(batches, "batches", 1)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Any:
        for _ in range(self.batches):
            scene = self.world.sample(self.steps, self.batch)
            yield scene.frames, scene.actions


__all__ = ["MovingDots", "Scene", "SceneBatches"]
