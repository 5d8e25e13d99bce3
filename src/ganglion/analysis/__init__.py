"""Spike statistics: plain functions on arrays, the same for spikes in memory and on disk."""

from ganglion.analysis._counts import correlation, counts, covariance, fano
from ganglion.analysis._lags import cross_correlation
from ganglion.analysis._rates import cv, population_rate, rates
from ganglion.analysis._spectra import spectrum
from ganglion.analysis._spikes import Spikes

__all__ = [
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
