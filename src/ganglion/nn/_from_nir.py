"""Layers from NIR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from ganglion.networks import _nir
from ganglion.nn._cell import DynamicalLayer
from ganglion.nn._nir_time import Array, Clock, neurons, rescale_biases
from ganglion.nn.delays import Delay
from ganglion.nn.lif import LI, LIF
from ganglion.nn.sequential import Sequential

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
    _nir.require_graph(graph)
    chain, loops = _rows(*_flat(graph))
    with torch.random.fork_rng(devices=[]):  # layers draw weights that are replaced at once
        return Sequential(*_modules(chain, loops, clock, reset, dtype or torch.get_default_dtype()))


def read_nir(path: str | Path, dt: float = 0.1, **options: Any) -> Sequential:
    """Read a NIR file; see `from_nir`. FileNotFoundError without one, ValueError for what is none."""
    return from_nir(_nir.read_graph(path), dt, **options)


def _refuse(what: str, remedy: str = "") -> NoReturn:
    _nir.refuse("from", what, remedy, held="A Sequential", by="nn.to_nir")


Chain = list[tuple[str, Any]]


def _flat(graph: Any, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges with those of subgraphs in their places, joined through their Inputs and Outputs."""
    import nir

    nodes: dict[str, Any] = {}
    edges = [(prefix + a, prefix + b) for a, b in graph.edges]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[prefix + name] = node
            continue
        inner, between = _flat(node, f"{prefix}{name}.")
        ends = {kind: [n for n, m in inner.items() if isinstance(m, kind)] for kind in (nir.Input, nir.Output)}
        if len(ends[nir.Input]) != 1 or len(ends[nir.Output]) != 1:
            _refuse(f"the subgraph {name!r} with several inputs or outputs")
        inlet, outlet = ends[nir.Input][0], ends[nir.Output][0]
        edges = [(outlet if a == prefix + name else a, inlet if b == prefix + name else b) for a, b in edges]
        nodes |= inner
        edges += between
    for name in [n for n, node in nodes.items() if isinstance(node, nir.Input | nir.Output)]:
        into, out = [a for a, b in edges if b == name], [b for a, b in edges if a == name]
        if into and out:
            del nodes[name]
            edges = [e for e in edges if name not in e] + [(a, b) for a in into for b in out]
    return nodes, list(dict.fromkeys(edges))


