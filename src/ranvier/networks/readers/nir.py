"""Networks from NIR."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import positive
from ranvier.networks._network import Network
from ranvier.networks.nir.files import MS, read_graph, refuse, require_graph
from ranvier.networks.nir.paths import NodePath, NodeWiring, is_neuron, is_spiking, wiring_of
from ranvier.networks.nir.thresholds import require_reach
from ranvier.networks.wiring import Edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ranvier.neurons import Poisson, SpikeTimes

__all__ = ["from_nir", "read_nir"]

#: synaptic time constants within one node, each a projection
MOST_TIME_CONSTANTS = 100


def from_nir(
    graph: Any,
    *,
    pulse: float | None = None,
    delay: float = 0.1,
    seed: int = 0,
    inputs: Mapping[str, SpikeTimes | Poisson] | None = None,
) -> Network:
    """The network that a `nir.NIRGraph` describes; `to_nir` says what becomes what, and what `pulse` (ms) is.

    | NIR | here |
    |---|---|
    | `LIF`, `CubaLIF` | `LIF`, t_ref = 0, reached by `Delta`; by `Exponential(tau_syn)` of area r·w_in·W·pulse |
    | `LI`, `CubaLI` | `Graded`, reached by the same; `Proportional` where their output reaches a neuron |
    | `IF`, `I`: v' = r I | integrators without leak, reached by `Delta` of r·W·pulse/1 s |
    | `Linear`, `Affine`, `Scale`, `Flatten`, `Conv1d`, `Conv2d`, `AvgPool2d`, `SumPool2d` | edges, composed |
    | biases | drive of r·b; of CubaLIF and CubaLI r·w_in·b through tau_syn |
    | `Delay` | the edges' delays |
    | `Input` before weights | `SpikeTimes` without spikes, or what `inputs` says |
    | `Output`, what leads there only | checked and left out |
    | a graph within a graph | its nodes, called "graph.node" |

    What has more than one dimension is flattened, the last index first to change. V begins at v_leak, or at 0 without
    leak, currents at 0. The equations of CubaLIF hold with I' = (−I + w_in (S + b))/tau_syn: a bias needs tau_syn to
    act. Biases are there from the beginning, behind a `Delay` too.

    Parameters
    ----------
    graph : a `nir.NIRGraph`.
    pulse : ms, the area of a spike; 1000 (1 s) by default, a framework's step for the files of frameworks.
    delay : ms, that of connections without a `Delay`: NIR's arrive at once, which no stepped simulation can do.
    seed : the network's; nothing here is drawn.
    inputs : sources of spikes in the places of `Input`s, by their names; the others are silent.

    Raises TypeError for what is no graph and no source; ValueError, by name, for what a network here cannot hold:
    other nodes, a `Threshold` on the way to a neuron, the output of `LI`, `CubaLI` or `I` with a delay or into a
    synaptic current, a loop without a neuron that leads to one, subgraphs with several inputs or outputs, more than 100
    synaptic time constants in a node, weights by more than 2²⁵; and for what is malformed: shapes that do not fit,
    delays below 0, v_reset from v_threshold on, values that are not finite. Without `pulse`, also for neurons that
    could not spike if every excitatory source did so each `delay` ms: weights of another unit than 1 s.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.networks import from_nir, to_nir
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(t_ref=0.0), 3)
    >>> from_nir(to_nir(net)).size
    3
    """
    import nir
    import torch

    from ranvier.neurons import Poisson, SpikeTimes

    size = 1000.0 if pulse is None else positive(pulse, "pulse", "ms")
    delay = positive(delay, "delay", "ms")
    require_graph(graph)
    wiring = wiring_of(graph)
    sources = dict(inputs or {})
    inlets = [name for name, node in wiring.nodes.items() if isinstance(node, nir.Input)]
    for name, source in sources.items():
        if name not in inlets:
            raise ValueError(f"Found {name!r} in inputs; expected names of Inputs: {', '.join(map(repr, inlets))}.")
        if not isinstance(source, SpikeTimes | Poisson):
            raise TypeError(f"Found {type(source).__name__} for input {name!r}; expected SpikeTimes or Poisson.")
    names = _ordered(graph, wiring)
    ways = [(target, way) for target in names for way in wiring.ways.get(target, ())]
    ways.sort(key=lambda pair: names.index(pair[1].source))
    fed = {way.source for _, way in ways if way.weighted or way.source in sources} - set(wiring.ways)
    net = Network(seed=seed)
    for name in names:
        if is_neuron(wiring.nodes[name]):
            _add(net, name, wiring)
        elif name in fed:
            silent = SpikeTimes(torch.zeros(0), torch.zeros(0, dtype=torch.int64))
            net.add(sources.get(name, silent), math.prod(wiring.shapes[name]), name)
    for target, way in ways:
        if way.source in fed or way.source in wiring.ways:
            _connect(net, target, way, wiring, size, delay)
    if pulse is None:
        require_reach(net, delay)
    return net


def _ordered(graph: Any, wiring: NodeWiring) -> list[str]:
    """Names of neurons and inputs in the order that `to_nir` noted; HDF5 sorts them."""
    try:
        rank = {str(name): k for k, name in enumerate(json.loads(graph.metadata["populations"]))}
    except (KeyError, TypeError, ValueError, RecursionError):
        rank = {}
    return sorted(wiring.nodes, key=lambda name: rank.get(name, len(rank)))


def _numbers(wiring: NodeWiring, name: str, key: str) -> NDArray[np.float64]:
    """A parameter of a node, (neurons,)."""
    value = np.asarray(getattr(wiring.nodes[name], key), np.float64)
    return np.broadcast_to(value, wiring.shapes[name]).reshape(-1)


def _plain(array: NDArray[np.float64]) -> Any:
    """A number where all are alike, else a tensor (size,)."""
    import torch

    return float(array[0]) if (array == array[0]).all() else torch.tensor(array)


def _is_filtered(node: Any) -> bool:
    """Whether inputs pass through a synaptic current."""
    return hasattr(node, "tau_syn")


def _add(net: Network, name: str, wiring: NodeWiring) -> None:
    from ranvier.networks.nir.neurons import BiasedCurrentLI, BiasedCurrentLIF, IntegrateAndFire, Integrator
    from ranvier.neurons import LIF, Graded

    def value(key: str, factor: float = 1.0) -> Any:
        return _plain(_numbers(wiring, name, key) * factor)

    node, size = wiring.nodes[name], math.prod(wiring.shapes[name])
    spiking, filtered, bias = is_spiking(node), _is_filtered(node), wiring.biases.get(name)
    values = {"V_th": value("v_threshold"), "V_reset": value("v_reset")} if spiking else {}
    drive: Any = 0.0
    if bias is not None:
        drive = _plain(_numbers(wiring, name, "r") * bias * (_numbers(wiring, name, "w_in") if filtered else 1.0))
    if not hasattr(node, "v_leak"):
        net.add(IntegrateAndFire(**values) if spiking else Integrator(), size, name, drive=drive)
        return
    values |= {"tau_m": value("tau_mem" if filtered else "tau", 1 / MS), "E_L": value("v_leak")}
    if filtered and bias is not None:
        values["tau_syn"] = value("tau_syn", 1 / MS)
        model: Any = BiasedCurrentLIF(**values) if spiking else BiasedCurrentLI(**values)
    else:
        model = LIF(t_ref=0.0, **values) if spiking else Graded(**values)
    net.add(model, size, name, drive=drive)


def _connect(net: Network, target: str, way: NodePath, wiring: NodeWiring, pulse: float, delay: float) -> None:
    """The edges of a way; a projection for every synaptic time constant of the target."""
    from ranvier.synapses import Delta, Exponential, Proportional

    node, matrix = wiring.nodes[target], way.matrix.sorted_indices().tocoo()
    used = matrix.data != 0.0
    targets, sources, weight = (part[used] for part in (*matrix.coords, matrix.data))
    source = wiring.nodes[way.source]
    r = _numbers(wiring, target, "r")
    if is_neuron(source) and not is_spiking(source):
        if not len(weight):
            return
        if way.before.any() or way.behind.any():
            refuse("from", f"the delay of the continuous output of {way.source!r} into {target!r}")
        if _is_filtered(node):
            refuse("from", f"the continuous output of {way.source!r} into the synaptic current of {target!r}")
        net.connect(net[way.source], net[target], weight=r[targets] * weight, synapse=Proportional(),
                    wiring=Edges(sources, targets))  # fmt: skip
        return
    times = way.before[sources] + way.behind[targets]
    times = np.where(times > 0.0, times, delay)
    groups: list[tuple[Any, Any]] = [(Delta(), slice(None))]
    if _is_filtered(node):
        weight = weight * (r * _numbers(wiring, target, "w_in") * pulse)[targets]
        tau_syn = _numbers(wiring, target, "tau_syn") / MS
        distinct = np.unique(tau_syn).tolist()
        if len(distinct) > MOST_TIME_CONSTANTS:
            refuse("from", f"{len(distinct)} synaptic time constants within {target!r}", "Round tau_syn.")
        groups = [(Exponential(tau=tau), tau_syn[targets] == tau) for tau in distinct]
    elif hasattr(node, "tau"):
        weight = weight * (r * pulse / (_numbers(wiring, target, "tau") / MS))[targets]
    else:
        weight = weight * (r * pulse * MS)[targets]
    for synapse, part in groups:
        apart = times[part]
        net.connect(
            net[way.source],
            net[target],
            weight=weight[part],
            delay=_plain(apart) if len(apart) else delay,
            synapse=synapse,
            wiring=Edges(sources[part], targets[part]),
        )


def read_nir(path: str | Path, *, type_check: bool = True, **options: Any) -> Network:
    """Read a NIR file; see `from_nir`. FileNotFoundError without one, ValueError for what is none.

    type_check: whether the shapes that nodes note must fit, as `nir.read` has it; some published files' do not.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(t_ref=0.0), 2)
    >>> file = rv.write_nir(net, "net.nir")
    >>> rv.read_nir(file).size
    2
    """
    return from_nir(read_graph(path, type_check=type_check), **options)
