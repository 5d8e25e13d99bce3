"""Ascent against closed forms; facets of drawn clusters; each regulariser by itself."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ranvier.interpret import Stage, UnitLayer, facets, maximise


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 6, 3)).double()


START = torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_step_goes_along_the_gradient_over_its_mean_size(linear):
    weight = linear[1].weight[2].detach().reshape(2, 5, 6)
    x = maximise(linear, "1", 2, START, [Stage(7, 0.3)])
    torch.testing.assert_close(x, START + 7 * 0.3 * weight / weight.abs().mean(), atol=1e-12, rtol=0)
    x = maximise(linear, "1", 2, START, [Stage(3, 0.3, decay=0.1)])
    expected = START
    for _ in range(3):
        expected = 0.9 * (expected + 0.3 * weight / weight.abs().mean())
    torch.testing.assert_close(x, expected, atol=1e-12, rtol=0)
    x = maximise(linear, "1", 2, START, [Stage(5, 0.3)], low=-0.2, high=0.4)
    assert float(x.min()) == -0.2 and float(x.max()) == 0.4


def test_jitter_shifts_the_picture_and_back(linear):
    """Of a network that sums over places a shift changes nothing; of the linear one it does."""
    torch.manual_seed(1)
    summing = nn.Sequential(nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    plain, jittered = (maximise(summing, "0", 1, START, [Stage(4, 0.1, jitter=j)]) for j in (0.0, 2.0))
    torch.testing.assert_close(jittered, plain, atol=1e-12, rtol=0)
    a, b = (maximise(linear, "1", 2, START, [Stage(4, 0.1, jitter=2.0)], seed=s) for s in (0, 0))
    assert torch.equal(a, b)
    assert not torch.allclose(a, maximise(linear, "1", 2, START, [Stage(4, 0.1)]))


def test_a_blur_is_a_normal_kernel():
    model = nn.Sequential(nn.Flatten(), nn.Linear(225, 1)).double()
    nn.init.constant_(model[1].weight, 0.0)  # no gradient: what is left is the blur
    x = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    x[0, 0, 7, 7] = 1.0
    blurred = maximise(model, "1", 0, x, [Stage(1, 0.0, blur=1.2)])[0, 0]
    kernel = np.array([math.exp(-(k**2) / (2 * 1.2**2)) for k in range(-4, 5)])
    kernel /= kernel.sum()
    assert np.allclose(blurred[3:12, 3:12].numpy(), np.outer(kernel, kernel), atol=1e-14)
    assert abs(float(blurred.sum()) - 1) < 1e-12


def test_denoising_lowers_variation_and_keeps_the_mean():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 1)).double()
    nn.init.constant_(model[1].weight, 0.0)
    x = torch.randn(2, 3, 10, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def variation(x):
        return float(x.diff(dim=2).abs().sum() + x.diff(dim=3).abs().sum())

    soft, softer = (maximise(model, "1", 0, x, [Stage(1, 0.0, variation=w)]) for w in (20.0, 2.0))
    assert variation(softer) < variation(soft) < variation(x)
    torch.testing.assert_close(soft.mean((2, 3)), x.mean((2, 3)), atol=0.1, rtol=0)  # twenty iterations


def test_a_maps_activation_is_its_mean_over_places():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh()).double()
    x = maximise(model, "1", 3, START, [Stage(1, 0.5)])
    assert all(p.grad is None for p in model.parameters()) and not model[1]._forward_hooks
    leaf = START.clone().requires_grad_()
    model(leaf)[:, 3].mean((1, 2)).sum().backward()
    scale = leaf.grad.abs().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(x, START + 0.5 * leaf.grad / scale, atol=1e-12, rtol=0)


def test_drawn_kinds_become_facets():
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(90) % 3
    codes = 6 * torch.eye(12)[kinds] + torch.randn(90, 12, generator=generator)
    images = kinds[:, None, None, None] + 0.1 * torch.rand(90, 1, 4, 4, generator=generator)
    result = facets(images, codes, number_of=3, nearest=8)
    assert result.members.shape == (3, 8) and result.starts.shape == (3, 1, 4, 4)
    for label in range(3):
        assert len(kinds[result.labels == label].unique()) == 1
        assert len(kinds[result.members[label]].unique()) == 1
    assert sorted(round(float(x.mean() - 0.05)) for x in result.starts) == [0, 1, 2]
    torch.testing.assert_close(result.starts, images[result.members].mean(1))
    assert torch.equal(facets(images, codes, number_of=3, nearest=8).labels, result.labels)


def test_mistakes_are_named(linear):
    images, codes = torch.zeros(20, 1, 4, 4), torch.zeros(20, 5)
    for call, message in (
        (lambda: maximise(linear, "1", 3, START), "unit is 3; expected 0 to 2"),
        (lambda: maximise(linear, "2", 0, START), "layer is '2'"),
        (lambda: maximise(linear, "1", 0, START[0]), r"expected finite pictures \(B, C, H, W\)"),
        (lambda: maximise(linear, "1", 0, START * math.nan), "expected finite pictures"),
        (lambda: maximise(linear, UnitLayer("x", nn.Tanh()), 0, START), "belongs to another model"),
        (lambda: Stage(3, rate=-1.0), "rate is -1"),
        (lambda: Stage(-3), "steps is -3"),
        (lambda: facets(images[:5], codes), "there are 5 images and 20 codes"),
        (lambda: facets(images, codes, number_of=11), "22 at least"),
        (lambda: facets(images, codes * math.nan, number_of=2), "codes are not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert not linear[1]._forward_hooks
