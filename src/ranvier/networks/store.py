"""A network on disk: `network.json` for structure and one safetensors file for numbers. Nothing is lost.

A wiring by rule stays a rule. The JSON file is written last and names its tensors by their content, so
that a folder holds the old network or the new one, whole, at every moment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ranvier._checks import LIMIT
from ranvier.files.atomic import folder_at, write_atomic, write_json
from ranvier.files.entries import Entry, shown
from ranvier.files.reading import read_bytes, read_json
from ranvier.networks import distributions
from ranvier.networks import wiring as rules
from ranvier.networks._inputs import TimeSeries
from ranvier.networks._models import (
    build_neuron,
    build_rule,
    build_synapse,
    describe_neuron,
    describe_rule,
    describe_synapse,
)
from ranvier.networks._network import Network

__all__ = ["read_network", "write_network"]

FORMAT, VERSION = "ranvier network", 2
_KEYS = ("format", "version", "seed", "populations", "projections", "backgrounds", "tensors")
_TENSORS = re.compile(r"tensors-[0-9a-f]{16}\.safetensors")


class _Tensors:
    """Encodes values as JSON; tensors are collected in `values`, each once."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.names: dict[int, tuple[str, Any]] = {}  # by id; holds each tensor, so that its id is not used again

    def encode(self, value: Any) -> Any:
        import torch

        if isinstance(value, TimeSeries):
            return {"series": self.encode(value.values), "interval": value.interval}
        if isinstance(value, distributions.Distribution):
            return {"distribution": type(value).__name__, **_finite(value)}
        if isinstance(value, int | float):
            return float(value)
        tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
        if id(value) not in self.names:
            name = f"t{len(self.values)}"
            self.values[name] = tensor.detach().cpu().contiguous().clone()
            self.names[id(value)] = name, value
        name = self.names[id(value)][0]
        return {"tensor": name, "gradient": True} if tensor.requires_grad else {"tensor": name}


def write_network(net: Network, path: str | Path) -> Path:
    """Write `net` into the folder `path`, atomically, and return the folder.

    Tensors keep their type and bits; one that requires a gradient comes back as a leaf that does. Raises
    TypeError for a model, synapse or wiring that is code of the user's rather than equations.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3)
    >>> rv.read_network(rv.write_network(net, "net")).size
    3
    """
    from safetensors.torch import save

    path = folder_at(path)
    tensors = _Tensors()
    structure = _structure(net, tensors)
    data = save(tensors.values)
    file = f"tensors-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    write_atomic(path / file, data)
    write_json(path / "network.json", structure | {"tensors": file})
    for old in path.glob("tensors-*.safetensors"):
        if old.name != file:
            old.unlink(missing_ok=True)
    return path


def fingerprint(net: Network) -> str:
    """A digest of everything that `write_network` would write: equal networks have equal ones."""
    from safetensors.torch import save

    tensors = _Tensors()
    text = json.dumps(_structure(net, tensors), sort_keys=True)
    return hashlib.sha256(text.encode() + save(tensors.values)).hexdigest()


def _structure(net: Network, tensors: _Tensors) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "seed": net.seed,
        "populations": [
            {
                "name": p.name,
                "size": p.size,
                "neuron": describe_neuron(p.neuron, tensors.encode),
                "parameters": {k: tensors.encode(v) for k, v in p.parameters.items()},
                "initial": {k: tensors.encode(v) for k, v in p.initial.items()},
                "positions": None if p.positions is None else tensors.encode(p.positions),
                "classes": p.classes,
                "names": p.names,
                "method": p.method,
            }
            for p in net.populations
        ],
        "projections": [
            {
                "source": p.source.name,
                "target": p.target.name,
                "synapse": describe_synapse(p.synapse, tensors.encode),
                "wiring": _describe_wiring(p.wiring, tensors),
                "weight": tensors.encode(p.weight),
                "delay": tensors.encode(p.delay),
                **_learning(p, tensors),
            }
            for p in net.projections
        ],
        "backgrounds": [
            {
                "target": b.target.name,
                "rate": tensors.encode(b.rate),
                "weight": tensors.encode(b.weight),
                "synapse": describe_synapse(b.synapse, tensors.encode),
            }
            for b in net.backgrounds
        ],
    }


