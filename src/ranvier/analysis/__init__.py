"""Spike statistics: plain functions on arrays, the same for spikes in memory and on disk."""

import importlib
from typing import Any

from ranvier.analysis.spikes.activity import Activity
from ranvier.analysis.spikes.counts import correlation, counts, covariance, fano
from ranvier.analysis.spikes.lags import cross_correlation
from ranvier.analysis.spikes.questions import SpikeQuestions
from ranvier.analysis.spikes.rates import cv, population_rate, rates
from ranvier.analysis.spikes.spectra import spectrum
from ranvier.analysis.spikes.stream import Spikes

__all__ = [
    "Activity",
    "SpikeQuestions",
    "Spikes",
    "correlation",
    "counts",
    "covariance",
    "cross_correlation",
    "cv",
    "fano",
    "population_rate",
    "rates",
    "spectrum",
]

#: imported on first use
_MODULES = (
    "comparison", "decoding", "encoding", "ensembles", "filaments", "information", "manifolds", "matching", "spatial",
    "stimuli",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'ranvier.analysis' has no attribute {name!r}")
    return importlib.import_module(f"ranvier.analysis.{name}")
