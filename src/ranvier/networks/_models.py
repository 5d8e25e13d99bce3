"""Neuron and synapse models as plain JSON values: built-in ones by name, a user's by their equations.

What is read becomes a class by `type()` with a plain namespace: nothing is compiled from text (`ranvier._records`),
and every name is an identifier before it gets there (`ranvier._names`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ranvier._checks import nearest
from ranvier._names import identifier
from ranvier.equations.declarations import body as declarations
from ranvier.equations.declarations import describe

Encode = Callable[[Any], Any]
SIDES = ("pre", "post", "modulator")


def describe_neuron(neuron: Any, encode: Encode) -> dict[str, Any]:
    """A neuron model; `encode` turns a parameter into JSON. TypeError for a user's own kind of source."""
    from ranvier import neurons

    cls = type(neuron)
    parameters = {f.name: encode(getattr(neuron, f.name)) for f in _fields(neuron)}
    value = {"model": cls.__name__, "parameters": parameters}
    if getattr(neurons, cls.__name__, None) is cls:
        return value
    if not isinstance(neuron, neurons.Neuron):
        raise TypeError(
            f"{cls.__name__} is a source of your own, which no file holds; expected a built-in one."
        )
    return value | describe(cls) | {"equations": cls.equations.describe(), "initial": dict(cls.initial)}


def build_neuron(value: Mapping[str, Any], decode: Encode) -> Any:
    """The inverse of `describe_neuron`."""
    from ranvier import neurons

    parameters = _parameters(value["parameters"], "a neuron", decode)
    _require_numbers(parameters, "a neuron")
    if "equations" not in value:
        return _builtin(neurons, value["model"], "neuron")(**parameters)
    body = {"equations": _equations(value["equations"]), "initial": _initial(value["initial"])}
    return _model(neurons.Neuron, value, body, parameters)()


def describe_synapse(synapse: Any, encode: Encode) -> dict[str, Any]:
    """A synapse model; `encode` turns a tensor into JSON. TypeError for one that is more than its equations,
    jumps and current."""
    from ranvier import synapses

    cls = type(synapse)
    value = {
        "model": cls.__name__,
        "parameters": {
            f.name: encode(v) if hasattr(v := getattr(synapse, f.name), "detach") else v for f in _fields(synapse)
        },
    }
    if getattr(synapses, cls.__name__, None) is cls:
        return value
    own = [k for k, v in vars(cls).items() if callable(v) and not k.startswith("__")]
    if cls.__mro__[1] is not synapses.Synapse or own:
        raise TypeError(
            f"{cls.__name__} is more than equations, jumps and current "
            f"({', '.join(own) or cls.__mro__[1].__name__}), which no file holds; expected a built-in "
            "synapse, or a plain subclass of Synapse."
        )
    return value | describe(cls) | {
        "equations": None if cls.equations is None else cls.equations.describe(),
        "jumps": dict(cls.jumps),
        "current": cls.current,
        "weight_unit": cls.weight_unit,
    }


def build_synapse(value: Mapping[str, Any], decode: Encode) -> Any:
    """The inverse of `describe_synapse`."""
    from ranvier import synapses
    from ranvier.equations import parse

    parameters = _parameters(value["parameters"], "a synapse", decode)
    if "current" not in value:
        kind = _builtin(synapses, value["model"], "synapse")
        texts = {k for k in parameters if isinstance(getattr(kind, k, None), str)}
        _require_numbers({k: v for k, v in parameters.items() if k not in texts and v is not None}, "a synapse")
        return kind(**parameters)
    _require_numbers(parameters, "a synapse")
    jumps = {identifier(k, "a jump of a synapse"): _text(v, f"the jump of {k}") for k, v in value["jumps"].items()}
    equations = None if value["equations"] is None else _equations(value["equations"])
    current = _text(value["current"], "the current of a synapse")
    body = {
        "equations": equations,
        "jumps": jumps,
        "current": current,
        "weight_unit": _text(value["weight_unit"], "the unit of a synapse's weight"),
    }
    known = {"V", "g_L", *parameters, *(equations.names if equations is not None else ())}
    for text in (current, *jumps.values()):
        if unknown := {s.name for s in parse(text).free_symbols} - known:
            names = ", ".join(sorted(known))
            raise ValueError(f"a synapse's {text!r:.60} uses {min(unknown)!r}; expected names among {names}")
    return _model(synapses.Synapse, value, body, parameters)()


