"""Networks to and from NIR, the neuromorphic intermediate representation (Pedersen et al. 2024).

| NIR | here |
|---|---|
| `LIF`: tau v' = v_leak − v + r I | `LIF`, synapses `Delta`: a spike moves V by r·W·pulse/tau |
| `CubaLIF`: tau_syn I' = −I + w_in S | `LIF`, synapses `Exponential(tau_syn)` of area r·w_in·W·pulse |
| `LI`, `CubaLI` | `Graded`, which never spikes, with the same synapses |
| `Linear`, `Affine` (bias: drive of r·b) | a projection, [target, source] |
| `Delay` | its delays |
| `Input` before weights | `SpikeTimes` without spikes, to be filled; straight into a neuron: left out |
| `Output` | left out |

NIR's times are seconds, ours ms; its voltages have no unit and are taken as mV. A spike there is a Dirac
pulse, of area 1 s in these units (`pulse` = 1000 ms). Frameworks that step with dt write a spike as 1 for
one step instead: read and write their files with `pulse` = dt in ms.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganglion.networks._check import positive
from ganglion.networks._network import Network
from ganglion.networks.wiring import Edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ganglion.networks._population import Population
    from ganglion.networks._projection import Projection

__all__ = ["from_nir", "read_nir", "to_nir", "write_nir"]

MS = 1e-3  # s


def to_nir(net: Network, *, pulse: float = 1000.0) -> Any:
    """`net` as a `nir.NIRGraph`; `pulse` (ms) as above.

    Constant drive is added to v_leak. Labels, places and the wiring's rules stay behind, their edges go
    along. Raises ValueError, by name, for what NIR cannot hold: other neurons and synapses, noise,
    refractory periods, time series, initial values, background, sources with spikes of their own, several
    synaptic time constants on one neuron, delays that differ between a neuron's edges.
    """
    import nir

    pulse = positive(pulse, "pulse", "ms")
    if net.backgrounds:
        _refuse("to", f"the background of {net.backgrounds[0].target.name!r}")
    if not net.populations:
        _refuse("to", "a network without neurons")
    for c in net.projections:
        if c.plasticity is not None:
            _refuse("to", f"the plasticity of {c!r}")
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for p in net.populations:
        if set(p.name) & {"/", "."}:
            _refuse("to", f"the population's name {p.name!r}", "HDF5 keeps / and . for itself.")
        nodes[p.name] = _node(p, [c for c in net.projections if c.target is p])
    for c in net.projections:
        weights, delay = _weights(c, pulse)
        path = [c.source.name]
        if delay is not None:
            path.append(_fresh(nodes, f"delay_{c.index}"))
            nodes[path[-1]] = nir.Delay(delay=delay * MS)
        path.append(_fresh(nodes, f"weight_{c.index}"))
        nodes[path[-1]] = nir.Linear(weight=weights)
        path.append(c.target.name)
        edges += pairwise(path)
    spiking = [p for p in net.populations if not isinstance(nodes[p.name], nir.Input)]
    if not any(isinstance(node, nir.Input) for node in nodes.values()):
        inlet = _fresh(nodes, "input")
        nodes[inlet] = nir.Input(input_type={"input": np.array([spiking[0].size])})
        edges.append((inlet, spiking[0].name))
    last = spiking[-1] if spiking else net.populations[-1]
    outlet = _fresh(nodes, "output")
    nodes[outlet] = nir.Output(output_type={"output": np.array([last.size])})
    edges.append((last.name, outlet))
    return nir.NIRGraph(
        nodes=nodes, edges=edges, metadata={"populations": json.dumps([p.name for p in net.populations])}
    )


def _refuse(way: str, what: str, remedy: str = "") -> None:
    holder = "NIR cannot hold" if way == "to" else "A network here cannot hold"
    raise ValueError(f"{holder} {what}; expected what ganglion.networks lists for NIR. {remedy}".strip())


def _fresh(nodes: dict[str, Any], name: str) -> str:
    while name in nodes:
        name += "_"
    return name


def _node(p: Population, incoming: list[Projection]) -> Any:
    import nir

    from ganglion.neurons import LIF, Graded, SpikeTimes
    from ganglion.synapses import Delta, Exponential

    if type(p.neuron) is SpikeTimes:
        if len(p.neuron.times):
            _refuse("to", f"the spikes of population {p.name!r}", "Give it none, and it becomes an Input.")
        return nir.Input(input_type={"input": np.array([p.size])})
    if type(p.neuron) not in (LIF, Graded):
        _refuse("to", f"the neuron {type(p.neuron).__name__} of population {p.name!r}")
    value = {key: _array(p, key) for key in p.parameters}
    for key, name in (("noise", "noise"), ("t_ref", "the refractory period t_ref")):
        if key in value and value[key].any():
            _refuse("to", f"{name} of population {p.name!r}", f"Set {key} to 0.")
    if p.initial:
        _refuse("to", f"the initial values of population {p.name!r}")
    taus = set()
    for c in incoming:
        if type(c.synapse) not in (Delta, Exponential):
            _refuse("to", f"the synapse {type(c.synapse).__name__} onto population {p.name!r}")
        taus.add(c.synapse.numbers["tau"] if isinstance(c.synapse, Exponential) else 0.0)
    if len(taus) > 1:
        times = ", ".join(f"{tau:g} ms" for tau in sorted(taus))
        _refuse("to", f"several synaptic time constants ({times}) on population {p.name!r}")
    tau_syn = taus.pop() if taus else 0.0
    leak = value["E_L"] + value["drive"]
    common = {"r": np.ones(p.size), "v_leak": leak}
    if isinstance(p.neuron, LIF):
        common |= {"v_threshold": value["V_th"], "v_reset": value["V_reset"]}
    if tau_syn:
        kind = nir.CubaLIF if isinstance(p.neuron, LIF) else nir.CubaLI
        return kind(tau_mem=value["tau_m"] * MS, tau_syn=np.full(p.size, tau_syn * MS), **common)
    kind = nir.LIF if isinstance(p.neuron, LIF) else nir.LI
    return kind(tau=value["tau_m"] * MS, **common)


def _array(p: Population, key: str) -> NDArray[np.float64]:
    from ganglion.networks._inputs import TimeSeries

    value = p.parameters[key]
    if isinstance(value, TimeSeries):
        _refuse("to", f"the time series in {key} of population {p.name!r}")
    plain = value if isinstance(value, float) else value.detach().cpu().numpy()  # type: ignore[union-attr]
    return np.broadcast_to(plain, p.size).astype(np.float64)


def _weights(c: Projection, pulse: float) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """NIR's W [target, source], and one delay a source in ms, or None for continuous ones."""
    from ganglion.synapses import Exponential

    matrix = c.matrix().toarray()
    if isinstance(c.synapse, Exponential):
        area = matrix * (c.synapse.numbers["tau"] if c.synapse.normalise == "peak" else 1.0)
        weights = area / pulse
    else:
        weights = matrix * _array(c.target, "tau_m")[:, None] / pulse
    if isinstance(c.delay, float):
        return weights, np.full(c.source.size, c.delay)
    sources, delays = c.edges()[0].numpy(), c.delay.detach().cpu().double().numpy()
    each = np.full(c.source.size, delays.max(initial=1.0))
    each[sources] = delays
    if not np.array_equal(each[sources], delays):
        name = f"{c.source.name!r} to {c.target.name!r}"
        _refuse("to", f"delays that differ between edges of one source, from {name}")
    return weights, each


