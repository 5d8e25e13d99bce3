"""Layers of the peers: Gaussian delays, parallel neurons on whole sequences, alpha kernels, penalties of rates."""

import numpy as np
import pytest
import torch

import ranvier as rv
from tests.laws.cells import check_cell
from tests.nn.layers import F64, drive


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (torch.float32, 1e-5)])
def test_gaussian_delays_are_sums_over_all_steps(dtype, tolerance):
    """Σ_d W g_d x[t − d] with g_d = exp(−(d − s)²/(2 w²)) / Σ_d' exp(...), in NumPy (Hammouamri et al. 2024)."""
    torch.manual_seed(0)
    steps = 6 * torch.rand(3, 4, dtype=F64)
    cell = rv.nn.DelayedLinear(4, 3, steps, learn=True, longest=6, width=1.7, dtype=dtype)
    x = drive(15, 2, 4).to(dtype)
    g = np.exp(-((np.arange(7)[:, None, None] - steps.numpy()) ** 2) / (2 * 1.7**2))
    g, expected = g / g.sum(0), np.zeros((15, 2, 3))
    for t in range(15):
        for d in range(min(t, 6) + 1):
            expected[t] += x[t - d].double().numpy() @ (cell.weight.detach().double().numpy() * g[d]).T
    expected += cell.bias.detach().double().numpy()
    np.testing.assert_allclose(cell(x)[0].detach().numpy(), expected, rtol=tolerance, atol=10 * tolerance)
    if dtype == F64:
        check_cell(cell, x, list(cell.parameters()))
        torch.autograd.gradcheck(lambda s, w: torch.func.functional_call(cell, {"steps": s, "weight": w}, (x,))[0],
                                 (cell.steps, cell.weight))  # fmt: skip


def test_a_narrow_gaussian_has_the_nearest_whole_delay():
    x, steps = drive(15, 2, 4), torch.tensor([[0.4, 2.6, 5.0, 3.3]], dtype=F64)
    cell = rv.nn.DelayedLinear(4, 1, steps, learn=True, longest=6, width=3.0, dtype=F64)
    rounded = cell.rounded()
    assert rounded.steps.tolist() == [[0, 3, 5, 3]] and not rounded.steps.is_floating_point()
    wide = cell(x)[0]
    cell.width = 0.05
    torch.testing.assert_close(cell(x)[0], rounded(x)[0])
    assert (wide - rounded(x)[0]).abs().max() > 0.1
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match="width"):
            cell.width = bad
    with pytest.raises(ValueError, match="not learned"):
        rv.nn.DelayedLinear(4, 1, 2, width=1.0)


@pytest.mark.parametrize("width", [None, 4.0])
def test_a_shrinking_gaussian_finds_a_distant_delay_that_interpolation_does_not(width):
    """The input is sparse, the target comes 6 steps later, the delay starts at 1: what lies between the whole steps
    next to it says nothing of 6."""
    x = (torch.rand(120, 1, 1, generator=torch.Generator().manual_seed(1)) < 0.05).to(F64)
    target = rv.nn.Delay(1, 6, dtype=F64)(x)[0]
    cell = rv.nn.DelayedLinear(1, 1, 1.0, learn=True, longest=8, width=width, bias=False, dtype=F64)
    torch.nn.init.ones_(cell.weight)
    optimizer = torch.optim.Adam([cell.steps], 0.3)
    for _ in range(60):
        if width:
            cell.width = max(0.5, cell.width * 0.94)
        optimizer.zero_grad()
        (cell(x)[0] - target).square().sum().backward()
        optimizer.step()
    assert (abs(cell.steps.item() - 6) < 0.2) == (width is not None)


def test_a_full_psn_reads_the_future_of_whole_sequences_only():
    layer, x = rv.nn.PSN(3, 5, causal=False, dtype=F64), drive(5, 2, 3)
    layer.weight.data.add_(0.3)
    h = np.einsum("ts,sbn->tbn", layer.weight.detach().numpy(), x.numpy())
    y, _ = layer(x)
    assert 0 < y.sum() < y.numel()
    np.testing.assert_array_equal(y.detach().numpy(), h >= 1.0)
    for act in (lambda: layer(x[:4]), lambda: layer.step(layer.init_state(2), x[0])):
        with pytest.raises(ValueError, match="expected all 5 at once"):
            act()
    causal = rv.nn.PSN(3, 5, dtype=F64)
    _, state = causal(x)
    with pytest.raises(ValueError, match="expected steps 0 to 4"):
        causal(x[:1], state)