def describe_rule(rule: Any) -> dict[str, Any]:
    """A rule of plasticity: built-in ones by name, a user's by its traces and expressions."""
    from ranvier import rules

    cls = type(rule)
    # infinite bounds are no JSON
    plain = {f.name: v if isinstance(v := getattr(rule, f.name), str) else repr(v) for f in _fields(rule)}
    text = [name for name, value in plain.items() if isinstance(getattr(rule, name), str)]
    value = {"model": cls.__name__, "parameters": plain, "texts": text}
    if getattr(rules, cls.__name__, None) is cls:
        return value
    return value | describe(cls) | {
        "traces": [dataclasses.asdict(t) for t in rule.traces],
        "eligibilities": [dataclasses.asdict(e) for e in rule.eligibilities],
        "on_pre": rule.on_pre,
        "on_post": rule.on_post,
        "drift": rule.drift,
    }


def build_rule(value: Mapping[str, Any]) -> Any:
    """The inverse of `describe_rule`."""
    from ranvier import rules

    texts = value["texts"]
    parameters = _parameters(value["parameters"], "a rule", lambda x: x)
    parameters = {k: _text(v, k) if k in texts else float(v) for k, v in parameters.items()}
    if "traces" not in value:
        return _builtin(rules, value["model"], "rule")(**parameters)
    body = {
        "traces": tuple(_trace(rules.Trace, t) for t in value["traces"]),
        "eligibilities": tuple(_trace(rules.Eligibility, e) for e in value["eligibilities"]),
        **{k: _text(value[k], k) for k in ("on_pre", "on_post", "drift")},
    }
    return _model(rules.Rule, value, body, parameters)()


def _parameters(value: Any, whose: str, decode: Encode) -> dict[str, Any]:
    return {identifier(k, f"a parameter of {whose}"): decode(v) for k, v in value.items()}


def _require_numbers(parameters: Mapping[str, Any], whose: str) -> None:
    for key, value in parameters.items():
        if isinstance(value, bool | str) or not (isinstance(value, int | float) or hasattr(value, "detach")):
            raise ValueError(f"the parameter {key!r} of {whose} is {value!r:.60}; expected a number")


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise ValueError(f"{what} is {value!r:.60}; expected text")
    return value


def _initial(value: Any) -> dict[str, float | str]:
    """Variables' values at t = 0: numbers, or names of parameters."""
    return {
        identifier(k, "a variable's initial value"): identifier(v, "a parameter") if isinstance(v, str) else float(v)
        for k, v in value.items()
    }


def _equations(value: Any) -> Any:
    from ranvier.equations import Equations

    known = ("text", "threshold", "reset", "refractory", "holds")
    if unknown := set(value) - set(known):
        raise ValueError(f"equations have the entry {min(unknown)!r:.60}. {nearest(min(unknown), known)}")
    for key in known[:-1]:
        if value.get(key) is not None:
            _text(value[key], f"{key} of the equations")
    if not isinstance(value.get("holds", True), bool):
        raise ValueError(f"holds of the equations is {value['holds']!r:.60}; expected true or false")
    return Equations(**value)


def _trace(kind: Any, value: Any) -> Any:
    """A `Trace` or an `Eligibility`, whose entries are texts but for `nearest`."""
    for key, entry in value.items():
        if key in ("name", "tau"):
            identifier(entry, f"{key} of a trace")
        elif key == "side" and entry not in SIDES:
            raise ValueError(f"the side of a trace is {entry!r:.60}. {nearest(str(entry)[:60], SIDES)}")
        elif key == "nearest":
            if not isinstance(entry, bool):
                raise ValueError(f"nearest is {entry!r:.60}; expected true or false")
        else:
            _text(entry, f"{key!r:.60} of a trace")
    return kind(**value)


def _model(base: type, value: Mapping[str, Any], body: dict[str, Any], parameters: Mapping[str, Any]) -> type:
    """A class of the file's own kind, built without code from text."""
    name = value["model"]
    reserved = {x for x in dir(base) if not x.startswith("_")} - {"interval"}
    if clash := reserved & set(parameters):
        raise ValueError(f"{name!r:.60} has a parameter {min(clash)!r}, as every model has such a part; rename it")
    space = {**body, **declarations(value, parameters), "__module__": __name__}  # `interval` of a rule: its own
    return type(identifier(name, "the name of a model"), (base,), space)


def _fields(model: Any) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(model) if dataclasses.is_dataclass(model) else ()


def _builtin(module: Any, name: str, what: str) -> Any:
    if name not in module.__all__ or name in _BASES:
        raise ValueError(f"Unknown {what} {name!r}. {nearest(name, sorted({*module.__all__} - _BASES))}")
    return getattr(module, name)


#: exported beside the models, but none themselves
_BASES = {"Neuron", "Source", "Synapse", "Continuous", "Rule", "Trace", "Eligibility"}
