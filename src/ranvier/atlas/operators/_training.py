"""What the entries on operators train, and on what."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.operators import problems, relative_l2

#: where Darcy's permeabilities and pressures are of order one
MIDDLE, SPREAD, PRESSURE = 7.5, 4.5, 0.01


@lru_cache(maxsize=8)
def darcy(count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Media of two phases and their pressures, both of order one."""
    a, u = problems.darcy_examples(count, (size, size), seed=seed)
    return (a - MIDDLE) / SPREAD, u / PRESSURE


def train(make: Callable[[], nn.Module], data: tuple[Tensor, Tensor], epochs: int, seed: int) -> nn.Module:
    """A model after `epochs` epochs of Adam on the relative L2 error, one cycle of the learning rate."""
    torch.manual_seed(seed)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    loader = DataLoader(TensorDataset(*data), 8, shuffle=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * len(loader), pct_start=0.2)
    learner = rv.learners.BPTT(model, relative_l2, optimizer, accuracy=None)
    rv.fit(learner, loader, epochs, schedule=schedule, progress=False)
    return model.eval()


def error(model: nn.Module, data: tuple[Tensor, Tensor]) -> float:
    """The relative L2 error."""
    with torch.no_grad():
        return float(relative_l2(model(data[0]), data[1]))
