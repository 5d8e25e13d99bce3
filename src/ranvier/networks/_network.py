"""A network: a plain description of populations, projections and background, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ranvier._checks import count, nearest, printable, values
from ranvier._text import plural
from ranvier.codegen.keys import stream_key
from ranvier.networks import _html
from ranvier.networks._connect import learning, per_edge, receives, rule_of, synapse_of, transmits
from ranvier.networks._inputs import DELAY, TimeSeries
from ranvier.networks._population import Population, initial_of, labels_of, method_of, parameters_of, positions_of
from ranvier.networks._projection import Background, Projection
from ranvier.networks.distributions import drawn, drawn_per_edge
from ranvier.networks.groups import groups_of, names_of
from ranvier.networks.settings import Settable, assign, checked, rate_of, resolve
from ranvier.networks.wiring import Wiring

if TYPE_CHECKING:
    import networkx
    from torch import Tensor

    from ranvier.networks.distributions import Distribution

#: the streams of backgrounds' distributions; those of populations come before
_AFTER = -1 - 2**32


class Network:
    """Populations of neurons, and who reaches whom. It describes; `simulate` and `predict` act on it.

    Parameters
    ----------
    seed
        Seed of the drawn wiring, and of what is drawn from a `Distribution`.

    Attributes
    ----------
    populations, projections, backgrounds
        lists, in order of `add`, `connect` and `background`

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network(seed=1)
    >>> exc = net.add(rv.LIF(), 80, name="exc", drive=10.0)
    >>> inh = net.add(rv.LIF(), 20, name="inh", drive=10.0)
    >>> projection = net.connect(exc, inh, weight=0.5, in_degree=10)
    >>> net.size, projection.size
    (100, 200)
    """

    def __init__(self, seed: int = 0) -> None:
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise TypeError(f"seed is {seed!r}; expected a whole number.")
        self.seed = seed.__index__()
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {seed}; expected a whole number from 0 to 2^63 - 1")
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.backgrounds: list[Background] = []

    @property
    def size(self) -> int:
        """The number of neurons."""
        return sum(p.size for p in self.populations)

    @property
    def names(self) -> list[str]:
        """(neurons,) every neuron's name: its own, else its population's and its index there."""
        return names_of(groups_of(self, {}, self.size))

    @property
    def classes(self) -> list[str]:
        """(neurons,) every neuron's class: its label, else its population's name."""
        return [p.classes[i] if p.classes else p.name for p in self.populations for i in range(p.size)]

    def __getitem__(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise ValueError(f"there is no population {name!r}; " + nearest(name, (p.name for p in self.populations)))

    def add(
        self,
        neuron: Any,
        size: int,
        name: str | None = None,
        *,
        initial: Mapping[str, Any] | None = None,
        positions: Any = None,
        classes: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        method: str | None = None,
        **parameters: Any,
    ) -> Population:
        """Add `size` neurons of one model and return them as a `Population`.

        Parameters
        ----------
        neuron
            A neuron model, e.g. `EIF()`.
        size
            The number of neurons, 1 or above.
        name
            Unique in the network; by default the model's name in lower case and a number.
        initial
            Variable -> number, tensor (size,), or a `Distribution`, such as `Normal`. Others start at the model's own.
        positions
            (size, dimensions), for wiring by distance and for pictures.
        classes, names
            One label a neuron. Names differ within a population.
        method
            The integrator: "exact", "exponential_euler", "euler", "heun" or "rk4"; None lets the equations
            decide (`ranvier.equations.integrators`).
        parameters
            `drive` (mV), `noise` (mV, SD of the free membrane) and any of the model's
            own parameters: a number, one value a neuron, a `TimeSeries`, or a `Distribution` that values are drawn from
            by the network's seed.

        Raises
        ------
        ValueError, TypeError
            for sizes, names, parameters or values that do not fit, saying what was expected.
        """
        if isinstance(neuron, type):
            kind = neuron.__name__
            raise TypeError(f"The neuron is the class {kind}; expected a model: {kind}().")
        if not hasattr(neuron, "parameters"):
            raise TypeError(f"The neuron is {neuron!r:.60}; expected a neuron model, such as EIF().")
        size = count(size, "size", low=1)
        names_in_use = {p.name for p in self.populations}
        if name is None:
            stem = type(neuron).__name__.lower()
            name = next(f"{stem}{n}" for n in range(len(names_in_use) + 1) if f"{stem}{n}" not in names_in_use)
        if not isinstance(name, str) or not name:
            raise TypeError(f"The population's name is {name!r}; expected a text that is not empty.")
        printable(name, "The population's name")
        if name in names_in_use:
            raise ValueError(f"There is a population {name!r} already; expected a new name.")
        if (
            (spikers := getattr(neuron, "neurons", None)) is not None
            and len(spikers)
            and spikers.max() >= size
        ):
            raise ValueError(
                f"{type(neuron).__name__} has spikes of neuron {int(spikers.max())}, the population {size} "
                f"neurons; expected indices from 0 to {size - 1}."
            )
        own_classes, own_names = labels_of(classes, names, size, name)
        index = len(self.populations)
        parameters = self._drawn(parameters, -1 - index, size)
        population = Population(
            name=name,
            neuron=neuron,
            size=size,
            start=self.size,
            index=index,
            parameters=parameters_of(neuron, size, name, parameters),
            initial=initial_of(neuron, size, name, initial),
            positions=positions_of(positions, size, name),
            classes=own_classes,
            names=own_names,
            method=method_of(method, neuron, name),
        )
        self.populations.append(population)
        return population

    def set(self, target: Settable | str, **values: Any) -> None:
        """Change parameters of a population (`drive` and `noise` among them), a projection's `weight` and
        `wiring` ((sources, targets), or a rule), or a background's `rate` and `weight`; checked as in `add`,
        `connect` and `background`.

        Simulations and predictions that begin afterwards use them; a `Simulation` made before refuses to go on, unless
        the change was made by its own `set`. Raises ValueError or TypeError for what does not fit; nothing is changed
        then.
        """
        own = resolve(self, target)
        if isinstance(own, Projection):
            values = {each: drawn_per_edge(value, each, own) for each, value in values.items()}
        elif isinstance(own, Background):
            values = self._drawn(values, _AFTER - own.index, own.target.size)
        else:
            values = self._drawn(values, -1 - own.index, own.size)
        assign(own, checked(own, values))

    def _drawn(self, values: Mapping[str, Any], stream: int, size: int) -> dict[str, Any]:
        """With numbers, one a neuron, in place of distributions."""
        key = stream_key(self.seed, stream)
        return {name: drawn(value, key, name, size) for name, value in values.items()}

    def connect(
        self,
        source: Population | str,
        targets: Population | str | Sequence[Population | str],
        *,
        weight: Any,
        delay: Any = None,
        synapse: Any = None,
        probability: float | None = None,
        in_degree: int | None = None,
        out_degree: int | None = None,
        edges: tuple[Any, Any] | None = None,
        wiring: Wiring | None = None,
        plasticity: Any = None,
        modulator: Any = None,
    ) -> Any:
        """Wire a population to another (returns a `Projection`), or to each of several (returns a list).

        Parameters
        ----------
        weight
            A number, or a tensor (edges,) in the order of `Projection.edges()`, in the synapse's unit. It is
            kept as given and may require a gradient. Or a `Distribution` or `ByDistance`: values are drawn at once.
        delay
            ms, above 0: a number, a tensor (edges,), or as a weight; 1.0 by default. Continuous synapses have none.
        synapse
            A synapse model, `Delta()` by default.
        probability, in_degree, out_degree, edges, wiring
            Exactly one: chance of each pair; sources a target; targets a source; explicit (sources, targets),
            indices within the populations; or a rule from `ranvier.wiring`.
        plasticity
            A rule from `ranvier.rules` that changes the weights, each spike of the source acting when its
            delay has passed; None: they stay.
        modulator
            The rule's modulator: a `TimeSeries` over the run's time, (T,) or (T, targets); or a `Population`,
            whose spikes, divided by its size, arrive with the projection's shortest delay.

        Raises
        ------
        ValueError, TypeError
            for anything that does not fit, saying what was expected; nothing is added then.
        """
        rule = rule_of(probability, in_degree, out_degree, edges, wiring)
        several = not isinstance(targets, Population | str)
        synapse = synapse_of(synapse)
        source = self._own(source)
        modulator = self._own(modulator) if isinstance(modulator, Population | str) else modulator
        new: list[Projection] = []
        for target in map(self._own, targets if several else (targets,)):  # type: ignore[arg-type]
            bare = self._projection(source, target, weight, delay, synapse, rule, len(new))
            new.append(learning(bare, plasticity, modulator))
        self.projections += new
        return new if several else new[0]

    def _projection(
        self,
        source: Population,
        target: Population,
        weight: Any,
        delay: Any,
        synapse: Any,
        rule: Wiring,
        offset: int,
    ) -> Projection:
        index = len(self.projections) + offset
        where = f"from {source.name!r} to {target.name!r}"
        bare = Projection(source, target, 0.0, 0.0, synapse, rule, index, stream_key(self.seed, index))
        transmits(source, synapse)
        receives(target, synapse)
        rule.check(source.size, target.size, source is target, bare._places()["positions"])
        weight = drawn_per_edge(weight, "weight", bare)
        weight = per_edge(weight, f"The weight {where}", bare, synapse.weight_parameter)
        if synapse.continuous:
            if delay is not None and not (isinstance(delay, int | float) and delay == 0):
                raise ValueError(
                    f"{type(synapse).__name__} {where} has a delay; expected none. A continuous synapse "
                    "sees its source as it is: leave delay out."
                )
            delay = 0.0
        else:
            delay = drawn_per_edge(delay, "delay", bare)
            delay = per_edge(1.0 if delay is None else delay, f"The delay {where}", bare, DELAY)
        return Projection(source, target, weight, delay, synapse, rule, index, bare.key)

    def background(
        self,
        target: Population | str,
        rate: float | Tensor | TimeSeries | Distribution,
        weight: float | Tensor | Distribution,
        synapse: Any = None,
    ) -> Background:
        """Give every neuron of `target` its own Poisson train.

        `rate` in Hz, 0 or above, and `weight` in the synapse's unit: numbers, (size,), one a neuron, or drawn from a
        `Distribution`; the rate may be a `TimeSeries`. `synapse` is `Delta()` by default. Raises ValueError for a
        synapse that takes no spikes, and values that do not fit.
        """
        synapse = synapse_of(synapse)
        target = self._own(target)
        if synapse.continuous:
            raise ValueError(f"{type(synapse).__name__} is continuous; expected a synapse that takes spikes.")
        receives(target, synapse)
        what, index = f"of the background of {target.name!r}", len(self.backgrounds)
        own = self._drawn({"rate": rate, "weight": weight}, _AFTER - index, target.size)
        new = Background(
            target=target,
            rate=rate_of(own["rate"], f"The rate {what}", target.size),
            weight=values(own["weight"], f"The weight {what}", target.size, synapse.weight_parameter),
            synapse=synapse,
            index=index,
        )
        self.backgrounds.append(new)
        return new

    def _own(self, population: Any) -> Population:
        if isinstance(population, str):
            return self[population]
        if not isinstance(population, Population):
            raise TypeError(
                f"Found {type(population).__name__}; expected a Population, as Network.add returned it."
            )
        if not any(p is population for p in self.populations):
            raise ValueError(
                f"Population {population.name!r} belongs to another network; "
                + nearest(population.name, (p.name for p in self.populations))
            )
        return population

    def to_networkx(self) -> networkx.MultiDiGraph:
        """A networkx graph: nodes are global indices, with name, population and class; edges lead from source to
        target, with weight, delay (ms; none of continuous synapses), synapse and projection.

        >>> import ranvier as rv
        >>> net = rv.Network()
        >>> cells = net.add(rv.LIF(), 3, "cells")
        >>> _ = net.connect(cells, cells, weight=1.5, edges=([0, 1], [1, 2]))
        >>> net.to_networkx().edges[0, 1, 0]["weight"]
        1.5
        """
        from ranvier.networks.writers.graphs import to_networkx

        return to_networkx(self)

    def __repr__(self) -> str:
        return (
            f"Network({plural(self.size, 'neuron')} in {plural(len(self.populations), 'population')}, "
            f"{plural(len(self.projections), 'projection')}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        return _html.network(self)
