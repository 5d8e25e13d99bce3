"""The examples that drive each unit most, and where in them (Bau et al. 2017; Hernandez et al. 2022, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ranvier._checks import chance, count
from ranvier._results import Fields
from ranvier.interpret.stored_activations import Activations, example_rows


@dataclass(frozen=True)
class Exemplars(Fields):
    """The top examples of every unit of a layer.

    `examples` (units, top) are indices of examples, the strongest first, equal ones in their order; `values` (units,
    top) their largest activation; `threshold` (units,) the quantile of all activations of the unit; `maps` (units,
    top, places) the activation at every place, for tokens padded with NaN to the longest text.
    Returned by `exemplars`.
    """

    layer: str
    examples: Tensor
    values: Tensor
    threshold: Tensor
    maps: Tensor

    def masks(self, size: tuple[int, int] | None = None) -> Tensor:
        """Where a unit exceeds its threshold, (units, top, places), bool.

        `size` (height, width): for maps of two dimensions, interpolated bilinearly to the size of the images first.
        """
        maps = self.maps
        if size is not None:
            if maps.ndim != 4:
                raise ValueError(
                    f"maps of layer {self.layer} are {tuple(maps.shape)}; expected (units, top, height, width) to be "
                    "resized: leave size out."
                )
            maps = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        return maps > self.threshold.view(-1, *[1] * (maps.ndim - 1))


def exemplars(
    record: Activations, layer: str, *, top: int = 15, quantile: float = 0.99, memory: int = 64
) -> Exemplars:
    """The `top` examples of each unit and its threshold, the `quantile` of its activations over all examples and
    places (NumPy's linear interpolation).

    The record is read segment by segment, thresholds in groups of units that fit into `memory` MiB.

    Raises
    ------
    ValueError
        for a layer that was not recorded, and fewer examples than `top`.

    Examples
    --------
    >>> from ranvier.interpret import exemplars
    >>> from ranvier.interpret import activations
    >>> model = torch.nn.Sequential(torch.nn.Identity())
    >>> record = activations(model, [torch.tensor([[1.0], [3.0], [2.0]])], "0")
    >>> exemplars(record, "0", top=2).examples.tolist()
    [[1, 2]]
    """
    top, quantile = count(top, "top", 1), chance(quantile, "quantile")
    if record.examples < top:
        raise ValueError(f"top is {top} of {record.examples} examples; expected at most as many: record more data.")
    values, examples = _strongest(record, layer, top)
    return Exemplars(
        layer, examples, values, _thresholds(record, layer, quantile, memory), _maps(record, layer, examples)
    )


def _peaks(record: Activations, piece: Tensor, lengths: Tensor) -> Tensor:
    """Each example's largest value a unit, (examples, units)."""
    if record.tokens:
        return torch.stack([piece[a:b].amax(0) for a, b in example_rows(lengths)])
    return piece.flatten(2).amax(2) if piece.ndim > 2 else piece


def _strongest(record: Activations, layer: str, top: int) -> tuple[Tensor, Tensor]:
    values = torch.empty(0)
    indices = torch.empty(0, dtype=torch.long)
    first = 0
    for piece, lengths in zip(record.segments(layer), record.segment_lengths(), strict=True):
        peaks = _peaks(record, piece, lengths).T
        numbers = torch.arange(first, first + peaks.shape[1]).expand(len(peaks), -1)
        first += peaks.shape[1]
        if values.numel():
            peaks, numbers = torch.cat([values, peaks], 1), torch.cat([indices, numbers], 1)
        values, order = torch.sort(peaks, dim=1, descending=True, stable=True)
        values, indices = values[:, :top], numbers.gather(1, order[:, :top])
    return values.clone(), indices.clone()


def _thresholds(record: Activations, layer: str, quantile: float, memory: int) -> Tensor:
    shape = next(record.segments(layer)).shape
    width = shape[1]
    bytes_a_unit = 8 * record.rows * int(np.prod(shape[2:], dtype=np.int64))
    group = max(1, memory * 2**20 // bytes_a_unit)
    thresholds = []
    for a in range(0, width, group):
        pieces = [piece.movedim(1, 0).flatten(1) for piece in record.segments(layer, slice(a, a + group))]
        block = torch.cat(pieces, 1).double().numpy()
        thresholds.append(torch.from_numpy(np.quantile(block, quantile, axis=1)))
    return torch.cat(thresholds)


def _maps(record: Activations, layer: str, examples: Tensor) -> Tensor:
    longest = int(record.lengths.max())
    maps: Tensor | None = None
    first = 0
    for piece, lengths in zip(record.segments(layer), record.segment_lengths(), strict=True):
        places = (longest,) if record.tokens else piece.shape[2:]
        if maps is None:
            maps = torch.full((*examples.shape, *places), torch.nan, dtype=piece.dtype)
        spans = example_rows(lengths)
        for unit, rank in ((examples >= first) & (examples < first + len(spans))).nonzero().tolist():
            number = int(examples[unit, rank]) - first
            if record.tokens:
                a, b = spans[number]
                maps[unit, rank, : b - a] = piece[a:b, unit]
            else:
                maps[unit, rank] = piece[number, unit]
        first += len(spans)
    assert maps is not None  # for mypy: a record has a segment
    return maps


__all__ = ["Exemplars", "exemplars"]
