"""Networks as NIR."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import positive
from ranvier.networks._network import Network
from ranvier.networks.nir_files import MS, refuse, write_graph

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
    | `Linear`, `Affine` (bias: drive of r·b) | a projection, [target, source] |
    | `Delay` | its delays |
    | `Input` before weights | `SpikeTimes` without spikes, or what `inputs` of `from_nir` says; else left out |
    | `Output` | left out |

    NIR's times are seconds, ours ms; its voltages have no unit and are taken as mV. A spike there is a Dirac
    pulse, of area 1 s in these units (`pulse` = 1000 ms). Frameworks that step with dt write a spike as 1 for
    one step instead: read and write their files with `pulse` = dt in ms.

    Constant drive is added to v_leak. Labels, places and the wiring's rules stay behind, their edges go
    along. Raises ValueError, by name, for what NIR cannot hold: other neurons and synapses, noise,
    refractory periods, time series, initial values, background, sources with spikes of their own, several
    synaptic time constants on one neuron, delays that differ between a neuron's edges.
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
        if set(p.name) & {"/", "."}:
            refuse("to", f"the population's name {p.name!r}", "HDF5 keeps / and . for itself.")
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


def _fresh(nodes: dict[str, Any], name: str) -> str:
    while name in nodes:
        name += "_"
    return name


def _node(p: Population, incoming: list[Projection]) -> Any:
    import nir

    from ranvier.neurons import LIF, Graded, SpikeTimes
    from ranvier.synapses import Delta, Exponential

    if type(p.neuron) is SpikeTimes:
        if len(p.neuron.times):
            refuse("to", f"the spikes of population {p.name!r}", "Give it none, and it becomes an Input.")
        return nir.Input(input_type={"input": np.array([p.size])})
    if type(p.neuron) not in (LIF, Graded):
        refuse("to", f"the neuron {type(p.neuron).__name__} of population {p.name!r}")
    value = {key: _array(p, key) for key in p.parameters}
    for key, name in (("noise", "noise"), ("t_ref", "the refractory period t_ref")):
        if key in value and value[key].any():
            refuse("to", f"{name} of population {p.name!r}", f"Set {key} to 0.")
    if p.initial:
        refuse("to", f"the initial values of population {p.name!r}")
    taus = set()
    for c in incoming:
        if type(c.synapse) not in (Delta, Exponential):
            refuse("to", f"the synapse {type(c.synapse).__name__} onto population {p.name!r}")
        taus.add(c.synapse.numbers["tau"] if isinstance(c.synapse, Exponential) else 0.0)
    if len(taus) > 1:
        times = ", ".join(f"{tau:g} ms" for tau in sorted(taus))
        refuse("to", f"several synaptic time constants ({times}) on population {p.name!r}")
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
    from ranvier.networks._inputs import TimeSeries

    value = p.parameters[key]
    if isinstance(value, TimeSeries):
        refuse("to", f"the time series in {key} of population {p.name!r}")
    plain = value if isinstance(value, float) else value.detach().cpu().numpy()  # type: ignore[union-attr]
    return np.broadcast_to(plain, p.size).astype(np.float64)


def _weights(c: Projection, pulse: float) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """NIR's W [target, source], and one delay a source in ms, or None for continuous ones."""
    from ranvier.synapses import Exponential

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
        refuse("to", f"delays that differ between edges of one source, from {name}")
    return weights, each


def write_nir(net: Network, path: str | Path, *, pulse: float = 1000.0) -> Path:
    """Write `net` as a NIR file (HDF5), atomically; see `to_nir`."""
    return write_graph(to_nir(net, pulse=pulse), path)
