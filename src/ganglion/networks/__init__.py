"""The plain description of a network: populations, projections, wiring; its readers and writers."""

from ganglion.networks import wiring
from ganglion.networks._edgelist import EdgeList
from ganglion.networks._from_nir import from_nir, read_nir
from ganglion.networks._graphs import from_networkx, from_sparse, read_graphml, read_sparse, to_networkx
from ganglion.networks._inputs import Normal, TimeSeries, Uniform
from ganglion.networks._network import Network
from ganglion.networks._population import Population
from ganglion.networks._projection import Background, Projection
from ganglion.networks._store import read_network, write_network
from ganglion.networks._tables import read_edges
from ganglion.networks._to_nir import to_nir, write_nir

__all__ = [
    "Background", "EdgeList", "Network", "Normal", "Population", "Projection", "TimeSeries", "Uniform",
    "from_networkx", "from_nir", "from_sparse", "read_edges", "read_graphml", "read_network",
    "read_nir", "read_sparse", "to_networkx", "to_nir", "wiring", "write_network", "write_nir",
]  # fmt: skip
