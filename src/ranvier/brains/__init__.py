"""What `ranvier run` builds from a wiring: a network in a noise-driven regime, and what to say about it."""

from ranvier.brains._built_in import celegans, from_edges, larva
from ranvier.brains._connectomes import BrainWiring, read_connectome
from ranvier.brains._fly import dose_response, fly_network
from ranvier.brains._fly_wiring import fly_wiring
from ranvier.brains._followers import Followers, followers
from ranvier.brains._job import Job
from ranvier.brains._labels import find, shown
from ranvier.brains._signs import read_signs

__all__ = [
    "BrainWiring", "Followers", "Job", "celegans", "dose_response", "find", "fly_network", "fly_wiring", "followers",
    "from_edges", "larva",
    "read_connectome", "read_signs", "shown",
]  # fmt: skip
