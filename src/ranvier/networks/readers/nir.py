"""Networks from NIR."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import positive
from ranvier.networks._network import Network
from ranvier.networks.nir_files import MS, read_graph, refuse, require_graph
from ranvier.networks.wiring import Edges

if TYPE_CHECKING:
    from ranvier.neurons import Poisson, SpikeTimes

__all__ = ["from_nir", "read_nir"]

MOST_WAYS = 10_000


def from_nir(
    graph: Any,
    *,
    pulse: float = 1000.0,
    delay: float = 0.1,
    seed: int = 0,
    inputs: Mapping[str, SpikeTimes | Poisson] | None = None,
) -> Network:
    """The network that a `nir.NIRGraph` describes; `to_nir` says what becomes what, and what `pulse` (ms) is.

    `delay` (ms) is that of connections without a `Delay`: NIR's arrive at once, which no stepped
    simulation can do. `inputs` are the sources of spikes in the places of `Input`s, by their names; the
    others are silent. Refractory periods and noise are 0. Raises ValueError, by name, for what a network
    here cannot hold: other nodes (I, IF, convolutions, pooling, thresholds, scales, subgraphs), shapes
    of more than one dimension, a synaptic time constant that differs within a node, a bias into a synaptic
    current.
    """
    import nir
    import torch

    from ranvier.neurons import Poisson, SpikeTimes

    pulse, delay = positive(pulse, "pulse", "ms"), positive(delay, "delay", "ms")
    require_graph(graph)
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        after[source].append(target)
    known = (
        nir.LIF,
        nir.CubaLIF,
        nir.LI,
        nir.CubaLI,
        nir.Linear,
        nir.Affine,
        nir.Delay,
        nir.Input,
        nir.Output,
    )
    for name, node in graph.nodes.items():
        if type(node) not in known:
            refuse("from", f"the node {name!r} of kind {type(node).__name__}")
    cells = {n: node for n, node in graph.nodes.items() if isinstance(node, known[:4])}
    paths, budget = [], _Budget()
    for name in _order(graph):
        node = graph.nodes[name]
        if isinstance(node, (*known[:4], nir.Input)):
            size = _size(name, node)
            paths += _follow(
                graph, after, cells, name, name, _Path(None, np.zeros(size), np.zeros(size)), (), budget
            )
    bias: dict[str, Any] = {}
    for path in paths:
        if path.bias is not None:
            bias[path.target] = bias.get(path.target, 0.0) + path.bias
    net = Network(seed=seed)
    sources = dict(inputs or {})
    for name, source in sources.items():
        if name not in graph.nodes or not isinstance(graph.nodes[name], nir.Input):
            names = ", ".join(repr(n) for n, node in graph.nodes.items() if isinstance(node, nir.Input))
            raise ValueError(f"Found {name!r} in inputs; expected names of Inputs: {names}.")
        if not isinstance(source, SpikeTimes | Poisson):
            raise TypeError(f"Found {type(source).__name__} for input {name!r}; expected SpikeTimes or Poisson.")
    fed = {path.source for path in paths if path.matrix is not None or path.source in {*cells, *sources}}
    for name in _order(graph):
        node = graph.nodes[name]
        if name in cells:
            _add(net, name, node, bias.get(name))
        elif isinstance(node, nir.Input) and name in fed:
            silent = SpikeTimes(torch.zeros(0), torch.zeros(0, dtype=torch.int64))
            net.add(sources.get(name, silent), _size(name, node), name)
    for path in paths:
        if path.source in fed:
            _connect(net, graph.nodes[path.target], path, pulse, delay)
    return net


def _order(graph: Any) -> list[str]:
    """The nodes' names in the order that `to_nir` noted; HDF5 sorts them."""
    try:
        noted = list(json.loads(graph.metadata["populations"]))
    except (KeyError, TypeError, ValueError):
        noted = []
    return sorted(graph.nodes, key=lambda name: noted.index(name) if name in noted else len(noted))


class _Path:
    """From a neuron's output to another's input: weights, delays (ms) of sources and of targets, bias."""

    def __init__(self, matrix: Any, before: Any, behind: Any, bias: Any = None) -> None:
        self.matrix, self.before, self.behind, self.bias = matrix, before, behind, bias
        self.source = self.target = ""


def _follow(
    graph: Any, after: Any, cells: Any, source: str, here: str, path: _Path, passed: tuple[str, ...], budget: _Budget
) -> list[_Path]:
    import nir

    paths: list[_Path] = []
    for name in after[here]:
        node = graph.nodes[name]
        if isinstance(node, nir.Output):
            continue
        if name in cells:
            end = _Path(path.matrix, path.before, path.behind, path.bias)
            end.source, end.target = source, name
            budget.take(source)
            if len(path.behind) != _size(name, node):
                raise ValueError(
                    f"{here!r} gives {len(path.behind)} values, {name!r} takes {_size(name, node)}."
                )
            paths.append(end)
            continue
        if name in passed or isinstance(node, nir.Input):
            refuse("from", f"the loop through {name!r} without a neuron in it")
        if isinstance(node, nir.Delay):
            ms = np.asarray(node.delay, np.float64) / MS
            if ms.shape != path.behind.shape:
                raise ValueError(f"The delay {name!r} has shape {ms.shape}; expected {path.behind.shape}.")
            if path.matrix is None:
                step = _Path(None, path.before + ms, path.behind, path.bias)
            else:
                step = _Path(path.matrix, path.before, path.behind + ms, path.bias)
        else:
            step = _weighted(name, node, path)
        budget.take(source)
        paths += _follow(graph, after, cells, source, name, step, (*passed, name), budget)
    return paths


