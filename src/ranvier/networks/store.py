"""A network on disk: `network.json` for structure and one safetensors file for numbers. Nothing is lost.

A wiring by rule stays a rule. The JSON file is written last and names its tensors by their content, so
that a folder holds the old network or the new one, whole, at every moment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from ranvier._checks import nearest
from ranvier._files import write_atomic, write_json
from ranvier.networks import wiring as rules
from ranvier.networks._inputs import Normal, TimeSeries, Uniform
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

FORMAT, VERSION = "ranvier network", 1


class _Tensors:
    """Values on their way to JSON; tensors are set aside, each once."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.seen: dict[int, tuple[str, Any]] = {}  # keeps each tensor alive, so that its id stays its own

    def encode(self, value: Any) -> Any:
        import torch

        if isinstance(value, TimeSeries):
            return {"series": self.encode(value.values), "interval": value.interval}
        if isinstance(value, Uniform):
            return {"uniform": [value.low, value.high]}
        if isinstance(value, Normal):
            return {"normal": [value.mean, value.sd]}
        if isinstance(value, int | float):
            return float(value)
        tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
        if id(value) not in self.seen:
            name = f"t{len(self.kept)}"
            self.kept[name] = tensor.detach().cpu().contiguous().clone()
            self.seen[id(value)] = name, value
        name = self.seen[id(value)][0]
        return {"tensor": name, "gradient": True} if tensor.requires_grad else {"tensor": name}


def write_network(net: Network, path: str | Path) -> Path:
    """Write `net` into the folder `path`, atomically, and return the folder.

    Tensors keep their type and bits; one that requires a gradient comes back as a leaf that does. Raises
    TypeError for a model, synapse or wiring that is code of the user's rather than equations.
    """
    from safetensors.torch import save

    path = Path(path)
    keep = _Tensors()
    structure = _structure(net, keep)
    data = save(keep.kept)
    tensors = f"tensors-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    write_atomic(path / tensors, data)
    write_json(path / "network.json", structure | {"tensors": tensors})
    for old in path.glob("tensors-*.safetensors"):
        if old.name != tensors:
            old.unlink(missing_ok=True)
    return path


def fingerprint(net: Network) -> str:
    """A digest of everything that `write_network` would write: equal networks have equal ones."""
    import json

    from safetensors.torch import save

    keep = _Tensors()
    text = json.dumps(_structure(net, keep), sort_keys=True)
    return hashlib.sha256(text.encode() + save(keep.kept)).hexdigest()


def _structure(net: Network, keep: _Tensors) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "seed": net.seed,
        "populations": [
            {
                "name": p.name,
                "size": p.size,
                "neuron": describe_neuron(p.neuron, keep.encode),
                "parameters": {k: keep.encode(v) for k, v in p.parameters.items()},
                "initial": {k: keep.encode(v) for k, v in p.initial.items()},
                "positions": None if p.positions is None else keep.encode(p.positions),
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
                "synapse": describe_synapse(p.synapse, keep.encode),
                "wiring": _describe_rule(p.wiring, keep),
                "weight": keep.encode(p.weight),
                "delay": keep.encode(p.delay),
                **_learning(p, keep),
            }
            for p in net.projections
        ],
        "backgrounds": [
            {
                "target": b.target.name,
                "rate": keep.encode(b.rate),
                "weight": keep.encode(b.weight),
                "synapse": describe_synapse(b.synapse, keep.encode),
            }
            for b in net.backgrounds
        ],
    }


def _learning(p: Any, keep: _Tensors) -> dict[str, Any]:
    """A projection's plasticity and modulator; nothing where it has none."""
    if p.plasticity is None:
        return {}
    modulator = {"population": p.modulator.name} if hasattr(p.modulator, "start") else None
    if modulator is None and p.modulator is not None:
        modulator = keep.encode(p.modulator)
    return {"plasticity": describe_rule(p.plasticity), "modulator": modulator}


