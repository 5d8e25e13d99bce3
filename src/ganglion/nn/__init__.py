"""Layers of neurons as torch modules, each a `Cell`: `forward(x[T, B, N], state=None) -> (y, state)`."""

from ganglion.nn._buffers import release_buffers
from ganglion.nn.accounting import Operations, count_operations, spike_operations
from ganglion.nn.lif import LI, LIF
from ganglion.nn.sequential import Sequential

__all__ = ["LI", "LIF", "Operations", "Sequential", "count_operations", "release_buffers", "spike_operations"]
