"""What `ranvier run` builds from a wiring: a network in a noise-driven regime, and what to say about it."""

from ranvier.brains._built_in import celegans, from_edges, larva
from ranvier.brains._job import Job
from ranvier.brains._signs import read_signs

__all__ = ["Job", "celegans", "from_edges", "larva", "read_signs"]
