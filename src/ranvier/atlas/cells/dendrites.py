"""Active dendrites on sparse representations: a few synapses recognise large patterns, and predict sequences."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ranvier.analysis import matching
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.nn import ActiveDendrites, SequenceMemory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

LOST = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of a pattern's active neurons, in the noise curve
MIXED = (1, 2, 4, 6, 8, 10)  # patterns on a segment, in the union curve


def measure(
    seed: int,
    size: Size,
    dense: bool = False,
    threshold: float = 1.0,
    cells: int = 16,
    disjoint: bool = False,
    lessons: int = 12,
) -> dict[str, Any]:
    """The laws at the paper's sizes, drawn segments beside them, and a memory of sequences.

    dense: half of all neurons are active in a pattern. threshold: a factor of the segments' θ; the laws that they are
    held against keep theirs. cells: of a column of the memory; one knows no context. disjoint: the law
    of unions takes the patterns on a segment for disjoint. lessons: how often each sequence is shown.
    """
    metrics: dict[str, Any] = {}
    for name, (n, a, s, theta) in {
        "wide": (10_000, 300, 24, 12), "whole": (100_000, 2_000, 10, 10), "large": (100_000, 2_000, 20, 10),
        "column": (2_048, 40, 20, 10),
    }.items():  # fmt: skip
        p = matching.false_match(n, n // 2 if dense else a, s, max(1, round(threshold * theta)))
        metrics[f"digits_{name}"] = -math.log10(p) if p else math.inf
    metrics |= drawn(seed, size, dense, threshold) | unions(seed, size, disjoint)
    return metrics | sequences(seed, cells, threshold, lessons)


@cache  # mutants share what they do not change
def drawn(seed: int, size: Size, dense: bool, factor: float) -> dict[str, Any]:
    """Segments drawn at random, tried with random patterns and with noisy versions of their own patterns."""
    g = torch.Generator().manual_seed(seed)
    neurons, trials = {"small": (500, 1000), "full": (2000, 5000)}[size]
    n, a, s, theta = 400, 200 if dense else 80, 24, 12
    law = matching.false_match(n, 80, s, theta)
    detectors = ActiveDendrites.random(n, neurons, segments=1, synapses=s, threshold=factor * theta, generator=g)
    with torch.no_grad():
        rate = float(detectors.recognised(patterns(trials, n, a, g)).mean())
    metrics: dict[str, Any] = {"false_ratio": rate / law}
    metrics["false_error"] = 4 * math.sqrt((1 - law) / law / (neurons * trials))
    n, a = 10_000, 5000 if dense else 300  # a larger world: what noise adds seldom falls on a segment
    own = patterns({"small": 100, "full": 1000}[size], n, a, g)
    chosen = own.multinomial(s, generator=g)
    detectors = ActiveDendrites(n, len(own), chosen, torch.arange(len(own)), threshold=factor * theta)
    curve = []
    for part in LOST:
        remaining = torch.rand(own.shape, generator=g).masked_fill(own == 0, -1.0).topk(round((1 - part) * a)).indices
        noisy = torch.zeros_like(own).scatter_(1, remaining, 1.0)
        extra = torch.rand(own.shape, generator=g).masked_fill(own == 1, -1.0).topk(round(part * a)).indices
        with torch.no_grad():
            curve.append(float(detectors.recognised(noisy.scatter_(1, extra, 1.0)).diagonal().mean()))
    metrics["curve"] = curve
    metrics["law"] = [1 - matching.false_negative(300, s, theta, round(part * 300)) for part in LOST]
    metrics["noise_gap"] = max(abs(x - y) for x, y in zip(curve, metrics["law"], strict=True))
    metrics["noise_error"] = 4 * 0.5 / math.sqrt(len(own))
    metrics["kept_at_30"], metrics["kept_error"] = curve[3], 4 * math.sqrt(0.0087 * 0.9913 / len(own))
    return metrics


def patterns(count: int, n: int, a: int, g: torch.Generator) -> torch.Tensor:
    """Random patterns (count, n) with exactly a active."""
    active = torch.rand(count, n, generator=g).topk(a).indices
    return torch.zeros(count, n).scatter_(1, active, 1.0)


@cache  # mutants share what they do not change
def unions(seed: int, size: Size, disjoint: bool) -> dict[str, Any]:
    """Synapses from several patterns mixed on one segment."""
    g = torch.Generator().manual_seed(seed + 1)
    n, a, s, theta = 2048, 40, 20, 10
    law = [matching.union_false_match(n, a, s, theta, m) for m in MIXED]
    neurons, trials, m = {"small": 300, "full": 1000}[size], {"small": 300, "full": 2000}[size], 20
    mixed = torch.stack([patterns(neurons, n, s, g) for _ in range(m)]).amax(0)
    most = int(mixed.sum(1).max())
    values, synapses = mixed.topk(most)
    synapses = torch.where(values > 0, synapses, -1)
    detectors = ActiveDendrites(n, neurons, synapses, torch.arange(neurons), threshold=theta)
    with torch.no_grad():
        rate = float(detectors.recognised(patterns(trials, n, a, g)).mean())
    if disjoint:
        prediction = matching.false_match(n, a, s * m, theta)
    else:
        prediction = matching.union_false_match(n, a, s, theta, m)
    # segments that are larger than others match more of the patterns, so count them, not pairs
    return {
        "union": law, "union_ratio": rate / prediction,
        "union_error": 4 * math.sqrt(1 / prediction / (neurons * trials)) + 0.02,
        "union_digits": -math.log10(matching.union_false_match(n, a, s, theta, 4)),
    }  # fmt: skip


@cache  # mutants share what they do not change
def sequences(seed: int, cells: int, factor: float, lessons: int) -> dict[str, Any]:
    """Sequences with a common middle, each learned a few times; then cues that are whole, noisy or cut short."""
    rng = np.random.default_rng(seed)
    columns, active, count, middle = 1024, 20, 8, 3

    def letter() -> np.ndarray:
        return np.sort(rng.choice(columns, active, replace=False))

    common = [letter() for _ in range(middle)]
    songs = [[letter(), *common, letter()] for _ in range(count)]
    memory = SequenceMemory(columns, cells, threshold=round(12 * factor), near=min(8, round(12 * factor)), wrong=0.1)
    for _ in range(lessons):
        for k in rng.permutation(count):
            state = memory.init_state()
            for element in songs[k]:
                state = memory.step(state, element)

    def predictions(song: list[np.ndarray], noise: float) -> np.ndarray:
        state = memory.init_state()
        for element in song[:-1]:
            lost = round(noise * active)
            remaining = rng.permutation(element)[lost:]
            other = rng.choice(np.setdiff1d(np.arange(columns), element), lost, replace=False)
            state = memory.step(state, np.concatenate([remaining, other]), learn=False)
        return memory.predicted_columns(state)

    def score(noise: float) -> tuple[float, float]:
        """Share of the song's own end that is predicted, and mean share of the other songs' ends."""
        own, others = [], []
        for k, song in enumerate(songs):
            predicted = predictions(song, noise)
            own.append(np.isin(song[-1], predicted).mean())
            ends = np.concatenate([other[-1] for j, other in enumerate(songs) if j != k])
            others.append(np.isin(np.setdiff1d(ends, song[-1]), predicted).mean())
        return float(np.mean(own)), float(np.mean(others))

    (own, others), (noisy, _) = score(0.0), score(0.2)
    return {"own_end": own, "other_ends": others, "own_end_noisy": noisy, "segments": memory.segments}


def robustness(material: dict[str, Any]) -> Figure:
    """Recognition against noise, and false matches against the patterns mixed on a segment."""
    figure, (row,) = canvas(8, 2.6, 1, 2)
    row[0].plot(np.array(LOST) * 100, np.array(material["law"]) * 100, color=COLOURS[0], label="law")
    row[0].plot(np.array(LOST) * 100, np.array(material["curve"]) * 100, "o", color=COLOURS[1], label="drawn")
    row[0].set(xlabel="active neurons replaced (%)", ylabel="patterns recognised (%)")
    row[0].legend(frameon=False)
    row[1].plot(MIXED, material["union"], "o-", ms=4, color=COLOURS[0])
    row[1].set(xlabel="patterns mixed on a segment", ylabel="false match", yscale="log")
    return figure


PAPER = "Ahmad and Hawkins (2016)"
SEQUENCES = "Hawkins and Ahmad (2016), Why neurons have thousands of synapses, Front. Neural Circuits 10:23"
register(
    Experiment(
        name="dendrites",
        title="Active dendrites on sparse representations",
        paper="S. Ahmad and J. Hawkins (2016). How do neurons operate on sparse distributed representations? "
        "A mathematical theory of sparsity, neurons and active dendrites. arXiv:1601.00720.",
        summary="A dendritic segment with some twenty synapses and an NMDA threshold of half of them recognises "
        "patterns of hundreds of neurons, mistakes none of the others, and bears noise; not if activity is dense.",
        claims=(
            Claim(
                "24 synapses, 12 of them active, mistake one in 10^12 patterns of 300 of 10 000 neurons.",
                PAPER + ", overlap sets", "digits_wide", 12.0770, 1e-4, "exact; rounding", {"dense": True},
                "digits",
            ),
            Claim(
                "10 of 10 synapses: one in 10^17 patterns of 2000 of 100 000 neurons.",
                PAPER + ", overlap sets", "digits_whole", 16.9993, 1e-4, "exact; rounding of the figure",
                {"threshold": 0.5}, "digits",
            ),
            Claim(
                "10 of 20 synapses: one in 10^12 of them.",
                PAPER + ", overlap sets", "digits_large", 11.8119, 1e-4, "exact; rounding", {"dense": True},
                "digits",
            ),
            Claim(
                "10 of 20 synapses on 2048 columns, 40 of them active, as in sequence memories: 3.9e-13.",
                PAPER + ", overlap sets", "digits_column", 12.409, 0.006, "two digits are given", {"threshold": 0.5},
                "digits",
            ),
            Claim(
                "Drawn segments err as often as the law says (400 neurons, 80 active).",
                PAPER + ", overlap sets", "false_ratio", 1.0, "false_error", "four standard errors",
                {"threshold": 0.5},
            ),
            Claim(
                "The part of noisy patterns recognised follows the law, from none to 60 % of neurons replaced.",
                PAPER + ", robustness to noise", "noise_gap", 0.0, "noise_error", "four standard errors",
                {"threshold": 1.5},
            ),
            Claim(
                "Of patterns with 30 % of their neurons replaced 99 % are recognised.",
                PAPER + ", robustness to noise", "kept_at_30", AtLeast(0.9912), "kept_error", "four standard errors",
                {"threshold": 1.5},
            ),
            Claim(
                "Synapses from 20 patterns mixed on a segment: false matches as the law of unions says.",
                PAPER + ", union property", "union_ratio", 1.0, "union_error",
                "four standard errors of the pairs, and 2 % for segments that share their patterns",
                {"disjoint": True},
            ),
            Claim(
                "Neurons with such dendrites, many a column, predict how a sequence ends, by how it began three "
                "elements earlier ...",
                SEQUENCES, "own_end", AtLeast(0.98), 0.0, "a column in fifty", {"lessons": 1},
            ),
            Claim(
                "... and not how the others end that share the middle.",
                SEQUENCES, "other_ends", AtMost(0.05), 0.0,
                "random ends share 2 % of their columns", {"cells": 1},
            ),
            Claim(
                "They do so though a fifth of each element's columns is replaced.",
                SEQUENCES, "own_end_noisy", AtLeast(0.9), 0.0,
                "a column that loses 9 of 20 synapses stays silent, one in a hundred", {"threshold": 1.5},
            ),
        ),
        measure=measure,
        pictures={"Patterns recognised in noise, and what mixing patterns on a segment costs.": robustness},
    )
)  # fmt: skip
