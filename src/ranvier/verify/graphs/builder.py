"""Building graphs: values with shapes, operators with broadcasting, and what is composed of simpler ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier.verify import functions as f
from ranvier.verify.graphs.graph import ComputationGraph, Input, Node, Operator, Product, Unary
from ranvier.verify.graphs.linear import Add, Convolution, Diagonal, MatrixProduct, Sum, Take

LARGEST = 4_000_000  # elements of one value, and of one product before it is summed
MOST_NODES = 20_000


@dataclass(frozen=True)
class Value:
    """A node of a graph being built, with its shape."""

    node: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


Operand = Value | Tensor  # a tensor is a constant


class Builder:
    """Adds nodes to a graph; operands are values or constant float64 tensors. `name` is what messages call the node
    that is being translated."""

    def __init__(self, shape: Sequence[int], title: str = "") -> None:
        self.title, self.name = title, "input"
        self._nodes: list[Node] = []
        self._known: dict[Any, Any] = {}
        self.input = self._add(Input(), (), tuple(shape))

    def graph(self, output: Operand) -> ComputationGraph:
        """The graph whose output is that value."""
        if isinstance(output, Tensor):
            constant, start = output, self.input.size
            numbers = torch.arange(start, start + constant.numel()).reshape(constant.shape)
            output = self.take([self.input], lambda *_: numbers, constant.reshape(-1).double())
        needed = {output.node}
        for k in range(output.node, -1, -1):
            if k in needed:
                needed.update(self._nodes[k].inputs)
        needed.add(0)
        order = sorted(needed)
        place = {old: new for new, old in enumerate(order)}
        nodes = [
            Node(n.name, n.operator, tuple(place[i] for i in n.inputs), n.shape)
            for n in (self._nodes[k] for k in order)
        ]
        last = nodes[place[output.node]]
        if output.node == 0:
            last = Node("output", Take(torch.arange(output.size), (output.size,)), (0,), output.shape)
            return ComputationGraph((nodes[0], last), 1, self.title)
        nodes[-1] = Node(last.name, last.operator, last.inputs, output.shape)  # the same vector in its own shape
        return ComputationGraph(tuple(nodes), place[output.node], self.title)

    def _add(self, operator: Operator, inputs: Sequence[Value], shape: tuple[int, ...]) -> Value:
        if math.prod(shape) > LARGEST:
            self.refuse(f"has {math.prod(shape)} elements; expected at most {LARGEST}")
        if math.prod(shape) == 0:
            self.refuse(f"has a value of shape {tuple(shape)}; expected one element at least")
        if len(self._nodes) >= MOST_NODES:
            self.refuse(f"is the {MOST_NODES + 1}th operation; expected at most {MOST_NODES}: unroll fewer steps")
        self._nodes.append(Node(self.name, operator, tuple(v.node for v in inputs), shape))
        return Value(len(self._nodes) - 1, shape)

    def refuse(self, fault: str) -> None:
        """Raise ValueError about the node that is being translated."""
        raise ValueError(f"node {self.name!r} {fault}")

    # copies

    def take(self, values: Sequence[Value], pick: Callable[..., Tensor], fill: Tensor | None = None) -> Value:
        """Copies of elements: `pick` gets an integer tensor of each value's shape that numbers the elements of all,
        one value after the other, and returns the numbers of the result's; constants go on numbering into `fill`."""
        numbers, start = [], 0
        for v in values:
            numbers.append(torch.arange(start, start + v.size).reshape(v.shape))
            start += v.size
        index = pick(*numbers)
        flat = index.reshape(-1)
        most = start + (0 if fill is None else len(fill))
        if flat.numel() and not (int(flat.min()) >= 0 and int(flat.max()) < most):
            self.refuse(f"takes element {int(flat.max())}; expected at most {most - 1}")
        before = self._nodes[values[0].node] if len(values) == 1 and fill is None else None
        if before is not None and isinstance(before.operator, Take):  # copies of copies
            first = before.operator
            flat, fill = first.index[flat], first.fill
            values = [Value(i, self._nodes[i].shape) for i in before.inputs]
        if len(values) == 1 and fill is None and torch.equal(flat, torch.arange(values[0].size)):
            return Value(values[0].node, tuple(index.shape))  # the same vector in another shape
        return self._add(Take(flat, tuple(v.size for v in values), fill), values, tuple(index.shape))

    def combine(self, parts: Sequence[Operand], pick: Callable[..., Tensor]) -> Operand:
        """As `take` of values and constants together, each numbered in its place: concatenation, selection."""
        values = [p for p in parts if isinstance(p, Value)]
        constants = [p for p in parts if isinstance(p, Tensor)]
        if not values:
            return pick(*constants)
        starts, at = [], 0
        for p in sorted(range(len(parts)), key=lambda k: isinstance(parts[k], Tensor)):
            starts.append((p, at))
            at += math.prod(parts[p].shape)
        where = dict(starts)
        numbers = [
            torch.arange(where[k], where[k] + math.prod(p.shape)).reshape(tuple(p.shape)) for k, p in enumerate(parts)
        ]
        fill = torch.cat([c.reshape(-1).double() for c in constants]) if constants else None
        return self.take(values, lambda *_: pick(*numbers), fill)

    def reshape(self, x: Operand, shape: Sequence[int]) -> Operand:
        return x.reshape(tuple(shape)) if isinstance(x, Tensor) else self.take([x], lambda n: n.reshape(tuple(shape)))

    def permute(self, x: Operand, axes: Sequence[int]) -> Operand:
        return x.permute(*axes) if isinstance(x, Tensor) else self.take([x], lambda n: n.permute(*axes))

    def expand(self, x: Operand, shape: Sequence[int]) -> Operand:
        if tuple(x.shape) == tuple(shape):
            return x
        return x.expand(*shape) if isinstance(x, Tensor) else self.take([x], lambda n: n.expand(*shape))

    # sums and products

    def add(self, x: Operand, y: Operand, sign: int = 1) -> Operand:
        """x + sign y, broadcast."""
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return x + sign * y
        shape = self._broadcast(x, y)
        if isinstance(x, Value) and isinstance(y, Value):
            x, y = self.expand(x, shape), self.expand(y, shape)
            if x == y and sign < 0:
                return torch.zeros(shape, dtype=torch.float64)
            return self._add(Add((1, sign)), [x, y], shape)  # type: ignore[list-item]
        value, constant = (x, sign * y) if isinstance(x, Value) else (y, x)  # type: ignore[operator]
        factor = sign if isinstance(y, Value) else 1
        return self.affine(self.expand(value, shape), scalar(factor), constant)  # type: ignore[arg-type]

    def affine(self, x: Operand, factor: Tensor, offset: Tensor | None = None) -> Operand:
        """factor x + offset, both constants broadcast to x."""
        if isinstance(x, Tensor):
            return factor * x if offset is None else factor * x + offset
        factor = factor.double().expand(x.shape).reshape(-1)
        shift = None if offset is None else offset.double().expand(x.shape).reshape(-1)
        if bool((factor == 0).all()):
            return (torch.zeros(x.size).double() if shift is None else shift.clone()).reshape(x.shape)
        self._require_finite(factor, shift)
        return self._add(Diagonal(factor.contiguous(), None if shift is None else shift.contiguous()), [x], x.shape)

    def multiply(self, x: Operand, y: Operand) -> Operand:
        """x y, broadcast; x x is a square."""
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return x * y
        shape = self._broadcast(x, y)
        x, y = self.expand(x, shape), self.expand(y, shape)
        if isinstance(x, Value) and isinstance(y, Value):
            return self.unary(f.Power(2), x) if x == y else self._add(Product(), [x, y], shape)
        return self.affine(x, y) if isinstance(y, Tensor) else self.affine(y, x)  # type: ignore[arg-type]

    def divide(self, x: Operand, y: Operand) -> Operand:
        if isinstance(y, Tensor):
            return x / y if isinstance(x, Tensor) else self._scaled_down(x, y)
        return self.multiply(x, self.unary(f.Reciprocal(), y))

    def _scaled_down(self, x: Value, y: Tensor) -> Operand:
        if bool((y == 0).any()):
            self.refuse("divides by a constant 0; expected other divisors")
        shape = self._broadcast(x, y)
        # 1/y rounds; the difference to a division is within the slack of every bound
        return self.affine(self.expand(x, shape), (1 / y.double()))

    def sum(self, x: Operand, axes: Sequence[int], keep: bool = False, mean: bool = False) -> Operand:
        """Over axes, which are removed unless `keep`."""
        if isinstance(x, Tensor):
            return x.mean(tuple(axes), keep) if mean else x.sum(tuple(axes), keep)
        axes = sorted({a % max(len(x.shape), 1) for a in axes}) if x.shape else []
        rest = [a for a in range(len(x.shape)) if a not in axes]
        count = math.prod(x.shape[a] for a in axes)
        shape = tuple(1 if a in axes else s for a, s in enumerate(x.shape)) if keep else tuple(x.shape[a] for a in rest)
        moved = self.permute(x, [*rest, *axes])
        total = self._add(Sum(math.prod(shape), count, 1), [moved], shape)  # type: ignore[list-item]
        return self.affine(total, scalar(1.0 / count)) if mean else total

    def matmul(self, x: Operand, y: Operand, offset: Tensor | None = None) -> Operand:
        """As torch.matmul, of which one or both may be constants; offset broadcasts to the result."""
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            plain: Tensor = x @ y
            return plain if offset is None else plain + offset
        out: Operand
        if len(x.shape) == 1:
            out = self.matmul(self.reshape(x, (1, *x.shape)), y)
            out = self.reshape(out, (*out.shape[:-2], out.shape[-1]))
        elif len(y.shape) == 1:
            out = self.matmul(x, self.reshape(y, (*y.shape, 1)))
            out = self.reshape(out, out.shape[:-1])
        elif x.shape[-1] != y.shape[-2]:
            self.refuse(f"multiplies {tuple(x.shape)} by {tuple(y.shape)}; expected matrices that fit")
        elif isinstance(y, Tensor) and y.ndim == 2:
            return self._dense(x, y, offset)  # type: ignore[arg-type]
        elif isinstance(x, Tensor) and x.ndim == 2:
            turned = self._dense(self.permute(y, _swapped(y)), x.T)  # type: ignore[arg-type]
            out = self.permute(turned, _swapped(turned))
        else:
            out = self._products(x, y)
        return out if offset is None else self.add(out, offset)

    def _dense(self, x: Value, weight: Tensor, offset: Tensor | None = None) -> Value:
        shape = (*x.shape[:-1], weight.shape[1])
        shift = None if offset is None else offset.double().expand(shape).reshape(-1).contiguous()
        self._require_finite(weight, shift)
        return self._add(MatrixProduct(weight.double().contiguous(), math.prod(x.shape[:-1]), shift), [x], shape)

    def _products(self, x: Operand, y: Operand) -> Operand:
        """Every product alone, then their sums."""
        batch = tuple(torch.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2])))
        rows, inner, columns = x.shape[-2], x.shape[-1], y.shape[-1]
        if math.prod(batch) * rows * inner * columns > LARGEST:
            self.refuse(f"is a product of {tuple(x.shape)} and {tuple(y.shape)}; expected at most {LARGEST} terms")
        left = self.expand(self.reshape(x, (*x.shape[:-2], rows, 1, inner)), (*batch, rows, columns, inner))
        turned = self.permute(y, _swapped(y))
        right = self.reshape(turned, (*turned.shape[:-2], 1, columns, inner))
        right = self.expand(right, (*batch, rows, columns, inner))
        return self.sum(self.multiply(left, right), [-1])

    def convolution(
        self, x: Value, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
        dilation: Sequence[int], groups: int,
    ) -> Value:  # fmt: skip
        """One or two dimensions, as torch's."""
        if weight.ndim not in (3, 4) or len(x.shape) != weight.ndim:
            self.refuse(f"convolves {tuple(x.shape)} with {tuple(weight.shape)}; expected one or two dimensions")
        bare = Convolution(weight.double(), x.shape, tuple(stride), tuple(padding), tuple(dilation), groups)
        try:
            shape = bare.output_shape
        except RuntimeError as error:
            raise ValueError(f"node {self.name!r} is no convolution that fits: {error}") from error
        shift = None
        if bias is not None:
            shift = bias.double().reshape(1, -1, *(1,) * (weight.ndim - 2)).expand(shape).reshape(-1).contiguous()
        self._require_finite(weight, shift)
        full = Convolution(bare.weight, x.shape, bare.stride, bare.padding, bare.dilation, groups, shift)
        return self._add(full, [x], shape)

    # functions

    def unary(self, function: f.Function, x: Operand) -> Operand:
        """f(x); the same function of the same value is one node."""
        if isinstance(x, Tensor):
            return function.value(x.double())
        key = (function, x.node)
        if key not in self._known:
            self._known[key] = self._add(Unary(function), [x], x.shape).node
        return Value(self._known[key], x.shape)

    def maximum(self, x: Operand, y: Operand) -> Operand:
        """max(x, y) = y + relu(x − y)."""
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return torch.maximum(x, y)
        return self.add(y, self.unary(f.LeakyRelu(), self.add(x, y, -1)))

    def minimum(self, x: Operand, y: Operand) -> Operand:
        """min(x, y) = y − relu(y − x)."""
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            return torch.minimum(x, y)
        return self.add(y, self.unary(f.LeakyRelu(), self.add(y, x, -1)), -1)

    def greatest(self, x: Operand, axis: int) -> Operand:
        """The maximum over an axis, which is removed: pairs, then pairs of pairs."""
        if isinstance(x, Tensor):
            return x.amax(axis)
        axis %= len(x.shape)
        while x.shape[axis] > 1:
            half = x.shape[axis] // 2
            odd = x.shape[axis] % 2
            cut = [self.take([x], lambda n, a=a, b=b: n.narrow(axis, a, b)) for a, b in  # type: ignore[misc, arg-type, list-item]
                   ((0, half), (half, half), (2 * half, odd))[: 2 + odd]]  # fmt: skip
            x = self.maximum(cut[0], cut[1])
            if odd:
                x = self.combine([x, cut[2]], lambda a, b: torch.cat([a, b], axis))
        return self.reshape(x, (*x.shape[:axis], *x.shape[axis + 1 :]))

    def softmax(self, x: Operand, axis: int) -> Operand:
        """1/Σ_j exp(x_j − x_i): between 0 and 1 whatever the bounds of x."""
        if isinstance(x, Tensor):
            return torch.softmax(x, axis)
        axis %= len(x.shape)
        last = [a for a in range(len(x.shape)) if a != axis] + [axis]
        y = self.permute(x, last)
        n = y.shape[-1]
        wide = (*y.shape[:-1], n, n)
        differences = self.add(
            self.expand(self.reshape(y, (*y.shape[:-1], 1, n)), wide),
            self.expand(self.reshape(y, (*y.shape, 1)), wide), -1,
        )  # fmt: skip
        total = self.sum(self.unary(f.Exp(), differences), [-1])
        back = sorted(range(len(last)), key=last.__getitem__)
        return self.permute(self.unary(f.Reciprocal(), total), back)

    def normalise(self, x: Operand, axes: Sequence[int], epsilon: float) -> Operand:
        """(x − mean)/√(variance + epsilon) over axes, as of layer and group norms."""
        centred = self.add(x, self.sum(x, axes, keep=True, mean=True), -1)
        variance = self.sum(self.multiply(centred, centred), axes, keep=True, mean=True)
        scale = self.unary(f.ReciprocalSqrt(), self.add(variance, scalar(epsilon)))
        return self.multiply(centred, scale)

    def _broadcast(self, x: Operand, y: Operand) -> tuple[int, ...]:
        try:
            return tuple(torch.broadcast_shapes(tuple(x.shape), tuple(y.shape)))
        except RuntimeError:
            raise ValueError(
                f"node {self.name!r} joins shapes {tuple(x.shape)} and {tuple(y.shape)}; expected shapes that broadcast"
            ) from None

    def _require_finite(self, *constants: Tensor | None) -> None:
        for c in constants:
            if c is not None and not bool(torch.isfinite(c).all()):
                self.refuse("has a constant that is not finite; expected finite weights")


def scalar(value: float) -> Tensor:
    """A constant, float64."""
    return torch.tensor(float(value), dtype=torch.float64)


def _swapped(x: Operand) -> list[int]:
    axes = list(range(len(x.shape)))
    return [*axes[:-2], axes[-1], axes[-2]]


__all__ = ["Builder", "Operand", "Value", "scalar"]
