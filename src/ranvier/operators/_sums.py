"""torch's convolutions, poolings and interpolations on a grid of another ratio than the trained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from ranvier.operators._taps import Axis, Taps, hat, phases, taps, transposed_taps

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@dataclass(frozen=True)
class GridRatio:
    """How a grid compares with the trained one. ratio: samples there are for each trained one, an axis each; wide,
    cells: as of `taps`."""

    ratio: tuple[float, ...]
    wide: bool
    cells: bool


def convolution(u: Tensor, weight: Tensor, bias: Tensor | None, axes: Sequence[Axis], groups: int, mode: str,
                scale: GridRatio) -> Tensor:  # fmt: skip
    """A convolution with the trained kernel on its physical support; `mode` says what lies beyond the grid.

    A kernel that is a function, linear between its trained values, is one of masses on a field that is averaged over
    hats as wide as the trained spacing."""
    if weight.numel() == weight.shape[0] * weight.shape[1] and all(a.stride == 1 and a.left == 0 for a in axes):
        return _CONVOLVE[len(axes)](u, weight, bias, groups=groups)
    each = [taps(a, n, s, cells=scale.cells) for a, n, s in zip(axes, u.shape[2:], scale.ratio)]
    dilation = tuple(_spacing(t) for t in each)
    if all(dilation):
        firsts, extents = [_first(t) for t in each], [_span(t) for t in each]
        kernel = weight
    else:
        dilation = (1,) * len(axes)
        firsts, extents = [t.first for t in each], [len(t.matrix) - 1 for t in each]
        kernel = spread(weight, each)
    stride = tuple(a.stride for a in axes)
    hats = [hat(s if scale.wide else 1.0).to(u) for s in scale.ratio]
    u = _frame(u, axes, each, firsts, extents, [len(h) // 2 for h in hats], mode)
    u = _smooth(u, hats)
    return _CONVOLVE[len(axes)](u, kernel, bias, stride=stride, dilation=dilation, groups=groups)


def transposed_convolution(u: Tensor, weight: Tensor, bias: Tensor | None, axes: Sequence[Axis],
                           output_padding: Sequence[int], groups: int, scale: GridRatio) -> Tensor:  # fmt: skip
    """A transposed convolution with the trained kernel on its physical support."""
    smear = _smeared if scale.wide else patterned
    y = smear(u, weight, axes, output_padding, groups, scale)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(axes))


def _smeared(u: Tensor, weight: Tensor, axes: Sequence[Axis], output_padding: Sequence[int], groups: int,
             scale: GridRatio) -> Tensor:  # fmt: skip
    """Wide kernels, whose sums over the coarser grid's samples tend to integrals."""
    each = [
        transposed_taps(a, n, s, o, cells=scale.cells)
        for a, n, s, o in zip(axes, u.shape[2:], scale.ratio, output_padding)
    ]
    # where trained kernels just met, wider ones overlap, and at the border nothing comes from beyond: repeat the edge
    margins = [len(t.matrix) // a.stride + 1 if a.dilation * (a.size - 1) < a.stride else 0 for a, t in zip(axes, each)]
    samples = u.shape[2:]
    u = _repeat_edges(u, [(m, m) for m in margins])
    y = _TRANSPOSE[len(axes)](u, spread(weight, each), None, stride=tuple(a.stride for a in axes), groups=groups)
    crop: list[int] = []
    for a, t, n, m in zip(axes, each, samples, margins):
        start = t.first - m * a.stride  # the sample at which y begins
        length = (n + 2 * m - 1) * a.stride + len(t.matrix)
        crop = [start, t.outputs - (length + start), *crop]
    return F.pad(y, crop)


def patterned(u: Tensor, weight: Tensor, axes: Sequence[Axis], output_padding: Sequence[int], groups: int,
              scale: GridRatio, *, repeat: bool = False) -> Tensor:  # fmt: skip
    """The trained kernel's own pattern: every `stride`-th trained sample is reached by the same taps, and a place by
    those of the trained sample that it belongs to, each from its trained distance. repeat: edges go on beyond."""
    dims = len(axes)
    each = [
        phases(a, n, s, o, cells=scale.cells, repeat=repeat)
        for a, n, s, o in zip(axes, u.shape[2:], scale.ratio, output_padding)
    ]
    samples = u.shape[1]
    per_group = samples // groups
    kernel = weight.reshape(groups, per_group, weight.shape[1], *weight.shape[2:])
    grouped = u.unflatten(1, (groups, per_group))
    total: Tensor | None = None
    for place in product(*(range(a.size) for a in axes)):
        y = torch.einsum("bgi...,gio->bgo...", grouped, kernel[(slice(None),) * 3 + place]).flatten(1, 2)
        for axis, (tap, each_) in enumerate(zip(place, each), 2):
            y = torch.tensordot(y, each_[tap].to(y), dims=([axis], [1])).movedim(-1, axis)
        total = y if total is None else total + y
    assert total is not None and total.ndim == dims + 2
    return total


def spread(weight: Tensor, each: Sequence[Taps]) -> Tensor:
    """The kernel (o, i, *size) with its weights shared among the taps."""
    for axis, t in enumerate(each, 2):
        matrix = t.matrix.to(weight)
        weight = torch.tensordot(weight, matrix, dims=([axis], [1])).movedim(-1, axis)
    return weight


def average(u: Tensor, axes: Sequence[Axis], counted: bool, scale: GridRatio) -> Tensor:
    """The mean over windows; `counted`: padding counts as zeros."""
    kernel = u.new_ones(1, 1, *(a.size for a in axes))
    kernel = kernel / kernel.numel()
    rows = u.reshape(-1, 1, *u.shape[2:])
    y = convolution(rows, kernel, None, axes, 1, "constant", scale)
    if not counted and any(a.left or a.right for a in axes):
        y = y / convolution(torch.ones_like(rows[:1]), kernel, None, axes, 1, "constant", scale)
    return y.reshape(*u.shape[:2], *y.shape[2:])


def maximum(u: Tensor, axes: Sequence[Axis], scale: GridRatio) -> Tensor:
    """The largest of a window's trained places, between which the field is interpolated."""
    for k, (a, s) in enumerate(zip(axes, scale.ratio)):
        t = taps(a, u.shape[2 + k], s, cells=scale.cells)
        axis = 2 + k
        span = (t.outputs - 1) * a.stride + 1
        right = max(0, t.first + len(t.matrix) - 1 + span - u.shape[axis])
        v = _repeat_edges(u, [(max(0, -t.first), right) if j == k else (0, 0) for j in range(len(axes))])
        start = t.first + max(0, -t.first)
        shifted = [v.narrow(axis, start + m, span) for m in range(len(t.matrix))]
        best = None
        for tap in t.matrix.T:
            value = torch.zeros_like(shifted[0])
            for w, x in zip(tap.tolist(), shifted):
                value = value + w * x if w else value
            best = value if best is None else torch.maximum(best, value)
        assert isinstance(best, Tensor)
        u = best[(slice(None),) * axis + (slice(None, None, a.stride),)]
    return u


def _spacing(t: Taps) -> int:
    """The distance of taps that lie on samples, 0 where they do not."""
    if t.places is None:
        return 0
    return t.places[1] - t.places[0] if len(t.places) > 1 else 1


def _first(t: Taps) -> int:
    return t.first if t.places is None else t.places[0]


def _span(t: Taps) -> int:
    return len(t.matrix) - 1 if t.places is None else t.places[-1] - t.places[0]


def _frame(u: Tensor, axes: Sequence[Axis], each: Sequence[Taps], firsts: Sequence[int], extents: Sequence[int],
           margins: Sequence[int], mode: str) -> Tensor:  # fmt: skip
    """u with what the first and the last output read beyond it and `margins` more, or without what none reads."""
    widths = [
        (m - first, m + (t.outputs - 1) * a.stride + first + extent - (n - 1))
        for a, t, first, extent, n, m in zip(axes, each, firsts, extents, u.shape[2:], margins)
    ]
    inner = [(min(0, left), min(0, right)) for left, right in widths]
    u = F.pad(u, _flat(inner))
    outer = [(max(0, left), max(0, right)) for left, right in widths]
    if mode == "constant":
        # a kernel that never left the grid when it was trained reads the edge there, not zeros
        edge = [w if not (a.left or a.right) else (0, 0) for a, w in zip(axes, outer)]
        u = _repeat_edges(u, edge)
        return F.pad(u, _flat([(0, 0) if not (a.left or a.right) else w for a, w in zip(axes, outer)]))
    return F.pad(u, _flat(outer), mode=mode)


def _smooth(u: Tensor, hats: Sequence[Tensor]) -> Tensor:
    """Means with the weights of `hats`, an axis each, where all of a hat lies within."""
    for axis, row in enumerate(hats, 2):
        if len(row) > 1:
            v = u.movedim(axis, -1)
            u = F.conv1d(v.reshape(-1, 1, v.shape[-1]), row[None, None]).reshape(*v.shape[:-1], -1).movedim(-1, axis)
    return u


def _repeat_edges(u: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    return F.pad(u, _flat(widths), mode="replicate") if any(w != (0, 0) for w in widths) else u


def _flat(widths: Sequence[tuple[int, int]]) -> list[int]:
    return [w for pair in reversed(widths) for w in pair]
