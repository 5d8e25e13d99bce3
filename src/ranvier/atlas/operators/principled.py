"""Networks into operators: a U-Net trained on one grid, evaluated on finer ones, before and after conversion."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register
from ranvier.atlas.operators._training import darcy, error, train
from ranvier.operators import FNO, convert, quadrature_attention, relative_l2

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: cells an axis, examples, epochs
SIZES = {"small": (16, 64, 12), "full": (32, 400, 40)}


class UNet(nn.Module):
    """Three resolutions, average pooling, linear interpolation."""

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        c = channels
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, c), (c, 2 * c), (2 * c, 2 * c)))
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in ((4 * c, c), (2 * c, c)))
        self.last = nn.Conv2d(c, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = F.gelu(self.down[0](x))
        middle = F.gelu(self.down[1](F.avg_pool2d(fine, 2)))
        coarse = F.gelu(self.down[2](F.avg_pool2d(middle, 2)))
        for layer, skip in zip(self.up, (middle, fine), strict=True):
            wide = F.interpolate(coarse, scale_factor=2, mode="bilinear")
            coarse = F.gelu(layer(torch.cat([skip, wide], 1)))
        return self.last(coarse)


def measure(
    seed: int, size: Size, converted: bool = True, operator: str = "fno", plain: str = "unet", weighted: bool = True
) -> dict[str, Any]:
    """Errors on Darcy's flow on 1, 2 and 4 times the trained grid; what a kernel and attention owe to quadrature.

    converted: whether the U-Net (and the smooth kernel) are. operator: which model is the neural operator, fno or
    unet. plain: which one for a network. weighted: whether attention has quadrature weights.
    """
    n = SIZES[size][0]
    tests = {ratio: darcy(16, ratio * n, seed + 1000) for ratio in (1, 2, 4)}
    unet = learned("unet", size, seed)
    models = {
        "plain U-Net": learned(plain, size, seed),
        "converted U-Net": convert(unet, (n, n)) if converted else unet,
        "FNO": learned(operator, size, seed),
    }
    errors = {name: [error(model, data) for data in tests.values()] for name, model in models.items()}
    return {
        "converted_growth": errors["converted U-Net"][-1] / errors["converted U-Net"][0],
        "plain_growth": errors["plain U-Net"][-1] / errors["plain U-Net"][0],
        "fno_growth": errors["FNO"][-1] / errors["FNO"][0],
        "kernel_error": kernel(converted),
        "attention_error": attention(weighted),
        "errors": errors,
        "cells": [ratio * n for ratio in tests],
    }


@lru_cache(maxsize=4)
def learned(kind: str, size: Size, seed: int) -> nn.Module:
    n, count, epochs = SIZES[size]
    make = UNet if kind == "unet" else lambda: FNO(1, 1, (8, 8), hidden=16, layers=3)
    return train(make, darcy(count, n, seed), epochs, seed)


def kernel(converted: bool) -> float:
    """Relative change of a smooth 9 × 9 kernel's answer from 64 to 256 samples an axis."""
    layer = nn.Conv2d(1, 1, 9, padding=4, padding_mode="circular", bias=False, dtype=torch.float64)
    x = (torch.arange(9) - 4) / 2.25
    fields = []
    for n in (64, 256):
        t = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
        fields.append((torch.sin(t)[:, None] + torch.cos(2 * t) + torch.sin(3 * t[:, None] - 2 * t))[None, None])
    with torch.no_grad():
        layer.weight.copy_(torch.exp(-x.square()[:, None] - x.square()) * (1 + 0.5 * x))
        fine = convert(layer, (64, 64), kernels="function", grid="vertices") if converted else layer
        return float(relative_l2(fine(fields[1])[..., ::4, ::4], layer(fields[0])))


def attention(weighted: bool) -> float:
    """Distance of attention over 12 tokens at Gauss's nodes from that over 2000 at equal distances."""

    def tokens(x: Tensor) -> Tensor:
        return torch.stack([torch.sin(3 * x), torch.cos(2 * x), x], 1)[None]

    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(12))
    query = torch.tensor([[[0.3, -1.0, 0.5]]], dtype=torch.float64)
    many, few = tokens(torch.linspace(-1, 1, 4001, dtype=torch.float64)[1::2]), tokens(nodes)
    exact = quadrature_attention(query, many, many)
    return float((quadrature_attention(query, few, few, weights if weighted else None) - exact).abs().max())


def resolutions(material: dict[str, Any]) -> Figure:
    """Error against the grid."""
    figure, axis = canvas(4.5, 3)
    for (name, values), colour in zip(material["errors"].items(), COLOURS, strict=False):
        axis.plot(material["cells"], values, "o-", color=colour, label=name)
    axis.set(xscale="log", yscale="log", xlabel="samples an axis", ylabel="relative L2 error")
    axis.set_xticks(material["cells"], [str(n) for n in material["cells"]])
    axis.minorticks_off()
    axis.legend()
    return figure


PAPER = "Berner et al. (2025), arXiv 2506.10973"

register(
    Experiment(
        name="principled_operators",
        title="Networks converted into operators",
        paper="J. Berner, M. Liu-Schiaffini, J. Kossaifi, V. Duruisseaux, B. Bonev, K. Azizzadenesheli and "
        "A. Anandkumar (2025). Principled approaches for extending neural architectures to function spaces for "
        "operator learning. arXiv 2506.10973.",
        summary="Sums over pixels become integrals: kernels keep their physical support, attention gets quadrature "
        "weights. A U-Net trained on one grid then means the same on finer ones, where the plain one fails.",
        claims=(
            Claim(
                "A converted U-Net's error on 4 times the trained grid is as on its own.",
                PAPER, "converted_growth", AtMost(1.3), 0.0,
                "the discretisation's error at the trained grid, which a finer one no longer has", {"converted": False},
            ),
            Claim(
                "A plain U-Net's grows.", PAPER, "plain_growth", AtLeast(3.0), 0.0, "a bound", {"plain": "fno"},
            ),
            Claim(
                "A Fourier neural operator's does not.",
                PAPER, "fno_growth", AtMost(1.2), 0.0, "as above", {"operator": "unet"},
            ),
            Claim(
                "A smooth 9 x 9 kernel changes its answer by about one per cent from 64 to 256 samples.",
                f"{PAPER}; 9.1 % raw, 0.9 % by the recipe", "kernel_error", AtMost(0.015), 0.0,
                "of a kernel of our own",
                {"converted": False},
            ),
            Claim(
                "Attention with quadrature weights is an integral.",
                f"{PAPER}, section 4", "attention_error", AtMost(1e-6), 0.0, "the midpoint rule of the long sum",
                {"weighted": False},
            ),
        ),
        measure=measure,
        pictures={"Error against the grid; models were trained on the coarsest.": resolutions},
    )
)  # fmt: skip
