"""Learning algorithms, and `fit`, which runs any of them."""

from ganglion.learners import nudging
from ganglion.learners._counting import Learning, count_learning
from ganglion.learners._fit import Learner, fit
from ganglion.learners._standardise import standardise
from ganglion.learners.bptt import BPTT
from ganglion.learners.contrastive import ContrastiveHebbian
from ganglion.learners.encoders import delta, latency, phase, population, rate
from ganglion.learners.eprop import EProp
from ganglion.learners.equilibrium import EquilibriumPropagation
from ganglion.learners.events import bin_events, read_bs2, read_nmnist
from ganglion.learners.hlop import HLOP
from ganglion.learners.idx import read_idx, read_mnist
from ganglion.learners.losses import (
    accuracy,
    first_spike,
    first_spike_accuracy,
    first_spike_cross_entropy,
    membrane_cross_entropy,
    rate_cross_entropy,
    rate_mse,
)
from ganglion.learners.predictive_coding import PredictiveCoding
from ganglion.learners.pspm import PSPM, spike_distance
from ganglion.learners.supervised_stdp import SupervisedSTDP
from ganglion.learners.tess import TESS, square_waves
from ganglion.learners.truncated import TruncatedBPTT

__all__ = [
    "BPTT", "HLOP", "PSPM", "TESS", "ContrastiveHebbian", "EProp", "EquilibriumPropagation", "Learner", "Learning",
    "PredictiveCoding", "SupervisedSTDP", "TruncatedBPTT", "accuracy", "bin_events", "count_learning", "delta",
    "first_spike", "first_spike_accuracy", "first_spike_cross_entropy", "fit", "latency", "membrane_cross_entropy",
    "nudging", "phase", "population", "rate", "rate_cross_entropy", "rate_mse", "read_bs2", "read_idx", "read_mnist",
    "read_nmnist", "spike_distance", "square_waves", "standardise",
]  # fmt: skip
