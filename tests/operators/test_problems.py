"""Solvers against closed forms, with their orders; random examples that are the same functions on every grid."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ranvier.operators import problems, relative_l2


def cells(n: int) -> torch.Tensor:
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def orders(errors: list[float]) -> list[float]:
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def darcy_error(n: int) -> float:
    """A smooth medium and a chosen solution; its source by hand."""
    x, y = torch.meshgrid(cells(n), cells(n), indexing="ij")
    p = math.pi
    a = 1 + 0.5 * torch.sin(2 * p * x) * torch.cos(p * y)
    ax, ay = p * torch.cos(2 * p * x) * torch.cos(p * y), -0.5 * p * torch.sin(2 * p * x) * torch.sin(p * y)
    u = torch.sin(p * x) * torch.sin(2 * p * y)
    ux, uy = p * torch.cos(p * x) * torch.sin(2 * p * y), 2 * p * torch.sin(p * x) * torch.cos(2 * p * y)
    return float((problems.solve_darcy(a[None], (-(ax * ux + ay * uy) + 5 * p * p * a * u)[None])[0] - u).abs().max())


def test_darcy_is_of_second_order():
    errors = [darcy_error(n) for n in (16, 32, 64)]
    assert errors[-1] < 1e-3
    assert all(1.9 < order < 2.1 for order in orders(errors))


def test_darcy_of_two_layers_is_exact():
    """−(a u')' = 0 but for a source in one cell: flow is constant, u is linear in each layer (harmonic means)."""
    a = torch.tensor([1.0] * 8 + [4.0] * 8, dtype=torch.float64)
    x = cells(16)
    force = torch.zeros(16, dtype=torch.float64)
    force[3] = 16.0  # a unit of flow, from x = 7/32
    u = problems.solve_darcy(a[None], force[None])[0]
    left, resistance = 7 / 32, 0.5 + 0.5 / 4
    flow = (resistance - left) / resistance  # to the left; the rest goes right
    expected = torch.where(x <= left, flow * x, flow * left - (1 - flow) * (
        torch.where(x < 0.5, x, 0.5) - left + (x - 0.5).clamp_min(0) / 4))  # fmt: skip
    torch.testing.assert_close(u, expected)


def test_helmholtz_is_of_second_order():
    def error(n: int) -> float:
        x, y = torch.meshgrid(cells(n), cells(n), indexing="ij")
        c, omega = 1 + 0.3 * x, 5.0
        u = torch.sin(math.pi * x) * torch.sin(2 * math.pi * y)
        f = (5 * math.pi**2 - (omega / c).square()) * u
        return float((problems.solve_helmholtz(c[None], omega, f[None])[0] - u).abs().max())

    assert all(1.9 < order < 2.1 for order in orders([error(n) for n in (16, 32, 64)]))
    with pytest.raises(ValueError, match="resonance"):
        n = 4
        lowest = 2 * n * math.sin(math.pi / (2 * n))  # of the matrix in one dimension
        problems.solve_helmholtz(torch.ones(1, n), lowest)


def cole_hopf(x: np.ndarray, time: float, viscosity: float) -> np.ndarray:
    """u for u(0) = sin 2πx by Cole and Hopf's integral, with the midpoint rule on a fine grid."""
    y = (np.arange(-3000, 3000) + 0.5) / 1000
    potential = (1 - np.cos(2 * np.pi * y)) / (2 * np.pi)
    exponent = -((x[:, None] - y) ** 2) / (4 * viscosity * time) - potential / (2 * viscosity)
    weight = np.exp(exponent - exponent.max(1, keepdims=True))
    return (((x[:, None] - y) / time) * weight).sum(1) / weight.sum(1)


def test_burgers_against_cole_and_hopf():
    x = cells(128)
    u = problems.solve_burgers(torch.sin(2 * math.pi * x)[None], 0.3, viscosity=0.02)[0]
    np.testing.assert_allclose(u.numpy(), cole_hopf(x.numpy(), 0.3, 0.02), rtol=0, atol=2e-6)


def test_burgers_is_of_fourth_order_in_time():
    start = torch.sin(2 * math.pi * cells(64))[None]
    exact = problems.solve_burgers(start, 0.2, viscosity=0.05, steps=640)
    errors = [
        float((problems.solve_burgers(start, 0.2, viscosity=0.05, steps=n) - exact).abs().max()) for n in (20, 40)
    ]
    assert 3.7 < orders(errors)[0] < 4.4


def test_burgers_against_published_fields():
    """The data of Raissi's group: u(0) = −sin πx on (−1, 1), ν = .01/π, a front of width 4 ν/2 at time .3."""
    folder = os.environ.get("RANVIER_DATA")
    if not folder or not (Path(folder) / "pde" / "burgers_shock.mat").exists():
        pytest.skip("RANVIER_DATA names no folder with pde/burgers_shock.mat")
    from scipy.io import loadmat

    stored = loadmat(Path(folder) / "pde" / "burgers_shock.mat")
    x, t, expected = stored["x"][:, 0], stored["t"][:, 0], stored["usol"]
    n = 768
    grid = -1 + 2 * torch.arange(n, dtype=torch.float64) / n
    u = problems.solve_burgers(-torch.sin(math.pi * grid)[None], float(t[30]), viscosity=0.01 / math.pi, length=2.0)
    np.testing.assert_allclose(np.interp(x, grid.numpy(), u[0].numpy())[:-1], expected[:-1, 30], atol=2e-3)


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
@pytest.mark.parametrize("size", [(6,), (6, 10)])
def test_a_seed_is_a_function(boundary, size):
    coarse = problems.gaussian_field(2, size, boundary=boundary, seed=5, modes=8)
    fine = problems.gaussian_field(2, tuple(3 * n for n in size), boundary=boundary, seed=5, modes=8)
    torch.testing.assert_close(coarse, fine[(slice(None), *(slice(1, None, 3),) * len(size))])


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_the_variance_of_fields(boundary):
    """Mean over the box: Σ τ^(2α − d)(|k|² + τ²)^−α over all frequencies but 0."""
    count, modes, tau, alpha = 400, 12, 4.0, 2.0
    field = problems.gaussian_field(count, (24, 24), alpha=alpha, tau=tau, boundary=boundary, modes=modes, seed=0)
    k = np.arange(modes) * np.pi if boundary == "neumann" else np.arange(-modes + 1, modes) * 2 * np.pi
    terms = tau ** (2 * alpha - 2) * (k[:, None] ** 2 + k**2 + tau**2) ** -alpha
    expected = terms.sum() - tau**-2.0
    spread = math.sqrt(2 * (terms**2).sum() / count)
    assert abs(float(field.square().mean()) - expected) < 5 * spread


@pytest.mark.parametrize("examples", [problems.darcy_examples, problems.helmholtz_examples])
def test_examples_in_the_plane(examples):
    x, u = examples(2, (24, 16), seed=1)
    assert x.shape == u.shape == (2, 1, 24, 16)
    assert x.dtype == u.dtype == torch.float32
    again = examples(2, (24, 16), seed=1)
    assert torch.equal(again[1], u)
    assert not torch.equal(examples(2, (24, 16), seed=2)[0], x)
    fine = examples(2, (72, 48), seed=1)
    assert torch.allclose(fine[0][..., 1::3, 1::3], x, atol=1e-6)
    assert relative_l2(fine[1][..., 1::3, 1::3], u) < 0.15


def test_examples_of_burgers():
    x, u = problems.burgers_examples(2, 32, time=0.2, seed=1)
    fine = problems.burgers_examples(2, 96, time=0.2, seed=1)
    assert x.shape == (2, 1, 32)
    assert torch.allclose(fine[0][..., 1::3], x, atol=1e-6)
    assert relative_l2(fine[1][..., 1::3], u) < 1e-3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: problems.solve_darcy(torch.tensor([[1.0, -1.0]])), "above 0"),
        (lambda: problems.solve_darcy(torch.tensor([[1.0, math.nan]])), "a is nan at"),
        (lambda: problems.solve_darcy(torch.ones(4)), "a has shape"),
        (lambda: problems.solve_darcy(torch.ones(2, 4), torch.ones(3, 4)), "source has shape"),
        (lambda: problems.solve_burgers(torch.ones(1, 8), -1.0), "time is -1.0"),
        (lambda: problems.solve_burgers(torch.full((1, 8), math.inf), 1.0), "not finite"),
        (lambda: problems.gaussian_field(1, (8, 8), alpha=1.0), "alpha above 1.0"),
        (lambda: problems.darcy_examples(1, (8, 8), medium="sand"), "medium is 'sand'"),
    ],
)  # fmt: skip
def test_wrong_values(call, words):
    with pytest.raises(ValueError, match=words):
        call()