def _learning(p: Any, tensors: _Tensors) -> dict[str, Any]:
    """A projection's plasticity and modulator; nothing where it has none."""
    if p.plasticity is None:
        return {}
    modulator = {"population": p.modulator.name} if hasattr(p.modulator, "start") else None
    if modulator is None and p.modulator is not None:
        modulator = tensors.encode(p.modulator)
    return {"plasticity": describe_rule(p.plasticity), "modulator": modulator}


def _describe_wiring(rule: Any, tensors: _Tensors) -> dict[str, Any]:
    name = type(rule).__name__
    if getattr(rules, name, None) is not type(rule):
        raise TypeError(
            f"The wiring {name} is code of your own, which no file holds; expected a rule or Edges."
        )
    if isinstance(rule, rules.Edges):
        return {"rule": name, "sources": tensors.encode(rule.sources), "targets": tensors.encode(rule.targets)}
    return {"rule": name, **{f.name: getattr(rule, f.name) for f in dataclasses.fields(rule) if f.init}}


_LONGEST = 600  # characters of an error: values of the file are echoed in it


def read_network(path: str | Path) -> Network:
    """Read the network that `write_network` wrote into the folder `path`. Nothing in it is run.

    Raises FileNotFoundError where there is none, ValueError where the files are of another kind or
    version, too large, incomplete, or describe no valid network.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3, name="cells")
    >>> folder = rv.write_network(net, "net")
    >>> rv.read_network(folder).populations[0].name
    'cells'
    """
    path = folder_at(path)
    file = path / "network.json"
    value = read_json(file, "a network's description, as write_network writes it")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"{file} is not a {FORMAT}; expected a file that write_network wrote.{_old(value)}")
    if value.get("version") != VERSION:
        raise ValueError(f"{file} has version {shown(value.get('version'))}; expected {VERSION}. Update ranvier.")
    try:
        entries = Entry(value, "the network").mapping(*_KEYS)
        return _build({key: Entry(entries[key].value, key) for key in _KEYS}, _load(path, entries["tensors"].value))
    except FileNotFoundError:
        raise
    except (TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        fault = str(error) or type(error).__name__
        fault = fault if len(fault) <= _LONGEST else f"{fault[: _LONGEST // 2]} ... {fault[-_LONGEST // 2 :]}"
        raise ValueError(f"{file} describes no valid network: {fault}") from error


def _old(value: Any) -> str:
    """A word on files of the package's former name."""
    if isinstance(value, dict) and str(value.get("format", "")).startswith("ganglion"):
        return (
            ' It was written before the package took the name Ranvier: put "format": "ranvier network" in it, and '
            '"modulator" for "third", if nothing else was changed; or write the network again.'
        )
    return ""


def _load(path: Path, name: Any) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not isinstance(name, str) or not _TENSORS.fullmatch(name):
        raise FileNotFoundError(
            f"There is no file {shown(name)} in {path}; expected the network's tensors: tensors-….safetensors."
        )
    try:
        return load(read_bytes(path / name, "the network's tensors"))
    except SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file ({error}); expected one") from error


def _finite(value: distributions.Distribution) -> dict[str, float]:
    """Its numbers; an infinite bound is none, and left out."""
    numbers = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {name: x for name, x in numbers.items() if math.isfinite(x)}


def _distribution(value: Entry) -> distributions.Distribution:
    kinds = ("ExponentialDistribution", "LogNormal", "Normal", "Uniform")
    kind = getattr(distributions, value.mapping()["distribution"].one_of(kinds))
    fields = {f.name: f.default for f in dataclasses.fields(kind)}
    required = [name for name, default in fields.items() if default is dataclasses.MISSING]
    entries = value.mapping("distribution", *required, optional=fields)
    numbers = {name: x.number() for name, x in entries.items() if name != "distribution"}
    out: distributions.Distribution = kind(**numbers)
    return out


def _build(value: dict[str, Entry], tensors: dict[str, Any]) -> Network:
    cache: dict[tuple[str, bool], Any] = {}

    def decode(x: Entry) -> Any:
        """A number, a tensor, a time series, or a distribution of initial values."""
        if not isinstance(x.value, dict):
            return x.number()
        if "series" in x.value:
            entries = x.mapping("series", "interval")
            return TimeSeries(decode(entries["series"]), entries["interval"].number())
        if "distribution" in x.value:
            return _distribution(x)
        entries = x.mapping("tensor", optional=("gradient",))
        name = entries["tensor"].one_of(tensors)
        key = name, "gradient" in entries and entries["gradient"].flag()
        if key not in cache:
            cache[key] = tensors[name].requires_grad_(True) if key[1] else tensors[name]
        return cache[key]

    def optional(x: Entry, read: Callable[[Entry], Any]) -> Any:
        return None if x.absent else read(x)

    def learning(entries: dict[str, Entry]) -> dict[str, Any]:
        if "plasticity" not in entries:
            return {}
        modulator = entries["modulator"]
        if isinstance(modulator.value, dict) and "population" in modulator.value:
            signal = modulator.mapping("population")["population"].text()
        else:
            signal = optional(modulator, decode)
        return {"plasticity": build_rule(entries["plasticity"]), "modulator": signal}

    net = Network(seed=value["seed"].whole(high=2**63 - 1))
    for each in value["populations"].listed():
        p = each.mapping("name", "size", "neuron", "parameters", "initial", "positions", "classes", "names",
                         optional=("method",))  # fmt: skip
        net.add(
            build_neuron(p["neuron"], decode), p["size"].whole(1, LIMIT), p["name"].text(),
            names=optional(p["names"], Entry.texts), classes=optional(p["classes"], Entry.texts),
            positions=optional(p["positions"], decode),
            method=optional(p["method"], Entry.text) if "method" in p else None,
            initial={name: decode(x) for name, x in p["initial"].items()},
            **{name: decode(x) for name, x in p["parameters"].items()},
        )  # fmt: skip
    for each in value["projections"].listed():
        learns = isinstance(each.value, dict) and "plasticity" in each.value
        p = each.mapping("source", "target", "synapse", "wiring", "weight", "delay",
                         *(("plasticity", "modulator") if learns else ()))  # fmt: skip
        synapse = build_synapse(p["synapse"], decode)
        net.connect(
            p["source"].text(), p["target"].text(), weight=decode(p["weight"]), synapse=synapse,
            wiring=_wiring(p["wiring"], decode), delay=None if synapse.continuous else decode(p["delay"]),
            **learning(p),
        )  # fmt: skip
    for each in value["backgrounds"].listed():
        p = each.mapping("target", "rate", "weight", "synapse")
        net.background(p["target"].text(), decode(p["rate"]), decode(p["weight"]), build_synapse(p["synapse"], decode))
    return net


def _wiring(value: Entry, decode: Callable[[Entry], Any]) -> Any:
    """A rule with its options, each of the type that its field declares."""
    entries = value.mapping()
    if "rule" not in entries:
        raise value.refusal("an object with the entry 'rule'")
    kind = getattr(rules, entries["rule"].one_of(name for name in rules.__all__ if name != "Wiring"))
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    required = (name for name, f in fields.items() if f.default is dataclasses.MISSING)
    entries = value.mapping("rule", *required, optional=fields)
    read: dict[str, Callable[[Entry], Any]] = {
        "bool": Entry.flag, "int": lambda x: x.whole(0, LIMIT), "float": Entry.number, "str": Entry.text, "Any": decode,
        "float | tuple[float, ...] | None": _lengths,
        "tuple[float, ...]": lambda x: tuple(y.number() for y in x.listed()),
        "str | None": lambda x: None if x.absent else x.text(),
        "int | None": lambda x: None if x.absent else x.whole(0, LIMIT),
    }  # fmt: skip
    return kind(**{name: read[str(fields[name].type)](x) for name, x in entries.items() if name != "rule"})


def _lengths(value: Entry) -> float | tuple[float, ...] | None:
    if value.absent:
        return None
    return tuple(x.number() for x in value.listed()) if isinstance(value.value, list) else value.number()