def _describe_rule(rule: Any, keep: _Tensors) -> dict[str, Any]:
    name = type(rule).__name__
    if getattr(rules, name, None) is not type(rule):
        raise TypeError(
            f"The wiring {name} is code of your own, which no file holds; expected a rule or Edges."
        )
    if isinstance(rule, rules.Edges):
        return {"rule": name, "sources": keep.encode(rule.sources), "targets": keep.encode(rule.targets)}
    return {"rule": name, **{f.name: getattr(rule, f.name) for f in dataclasses.fields(rule) if f.init}}


def read_network(path: str | Path) -> Network:
    """Read the network that `write_network` wrote into the folder `path`.

    Raises FileNotFoundError where there is none, ValueError where the files are of another kind or
    version, incomplete, or describe no valid network.
    """
    path = Path(path)
    file = path / "network.json"
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file}; expected a folder that write_network wrote.")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}); expected a network's description.") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"{file} is not a {FORMAT}; expected a file that write_network wrote.")
    if value.get("version") != VERSION:
        raise ValueError(f"{file} has version {value.get('version')!r}; expected {VERSION}. Update ranvier.")
    try:
        return _build(value, _load(path, value["tensors"]))
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        what = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{file} describes no valid network: {what}") from error


def _load(path: Path, name: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if Path(name).name != name or not (path / name).is_file():
        raise FileNotFoundError(
            f"There is no file {name!r} in {path}; expected the network's tensors beside it."
        )
    try:
        return load((path / name).read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file ({error})") from error


def _build(value: dict[str, Any], tensors: dict[str, Any]) -> Network:
    cache: dict[tuple[str, bool], Any] = {}

    def decode(x: Any) -> Any:
        if not isinstance(x, dict):
            return x
        if "series" in x:
            return TimeSeries(decode(x["series"]), x["interval"])
        if "uniform" in x:
            return Uniform(*x["uniform"])
        if "normal" in x:
            return Normal(*x["normal"])
        key = x["tensor"], bool(x.get("gradient"))
        if key not in cache:
            cache[key] = tensors[key[0]].requires_grad_(True) if key[1] else tensors[key[0]]
        return cache[key]

    def rule(x: dict[str, Any]) -> Any:
        options = {k: tuple(v) if isinstance(v, list) else decode(v) for k, v in x.items() if k != "rule"}
        if x["rule"] not in rules.__all__ or x["rule"] == "Wiring":
            raise ValueError(f"Unknown wiring {x['rule']!r}. {nearest(x['rule'], rules.__all__)}")
        return getattr(rules, x["rule"])(**options)

    def learning(x: dict[str, Any]) -> dict[str, Any]:
        if "plasticity" not in x:
            return {}
        modulator = x["modulator"]
        named = isinstance(modulator, dict) and "population" in modulator
        modulator = modulator["population"] if named else decode(modulator)
        return {"plasticity": build_rule(x["plasticity"]), "modulator": modulator}

    net = Network(seed=value["seed"])
    for p in value["populations"]:
        net.add(
            build_neuron(p["neuron"], decode), p["size"], p["name"], names=p["names"], classes=p["classes"],
            positions=decode(p["positions"]), method=p.get("method"),
            initial={k: decode(v) for k, v in p["initial"].items()},
            **{k: decode(v) for k, v in p["parameters"].items()},
        )  # fmt: skip
    for p in value["projections"]:
        synapse = build_synapse(p["synapse"], decode)
        net.connect(
            p["source"], p["target"], weight=decode(p["weight"]), synapse=synapse, wiring=rule(p["wiring"]),
            delay=None if synapse.continuous else decode(p["delay"]), **learning(p),
        )  # fmt: skip
    for b in value["backgrounds"]:
        net.background(b["target"], decode(b["rate"]), decode(b["weight"]), build_synapse(b["synapse"], decode))
    return net
