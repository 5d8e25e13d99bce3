"""Spike statistics: plain functions on arrays, the same for spikes in memory and on disk."""

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
