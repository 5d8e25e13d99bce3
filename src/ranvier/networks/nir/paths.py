"""NIR's graphs as weights and delays from neuron to neuron: what lies between them, composed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.networks.nir.files import MS, WIDEST, refuse
from ranvier.networks.nir.graph import flat
from ranvier.networks.nir.maps import MOST_WEIGHTS, Shape, bias_of, matrix_of, shape_behind

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: projections into one node
MOST_WAYS = 1000

_NEURONS = ("LIF", "CubaLIF", "LI", "CubaLI", "IF", "I")
_STATELESS = ("Linear", "Affine", "Scale", "Flatten", "Conv1d", "Conv2d", "AvgPool2d", "SumPool2d", "Delay",
              "Threshold", "Output")  # fmt: skip
_MIXING = ("Linear", "Affine", "Conv1d", "Conv2d", "AvgPool2d", "SumPool2d")


@dataclass(frozen=True)
class NodePath:
    """What the spikes of `source` bring to a node.

    `matrix` (values, neurons), sparse; `before`, ms, (neurons,), delays before the weights; `behind`, ms, (values,),
    behind them; `weighted`: whether there are weights on the way.
    """

    source: str
    matrix: Any
    before: NDArray[np.float64]
    behind: NDArray[np.float64]
    weighted: bool = False


@dataclass(frozen=True)
class NodeWiring:
    """A graph's neurons and inputs by name, their shapes, and what reaches each of the neurons."""

    nodes: dict[str, Any]
    shapes: dict[str, Shape]
    ways: dict[str, list[NodePath]]
    biases: dict[str, NDArray[np.float64]]


def is_neuron(node: Any) -> bool:
    """Whether a node has a state."""
    return type(node).__name__ in _NEURONS


def is_spiking(node: Any) -> bool:
    """Whether a node has a threshold and a reset."""
    return type(node).__name__ in ("LIF", "CubaLIF", "IF")


def wiring_of(graph: Any) -> NodeWiring:
    """What a `nir.NIRGraph` joins. ValueError, by name, for what no network holds."""
    nodes, edges = flat(graph)
    shapes = {name: shape for name, node in nodes.items() if (shape := _checked(name, node)) is not None}
    for name, shape in shapes.items():
        if math.prod(shape) > WIDEST:
            refuse("from", f"the {math.prod(shape)} values of {name!r}, more than {WIDEST}")
    before: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        if type(nodes[source]).__name__ == "Output":
            refuse("from", f"the edge from the Output {source!r}")
        before[target].append(source)
    useful = _useful(nodes, before)
    order = _order(nodes, before, useful)
    behind = _shapes(nodes, shapes, before, order, useful)
    wiring = NodeWiring({n: m for n, m in nodes.items() if n in shapes}, shapes, {}, {})
    ways: dict[str, list[NodePath]] = {}
    constant: dict[str, NDArray[np.float64] | float] = {}
    for name in (n for n, m in nodes.items() if n in shapes):
        zero = np.zeros(math.prod(shapes[name]))
        ways[name], constant[name] = [NodePath(name, _eye(len(zero)), zero, zero)], 0.0
    for name in (n for n in order if n in useful):
        node = nodes[name]
        if type(node).__name__ == "Threshold":
            refuse("from", f"the Threshold {name!r} on the way to a neuron, whose values are no spikes")
        shape = behind[before[name][0]]
        matrix = matrix_of(name, node, shape)
        ways[name] = _merged(name, [w for n in before[name] for w in _through(name, node, matrix, ways[n])])
        total = sum((constant[n] for n in before[name]), 0.0)
        if np.any(total):
            total = total if matrix is None else matrix @ np.broadcast_to(total, math.prod(shape))
        bias = bias_of(node, behind[name])
        constant[name] = total if bias is None else total + bias
    for name, node in nodes.items():
        if is_neuron(node):
            wiring.ways[name] = _merged(name, [w for n in before[name] for w in ways[n]])
            total = sum((constant[n] for n in before[name]), 0.0)
            if np.any(total):
                wiring.biases[name] = np.broadcast_to(total, math.prod(shapes[name]))
    return wiring


def _checked(name: str, node: Any) -> Shape | None:
    """The shape of neurons and inputs; None for other nodes. ValueError for values outside their domain."""
    kind = type(node).__name__
    if kind == "Input":
        return _declared(node.input_type["input"])
    if kind not in (*_NEURONS, *_STATELESS):
        refuse("from", f"the node {name!r} of kind {kind}")
    values = {key: np.asarray(value) for key, value in vars(node).items() if key not in ("metadata", "padding")}
    values = {key: value for key, value in values.items() if value.dtype.kind in "iufb"}
    for key, value in values.items():
        above = key.startswith("tau")
        if not np.isfinite(value).all() or (above and (value <= 0).any()) or (key == "delay" and (value < 0).any()):
            domain = "above 0" if above else "from 0 on" if key == "delay" else "finite"
            worst = value.reshape(-1)[np.argmin(np.where(np.isfinite(value), value, -np.inf))]
            raise ValueError(f"{key} of {name!r} is {worst:g}; expected numbers that are {domain}: mend it.")
    if kind not in _NEURONS:
        return None
    try:
        shape = np.broadcast_shapes(*(value.shape for value in values.values()))
    except ValueError:
        shapes = ", ".join(f"{key} {value.shape}" for key, value in values.items())
        raise ValueError(f"The values of {name!r} have the shapes {shapes}; expected one: mend them.") from None
    if is_spiking(node) and (reset := values["v_reset"] >= values["v_threshold"]).any():
        at = int(np.flatnonzero(np.broadcast_to(reset, shape))[0])
        pair = [float(np.broadcast_to(values[key], shape).reshape(-1)[at]) for key in ("v_reset", "v_threshold")]
        raise ValueError(
            f"v_reset of {name!r} is {pair[0]:g} and v_threshold {pair[1]:g} at neuron {at}; expected v_reset < "
            "v_threshold: change one of them."
        )
    return shape or (1,)


