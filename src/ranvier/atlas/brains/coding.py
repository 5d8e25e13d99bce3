"""Neural codes: how many bits a window of spikes, and each spike, tells about the same stimuli."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats

from ranvier.analysis import decoding
from ranvier.analysis.information import channel_information, mutual_information
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.learners import encoders

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

LEVELS, STEPS = 16, 16  # stimuli, as many of each, 4 bits; places for a spike in a window
CODES = ("rate", "latency", "phase", "population", "delta")


def measure(
    seed: int,
    size: Size,
    corrected: bool = True,
    loss: float = 0.1,
    shuffled: bool = False,
    still: bool = True,
    places: int = STEPS,
) -> dict[str, Any]:
    """Bits a window and a spike of five codes in 16 places each, when a tenth of all spikes is lost.

    corrected: for the estimate's bias. loss: part of the spikes lost; the laws keep a tenth. shuffled: stimuli and
    responses are paired again. still: what "bits_still" is of; if not, ramps. places: of the rates that are read back.
    """
    rng, g = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    repeats, trials = {"small": 1, "full": 10}[size], 200
    metrics: dict[str, Any] = {"bits": {}, "per_spike": {}}
    for code in (*CODES, "still"):
        bits_per_word, counts_per_word = [], []
        for _ in range(repeats):
            s = np.repeat(np.arange(LEVELS), trials)
            words, spikes = respond(code, s, loss, still and code == "still", g)
            if shuffled:
                s = rng.permutation(s)
            bits_per_word.append(_bits(s, words, corrected))
            counts_per_word.append(spikes)
        metrics[f"bits_{code}"] = metrics["bits"][code] = float(np.mean(bits_per_word))
        metrics["per_spike"][code] = metrics["bits"][code] / max(float(np.mean(counts_per_word)), 1e-9)
    for code in ("rate", "phase", "latency", "population"):
        metrics[f"gap_{code}"] = metrics[f"bits_{code}"] - exact(code)
    metrics["temporal_gain"] = metrics["per_spike"]["latency"] - metrics["per_spike"]["rate"]
    few = []
    for _ in range(80):
        s = np.repeat(np.arange(LEVELS), 10)
        words, _ = respond("rate", s, loss, False, g)
        few.append(_bits(s, words, corrected))
    metrics["few_bias"] = float(np.mean(few)) - exact("rate")
    return metrics | read_back(loss, places, g)


def _bits(s: np.ndarray, words: np.ndarray, corrected: bool) -> float:
    """The information of few trials: the bias of which a warning speaks is what is measured here, against `exact`;
    one shuffle is the least for that warning, which is not wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return mutual_information(s, words, correction="panzeri_treves" if corrected else None, shuffles=1)


def levels() -> np.ndarray:
    """The stimuli, at the middle of sixteenths."""
    return (np.arange(LEVELS) + 0.5) / LEVELS


