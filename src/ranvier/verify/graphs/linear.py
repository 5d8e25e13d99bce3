"""Linear operators of a graph, on vectors (B, size): forwards with their signed or absolute weights, and transposed.

Every operator says what it does to values (`apply`), the same with the absolute values of its weights
(`apply_absolute`), and pulls coefficients back (`transpose`): A (N, size) of its output to one of each input. Its
constant is `offset`, (size,) or None. Rounding is not their business: whoever calls them allows for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F


class LinearOperator:
    """Base of the operators here."""

    offset: Tensor | None
    exact: ClassVar[bool] = False  # apply copies values: it does not round

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, n) of each input -> (B, size), without the offset."""
        raise NotImplementedError

    def apply_absolute(self, inputs: Sequence[Tensor]) -> Tensor:
        """As `apply`, with the weights' absolute values."""
        raise NotImplementedError

    def transpose(self, A: Tensor) -> list[Tensor]:
        """(N, size) -> (N, n) of each input."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Take(LinearOperator):
    """y_i = x[index_i], x the inputs' elements one after the other: reshaping, slicing, transposing, concatenating.

    index (size,); sizes: of the inputs. Where fill is not None, an index of sum(sizes) + j takes fill[j].
    """

    index: Tensor
    sizes: tuple[int, ...]
    fill: Tensor | None = None
    exact: ClassVar[bool] = True

    @property
    def total(self) -> int:
        return sum(self.sizes)

    @cached_property
    def offset(self) -> Tensor | None:  # type: ignore[override]
        if self.fill is None:
            return None
        values = torch.cat([self.fill.new_zeros(self.total), self.fill])
        return values[self.index]

    @cached_property
    def identity(self) -> bool:
        """Nothing moves."""
        return self.fill is None and torch.equal(self.index, torch.arange(self.total))

    @cached_property
    def _padded(self) -> Tensor:
        return self.index.clamp(max=self.total)

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        if self.identity:
            return inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), -1)
        x = inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), -1)
        if self.fill is not None:
            x = torch.cat([x, x.new_zeros(*x.shape[:-1], 1)], -1)
        return x.index_select(-1, self._padded)

    apply_absolute = apply

    @cached_property
    def _readers(self) -> Tensor | None:
        """(total, m): which outputs each element goes to, padded with `size`; None where some go to very many."""
        size, total = len(self.index), self.total
        inside = (self.index < total).nonzero()[:, 0]
        counts = torch.bincount(self.index[inside], minlength=total)
        most = int(counts.max()) if total else 0
        if most * total > 4 * max(size, total):
            return None
        order = inside[torch.argsort(self.index[inside], stable=True)]
        source = self.index[order]
        rank = torch.arange(len(order)) - (counts.cumsum(0) - counts)[source]
        readers = torch.full((total, max(most, 1)), size)
        readers[source, rank] = order
        return readers

    def transpose(self, A: Tensor) -> list[Tensor]:
        if self.identity:
            return list(A.split(self.sizes, -1))
        readers = self._readers
        if readers is None:
            back = A.new_zeros(len(A), self.total + 1).index_add(-1, self._padded, A)[:, : self.total]
        else:
            padded = torch.cat([A, A.new_zeros(len(A), 1)], -1)
            back = padded.index_select(-1, readers.reshape(-1))
            if readers.shape[1] > 1:
                back = back.reshape(len(A), *readers.shape).sum(-1)
        return list(back.split(self.sizes, -1))


@dataclass(frozen=True, eq=False)
class Diagonal(LinearOperator):
    """y = factor x + offset, element by element; factor (size,)."""

    factor: Tensor
    offset: Tensor | None = None

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0] * self.factor.to(inputs[0])

    def apply_absolute(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0] * self.factor.abs()

    def transpose(self, A: Tensor) -> list[Tensor]:
        return [A * self.factor]


@dataclass(frozen=True, eq=False)
class Add(LinearOperator):
    """y = Σ sign_k x_k, element by element."""

    signs: tuple[int, ...]
    offset: Tensor | None = None

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        total = inputs[0] if self.signs[0] > 0 else -inputs[0]
        for sign, x in zip(self.signs[1:], inputs[1:], strict=True):
            total = total + x if sign > 0 else total - x
        return total

    def apply_absolute(self, inputs: Sequence[Tensor]) -> Tensor:
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total

    def transpose(self, A: Tensor) -> list[Tensor]:
        return [A if sign > 0 else -A for sign in self.signs]


@dataclass(frozen=True, eq=False)
class MatrixProduct(LinearOperator):
    """y = x W + b on the last of the axes: x (rows, k) of each domain, weight W (k, n), offset (rows n,)."""

    weight: Tensor
    rows: int = 1
    offset: Tensor | None = None

    @cached_property
    def _absolute(self) -> Tensor:
        return self.weight.abs()

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        return self._times(inputs[0], self.weight.to(inputs[0]))

    def apply_absolute(self, inputs: Sequence[Tensor]) -> Tensor:
        return self._times(inputs[0], self._absolute)

    def transpose(self, A: Tensor) -> list[Tensor]:
        return [self._times(A, self.weight.T)]

    def _times(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.rows == 1:
            return x @ weight
        return (x.reshape(len(x) * self.rows, -1) @ weight).reshape(len(x), -1)


@dataclass(frozen=True, eq=False)
class Sum(LinearOperator):
    """Sums over the middle axis of (outer, count, inner)."""

    outer: int
    count: int
    inner: int
    offset: Tensor | None = None

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        x = inputs[0]
        return x.reshape(len(x), self.outer, self.count, self.inner).sum(2).reshape(len(x), -1)

    apply_absolute = apply

    def transpose(self, A: Tensor) -> list[Tensor]:
        A = A.reshape(len(A), self.outer, 1, self.inner).expand(-1, -1, self.count, -1)
        return [A.reshape(len(A), -1)]


@dataclass(frozen=True, eq=False)
class Convolution(LinearOperator):
    """Convolution of images (batch, channels, *space) of each domain, in one or two dimensions.

    weight as of torch.nn.functional.conv1d, conv2d; shape: of the input, with its own batch.
    """

    weight: Tensor
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    offset: Tensor | None = None

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        return tuple(self._forward(torch.zeros(self.shape, dtype=self.weight.dtype), self.weight).shape)

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        return self._images(inputs[0], self.weight.to(inputs[0]))

    def apply_absolute(self, inputs: Sequence[Tensor]) -> Tensor:
        return self._images(inputs[0], self.weight.abs())

    def _images(self, x: Tensor, weight: Tensor) -> Tensor:
        images = x.reshape(len(x) * self.shape[0], *self.shape[1:])
        return self._forward(images, weight).reshape(len(x), -1)

    def _forward(self, x: Tensor, weight: Tensor) -> Tensor:
        convolve = F.conv1d if weight.ndim == 3 else F.conv2d
        return convolve(x, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def transpose(self, A: Tensor) -> list[Tensor]:
        out = self.output_shape
        images = A.reshape(len(A) * out[0], *out[1:])
        dims = range(len(self.stride))
        # what the stride leaves over at the far side
        rest = [
            self.shape[2 + d] + 2 * self.padding[d] - self.dilation[d] * (self.weight.shape[2 + d] - 1) - 1
            - (out[2 + d] - 1) * self.stride[d]
            for d in dims
        ]  # fmt: skip
        convolve = F.conv_transpose1d if self.weight.ndim == 3 else F.conv_transpose2d
        back = convolve(images, self.weight, None, self.stride, self.padding, rest, self.groups, self.dilation)
        return [back.reshape(len(A), -1)]


__all__ = ["Add", "Convolution", "Diagonal", "LinearOperator", "MatrixProduct", "Sum", "Take"]
