"""Reservoirs as scikit-learn estimators: a fixed memory of a series, and a linear readout that is learned."""

from ranvier.reservoirs._estimator import DivergenceWarning
from ranvier.reservoirs._weights import IntrinsicPlasticity
from ranvier.reservoirs.cell import Reservoir
from ranvier.reservoirs.classifier import ReservoirClassifier
from ranvier.reservoirs.esn import ESN
from ranvier.reservoirs.measures import memory_capacity, nrmse, valid_time
from ranvier.reservoirs.ngrc import NGRC
from ranvier.reservoirs.systems import double_scroll, lorenz63
from ranvier.reservoirs.transformer import ReservoirTransformer

__all__ = [
    "ESN", "NGRC", "DivergenceWarning", "IntrinsicPlasticity", "Reservoir", "ReservoirClassifier",
    "ReservoirTransformer", "double_scroll", "lorenz63", "memory_capacity", "nrmse", "valid_time",
]  # fmt: skip
