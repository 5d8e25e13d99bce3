"""What models of graphs are compared with, and how all of them are trained and judged."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss, one_hot

import ranvier as rv
from ranvier.worlds import TEM, GridWorld, TEMTransformer, Walk, Walks, WorldLearner, novelty


class SequenceLSTM(nn.Module):
    """An LSTM that reads each stimulus and action, and predicts the next stimulus."""

    def __init__(self, stimuli: int = 45, actions: int = 4, *, size: int = 64) -> None:
        super().__init__()
        self.stimuli, self.actions = stimuli, actions
        self.cell = nn.LSTM(stimuli + actions, size)
        self.readout = nn.Linear(size, stimuli)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Log-probabilities (T, B, stimuli), from what came before and the action."""
        x = torch.cat([one_hot(observations, self.stimuli), one_hot(actions, self.actions)], 2)[:-1].float()
        x = torch.cat([x.new_zeros(1, *x.shape[1:]), x])
        return self.readout(self.cell(x)[0]).log_softmax(2)

    def loss(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Mean negative log-probability of the observations."""
        return nll_loss(self(observations, actions).flatten(0, 1), observations.flatten())


RATES = {"tem": 1e-3, "lstm": 3e-3, "recurrent": 3e-3, "fixed": 3e-3}


@lru_cache(maxsize=16)
def trained(
    kind: str, side: int, steps: int, batch: int, updates: int, size: int, seed: int
) -> tuple[nn.Module, list[tuple[float, float]]]:
    """A model of graphs after `updates` updates, and (CPU seconds, accuracy of inference) on the way, ten times.

    kind : recurrent and fixed (TEM-t with such positions), tem, lstm.
    """
    torch.manual_seed(seed)
    if kind == "tem":
        model: Any = TEM(warmup=500, seed=seed)
    elif kind == "lstm":
        model = SequenceLSTM(size=2 * size)
    else:
        model = TEMTransformer(size=size, positions=kind, seed=seed)  # type: ignore[arg-type]
    world = GridWorld(side, side)
    learner = WorldLearner(model, torch.optim.Adam(model.parameters(), RATES[kind]), clip=1.0)
    course, spent = [], 0.0
    for part in range(10):
        begin = time.process_time()
        rv.fit(learner, Walks(world, steps, batch, max(1, updates // 10)), 1, progress=False)
        spent += time.process_time() - begin
        walk = world.walk(steps, 64, generator=torch.Generator().manual_seed(1000 + part))
        course.append((spent, accuracies(model, walk)["inferred"]))
    return model, course


def accuracies(model: nn.Module, walk: Walk) -> dict[str, float]:
    """Shares of right predictions: at places visited earlier, and of these where the way there is new."""
    visited, inferred = novelty(walk)
    with torch.no_grad():
        right = model(walk.observations, walk.actions).argmax(2) == walk.observations
    return {"visited": float(right[visited].float().mean()), "inferred": float(right[inferred].float().mean())}


def along_a_path(world: GridWorld, positions: np.ndarray, steps: int, seed: int) -> Walk:
    """A path cut into walks of `steps` places, each through an environment of its own."""
    places, actions = world.along(positions)
    n = len(places) // steps
    cut = (part[: n * steps].reshape(n, steps).T for part in (places, actions))
    return world.furnished(*cut, generator=torch.Generator().manual_seed(seed))
