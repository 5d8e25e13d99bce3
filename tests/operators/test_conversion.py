"""Converted networks: the model itself on its own grid, and the same operator on every other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ranvier.operators import convert, quadrature_attention, relative_l2, spectral_resample
from tests.operators.models import Functional, UNet, shared, waves

PADDING = ["zeros", "circular", "replicate", "reflect"]


@pytest.mark.parametrize("kernels", ["masses", "function", "spectral"])
def test_on_its_own_grid_the_operator_is_the_model(kernels):
    torch.manual_seed(0)
    model, x = UNet(), torch.randn(2, 1, 8, 12)
    assert torch.equal(convert(model, (8, 12), kernels=kernels)(x), model(x))


@pytest.mark.parametrize("padding_mode", PADDING)
@pytest.mark.parametrize("up", ["transposed", "wide", "nearest", "linear"])
@pytest.mark.parametrize(("grid", "ratio"), [("cells", 3), ("vertices", 2), ("vertices", 3)])
def test_masses_are_exact_where_grids_share_samples(padding_mode, up, grid, ratio):
    """Each tap then reads the very value that the trained grid has there."""
    torch.manual_seed(0)
    pool = {"transposed": "strided", "wide": "average"}.get(up, "largest")
    model = UNet(padding_mode=padding_mode, up=up, pool=pool).double()
    operator = convert(model, (16, 24), grid=grid)
    y, y0 = operator(waves((16 * ratio, 24 * ratio), grid)), operator(waves((16, 24), grid))
    assert y.shape == (1, 1, 16 * ratio, 24 * ratio)
    if padding_mode in ("zeros", "circular"):
        torch.testing.assert_close(shared(y, ratio, grid), y0, rtol=0, atol=1e-12)
    else:  # edges are repeated where they lie, which is half a cell further in on the coarser grid
        inner = (..., slice(7, -7), slice(7, -7))
        torch.testing.assert_close(shared(y, ratio, grid)[inner], y0[inner], rtol=0, atol=1e-12)
    plain = model(waves((16 * ratio, 24 * ratio), grid))
    assert relative_l2(shared(plain, ratio, grid), y0) > 0.05


@pytest.mark.parametrize("grid", ["cells", "vertices"])
def test_calls_of_functions_are_converted(grid):
    torch.manual_seed(0)
    operator = convert(Functional().double(), (12, 12), grid=grid)
    y = operator(waves((36, 36), grid))
    torch.testing.assert_close(shared(y, 3, grid), operator(waves((12, 12), grid)), rtol=0, atol=1e-12)


def smooth_kernel(k: int) -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, k, padding=k // 2, padding_mode="circular", bias=False).double()
    x = (torch.arange(k, dtype=torch.float64) - k // 2) / (k / 4)
    with torch.no_grad():
        layer.weight.copy_((torch.exp(-x.square()[:, None] - x.square()) * (1 + 0.5 * x))[None, None] / 10)
    return layer


def test_kernels_that_are_functions_tend_to_an_integral():
    """Errors against the finest fall with the square of the spacing (linear interpolation, midpoint sums)."""
    operator = convert(smooth_kernel(9), (32, 32), kernels="function", grid="vertices")
    with torch.no_grad():
        limit = operator(waves((256, 256), "vertices"))[..., ::8, ::8]
        errors = [float(relative_l2(operator(waves((n, n), "vertices"))[..., :: n // 32, :: n // 32], limit))
                  for n in (64, 128)]  # fmt: skip
    assert errors[0] < 1e-2
    assert errors[0] / errors[1] > 3.5  # 4 to the limit; 5 to 256, (64^-2 - 256^-2)/(128^-2 - 256^-2)


def test_figures_of_the_paper_for_a_smooth_kernel():
    """A 9 × 9 kernel from 64 to 128 and 256: some per cent off as it stands, one per cent converted."""
    layer = smooth_kernel(9)
    with torch.no_grad():
        y0 = layer(waves((64, 64), "vertices"))
        for ratio, raw in ((2, 0.03), (4, 0.03)):
            fine = waves((64 * ratio, 64 * ratio), "vertices")
            y = convert(layer, (64, 64), kernels="function", grid="vertices")(fine)[..., ::ratio, ::ratio]
            assert relative_l2(y, y0) < 0.015
            assert relative_l2(layer(fine)[..., ::ratio, ::ratio], y0) > raw


def test_a_constant_stays_a_constant():
    """Weights are shared among taps, none gained or lost: sums of the kernel are kept at any ratio."""
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 2, 5, padding=2, padding_mode="replicate").double()
    expected = layer(torch.ones(1, 1, 8, 8, dtype=torch.float64))
    for kernels in ("masses", "function"):
        for size in ((16, 24), (10, 13), (5, 6)):
            y = convert(layer, (8, 8), kernels=kernels)(torch.ones(1, 1, *size, dtype=torch.float64))
            torch.testing.assert_close(y, expected[..., :1, :1].expand_as(y))


@pytest.mark.parametrize("dims", [1, 3])
def test_other_dimensions(dims):
    torch.manual_seed(0)
    convolution = {1: nn.Conv1d, 3: nn.Conv3d}[dims]
    pool = {1: nn.MaxPool1d, 3: nn.AvgPool3d}[dims]
    model = nn.Sequential(convolution(1, 3, 3, padding=1), nn.GELU(), pool(2), convolution(3, 1, 3, padding=1)).double()
    operator = convert(model, (8,) * dims, grid="vertices")
    y, y0 = operator(waves((16,) * dims, "vertices")), operator(waves((8,) * dims, "vertices"))
    assert y.shape[2:] == (8,) * dims
    torch.testing.assert_close(shared(y, 2, "vertices"), y0)


@pytest.mark.parametrize("size", [(33, 17), (8, 8), (16, 40), (25, 64)])
@pytest.mark.parametrize("kernels", ["masses", "function", "spectral"])
def test_any_size(size, kernels):
    """Odd, not square, coarser: the shape is kept and the field roughly the same."""
    torch.manual_seed(0)
    operator = convert(UNet(padding_mode="circular", up="linear").double(), (32, 32), kernels=kernels)
    with torch.no_grad():
        y, y0 = operator(waves(size, "cells")), operator(waves((32, 32), "cells"))
    assert y.shape == (1, 1, *size)
    assert relative_l2(y, spectral_resample(y0, size)) < (0.3 if min(size) < 16 else 0.12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    torch.manual_seed(0)
    model, x = UNet(), waves((24, 24), "cells", torch.float32)
    expected = convert(model, (16, 16))(x)
    y = convert(model.to(dtype), (16, 16))(x.to(dtype))
    assert y.dtype == dtype
    assert relative_l2(y.float(), expected) < 20 * torch.finfo(dtype).eps


def test_channels_last_and_gradients():
    torch.manual_seed(0)
    model = UNet().double()
    x = waves((24, 24), "cells").expand(2, -1, -1, -1).contiguous()
    operator = convert(model, (16, 16))
    assert torch.allclose(operator(x.contiguous(memory_format=torch.channels_last)), operator(x))
    operator(x).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    u = torch.randn(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(convert(model, (4, 4)), (u,))


def test_attention_with_quadrature_weights():
    """A token that stands twice, each with half the weight, counts as one; a block's answer at other tokens is the
    same for points that are refined unevenly."""
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0, dtype=torch.float64)
    operator, x = convert(block), torch.randn(3, 5, 8, dtype=torch.float64)
    for module in (operator, operator.eval()):
        y = module(x, weights=torch.ones(5, dtype=torch.float64))
        torch.testing.assert_close(y, block(x))
        twice = torch.cat([x, x[:, :2]], 1)
        w = torch.tensor([0.5, 0.5, 1, 1, 1, 0.5, 0.5], dtype=torch.float64)
        torch.testing.assert_close(module(twice, weights=w)[:, :5], block(x))
        assert not torch.allclose(block(twice)[:, :5], block(x))
    q, v = torch.randn(2, 2, 4, 3, dtype=torch.float64).unbind()
    twice_k, twice_v = (torch.cat([t, t[:, :1]], 1) for t in (q, v))
    halves = torch.tensor([0.5, 1, 1, 1, 0.5], dtype=torch.float64)
    torch.testing.assert_close(quadrature_attention(q, twice_k, twice_v, halves), quadrature_attention(q, q, v))


def test_attention_tends_to_an_integral():
    """Gauss's nodes with Gauss's weights, against very many equal ones."""
    import numpy as np

    def tokens(x):
        return torch.stack([torch.sin(3 * x), torch.cos(2 * x), x], 1)[None]

    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(12))
    q = torch.tensor([[[0.3, -1.0, 0.5]]], dtype=torch.float64)
    middle = tokens(torch.linspace(-1, 1, 4001, dtype=torch.float64)[1::2])
    few = tokens(nodes)
    exact = quadrature_attention(q, middle, middle)
    torch.testing.assert_close(quadrature_attention(q, few, few, weights), exact, rtol=0, atol=1e-6)
    assert (quadrature_attention(q, few, few) - exact).abs().max() > 1e-2


def test_positions_are_interpolated():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.places = nn.Conv2d(1, 8, 4, 4), nn.Parameter(torch.randn(1, 16, 8))
            self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)

        def forward(self, x):
            return self.block(self.patch(x).flatten(2).transpose(1, 2) + self.places)

    model = Patches().double()
    operator = convert(model, (16, 16), positions={"places": (4, 4)}, grid="vertices")
    assert operator(torch.rand(1, 1, 32, 16, dtype=torch.float64)).shape == (1, 32, 8)
    assert torch.equal(operator(waves((16, 16), "cells")), model(waves((16, 16), "cells")))
    with pytest.raises(ValueError, match="positions names 'place'"):
        convert(model, (16, 16), positions={"place": (4, 4)})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(128, 3)), "one across all pixels"),
        (nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2)), "pixel_shuffle"),
        (nn.MaxPool2d(2, return_indices=True), "indices"),
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 1, 3)), "conv1d acts on 1 axes"),
    ],
)
def test_what_has_no_meaning_on_another_grid_is_refused(model, words):
    operator = convert(model, (8, 8))
    operator(torch.rand(1, 1, 8, 8))
    with pytest.raises(ValueError, match=words):
        operator(torch.rand(1, 1, 16, 16))


def test_wrong_arguments():
    model = nn.Conv2d(1, 1, 3)
    for arguments, words in [({"size": (0, 8)}, "size"), ({"size": (8, 8), "kernels": "x"}, "kernels is 'x'"),
                             ({"size": (8, 8), "grid": "x"}, "grid is 'x'")]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            convert(model, **arguments)
    with pytest.raises(TypeError, match="expected a torch module"):
        convert(lambda x: x, (8, 8))
    with pytest.raises(ValueError, match="expected \\(batch, channels"):
        convert(model, (8, 8))(torch.rand(8, 8))
    with pytest.raises(ValueError, match="shares of space above 0"):
        convert(nn.TransformerEncoderLayer(4, 1, batch_first=True))(torch.rand(1, 2, 4), weights=torch.tensor([1.0, 0]))
