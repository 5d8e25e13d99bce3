"""Spike statistics: plain functions on arrays, the same for spikes in memory and on disk."""

import importlib
from typing import TYPE_CHECKING

from ranvier.analysis.spikes.activity import Activity
from ranvier.analysis.spikes.counts import correlation, counts, covariance, fano
from ranvier.analysis.spikes.lags import cross_correlation
from ranvier.analysis.spikes.questions import SpikeQuestions
from ranvier.analysis.spikes.rates import cv, population_rate, rates
from ranvier.analysis.spikes.spectra import spectrum
from ranvier.analysis.spikes.stream import Spikes

if TYPE_CHECKING:
    from ranvier.analysis import comparison as comparison
    from ranvier.analysis import decoding as decoding
    from ranvier.analysis import encoding as encoding
    from ranvier.analysis import ensembles as ensembles
    from ranvier.analysis import filaments as filaments
    from ranvier.analysis import information as information
    from ranvier.analysis import manifolds as manifolds
    from ranvier.analysis import matching as matching
    from ranvier.analysis import spatial as spatial
    from ranvier.analysis import stimuli as stimuli

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


if not TYPE_CHECKING:  # with it a type checker would take any misspelt name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'ranvier.analysis' has no attribute {name!r}")
        return importlib.import_module(f"ranvier.analysis.{name}")
