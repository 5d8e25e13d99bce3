"""Three tasks of cognitive neuroscience, as neurogym 0.0.2 defines them, in eight steps of 100 ms."""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
from torch import Generator, Tensor

STEPS = 8
NOISE = 0.1  # standard deviation of the stimuli in a step: 1/√(100 ms)
#: (x (T, B, inputs), labels (B, T)) of a batch; label 0 is to fixate, 1 and 2 are the choices of the last step
Batch = tuple[Tensor, Tensor]


def _ring(choice: Tensor, strength: Tensor) -> Tensor:
    """Inputs of two directions, 0 and π, for the stimulus of one of them: (B, 2)."""
    angles = torch.tensor([0.0, pi])
    return 0.5 + 0.5 * strength[:, None] * torch.cos(angles - choice[:, None] * pi)


def _choices(batch: int, generator: Generator) -> Tensor:
    return torch.randint(2, (batch,), generator=generator)


def _coherence(levels: list[float], batch: int, generator: Generator) -> Tensor:
    return torch.tensor(levels)[torch.randint(len(levels), (batch,), generator=generator)] / 100


def _trial(batch: int, inputs: int, answer: Tensor) -> Batch:
    """Fixation (input 0) until the last step, in which the answer is due."""
    x, labels = torch.zeros(STEPS, batch, inputs), torch.zeros(batch, STEPS, dtype=torch.int64)
    x[:-1, :, 0] = 1.0
    labels[:, -1] = 1 + answer
    return x, labels


def _noise(x: Tensor, generator: Generator) -> Tensor:
    return NOISE * torch.randn(x.shape, generator=generator)


def two_alternatives(batch: int, generator: Generator) -> Batch:
    """2AF: which of two noisy stimuli is the stronger, shown for seven steps."""
    answer = _choices(batch, generator)
    x, labels = _trial(batch, 3, answer)
    x[:-1, :, 1:] = _ring(answer, _coherence([0.0, 6.4, 12.8, 25.6, 51.2], batch, generator))
    x[:-1, :, 1:] += _noise(x[:-1, :, 1:], generator)
    return x, labels


def delayed_match(batch: int, generator: Generator) -> Batch:
    """DMS: is the test, five steps after the sample, the same one."""
    sample, match = _choices(batch, generator), _choices(batch, generator)
    x, labels = _trial(batch, 3, match)
    full = torch.ones(batch)
    x[0, :, 1:], x[6, :, 1:] = _ring(sample, full), _ring((sample + match + 1) % 2, full)
    x[[0, 6], :, 1:] += _noise(x[[0, 6], :, 1:], generator)
    return x, labels


def context(batch: int, generator: Generator) -> Batch:
    """CXT: of two modalities shown for two steps, which choice does the one that the context names support, five steps
    later."""
    cue, pair = _choices(batch, generator), (_choices(batch, generator), _choices(batch, generator))
    x, labels = _trial(batch, 7, torch.where(cue == 0, *pair))
    x[:-1, :, 5:] = torch.nn.functional.one_hot(cue, 2)
    for k, choice in enumerate(pair):
        place = slice(1 + 2 * k, 3 + 2 * k)
        x[:2, :, place] = _ring(choice, _coherence([5.0, 15.0, 50.0], batch, generator))
    x[:2, :, 1:5] += _noise(x[:2, :, 1:5], generator)
    return x, labels


#: by the paper's names: inputs, and what draws a batch
TASKS: dict[str, tuple[int, Callable[[int, Generator], Batch]]] = {
    "2AF": (3, two_alternatives), "DMS": (3, delayed_match), "CXT": (7, context),
}  # fmt: skip
