"""Learning algorithms, and `fit`, which runs any of them."""

from ranvier.learners import nested, regimes
from ranvier.learners.backpropagation.bptt import BPTT
from ranvier.learners.backpropagation.truncated import TruncatedBPTT
from ranvier.learners.counting import Learning, count_learning
from ranvier.learners.datasets.augmentation import (
    CropPixels,
    DropEvents,
    FlipSides,
    ReverseTime,
    StretchTime,
    SwapPolarity,
    TimeJitter,
)
from ranvier.learners.datasets.cameras import read_aedat, read_evt
from ranvier.learners.datasets.cochleas import read_shd
from ranvier.learners.datasets.events import EVENT, EventFrames, bin_events, read_bs2, read_nmnist
from ranvier.learners.datasets.idx import read_idx, read_mnist
from ranvier.learners.datasets.synthetic import moving_grating, spiking_digits
from ranvier.learners.decoupled.synthetic import SyntheticGradients, synthesiser
from ranvier.learners.encoders import delta, latency, phase, population, rate
from ranvier.learners.energy_based import nudging
from ranvier.learners.energy_based.contrastive import ContrastiveHebbian
from ranvier.learners.energy_based.equilibrium import EquilibriumPropagation
from ranvier.learners.energy_based.predictive_coding import PredictiveCoding
from ranvier.learners.feedback import pathways
from ranvier.learners.feedback.alignment import FeedbackAlignment, gradient_angles
from ranvier.learners.feedback.bursts import BurstDependent
from ranvier.learners.feedback.direct import DirectFeedbackAlignment
from ranvier.learners.feedback.target_propagation import TargetPropagation
from ranvier.learners.fitting.history import History
from ranvier.learners.fitting.loop import Learner, fit
from ranvier.learners.force.force import FORCE
from ranvier.learners.force.full_force import FullFORCE
from ranvier.learners.force.least_squares import RecursiveLeastSquares
from ranvier.learners.force.rate_network import RateNetwork
from ranvier.learners.forward_forward.layered import ForwardForward
from ranvier.learners.forward_forward.recurrent import RecurrentForwardForward, TopDownLayers
from ranvier.learners.local.eprop import EProp
from ranvier.learners.local.hlop import HLOP
from ranvier.learners.local.pspm import PSPM, spike_distance
from ranvier.learners.local.supervised_stdp import SupervisedSTDP
from ranvier.learners.local.tess import TESS, square_waves
from ranvier.learners.losses import (
    accuracy,
    first_spike,
    first_spike_accuracy,
    first_spike_cross_entropy,
    membrane_cross_entropy,
    rate_cross_entropy,
    rate_mse,
)
from ranvier.learners.perforated.learner import PerforatedBackpropagation, Plateau
from ranvier.learners.perforated.perforation import adopt, count_dendrites, grow, perforate
from ranvier.learners.perturbation.node import NodePerturbation
from ranvier.learners.perturbation.spiking import SpikingNodePerturbation
from ranvier.learners.perturbation.weight import WeightPerturbation
from ranvier.learners.standardisation import standardise

__all__ = [
    "BPTT",
    "EVENT",
    "FORCE",
    "HLOP",
    "PSPM",
    "TESS",
    "BurstDependent",
    "ContrastiveHebbian",
    "CropPixels",
    "DirectFeedbackAlignment",
    "DropEvents",
    "EProp",
    "EquilibriumPropagation",
    "EventFrames",
    "FeedbackAlignment",
    "FlipSides",
    "ForwardForward",
    "FullFORCE",
    "History",
    "Learner",
    "Learning",
    "NodePerturbation",
    "PerforatedBackpropagation",
    "Plateau",
    "PredictiveCoding",
    "RateNetwork",
    "RecurrentForwardForward",
    "RecursiveLeastSquares",
    "ReverseTime",
    "SpikingNodePerturbation",
    "StretchTime",
    "SupervisedSTDP",
    "SwapPolarity",
    "SyntheticGradients",
    "TargetPropagation",
    "TimeJitter",
    "TopDownLayers",
    "TruncatedBPTT",
    "WeightPerturbation",
    "accuracy",
    "adopt",
    "bin_events",
    "count_dendrites",
    "count_learning",
    "delta",
    "first_spike",
    "first_spike_accuracy",
    "first_spike_cross_entropy",
    "fit",
    "gradient_angles",
    "grow",
    "latency",
    "membrane_cross_entropy",
    "moving_grating",
    "nested",
    "nudging",
    "pathways",
    "perforate",
    "phase",
    "population",
    "rate",
    "rate_cross_entropy",
    "rate_mse",
    "read_aedat",
    "read_bs2",
    "read_evt",
    "read_idx",
    "read_mnist",
    "read_nmnist",
    "read_shd",
    "regimes",
    "spike_distance",
    "spiking_digits",
    "square_waves",
    "standardise",
    "synthesiser",
]  # fmt: skip
