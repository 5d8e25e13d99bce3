"""Connectomes as echo-state reservoirs: what the nematode's and the fly larva's wiring remember, and forecast."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from ranvier import data
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.reservoirs import ESN, DivergenceWarning, lorenz63, memory_capacity, valid_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

DT, LYAPUNOV, TEST = 0.025, 1.1, 300
ROWS = 3000  # of x that a forecast learns from
SIZES = {"small": (1200, 2, 1), "full": (10_000, 20, 5)}  # rows for the memory, trials, those of the larva


def measure(
    seed: int, size: Size, recurrent: bool = True, shuffled: bool = False, parts: str = "worm random larva"
) -> dict[str, Any]:
    """recurrent: whether units hear each other; shuffled: the worm's weights between pairs drawn at random. parts: what
    is measured, of the worm, in comparison with random wiring, and of the larva."""
    rows, trials, larvae = SIZES[size]
    seeds = range(trials * seed, trials * (seed + 1))
    worm = [_memory(s, rows, shuffled, recurrent) for s in seeds]
    metrics: dict[str, Any] = {"capacity": float(np.mean([curve.sum() for curve in worm]))}
    if "worm" in parts:
        metrics["valid"] = float(np.median([_forecast(s, shuffled, recurrent) for s in seeds]))
    if "random" in parts:
        other = [_memory(s + 1000, rows, True, recurrent) for s in seeds]
        metrics["against_random"] = float(np.mean([c.sum() for c in worm]) / np.mean([c.sum() for c in other]))
        metrics["curves"] = np.mean(worm, axis=0), np.mean(other, axis=0)
    if "larva" in parts:
        forecasts = [_forecast(s, False, recurrent, larva=True) for s in seeds[:larvae]]
        metrics["valid_larva"] = float(np.median(forecasts))
    return metrics


def wiring(seed: int, shuffled: bool) -> sp.csr_matrix:
    """[target, source] the chemical synapses of C. elegans, sections in electron micrographs; GABA inhibits."""
    edges = data.celegans().chemical
    signs = np.where(np.array(edges.attributes["transmitter"]) == "GABA", -1.0, 1.0)
    W = sp.csr_matrix(edges.matrix() @ sp.diags(signs))
    if not shuffled:
        return W
    rng, n = np.random.default_rng(seed), W.shape[0]
    at = rng.choice(n * n, W.nnz, replace=False)
    return sp.csr_matrix((rng.permutation(W.data), (at // n, at % n)), W.shape)


def larva_wiring(seed: int) -> sp.csr_matrix:
    """[target, source] the synapses of the larva's brain, whose transmitters are not in the data: each neuron excites
    or inhibits, by lot."""
    W = data.larva().matrix()
    return sp.csr_matrix(W @ sp.diags(np.random.default_rng(seed).choice([-1.0, 1.0], W.shape[1])))


@cache  # the mutants change a part each
def _memory(seed: int, rows: int, shuffled: bool, recurrent: bool) -> np.ndarray:
    """Squared correlations of the readout with past inputs, small ones, near the edge of stability."""
    model = ESN(
        W=wiring(seed, shuffled), spectral_radius=0.95 if recurrent else 1e-9, input_scaling=0.005, ridge=1e-12,
        direct=False, random_state=seed,
    )  # fmt: skip
    return memory_capacity(model, length=rows)


@cache
def _forecast(seed: int, shuffled: bool, recurrent: bool, larva: bool = False) -> float:
    """Lyapunov times for which Lorenz's x is forecast from its own past, of which units must remember enough."""
    series = lorenz63(ROWS + TEST, DT, seed=seed, warm_up=10.0, rough=True)
    x = (series / series[:ROWS].std(0))[:, :1]
    model = ESN(
        W=larva_wiring(seed) if larva else wiring(seed, shuffled), spectral_radius=0.9 if recurrent else 1e-9, leak=0.5,
        input_scaling=1.0, bias_scaling=0.2, washout=200, ridge=1e-8, random_state=seed,
    )  # fmt: skip
    known, true = x[:ROWS], x[ROWS:]
    with warnings.catch_warnings():  # a forecast that runs away is measured as such
        warnings.simplefilter("ignore", DivergenceWarning)
        prediction = model.fit(known[:-1], known[1:]).forecast(TEST, known)
    return valid_time(true, prediction, dt=DT / LYAPUNOV, variance=float(true.var(0).sum()))


def memory(material: dict[str, Any]) -> Figure:
    """What is left of each past input."""
    figure, axis = canvas(4.6, 3.0)
    for curve, colour, name in zip(material["curves"], COLOURS, ("the worm's wiring", "drawn at random"), strict=False):
        axis.plot(np.arange(1, len(curve) + 1), curve, color=colour, label=f"{name}: {curve.sum():.1f} in all")
    axis.set(xlabel="steps ago", ylabel="squared correlation", ylim=(0, 1.02), xlim=(0, 60))
    axis.legend()
    return figure


DEAF = {"recurrent": False, "parts": "worm larva"}

register(
    Experiment(
        name="connectome_reservoir",
        title="The wiring of nematode and larva as reservoirs",
        paper="H. Jaeger (2001). The 'echo state' approach to analysing and training recurrent neural networks. GMD "
        "report 148; wiring: S. J. Cook et al. (2019). Whole-animal connectomes of both Caenorhabditis elegans sexes. "
        "Nature 571:63; M. Winding et al. (2023). The connectome of an insect brain. Science 379:eadd9330.",
        summary="302 units wired by the worm's chemical synapses, and 2952 by the larva's, forecast chaos from one "
        "variable, as random ones do, but the worm's remember less.",
        claims=(
            Claim(
                "Wired as the worm, 302 units forecast Lorenz's x from its own past for more than two Lyapunov times.",
                "the task of Jaeger & Haas (2004), Science 304:78; the wiring is ours", "valid", AtLeast(2.0), 0.0,
                "five series gave 4.2 ± 1.1 each: the median of three stays above", DEAF,
                "Lyapunov times",
                ours=True,
            ),
            Claim(
                "Wired as the larva's brain, 2952 units do so, too.",
                "found here, the bound set after these", "valid_larva", AtLeast(2.0), 0.0,
                "three series gave 3.4, 5.8 and 6.8, and at most 0.25 without recurrence; a fourth, later, 5.0",
                DEAF,
                "Lyapunov times",
                ours=True,
            ),
            Claim(
                "They remember more than ten past inputs.",
                "found here; at most 302 by Jaeger (2002), proposition 2", "capacity", AtLeast(10.0), 0.0,
                "five inputs' weights gave 13.4 ± 0.2", DEAF,
                ours=True,
            ),
            Claim(
                "That is less than the same weights do between pairs of cells drawn at random.",
                "found here", "against_random", AtMost(0.85), 0.0,
                "0.72, of which five drawn networks make 0.03", {"shuffled": True, "parts": "random"},
                ours=True,
            ),
        ),
        measure=measure,
        pictures={"Memory of 302 units: squared correlation of the input with its best linear readout.": memory},
    )
)  # fmt: skip
