"""Learning algorithms, and `fit`, which runs any of them."""

from ganglion.learners._fit import Learner, fit
from ganglion.learners.bptt import BPTT
from ganglion.learners.encoders import latency, rate
from ganglion.learners.idx import read_idx, read_mnist
from ganglion.learners.losses import accuracy, membrane_cross_entropy, rate_cross_entropy

__all__ = [
    "BPTT", "Learner", "accuracy", "fit", "latency", "membrane_cross_entropy", "rate", "rate_cross_entropy",
    "read_idx", "read_mnist",
]  # fmt: skip
