"""From activity back to what it is about: decoders, their scores beside chance, alignment of animals; and the inverses
of the encoders in `ranvier.learners.encoders`."""

from ranvier.analysis.decoding.alignment import Alignment, align
from ranvier.analysis.decoding.bayesian import bayesian_decode, posterior
from ranvier.analysis.decoding.codes import delta, latency, phase, population, rate
from ranvier.analysis.decoding.linear import Ridge, ridge, ridge_classifier
from ranvier.analysis.decoding.network import NetworkDecoder
from ranvier.analysis.decoding.scores import (
    Score,
    accuracy,
    balanced_accuracy,
    circular_error,
    confusion,
    decoded_information,
    explained_variance,
    permutation_score,
)
from ranvier.analysis.decoding.tuning import TuningCurves, tuning_curves

__all__ = [
    "Alignment",
    "NetworkDecoder",
    "Ridge",
    "Score",
    "TuningCurves",
    "accuracy",
    "align",
    "balanced_accuracy",
    "bayesian_decode",
    "circular_error",
    "confusion",
    "decoded_information",
    "delta",
    "explained_variance",
    "latency",
    "permutation_score",
    "phase",
    "population",
    "posterior",
    "rate",
    "ridge",
    "ridge_classifier",
    "tuning_curves",
]
