"""An experiment for the tests of the atlas itself: the mean and spread of a Poisson count."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.atlas import AtLeast, AtMost, Claim, Experiment


def measure(seed: int, size: str, rate: float = 10.0, spread: float = 1.0) -> dict[str, Any]:
    """Counts of `rate` spikes a second; `spread` scales their deviations from the mean."""
    windows = 2_000 if size == "small" else 20_000
    counts = np.random.default_rng(seed).poisson(rate, windows)
    counts = rate + spread * (counts - rate)
    return {
        "rate": counts.mean(),
        "rate_error": 4 * np.sqrt(10.0 / windows),
        "fano": counts.var() / counts.mean(),
        "largest": int(counts.max()),
        "regularity": None,
        "counts": counts,
    }


def histogram(material: dict[str, Any]):
    """Spike counts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3))
    axes = figure.subplots()
    axes.hist(material["counts"], bins=25, color="#0072B2")
    axes.set(xlabel="spikes in 1 s", ylabel="windows")
    return figure


DEMO = Experiment(
    name="demo",
    title="A Poisson process & its counts",
    paper="Siméon Denis Poisson (1837). Recherches sur la probabilité des jugements.",
    doi="10.0000/demo",
    summary="Counts of independent events: mean and variance are one number.",
    claims=(
        Claim(
            "The mean count is the rate.",
            "ch. 3",
            "rate",
            10.0,
            "rate_error",
            "four standard errors",
            {"rate": 12.0},
            "Hz",
        ),
        Claim(
            "The variance is at least the mean.",
            "ch. 3",
            "fano",
            AtLeast(1.0),
            0.1,
            "the seeds' spread",
            {"spread": 0.5},
        ),
        Claim(
            "No window holds five times the mean.",
            "ch. 3",
            "largest",
            AtMost(50),
            0,
            "exact",
            {"spread": 20.0},
            "spikes",
        ),
        Claim("Counts are regular.", "a claim that is wrong", "fano", 0.1, 0.1, "a guess", {"spread": 2.0}),
        Claim("Intervals are regular.", "ch. 4", "regularity", 1.0, 0.1, "not measured here", {"rate": 1.0}),
    ),
    measure=measure,
    pictures={"Spike counts in windows of 1 s <b>": histogram},
)