def _rows(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> tuple[Chain, dict[str, Chain]]:
    """From the input to the output, and by name of its neurons each way back to themselves."""
    import nir

    after: dict[str, list[str]] = {name: [b for a, b in edges if a == name] for name in nodes}
    loops: dict[str, Chain] = {}
    passed = nir.Linear | nir.Affine | nir.Delay
    for name in [n for n, node in nodes.items() if isinstance(node, neurons())]:
        for first in list(after[name]):
            path, here = [name], first
            while here not in path and isinstance(nodes[here], passed) and len(after[here]) == 1:
                path.append(here)
                here = after[here][0]
            if here == name and len(path) > 1 and name not in loops:
                loops[name] = [(n, nodes[n]) for n in path[1:]]
                after[name].remove(first)
                after[path[-1]] = []
    back = {n for loop in loops.values() for n, _ in loop}
    into = [b for a in nodes for b in after[a]]
    start = [n for n, node in nodes.items() if isinstance(node, nir.Input)]
    if len(start) != 1:
        _refuse(f"{len(start)} inputs")
    chain, here = [], start[0]
    while after[here]:
        if len(after[here]) > 1:
            _refuse(f"the branch behind {here!r}, to {' and '.join(map(repr, after[here]))}")
        here = after[here][0]
        if into.count(here) > 1:
            _refuse(f"the ways that meet at {here!r}")
        chain.append((here, nodes[here]))
    if not chain or not isinstance(chain[-1][1], nir.Output):
        _refuse(f"the end at {here!r}, which is no Output")
    if lost := set(nodes) - {n for n, _ in chain} - {start[0]} - back:
        _refuse(f"the node {min(lost)!r}, which is not on the way from the input to the output")
    return chain[:-1], loops


def _modules(
    chain: Chain, loops: dict[str, Chain], clock: Clock, reset: str | None, dtype: torch.dtype
) -> Iterator[nn.Module]:
    import nir

    ways = {name: _Way(name, loop, clock) for name, loop in loops.items()}
    for k, (name, _) in enumerate(chain):
        if name in ways and ways[name].bias is not None:
            before, previous = chain[k - 1] if k else ("", None)
            if not isinstance(previous, nir.Linear | nir.Affine):
                _refuse(f"the bias on the way of {name!r} back to itself, without weights before it")
            bias = ways[name].bias + np.asarray(getattr(previous, "bias", 0.0))
            chain[k - 1] = before, nir.Affine(weight=previous.weight, bias=bias)
    for name, node in chain:
        if isinstance(node, neurons()):
            _values(name, node)
    biases = rescale_biases(clock, chain, "from", _refuse)
    waiting: tuple[Array, Array | None] | None = None
    for k, (name, node) in enumerate(chain):
        if isinstance(node, nir.Linear | nir.Affine):
            weight = np.asarray(node.weight)
            if weight.ndim != 2:
                _refuse(f"the weights {name!r} of shape {weight.shape}")
            following = chain[k + 1][1] if k + 1 < len(chain) else None
            if isinstance(following, neurons()):
                waiting = weight, biases.get(name)
                continue
            linear = nn.Linear(weight.shape[1], weight.shape[0], bias=name in biases, dtype=dtype)
            yield _filled(name, linear, weight, biases.get(name))
        elif isinstance(node, neurons()):
            yield _layer(name, node, waiting, ways.get(name), clock, reset, dtype)
            waiting = None
        else:
            yield _ordinary(name, node, biases.get(name), clock, dtype)


class _Way:
    """From neurons back to themselves: weight, steps and bias, if any."""

    def __init__(self, name: str, loop: Chain, clock: Clock) -> None:
        import nir

        weights = [node for _, node in loop if not isinstance(node, nir.Delay)]
        if len(weights) != 1:
            _refuse(f"{len(weights)} weights in a row from {name!r} back to itself")
        self.weight, bias = np.asarray(weights[0].weight), getattr(weights[0], "bias", None)
        self.bias = np.asarray(bias) if bias is not None and np.any(bias) else None
        self.steps = torch.ones((), dtype=torch.int64)
        weighted = False
        for key, node in loop:
            if not isinstance(node, nir.Delay):
                weighted = True
                continue
            steps = _steps(key, node, clock)
            if weighted and bool((steps != steps.reshape(-1)[0]).any()):
                _refuse(f"the delays {key!r} that differ behind weights")
            self.steps = self.steps + (steps.reshape(-1)[0] if weighted else steps)
        if self.weight.ndim != 2 or self.weight.shape[0] != self.weight.shape[1]:
            _refuse(f"the weights of shape {self.weight.shape} from {name!r} back to itself")


def _steps(name: str, node: Any, clock: Clock) -> torch.Tensor:
    steps = np.asarray(node.delay, np.float64) / clock.dt
    if not np.isfinite(steps).all() or (steps < 0.0).any():
        _refuse(f"the delay {name!r}, not all of which is finite and positive")
    whole = np.round(steps)
    if not np.allclose(steps, whole, rtol=1e-7, atol=1e-6):  # written in float32 as they may be
        worst = steps.flat[int(np.abs(steps - whole).argmax())]
        _refuse(f"the delay {name!r} of {worst:g} steps of {clock.dt / _nir.MS:g} ms", "Choose a dt that divides it.")
    return torch.as_tensor(whole.astype(np.int64))


def _fill(name: str, parameter: torch.Tensor, values: Array) -> None:
    if np.shape(values) != tuple(parameter.shape):
        found = np.shape(values)
        raise ValueError(f"The weights or biases of {name!r} have shape {found}; expected {tuple(parameter.shape)}.")
    if not np.isfinite(values).all():
        _refuse(f"the weights or biases of {name!r}, not all of which are finite")
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values))


def _filled(name: str, module: nn.Linear | nn.Conv1d | nn.Conv2d, weight: Array, bias: Array | None) -> Any:
    _fill(name, module.weight, weight)
    if module.bias is not None and bias is not None:
        _fill(name, module.bias, bias)
    return module


def _ordinary(name: str, node: Any, bias: Array | None, clock: Clock, dtype: torch.dtype) -> nn.Module:
    import nir

    match node:
        case nir.Delay():
            steps = _steps(name, node, clock)
            uniform = bool((steps == steps.reshape(-1)[0]).all())
            return Delay(tuple(steps.shape), int(steps.reshape(-1)[0]) if uniform else steps, dtype=dtype)
        case nir.Flatten():
            start, end = int(node.start_dim), int(node.end_dim)
            return nn.Flatten(start + 1 if start >= 0 else start, end + 1 if end >= 0 else end)
        case nir.AvgPool2d() | nir.SumPool2d():
            divisor = 1 if isinstance(node, nir.SumPool2d) else None
            kernel, stride, padding = (_sizes(v, 2) for v in (node.kernel_size, node.stride, node.padding))
            return nn.AvgPool2d(kernel, stride, padding, divisor_override=divisor)
        case nir.Conv1d() | nir.Conv2d():
            weight, groups = np.asarray(node.weight), int(node.groups)
            axes = weight.ndim - 2
            sizes = {n: _sizes(getattr(node, n), axes) for n in ("stride", "padding", "dilation")}
            kind = nn.Conv1d if axes == 1 else nn.Conv2d
            has = bias is not None and bool(np.any(bias))
            made = kind(weight.shape[1] * groups, weight.shape[0], weight.shape[2:], groups=groups, bias=has,
                        dtype=dtype, **sizes)  # fmt: skip
            return _filled(name, made, weight, bias)
    _refuse(f"the node {name!r} of kind {type(node).__name__}")


