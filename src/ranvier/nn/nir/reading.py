"""Layers from NIR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ranvier.networks import nir_files
from ranvier.nn.nir._graph import Chain, flat, refuse_from, rows
from ranvier.nn.nir._modules import filled, read_module
from ranvier.nn.nir._neurons import Way, read_layer, read_values
from ranvier.nn.nir._time import Array, Clock, neurons, rescale_biases
from ranvier.nn.sequential import Sequential

_RESETS = ("zero", "subtract", "delayed")


def from_nir(
    graph: Any,
    dt: float = 0.1,
    *,
    decay: str = "euler",
    reset: str | None = None,
    dtype: torch.dtype | None = None,
) -> Sequential:
    """The model that a `nir.NIRGraph` describes, a `Sequential`; `to_nir` says what becomes what.

    A `Linear` right before neurons becomes their own. What r makes of a spike's weight goes into the thresholds, or,
    before `LI`, into the weights; v_leak, where it is v_reset, too. Weights are learned further, time constants and
    thresholds are not (as of a `LIF` made without `learn`).

    Parameters
    ----------
    graph : nodes in a row, from one `Input` to one `Output`, but for neurons that feed back to themselves, with or
        without a subgraph of their own (as snnTorch writes them).
    dt : ms, one step; that of snnTorch is 0.1.
    decay : "euler" or "exponential", as of `to_nir`.
    reset : what became of NIR's reset to v_reset: None, what `to_nir` noted, or else "zero". Files that snnTorch wrote
        say the same of layers that subtract: give "delayed" for Leaky, Synaptic and RLeaky as they come, "subtract" for
        those with reset_delay=False, which are the same as long as no potential passes twice the threshold.
    dtype : of the model; default torch's.

    Raises TypeError for other objects, and ValueError, by name, for branches and other nodes, v_reset other than
    v_leak, delays that are no whole number of steps, time constants too short for Euler's method.
    """
    if reset not in (None, *_RESETS):
        raise ValueError(f"found reset = {reset!r}, expected None or one of {', '.join(_RESETS)}")
    clock = Clock.of(dt, decay)
    nir_files.require_graph(graph)
    chain, loops = rows(*flat(graph))
    with torch.random.fork_rng(devices=[]):  # layers draw weights that are replaced at once
        return Sequential(*_modules(chain, loops, clock, reset, dtype or torch.get_default_dtype()))


def read_nir(path: str | Path, dt: float = 0.1, **options: Any) -> Sequential:
    """Read a NIR file; see `from_nir`. FileNotFoundError without one, ValueError for what is none."""
    return from_nir(nir_files.read_graph(path), dt, **options)


def _modules(
    chain: Chain, loops: dict[str, Chain], clock: Clock, reset: str | None, dtype: torch.dtype
) -> Iterator[nn.Module]:
    import nir

    ways = {name: Way(name, loop, clock) for name, loop in loops.items()}
    for k, (name, _) in enumerate(chain):
        if name in ways and ways[name].bias is not None:
            before, previous = chain[k - 1] if k else ("", None)
            if not isinstance(previous, nir.Linear | nir.Affine):
                refuse_from(f"the bias on the way of {name!r} back to itself, without weights before it")
            bias = ways[name].bias + np.asarray(getattr(previous, "bias", 0.0))
            chain[k - 1] = before, nir.Affine(weight=previous.weight, bias=bias)
    for name, node in chain:
        if isinstance(node, neurons()):
            read_values(name, node)
    biases = rescale_biases(clock, chain, "from", refuse_from)
    waiting: tuple[Array, Array | None] | None = None
    for k, (name, node) in enumerate(chain):
        if isinstance(node, nir.Linear | nir.Affine):
            weight = np.asarray(node.weight)
            if weight.ndim != 2:
                refuse_from(f"the weights {name!r} of shape {weight.shape}")
            following = chain[k + 1][1] if k + 1 < len(chain) else None
            if isinstance(following, neurons()):
                waiting = weight, biases.get(name)
                continue
            linear = nn.Linear(weight.shape[1], weight.shape[0], bias=name in biases, dtype=dtype)
            yield filled(name, linear, weight, biases.get(name))
        elif isinstance(node, neurons()):
            yield read_layer(name, node, waiting, ways.get(name), clock, reset, dtype)
            waiting = None
        else:
            yield read_module(name, node, biases.get(name), clock, dtype)


__all__ = ["from_nir", "read_nir"]