def from_nir(graph: Any, *, pulse: float = 1000.0, delay: float = 0.1, seed: int = 0) -> Network:
    """The network that a `nir.NIRGraph` describes; `pulse` (ms) as above.

    `delay` (ms) is that of connections without a `Delay`: NIR's arrive at once, which no stepped
    simulation can do. Refractory periods and noise are 0. Raises ValueError, by name, for what a network
    here cannot hold: other nodes (I, IF, convolutions, pooling, thresholds, scales, subgraphs), shapes
    of more than one dimension, a synaptic time constant that differs within a node, a bias into a synaptic
    current.
    """
    import nir
    import torch

    from ganglion.neurons import SpikeTimes

    pulse, delay = positive(pulse, "pulse", "ms"), positive(delay, "delay", "ms")
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"Found {type(graph).__name__}; expected a nir.NIRGraph.")
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        if source not in after or target not in graph.nodes:
            raise ValueError(
                f"The edge from {source!r} to {target!r} has an end that is no node of the graph."
            )
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
            _refuse("from", f"the node {name!r} of kind {type(node).__name__}")
    cells = {n: node for n, node in graph.nodes.items() if isinstance(node, known[:4])}
    paths = []
    for name in _order(graph):
        node = graph.nodes[name]
        if isinstance(node, (*known[:4], nir.Input)):
            size = _size(name, node)
            paths += _follow(graph, after, cells, name, name, _Path(None, np.zeros(size), np.zeros(size)), ())
    bias: dict[str, Any] = {}
    for path in paths:
        if path.bias is not None:
            bias[path.target] = bias.get(path.target, 0.0) + path.bias
    net = Network(seed=seed)
    fed = {path.source for path in paths if path.matrix is not None or path.source in cells}
    for name in _order(graph):
        node = graph.nodes[name]
        if name in cells:
            _add(net, name, node, bias.get(name))
        elif isinstance(node, nir.Input) and name in fed:
            net.add(SpikeTimes(torch.zeros(0), torch.zeros(0, dtype=torch.int64)), _size(name, node), name)
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
    graph: Any, after: Any, cells: Any, source: str, here: str, path: _Path, seen: tuple[str, ...]
) -> list[_Path]:
    import nir

    found: list[_Path] = []
    for name in after[here]:
        node = graph.nodes[name]
        if isinstance(node, nir.Output):
            continue
        if name in cells:
            end = _Path(path.matrix, path.before, path.behind, path.bias)
            end.source, end.target = source, name
            if len(path.behind) != _size(name, node):
                raise ValueError(
                    f"{here!r} gives {len(path.behind)} values, {name!r} takes {_size(name, node)}."
                )
            found.append(end)
            continue
        if name in seen or isinstance(node, nir.Input):
            _refuse("from", f"the loop through {name!r} without a neuron in it")
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
        found += _follow(graph, after, cells, source, name, step, (*seen, name))
    return found


