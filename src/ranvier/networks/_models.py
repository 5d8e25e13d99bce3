"""Neuron and synapse models as plain JSON values: built-in ones by name, a user's by their equations.

What is read becomes a class by `type()` with a plain namespace: nothing is compiled from text (`ranvier._records`),
and every name is an identifier before it gets there (`ranvier._names`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ranvier._checks import nearest
from ranvier.equations.declarations import body as declarations
from ranvier.equations.declarations import declared as records
from ranvier.equations.declarations import describe
from ranvier.files.entries import Entry

Encode = Callable[[Any], Any]
Decode = Callable[[Entry], Any]
SIDES = ("pre", "post", "modulator")
_DECLARED = ("declared", "relations")


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


def build_neuron(value: Entry, decode: Decode) -> Any:
    """The inverse of `describe_neuron`. ValueError, which names the place, for what it does not write."""
    from ranvier import neurons

    entries = value.mapping("model", "parameters", optional=("equations", "initial", *_DECLARED))
    parameters = _numbers(entries["parameters"], decode)
    if "equations" not in entries:
        value.mapping("model", "parameters")
        return _builtin(neurons, entries["model"], parameters)
    entries = value.mapping("model", "parameters", "equations", "initial", *_DECLARED)
    body = {"equations": _equations(entries["equations"]), "initial": _initial(entries["initial"])}
    return _model(neurons.Neuron, entries, body, parameters)()


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


def build_synapse(value: Entry, decode: Decode) -> Any:
    """The inverse of `describe_synapse`. ValueError, which names the place, for what it does not write."""
    from ranvier import synapses
    from ranvier.equations import parse

    own = ("equations", "jumps", "current", "weight_unit", *_DECLARED)
    entries = value.mapping("model", "parameters", optional=own)
    if "current" not in entries:
        value.mapping("model", "parameters")
        kind = _kind(synapses, entries["model"])
        texts = {f.name for f in _fields(kind) if isinstance(f.default, str)}
        plain = {
            name: x.text() if name in texts else None if x.absent else decode(x)
            for name, x in entries["parameters"].items()
        }
        return _builtin(synapses, entries["model"], plain)
    entries = value.mapping("model", "parameters", *own)
    parameters = _numbers(entries["parameters"], decode)
    jumps = {name: x.text() for name, x in entries["jumps"].items()}
    equations = None if entries["equations"].absent else _equations(entries["equations"])
    current = entries["current"].text()
    body = {
        "equations": equations,
        "jumps": jumps,
        "current": current,
        "weight_unit": entries["weight_unit"].text(),
    }
    known = {"V", "g_L", *parameters, *(equations.names if equations is not None else ())}
    for text in (current, *jumps.values()):
        if unknown := {s.name for s in parse(text).free_symbols} - known:
            names = ", ".join(sorted(known))
            raise ValueError(f"a synapse's {text!r:.60} uses {min(unknown)!r}; expected names among {names}")
    return _model(synapses.Synapse, entries, body, parameters)()


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
    domains = describe(cls)
    for name in records(rules.Rule):  # every rule's own
        domains["declared"].pop(name, None)
    return value | domains | {
        "traces": [dataclasses.asdict(t) for t in rule.traces],
        "eligibilities": [dataclasses.asdict(e) for e in rule.eligibilities],
        "on_pre": rule.on_pre,
        "on_post": rule.on_post,
        "drift": rule.drift,
        "transmitted": rule.transmitted,
        "reads": list(rule.reads),
        "coincidence": None if rule.coincidence is None else dataclasses.asdict(rule.coincidence),
    }


def build_rule(value: Entry) -> Any:
    """The inverse of `describe_rule`. ValueError, which names the place, for what it does not write."""
    from ranvier import rules

    own = ("traces", "eligibilities", "on_pre", "on_post", "drift", "transmitted", "reads", "coincidence",
           *_DECLARED)  # fmt: skip
    entries = value.mapping("model", "parameters", "texts", optional=own)
    texts = entries["texts"].texts()
    parameters = {name: x.text() if name in texts else _printed(x) for name, x in entries["parameters"].items()}
    if "traces" not in entries:
        value.mapping("model", "parameters", "texts")
        return _builtin(rules, entries["model"], parameters)
    entries = value.mapping("model", "parameters", "texts", *own)
    body = {
        "traces": tuple(_trace(rules.Trace, t) for t in entries["traces"].listed()),
        "eligibilities": tuple(_trace(rules.Eligibility, t) for t in entries["eligibilities"].listed()),
        **{name: entries[name].text() for name in ("on_pre", "on_post", "drift", "transmitted")},
        "reads": tuple(entries["reads"].texts()),
        "coincidence": None if entries["coincidence"].absent else _trace(rules.Coincidence, entries["coincidence"]),
    }
    return _model(rules.Rule, entries, body, parameters)()


def _numbers(value: Entry, decode: Decode) -> dict[str, Any]:
    """Parameters by name: numbers and tensors."""
    return {name: decode(x) for name, x in value.items()}


def _printed(value: Entry) -> float:
    """A number that was printed as text, as JSON has no infinities."""
    try:
        return float(value.text())
    except ValueError:
        raise value.refusal("a number as text, such as '0.5'") from None


def _initial(value: Entry) -> dict[str, float | str]:
    """Variables' values at t = 0: numbers, or names of parameters."""
    return {name: x.name() if isinstance(x.value, str) else x.number() for name, x in value.items()}


