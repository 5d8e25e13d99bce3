"""Multigrid V-cycles with learned kernels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ranvier.operators._ghosts import Boundary, check_boundary, pad
from ranvier.operators._grids import check_dims, check_field

#: what a coarser grid is given: the residual f − A u (textbook), or f itself and u (as MgNO was released)
Restriction = Literal["residual", "source"]
_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
#: the weights of a fixed smoother at the centre and beside it, times 2 dims, by dims: found by a scan of the rates
_SMOOTHING = {1: (1.0, 0.25), 2: (1.1, 0.2), 3: (1.2, 0.15)}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class VCycle(nn.Module):
    """A linear operator f -> u as one multigrid V-cycle for A u = f (He, Liu & Xu, ICLR 2024, "MgNO", eq. 9 - 12).

    On every grid, from fine to coarse, u ← u + S (f − A u), some sweeps of it; then on half the grid; and back, where
    the coarser u is prolonged and added, with sweeps after it. A (3 to an axis) belongs to the grid, S (3) to the
    sweep, restriction and prolongation (4, stride 2) to a pair of grids; none has a bias, all mix channels. Samples
    lie at cell centres, and boundary conditions are paddings, the same on all grids.

    f (batch, in_channels, *grid) -> u (batch, out_channels, *grid), of any size: odd grids are halved upwards.

    Parameters
    ----------
    dims : axes of the grid, 1 to 3.
    levels : grids. Fields that are too small for them use as many as there is room for.
    before, after : sweeps on the way down and up, one number, or one a level.
    boundary : "dirichlet" (zero at the faces), "neumann" (no slope there), "periodic".
    restriction : "residual", or "source" as in the authors' program.

    >>> from ranvier.operators import VCycle
    >>> cycle = VCycle.poisson(dims=2, levels=5)
    >>> f = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    >>> u = cycle(f)
    >>> float((f - cycle.apply_operator(u)).norm() / f.norm()) < 0.2
    True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        levels: int = 5,
        before: int | Sequence[int] = 1,
        after: int | Sequence[int] = 1,
        boundary: Boundary = "dirichlet",
        restriction: Restriction = "residual",
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_dims(dims)
        check_boundary(boundary)
        if restriction not in get_args(Restriction):
            raise ValueError(f"restriction is {restriction!r}; expected {', '.join(get_args(Restriction))}")
        if min(in_channels, out_channels, levels) < 1:
            raise ValueError(
                f"channels and levels are {in_channels}, {out_channels}, {levels}; expected 1 or more of each"
            )
        self.in_channels, self.out_channels, self.dims, self.levels = in_channels, out_channels, dims, levels
        self.boundary, self.restriction = boundary, restriction
        self.before, self.after = _sweeps(before, levels, "before", 1), _sweeps(after, levels, "after", 0)
        convolution, transposed = _CONVOLUTIONS[dims], _TRANSPOSED[dims]

        def kernel(inputs: int, outputs: int) -> nn.Module:
            return convolution(inputs, outputs, 3, bias=False, dtype=dtype)

        def coarsening(channels: int) -> nn.ModuleList:
            return nn.ModuleList(
                convolution(channels, channels, 4, stride=2, bias=False, dtype=dtype) for _ in range(levels - 1)
            )

        self.operators = nn.ModuleList(kernel(out_channels, in_channels) for _ in range(levels))
        self.smoothers_before = nn.ModuleList(
            nn.ModuleList(kernel(in_channels, out_channels) for _ in range(count)) for count in self.before
        )
        self.smoothers_after = nn.ModuleList(
            nn.ModuleList(kernel(in_channels, out_channels) for _ in range(count)) for count in self.after[:-1]
        )
        self.restrictions = coarsening(in_channels)
        self.injections = coarsening(out_channels) if restriction == "source" else nn.ModuleList()
        self.prolongations = nn.ModuleList(
            transposed(out_channels, out_channels, 4, stride=2, padding=3, bias=False, dtype=dtype)
            for _ in range(levels - 1)
        )

    def forward(self, f: Tensor) -> Tensor:
        check_field(f, self.in_channels, self.dims, next(self.parameters()))
        levels = self._levels(f.shape[2:])
        sources, solutions = [f], []
        u: Tensor | None = None
        for level in range(levels):
            u = self._smooth(level, self.smoothers_before[level], sources[level], u)
            solutions.append(u)
            if level + 1 < levels:
                r = sources[level]
                if self.restriction == "residual":
                    r = r - self.apply_operator(u, level)
                sources.append(self._coarser(self.restrictions[level], r))
                u = self._coarser(self.injections[level], u) if self.restriction == "source" else None
        for level in reversed(range(levels - 1)):
            assert u is not None
            u = solutions[level] + self._finer(self.prolongations[level], u, f.shape[2:], level)
            u = self._smooth(level, self.smoothers_after[level], sources[level], u)
        assert u is not None
        return u

    def apply_operator(self, u: Tensor, level: int = 0) -> Tensor:
        """A u on the grid of a level, 0 the finest."""
        return self.operators[level](pad(u, self.boundary, 1, 1, self.dims))

    @classmethod
    def poisson(
        cls,
        *,
        dims: int = 2,
        levels: int = 5,
        sweeps: int = 2,
        boundary: Boundary = "dirichlet",
        dtype: torch.dtype = torch.float64,
    ) -> VCycle:
        """Fixed kernels for −Δu = f on cells of width 1: means over cells, linear prolongation, and a weighted Jacobi
        whose correction is averaged with its neighbours'. A cycle of two sweeps (8 times as many on the coarsest
        grid) divides the residual by 7 at least, with every boundary (f without a mean where constants are free), where
        2^(levels − 1) divides the axes into 2 to 4 cells."""
        before = [*[sweeps] * (levels - 1), 8 * sweeps]
        cycle = cls(1, 1, dims=dims, levels=levels, before=before, after=sweeps, boundary=boundary, dtype=dtype)
        box = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=dtype)
        linear = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=dtype)
        centre, beside = _SMOOTHING[dims]
        smoother = (centre + 2 * dims * beside) * _identity(dims, dtype) - beside * _laplacian(dims, dtype)
        with torch.no_grad():
            for level in range(levels):
                width = 4.0**level  # square of the cells' width
                _fill(cycle.operators[level], _laplacian(dims, dtype) / width)
                after: Any = cycle.smoothers_after[level] if level < levels - 1 else ()
                sweeps_before: Any = cycle.smoothers_before[level]
                for sweep in (*sweeps_before, *after):
                    _fill(sweep, smoother * width / (2 * dims))
                if level < levels - 1:
                    _fill(cycle.restrictions[level], _outer(box, dims))
                    _fill(cycle.prolongations[level], _outer(linear, dims))
        return cycle.requires_grad_(False)

    def _levels(self, grid: Sequence[int]) -> int:
        """Grids that there is room for: none has an axis of one cell, unless the first has."""
        smallest, levels = min(grid), 1
        while levels < self.levels and (smallest + 1) // 2 >= 2:
            smallest, levels = (smallest + 1) // 2, levels + 1
        return levels

    def _smooth(self, level: int, smoothers: Any, f: Tensor, u: Tensor | None) -> Tensor:
        for smoother in smoothers:
            residual = f if u is None else f - self.apply_operator(u, level)
            change = smoother(pad(residual, self.boundary, 1, 1, self.dims))
            u = change if u is None else u + change
        assert u is not None
        return u

    def _coarser(self, restriction: nn.Module, r: Tensor) -> Tensor:
        padded = pad(r, self.boundary, 1, 2, self.dims)  # an odd axis is halved upwards
        return restriction(padded[(slice(None), slice(None), *(slice(n + 2 + n % 2) for n in r.shape[2:]))])

    def _finer(self, prolongation: nn.Module, u: Tensor, grid: Sequence[int], level: int) -> Tensor:
        size = [-(-n // 2**level) for n in grid]
        fine = prolongation(pad(u, self.boundary, 1, 1, self.dims))
        return fine[(slice(None), slice(None), *(slice(n) for n in size))]


def _sweeps(value: int | Sequence[int], levels: int, name: str, low: int) -> tuple[int, ...]:
    counts = (value,) * levels if isinstance(value, int) else tuple(value)
    if len(counts) != levels or any(count < low for count in counts):
        raise ValueError(f"{name} is {value!r}; expected a number of sweeps from {low}, or one a level: {levels}")
    return counts


def _fill(module: Any, kernel: Tensor) -> None:
    module.weight.copy_(kernel.expand_as(module.weight))


def _outer(row: Tensor, dims: int) -> Tensor:
    kernel = row
    for _ in range(dims - 1):
        kernel = kernel[..., None] * row
    return kernel


def _identity(dims: int, dtype: torch.dtype) -> Tensor:
    """A kernel of 3 to an axis that changes nothing."""
    stencil = torch.zeros((3,) * dims, dtype=dtype)
    stencil[(1,) * dims] = 1
    return stencil


def _laplacian(dims: int, dtype: torch.dtype) -> Tensor:
    """−Δ, the stencil of 2 dims + 1 points."""
    stencil = 2 * dims * _identity(dims, dtype)
    for axis, side in product(range(dims), (0, 2)):
        stencil[tuple(side if k == axis else 1 for k in range(dims))] = -1
    return stencil


__all__ = ["Boundary", "Restriction", "VCycle"]