def _weighted(name: str, node: Any, path: _Path) -> _Path:
    weight = np.asarray(node.weight, np.float64)
    if weight.ndim != 2 or weight.shape[1] != len(path.behind):
        raise ValueError(
            f"The weights {name!r} have shape {weight.shape}; expected (targets, {len(path.behind)})."
        )
    if path.behind.any() and np.ptp(path.behind):
        _refuse("from", f"the weights {name!r} behind delays that differ, behind other weights")
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
        _refuse("from", f"the node {name!r} of shape {shape}", "Flatten it first.")
    return shape[0]


def _add(net: Network, name: str, node: Any, bias: Any) -> None:
    import nir

    from ganglion.neurons import LIF, Graded

    current = isinstance(node, nir.CubaLIF | nir.CubaLI)
    drive = 0.0
    if bias is not None:
        if current:
            _refuse("from", f"the bias into the synaptic current of {name!r}", "Move it to v_leak.")
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

    from ganglion.neurons import Graded
    from ganglion.synapses import Delta, Exponential

    source, target = net[path.source], net[path.target]
    if type(source.neuron) is Graded:
        _refuse("from", f"the continuous output of {path.source!r} into {path.target!r}")
    matrix = np.eye(source.size) if path.matrix is None else path.matrix
    r = np.asarray(node.r, np.float64)
    if isinstance(node, nir.CubaLIF | nir.CubaLI):
        tau_syn = _plain(node.tau_syn, 1 / MS)
        if not isinstance(tau_syn, float):
            _refuse("from", f"synaptic time constants that differ within {path.target!r}")
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


def write_nir(net: Network, path: str | Path, *, pulse: float = 1000.0) -> Path:
    """Write `net` as a NIR file (HDF5), atomically; see `to_nir`."""
    import io

    import nir

    from ganglion._files import write_atomic

    graph, buffer = to_nir(net, pulse=pulse), io.BytesIO()
    nir.write(buffer, graph)
    return write_atomic(path, buffer.getvalue())


def read_nir(path: str | Path, *, pulse: float = 1000.0, delay: float = 0.1, seed: int = 0) -> Network:
    """Read a NIR file; see `from_nir`. FileNotFoundError without one, ValueError for what is none."""
    import nir

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; expected NIR. Look at the path's spelling.")
    try:
        graph = nir.read(path)
    except Exception as error:  # its reader asserts, and h5py fails in many ways
        raise ValueError(
            f"{path} is no NIR file that can be read ({type(error).__name__}: {error})."
        ) from error
    return from_nir(graph, pulse=pulse, delay=delay, seed=seed)
