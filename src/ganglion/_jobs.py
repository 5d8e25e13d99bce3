"""What `ganglion run` builds from a wiring: a network in a noise-driven regime, and what to say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._signs import signs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .networks import EdgeList, Network

TAU_S = 5.0  # ms, of the synaptic current
REST, SLOPE = -35.0, 8.0  # mV, of graded neurons: rest and half-open point, width of the sigmoid
E_EXCITATORY, E_INHIBITORY = 0.0, -48.0  # mV

#: from the senses to the muscles
LARVA_ORDER = (
    "sensories", "ascendings", "PNs", "PNs-somato", "LNs", "APL", "KCs", "MBINs", "MBONs", "MB-FBNs", "LHNs",
    "CNs", "FFNs", "unk", "pre-dSEZs", "pre-dVNCs", "dSEZs", "dVNCs", "RGNs",
)  # fmt: skip
LARVA_GLOSSARY = (
    "Classes, from the senses to the muscles: sensory neurons; ascending neurons; projection neurons (PNs), "
    "olfactory and somatosensory; local neurons (LNs); APL; Kenyon cells (KCs), input (MBINs), output "
    "(MBONs) and "
    "feedback neurons (MB-FBNs) of the mushroom body; lateral-horn (LHNs), convergence (CNs) and "
    "feed-forward "
    "neurons (FFNs); unknown (unk); descending neurons to the suboesophageal zone (dSEZs) and the nerve cord "
    "(dVNCs) and those before them (pre-); ring-gland neurons (RGNs)."
)


@dataclass(frozen=True)
class Regime:
    """A neuron that noise drives: its model's parameters, drive and noise (mV), and its rate alone (Hz)."""

    parameters: Mapping[str, float]
    drive: float
    noise: float
    rate: float


REFERENCE = {
    "tau_m": 10.0, "E_L": -72.0, "Delta_T": 1.4, "V_T": -48.0, "V_th": 30.0, "V_reset": -72.0, "t_ref": 2.0,
}  # fmt: skip
#: The EIF neuron is that of the theory's reference network;
#: rates are of 10 s of 300 uncoupled neurons.
REGIMES: dict[str, Regime] = {
    "EIF": Regime(REFERENCE, drive=10.0, noise=9.0, rate=7.5),
    "LIF": Regime(
        {"tau_m": 10.0, "E_L": -70.0, "V_th": -50.0, "V_reset": -70.0}, drive=8.0, noise=6.0, rate=7.5
    ),
    "QIF": Regime({"tau_m": 10.0}, drive=2.0, noise=5.0, rate=6.5),
    "AdEx": Regime({}, drive=18.0, noise=5.0, rate=8.1),
    "Izhikevich": Regime({}, drive=2.0, noise=3.0, rate=8.1),
}


@dataclass(frozen=True)
class Job:
    """A network, what to record of it, and the words of its report.

    `drive` and `noise` are in mV; `classes` is the order in which the page shows them; `glossary` explains
    their names. `facts` takes the rates (Hz) or mean voltages (mV) and tells the coupling in words.
    """

    network: Network
    title: str
    what: str
    assumptions: tuple[str, ...]
    citations: tuple[str, ...]
    facts: Callable[[NDArray[np.float64]], dict[str, str]]
    record: tuple[Any, ...] = ()
    classes: tuple[str, ...] = ()
    glossary: str = ""


def larva(neuron: str = "EIF", signs: Mapping[str, int] | None = None, **options: Any) -> Job:
    """The brain of the fruit-fly larva; local neurons and APL inhibit unless `signs` says otherwise."""
    from . import data

    return _with(
        from_edges(
            data.larva(), title="The brain of a fruit-fly larva", neuron=neuron,
            signs={"LNs": -1, "APL": -1, **(signs or {})}, **options,
        ),
        classes=LARVA_ORDER,
        glossary=LARVA_GLOSSARY,
    )  # fmt: skip


