"""Neuron and synapse models as plain JSON values: built-in ones by name, a user's by their equations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Encode = Callable[[Any], Any]


def describe_neuron(neuron: Any, encode: Encode) -> dict[str, Any]:
    """A neuron model; `encode` turns a parameter into JSON. TypeError for a user's own kind of source."""
    from ranvier import neurons

    cls = type(neuron)
    parameters = {f.name: encode(getattr(neuron, f.name)) for f in _fields(neuron)}
    found = {"model": cls.__name__, "parameters": parameters}
    if getattr(neurons, cls.__name__, None) is cls:
        return found
    if not isinstance(neuron, neurons.Neuron):
        raise TypeError(
            f"{cls.__name__} is a source of your own, which no file holds; expected a built-in one."
        )
    return found | {"equations": cls.equations.describe(), "initial": dict(cls.initial)}


def build_neuron(value: Mapping[str, Any], decode: Encode) -> Any:
    """The inverse of `describe_neuron`."""
    from ranvier import neurons
    from ranvier.equations import Equations

    name, parameters = value["model"], {k: decode(v) for k, v in value["parameters"].items()}
    if "equations" in value:
        body: dict[str, Any] = {
            "equations": Equations(**value["equations"]),
            "initial": dict(value["initial"]),
            "__annotations__": dict.fromkeys(parameters, Any),
            "__module__": __name__,
        }
        return type(str(name), (neurons.Neuron,), body)(**parameters)
    return _builtin(neurons, name, "neuron")(**parameters)


def describe_synapse(synapse: Any, encode: Encode) -> dict[str, Any]:
    """A synapse model; `encode` turns a tensor into JSON. TypeError for one that is more than its equations,
    jumps and current."""
    from ranvier import synapses

    cls = type(synapse)
    found = {
        "model": cls.__name__,
        "parameters": {
            f.name: encode(v) if hasattr(v := getattr(synapse, f.name), "detach") else v for f in _fields(synapse)
        },
    }
    if getattr(synapses, cls.__name__, None) is cls:
        return found
    own = [k for k, v in vars(cls).items() if callable(v) and not k.startswith("__")]
    if cls.__mro__[1] is not synapses.Synapse or own:
        raise TypeError(
            f"{cls.__name__} is more than equations, jumps and current "
            f"({', '.join(own) or cls.__mro__[1].__name__}), which no file holds; expected a built-in "
            "synapse, or a plain subclass of Synapse."
        )
    return found | {
        "equations": None if cls.equations is None else cls.equations.describe(),
        "jumps": dict(cls.jumps),
        "current": cls.current,
        "weight_unit": cls.weight_unit,
        "may_be_zero": list(cls.may_be_zero),
    }


def build_synapse(value: Mapping[str, Any], decode: Encode) -> Any:
    """The inverse of `describe_synapse`."""
    from ranvier import synapses
    from ranvier.equations import Equations

    name, parameters = value["model"], {k: decode(v) for k, v in value["parameters"].items()}
    if "current" not in value:
        return _builtin(synapses, name, "synapse")(**parameters)
    body: dict[str, Any] = {
        "equations": None if value["equations"] is None else Equations(**value["equations"]),
        "jumps": dict(value["jumps"]),
        "current": str(value["current"]),
        "weight_unit": str(value["weight_unit"]),
        "may_be_zero": tuple(value["may_be_zero"]),
        "__annotations__": dict.fromkeys(parameters, Any),
        "__module__": __name__,
    }
    return type(str(name), (synapses.Synapse,), body)(**parameters)


def describe_rule(rule: Any) -> dict[str, Any]:
    """A rule of plasticity: built-in ones by name, a user's by its traces and expressions."""
    from ranvier import rules

    cls = type(rule)
    # infinite bounds are no JSON
    plain = {f.name: v if isinstance(v := getattr(rule, f.name), str) else repr(v) for f in _fields(rule)}
    text = [name for name, value in plain.items() if isinstance(getattr(rule, name), str)]
    found = {"model": cls.__name__, "parameters": plain, "texts": text}
    if getattr(rules, cls.__name__, None) is cls:
        return found
    return found | {
        "traces": [dataclasses.asdict(t) for t in rule.traces],
        "eligibilities": [dataclasses.asdict(e) for e in rule.eligibilities],
        "on_pre": rule.on_pre,
        "on_post": rule.on_post,
        "drift": rule.drift,
    }


def build_rule(value: Mapping[str, Any]) -> Any:
    """The inverse of `describe_rule`."""
    from ranvier import rules

    given = {k: v if k in value["texts"] else float(v) for k, v in value["parameters"].items()}
    if "traces" not in value:
        return _builtin(rules, value["model"], "rule")(**given)
    body: dict[str, Any] = {
        "traces": tuple(rules.Trace(**t) for t in value["traces"]),
        "eligibilities": tuple(rules.Eligibility(**e) for e in value["eligibilities"]),
        **{k: str(value[k]) for k in ("on_pre", "on_post", "drift")},
        "__annotations__": dict.fromkeys(given, Any),
        "__module__": __name__,
    }
    return type(str(value["model"]), (rules.Rule,), body)(**given)


def _fields(model: Any) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(model) if dataclasses.is_dataclass(model) else ()


def _builtin(module: Any, name: str, what: str) -> Any:
    from ranvier._checks import nearest

    if name not in module.__all__:
        raise ValueError(f"Unknown {what} {name!r}. {nearest(name, module.__all__)}")
    return getattr(module, name)