def _equations(value: Entry) -> Any:
    from ranvier.equations import Equations

    entries = value.mapping("text", optional=("threshold", "reset", "refractory", "holds", "events"))
    plain = {name: entries[name] for name in entries.keys() - {"holds", "events"}}
    arguments: dict[str, Any] = {name: x.text() for name, x in plain.items() if name == "text" or not x.absent}
    if (holds := entries.get("holds")) is not None:
        arguments["holds"] = holds.text() if isinstance(holds.value, str) else holds.flag()
    if (events := entries.get("events")) is not None:
        arguments["events"] = {name: tuple(x.text() for x in pair.listed()) for name, pair in events.items()}
    return Equations(**arguments)


def _trace(kind: Any, value: Entry) -> Any:
    """A `Trace` or an `Eligibility`."""
    fields = _fields(kind)
    entries = value.mapping(*(f.name for f in fields if f.default is dataclasses.MISSING),
                            optional=[f.name for f in fields])  # fmt: skip
    read = {"name": Entry.name, "tau": Entry.name, "side": lambda x: x.one_of(SIDES), "nearest": Entry.flag}
    return kind(**{name: read.get(name, Entry.text)(x) for name, x in entries.items()})


def _model(base: type, entries: Mapping[str, Entry], body: dict[str, Any], parameters: Mapping[str, Any]) -> type:
    """A class of the file's own kind, built without code from text."""
    name = entries["model"].name()
    common = {"interval", *(f.name for f in _fields(base))}  # which a model may have as parameters
    reserved = {x for x in dir(base) if not x.startswith("_")} - common
    if clash := reserved & set(parameters):
        raise ValueError(
            f"{name!r:.60} has a parameter {min(clash)!r}, as every model has such a part; expected another name: "
            "rename it"
        )
    declared = {key: _declaration(x) for key, x in entries["declared"].mapping().items()}
    if dataclasses.is_dataclass(base):
        declared |= {key: record.describe() for key, record in records(base).items()}
    space = {**body, **declarations(declared, entries["relations"].texts(), parameters), "__module__": __name__}
    return type(name, (base,), space)


def _declaration(value: Entry) -> dict[str, Any]:
    """What `Parameter` takes."""
    entries = value.mapping(optional=("unit", "doc", "above", "at_least", "below", "at_most", "finite"))
    read = {"unit": Entry.text, "doc": Entry.text, "finite": Entry.flag}
    return {name: read.get(name, Entry.number)(x) for name, x in entries.items()}


def _fields(model: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(model) if dataclasses.is_dataclass(model) else ()


def _kind(module: Any, name: Entry) -> Any:
    return getattr(module, name.one_of(sorted({*module.__all__} - _BASES)))


def _builtin(module: Any, name: Entry, parameters: dict[str, Any]) -> Any:
    kind = _kind(module, name)
    fields = _fields(kind)
    for parameter in parameters.keys() - {f.name for f in fields}:
        raise ValueError(f"{name.value} has no parameter {parameter!r}; {nearest(parameter, (f.name for f in fields))}")
    for f in fields:
        if f.default is dataclasses.MISSING and f.name not in parameters:
            raise ValueError(f"{name.place} is {name.value}, whose parameter {f.name!r} is lacking; expected one.")
    return kind(**parameters)


#: exported beside the models, but none themselves
_BASES = {"Neuron", "Source", "Synapse", "Continuous", "Rule", "Trace", "Eligibility", "Coincidence"}