def celegans(neuron: str = "Graded", signs: Mapping[str, int] | None = None, **options: Any) -> Job:
    """The nematode's nervous system, graded by default; its GABAergic cells inhibit."""
    from . import data

    worm = data.celegans()
    gaba = {
        name: -1
        for name, transmitter in zip(worm.chemical.names, worm.chemical.attributes["transmitter"])
        if transmitter == "GABA"
    }
    if neuron == "Graded":
        options["electrical"] = worm.electrical
    job = from_edges(
        worm.chemical, title="The nervous system of Caenorhabditis elegans", neuron=neuron,
        signs={**gaba, **(signs or {})}, inhibitory="the 26 GABAergic cells" if not signs else "", **options,
    )  # fmt: skip
    return _with(job, classes=("sensory", "interneuron", "motor", "pharynx"))


def from_edges(edges: EdgeList, *, neuron: str = "EIF", **options: Any) -> Job:
    """Neurons of one model on the nodes of an edge list; `options` as of `spiking` or `graded`."""
    if edges.size < 2:
        raise ValueError(f"the wiring has {edges.size} neurons; expected at least two")
    return graded(edges, **options) if neuron == "Graded" else spiking(edges, neuron=neuron, **options)


def spiking(
    edges: EdgeList,
    *,
    title: str,
    neuron: str = "EIF",
    gain: float | None = None,
    signs: Mapping[str, int] | None = None,
    drive: float | None = None,
    noise: float | None = None,
    delay: float | None = None,
    inhibitory: str = "",
) -> Job:
    """Spiking neurons on the nodes of an edge list; a weight is its target's input fraction times `gain`.

    `gain` in mV·ms; `signs` by class or name; `drive` and `noise` in mV, by default such that the average
    neuron sits where it fires alone at its regime's rate. Raises ValueError for an unknown neuron or sign.
    """
    import ganglion as gg

    if neuron not in REGIMES:
        raise ValueError(f"--neuron is {neuron!r}; expected one of {', '.join([*REGIMES, 'Graded'])}")
    regime = REGIMES[neuron]
    gain = 200.0 if gain is None else gain
    delay = 1.0 if delay is None else delay
    model = getattr(gg, neuron)(**regime.parameters)
    source_signs = signs_of(edges.names, edges.classes, signs or {})
    weights = gain * input_fractions(edges) * source_signs[edges.sources]
    noise = regime.noise if noise is None else noise
    balanced = drive is None
    if drive is None:
        drive = regime.drive - float(weights.sum()) / max(1, edges.size) * regime.rate / 1000.0
    network = edges.to_network(
        model, synapse=gg.Exponential(tau=TAU_S), weight=weights, delay=delay, name="neurons",
        drive=drive, noise=noise,
    )  # fmt: skip
    assumptions = (
        _signs_in_words(signs or {}, edges, inhibitory),
        f"Strength: a connection's weight is its share of the target's input times {gain:g} mV·ms (--gain). "
        f"A neuron whose only input is one other thus gets all of it from there.",
        f"Neurons: all alike, {neuron} with {_listed(regime.parameters) or 'its default parameters'}.",
        f"Input: a constant drive of {drive:.2f} mV"
        + (
            f", such that the average neuron, its inputs firing at {regime.rate:g} Hz, is where it fires at "
            f"{regime.rate:g} Hz alone"
            if balanced
            else ""
        )
        + f"; independent white noise with a standard deviation of {noise:g} mV of the free membrane.",
        f"Synapses: currents that decay within {TAU_S:g} ms, after a delay of {delay:g} ms, all alike.",
        *edges.notes,
    )
    return Job(
        network=network,
        title=title,
        what=f"{neuron} neurons",
        assumptions=assumptions,
        citations=tuple(filter(None, [edges.citation])),
        facts=lambda rates: _spiking_coupling(model, drive, noise, edges, weights, rates),
    )