def _sizes(value: Any, axes: int) -> Any:
    if isinstance(value, str | bytes):
        return value.decode() if isinstance(value, bytes) else value
    return tuple(np.broadcast_to(np.asarray(value, int), axes).tolist())


def _plain(values: Array, dtype: torch.dtype) -> Any:
    """A number where all are alike, else a tensor."""
    return float(values.flat[0]) if np.ptp(values) == 0.0 else torch.as_tensor(values).to(dtype)


def _values(name: str, node: Any) -> dict[str, Array]:
    """The parameters of neurons, by name."""
    read = {key: np.asarray(value, np.float64) for key, value in vars(node).items() if key[0] in "trvw"}
    for key, value in read.items():
        if not np.isfinite(value).all() or (key.startswith("tau") and (value <= 0.0).any()):
            _refuse(f"{key} of {name!r}, not all of which is finite and, for time constants, positive")
    return read


def _layer(
    name: str,
    node: Any,
    linear: tuple[Array, Array | None] | None,
    way: _Way | None,
    clock: Clock,
    reset: str | None,
    dtype: torch.dtype,
) -> DynamicalLayer:
    import nir

    spiking, filtered = isinstance(node, nir.LIF | nir.CubaLIF | nir.IF), isinstance(node, nir.CubaLIF | nir.CubaLI)
    read = _values(name, node)
    shape = read["r"].shape
    options: dict[str, Any] = {"dtype": dtype, "beta": 1.0}
    if isinstance(node, nir.IF | nir.I):
        gain = read["r"] * clock.dt
    else:
        tau = read["tau_mem" if filtered else "tau"]
        options["beta"] = _decay(name, "tau", tau, clock, dtype)
        gain = read["r"] * clock.membrane(tau)
        if filtered:
            options["alpha"] = _decay(name, "tau_syn", read["tau_syn"], clock, dtype)
            gain = read["r"] * read["w_in"] * clock.current(tau, read["tau_syn"])
    # what was written with r such that a spike adds its weight, in float32 as it may be
    gain = np.where(np.isclose(gain, 1.0, rtol=0.0, atol=1e-6), 1.0, gain)
    if not (gain > 0).all():
        _refuse(f"r of {name!r} that is not positive")
    leak = read.get("v_leak", np.zeros(shape))
    sizes: tuple[Any, ...] = (shape or None,)
    if linear is not None:
        if shape not in ((), linear[0].shape[:1]):
            raise ValueError(f"The neurons {name!r} have shape {shape}; their weights expect {linear[0].shape[:1]}.")
        sizes = linear[0].shape[1], linear[0].shape[0]
        options["bias"] = linear[1] is not None
    if spiking:
        if not np.array_equal(read["v_reset"], leak):
            _refuse(f"v_reset of {name!r} other than {'v_leak' if 'v_leak' in read else '0'}")
        threshold = (read["v_threshold"] - leak) / gain
        if not (threshold > 0).all():
            _refuse(f"the threshold of {name!r}, not above where it rests")
        noted = node.metadata.get("reset", "zero")
        noted = noted.decode() if isinstance(noted, bytes) else str(noted)
        options |= {"threshold": _plain(threshold, dtype), "reset": reset or noted}
        if way is not None:
            options |= {"recurrent": True, "recurrent_delay": way.steps}
        made: DynamicalLayer = LIF(*sizes, **options)
    else:
        if np.any(leak):
            _refuse(f"v_leak of {name!r}, which shifts what it gives")
        if way is not None:
            _refuse(f"the way of {name!r}, which does not spike, back to itself")
        if (gain != 1.0).any():
            if linear is None:
                _refuse(f"r of {name!r} without weights before it")
            linear = linear[0] * gain.reshape(-1, 1), None if linear[1] is None else linear[1] * gain
        made = LI(*sizes, **options)
    if linear is not None and made.linear is not None:
        _filled(name, made.linear, *linear)
    if way is not None and made.recurrent is not None:
        _fill(name, made.recurrent, way.weight)
    return made


def _decay(name: str, key: str, tau: Array, clock: Clock, dtype: torch.dtype) -> Any:
    decay = clock.decay(tau)
    if (decay < -1e-6).any() or not np.isfinite(decay).all():
        what = f"{tau.min() / _nir.MS:g} ms, shorter than the step of {clock.dt / _nir.MS:g} ms"
        _refuse(f"{key} of {name!r} of {what}", 'Choose a smaller dt, or decay="exponential".')
    return _plain(np.maximum(decay, 0.0), dtype)


__all__ = ["from_nir", "read_nir"]