def test_examples_of_a_psn_may_be_at_different_steps():
    layer, x = rv.nn.PSN(3, 6, dtype=F64), drive(6, 2, 3)
    layer.weight.data.add_(0.3)
    whole, _ = layer(x)
    _, early = layer(x[:1])
    _, late = layer(x[:3])
    state = {name: torch.stack([early[name][0], late[name][1]]) for name in early}
    y, _ = layer(torch.stack([x[1:4, 0], x[3:, 1]], 1), state)
    assert torch.equal(y[:, 0], whole[1:4, 0]) and torch.equal(y[:, 1], whole[3:, 1])


def test_two_decays_have_the_kernel_of_snntorchs_alpha():
    """Alpha's membrane after one input is c (α^n − β^n) at step n (snnTorch, Alpha); LI's with both decays is
    (α^n − β^n)/(α − β), n counted from 1."""
    x = torch.zeros(20, 1, 1, dtype=F64)
    x[0] = 1.0
    n = np.arange(1, 21)
    y = rv.nn.LI(beta=0.7, alpha=0.9, dtype=F64)(x)[0][:, 0, 0].numpy()
    np.testing.assert_allclose(y, (0.9**n - 0.7**n) / 0.2, rtol=1e-12)


def test_what_feeds_back_is_a_cell():
    with pytest.raises(TypeError, match="cell is Linear"):
        rv.nn.feed_back(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="module is str"):
        rv.nn.feed_back(rv.nn.LIF(4), "conv")
    dense, layer = torch.nn.Linear(4, 4, bias=False, dtype=F64), rv.nn.LIF(4, recurrent=True, dtype=F64)
    layer.recurrent.data.copy_(dense.weight)
    x = drive(20, 3, 4)
    y, _ = rv.nn.feed_back(rv.nn.LIF(4, dtype=F64), dense)(x)
    assert torch.equal(y, layer(x)[0]) and y.sum() > 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"power": 1}, (0.25 + 0.0 + 0.25) / 3),
        ({"power": 2}, (0.0625 + 0.0 + 0.0625) / 3),
        ({"of": "population"}, 0.0),
        ({"of": "example"}, 6 * 0.0625 / 6),
        ({"low": 0.0, "high": 0.0, "power": 1}, 0.5),
    ],
)
def test_penalties_of_rates_by_hand(options, expected):
    """Rates of neurons 1, 0.5 and 0, of examples 1 or 0, within [0.25, 0.75]."""
    y = torch.zeros(4, 2, 3, dtype=F64)
    y[:, :, 0] = 1
    y[:, 0, 1] = 1
    assert rv.nn.rate_penalty(y, **{"low": 0.25, "high": 0.75} | options).item() == pytest.approx(expected)


def test_unknown_penalties_are_refused():
    for options in ({"power": 3}, {"of": "layer"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            rv.nn.rate_penalty(torch.zeros(2, 2, 2), **options)


def test_a_cell_runs_batch_first_without_lengths():
    layer, x = rv.nn.LIF(3, 4), torch.rand(5, 7, 3)
    y, state = rv.nn.run_padded(layer, x, batch_first=True)
    expected, end = layer(x.transpose(0, 1))
    assert torch.equal(y, expected.transpose(0, 1)) and torch.equal(state["v"], end["v"])


@pytest.mark.parametrize("size", [4, (4,), "ab"])
def test_a_size_of_images_is_a_pair(size):
    with pytest.raises(TypeError, match=r"expected \(height, width\)"):
        rv.nn.SpikingConvLSTM(2, 3, 3, size=size)


@pytest.mark.parametrize("make", [rv.nn.PSN, rv.nn.BatchNormThroughTime])
def test_steps_are_not_lost_in_low_precision(make):
    """bfloat16 has 8 bits: 256 + 1 is 256 again."""
    layer, x = make(2, 300, dtype=torch.bfloat16), torch.rand(300, 3, 2, dtype=torch.bfloat16)
    whole, _ = layer(x)
    assert len(whole) == 300
    _, state = layer(x[:255])
    _, state = layer(x[255:256], state)
    assert state["at"].tolist() == [256.0] * 3
    with pytest.raises(ValueError, match=r"expected one below 256.*float32"):
        layer(x[256:257], state)
    if make is rv.nn.PSN:
        assert layer(x[:, :0])[0].shape == (300, 0, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"kernel_size": 2}, "odd"), ({"threshold": 1.0}, "threshold"), ({"size": (0, 4)}, "height")],
)
def test_a_convolutional_lstm_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        rv.nn.SpikingConvLSTM(**{"in_channels": 2, "out_channels": 3, "kernel_size": 3, "size": (4, 4)} | options)