def respond(code: str, s: np.ndarray, loss: float, still: bool, g: torch.Generator) -> tuple[np.ndarray, float]:
    """A word a trial, without what the code makes no use of, and the mean number of spikes that arrive."""
    x = torch.from_numpy(levels()[s])[:, None]
    if code == "rate":
        spikes = encoders.rate(x, STEPS, generator=g)
    elif code == "latency":
        spikes = encoders.latency(x, STEPS, threshold=0.0)
    elif code == "phase":
        spikes = encoders.phase(x, STEPS, period=4)
    elif code == "population":
        spikes = encoders.rate(encoders.population(x, 4), STEPS // 4, generator=g)
    else:
        ramp = torch.linspace(0, 1, STEPS + 1, dtype=x.dtype)[:, None, None] ** (0 if still else 1)
        spikes = encoders.delta(x * ramp, 1 / STEPS)
    spikes = spikes * (torch.rand(spikes.shape, generator=g) >= loss)
    if code == "latency":
        words = torch.where(spikes.any(0), spikes.argmax(0), -1)
    elif code == "phase":
        words = spikes.unflatten(0, (-1, 4)).sum(0)[..., 0].T
    else:
        words = spikes.sum(0)
    return words.numpy(), float(spikes.abs().sum() / len(s))


def exact(code: str) -> float:
    """The information of the whole channel, in bits, a tenth of the spikes lost."""
    survival = 0.9
    if code == "rate":
        return channel_information(stats.binom.pmf(np.arange(STEPS + 1), STEPS, survival * levels()[:, None]))
    if code == "latency":  # each at its own step, or not at all
        return survival * float(np.log2(LEVELS))
    repeats = STEPS // 4
    if code == "population":
        activity = encoders.population(torch.from_numpy(levels())[:, None], 4).numpy()
        counts = stats.binom.pmf(np.arange(repeats + 1), repeats, survival * activity[..., None])  # (stimuli, 4, 5)
        return channel_information(np.einsum("sa,sb,sc,sd->sabcd", *counts.swapaxes(0, 1)).reshape(LEVELS, -1))
    # four independent digits, as often each
    alone = survival * np.array([[0.0], [1.0]])
    return 4 * channel_information(stats.binom.pmf(np.arange(repeats + 1), repeats, alone))


def read_back(loss: float, places: int, g: torch.Generator) -> dict[str, float]:
    """Root mean square errors of what decoders tell, of stimuli that no spike was lost of."""
    x = torch.rand(4000, 1, generator=g, dtype=torch.float64)
    rate = decoding.rate(encoders.rate(x, places, generator=g)) - x
    phase = decoding.phase(encoders.phase(x, STEPS, period=8), period=8) - x
    lost = encoders.rate(x, STEPS, generator=g) * (torch.rand(STEPS, *x.shape, generator=g) >= loss)
    return {
        "error_rate": float(rate.square().mean().sqrt()), "error_phase": float(phase.square().mean().sqrt()),
        "shrunk": float(decoding.rate(lost).mean() / x.mean()),
    }  # fmt: skip


def bars(material: dict[str, Any]) -> Figure:
    """Bits a window and a spike."""
    figure, (row,) = canvas(8, 2.4, 1, 2)
    for axis, name, label in zip(row, ("bits", "per_spike"), ("bits a window", "bits a spike")):
        axis.bar(CODES, [material[name][code] for code in CODES], color=COLOURS[0], width=0.6)
        axis.set_ylabel(label)
        axis.tick_params(axis="x", rotation=30)
    row[0].axhline(4, color="0.6", lw=0.8)
    return figure


CHANNEL = "the channel's likelihoods, summed exactly"
register(
    Experiment(
        name="coding",
        title="Neural codes: bits a window and a spike",
        paper="S. Panzeri, R. Senatore, M. A. Montemurro and R. S. Petersen (2007). Correcting for the sampling bias "
        "problem in spike train information measures. J. Neurophysiol. 98:1064–1072. S. Thorpe, A. Delorme and "
        "R. Van Rullen (2001). Spike-based strategies for rapid processing. Neural Networks 14:715–725.",
        doi="10.1152/jn.00559.2007",
        summary="The same sixteen stimuli as rates, latencies, phases, populations and changes, a tenth of the spikes "
        "lost: information estimated from samples meets that of the channel, and times tell more a spike than counts.",
        claims=(
            Claim(
                "Counts: the information estimated is the channel's.", CHANNEL, "gap_rate", 0.0, 0.06,
                "four standard errors of 200 trials a stimulus", {"loss": 0.5}, "bits",
            ),
            Claim(
                "With 10 trials a stimulus the corrected estimate is off by little.",
                "Panzeri et al. (2007)", "few_bias", 0.0, 0.15,
                "terms of second order, and four standard errors, 0.08; the first is 0.5", {"corrected": False}, "bits",
            ),
            Claim(
                "Times of single spikes: log2 16 bits, of the windows whose spike arrives.", CHANNEL, "gap_latency",
                0.0, 0.1, "four standard errors of the part lost, and what the bias's correction is off by",
                {"loss": 0.3}, "bits",
            ),
            Claim(
                "Phases: four digits, each told four times, hardly suffer.", CHANNEL, "gap_phase", 0.0, 0.05,
                "the correction takes more responses for possible than are", {"loss": 0.5}, "bits",
            ),
            Claim(
                "Four fields of four steps: as their 625 words' likelihoods say.", CHANNEL, "gap_population", 0.0, 0.13,
                "half of the bias before correction", {"corrected": False}, "bits",
            ),
            Claim(
                "A spike whose time is read carries bits more than one that is only counted.",
                "Thorpe, Delorme and Van Rullen (2001)", "temporal_gain", 4 - 1.3276 / 7.2, 0.1,
                "as of the two codes' information", {"shuffled": True}, "bits a spike",
            ),
            Claim(
                "A code of changes tells the height of a ramp ...", "this entry", "bits_delta", AtLeast(2.0), 0.0,
                "a bound; 4 bits if no spike were lost", {"shuffled": True}, "bits",
            ),
            Claim(
                "... and nothing of what stays.", "this entry", "bits_still", AtMost(0.0), 0.0, "exact: no spikes",
                {"still": False}, "bits",
            ),
            Claim(
                "Rates read back err by √(x (1 − x)/T), 0.102 over uniform stimuli.", "variance of a proportion",
                "error_rate", 0.10206, 0.005, "four standard errors of 4000 stimuli", {"places": 64},
            ),
            Claim(
                "Lost spikes shrink them in proportion.", "this entry", "shrunk", 0.9, 0.02,
                "four standard errors", {"loss": 0.3},
            ),
        ),
        measure=measure,
        pictures={"Sixteen stimuli, 4 bits, in sixteen places for a spike; a tenth of the spikes is lost.": bars},
    )
)  # fmt: skip
