"""A network as a graph of few operators, over the reals: what bounds are computed on.

Every value is a vector a domain, (B, size); shapes are kept beside it for those who build graphs. A node is one of

- `Input`;
- a `LinearOperator` (`ranvier.verify.graphs.linear`): copies of elements, scaling, sums, products with constant
  matrices, convolution;
- `Unary`: a function of one variable, element by element (`ranvier.verify.functions`);
- `Product`: of two variables, element by element.

Everything else (softmax, norms, attention, division, pooling) is composed of these by `Builder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ranvier.verify.functions import Function
from ranvier.verify.graphs.linear import LinearOperator, Take


@dataclass(frozen=True)
class Input:
    """The network's input."""


@dataclass(frozen=True)
class Unary:
    """y = f(x), element by element."""

    function: Function


@dataclass(frozen=True)
class Product:
    """z = x y, element by element."""


Operator = Input | Unary | Product | LinearOperator


@dataclass(frozen=True)
class Node:
    """One value: its operator on the values of earlier nodes. name: of the node it comes from, for messages."""

    name: str
    operator: Operator
    inputs: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return _size(self.shape)


@dataclass(frozen=True)
class ComputationGraph:
    """Nodes in topological order, the first the input; `output` is the index of the output's node.

    Constants are float64; the function that bounds are about is that of the reals with these constants.
    Returned by `from_module`.
    """

    nodes: tuple[Node, ...]
    output: int
    title: str = ""
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.nodes[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.nodes[self.output].shape

    @cached_property
    def source(self) -> tuple[tuple[int, Tensor | None], ...]:
        """Of each node the one that its elements are copies of, and which: copies are followed to where the values
        arise. (node, None) for a node that is its own source, or one whose copies come from several."""
        result: list[tuple[int, Tensor | None]] = []
        for k, node in enumerate(self.nodes):
            operator = node.operator
            if isinstance(operator, Take) and len(node.inputs) == 1 and operator.fill is None:
                origin, index = result[node.inputs[0]]
                result.append((origin, operator.index if index is None else index[operator.index]))
            else:
                result.append((k, None))
        return tuple(result)

    @cached_property
    def consumers(self) -> tuple[tuple[tuple[int, int, Tensor | None], ...], ...]:
        """Of each node the nonlinear nodes that read it, directly or by copies: (node, operand, which elements)."""
        lists: list[list[tuple[int, int, Tensor | None]]] = [[] for _ in self.nodes]
        for k, node in enumerate(self.nodes):
            if isinstance(node.operator, (Unary, Product)):
                for position, i in enumerate(node.inputs):
                    origin, index = self.source[i]
                    lists[origin].append((k, position, index))
        return tuple(tuple(each) for each in lists)

    @cached_property
    def relaxed(self) -> tuple[int, ...]:
        """Nodes whose bounds matter: those that a nonlinear node reads, but for the input."""
        return tuple(k for k, readers in enumerate(self.consumers) if readers and k != 0)

    def ancestors(self, k: int) -> tuple[int, ...]:
        """Node k and all that it depends on, last first."""
        if ("ancestors", k) not in self._cache:
            needed = {k}
            for j in range(k, -1, -1):
                if j in needed:
                    needed.update(self.nodes[j].inputs)
            self._cache["ancestors", k] = tuple(sorted(needed, reverse=True))
        return self._cache["ancestors", k]

    def values(self, x: Tensor) -> list[Tensor]:
        """All nodes' values at x (B, *input_shape) or (B, size): a list of (B, size) in x's precision."""
        results: list[Tensor] = []
        for node in self.nodes:
            operator, arguments = node.operator, [results[i] for i in node.inputs]
            match operator:
                case Input():
                    results.append(x.reshape(len(x), -1))
                case Unary():
                    results.append(operator.function.value(arguments[0]))
                case Product():
                    results.append(arguments[0] * arguments[1])
                case _:
                    out = operator.apply(arguments)
                    results.append(out if operator.offset is None else out + operator.offset.to(out))
        return results

    def __call__(self, x: Tensor) -> Tensor:
        """The network's output (B, *output_shape) at x (B, *input_shape), in plain torch."""
        return self.values(x)[self.output].reshape(len(x), *self.output_shape)

    def __repr__(self) -> str:
        kinds = {Unary: 0, Product: 0}
        for node in self.nodes:
            if type(node.operator) in kinds:
                kinds[type(node.operator)] += node.size
        return (
            f"ComputationGraph({self.title + ': ' if self.title else ''}{self.input_shape} -> {self.output_shape}, "
            f"{len(self.nodes)} nodes, {kinds[Unary]} functions, {kinds[Product]} products)"
        )


def _size(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


__all__ = ["ComputationGraph", "Input", "Node", "Operator", "Product", "Unary"]