def graded(
    edges: EdgeList,
    *,
    title: str,
    electrical: EdgeList | None = None,
    gain: float | None = None,
    signs: Mapping[str, int] | None = None,
    drive: float | None = None,
    noise: float | None = None,
    delay: float | None = None,
    inhibitory: str = "",
) -> Job:
    """Graded neurons with sigmoidal synapses on an edge list, and gap junctions on another.

    The neuron and the working point, where synapses are half open, are after Wicks et al. (1996) and Kunert
    et al. (2014). `gain` is a neuron's chemical conductance with all its synapses open over its leak; gap
    junctions have in the mean the conductance `gain` times the leak too.
    """
    import ganglion as gg

    if delay is not None:
        raise ValueError("--delay was given; graded synapses are continuous and have none: leave it out")
    gain = 1.0 if gain is None else gain
    noise = 5.0 if noise is None else noise
    cell = gg.Graded(tau_m=100.0, E_L=REST, g_L=1.0)
    source_signs = signs_of(edges.names, edges.classes, signs or {})
    fractions = input_fractions(edges) * source_signs[edges.sources]
    weights = gain * np.abs(fractions)
    reversal = np.where(fractions >= 0, E_EXCITATORY, E_INHIBITORY)
    held = -np.bincount(edges.targets, weights=weights * (reversal - REST) / 2.0, minlength=edges.size)
    network = gg.Network()
    cells = network.add(
        cell, edges.size, "neurons", names=edges.names, classes=edges.classes,
        drive=held if drive is None else drive, noise=noise,
    )  # fmt: skip
    for mine, E_rev in ((fractions > 0, E_EXCITATORY), (fractions < 0, E_INHIBITORY)):
        if mine.any():
            synapse = gg.Sigmoidal(V_half=REST, slope=SLOPE, tau=10.0, E_rev=E_rev)
            ends = edges.sources[mine], edges.targets[mine]
            network.connect(cells, cells, weight=weights[mine], synapse=synapse, edges=ends)
    junctions = np.zeros(0)
    if electrical is not None and len(electrical):
        mean = electrical.weights.sum() / electrical.size
        junctions = gain * electrical.weights / mean
        ends = electrical.sources, electrical.targets
        network.connect(cells, cells, weight=junctions, synapse=gg.Electrical(), edges=ends)
    total = 1.0 + np.bincount(edges.targets, weights=weights / 2.0, minlength=edges.size)
    couplings = weights * (reversal - REST) / (4.0 * SLOPE)
    parts = [(edges.sources, edges.targets, couplings)]
    if electrical is not None and len(electrical):
        total += np.bincount(electrical.targets, weights=junctions, minlength=edges.size)
        parts.append((electrical.sources, electrical.targets, junctions))
    sources, targets, values = (np.concatenate(part) for part in zip(*parts))
    radius = spectral_radius(sources, targets, values / total[targets], edges.size)
    return Job(
        network=network,
        title=title,
        what="graded neurons",
        assumptions=(
            _signs_in_words(signs or {}, edges, inhibitory),
            f"Neurons: graded, without spikes, all alike: {cell.tau_m:g} ms, rest at {REST:g} mV.",
            f"Chemical synapses: their conductance follows the source's voltage along a sigmoid that is half "
            f"open at {REST:g} mV, {SLOPE:g} mV wide, within 10 ms; reversal at {E_EXCITATORY:g} mV, or "
            f"{E_INHIBITORY:g} mV where they inhibit.",
            f"Strength: a connection's share of its target's input, times {gain:g} of the target's leak, "
            f"is its "
            f"conductance when open (--gain)."
            + (
                f" Gap junctions: conductance in proportion to their size, {gain:g} of the leak for the mean "
                f"neuron."
                if len(junctions)
                else ""
            ),
            (
                f"Input: a constant drive that holds every neuron at {REST:g} mV while the others are there"
                if drive is None
                else f"Input: a constant drive of {drive:g} mV"
            )
            + f"; independent white noise, {noise:g} mV standard deviation of the free membrane.",
            *edges.notes,
        ),
        citations=tuple(filter(None, [edges.citation])),
        facts=lambda _: {"spectral radius of the linearised coupling (unstable from 1 on)": f"{radius:.2f}"},
        record=(gg.Probe("V", interval=5.0),),
    )


