"""What `Network.connect` checks: the rule, the synapse, both ends, and a value an edge."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ranvier._checks import values
from ranvier.networks.wiring import Edges, InDegree, OutDegree, Probability, Wiring

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.equations import Parameter
    from ranvier.networks._population import Population
    from ranvier.networks._projection import Projection
    from ranvier.synapses import Synapse


def rule_of(probability: Any, in_degree: Any, out_degree: Any, edges: Any, wiring: Any) -> Wiring:
    """The rule of wiring that the arguments name; exactly one."""
    ways = {
        key: value
        for key, value in (
            ("probability", probability), ("in_degree", in_degree), ("out_degree", out_degree),
            ("edges", edges), ("wiring", wiring),
        )
        if value is not None
    }  # fmt: skip
    if len(ways) != 1:
        raise ValueError(
            f"Found {', '.join(ways) or 'no rule'} for the wiring; expected exactly one of probability, "
            "in_degree, out_degree, edges, wiring."
        )
    if probability is not None:
        return Probability(probability)
    if in_degree is not None:
        return InDegree(in_degree)
    if out_degree is not None:
        return OutDegree(out_degree)
    if edges is not None:
        return Edges(*_two_ends(edges))
    if not isinstance(wiring, Wiring):
        hint = f": {wiring.__name__}(...)" if isinstance(wiring, type) else ""
        raise TypeError(f"wiring is {wiring!r:.60}; expected a rule from ranvier.wiring{hint}.")
    return wiring


def _two_ends(edges: Any) -> tuple[Any, Any]:
    """(sources, targets). Two pairs look like two lists of two, so pairs are refused, however many they are."""
    remedy = "Give (sources, targets), flat lists or arrays: pairs = np.array(edges), edges=(pairs[:, 0], pairs[:, 1])."
    if hasattr(edges, "ndim"):
        raise ValueError(f"edges is an array of shape {tuple(edges.shape)}; expected two arrays. {remedy}")
    if not isinstance(edges, tuple | list) or len(edges) != 2:
        size = f"{len(edges)} parts" if hasattr(edges, "__len__") else type(edges).__name__
        raise ValueError(f"edges has {size}; expected two. {remedy}")
    pairs = tuple if isinstance(edges, tuple) else tuple | list
    if any(isinstance(part, pairs) for part in edges):
        raise ValueError(f"edges is {edges!r:.60}, which may be two pairs or two lists; expected two lists. {remedy}")
    return edges[0], edges[1]


def synapse_of(synapse: Any) -> Synapse:
    from ranvier.synapses import Delta, Synapse

    if synapse is None:
        return Delta()
    if not isinstance(synapse, Synapse):
        hint = f": {synapse.__name__}()" if isinstance(synapse, type) else ", such as Exponential(tau=5.0)"
        raise TypeError(f"The synapse is {synapse!r:.60}; expected a synapse model{hint}.")
    return synapse


def transmits(source: Population, synapse: Synapse) -> None:
    """Raise ValueError where the source has not what the synapse passes on: spikes, or a voltage."""
    equations = getattr(source.neuron, "equations", None)
    model = type(source.neuron).__name__
    if synapse.continuous and (equations is None or equations.names[0] != "V"):
        raise ValueError(
            f"Population {source.name!r} of {model} has no voltage V as its first variable, which "
            f"{type(synapse).__name__} passes on; expected "
            "a neuron with one, or a synapse that takes spikes."
        )
    if not synapse.continuous and equations is not None and equations.threshold is None:
        raise ValueError(
            f"Population {source.name!r} of {model} never spikes, which {type(synapse).__name__} waits for; "
            "expected a spiking neuron, or a continuous synapse (Sigmoidal, Electrical, Proportional)."
        )


def receives(target: Population, synapse: Synapse) -> None:
    """Raise ValueError where the target has no input, or no leak conductance that the synapse needs."""
    model = type(target.neuron).__name__
    if getattr(target.neuron, "equations", None) is None:
        raise ValueError(
            f"Population {target.name!r} of {model} takes no input; expected a neuron as target."
        )
    onto, names = getattr(synapse, "onto", "V"), target.neuron.equations.names
    if onto not in ("V", *names):
        raise ValueError(
            f"Population {target.name!r} of {model} has no variable {onto!r}, which {synapse!r} moves; expected one of "
            f"{', '.join(names)}."
        )
    if synapse.weight_unit == "nS" and "g_L" not in target.parameters:
        raise ValueError(
            f"Population {target.name!r} of {model} has no leak conductance g_L (nS), which "
            f"{type(synapse).__name__} needs; expected a neuron with one. Or use a current synapse."
        )


def learning(bare: Projection, plasticity: Any, modulator: Any) -> Projection:
    """The projection with its rule of plasticity and that rule's modulator, checked."""
    from ranvier.networks._inputs import TimeSeries
    from ranvier.networks._population import Population
    from ranvier.rules import Rule

    if plasticity is None:
        if modulator is not None:
            raise ValueError(
                f"{bare!r} has a modulator, but no plasticity; expected both or neither: give plasticity= as well."
            )
        return bare
    if not isinstance(plasticity, Rule):
        hint = f": {plasticity.__name__}()" if isinstance(plasticity, type) else ", such as rules.STDP()"
        raise TypeError(f"The plasticity is {plasticity!r:.60}; expected a rule from ranvier.rules{hint}.")
    if bare.synapse.continuous:
        raise ValueError(f"{bare!r} is continuous; expected a synapse that takes spikes where weights learn.")
    if modulator is not None and not isinstance(modulator, TimeSeries | Population):
        raise TypeError(f"The modulator of {bare!r} is {modulator!r:.60}; expected a TimeSeries or a Population.")
    known = bare.target.neuron.equations.names
    if unknown := [name for name in plasticity.law.reads if name not in known]:
        raise ValueError(
            f"{type(plasticity).__name__} reads {unknown[0]!r} of the target of {bare!r}; expected a variable of "
            f"{type(bare.target.neuron).__name__}: {', '.join(known)}."
        )
    weight = bare.weight if isinstance(bare.weight, float) else bare.weight.detach()
    low, high = plasticity.bounds
    domain = bare.synapse.weight_parameter
    if not (domain.holds(low) or (math.isinf(low) and domain.at_least is None)):
        raise ValueError(
            f"w_min of {type(plasticity).__name__} at {bare!r} is {low:g} {domain.unit}; expected {domain.domain}, as "
            f"the weights of {type(bare.synapse).__name__}. Set w_min."
        )
    some = isinstance(weight, float) or weight.numel() > 0
    least, most = (weight, weight) if isinstance(weight, float) or not some else (weight.min(), weight.max())
    if some and (least < low or most > high):
        raise ValueError(
            f"{bare!r} has weights from {least:g} to {most:g}; expected them within its rule's bounds, {low:g} to "
            f"{high:g}. Change them, or w_min and w_max."
        )
    return replace(bare, plasticity=plasticity, modulator=modulator)


def per_edge(value: Any, what: str, bare: Projection, domain: Parameter) -> float | Tensor:
    """A number, or a tensor whose length is the projection's number of edges (counted only then)."""
    result = values(value, what, None, domain, each="edge")
    if isinstance(result, float):
        return result
    edges = bare.size
    if result.ndim and len(result) != edges:
        raise ValueError(
            f"{what} has {len(result)} values for {edges} edges; expected one number, or one an edge in the "
            "order of Projection.edges()."
        )
    return result
