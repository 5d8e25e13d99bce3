"""From an edge list to a working network: the larva's brain, the nematode's, or a user's own wiring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganglion.networks._check import nearest, number
from ganglion.networks._edgelist import EdgeList
from ganglion.networks._network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "SIGNS", "celegans_network", "input_fractions", "larva_network", "network_from_edges", "read_signs",
    "signs_of", "spectral_radius", "working_point",
]  # fmt: skip

#: sign of a class's output in the larva; all others excite. An assumption: transmitters are not in the data.
SIGNS: dict[str, float] = {"LNs": -1.0, "APL": -1.0}


def working_point(model: str = "EIF") -> tuple[Any, dict[str, float]]:
    """A neuron model by name, in a noise-driven regime: (neuron, {"drive": mV, "noise": mV}).

    "EIF": 7.549 Hz, CV 0.894 uncoupled (the neuron of the project's reference values); "LIF": 9.461 Hz,
    CV 0.815; "Graded": no spikes, 3 mV of fluctuation. Raises ValueError for another name.
    """
    from ganglion.neurons import EIF, LIF, Graded

    points: dict[str, tuple[Any, dict[str, float]]] = {
        "EIF": (
            EIF(tau_m=10.0, t_ref=2.0, E_L=-72.0, Delta_T=1.4, V_T=-48.0, V_th=30.0, V_reset=-72.0),
            {"drive": 10.0, "noise": 9.0},
        ),
        "LIF": (
            LIF(tau_m=20.0, t_ref=2.0, E_L=-65.0, V_th=-45.0, V_reset=-55.0),
            {"drive": 15.0, "noise": 5.0 / 2**0.5},
        ),
        "Graded": (Graded(tau_m=10.0, E_L=-35.0, g_L=1.0), {"drive": 0.0, "noise": 3.0}),
    }
    for name, point in points.items():
        if name.lower() == model.lower():
            return point
    raise ValueError(f"Unknown neuron {model!r}. {nearest(model, points)}")


def input_fractions(edges: EdgeList) -> NDArray[np.float64]:
    """(edges,) each weight over the sum of its target's absolute weights; 0 where that sum is 0."""
    total = np.bincount(edges.targets, np.abs(edges.weights), minlength=edges.size)[edges.targets]
    return np.divide(edges.weights, total, out=np.zeros(len(edges)), where=total > 0)


def signs_of(edges: EdgeList, signs: Mapping[str, float] | None = None) -> NDArray[np.float64]:
    """(nodes,) the factor of each node's output: `signs` by class, or by a node's name, which goes first.

    Nodes that are not mentioned have 1. Raises ValueError for a name that is neither class nor node.
    """
    factors = np.ones(edges.size)
    places = {name: i for i, name in enumerate(edges.names)}
    classes = np.asarray(edges.classes) if edges.classes is not None else np.full(edges.size, "")
    known = set(edges.classes or ())
    given = {key: number(value, f"The sign of {key!r}") for key, value in (signs or {}).items()}
    for key in given:
        if key not in known and key not in places:
            raise ValueError(
                f"Found a sign for {key!r}, neither a class nor a node. {nearest(key, sorted(known))}"
            )
    for key in (*(k for k in given if k in known), *(k for k in given if k in places)):
        if key in known and key not in places:
            factors[classes == key] = given[key]
        else:
            factors[places[key]] = given[key]
    return factors


def read_signs(text: str) -> dict[str, float]:
    """Signs by class or node from text such as `"LNs=-1, APL=-1"`, or a file with one of these a line.

    Raises ValueError for what is no `name=number`.
    """
    path = Path(text)
    lines = path.read_text(encoding="utf-8").splitlines() if "=" not in text and path.is_file() else [text]
    signs: dict[str, float] = {}
    for part in (part.strip() for line in lines for part in line.split("#")[0].split(",")):
        if not part:
            continue
        name, gap, value = part.rpartition("=")
        try:
            signs[name.strip()] = number(float(value), f"The sign of {name!r}")
        except ValueError:
            gap = ""
        if not gap or not name.strip():
            raise ValueError(f"Found {part!r} among the signs; expected name=number, such as LNs=-1.")
    return signs


def network_from_edges(
    edges: EdgeList,
    neuron: Any = None,
    *,
    gain: float = 250.0,
    signs: Mapping[str, float] | None = None,
    synapse: Any = None,
    delay: float = 1.0,
    seed: int = 0,
    name: str = "neurons",
    **population: Any,
) -> Network:
    """A network on the nodes of an edge list: weight of j → i = gain · sign of j · input fraction of j in i.

    Parameters
    ----------
    neuron
        A model, or a name that `working_point` knows ("EIF" by default), which also sets drive and noise.
    gain
        The sum of a neuron's absolute weights, in the synapse's unit: mV·ms for the default
        `Exponential(tau=5.0)`.
    signs
        By class or node, see `signs_of`; negative weights of the list turn it round.
    delay
        ms, where the list has no delays of its own.
    population
        Further arguments of `Network.add`, such as `drive` and `noise` (mV).
    """
    from ganglion.synapses import Exponential

    if neuron is None or isinstance(neuron, str):
        neuron, inputs = working_point(neuron or "EIF")
        population = {**inputs, **population}
    weight = number(gain, "gain") * signs_of(edges, signs)[edges.sources] * input_fractions(edges)
    return edges.to_network(
        neuron, synapse=synapse or Exponential(tau=5.0), weight=weight, delay=delay, name=name, seed=seed,
        **population,
    )  # fmt: skip


def larva_network(
    *,
    gain: float = 250.0,
    signs: Mapping[str, float] | None = None,
    seed: int = 0,
    neuron: Any = None,
    **options: Any,
) -> Network:
    """The larva's brain as a network: 2952 noise-driven EIF neurons, 110 677 edges.

    Local neurons and APL inhibit and all others excite (`SIGNS`), an assumption; `signs` replaces some or
    all of it. `gain` in mV·ms and `options` as in `network_from_edges`.
    """
    from ganglion.data import larva

    return network_from_edges(
        larva(),
        neuron,
        gain=gain,
        signs={**SIGNS, **(signs or {})},
        seed=seed,
        **{"name": "larva", **options},
    )


def celegans_network(
    *,
    gain: float = 1.0,
    gap: float = 1.0,
    signs: Mapping[str, float] | None = None,
    seed: int = 0,
    noise: float = 3.0,
    slope: float = 8.0,
    tau: float = 5.0,
) -> Network:
    """The nematode's nervous system as a network: 302 graded neurons (leak 1 nS), three projections.

    Chemical synapses are sigmoidal conductances (Wicks et al. 1996): a neuron's add up to `gain` nS, shared
    by its input fractions; they excite (reversal 0 mV), those of the 26 GABAergic cells inhibit (−48 mV).
    Gap junctions are symmetric conductances in proportion to their sections, `gap` nS a neuron on average.
    As in Kunert et al. 2014 each neuron rests at its synapses' half activation: a constant `drive`
    balances the synaptic current at rest, V = −35 mV. `slope` in mV, `tau` of release in ms.

    `signs`: by class or neuron name, below 0 inhibits; by default the GABAergic cells.
    """
    from ganglion.data import celegans
    from ganglion.synapses import Electrical, Sigmoidal

    chemical, electrical = celegans()
    neuron, _ = working_point("Graded")
    rest = float(neuron.E_L)
    factor = signs_of(chemical, signs)
    if signs is None:
        factor[[kind == "GABA" for kind in chemical.attributes["transmitter"]]] = -1.0
    factor = factor[chemical.sources]
    conductance = number(gain, "gain") * np.abs(factor) * input_fractions(chemical)
    reversal = np.where(factor < 0.0, -48.0, 0.0)
    pull = np.bincount(chemical.targets, 0.5 * conductance * (reversal - rest), minlength=chemical.size)
    net = Network(seed=seed)
    nodes = net.add(
        neuron, chemical.size, "celegans", drive=-pull / float(neuron.g_L), noise=noise,
        names=chemical.names, classes=chemical.classes,
    )  # fmt: skip
    for e_rev in (0.0, -48.0):
        kind = reversal == e_rev
        if kind.any():
            release = Sigmoidal(V_half=rest, slope=slope, tau=tau, E_rev=e_rev)
            ends = chemical.sources[kind], chemical.targets[kind]
            net.connect(nodes, nodes, weight=conductance[kind], edges=ends, synapse=release)
    mean = electrical.weights.sum() / electrical.size
    net.connect(
        nodes, nodes, weight=number(gap, "gap") * electrical.weights / mean, synapse=Electrical(),
        edges=(electrical.sources, electrical.targets),
    )  # fmt: skip
    return net


def spectral_radius(matrix: Any) -> float:
    """The largest absolute eigenvalue of a square matrix, sparse or dense.

    The eigenvalues are those of the strongly connected parts, each taken alone.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    matrix = csr_array(matrix).astype(np.float64)
    _, part = connected_components(matrix, connection="strong")
    order, sizes = np.argsort(part, kind="stable"), np.bincount(part)
    radius = float(np.abs(matrix.diagonal()[sizes[part] == 1]).max(initial=0.0))
    for members in np.split(order, np.cumsum(sizes)[:-1]):
        if len(members) > 1:
            radius = max(radius, _radius(matrix[members][:, members]))
    return radius


def _radius(matrix: Any) -> float:
    from scipy.sparse.linalg import ArpackError, eigs

    n = matrix.shape[0]
    if n > 500:
        try:
            start = np.random.default_rng(0).random(n)
            return float(np.abs(eigs(matrix, k=1, v0=start, return_eigenvectors=False, maxiter=300)).max())
        except ArpackError:  # no eigenvalue stands out
            pass
    return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
