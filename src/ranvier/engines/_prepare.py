"""From what a user asks of `simulate` to an engine that is ready to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from ranvier._steps import require_threshold, require_time, whole_steps
from ranvier.engines.plasticity.modulators import describe_modulators
from ranvier.engines.protocol import Engine, EngineOptions, Modulators
from ranvier.engines.recording.probes import Probe, ResolvedProbe, resolve_probes
from ranvier.engines.recording.weights import ResolvedWeights, WeightProbe, resolve_weights
from ranvier.engines.step_model import step_models
from ranvier.networks import Network
from ranvier.networks.changes import require_valid
from ranvier.networks.groups import groups_of
from ranvier.networks.store import fingerprint

if TYPE_CHECKING:
    from ranvier.engines.ranks.group import RankGroup

#: name -> module and class; imported when requested
ENGINES = {
    "compiled": ("ranvier.engines.compiled.engine", "CompiledEngine"),
    "torch": ("ranvier.engines.torch.engine", "TorchEngine"),
}
#: ways of the compiled engine that can be requested by name
METHODS = ("stepping", "events")

#: What `record=` takes.
Record = Sequence[str | Probe | WeightProbe] | str | Probe | WeightProbe


@dataclass(frozen=True, eq=False)
class Prepared:
    """An engine with what is recorded of neurons and of weights, and the entries of the run's manifest."""

    net: Network
    engine: Engine
    probes: tuple[ResolvedProbe, ...]
    weights: tuple[ResolvedWeights, ...]
    manifest: dict[str, Any]

    def folder_manifest(self, duration: float) -> dict[str, Any]:
        """The manifest of a run on disk, which distinguishes two runs."""
        # which neurons are recorded is compared by the folder itself
        record: dict[str, Any] = {p.name: [p.interval] for p in self.weights}
        for p in self.probes:
            record[p.name] = [p.interval, *((q.population, q.state) for q in p.pieces)]
        out = self.manifest | {"duration": duration, "network": fingerprint(self.net), "record": record}
        out["populations"] = [g.described() for g in groups_of(self.net, {}, self.net.size)]
        modulators = self.engine.options.modulators
        return out | {"modulators": describe_modulators(modulators)} if modulators else out

    @property
    def columns(self) -> dict[str, Any]:
        """What each column of a trace is of: global indices of neurons, or edges."""
        return {p.name: p.neurons for p in self.probes} | {p.name: p.edges for p in self.weights}


def prepare(
    net: Network,
    *,
    dt: float,
    seed: int,
    engine: str,
    threads: int,
    record: Record,
    dtype: torch.dtype,
    modulators: Modulators | None,
    group: RankGroup | None = None,
    threshold: str = "step",
) -> Prepared:
    """Check the arguments of `simulate` and make the network ready to run. Raises ValueError."""
    if not isinstance(net, Network):
        raise TypeError(f"net is {net!r:.60}; expected a Network: simulate(net, duration)")
    require_time(dt, "dt")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype is {dtype}; expected torch.float32 or torch.float64")
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**63:
        raise ValueError(f"seed is {seed!r}; expected an integer from 0 to 2^63 - 1")
    if not hasattr(threads, "__index__") or int(threads) < 1:
        raise ValueError(f"threads is {threads!r}; expected a whole number, at least 1")
    if engine not in (names := (*ENGINES, *METHODS)):
        raise ValueError(f"engine is {engine!r}; expected one of {', '.join(map(repr, names))}")
    require_threshold(threshold)
    if not net.populations:
        raise ValueError("the network has no populations; expected at least one: net.add(rv.LIF(), 100)")
    require_valid(net)
    for p in modulators or {}:
        if not any(p is q for q in net.projections) or p.plasticity is None:
            raise ValueError(f"modulators= names {p!r:.80}; expected plastic projections of this network")
    requested = _requested(record)
    models = step_models(net, threshold=threshold)
    probes = resolve_probes([r for r in requested if not isinstance(r, WeightProbe)], net, models, dt)
    weights = resolve_weights([r for r in requested if isinstance(r, WeightProbe)], net, dt)
    method = engine if engine in METHODS else None
    if group is not None and engine == "torch":
        raise ValueError("engine is 'torch' on several ranks; expected 'compiled', 'stepping' or 'events': ranks=False")
    options = EngineOptions(dt, int(seed), int(threads), dtype, probes, modulators, method, group, threshold)
    manifest = {
        "n_neurons": net.size,
        "dt": dt,
        "seed": int(seed),
        "engine": engine,
        "dtype": str(dtype).removeprefix("torch."),
    }
    if threshold != "step":
        manifest["threshold"] = threshold
    ready = engine_class("compiled" if method else engine).prepare(net, options)
    return Prepared(net, ready, probes, weights, manifest)


def _requested(record: Record) -> list[str | Probe | WeightProbe]:
    kinds = (str, Probe, WeightProbe)
    requested: list[Any] = [record] if isinstance(record, kinds) or not isinstance(record, Iterable) else list(record)
    for each in requested:
        if not isinstance(each, kinds):
            raise TypeError(f"record has {each!r:.60}; expected names of variables, Probes and WeightProbes")
    return requested


def engine_class(name: str) -> type[Engine]:
    module, cls = ENGINES[name]
    return getattr(import_module(module), cls)


def duration_steps(duration: float, dt: float) -> int:
    require_time(dt, "dt")
    require_time(duration, "duration")
    return whole_steps(duration, dt, f"duration is {duration} ms")
