"""Weights of plastic projections: recorded at intervals while a run goes on, and given back at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ranvier._results import Columns
from ranvier._steps import whole_steps
from ranvier.networks import Network, Projection

if TYPE_CHECKING:
    from torch import Tensor

    from ranvier.engines.protocol import Engine, Segment

#: what a trace of weights is called among a run's traces, before the projection's index
PREFIX = "weights/"


@dataclass(frozen=True, eq=False)
class WeightProbe:
    """Record a plastic projection's weights every `interval` ms.

    edges: which, indices in the order of `projection.edges()`; None: all.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs, cell = net.add(rv.Poisson(rate=50.0), 2), net.add(rv.LIF(), 1)
    >>> learned = net.connect(inputs, cell, weight=0.5, edges=([0, 1], [0, 0]), plasticity=rv.rules.STDP())
    >>> recording = rv.simulate(net, 20.0, engine="torch", record=rv.WeightProbe(learned, 5.0))
    >>> recording.weights.trace(learned).values.shape
    torch.Size([4, 2])
    """

    projection: Projection
    interval: float
    edges: Any = None


@dataclass(frozen=True, eq=False)
class WeightTrace(Columns):
    """Weights over time: `times` (T,) in ms, `edges` (n,) indices, `values` (T, n)."""

    times: Tensor
    edges: Tensor
    values: Tensor

    def _columns(self) -> dict[str, Any]:
        return {"time": self.times, **dict(zip(map(str, self.edges.tolist()), self.values.T))}


T = TypeVar("T")
Later = Callable[[], T]  # read from disk when it is requested


class Weights(Mapping[Any, "Tensor"]):
    """`weights[projection]`: final weights (edges,) in the order of `projection.edges()`; by its index too.

    `trace(projection)` is what a `WeightProbe` recorded. It maps the indices of the plastic projections.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs, cell = net.add(rv.Poisson(rate=0.0), 1), net.add(rv.LIF(), 1)
    >>> learned = net.connect(inputs, cell, weight=0.5, edges=([0], [0]), plasticity=rv.rules.STDP())
    >>> weights = rv.simulate(net, 10.0, engine="torch").weights
    >>> weights[learned].tolist()
    [0.5]
    """

    def __init__(
        self,
        final: Mapping[int, NDArray[Any] | Later[NDArray[Any]]],
        traces: Mapping[int, WeightTrace | Later[WeightTrace]],
    ) -> None:
        self._final, self._traces = dict(final), dict(traces)

    def __getitem__(self, projection: Projection | int) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(self._of(self._final, projection, "is not plastic")))

    def trace(self, projection: Projection | int) -> WeightTrace:
        """What was recorded of its weights. Raises ValueError where nothing was."""
        return self._of(self._traces, projection, "was not recorded: give record=WeightProbe(...)")

    def _of(self, among: dict[int, Any], projection: Projection | int, what: str) -> Any:
        index = projection if isinstance(projection, int) else projection.index
        if index not in among:
            raise ValueError(f"projection {index} {what}; expected one of {sorted(among)}")
        value = among[index]
        return value() if callable(value) else value

    def __iter__(self) -> Iterator[int]:
        return iter(self._final)

    def __len__(self) -> int:
        return len(self._final)

    def __repr__(self) -> str:
        return f"Weights of projections {sorted(self._final)}, recorded: {sorted(self._traces)}"


NONE = Weights({}, {})


@dataclass(frozen=True, eq=False)
class ResolvedWeights:
    """A probe of weights, checked: interval in steps."""

    index: int
    interval: int
    edges: NDArray[np.int64]

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.index}"


def resolve_weights(record: list[Any], net: Network, dt: float) -> tuple[ResolvedWeights, ...]:
    """Check the probes of weights. Raises ValueError, saying what was expected."""
    resolved: list[ResolvedWeights] = []
    for probe in record:
        p = probe.projection
        if not isinstance(p, Projection) or not any(p is q for q in net.projections):
            raise ValueError(f"a WeightProbe is of {p!r:.80}; expected a projection of this network")
        if p.plasticity is None:
            raise ValueError(f"a WeightProbe is of {p!r}, whose weights stay; expected a plastic projection")
        steps = whole_steps(probe.interval, dt, f"there is a recording interval of {probe.interval} ms")
        count = p.size
        edges = np.arange(count) if probe.edges is None else np.asarray(probe.edges, np.int64).reshape(-1)
        if len(edges) and not 0 <= edges.min() <= edges.max() < count:
            raise ValueError(f"a WeightProbe of {p!r} names edge {edges.max()}; expected indices below {count}")
        if any(w.index == p.index for w in resolved):
            raise ValueError(f"there are two WeightProbes of {p!r}; expected one a projection")
        resolved.append(ResolvedWeights(p.index, steps, edges))
    return tuple(resolved)


def advance(engine: Engine, last: int, probes: tuple[ResolvedWeights, ...]) -> Segment:
    """`engine.advance(last)`, stopping where probes ask for weights."""
    if not probes:
        return engine.advance(last)
    pieces = []
    steps: dict[str, list[int]] = {p.name: [] for p in probes}
    values: dict[str, list[NDArray[Any]]] = {p.name: [] for p in probes}
    while engine.step < last:
        pieces.append(engine.advance(min(last, *((engine.step // p.interval + 1) * p.interval for p in probes))))
        due = [p for p in probes if engine.step % p.interval == 0]
        now = engine.weights([p.index for p in due]) if due else {}
        for p in due:
            steps[p.name].append(engine.step)
            values[p.name].append(now[p.index][p.edges])
    samples: dict[str, tuple[NDArray[np.int64], NDArray[Any]]] = {
        name: (
            np.concatenate([piece.samples[name][0] for piece in pieces]),
            np.concatenate([piece.samples[name][1] for piece in pieces]),
        )
        for name in pieces[0].samples
    }
    for p in probes:
        of_p = np.stack(values[p.name]) if values[p.name] else np.zeros((0, len(p.edges)), engine.options.real)
        samples[p.name] = np.array(steps[p.name], np.int64), of_p
    return type(pieces[0])(
        np.concatenate([x.steps for x in pieces]), np.concatenate([x.neurons for x in pieces]), samples
    )


__all__ = ["NONE", "PREFIX", "ResolvedWeights", "WeightProbe", "WeightTrace", "Weights", "advance", "resolve_weights"]
