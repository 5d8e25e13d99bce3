"""Layers and modules joined by any edges: branches, sums where edges meet, loops with a delay of one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.cell import in_own_precision, is_hooked
from ranvier.nn.checks import require_tensor
from ranvier.nn.sequential import Sequential

Edge = tuple[str, str]
Signal = Tensor | tuple[Tensor, ...]
GraphState = tuple[tuple[Any, ...], tuple[Tensor, ...]]


class _Nodes(nn.Module):
    """Modules by any name, also those of a module's own attributes, which nn.ModuleDict refuses."""

    def __init__(self, modules: Mapping[str, Sequential]) -> None:
        super().__init__()
        self._modules.update(modules)

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)


class Graph(nn.Module):
    """Cells and ordinary modules as the nodes of a graph: itself a `Cell`.

    A node's input is the sum of what its edges bring. An edge that closes a loop (in a walk from the inputs along
    `edges` in their order) brings what its source gave one step before, 0 at first. Sequences go through nodes that
    lie on no loop at once, and step by step through those that share one.

    Parameters
    ----------
    nodes : modules by name; names hold no ".".
    edges : (source, target) names; those of inputs may be sources, those of outputs targets.
    inputs, outputs : names that are no nodes'. With several inputs x is a tuple, with several outputs y is one, in
        this order.

    `forward(x[T, B, ...], state=None) -> (y, state)`; `step(state, x[B, ...]) -> (state, y)`. The state is (the nodes'
    own, in their order; what the sources of closing edges gave last, in the edges' order, () before any step).

    Raises ValueError for unknown or doubled names, nodes that nothing reaches, and outputs without an edge; on the
    first step of a loop for a node that nothing else reaches, unless its input's size is known (nn.Linear, layers of
    neurons).

    Examples
    --------
    >>> graph = rv.nn.Graph(
    ...     {"first": rv.nn.LIF(3, 4), "left": rv.nn.LIF(4, 2), "right": torch.nn.Linear(4, 2)},
    ...     [("x", "first"), ("first", "left"), ("first", "right"), ("left", "y"), ("right", "y")],
    ... )
    >>> graph(torch.rand(5, 1, 3))[0].shape
    torch.Size([5, 1, 2])
    """

    def __init__(
        self,
        nodes: Mapping[str, nn.Module],
        edges: Iterable[Edge],
        inputs: Sequence[str] = ("x",),
        outputs: Sequence[str] = ("y",),
    ) -> None:
        super().__init__()
        self.edges = tuple(dict.fromkeys((str(a), str(b)) for a, b in edges))
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._require_names(nodes)
        self.nodes = _Nodes({name: Sequential(module) for name, module in nodes.items()})
        self._closing = _closing_edges(self.inputs, self.edges)
        self._sources = {
            name: [a for a, b in self.edges if b == name and (a, b) not in self._closing]
            for name in (*nodes, *self.outputs)
        }
        self._fed_back = {name: [a for a, b in self._closing if b == name] for name in nodes}
        self.parts = _parts(list(nodes), self.edges, self._closing)

    def _require_names(self, nodes: Mapping[str, nn.Module]) -> None:
        names = [*nodes, *self.inputs, *self.outputs]
        doubled = sorted({n for n in names if names.count(n) > 1})
        if dotted := next((n for n in names if "." in n or not n), None):
            raise ValueError(f"the name {dotted!r} is empty or holds a '.'; expected another")
        if doubled or not self.inputs or not self.outputs:
            what = f"the name {doubled[0]!r} twice" if doubled else "no inputs or no outputs"
            raise ValueError(
                f"the value is {what}; "
                "expected distinct names of nodes, at least one input and one output"
            )
        for a, b in self.edges:
            if a not in nodes and a not in self.inputs:
                raise ValueError(f"the edge {a!r} to {b!r} starts nowhere; expected a node or one of {self.inputs}")
            if b not in nodes and b not in self.outputs:
                raise ValueError(f"the edge {a!r} to {b!r} ends nowhere; expected a node or one of {self.outputs}")
        reached = set(self.inputs)
        while more := {b for a, b in self.edges if a in reached} - reached:
            reached |= more
        if lost := [n for n in (*nodes, *self.outputs) if n not in reached]:
            raise ValueError(f"nothing reaches {lost[0]!r} from the inputs; expected edges that lead to every node")

    def init_state(self, batch: int) -> GraphState:
        """Every node's own, and nothing on the loops."""
        return tuple(self.nodes[name].init_state(batch) for name in self.nodes), ()

    def step(self, state: GraphState, x: Signal) -> tuple[GraphState, Signal]:
        """One step: x (B, ...) -> (state, y (B, ...)). Where hooks are set they see `forward` of a sequence of one."""
        if is_hooked(self):
            sequence = tuple(v[None] for v in x) if isinstance(x, tuple) else x[None]
            y, state = self(sequence, state)
            return state, tuple(v[0] for v in y) if isinstance(y, tuple) else y[0]
        y, state = self._step(x, state)  # type: ignore[arg-type]
        return state, y

    @in_own_precision
    def _step(self, x: Signal, state: GraphState) -> tuple[Signal, GraphState]:
        signals = self._signals(x, 2)
        own, loops = self._by_name(state)
        for part in self.parts:
            for name in part:
                own[name], signals[name] = self.nodes[name].step(own[name], self._sum(name, signals, loops))
        return self._answer(signals), (tuple(own[n] for n in self.nodes), tuple(signals[a] for a, _ in self._closing))

    @in_own_precision
    def forward(self, x: Signal, state: GraphState | None = None) -> tuple[Signal, GraphState]:
        """x (T, B, ...) -> y (T, B, ...) and the state after the last step."""
        signals = self._signals(x, 3)
        old, loops = (dict.fromkeys(self.nodes), {}) if state is None else self._by_name(state)
        own: dict[str, Any] = {}
        for part in self.parts:
            if len(part) == 1 and not self._fed_back[part[0]]:
                name = part[0]
                signals[name], own[name] = self.nodes[name](self._sum(name, signals, {}), old[name])
            else:
                self._loop(part, signals, old, own, loops)
        last = tuple(signals[a][-1] for a, _ in self._closing)
        return self._answer(signals), (tuple(own[n] for n in self.nodes), last)

    def _loop(
        self, part: list[str], signals: dict[str, Tensor], old: Mapping[str, Any], own: dict[str, Any],
        loops: dict[str, Tensor],
    ) -> None:  # fmt: skip
        """The nodes of a loop, step by step; what comes from outside is there for all steps."""
        some = next(iter(signals.values()))
        batch = some.shape[1]
        states = {n: self.nodes[n].init_state(batch) if old[n] is None else old[n] for n in part}
        outside = {a: signals[a].unbind(0) for n in part for a in self._sources[n] if a not in part}
        steps: dict[str, list[Tensor]] = {name: [] for name in part}
        for t in range(len(some)):
            now = {a: values[t] for a, values in outside.items()}
            for name in part:
                states[name], now[name] = self.nodes[name].step(states[name], self._sum(name, now, loops))
                steps[name].append(now[name])
            loops = {**loops, **{a: now[a] for a, _ in self._closing if a in part}}
        own |= states
        signals |= {name: torch.stack(values) for name, values in steps.items()}

    def _sum(self, name: str, signals: Mapping[str, Tensor], loops: Mapping[str, Tensor]) -> Tensor:
        terms = [signals[a] for a in self._sources[name]]
        terms += [loops[a] for a in self._fed_back.get(name, ()) if a in loops]
        if not terms:
            return self._nothing(name, signals)
        total = terms[0]
        for term in terms[1:]:
            if term.shape != total.shape:
                raise ValueError(
                    f"what meets at {name!r} has the shapes {tuple(total.shape)} and {tuple(term.shape)}; expected one"
                )
            total = total + term
        return total

    def _nothing(self, name: str, signals: Mapping[str, Tensor]) -> Tensor:
        """The input of a node in the first step of a loop that alone reaches it."""
        module = self.nodes[name][0]
        size = getattr(module, "in_features", None)
        if not isinstance(size, int):
            raise ValueError(
                f"nothing reaches {name!r} in the first step but its own loop, and a {type(module).__name__} does not "
                "say what size it takes; expected an edge from outside the loop, or an nn.Linear there"
            )
        some = next(iter(signals.values()))
        return some.new_zeros(some.shape[0], size)

    def _signals(self, x: Signal, axes: int) -> dict[str, Tensor]:
        signals_in: Any = x if isinstance(x, tuple) and len(self.inputs) > 1 else (x,)
        if len(signals_in) != len(self.inputs):
            count = len(signals_in)
            raise ValueError(
                f"there are {count} inputs; "
                f"expected a tuple of {len(self.inputs)}: {', '.join(self.inputs)}"
            )
        for name, value in zip(self.inputs, signals_in, strict=True):
            require_tensor(value)
            if value.ndim < axes or 0 in value.shape[: axes - 1]:
                what = "(T, B, ...) with T > 0" if axes == 3 else "(B, ...)"
                raise ValueError(f"{name} has shape {tuple(value.shape)}; expected {what}")
        return dict(zip(self.inputs, signals_in, strict=True))

    def _answer(self, signals: Mapping[str, Tensor]) -> Signal:
        answers = tuple(self._sum(name, signals, {}) for name in self.outputs)
        return answers if len(answers) > 1 else answers[0]

    def _by_name(self, state: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """A state's parts by name. ValueError for what is none."""
        pair = isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, tuple) for part in state)
        if not pair or len(state[0]) != len(list(self.nodes)) or len(state[1]) not in (0, len(self._closing)):
            raise ValueError(
                f"state is a {type(state).__name__}; expected (the nodes' own, what comes back): begin with "
                "init_state(batch), and call step(state, x)"
            )
        own = dict(zip(self.nodes, state[0], strict=True))
        return own, {a: value for (a, _), value in zip(self._closing, state[1], strict=False)}


