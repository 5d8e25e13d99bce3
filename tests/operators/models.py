"""Networks made for one grid, as users write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UNet(nn.Module):
    """Two resolutions, a skip connection."""

    def __init__(
        self, channels: int = 4, *, padding_mode: str = "zeros", pool: str = "average", up: str = "transposed"
    ):
        super().__init__()
        self.down = nn.Conv2d(1, channels, 3, padding=1, padding_mode=padding_mode)
        self.pool = {"average": nn.AvgPool2d(2), "largest": nn.MaxPool2d(2),
                     "strided": nn.Conv2d(channels, channels, 2, 2)}[pool]  # fmt: skip
        self.middle = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding_mode)
        self.up = {"transposed": nn.ConvTranspose2d(channels, channels, 2, 2),
                   "wide": nn.ConvTranspose2d(channels, channels, 4, 2, 1),
                   "nearest": nn.Upsample(scale_factor=2), "linear": nn.Upsample(scale_factor=2, mode="bilinear"),
                   }[up]  # fmt: skip
        self.last = nn.Conv2d(2 * channels, 1, 3, padding="same", padding_mode=padding_mode)

    def forward(self, x: Tensor) -> Tensor:
        a = F.gelu(self.down(x))
        b = self.up(F.gelu(self.middle(self.pool(a))))
        return self.last(torch.cat([a, b], 1))


class Functional(nn.Module):
    """Everything by calls of torch.nn.functional."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(3, 1, 3, 3) / 3), nn.Parameter(torch.randn(1, 3, 5, 5) / 9)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), self.first))
        y = F.interpolate(F.max_pool2d(y, 2), scale_factor=2)
        return F.conv2d(y, self.second, padding=4, dilation=2)


def waves(size: tuple[int, ...], grid: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """A smooth periodic field (1, 1, *size), the same function on every grid."""
    offset = 0.5 if grid == "cells" else 0.0
    axes = [(torch.arange(n, dtype=torch.float64) + offset) / n for n in size]
    field = torch.zeros(size, dtype=torch.float64)
    for k, x in enumerate(torch.meshgrid(*axes, indexing="ij"), 1):
        field = field + torch.sin(2 * torch.pi * x + k) + 0.4 * torch.cos(4 * torch.pi * x) * k
    return (field + torch.cos(2 * torch.pi * sum(torch.meshgrid(*axes, indexing="ij"))))[None, None].to(dtype)


def shared(y: Tensor, ratio: int, grid: str) -> Tensor:
    """The samples of y that lie where the coarser grid has some."""
    first = (ratio - 1) // 2 if grid == "cells" else 0
    for axis in range(2, y.ndim):
        y = y[(slice(None),) * axis + (slice(first, None, ratio),)]
    return y
