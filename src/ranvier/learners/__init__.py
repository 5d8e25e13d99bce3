"""Learning algorithms, and `fit`, which runs any of them."""

from ranvier.learners import nudging
from ranvier.learners._counting import Learning, count_learning
from ranvier.learners._fit import Learner, fit
from ranvier.learners._standardise import standardise
from ranvier.learners.bptt import BPTT
from ranvier.learners.contrastive import ContrastiveHebbian
from ranvier.learners.encoders import delta, latency, phase, population, rate
from ranvier.learners.eprop import EProp
from ranvier.learners.equilibrium import EquilibriumPropagation
from ranvier.learners.events import bin_events, read_bs2, read_nmnist
from ranvier.learners.hlop import HLOP
from ranvier.learners.idx import read_idx, read_mnist
from ranvier.learners.losses import (
    accuracy,
    first_spike,
    first_spike_accuracy,
    first_spike_cross_entropy,
    membrane_cross_entropy,
    rate_cross_entropy,
    rate_mse,
)
from ranvier.learners.predictive_coding import PredictiveCoding
from ranvier.learners.pspm import PSPM, spike_distance
from ranvier.learners.supervised_stdp import SupervisedSTDP
from ranvier.learners.tess import TESS, square_waves
from ranvier.learners.truncated import TruncatedBPTT

__all__ = [
    "BPTT", "HLOP", "PSPM", "TESS", "ContrastiveHebbian", "EProp", "EquilibriumPropagation", "Learner", "Learning",
    "PredictiveCoding", "SupervisedSTDP", "TruncatedBPTT", "accuracy", "bin_events", "count_learning", "delta",
    "first_spike", "first_spike_accuracy", "first_spike_cross_entropy", "fit", "latency", "membrane_cross_entropy",
    "nudging", "phase", "population", "rate", "rate_cross_entropy", "rate_mse", "read_bs2", "read_idx", "read_mnist",
    "read_nmnist", "spike_distance", "square_waves", "standardise",
]  # fmt: skip
