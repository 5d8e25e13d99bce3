"""Kernels of one axis on a grid of another spacing: where their taps lie, and how they are shared among samples.

A grid of ratio s has s times as many samples as the one that a kernel was trained on. Positions are counted in the
finer grid's samples, from the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """A strided kernel along an axis, as trained: `size` taps, `dilation` apart, with `left` and `right` samples of
    padding, applied at every `stride`-th sample."""

    size: int
    stride: int
    left: int
    right: int
    dilation: int = 1


@dataclass(frozen=True)
class Taps:
    """An `Axis` at another ratio. matrix (taps, size): shares of the trained weights; the first tap of output j lies at
    sample stride · j + first; `outputs` there are. `places`: the trained taps, as whole numbers, where they are."""

    matrix: Tensor
    first: int
    outputs: int
    places: tuple[int, ...] | None


def taps(axis: Axis, samples: int, ratio: float, *, cells: bool) -> Taps:
    """Where a convolution's taps lie on an axis of `samples` at `ratio`, shared between the two samples beside.

    cells: samples are centres of cells, so
    that a stride-2 kernel's outputs lie between two samples; else vertices, of which every second is one of the
    coarser grid's.
    """
    before = round(samples / ratio)
    extent = axis.dilation * (axis.size - 1)
    outputs = (before + axis.left + axis.right - extent - 1) // axis.stride + 1
    centre = extent / 2 - axis.left
    matrix, first, places = _shares(axis, centre, (axis.stride - 1) / 2 if cells else 0.0, ratio, False)
    return Taps(matrix, first, round(outputs * ratio), places)


def transposed_taps(axis: Axis, samples: int, ratio: float, output_padding: int, *, cells: bool) -> Taps:
    """The same of a transposed convolution, wide: tap m of input j goes to sample stride · j + first + m."""
    outputs, middle = _transposed(axis, samples, ratio, output_padding)
    matrix, first, places = _shares(axis, middle, (axis.stride - 1) / 2 if cells else 0.0, ratio, True)
    return Taps(matrix, first, outputs, places)


def phases(
    axis: Axis, samples: int, ratio: float, output_padding: int, *, cells: bool, repeat: bool = False
) -> list[Tensor]:
    """For each tap of a transposed convolution, the matrix (outputs, samples) from a field to what the tap adds.

    An output belongs to a trained sample o, which tap t reaches where o + left − t is a multiple of the stride; it then
    reads the field at its own distance from there, between the samples beside. repeat: beyond the trained samples the
    field is as at the outermost one, else zero.
    """
    outputs, _ = _transposed(axis, samples, ratio, output_padding)
    half = 0.5 if cells else 0.0
    place = (torch.arange(outputs, dtype=torch.float64) + half) / ratio  # in trained samples, from the box's edge
    sample = (place + 1e-9).floor().long()
    matrices = []
    for t in range(axis.size):
        shift = t * axis.dilation - axis.left
        source = (sample - shift).double() / axis.stride  # the trained sample read, on the coarser grid
        touched = (sample - shift) % axis.stride == 0
        known = touched & (repeat | ((source >= 0) & (source <= round(samples / ratio) - 1)))
        within = place - half - sample  # where in its sample the output lies
        if repeat:
            source = source.clamp(0, round(samples / ratio) - 1)
        position = ratio * (source + half + within / axis.stride) - half
        position = position.clamp(0, samples - 1)
        lower = position.floor().clamp(0, samples - 1).long()
        share = position - lower
        matrix = torch.zeros(outputs, samples, dtype=torch.float64)
        rows = torch.arange(outputs)
        matrix[rows, lower] += 1 - share
        matrix[rows, (lower + 1).clamp_max(samples - 1)] += share
        matrices.append(matrix * known[:, None])
    return matrices


def _transposed(axis: Axis, samples: int, ratio: float, output_padding: int) -> tuple[int, float]:
    """Outputs, and the middle of the taps about the first input."""
    extent = axis.dilation * (axis.size - 1)
    before = (round(samples / ratio) - 1) * axis.stride - axis.left - axis.right + extent + output_padding + 1
    return round(before * ratio), extent / 2 - axis.left


def _shares(
    axis: Axis, centre: float, aligned: float, ratio: float, wide: bool
) -> tuple[Tensor, int, tuple[int, ...] | None]:
    """The taps' positions scale about their centre, whose own distance from where it belongs scales, too.

    wide: a weight is spread over a hat as wide as the trained spacing, else over the two samples beside it."""
    middle = aligned + ratio * (centre - aligned)
    half = (axis.size - 1) / 2
    places = [middle + ratio * axis.dilation * (t - half) for t in range(axis.size)]
    width = max(1.0, ratio) if wide else 1.0
    first = math.floor(min(places) - width + 1 + 1e-9)
    last = math.ceil(max(places) + width - 1 - 1e-9)
    grid = torch.arange(first, last + 1, dtype=torch.float64)[:, None]
    hats = (1 - (grid - torch.tensor(places, dtype=torch.float64)).abs() / width).clamp_min(0)
    whole = width == 1.0 and all(abs(p - round(p)) < 1e-9 for p in places)
    return hats / hats.sum(0), first, tuple(round(p) for p in places) if whole else None


def hat(ratio: float) -> Tensor:
    """A mean over trained samples' linear interpolation: weights at the samples within one trained spacing, odd."""
    reach = math.ceil(ratio - 1e-9) - 1
    row = (1 - torch.arange(-reach, reach + 1, dtype=torch.float64).abs() / ratio).clamp_min(0)
    return row / row.sum()
