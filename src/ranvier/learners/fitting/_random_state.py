"""All random states that a training step may draw from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def generators(loader: Any) -> list[torch.Generator]:
    """Those of a DataLoader and its samplers, each once."""
    distinct: list[torch.Generator] = []
    places = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    places.append(getattr(places[-1], "sampler", None))
    for place in places:
        generator = getattr(place, "generator", None)
        if isinstance(generator, torch.Generator) and not any(generator is g for g in distinct):
            distinct.append(generator)
    return distinct


def random_state(loader: Any) -> dict[str, Any]:
    """Of torch (CPU and CUDA), NumPy's and Python's global generators, and the loader's own."""
    version, keys, gauss = random.getstate()
    name, words, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "loader": [g.get_state() for g in generators(loader)],
        "python": [version, torch.tensor(keys), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(words, np.int64)), position, has_gauss, cached],
    }


def set_random_state(state: dict[str, Any], loader: Any) -> None:
    """Take up a state of `random_state`."""
    own = generators(loader)
    if len(own) != len(state["loader"]):
        raise ValueError(
            f"there is a loader with {len(own)} generators; expected {len(state['loader'])} as in the checkpoint"
        )
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    for generator, value in zip(own, state["loader"], strict=True):
        generator.set_state(value)
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys.tolist()), gauss))
    name, words, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
