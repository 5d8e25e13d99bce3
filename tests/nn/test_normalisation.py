"""Normalisation by batches and of weights: statistics by hand, torch's own layers, refusals."""

import numpy as np
import pytest
import torch
from torch import nn

import ranvier as rv

F64 = torch.float64


def drawn(*shape, dtype=F64):
    return 3 * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(2)) + 1


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("places", [(), (3, 2)])
def test_threshold_batch_norm_in_training(dtype, tolerance, places):
    """Zheng et al. 2021, equations 5 to 8, over steps, batch and places in NumPy; 1000 roundings of the type."""
    norm, x = rv.nn.ThresholdBatchNorm(4, threshold=0.5, scale=0.7, dtype=dtype), drawn(5, 6, 4, *places, dtype=dtype)
    y, _ = norm(x)
    values, axes = x.double().numpy(), (0, 1, *range(3, 3 + len(places)))
    mean, var = values.mean(axes, keepdims=True), values.var(axes, keepdims=True)
    expected = 0.35 * (values - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * mean.ravel(), rtol=tolerance, atol=tolerance)
    unbiased = values.var(axes, ddof=1).ravel()
    np.testing.assert_allclose(norm.running_var.numpy(), 0.9 + 0.1 * unbiased, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("places", [(), (3, 2)])
def test_norm_through_time_is_a_batch_norm_a_step(places):
    """Outputs, running statistics and gradients of one torch layer for every step, cut into two calls."""
    norm, x = rv.nn.BatchNormThroughTime(4, 5, dtype=F64), drawn(5, 6, 4, *places).requires_grad_()
    kind = nn.BatchNorm2d if places else nn.BatchNorm1d
    steps = [kind(4, dtype=F64) for _ in range(5)]
    expected = torch.stack([layer(row) for layer, row in zip(steps, x, strict=True)])
    first, state = norm(x[:2])
    second, state = norm(x[2:], state)
    y = torch.cat([first, second])
    torch.testing.assert_close(y, expected)
    assert state["at"].tolist() == [5.0] * 6
    torch.testing.assert_close(norm.running_mean, torch.stack([layer.running_mean for layer in steps]))
    torch.testing.assert_close(norm.running_var, torch.stack([layer.running_var for layer in steps]))
    pull = drawn(*y.shape)
    (ours,) = torch.autograd.grad((y * pull).sum(), x, retain_graph=True)
    (theirs,) = torch.autograd.grad((expected * pull).sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_a_normed_drive_makes_neurons_fire_whatever_its_scale():
    """What the norm is for: drive a hundred times too weak leaves neurons silent without it."""
    x = 0.01 * drawn(20, 8, 10, dtype=torch.float32)
    torch.manual_seed(0)
    row = rv.nn.Sequential(nn.Linear(10, 16, bias=False), rv.nn.ThresholdBatchNorm(16, eps=1e-12), rv.nn.LIF(16))
    assert row[2](row[0](x))[0].sum() == 0
    assert 0.1 < row(x)[0].mean() < 0.6
    torch.testing.assert_close(row(x)[0].mean(), row(100 * x)[0].mean(), rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ("make", "shape", "words"),
    [
        (lambda: rv.nn.ThresholdBatchNorm(4), (5, 6, 3), "x has shape"),
        (lambda: rv.nn.ThresholdBatchNorm(4), (1, 1, 4), "one value a feature"),
        (lambda: rv.nn.BatchNormThroughTime(4, 5), (3, 1, 4), "one value a feature"),
        (lambda: rv.nn.BatchNormThroughTime(4, 5), (6, 2, 4), "expected steps 0 to 4"),
        (lambda: rv.nn.BatchNormThroughTime(4, 5), (0, 2, 4), "T > 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, shape, words):
    with pytest.raises(ValueError, match=words):
        make()(torch.randn(*shape))


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"scale": -1.0}, {"eps": 0.0}, {"momentum": 0.0}, {"features": 0}]
)
def test_settings_outside_their_domain_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        rv.nn.ThresholdBatchNorm(**{"features": 4, **wrong})


def test_examples_at_different_steps_share_no_statistics():
    norm, state = rv.nn.BatchNormThroughTime(2, 9), {"at": torch.tensor([0.0, 1.0])}
    with pytest.raises(ValueError, match="different steps"):
        norm(torch.randn(3, 2, 2), state)
    norm.running_mean.copy_(torch.arange(9.0)[:, None].expand(9, 2))
    y, _ = norm.eval()(torch.zeros(3, 2, 2), state)
    torch.testing.assert_close(y[:, :, 0], -torch.tensor([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]) / (1 + 1e-5) ** 0.5)


@pytest.mark.parametrize("make", [lambda: nn.Linear(7, 3, dtype=F64), lambda: nn.Conv2d(2, 3, 3, dtype=F64)])
def test_standardised_weights(make):
    """Mean 0, sum of squares gain² (eps 1e-8 of a sum of about 1); shift and scale of what learns change nothing."""
    module = make()
    raw = module.weight.detach().clone()
    assert rv.nn.standardise_weights(module, gain=2.0) is module
    rows = module.weight.detach().flatten(1)
    torch.testing.assert_close(rows.sum(1), torch.zeros(3, dtype=F64), rtol=0, atol=1e-12)
    torch.testing.assert_close(rows.square().sum(1), torch.full((3,), 4.0, dtype=F64), rtol=1e-6, atol=0)
    changed = make()
    changed.weight.data = 5 * raw + 3
    rv.nn.standardise_weights(changed, gain=2.0)
    torch.testing.assert_close(changed.weight, module.weight, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="already"):
        rv.nn.standardise_weights(module)


def test_a_layer_learns_through_its_standardised_weights():
    layer = rv.nn.LIF(6, 5, threshold=0.3)
    rv.nn.standardise_weights(layer.linear)
    layer(2 * torch.rand(10, 3, 6))[0].sum().backward()
    learned = layer.linear.parametrizations.weight
    assert all(p.grad.abs().sum() > 0 for p in (learned.original, learned[0].gain))


@pytest.mark.parametrize("wrong", [nn.ReLU(), nn.BatchNorm1d(3), nn.ConvTranspose1d(2, 3, 3)])
def test_what_has_no_rows_of_weights_is_not_standardised(wrong):
    with pytest.raises(TypeError, match="expected one with weights"):
        rv.nn.standardise_weights(wrong)
