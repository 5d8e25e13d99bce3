"""Networks made for one grid, as operators that may be evaluated on any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ranvier.operators._dispatch import FunctionSpace
from ranvier.operators._grids import check_dims, per_axis
from ranvier.operators._sums import GridRatio
from ranvier.operators.resampling import Grid, spectral_resample

#: what a kernel's numbers are: values of a function of place, or masses at places; or the whole model sees one grid
Kernels = Literal["function", "masses", "spectral"]


def convert(
    model: nn.Module,
    size: int | Sequence[int] | None = None,
    *,
    kernels: Kernels = "masses",
    grid: Grid = "cells",
    positions: Mapping[str, Sequence[int]] | None = None,
) -> Operator:
    """`model`, made for fields (batch, channels, *size), as an operator on fields of any size (Berner et al. 2025).

    On its own grid the operator is the model, to the bit. On another one every convolution and pooling keeps its
    physical support, sums become quadrature, and nonlinearities, norms and products of channels stay as they are; so
    do the weights, which are the model's own and train as ever. Calls of torch's functions count as modules do.

    Parameters
    ----------
    size : of the grid that the model was made for, a number an axis; None for a model of tokens (batch, points,
        channels), such as a transformer's block.
    kernels : what a trained kernel is between its samples. "masses": weights at fixed distances, between which fields
        are interpolated; exact where the grids share samples. "function": values of a piecewise linear function, whose
        integral the sums approach as the grid is refined (the paper's recipe). "spectral": the model sees its own grid
        alone, by `spectral_resample`, and so does the answer.
    grid : where samples lie. "cells": at (i + 1/2)/n, as this package's examples have them; "vertices": at i/n, as
        every other sample of a grid has them.
    positions : learned positional embeddings, name of the parameter -> its grid of tokens; they are (1, tokens,
        channels), or (1, channels, *grid), and are interpolated.

    Sizes need not be multiples: a field is first interpolated to the next size that the model's strides divide as
    they did, and the answer back. Batch statistics, dropout and global pooling need nothing. What has no meaning on
    another grid is refused when it is met: layers across all pixels, and pixel shuffles.

    >>> from torch import nn
    >>> from ranvier.operators import convert
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 1, 3, padding=1))
    >>> operator = convert(model, size=(16, 16))
    >>> operator(torch.rand(2, 1, 40, 33)).shape
    torch.Size([2, 1, 40, 33])
    """
    return Operator(model, size, kernels=kernels, grid=grid, positions=positions)


class Operator(nn.Module):
    """What `convert` returns. `operator(u)` for fields; `operator(u, weights=w)` gives attention quadrature weights w
    (tokens,) or (batch, tokens): a token counts by its share of space."""

    def __init__(
        self,
        model: nn.Module,
        size: int | Sequence[int] | None,
        *,
        kernels: Kernels,
        grid: Grid,
        positions: Mapping[str, Sequence[int]] | None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; expected a torch module")
        if kernels not in get_args(Kernels):
            raise ValueError(f"kernels is {kernels!r}; expected {', '.join(get_args(Kernels))}")
        if grid not in get_args(Grid):
            raise ValueError(f"grid is {grid!r}; expected {', '.join(get_args(Grid))}")
        size = (size,) if isinstance(size, int) else size
        self.model = model
        self.size = None if size is None else per_axis(tuple(size), len(tuple(size)), "size")
        if self.size is not None:
            check_dims(len(self.size))
        self.kernels, self.grid = kernels, grid
        self.positions = {name: tuple(shape) for name, shape in (positions or {}).items()}
        parameters = dict(model.named_parameters())
        for name, tokens in self.positions.items():
            if name not in parameters or self.size is None or len(tokens) != len(self.size):
                raise ValueError(
                    f"positions names {name!r} of grid {tokens}; expected a parameter of the model and a number an "
                    f"axis of size {self.size}"
                )
        self._granularity = _strides(model)

    def forward(self, u: Tensor, *, weights: Tensor | None = None) -> Tensor:
        if self.size is None:
            return self._evaluate(u, None, weights)
        dims = len(self.size)
        if not isinstance(u, Tensor) or u.ndim != dims + 2 or 0 in u.shape[2:]:
            shape = tuple(u.shape) if isinstance(u, Tensor) else type(u).__name__
            raise ValueError(f"the field is {shape}; expected (batch, channels, and a size an axis, as {self.size})")
        samples = tuple(u.shape[2:])
        if samples == self.size:
            return self._evaluate(u, None, weights)
        if self.kernels == "spectral":
            y = self._evaluate(spectral_resample(u, self.size, grid=self.grid), None, weights)
            return spectral_resample(y, _answer(y, self.size, samples), grid=self.grid)
        fitting = tuple(self._fitting(n, n0) for n, n0 in zip(samples, self.size))
        v = u if fitting == samples else _interpolate(u, fitting, self.grid)
        scale = GridRatio(tuple(n / n0 for n, n0 in zip(fitting, self.size)), self.kernels == "function",
                      self.grid == "cells")  # fmt: skip
        y = self._evaluate(v, scale, weights)
        return y if fitting == samples else _interpolate(y, _answer(y, fitting, samples), self.grid)

    def _fitting(self, samples: int, trained: int) -> int:
        """The next size that can be halved as often as the trained one."""
        step = math.gcd(trained, self._granularity)
        return step * -(-samples // step)

    def _evaluate(self, u: Tensor, scale: GridRatio | None, weights: Tensor | None) -> Tensor:
        if weights is not None and not bool((weights > 0).all()):
            raise ValueError(f"weights go down to {float(weights.min())}; expected shares of space above 0")
        space = nullcontext() if scale is None and weights is None else FunctionSpace(scale, weights)
        with space:
            if scale is None or not self.positions:
                return self.model(u)
            parameters = dict(self.model.named_parameters())
            moved = {
                name: _positions(parameters[name], tokens, scale.ratio, self.grid)
                for name, tokens in self.positions.items()
            }
            return functional_call(self.model, moved, (u,))


def _strides(model: nn.Module) -> int:
    """The product of the strides of all layers that coarsen the grid."""
    total = 1
    for module in model.modules():
        transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        stride: Any = getattr(module, "stride", None)
        if stride is not None and not transposed:
            total *= max(stride) if isinstance(stride, tuple) else stride if isinstance(stride, int) else 1
    return total


def _answer(y: Tensor, evaluated: Sequence[int], samples: Sequence[int]) -> tuple[int, ...]:
    """The size that the answer has where the field has `samples`, of an answer on the evaluated grid."""
    return tuple(max(1, round(n * s / e)) for n, e, s in zip(y.shape[2:], evaluated, samples)) if y.ndim > 2 else ()


def _interpolate(u: Tensor, size: Sequence[int], grid: str) -> Tensor:
    """Linear interpolation to another size; beyond the outermost samples the field is constant."""
    for axis, n in enumerate(size, 2):
        before = u.shape[axis]
        if n == before:
            continue
        offset = 0.5 if grid == "cells" else 0.0
        place = (torch.arange(n, device=u.device, dtype=torch.float64) + offset) * before / n - offset
        place = place.clamp(0, before - 1)
        lower = place.floor().long()
        share = (place - lower).to(u.dtype).reshape([-1 if k == axis else 1 for k in range(u.ndim)])
        low, high = u.index_select(axis, lower), u.index_select(axis, (lower + 1).clamp_max(before - 1))
        u = low + share * (high - low)
    return u


def _positions(embedding: Tensor, tokens: tuple[int, ...], ratio: Sequence[float], grid: str) -> Tensor:
    """An embedding (1, tokens, channels) or (1, channels, *tokens) on a grid finer by `ratio`."""
    size = [round(n * s) for n, s in zip(tokens, ratio)]
    if embedding.ndim == len(tokens) + 2 and tuple(embedding.shape[2:]) == tokens:
        return _interpolate(embedding, size, grid)
    if embedding.ndim != 3 or embedding.shape[1] != math.prod(tokens):
        raise ValueError(
            f"a positional embedding has shape {tuple(embedding.shape)}; expected (1, {math.prod(tokens)}, channels) "
            f"or (1, channels, {', '.join(map(str, tokens))})"
        )
    field = embedding.movedim(1, -1).unflatten(-1, tokens)
    return _interpolate(field, size, grid).flatten(2).movedim(-1, 1)


def quadrature_attention(
    query: Tensor, key: Tensor, value: Tensor, weights: Tensor | None = None, *, scale: float | None = None
) -> Tensor:
    """∫ exp(q·k(y)) v(y) dy / ∫ exp(q·k(y)) dy as sums over tokens with quadrature weights (Berner et al. 2025, section
    4): softmax(q·k/√d + ln w) v. With equal weights it is ordinary attention.

    query (..., L, d), key (..., S, d), value (..., S, e), weights (S,) or (batch, S) -> (..., L, e).

    >>> query, key, value = torch.zeros(1, 1, 2), torch.zeros(1, 2, 2), torch.tensor([[[1.0], [4.0]]])
    >>> weights = torch.tensor([2.0, 1.0])
    >>> round(rv.operators.quadrature_attention(query, key, value, weights).item(), 5)  # (2 · 1 + 4)/3
    2.0
    """
    if weights is None:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    with FunctionSpace(None, weights):
        return F.scaled_dot_product_attention(query, key, value, scale=scale)


__all__ = ["Kernels", "Operator", "convert", "quadrature_attention"]
