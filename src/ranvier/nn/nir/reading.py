"""Layers from NIR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ranvier.networks.nir import files as nir_files
from ranvier.networks.nir.graph import flat
from ranvier.nn.graph import Graph
from ranvier.nn.nir._graph import Chain, live, refuse_from, row
from ranvier.nn.nir._modules import filled, read_module
from ranvier.nn.nir._neurons import LayerPath, read_layer, read_values
from ranvier.nn.nir._reach import require_reach
from ranvier.nn.nir._time import Array, Clock, neurons, rescale_biases
from ranvier.nn.sequential import Sequential

_RESETS = ("zero", "subtract", "delayed")


def from_nir(
    graph: Any,
    dt: float = 0.1,
    *,
    decay: str = "euler",
    pulse: float | None = None,
    reset: str | None = None,
    dtype: torch.dtype | None = None,
) -> Sequential | Graph:
    """The model that a `nir.NIRGraph` describes: a `Sequential` where its nodes stand in a row, else a `Graph`.

    `to_nir` says what becomes what. A `Linear` right before neurons becomes their own. What r makes of a spike's weight
    goes into the thresholds, or, of `LI`, into weights or a `Scale`; v_leak becomes a `Shift` behind `LI`. Neurons
    begin at v_leak. Weights are learned further, time constants and thresholds are not (as of a `LIF` made without
    `learn`). Branches, meetings and loops become a `Graph`, whose loops take a step; a row may have neurons that feed
    back to themselves, with or without their own subgraph (as snnTorch writes them).

    Parameters
    ----------
    dt : ms, one step; that of snnTorch is 0.1.
    decay : "euler" or "exponential", as of `to_nir`.
    pulse : ms that a spike lasts at height 1, as of `networks.from_nir`; a step by default. Files in which a spike adds
        its weight at r = 1, as of sinabs and of Norse's IF, mean a second: 1000.
    reset : what became of NIR's reset to v_reset: None, what `to_nir` noted, or else "zero". Files that snnTorch wrote
        say the same of layers that subtract: give "delayed" for Leaky, Synaptic and RLeaky as they come, "subtract" for
        those with reset_delay=False, which are the same as long as no potential passes twice the threshold.
    dtype : of the model; default torch's.

    Raises TypeError for other objects, and ValueError, by name, for other nodes, delays that are no whole number of
    steps, time constants too short for Euler's method, thresholds below where neurons rest or are reset; and, without
    `pulse`, for layers of which no neuron can ever reach its threshold. Warns of nodes that lead to no output.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> _ = torch.manual_seed(0)
    >>> model = rv.nn.Sequential(rv.nn.LIF(3, 2, reset="zero"))
    >>> again = rv.nn.from_nir(rv.nn.to_nir(model))
    >>> x = torch.rand(10, 1, 3)
    >>> torch.equal(model(x)[0], again(x)[0])
    True
    """
    if reset not in (None, *_RESETS):
        raise ValueError(f"reset is {reset!r}; expected None or one of {', '.join(_RESETS)}")
    reader = _Reader(Clock.of(dt, decay, pulse), reset, dtype or torch.get_default_dtype())
    nir_files.require_graph(graph)
    nodes, edges = live(*flat(graph))
    with torch.random.fork_rng(devices=[]):  # layers draw weights that are replaced at once
        simple = row(nodes, edges)
        model = reader.graph(nodes, edges) if simple is None else Sequential(*reader.chain(*simple))
    if pulse is None:
        require_reach(model, reader.clock)
    return model


def read_nir(path: str | Path, dt: float = 0.1, *, type_check: bool = True, **options: Any) -> Sequential | Graph:
    """Read a NIR file; see `from_nir`. FileNotFoundError without one, ValueError for what is none.

    type_check: whether the shapes that nodes note must fit, as `nir.read` has it; some published files' do not.

    Examples
    --------
    >>> import ranvier as rv
    >>> _ = torch.manual_seed(0)
    >>> model = rv.nn.Sequential(rv.nn.LIF(3, 2, reset="zero"))
    >>> file = rv.nn.write_nir(model, "layers.nir")
    >>> type(rv.nn.read_nir(file)).__name__
    'Sequential'
    """
    return from_nir(nir_files.read_graph(path, type_check=type_check), dt, **options)


class _Reader:
    """Nodes to modules, at one clock."""

    def __init__(self, clock: Clock, reset: str | None, dtype: torch.dtype) -> None:
        self.clock, self.reset, self.dtype = clock, reset, dtype

    def chain(self, chain: Chain, loops: dict[str, Chain]) -> Iterator[nn.Module]:
        """The modules of nodes in a row."""
        import nir

        ways = {name: LayerPath(name, loop, self.clock) for name, loop in loops.items()}
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
        biases = rescale_biases(self.clock, chain, "from", refuse_from)
        waiting: tuple[Array, Array | None] | None = None
        for k, (name, node) in enumerate(chain):
            following = chain[k + 1][1] if k + 1 < len(chain) else None
            if isinstance(node, nir.Linear | nir.Affine) and isinstance(following, neurons()):
                waiting = _weight(name, node), biases.get(name)
            elif isinstance(node, neurons()):
                yield from read_layer(name, node, waiting, ways.get(name), self.clock, self.reset, self.dtype)
                waiting = None
            else:
                yield self.module(name, node, biases.get(name))

    def module(self, name: str, node: Any, bias: Array | None) -> nn.Module:
        """What a node without potential becomes."""
        import nir

        if not isinstance(node, nir.Linear | nir.Affine):
            return read_module(name, node, bias, self.clock, self.dtype)
        weight = _weight(name, node)
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=self.dtype)
        return filled(name, linear, weight, bias)

    def graph(self, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Graph:
        """Nodes with any edges; weights that reach nothing but one layer of neurons, and alone, are its own."""
        import nir

        biases = self._graph_biases(nodes, edges)
        inputs = [n for n, m in nodes.items() if isinstance(m, nir.Input)]
        outputs = [n for n, m in nodes.items() if isinstance(m, nir.Output)]
        own: dict[str, str] = {}
        for name in [n for n, m in nodes.items() if isinstance(m, neurons())]:
            sources = [a for a, b in edges if b == name]
            targets = [b for a, b in edges if [a] == sources]
            if targets == [name] and isinstance(nodes[sources[0]], nir.Linear | nir.Affine):
                own[name] = sources[0]
        merged = {linear: name for name, linear in own.items()}
        modules: dict[str, nn.Module] = {}
        for name, node in nodes.items():
            if name in merged or isinstance(node, nir.Input | nir.Output):
                continue
            if isinstance(node, neurons()):
                linear = own.get(name)
                weights = None if linear is None else (_weight(linear, nodes[linear]), biases.get(linear))
                layer = read_layer(name, node, weights, None, self.clock, self.reset, self.dtype)
                modules[_key(name)] = layer[0] if len(layer) == 1 else Sequential(*layer)
            else:
                modules[_key(name)] = self.module(name, node, biases.get(name))
        ends = [(merged.get(a, a), merged.get(b, b)) for a, b in edges]
        joined = [(_key(a), _key(b)) for a, b in ends if a != b or (a, b) in edges]
        return Graph(modules, joined, [*map(_key, inputs)], [*map(_key, outputs)])

    def _graph_biases(self, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> dict[str, Array]:
        """As layers have them; all neurons that a bias reaches must make the same of it."""
        biases = {n: np.asarray(b) for n, m in nodes.items() if (b := getattr(m, "bias", None)) is not None}
        if self.clock.euler and self.clock.pulse == self.clock.dt:
            return biases
        for name, bias in biases.items():
            reached, ahead = set(), {b for a, b in edges if a == name}
            while ahead:
                reached |= ahead
                through = {n for n in ahead if not isinstance(nodes[n], neurons())}
                ahead = {b for a, b in edges if a in through} - reached
            factors = [self.clock.bias(nodes[n]) for n in reached if isinstance(nodes[n], neurons())]
            if not factors or not np.any(bias):
                continue
            plain = [f for f in factors if f is not None and np.ptp(f) == 0.0]
            if len(plain) < len(factors) or len({float(f.flat[0]) for f in plain}) > 1:
                refuse_from(f"the bias of {name!r} for neurons of different kinds or time constants")
            biases[name] = bias / plain[0].flat[0]
        return biases


def _weight(name: str, node: Any) -> Array:
    weight = np.asarray(node.weight)
    if weight.ndim != 2:
        refuse_from(f"the weights {name!r} of shape {weight.shape}")
    return weight


def _key(name: str) -> str:
    """A node's name as a key of modules, which hold no "."."""
    return name.replace(".", "/")


__all__ = ["from_nir", "read_nir"]
