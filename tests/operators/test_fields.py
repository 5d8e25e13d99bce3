"""Resampling, losses, spectral convolution and points, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ranvier.operators import (
    FNO,
    PointIntegral,
    SpectralConvolution,
    quadrature_weights,
    relative_h1,
    relative_l2,
    spectral_resample,
)
from tests.operators.models import waves


@pytest.mark.parametrize("grid", ["cells", "vertices"])
@pytest.mark.parametrize("sizes", [((9, 12), (16, 30)), ((16, 16), (7, 9)), ((8, 9), (8, 40))])
def test_resampling_is_exact_below_nyquist(grid, sizes):
    before, after = sizes
    torch.testing.assert_close(spectral_resample(waves(before, grid), after, grid=grid), waves(after, grid))


@pytest.mark.parametrize("n", [7, 8])
def test_finer_and_back(n):
    u = torch.randn(3, n, dtype=torch.float64)
    torch.testing.assert_close(
        spectral_resample(spectral_resample(u, 2 * n + 1, grid="vertices"), n, grid="vertices"), u
    )
    half = spectral_resample(u.half(), 20)
    assert half.dtype == torch.float16


def test_spectral_convolution_against_a_sum_over_frequencies():
    torch.manual_seed(0)
    layer = SpectralConvolution(2, 1, (3,), dtype=torch.float64)
    x = torch.randn(1, 2, 10, dtype=torch.float64)
    w = torch.view_as_complex(layer.weight.detach()).numpy()
    n = np.arange(10)
    expected = np.zeros(10, complex)
    for k in (0, 1, 2):
        c = (x[0].numpy() * np.exp(-2j * np.pi * k * n / 10)).mean(1) @ w[:, 0, k]
        wave = c * np.exp(2j * np.pi * k * n / 10)
        expected += wave.real if k == 0 else 2 * wave.real
    np.testing.assert_allclose(layer(x)[0, 0].detach().numpy(), expected.real, atol=1e-12)


def test_a_plane_wave_in_three_dimensions_is_scaled():
    torch.manual_seed(0)
    layer = SpectralConvolution(1, 1, (3, 3, 3), dtype=torch.float64)
    x = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (8, 6, 10)]
    a, b, c = torch.meshgrid(*x, indexing="ij")
    phase = 2 * math.pi * (a - 2 * b + c)
    with torch.no_grad():
        y = layer(torch.cos(phase)[None, None])[0, 0]
        factor = torch.view_as_complex(layer.weight)[0, 0, 1, -2, 1]
    torch.testing.assert_close(y, factor.real * torch.cos(phase) - factor.imag * torch.sin(phase))


def test_positions_break_the_symmetry_of_shifts():
    torch.manual_seed(0)
    model, x = FNO(1, 1, (3, 3), hidden=6, layers=2), torch.randn(1, 1, 8, 8)
    assert not torch.allclose(model(x.roll(1, 2)), model(x).roll(1, 2), atol=1e-3)


def test_losses():
    u = waves((16, 16), "cells")
    assert float(relative_l2(1.5 * u, u)) == pytest.approx(0.5)
    x = (torch.arange(32, dtype=torch.float64) + 0.5) / 32
    target, error = torch.sin(2 * math.pi * x)[None, None], torch.sin(6 * math.pi * x)[None, None]
    expected = math.sqrt((1 + (6 * math.pi) ** 2) / (1 + (2 * math.pi) ** 2))
    assert float(relative_h1(target + 0.1 * error, target)) == pytest.approx(0.1 * expected)
    assert float(relative_h1(target + 0.1 * error, target, cut=3)) == pytest.approx(0.0, abs=1e-12)
    assert float(relative_h1(2 * target, target)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="target 1 of the batch is zero"):
        relative_l2(torch.ones(2, 1, 4), torch.tensor([[[1.0] * 4], [[0.0] * 4]]))
    with pytest.raises(ValueError, match="expected the same"):
        relative_h1(torch.ones(2, 1, 4), torch.ones(2, 1, 5))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_quadrature_of_linear_functions_is_exact(dims):
    generator = torch.Generator().manual_seed(0)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * dims).reshape(-1, dims)
    points = torch.cat([corners, torch.rand(20, dims, generator=generator, dtype=torch.float64)])
    w = quadrature_weights(points)
    assert float(w.sum()) == pytest.approx(1.0)
    # on its triangles: the integral of a linear function over the box is its middle's value
    torch.testing.assert_close(w @ points, torch.full((dims,), 0.5, dtype=torch.float64))


def test_points_that_span_nothing():
    for points in (torch.zeros(4, 1), torch.rand(5, 1).expand(5, 2), torch.rand(2, 2), torch.rand(3)):
        with pytest.raises(ValueError, match="expected"):
            quadrature_weights(points)


def test_a_sum_over_points_is_an_integral():
    """Refined, and refined unevenly, the answer at a place converges; plain means over
    the neighbours do not."""
    torch.manual_seed(0)
    layer = PointIntegral(1, 1, dims=1, radius=0.4, dtype=torch.float64)
    at = torch.tensor([[0.45], [0.6]], dtype=torch.float64)

    def answer(n: int, power: float, weighted: bool = True) -> torch.Tensor:
        points = torch.linspace(0, 1, n + 1, dtype=torch.float64)[:, None] ** power
        weights = None if weighted else torch.full((n + 1,), 1 / n, dtype=torch.float64)
        with torch.no_grad():
            return layer(torch.sin(5 * points)[None], points, weights=weights, at=at)

    exact = answer(4096, 1.0)
    errors = [float((answer(n, 1.7) - exact).abs().max()) for n in (50, 200)]
    assert errors[0] / errors[1] > 4
    assert errors[1] < 1e-5
    assert float((answer(200, 1.7, weighted=False) - exact).abs().max()) > 20 * errors[1]


def test_points_in_any_order_and_gradients():
    torch.manual_seed(0)
    layer = PointIntegral(2, 3, radius=0.6, dtype=torch.float64)
    points, v = torch.rand(12, 2, dtype=torch.float64), torch.randn(2, 12, 2, dtype=torch.float64)
    order = torch.randperm(12)
    torch.testing.assert_close(layer(v[:, order], points[order]), layer(v, points)[:, order])
    layer(v, points).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
    with pytest.raises(ValueError, match="a value a point"):
        layer(v[:, :5], points)


def test_training_by_fit():
    """Any learner of pairs takes fields; a few steps on Burgers' equation halve the error."""
    import ranvier as rv
    from ranvier.operators import problems

    torch.manual_seed(0)
    x, u = problems.burgers_examples(16, 32, time=0.2, seed=0)
    model = FNO(1, 1, (8,), hidden=12, layers=2)
    learner = rv.learners.BPTT(model, relative_l2, torch.optim.Adam(model.parameters(), 1e-2), accuracy=None)
    log = rv.fit(learner, [(x, u)], 25, progress=False)
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert isinstance(model, nn.Module)