def _declared(shape: Any) -> Shape:
    return tuple(int(x) for x in np.atleast_1d(shape))


def _order(nodes: dict[str, Any], before: dict[str, list[str]], useful: set[str]) -> list[str]:
    """The nodes without state, each after those before it; loops that lead to no neuron are cut somewhere."""
    stateless = [name for name, node in nodes.items() if type(node).__name__ in _STATELESS]
    links = {name: [n for n in before[name] if type(nodes[n]).__name__ in _STATELESS] for name in stateless}
    while True:
        try:
            return list(TopologicalSorter(links).static_order())
        except CycleError as error:
            first, second, *_ = loop = error.args[1]  # each before the next
            if second in useful:
                names = " and ".join(sorted(map(repr, set(loop))))
                refuse("from", f"the loop through {names} without a neuron in it, which leads to one")
            links[second].remove(first)


def _useful(nodes: dict[str, Any], before: dict[str, list[str]]) -> set[str]:
    """The nodes without state that lead to a neuron."""
    waiting = [n for name, node in nodes.items() if is_neuron(node) for n in before[name]]
    useful: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in useful and type(nodes[name]).__name__ in _STATELESS:
            useful.add(name)
            waiting += before[name]
    return useful


def _shapes(
    nodes: dict[str, Any],
    shapes: dict[str, Shape],
    before: dict[str, list[str]],
    order: list[str],
    useful: set[str],
) -> dict[str, Shape]:
    """What each node gives that something reaches; what meets at a node, and what neurons expect, must be alike."""
    behind = dict(shapes)

    def check(name: str) -> Shape | None:
        """The first shape that reaches a node, if all that do are of one size."""
        reaching = {behind[n]: n for n in before[name] if n in behind}
        for shape, source in reaching.items():
            if math.prod(shape) != (size := math.prod(shapes.get(name, next(iter(reaching))))):
                raise ValueError(
                    f"{source!r} gives {math.prod(shape)} values, {name!r} takes {size}; expected as many: mend the "
                    "shapes."
                )
        return next(iter(reaching), None)

    waiting, before_that = order, [*order, ""]
    while len(waiting) < len(before_that):  # twice and more where loops were cut
        before_that, waiting = waiting, []
        for name in before_that:
            shape = check(name)
            if shape is None:
                waiting.append(name)
            else:
                behind[name] = shape_behind(name, nodes[name], shape)
    for name in waiting:
        if name in useful:
            raise ValueError(f"Nothing leads to {name!r}; expected an edge from an Input or a neuron: add one.")
    for name in nodes:  # neurons, and loops, where they were cut
        check(name)
    return behind


def _through(name: str, node: Any, matrix: Any, ways: Iterable[NodePath]) -> Iterable[NodePath]:
    """The ways that go on behind a node."""
    kind = type(node).__name__
    for way in ways:
        if kind == "Delay":
            ms = np.broadcast_to(np.asarray(node.delay, np.float64).reshape(-1) / MS, len(way.behind))
            if way.weighted:
                yield replace(way, behind=way.behind + ms)
            else:
                yield replace(way, before=way.before + ms)
        elif kind in _MIXING:
            for delay in np.unique(way.behind).tolist():  # values that come at different times mix with none
                part = way.matrix if not np.ptp(way.behind) else _eye(len(way.behind), way.behind == delay) @ way.matrix
                product = _product(name, matrix, part)
                yield NodePath(way.source, product, way.before, np.full(product.shape[0], delay), True)
        elif matrix is not None:
            yield replace(way, matrix=_product(name, matrix, way.matrix), weighted=True)
        else:
            yield way


def _eye(size: int, diagonal: Any = 1.0) -> Any:
    from scipy import sparse

    return sparse.csr_array(sparse.diags_array(np.broadcast_to(np.asarray(diagonal, np.float64), size)))


def _product(name: str, matrix: Any, part: Any) -> Any:
    """`matrix @ part`, if memory can hold it."""
    rows, columns = matrix.shape[0], part.shape[1]
    bound = int(np.diff(part.indptr)[matrix.indices].sum())  # each of them a product to be added
    if min(bound, rows * columns) > MOST_WEIGHTS:
        raise ValueError(
            f"The weights up to {name!r} join {columns} neurons to {rows}, by up to {min(bound, rows * columns)} "
            f"weights; expected up to {MOST_WEIGHTS}: use smaller layers, or rv.nn.from_nir, which keeps them apart."
        )
    return matrix @ part


def _merged(name: str, ways: list[NodePath]) -> list[NodePath]:
    """One way for all of a source with the same delays: their weights add."""
    merged: dict[Any, NodePath] = {}
    for way in ways:
        key = way.source, way.weighted, way.before.tobytes(), way.behind.tobytes()
        if key in merged:
            way = replace(way, matrix=merged[key].matrix + way.matrix, weighted=True)
        merged[key] = way
        if len(merged) > MOST_WAYS:
            refuse("from", f"the more than {MOST_WAYS} different delays on the ways to {name!r}", "Round them.")
    return list(merged.values())


__all__ = ["MOST_WAYS", "NodePath", "NodeWiring", "is_neuron", "is_spiking", "wiring_of"]
