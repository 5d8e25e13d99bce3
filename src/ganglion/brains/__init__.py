"""What `ganglion run` builds from a wiring: a network in a noise-driven regime, and what to say about it."""

from ._built_in import celegans, from_edges, larva
from ._job import Job
from ._signs import read_signs

__all__ = ["Job", "celegans", "from_edges", "larva", "read_signs"]
