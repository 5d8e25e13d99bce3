"""Every operator of the package, and what it is made for: a new one needs a case here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ranvier import operators
from ranvier.operators import FNO, MgNO, SpectralConvolution, VCycle, convert


@dataclass(frozen=True)
class Case:
    """make(dims, dtype): an operator from 2 channels to 3, for any grid of `dims` axes. shifts: on a periodic field it
    commutes with shifts by that many samples (0: with none)."""

    make: Callable[[int, torch.dtype], nn.Module]
    shifts: int = 0
    grids: bool = False  # whether it answers alike on finer grids


def _converted(dims: int, dtype: torch.dtype) -> nn.Module:
    convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    layers = [convolution(a, b, 3, padding=1, padding_mode="circular", dtype=dtype) for a, b in ((2, 4), (4, 3))]
    return convert(nn.Sequential(layers[0], nn.GELU(), layers[1]), (8,) * dims)


CASES: dict[type, Case] = {
    FNO: Case(lambda d, t: FNO(2, 3, (3,) * d, hidden=6, layers=2, with_positions=False, dtype=t), 1, True),
    SpectralConvolution: Case(lambda d, t: SpectralConvolution(2, 3, (3,) * d, dtype=t), 1, True),
    MgNO: Case(lambda d, t: MgNO(2, 3, hidden=5, layers=2, dims=d, levels=3, boundary="periodic", dtype=t), 4),
    VCycle: Case(lambda d, t: VCycle(2, 3, dims=d, levels=3, boundary="periodic", restriction="source", dtype=t), 4),
    operators.Operator: Case(_converted, 1, True),
}
#: operators on points and tokens, which have other laws
OTHERS = {operators.PointIntegral}


def classes() -> set[type]:
    """All modules that the package offers."""
    offered = (getattr(operators, name) for name in operators.__all__)
    return {c for c in offered if isinstance(c, type) and issubclass(c, nn.Module)}
