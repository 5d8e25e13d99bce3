"""Weights of few bits: grids, least squares against a search by hand, what is lost."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.utils import parametrize

import ranvier as rv
from ranvier.hardware import quantisation_loss, quantise_in_training, quantise_weights


def grid_error(unit: float, row: np.ndarray, bits: int) -> float:
    numbers = np.clip(np.rint(row / unit), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return float(((numbers * unit - row) ** 2).sum())


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_every_neurons_weights_lie_on_a_grid_of_least_error(bits):
    """Against a bounded scalar search over units from many starts: within 5 % of it for few bits, where clipping
    matters; never above that of the largest weight."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), rv.nn.LIF(6, 5, recurrent=True)).double()
    rounded = quantise_weights(model, bits)
    for before, after in ((model[0].weight, rounded[0].weight), (model[1].linear.weight, rounded[1].linear.weight),
                          (model[1].recurrent, rounded[1].recurrent)):  # fmt: skip
        for row, new in zip(before.detach().flatten(1).numpy(), after.detach().flatten(1).numpy(), strict=True):
            levels = np.unique(new)
            assert len(levels) <= 2**bits
            if bits < 8:  # of 256 levels a row uses too few for neighbours among them
                unit = np.diff(levels).min()
                np.testing.assert_allclose(levels / unit, np.rint(levels / unit), atol=1e-9)
            top = np.abs(row).max() / (2 ** (bits - 1) - 1)
            starts = np.linspace(0.2, 1.0, 40)
            best = min(minimize_scalar(grid_error, bounds=(s * top, (s + 0.02) * top), args=(row, bits),
                                       method="bounded").fun for s in starts)  # fmt: skip
            error = ((new - row) ** 2).sum()
            assert error <= grid_error(top, row, bits) + 1e-12 and (bits == 8 or error <= 1.05 * best)
    assert torch.equal(model[1].linear.bias, rounded[1].linear.bias)


def test_what_shares_a_unit():
    layer = torch.nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.3], [100.0, 30.0]])
    own, shared = (quantise_weights(layer, 4, share=share).weight for share in ("neuron", "layer"))
    torch.testing.assert_close(own[0] * 100, own[1])
    assert shared[0].tolist() == [0.0, 0.0] and shared[1].min() > 20
    turned = torch.nn.ConvTranspose1d(4, 6, 3, groups=2)  # weights (in, out/groups, 3)
    channels = quantise_weights(turned, 2).weight.reshape(2, 2, 3, 3).transpose(1, 2).reshape(6, 6)
    assert all(len(row.unique()) <= 4 for row in channels)


def test_the_loss_falls_with_bits_and_is_that_of_the_rounded_model():
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LIF(30, 20, recurrent=True), rv.nn.LI(20, 4))
    x = (torch.rand(20, 64, 30) < 0.3).float()
    labels = model(x)[0].sum(0).argmax(1)

    def score(m):
        return rv.learners.accuracy(m(x)[0], labels)

    measured = quantisation_loss(model, score, bits=(2, 4, 8))
    assert measured.model_score == 1.0 and measured.loss[2] < 0.1 < measured.loss[0]
    assert measured.score[1] == score(quantise_weights(model, 4))
    assert set(measured.error) == {"0.linear.weight", "0.recurrent", "1.linear.weight"}
    for row in measured.error.values():  # rounding errors are uniform: unit/√12, a sixteenth for four bits more
        assert row[0] > row[1] > row[2] and row[1] / row[2] == pytest.approx(16, rel=0.35)
    assert len(str(measured).splitlines()) == 4


def test_recurrent_weights_are_trained_with_their_bits_too():
    torch.manual_seed(0)
    layer = quantise_in_training(rv.nn.LIF(6, 5, recurrent=True), 3)
    assert len(layer.recurrent.unique()) <= 8 and len(layer.linear.weight.unique()) <= 8
    layer(2 * torch.rand(10, 3, 6))[0].sum().backward()
    assert layer.parametrizations.recurrent.original.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="is parametrised"):
        quantise_weights(layer, 3)
    parametrize.remove_parametrizations(layer, "recurrent")
    assert len(layer.recurrent.unique()) <= 8


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (torch.nn.ReLU(), {}, "the model is ReLU"),
        (rv.nn.BatchNormThroughTime(3, 5), {}, "expected layers with weights"),
        (torch.nn.Linear(2, 2), {"bits": 1}, "bits is 1"),
        (torch.nn.Linear(2, 2), {"bits": 17}, "bits is 17"),
        (torch.nn.Linear(2, 2), {"share": "all"}, "share is 'all'"),
    ],
)
def test_what_is_not_rounded(model, options, words):
    with pytest.raises(ValueError, match=words):
        quantise_weights(model, **options)


def test_weights_that_are_not_finite_are_refused():
    layer = torch.nn.Linear(2, 2)
    layer.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        quantise_weights(layer)