def _closing_edges(inputs: Sequence[str], edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Edges back to a node on the way to their source, in a walk from the inputs along the edges in their order."""
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    closing: list[Edge] = []
    done: set[str] = set()
    for start in inputs:
        path, stack = [start], [iter(after.get(start, ()))]
        while stack:
            target = next(stack[-1], None)
            if target is None:
                done.add(path.pop())
                stack.pop()
            elif target in path:
                closing.append((path[-1], target))
            elif target not in done:
                path.append(target)
                stack.append(iter(after.get(target, ())))
    return tuple(closing)


def _parts(names: list[str], edges: Sequence[Edge], closing: Sequence[Edge]) -> list[list[str]]:
    """Nodes in the order of evaluation, those that share a loop together."""
    import networkx as nx

    whole: Any = nx.DiGraph()
    whole.add_nodes_from(names)
    whole.add_edges_from((a, b) for a, b in edges if a in names and b in names)
    open_: Any = whole.copy()
    open_.remove_edges_from(closing)
    order = {name: k for k, name in enumerate(nx.lexicographical_topological_sort(open_, key=names.index))}
    groups = nx.condensation(whole)
    sets = nx.get_node_attributes(groups, "members")
    arranged = nx.lexicographical_topological_sort(groups, key=lambda g: min(order[n] for n in sets[g]))
    return [sorted(sets[g], key=order.__getitem__) for g in arranged]


__all__ = ["Graph"]
