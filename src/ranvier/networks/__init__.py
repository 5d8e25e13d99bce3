"""The plain description of a network: populations, projections, wiring; its readers and writers."""

from ranvier.networks import wiring
from ranvier.networks._edge_list import EdgeList
from ranvier.networks._inputs import TimeSeries
from ranvier.networks._network import Network
from ranvier.networks._population import Population
from ranvier.networks._projection import Background, Projection
from ranvier.networks.distributions import (
    ByDistance,
    Distribution,
    ExponentialDistribution,
    LogNormal,
    Normal,
    Uniform,
)
from ranvier.networks.readers.arrays import read_sparse
from ranvier.networks.readers.edges import read_edges
from ranvier.networks.readers.graphs import from_networkx, read_graphml, to_networkx
from ranvier.networks.readers.matrices import from_sparse
from ranvier.networks.readers.nir import from_nir, read_nir
from ranvier.networks.store import read_network, write_network
from ranvier.networks.writers.nir import to_nir, write_nir

__all__ = [
    "Background", "ByDistance", "Distribution", "EdgeList", "ExponentialDistribution", "LogNormal", "Network", "Normal",
    "Population", "Projection", "TimeSeries", "Uniform",
    "from_networkx", "from_nir", "from_sparse", "read_edges", "read_graphml", "read_network",
    "read_nir", "read_sparse", "to_networkx", "to_nir", "wiring", "write_network", "write_nir",
]  # fmt: skip
