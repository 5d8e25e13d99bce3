"""Spike statistics: plain functions on arrays, the same for spikes in memory and on disk."""

from ranvier.analysis._counts import correlation, counts, covariance, fano
from ranvier.analysis._lags import cross_correlation
from ranvier.analysis._rates import cv, population_rate, rates
from ranvier.analysis._spectra import spectrum
from ranvier.analysis.activity import Activity
from ranvier.analysis.questions import SpikeQuestions
from ranvier.analysis.spikes import Spikes

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
