"""Neurons of any shape, ordinary modules at every step, convolutions: against one step, or one neuron, at a time."""

import math

import pytest
import torch
from torch import nn

import ranvier as rv
from tests.laws.cells import check_cell
from tests.nn.layers import F64

SHAPE = (3, 4, 2)


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("shape", [SHAPE, None])
def test_a_shape_is_as_many_neurons_in_a_row(shape, fused):
    options = {"alpha": 0.6, "adaptation": (0.9, 0.2), "dtype": F64, "learn": ("beta", "threshold"), "fused": fused}
    x = random(20, 2, *SHAPE)
    ours, flat = rv.nn.LIF(shape, **options), rv.nn.LIF(24, **options)
    y, state = ours(x)
    expected, end = flat(x.flatten(2))
    assert 20 < y.sum() < 0.9 * y.numel() and torch.equal(y.flatten(2), expected)
    assert state["v"].shape == (2, *SHAPE) and torch.equal(state["v"].flatten(1), end["v"])
    for cell, out in ((ours, y), (flat, expected.view_as(y))):
        (out * random(*y.shape)).sum().backward()
        assert cell.beta.grad.shape == ()
    torch.testing.assert_close(ours.beta.grad, flat.beta.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fused", [True, False])
def test_parameters_may_be_one_a_channel(fused):
    betas = torch.tensor([0.5, 0.8, 0.95], dtype=F64).reshape(3, 1, 1)
    x = random(20, 2, *SHAPE)
    cells = [rv.nn.LIF(s, beta=betas, learn="beta", dtype=F64, fused=fused) for s in (SHAPE, None)]
    grads = []
    for cell in cells:
        y, _ = cell(x)
        for c in range(3):
            alone, _ = rv.nn.LIF(beta=float(betas[c]), dtype=F64)(x[:, :, c])
            assert torch.equal(y[:, :, c], alone)
        (y * random(*y.shape)).sum().backward()
        grads.append(cell.beta.grad)
    assert grads[0].shape == (3, 1, 1) and (grads[0] != 0).all() and torch.equal(*grads)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("shape", [SHAPE, None])
def test_layers_of_any_shape_are_lawful_cells(shape, fused):
    cell = rv.nn.LIF(shape, alpha=0.5, learn=("alpha", "beta", "threshold"), dtype=F64, fused=fused)
    check_cell(cell, random(12, 3, *SHAPE), list(cell.parameters()))


def convolutional(fused: bool = True) -> rv.nn.Sequential:
    torch.manual_seed(1)
    return rv.nn.Sequential(
        nn.Conv2d(1, 4, 3), rv.nn.LIF(fused=fused), nn.AvgPool2d(2), rv.nn.TimeDistributed(nn.Flatten()),
        rv.nn.LIF(36, 5, threshold=0.2, fused=fused), rv.nn.LI(5, 3, fused=fused),
    ).double()  # fmt: skip


@pytest.mark.parametrize("fused", [True, False])
def test_a_convolutional_network_is_a_lawful_cell(fused):
    model = convolutional(fused)
    check_cell(model, random(12, 2, 1, 8, 8, scale=4.0), list(model.parameters()))


def test_both_paths_agree_through_convolutions():
    x = random(12, 2, 1, 8, 8, scale=4.0)
    outcomes = []
    for fused in (True, False):
        model = convolutional(fused)
        y, _ = model(x)
        outcomes.append([y, *torch.autograd.grad((y * random(*y.shape)).sum(), list(model.parameters()))])
    for a, b in zip(*outcomes, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_ordinary_modules_see_one_step_at_a_time():
    x = random(5, 2, 3, 6)
    layers = [nn.Flatten(), nn.Linear(18, 4, dtype=F64), nn.Softmax(dim=1), nn.LayerNorm(4, dtype=F64)]
    y, state = rv.nn.Sequential(*layers)(x)
    assert state == ((), (), (), ())
    for t in range(5):
        row = x[t]
        for module in layers:
            row = module(row)
        torch.testing.assert_close(y[t], row)


def test_batch_norm_sees_all_steps_together():
    x = random(5, 4, 3)
    y, _ = rv.nn.Sequential(nn.BatchNorm1d(3, dtype=F64))(x)
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(3, dtype=F64), atol=1e-12, rtol=0)
    torch.testing.assert_close(y.var((0, 1), correction=0), torch.ones(3, dtype=F64), atol=1e-3, rtol=0)


def test_what_needs_the_whole_sequence_or_hides_neurons_is_refused():
    with pytest.raises(TypeError, match="layers of neurons inside"):
        rv.nn.Sequential(nn.Sequential(nn.Linear(3, 3), rv.nn.LIF(3)))
    with pytest.raises(TypeError, match="layers of neurons inside"):
        rv.nn.TimeDistributed(nn.ModuleList([rv.nn.LIF(3)]))
    with pytest.raises(ValueError, match="tuple from LSTM"):
        rv.nn.Sequential(nn.LSTM(3, 3))(torch.zeros(4, 2, 3))
    with pytest.raises(ValueError, match="expected a tensor of one row each"):
        rv.nn.Sequential(nn.Flatten(0))(torch.zeros(4, 2, 3))
    for module in (rv.nn.Sequential(nn.Flatten()), rv.nn.TimeDistributed(nn.Flatten()), rv.nn.LIF()):
        for shape in [(4, 2), (0, 2, 3)]:
            with pytest.raises(ValueError, match="with T > 0"):
                module(torch.zeros(shape))


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected \(T, B, 3, 4, 2\)"):
        rv.nn.LIF(SHAPE)(torch.zeros(5, 2, 4, 3, 2))
    with pytest.raises(ValueError, match="broadcasts to"):
        rv.nn.LIF(SHAPE, beta=torch.full((3,), 0.5))
    with pytest.raises(ValueError, match="expected one whole number"):
        rv.nn.LIF(SHAPE, 5)
    with pytest.raises(ValueError, match="expected one size"):
        rv.nn.LIF(SHAPE, recurrent=True)
    with pytest.raises(ValueError, match="recurrent_delay"):
        rv.nn.LIF(4, recurrent=True, recurrent_delay=0)
    with pytest.raises(ValueError, match="positive whole number"):
        rv.nn.LIF((3, 0))
    x = torch.zeros(5, 2, *SHAPE)
    x[3, 1, 2, 0, 1] = math.nan
    with pytest.raises(ValueError, match=r"nan in x at step 3, batch 1, feature \(2, 0, 1\)"):
        rv.nn.LIF()(x)
    _, state = rv.nn.LIF()(torch.zeros(5, 2, 7))
    with pytest.raises(ValueError, match="state v has shape"):
        rv.nn.LIF()(torch.zeros(5, 2, 8), state)


def test_the_plain_path_runs_on_any_device():
    """On a device without memory, every operation but a read of a value."""
    model = rv.nn.Sequential(
        nn.Conv2d(1, 4, 3), rv.nn.LIF(), nn.Flatten(), rv.nn.Delay(144, 2),
        rv.nn.LIF(144, 5, alpha=0.5, recurrent=True, recurrent_delay=torch.tensor([1, 2, 1, 3, 1])),
        rv.nn.DelayedLinear(5, 4, 2), rv.nn.LI(4, 3),
    ).to("meta")  # fmt: skip
    x = torch.zeros(6, 2, 1, 8, 8, device="meta")
    y, state = model(x)
    assert y.shape == (6, 2, 3) and y.device.type == "meta"
    y.sum().backward()
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in model.parameters())
    after, y = model.step(state, x[0])
    assert y.shape == (2, 3) and after[4]["history"].shape == (3, 2, 5)
