"""Reservoirs as scikit-learn estimators: a fixed memory of a series, and a linear readout that is learned."""

from ganglion.reservoirs.cell import Reservoir
from ganglion.reservoirs.esn import ESN
from ganglion.reservoirs.measures import memory_capacity, nrmse, valid_time
from ganglion.reservoirs.ngrc import NGRC
from ganglion.reservoirs.systems import double_scroll, lorenz63

__all__ = ["ESN", "NGRC", "Reservoir", "double_scroll", "lorenz63", "memory_capacity", "nrmse", "valid_time"]