class _Budget:
    """Ways from neuron to neuron through weights, which a graph in layers has without number."""

    def __init__(self) -> None:
        self.remaining = MOST_WAYS

    def take(self, source: str) -> None:
        self.remaining -= 1
        if self.remaining < 0:
            refuse("from", f"the more than {MOST_WAYS} ways through weights behind {source!r}", "Join them first.")


def _weighted(name: str, node: Any, path: _Path) -> _Path:
    weight = np.asarray(node.weight, np.float64)
    if weight.ndim != 2 or weight.shape[1] != len(path.behind):
        raise ValueError(
            f"The weights {name!r} have shape {weight.shape}; expected (targets, {len(path.behind)})."
        )
    if path.behind.any() and np.ptp(path.behind):
        refuse("from", f"the weights {name!r} behind delays that differ, behind other weights")
    bias = None if path.bias is None else weight @ path.bias
    if (own := getattr(node, "bias", None)) is not None and np.any(own):
        bias = np.asarray(own, np.float64) + (0.0 if bias is None else bias)
    behind = np.full(len(weight), path.behind[0] if len(path.behind) else 0.0)
    return _Path(weight if path.matrix is None else weight @ path.matrix, path.before, behind, bias)


def _size(name: str, node: Any) -> int:
    import nir

    shape = node.input_type["input"] if isinstance(node, nir.Input) else np.shape(node.v_leak)
    shape = tuple(int(x) for x in np.atleast_1d(shape))
    if len(shape) != 1:
        refuse("from", f"the node {name!r} of shape {shape}", "Flatten it first.")
    return shape[0]


def _add(net: Network, name: str, node: Any, bias: Any) -> None:
    import nir

    from ranvier.neurons import LIF, Graded

    current = isinstance(node, nir.CubaLIF | nir.CubaLI)
    drive = 0.0
    if bias is not None:
        if current:
            refuse("from", f"the bias into the synaptic current of {name!r}", "Move it to v_leak.")
        drive = _plain(np.asarray(node.r, np.float64) * bias)
    own = {"tau_m": _plain(node.tau_mem if current else node.tau, 1 / MS), "E_L": _plain(node.v_leak)}
    if isinstance(node, nir.LIF | nir.CubaLIF):
        model: Any = LIF(V_th=_plain(node.v_threshold), V_reset=_plain(node.v_reset), t_ref=0.0, **own)
    else:
        model = Graded(**own)
    net.add(model, _size(name, node), name, drive=drive)


def _plain(value: Any, scale: float = 1.0) -> Any:
    """A number where all are alike, else a tensor (size,)."""
    import torch

    array = np.atleast_1d(np.asarray(value, np.float64)) * scale
    return float(array[0]) if (array == array[0]).all() else torch.as_tensor(array)


def _connect(net: Network, node: Any, path: _Path, pulse: float, delay: float) -> None:
    import nir

    from ranvier.neurons import Graded
    from ranvier.synapses import Delta, Exponential

    source, target = net[path.source], net[path.target]
    if type(source.neuron) is Graded:
        refuse("from", f"the continuous output of {path.source!r} into {path.target!r}")
    matrix = np.eye(source.size) if path.matrix is None else path.matrix
    r = np.asarray(node.r, np.float64)
    if isinstance(node, nir.CubaLIF | nir.CubaLI):
        tau_syn = _plain(node.tau_syn, 1 / MS)
        if not isinstance(tau_syn, float):
            refuse("from", f"synaptic time constants that differ within {path.target!r}")
        synapse: Any = Exponential(tau=tau_syn)
        factor = r * np.asarray(node.w_in, np.float64) * pulse
    else:
        synapse = Delta()
        factor = r * pulse / (np.asarray(node.tau, np.float64) / MS)
    targets, sources = np.nonzero(matrix)
    weight = (factor[:, None] * matrix)[targets, sources]
    times = path.before[sources] + path.behind[targets]
    times = np.where(times > 0.0, times, delay)
    if len(times) == 0 or (times == times[0]).all():
        times = float(times[0]) if len(times) else delay
    net.connect(source, target, weight=weight, delay=times, synapse=synapse, wiring=Edges(sources, targets))


def read_nir(path: str | Path, *, type_check: bool = True, **options: Any) -> Network:
    """Read a NIR file; see `from_nir`. FileNotFoundError without one, ValueError for what is none.

    type_check: whether the shapes that nodes note must fit, as `nir.read` has it; some published files' do not.
    """
    return from_nir(read_graph(path, type_check=type_check), **options)
