"""Rates and irregularity of the benchmark networks, seed by seed, and how far two sets of them lie apart."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

REFERENCE = Path(__file__).parent / "reference"

# Seeds of each simulator; NEST's adaptive neurons take minutes a run.
SEEDS = {
    "cuba4000": {"brian2": 20, "nest": 20, "ranvier": 20},
    "cuba16000": {"brian2": 8, "nest": 8, "ranvier": 8},
    "brunel": {"brian2": 10, "nest": 8, "ranvier": 10},
    "eif": {"brian2": 8, "nest": 3, "ranvier": 8},
    "eif_net": {"brian2": 12, "nest": 8, "ranvier": 12},
    "cobahh": {"brian2": 12, "nest": 4, "ranvier": 12},
}


def load(case: str) -> dict[str, Any]:
    """The stored figures of a case: peer -> version, seeds, rate and cv a seed, and what was run."""
    return json.loads((REFERENCE / f"{case}.json").read_text("utf-8"))


def welch(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Difference of means with its standard error, z (their quotient) and Welch's two-sided p."""
    a, b = np.asarray(ours), np.asarray(theirs)
    error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return {
        "ours": float(a.mean()),
        "theirs": float(b.mean()),
        "sd_ours": float(a.std(ddof=1)),
        "sd_theirs": float(b.std(ddof=1)),
        "error": error,
        "z": float((a.mean() - b.mean()) / error),
        "p": float(stats.ttest_ind(a, b, equal_var=False).pvalue),
    }
