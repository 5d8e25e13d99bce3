"""Multigrid neural operator."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.operators._ghosts import Boundary
from ranvier.operators._grids import check_field
from ranvier.operators.multigrid import Restriction, VCycle


class MgNO(nn.Module):
    """Layers u ← GELU(V u + K u + b), V a V-cycle and K a product of channels (He, Liu & Xu, ICLR 2024, eq. 7).

    The first layer reads the input's channels and the last one's sum over channels is the output: nothing lifts or
    projects. The nonlinearity stands outside the cycles. u (batch, in_channels, *grid) -> (batch, out_channels, *grid).

    Parameters
    ----------
    hidden : channels of the layers.
    layers : number of them.
    dims, levels, before, after, boundary, restriction : of every layer's `VCycle`. The authors' Darcy runs have 4
        layers of 24 channels, levels of 10 10 10 10 10 20 sweeps before and none after, restriction "source".

    >>> from ranvier.operators import MgNO
    >>> model = MgNO(1, 1, hidden=8, layers=2, levels=3)
    >>> model(torch.rand(2, 1, 16, 24)).shape
    torch.Size([2, 1, 16, 24])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int = 24,
        layers: int = 4,
        dims: int = 2,
        levels: int = 5,
        before: int | Sequence[int] = 1,
        after: int | Sequence[int] = 1,
        boundary: Boundary = "dirichlet",
        restriction: Restriction = "residual",
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if layers < 1 or out_channels < 1:
            raise ValueError(f"layers, out_channels are {layers}, {out_channels}; expected 1 or more of each")
        widths = [in_channels, *[hidden] * layers]
        self.in_channels, self.dims = in_channels, dims
        self.cycles = nn.ModuleList(
            VCycle(
                a, b, dims=dims, levels=levels, before=before, after=after, boundary=boundary,
                restriction=restriction, dtype=dtype,
            )
            for a, b in itertools.pairwise(widths)
        )  # fmt: skip
        self.mixing = nn.ModuleList(nn.Linear(a, b, dtype=dtype) for a, b in itertools.pairwise(widths))
        self.last = nn.Linear(hidden, out_channels, bias=False, dtype=dtype)

    def forward(self, u: Tensor) -> Tensor:
        check_field(u, self.in_channels, self.dims, self.last.weight)
        for cycle, mixing in zip(self.cycles, self.mixing):
            u = F.gelu(cycle(u) + pointwise(mixing, u))
        return pointwise(self.last, u)


def pointwise(linear: nn.Module, u: Tensor) -> Tensor:
    """A layer of the channels, at every place of the grid: (batch, channels, *grid) -> the same."""
    return linear(u.movedim(1, -1)).movedim(-1, 1)


__all__ = ["MgNO"]
