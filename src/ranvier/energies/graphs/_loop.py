"""Graphs of dense synapses as arrays, for loops over all steps at once: no Python and no call of torch in a step.

Batches go to `_lanes`, a few entries of a small graph to the loop here, one entry after another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ranvier.codegen.compilation import compiled
from ranvier.energies._energy import Clamp
from ranvier.energies.graphs import _lanes
from ranvier.energies.graphs._lanes import IDENTITY, LAYERNORM, RELU, SIGMOID, SOFTMAX, TANH
from ranvier.energies.graphs.lagrangians import Identity, Lagrangian, LayerNorm, ReLU, Sigmoid, Softmax, Spherical, Tanh
from ranvier.energies.graphs.synapses import Bias, Dense

if TYPE_CHECKING:
    from ranvier.energies.graphs.graph import EnergyGraph

#: weights up to which one entry at a time is quicker than torch
LARGEST = 1 << 14
#: entries from which vectors of entries pay, although the last block may not be full
LEAST_BATCH = 8

_KINDS: list[type[Lagrangian]] = [Identity, ReLU, Tanh, Sigmoid, Softmax, LayerNorm, Spherical]  # as `_lanes` counts


@dataclass(frozen=True)
class GraphArrays:
    """A graph as arrays: layers' ends, rows, kinds and constants; synapses' layers, sizes and weights."""

    ends: np.ndarray  # (layers + 1,)
    rows: np.ndarray  # (layers,): length of the last axis
    kinds: np.ndarray
    constants: np.ndarray  # (layers, 3)
    joined: np.ndarray  # (synapses, 2): starts of the two layers
    sizes: np.ndarray  # (synapses, 2)
    weights: list[Dense]
    biases: list[tuple[slice, Bias]]


def arrays(graph: EnergyGraph) -> GraphArrays | None:
    """How the loop sees a graph, or None if it holds anything else."""
    layers = list(graph.neurons.values())
    if any(type(layer.lagrangian) not in _KINDS for layer in layers):
        return None
    weights, biases, joined, sizes = [], [], [], []
    for names, synapse in graph.connections:
        where = [graph.layout.slices[name] for name in names]
        if type(synapse) is Dense:
            weights.append(synapse)
            joined.append([where[0].start, where[1].start])
            sizes.append(list(synapse.weight.shape))
        elif type(synapse) is Bias:
            biases.append((where[0], synapse))
        else:
            return None
    stops = [where.stop for where in graph.layout.slices.values()]
    return GraphArrays(
        np.array([0, *stops]), np.array([layer.shape[-1] for layer in layers]),
        np.array([_KINDS.index(type(layer.lagrangian)) for layer in layers]),
        np.array([_constants(layer.lagrangian) for layer in layers]),
        np.array(joined, np.int64).reshape(-1, 2), np.array(sizes, np.int64).reshape(-1, 2), weights, biases,
    )  # fmt: skip


def run(
    graph: GraphArrays, x: Tensor, steps: int, width: float, speed: Tensor | None, clamp: Clamp | None,
    field: Tensor | None,
) -> Tensor | None:  # fmt: skip
    """x (B, N) after that many steps of `Fixed(width)`, or None where torch is quicker."""
    if len(x) < LEAST_BATCH and int(graph.sizes.prod(1).sum()) > LARGEST:
        return None
    x = (x if clamp is None else clamp(x)).detach().clone(memory_format=torch.contiguous_format)
    real = x.numpy().dtype
    bias = np.zeros((len(x) if field is not None and field.ndim == 2 else 1, x.shape[1]), real)
    for where, synapse in graph.biases:
        bias[:, where] += synapse.value.detach().reshape(-1).numpy()
    if field is not None:
        bias += field.detach().numpy()
    flat = [w.weight.detach().reshape(-1).numpy() for w in graph.weights]
    weights = flat[0] if len(flat) == 1 else np.concatenate([np.zeros(0, real), *flat])
    step = np.full((1, x.shape[1]), width, real)
    if speed is not None:
        step *= speed.numpy()
    if clamp is not None:
        step = np.where(clamp.mask.numpy(), real.type(0), step)
    step = step.reshape(-1, x.shape[1])
    shape = (graph.ends, graph.rows, graph.kinds, graph.constants.astype(real), graph.joined, graph.sizes)
    if len(x) < LEAST_BATCH:
        _run(x.numpy(), steps, step, bias, weights, *shape)
        return x
    turned = [np.ascontiguousarray(w.weight.detach().numpy().T).reshape(-1) for w in graph.weights]
    back = np.concatenate([np.zeros(0, real), *turned])
    state = _lanes.blocks(x.numpy())
    _lanes.run(state, steps, _by_block(step), _by_block(bias), weights, back, *shape)
    return torch.from_numpy(_lanes.entries(state, len(x)))


def _by_block(values: np.ndarray) -> np.ndarray:
    """(1, N) or (B, N) -> (1 or blocks, N, LANES)."""
    return _lanes.blocks(np.broadcast_to(values, (_lanes.LANES, values.shape[1])) if len(values) == 1 else values)


def _constants(lagrangian: Lagrangian) -> list[float]:
    match lagrangian:
        case Tanh() | Sigmoid() | Softmax():
            return [lagrangian.beta, 0.0, 0.0]
        case ReLU():
            return [lagrangian.n, 0.0, 0.0]
        case LayerNorm():
            return [lagrangian.gamma, lagrangian.delta, lagrangian.eps]
        case Spherical():
            return [lagrangian.gamma, 0.0, lagrangian.eps]
        case _:
            return [0.0, 0.0, 0.0]


@compiled(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _activate(x, y, kind, c):
    """y of one row of a layer."""
    n, one = len(x), x.dtype.type(1)
    if kind == IDENTITY:
        for i in range(n):
            y[i] = x[i]
    elif kind == RELU:
        for i in range(n):
            y[i] = max(x[i], one - one)
        if c[0] != 2:
            for i in range(n):
                y[i] = y[i] ** (c[0] - one)
    elif kind == TANH:
        for i in range(n):
            y[i] = math.tanh(c[0] * x[i])
    elif kind == SIGMOID:
        for i in range(n):
            z = math.exp(-abs(c[0] * x[i]))
            y[i] = (one if x[i] >= 0 else z) / (one + z)
    elif kind == SOFTMAX:
        top, total = x[0], one - one
        for i in range(n):
            top = max(top, x[i])
        for i in range(n):
            y[i] = math.exp(c[0] * (x[i] - top))
            total += y[i]
        for i in range(n):
            y[i] /= total
    else:
        mean, square = one - one, one - one
        if kind == LAYERNORM:
            for i in range(n):
                mean += x[i]
            mean /= n
        for i in range(n):
            square += (x[i] - mean) * (x[i] - mean)
        scale = c[0] / math.sqrt((square / n if kind == LAYERNORM else square) + c[2])
        for i in range(n):
            y[i] = (x[i] - mean) * scale + c[1]


@compiled(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _run(X, steps, width, bias, weights, ends, rows, kinds, constants, joined, sizes):
    y, pull = np.empty_like(X[0]), np.empty_like(X[0])
    for b in range(len(X)):
        x, step, drive = X[b], width[min(b, len(width) - 1)], bias[min(b, len(bias) - 1)]
        for _ in range(steps):
            for k in range(len(kinds)):
                for lo in range(ends[k], ends[k + 1], rows[k]):
                    _activate(x[lo : lo + rows[k]], y[lo : lo + rows[k]], kinds[k], constants[k])
            for i in range(len(x)):
                pull[i] = drive[i]
            at = 0
            for s in range(len(joined)):
                n, m = sizes[s, 0], sizes[s, 1]
                y_b, pull_b = y[joined[s, 1] : joined[s, 1] + m], pull[joined[s, 1] : joined[s, 1] + m]
                for i in range(n):
                    row, y_i = weights[at : at + m], y[joined[s, 0] + i]
                    total = y_i - y_i
                    for j in range(m):
                        total += row[j] * y_b[j]
                    for j in range(m):
                        pull_b[j] += y_i * row[j]
                    pull[joined[s, 0] + i] += total
                    at += m
            for i in range(len(x)):
                x[i] += step[i] * (pull[i] - x[i])


__all__ = ["LARGEST", "GraphArrays", "arrays", "run"]
