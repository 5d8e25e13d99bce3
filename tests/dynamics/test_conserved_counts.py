"""Dimensions of manifolds that are known, and of motions; networks that are conserved."""

import math

import pytest
import torch

from ranvier.dynamics import manifold_dimension, network_invariants, systems
from ranvier.dynamics.manifold import Denoiser, whiten


def motion(system, start, dt, steps):
    return system.run(torch.tensor([start], dtype=torch.float64), dt, steps)[:, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_circle_in_three_dimensions(dtype):
    """An oscillator conserves one of two; a third coordinate that never moves is flat."""
    x = motion(systems.oscillator(1.0), [1.0, 0.0], 0.1, 1000)
    result = manifold_dimension(torch.cat([x, 0 * x[:, :1] + 3], 1).to(dtype), (0.2,), width=64, steps=300)
    assert result.flat == 1 and result.dimension.tolist() == [1] and result.conserved(2).tolist() == [1]


@pytest.mark.long
def test_torus():
    """Two incommensurate oscillators fill a torus: two of four are conserved."""
    x = motion(systems.oscillator(1.0, 2**0.5), [1.0, 0.5, 0.0, 0.3], 0.2, 6000).float()
    assert manifold_dimension(x, (0.2,)).conserved(4).tolist() == [2]


def test_what_fills_all_conserves_nothing():
    x = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    assert manifold_dimension(x, (0.2,), width=64, steps=300).dimension.tolist() == [2]


def test_denoiser_learns_the_posterior_mean():
    """Of a normal cloud of variance 1: E[noise | y] = L y/(1 + L^2), in units of L; error 1/(1 + L^2)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 2, generator=generator)
    torch.manual_seed(0)
    denoiser = Denoiser(2, 64)
    denoiser.fit(x, 1.0, 400, generator)
    y = torch.randn(4000, 2, generator=generator)
    with torch.no_grad():
        slope = (denoiser(y) * y).mean() / y.square().mean()
    assert abs(float(slope) - 0.5) < 0.03  # 400 steps; three seeds lie within .015


def test_whitening():
    x = torch.randn(500, 3, dtype=torch.float64) @ torch.tensor([[1.0, 2, 3], [0, 1, 1], [0, 0, 0.1]]).double()
    y, flat = whiten(torch.cat([x, x.sum(1, keepdim=True)], 1))
    assert flat == 1
    assert torch.allclose(y.T @ y / 500, torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_seeds_repeat_and_leave_the_global_one():
    x = torch.rand(200, 2)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    a = manifold_dimension(x, (0.2,), width=8, steps=5, walks=200)
    assert torch.equal(a.ratios, manifold_dimension(x, (0.2,), width=8, steps=5, walks=200).ratios)
    assert torch.equal(state, torch.get_rng_state())


def test_a_network_that_an_oscillator_conserves():
    """The cosine is 1/2 of an unrelated function, and near 0 here; under damping no function of a ring does that."""
    angle = 2 * math.pi * torch.rand(2000, generator=torch.Generator().manual_seed(0))
    radius = 0.3 + 0.7 * torch.rand(2000, generator=torch.Generator().manual_seed(1))
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    result = network_invariants(systems.oscillator(1.0).field, x, width=32, steps=300)
    assert float(result.loss) < 5e-3
    H = result.module(x).detach()[:, 0]
    ranks = torch.stack([H, radius]).argsort(1).argsort(1).double()
    assert abs(float(torch.corrcoef(ranks)[0, 1])) > 0.98
    lossy = network_invariants(systems.damped_oscillator(0.5).field, x, width=32, steps=300)
    assert float(lossy.loss) > 4 * float(result.loss)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: manifold_dimension(x[:10]), r"shape \(10, 2\); expected \(P, d\), 50"),
        (lambda x: manifold_dimension(x * float("nan")), "not finite; expected"),
        (lambda x: manifold_dimension(x * 0), "all points are the same; expected"),
        (lambda x: manifold_dimension(x.long()), "int64; expected a tensor"),
        (lambda x: manifold_dimension(x.half()), "float16; expected a tensor"),
        (lambda x: manifold_dimension(x, ()), "scales is empty; expected"),
        (lambda x: manifold_dimension(x, (0.0,)), "a scale is 0.0; expected"),
        (lambda x: manifold_dimension(x, walks=40), "walks is 40 from 40 bases; expected"),
        (lambda x: network_invariants(torch.neg, x, 2), "k is 2; expected 1 to 1"),
        (lambda x: network_invariants(torch.neg, x[:20]), "20 states"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(torch.rand(60, 2))