def input_fractions(edges: EdgeList) -> NDArray[np.float64]:
    """(edges,) each weight over the sum of its target's absolute weights; 0 where that is 0."""
    total = np.bincount(edges.targets, weights=np.abs(edges.weights), minlength=edges.size)[edges.targets]
    return np.divide(edges.weights, total, out=np.zeros(len(edges)), where=total > 0)


def spectral_radius(
    sources: NDArray[np.int64], targets: NDArray[np.int64], values: NDArray[np.float64], size: int
) -> float:
    """The largest absolute eigenvalue of the coupling with these entries [target, source]."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import eigs

    matrix = coo_array((values, (targets, sources)), shape=(size, size)).tocsr()
    if size <= 400:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    return float(np.abs(eigs(matrix, k=1, v0=np.ones(size), return_eigenvectors=False)).max())


def _spiking_coupling(
    neuron: Any,
    drive: float,
    noise: float,
    edges: EdgeList,
    weights: NDArray[np.float64],
    rates: NDArray[np.float64],
) -> dict[str, str]:
    """How strong the coupling is at the measured rates (Hz), in words for the table of numbers.

    The linearised coupling is K_ij = A_i(0) W_ij with A the susceptibility (Hz/mV) at the neuron's mean
    input, from threshold integration (Richardson 2007). Empty for neurons of more than one variable.
    """
    if len(neuron.equations.names) != 1 or noise <= 0:
        return {}
    share = rates[edges.sources] / 1000.0
    mean = drive + np.bincount(edges.targets, weights=weights * share, minlength=edges.size)
    slope = susceptibility(neuron, mean, noise)
    linear = slope[edges.targets] / 1000.0 * weights
    power = np.bincount(edges.targets, weights=weights**2 * share, minlength=edges.size)
    recurrent = power / (2.0 * (neuron.tau_m + TAU_S)) / noise**2
    radius = spectral_radius(edges.sources, edges.targets, linear, edges.size)
    return {
        "spectral radius of the linearised coupling (unstable from 1 on)": f"{radius:.2f}",
        "susceptibility, mean (Hz/mV)": f"{slope.mean():.2f}",
        "variance from recurrent input over that of the noise, mean": f"{recurrent.mean():.3f}",
    }


def susceptibility(neuron: Any, mean: NDArray[Any], noise: float) -> NDArray[np.float64]:
    """Change of the stationary rate with a constant input, Hz/mV, at mean inputs (N,) in mV."""
    import torch

    from .theory import membrane, response

    grid = np.linspace(mean.min(), mean.max() + 1e-6, 65)
    inputs = torch.from_numpy(grid)
    right = neuron.equations.torch()
    own = {name: torch.as_tensor(value) for name, value in neuron.parameters.items()}
    zero = torch.tensor(0.0, dtype=torch.float64)

    def force(V: Any) -> Any:
        return neuron.tau_m * right(V=V, I=inputs, **{"drive": zero, "noise": zero, **own})["V"]

    cells = membrane(
        force, tau=neuron.tau_m, sigma=noise, V_th=neuron.V_th, V_reset=neuron.V_reset, t_ref=neuron.t_ref
    )
    slopes = response(cells, 0.0).current[0].real.numpy()
    return np.interp(mean, grid, slopes)


def _signs_in_words(signs: Mapping[str, int], edges: EdgeList, inhibitory: str) -> str:
    minus = [key for key, sign in signs.items() if sign < 0]
    none = [key for key, sign in signs.items() if sign == 0]
    listed = inhibitory or ", ".join(minus[:30]) + (f" and {len(minus) - 30} more" if len(minus) > 30 else "")
    text = f"Signs: {listed} inhibit, all others excite." if minus else "Signs: all neurons excite."
    if none:
        text += f" Without effect: {', '.join(none)}."
    if (edges.weights < 0).any():
        text += " Negative weights turn a connection's sign."
    return text + " This is assumed, not measured; --signs sets it by class or neuron."


def _with(job: Job, **changes: Any) -> Job:
    return replace(job, **changes)


def _listed(parameters: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in parameters.items())
