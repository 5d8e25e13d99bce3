"""Decoding across animals that share no cells, and of recorded cells, beside chance."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ranvier.analysis.decoding import (
    NetworkDecoder,
    accuracy,
    align,
    balanced_accuracy,
    bayesian_decode,
    circular_error,
    decoded_information,
    permutation_score,
    posterior,
    ridge_classifier,
    tuning_curves,
)
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, dataset, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

ORIENTATIONS, PHASES, LATENT, CELLS, AXES = 4, 2, 8, 80, 12
FULL_TURN = 2 * np.pi


def measure(
    seed: int, size: Size, permuted: bool = False, aligned: bool = True, network: bool = True, shared: bool = False,
    cells: bool = True,
) -> dict[str, Any]:
    """Two simulated animals with one latent code and other cells, and three recordings.

    permuted: training labels of another order. aligned: whether the second animal's responses are laid upon those of
    the first. network: whether the decoder has a hidden layer. shared: whether both families of stimuli use the same
    latents. cells: whether sleeping cells keep their names.
    """
    rng = np.random.default_rng(seed)
    trials = {"small": 40, "full": 200}[size]
    code = rng.standard_normal((2, ORIENTATIONS, LATENT))
    code[1] = code[0] if shared else code[1]
    one, two = (Animal(rng, code) for _ in range(2))
    result: dict[str, Any] = {}
    stimulus, x = one.trials(0, trials)
    train = np.arange(len(x)) % 2 == 0  # whole presentations: each row is one
    labels = stimulus // PHASES
    teaching = rng.permutation(labels[train]) if permuted else labels[train]
    decoder = NetworkDecoder((64,) if network else (), seed=seed, epochs=40).fit(x[train], teaching)
    result["within"] = accuracy(decoder.classify(x[~train]), labels[~train])
    result["bits"] = decoded_information(decoder.classify(x[~train]), labels[~train])
    line = ridge_classifier(x[train], labels[train])
    score = permutation_score(
        lambda y: accuracy(ridge_classifier(x[train], y[train]).classify(x[~train]), y[~train]), labels, permutations=20
    )
    result |= {"linear": accuracy(line.classify(x[~train]), labels[~train]), "chance": score.chance}
    result["gain"] = result["within"] - result["linear"]
    result |= across(one, two, seed, trials, permuted, aligned)
    other, y = one.trials(1, trials)
    family = np.repeat([0, 1], [train.sum(), len(other) // 2])
    both = np.concatenate([x[train], y[::2]])
    separator = NetworkDecoder((64,), seed=seed, epochs=30).fit(both, rng.permutation(family) if permuted else family)
    tested = np.concatenate([separator.classify(x[~train]), separator.classify(y[1::2])])
    result["family"] = accuracy(tested, np.repeat([0, 1], [(~train).sum(), len(y[1::2])]))
    result["cross_family"] = accuracy(decoder.classify(y[1::2]), other[1::2] // PHASES)
    return result | heads(permuted, cells) | sequences(permuted)


class Animal:
    """Cells that rectify random mixtures of the latents; a grating's sign flips with its phase, so that no line through
    the latents tells its orientation."""

    def __init__(self, rng: np.random.Generator, code: np.ndarray) -> None:
        self.rng, self.code = rng, code
        self.weight = rng.standard_normal((LATENT, CELLS)) / np.sqrt(LATENT)
        self.gain = rng.uniform(0.5, 2.0, CELLS)

    def trials(self, family: int, each: int) -> tuple[np.ndarray, np.ndarray]:
        """Stimuli (n,) and responses (n, cells) of `each` presentations of each stimulus, in random order."""
        stimulus = self.rng.permutation(np.repeat(np.arange(ORIENTATIONS * PHASES), each))
        sign = 1.0 - 2.0 * (stimulus % PHASES)
        latent = sign[:, None] * self.code[family][stimulus // PHASES]
        latent = latent + 0.4 * self.rng.standard_normal(latent.shape)
        drive = np.maximum(latent @ self.weight, -0.3)  # inhibition below rest stays measurable
        return stimulus, self.gain * drive + 0.3 * self.rng.standard_normal(drive.shape)


def across(one: Animal, two: Animal, seed: int, trials: int, permuted: bool, aligned: bool) -> dict[str, Any]:
    """The first animal's decoder on the second, by number of its trials that are aligned and adapted to."""
    stimulus, x = one.trials(0, trials)
    labels = stimulus // PHASES
    scores = {}
    second, y = two.trials(0, trials)
    half = len(y) // 2
    rng = np.random.default_rng(seed + 1)
    for share in (0.1, 0.3, 1.0):
        few = slice(0, int(share * half))
        if len(np.unique(second[few])) < ORIENTATIONS * PHASES:
            continue
        names = second[few] if aligned else rng.permutation(second[few])
        place, components = align(y[few], names, x, stimulus, k=AXES)
        teaching = rng.permutation(labels) if permuted else labels
        decoder = NetworkDecoder((64,), seed=seed, epochs=30).fit(components.project(x), teaching)
        if aligned:
            decoder.adapt(place(y[few]), second[few] // PHASES if not permuted else names // PHASES, epochs=15)
        scores[share] = accuracy(decoder.classify(place(y[half:])), second[half:] // PHASES)
    return {"across": scores[1.0], "by_trials": scores}


@lru_cache(maxsize=2)
def _recording(state: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    from ranvier.recordings import read_session

    file = dataset("cortex/head_direction.mat")
    if file is None:
        return None
    awake = state == "Qrun"
    session = read_session(file, counts=state, bin=10.0, behaviour={"angle": ("angRun", 1)} if awake else [])
    counts = np.asarray(session.binned(200.0).values)
    angle = session.signal("angle").read()[10::20][: len(counts)] if awake else None
    return counts, angle


def heads(permuted: bool, cells: bool) -> dict[str, Any]:
    """Head direction from 200 ms, learned from the first four fifths; and the same curves in REM sleep."""
    awake, asleep = _recording("Qrun"), _recording("Qrem")
    if awake is None or asleep is None or awake[1] is None:
        return {"head_error": None, "head_chance": None, "head_bound": None, "rem_step": None}
    counts, angle = awake[0], awake[1]
    border, gap = len(counts) * 4 // 5, 50  # ten seconds between them
    learned = np.roll(angle[: border - gap], border // 2) if permuted else angle[: border - gap]
    curves = tuning_curves(counts[: border - gap], learned, 200.0, bins=60, period=FULL_TURN, smoothing=1.0)
    decoded = bayesian_decode(counts[border:], curves, 200.0)
    score = permutation_score(
        lambda y: circular_error(decoded, y), angle[border:], shift=True, permutations=50, greater=False
    )
    rng = np.random.default_rng(0)
    turned = np.column_stack([np.roll(c, rng.integers(1, len(c))) for c in asleep[0].T])
    if not cells:
        asleep = asleep[0][:, rng.permutation(asleep[0].shape[1])], None
    steady, wild = (_step(x, curves) for x in (asleep[0], turned))
    return {
        "head_error": float(np.degrees(score.value)), "head_chance": float(np.degrees(score.chance)),
        "head_bound": float(np.degrees(score.chance - 5 * score.spread)),
        "rem_step": steady / wild, "angles": (decoded, angle[border:]),
    }  # fmt: skip


def _step(counts: np.ndarray, curves: Any) -> float:
    """Median change of the decoded direction from one window to the next, radians, where at least five spikes fell in
    each."""
    angle = np.angle(posterior(counts, curves, 200.0, prior="uniform") @ np.exp(1j * curves.centers))
    enough = counts.sum(1) >= 5
    both = enough[1:] & enough[:-1]
    return circular_error(angle[1:][both], angle[:-1][both])


@lru_cache(maxsize=1)
def _sequences() -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    from ranvier.recordings import Signal, read_session

    file = dataset("cortex/sequences_140_neurons_25ms.mat")
    if file is None:
        return None
    session = read_session(file, activity="Zdecode", bin=25.0, transpose=True, behaviour=[])
    bins = cast(Signal, session.activity).read().reshape(240, 30, 140)[:, :24]
    x = bins.reshape(240, 4, 6, 140).sum(2)  # the four elements of 150 ms
    return x.reshape(-1, 140), np.tile(np.arange(4), 240), np.repeat(np.arange(240), 4)


def sequences(permuted: bool) -> dict[str, Any]:
    """Which of a sequence's four elements V1 sees; whole presentations are held out."""
    recorded = _sequences()
    if recorded is None:
        return {"element": None, "element_bits": None}
    x, labels, presentation = recorded
    test = presentation % 5 == 0
    teaching = np.random.default_rng(0).permutation(labels[~test]) if permuted else labels[~test]
    decoded = ridge_classifier(x[~test], teaching, penalty=300.0).classify(x[test])
    return {
        "element": balanced_accuracy(decoded, labels[test]), "element_bits": decoded_information(decoded, labels[test])
    }


def over_trials(material: dict[str, Any]) -> Figure:
    """Accuracy across animals against the second one's trials; the head's direction."""
    figure, (row,) = canvas(7.5, 2.8, 1, 2)
    shares = material["by_trials"]
    row[0].plot([100 * s for s in shares], list(shares.values()), "o-", color=COLOURS[0])
    row[0].axhline(material["chance"], color=COLOURS[5])
    row[0].set(xlabel="second animal's training trials used (%)", ylabel="accuracy", ylim=(0, 1.02), xscale="log")
    if "angles" in material:
        decoded, actual = material["angles"]
        row[1].plot(np.degrees(actual), np.degrees(decoded), ".", ms=1.5, color=COLOURS[0])
    row[1].set(xlabel="head direction (°)", ylabel="decoded (°)", xlim=(0, 360), ylim=(0, 360))
    return figure


IQBAL, PERMUTED = "Iqbal et al. (2019), abstract", {"permuted": True}
register(
    Experiment(
        name="decoding",
        title="Decoding within and across animals",
        paper="A. Iqbal, P. Dong, C. M. Kim and H. Jang (2019). Decoding neural responses in mouse visual cortex "
        "through a deep neural network. IJCNN.",
        doi="10.1109/IJCNN.2019.8852121",
        summary="Two simulated animals share a latent code of gratings, and no cell. A network decodes orientation, "
        "which flips sign with phase, better than a line; after alignment by common stimuli it decodes the other. "
        "Recorded head-direction cells and V1 sequences, where the data are there, with whole blocks and presentations "
        "held out.",
        claims=(
            Claim("Within an animal a network decodes nearly all trials.", IQBAL, "within", AtLeast(0.95), 0.0,
                  "up to 100 % in the paper", PERMUTED),
            Claim("It decodes more than a line does.", IQBAL, "gain", AtLeast(0.02), 0.0, "a bound",
                  {"network": False}),
            Claim("Across animals it decodes most trials, after alignment and a little training.", IQBAL, "across",
                  AtLeast(0.85), 0.0, "91 % in the paper", {"aligned": False}),
            Claim("The family of a stimulus is decoded.", IQBAL, "family", AtLeast(0.85), 0.0,
                  "a bound; 0.5 by chance", PERMUTED),
            Claim("A decoder of one family is at chance on the other.", IQBAL, "cross_family", AtMost(0.25), 0.2,
                  "chance, and the accidents of four random codes", {"shared": True}),
            Claim("Head direction is decoded from 200 ms of 19 cells.", "Peyrache et al. (2015)", "head_error",
                  AtMost(0.0), "head_bound", "chance less five deviations of it, by turning the angles round by random "
                  "times; 90° in the mean", PERMUTED, "degrees", only="recorded cells"),
            Claim("By the waking curves the direction moves less from window to window in REM sleep than that of "
                  "turned trains.", "Peyrache et al. (2015)", "rem_step", AtMost(0.75), 0.0,
                  "1 where cells are independent",
                  {"cells": False}, only="recorded cells"),
            Claim("V1 tells the four elements of a sequence apart.", "Price et al. (2022)", "element", AtLeast(0.35),
                  0.0, "chance, 0.25, and three deviations of 192 tested elements", PERMUTED, only="recorded cells"),
        ),
        measure=measure,
        pictures={"Accuracy by trials of the second animal; head direction, decoded.": over_trials},
    )
)  # fmt: skip
