"""Networks as NIR."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import positive
from ranvier.networks._network import Network
from ranvier.networks.nir.files import MS, refuse, write_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ranvier.networks._population import Population
    from ranvier.networks._projection import Projection

__all__ = ["to_nir", "write_nir"]


def to_nir(net: Network, *, pulse: float = 1000.0) -> Any:
    """`net` as a `nir.NIRGraph`, the neuromorphic intermediate representation (Pedersen et al. 2024).

    | NIR | here |
    |---|---|
    | `LIF`: tau v' = v_leak − v + r I | `LIF`, synapses `Delta`: a spike moves V by r·W·pulse/tau |
    | `CubaLIF`: tau_syn I' = −I + w_in S | `LIF`, synapses `Exponential(tau_syn)` of area r·w_in·W·pulse |
    | `LI`, `CubaLI` | `Graded`, which never spikes, with the same synapses |
    | `IF`, `I`, `CubaLIF` and `CubaLI` with a bias | what `from_nir` made of them |
    | `Linear`, `Affine` (bias: drive of r·b) | a projection, [target, source]; `Proportional`'s weight is r·W |
    | `Delay` | its delays |
    | `Input` before weights | `SpikeTimes` without spikes |

    `from_nir` says what it reads besides.

    NIR's times are seconds, ours ms; its voltages have no unit and are taken as mV. A spike there is a Dirac
    pulse, of area 1 s in these units (`pulse` = 1000 ms). Frameworks that step with dt write a spike as 1 for
    one step instead: read and write their files with `pulse` = dt in ms.

    Constant drive is the bias of the first projection. Where none reaches a population, or the filter of its synapses
    would take the bias too, it is added to v_leak, from which V then begins. Labels, places and the wiring's rules stay
    behind, their edges go along. Raises ValueError, by name, for what NIR cannot hold: other neurons and synapses,
    noise, refractory periods, time series, initial values, background, sources that emit spikes, several kinds
    of synapses or time constants on one neuron, delays that differ between a neuron's edges.

    Examples
    --------
    >>> import ranvier as rv
    >>> from ranvier.networks import to_nir
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(t_ref=0.0), 3)
    >>> sorted(to_nir(net).nodes)
    ['input', 'lif0', 'output']
    """
    import nir

    pulse = positive(pulse, "pulse", "ms")
    if net.backgrounds:
        refuse("to", f"the background of {net.backgrounds[0].target.name!r}")
    if not net.populations:
        refuse("to", "a network without neurons")
    for c in net.projections:
        if c.plasticity is not None:
            refuse("to", f"the plasticity of {c!r}")
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for p in net.populations:
        if "/" in p.name or p.name == ".":
            refuse("to", f"the population's name {p.name!r}", "HDF5 keeps / and . for itself.")
        nodes[p.name] = _node(p, [c for c in net.projections if c.target is p])
    bias = {p.name: b for p in net.populations if (b := _bias(p, nodes[p.name])) is not None}
    for c in net.projections:
        weights, delay = _weights(c, pulse)
        path = [c.source.name]
        if delay is not None:
            path.append(_fresh(nodes, f"delay_{c.index}"))
            nodes[path[-1]] = nir.Delay(delay=delay * MS)
        path.append(_fresh(nodes, f"weight_{c.index}"))
        own = bias.pop(c.target.name, None)
        nodes[path[-1]] = nir.Linear(weight=weights) if own is None else nir.Affine(weight=weights, bias=own)
        path.append(c.target.name)
        edges += pairwise(path)
    for name, drive in bias.items():
        if not hasattr(nodes[name], "v_leak") or hasattr(nodes[name], "tau_syn"):
            refuse("to", f"the drive of population {name!r}, which no projection reaches", "Set it to 0.")
        nodes[name].v_leak = nodes[name].v_leak + drive
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


def _fresh(nodes: dict[str, Any], name: str) -> str:
    while name in nodes:
        name += "_"
    return name


def _node(p: Population, incoming: list[Projection]) -> Any:
    import nir

    from ranvier.networks.nir.neurons import BiasedCurrentLI, BiasedCurrentLIF, IntegrateAndFire, Integrator
    from ranvier.neurons import LIF, Graded, SpikeTimes

    if type(p.neuron) is SpikeTimes:
        if len(p.neuron.times):
            refuse("to", f"the spikes of population {p.name!r}", "Give it none, and it becomes an Input.")
        return nir.Input(input_type={"input": np.array([p.size])})
    if type(p.neuron) not in (LIF, Graded, IntegrateAndFire, Integrator, BiasedCurrentLI, BiasedCurrentLIF):
        refuse("to", f"the neuron {type(p.neuron).__name__} of population {p.name!r}")
    value = {key: _array(p, key) for key in p.parameters}
    for key, name in (("noise", "noise"), ("t_ref", "the refractory period t_ref")):
        if key in value and value[key].any():
            refuse("to", f"{name} of population {p.name!r}", f"Set {key} to 0.")
    if p.initial:
        refuse("to", f"the initial values of population {p.name!r}")
    tau_syn = _tau_syn(p, incoming)
    common = {"r": np.ones(p.size)}
    if spiking := "V_th" in value:
        common |= {"v_threshold": value["V_th"], "v_reset": value["V_reset"]}
    if "E_L" not in value:
        if tau_syn is not None:
            refuse("to", f"the synapse Exponential onto population {p.name!r}, which has no leak")
        common["r"] = 1.0 / (value["tau_m"] * MS)
        return (nir.IF if spiking else nir.I)(**common)
    common["v_leak"] = value["E_L"]
    if tau_syn is not None:
        if "tau_syn" not in value:
            common["v_leak"] = value["E_L"] + value["drive"]
        kind = nir.CubaLIF if spiking else nir.CubaLI
        return kind(tau_mem=value["tau_m"] * MS, tau_syn=tau_syn * MS, **common)
    return (nir.LIF if spiking else nir.LI)(tau=value["tau_m"] * MS, **common)


def _bias(p: Population, node: Any) -> NDArray[np.float64] | None:
    """The drive that `node` does not hold in its v_leak, if any."""
    if "drive" not in p.parameters or (hasattr(node, "tau_syn") and "tau_syn" not in p.parameters):
        return None
    drive = _array(p, "drive")
    return drive if drive.any() else None


def _tau_syn(p: Population, incoming: list[Projection]) -> NDArray[np.float64] | None:
    """(neurons,) ms, the time constants of a population's synapses; None for jumps of V."""
    from ranvier.synapses import Delta, Exponential, Proportional

    for c in incoming:
        if type(c.synapse) not in (Delta, Exponential, Proportional):
            refuse("to", f"the synapse {type(c.synapse).__name__} onto population {p.name!r}")
    filtered = [c for c in incoming if isinstance(c.synapse, Exponential)]
    tau_syn = _array(p, "tau_syn") if "tau_syn" in p.parameters else np.zeros(p.size)
    if not filtered and not tau_syn.any():
        return None
    tau_syn = tau_syn.copy()
    for c in incoming:
        tau = c.synapse.numbers.get("tau", 0.0)
        targets = c.edges()[1].numpy()
        if c not in filtered or ((tau_syn[targets] != 0.0) & (tau_syn[targets] != tau)).any():
            names = sorted({type(c.synapse).__name__ for c in incoming})
            times = ", ".join(f"{t:g} ms" for t in sorted({tau, *tau_syn[targets].tolist()} - {0.0}))
            what = f"the synapses {' and '.join(names)}" if len(names) > 1 else "several synaptic time constants"
            refuse("to", f"{what} ({times}) on population {p.name!r}")
        tau_syn[targets] = tau
    tau_syn[tau_syn == 0.0] = max(tau_syn.max(), filtered[0].synapse.numbers["tau"] if filtered else 0.0)
    return tau_syn  # any will do for neurons that nothing reaches


def _array(p: Population, key: str) -> NDArray[np.float64]:
    from ranvier.networks._inputs import TimeSeries

    value = p.parameters[key]
    if isinstance(value, TimeSeries):
        refuse("to", f"the time series in {key} of population {p.name!r}")
    plain = value if isinstance(value, float) else value.detach().cpu().numpy()  # type: ignore[union-attr]
    return np.broadcast_to(plain, p.size).astype(np.float64)


def _weights(c: Projection, pulse: float) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """NIR's W [target, source], and one delay a source in ms, or None for continuous ones."""
    from ranvier.synapses import Exponential, Proportional

    matrix = c.matrix().toarray()
    if isinstance(c.synapse, Proportional):
        return matrix, None
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
        refuse("to", f"delays that differ between edges of one source, from {name}")
    return weights, each


def write_nir(net: Network, path: str | Path, *, pulse: float = 1000.0) -> Path:
    """Write `net` as a NIR file (HDF5), atomically; see `to_nir`.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(t_ref=0.0), 3)
    >>> rv.read_nir(rv.write_nir(net, "net.nir")).size
    3
    """
    return write_graph(to_nir(net, pulse=pulse), path)
