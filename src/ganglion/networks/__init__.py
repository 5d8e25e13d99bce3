"""The plain description of a network: populations, projections, wiring; its readers and writers."""

from ganglion.networks import wiring
from ganglion.networks._inputs import Normal, TimeSeries, Uniform
from ganglion.networks._network import Network
from ganglion.networks._population import Population
from ganglion.networks._projection import Background, Projection

__all__ = [
    "Background", "Network", "Normal", "Population", "Projection", "TimeSeries", "Uniform", "wiring",
]  # fmt: skip
