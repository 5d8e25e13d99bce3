"""Fourier neural operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.operators._grids import check_dims, check_field, per_axis, positions
from ranvier.operators.mgno import pointwise


class SpectralConvolution(nn.Module):
    """Convolution with a learned kernel of the torus with the frequencies |k| < modes (Li et al., ICLR 2021, eq. 5).

    u (batch, in_channels, *grid) -> (batch, out_channels, *grid) on any grid; on one too coarse for all frequencies,
    those below its Nyquist frequency are used. In half precision the sums are computed in float32.

    Parameters
    ----------
    modes : frequencies an axis, 0 to modes − 1 (and their negatives); one number, or one an axis. An axis each.

    >>> layer = rv.operators.SpectralConvolution(1, 1, (3,))
    >>> u = torch.sin(2 * torch.pi * torch.arange(16) / 16).reshape(1, 1, 16)
    >>> bool(torch.allclose(layer(u.roll(4, 2)), layer(u).roll(4, 2), atol=1e-6))  # as every convolution
    True
    """

    def __init__(
        self, in_channels: int, out_channels: int, modes: Sequence[int], *, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.modes = per_axis(modes, len(modes), "modes")
        check_dims(len(self.modes), 20)
        if min(in_channels, out_channels) < 1:
            raise ValueError(f"channels are {in_channels}, {out_channels}; expected 1 or more of each")
        self.in_channels, self.out_channels = in_channels, out_channels
        frequencies = [2 * m - 1 for m in self.modes[:-1]] + [self.modes[-1]]
        scale = (in_channels * out_channels) ** -0.5
        #: real and imaginary part last; axes but the last run over 0 ... m − 1, −(m − 1) ... −1
        self.weight = nn.Parameter(scale * torch.randn(in_channels, out_channels, *frequencies, 2, dtype=dtype))

    def forward(self, u: Tensor) -> Tensor:
        dims = len(self.modes)
        check_field(u, self.in_channels, dims, self.weight)
        precise = torch.float32 if u.dtype in (torch.float16, torch.bfloat16) else u.dtype
        grid, axes = u.shape[2:], tuple(range(-dims, 0))
        if len(u) == 0:  # FFT libraries refuse empty batches
            return u.new_zeros(0, self.out_channels, *grid)
        spectrum = torch.fft.rfftn(u.to(precise), dim=axes, norm="forward")
        weight = torch.view_as_complex(self.weight.to(precise).contiguous())
        places = []
        for axis, n, m in zip(axes, grid, self.modes):
            use, last = min(m, (n + 1) // 2), axis == -1
            at = _signed(use, n, u.device, last)
            spectrum = spectrum.index_select(axis, at)
            weight = weight.index_select(axis, _signed(use, 2 * m - 1, u.device, last))
            places.append(at)
        spectrum = torch.einsum("bi...,io...->bo...", spectrum, weight)
        for axis, n, at in zip(axes, (*grid[:-1], grid[-1] // 2 + 1), places):
            shape = list(spectrum.shape)
            shape[axis] = n
            spectrum = spectrum.new_zeros(shape).index_copy(axis, at, spectrum)
        return torch.fft.irfftn(spectrum, s=grid, dim=axes, norm="forward").to(u.dtype)


def _signed(count: int, n: int, device: torch.device, last: bool) -> Tensor:
    """Where the frequencies |k| < count lie among n; of the last axis those from 0."""
    ahead = torch.arange(count, device=device)
    return ahead if last else torch.cat([ahead, torch.arange(n - count + 1, n, device=device)])


class FNO(nn.Module):
    """Lifting, layers u ← GELU(spectral convolution + product of channels), projection (Li et al., ICLR 2021).

    u (batch, in_channels, *grid) -> (batch, out_channels, *grid), on any grid of len(modes) axes.

    Parameters
    ----------
    modes : frequencies an axis, as of `SpectralConvolution`.
    hidden : channels between.
    layers : number of spectral convolutions; the last one has no nonlinearity.
    with_positions : whether the places of the samples in the unit box are further channels of the input: without them
        the operator commutes with shifts.

    >>> from ranvier.operators import FNO
    >>> model = FNO(1, 1, modes=(6, 6), hidden=8, layers=2)
    >>> model(torch.rand(2, 1, 32, 32)).shape, model(torch.rand(2, 1, 64, 48)).shape
    (torch.Size([2, 1, 32, 32]), torch.Size([2, 1, 64, 48]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        *,
        hidden: int = 32,
        layers: int = 4,
        with_positions: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if layers < 1 or hidden < 1 or out_channels < 1:
            raise ValueError(f"layers, hidden, out_channels are {layers}, {hidden}, {out_channels}; expected 1 or more")
        self.in_channels, self.with_positions = in_channels, with_positions
        self.dims = len(modes)
        self.lifting = nn.Linear(in_channels + self.dims * with_positions, hidden, dtype=dtype)
        self.spectral = nn.ModuleList(SpectralConvolution(hidden, hidden, modes, dtype=dtype) for _ in range(layers))
        self.mixing = nn.ModuleList(nn.Linear(hidden, hidden, dtype=dtype) for _ in range(layers))
        self.projection = nn.Sequential(
            nn.Linear(hidden, 2 * hidden, dtype=dtype), nn.GELU(), nn.Linear(2 * hidden, out_channels, dtype=dtype)
        )

    def forward(self, u: Tensor) -> Tensor:
        check_field(u, self.in_channels, self.dims, self.lifting.weight)
        if self.with_positions:
            x = positions(u.shape[2:], u.dtype, u.device)
            u = torch.cat([u, x.expand(len(u), *x.shape)], 1)
        u = pointwise(self.lifting, u)
        for k, (spectral, mixing) in enumerate(zip(self.spectral, self.mixing), 1):
            u = spectral(u) + pointwise(mixing, u)
            u = F.gelu(u) if k < len(self.spectral) else u
        return pointwise(self.projection, u)


__all__ = ["FNO", "SpectralConvolution"]
