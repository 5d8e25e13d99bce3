"""Sequences of different lengths: as each example by itself; and what losses on spikes count."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import ranvier as rv
from tests.laws.cells import tensors
from tests.nn.cases import CELLS

LENGTHS = [3, 5, 3]


@pytest.mark.parametrize("name", [n for n in CELLS if n != "LIF, all"])
def test_padded_examples_run_as_each_alone(name):
    cell, x = CELLS[name].layer(), CELLS[name].drive()
    x = x[: min(len(x), 7)]
    padded = x.clone()
    for b, end in enumerate(LENGTHS[: x.shape[1]]):
        padded[end:, b] = float("nan")
    lengths = LENGTHS[: x.shape[1]] if len(x) >= 5 else [len(x)] * x.shape[1]
    with torch.no_grad():
        y, state = rv.nn.run_padded(cell, padded, lengths)
        assert len(y) == len(x)
        for b, end in enumerate(lengths):
            alone, last = cell(x[:end, b : b + 1])
            torch.testing.assert_close(y[:end, b], alone[:, 0])
            assert not y[end:, b].any()
            for together, single in zip(tensors(state), tensors(last), strict=True):
                axis = 0 if together.shape[0] == x.shape[1] and single.shape[0] == 1 else 1
                torch.testing.assert_close(together.select(axis, b), single.select(axis, 0))


def test_packed_sequences_and_batch_first():
    layer, x = rv.nn.LIF(4, 3, threshold=0.2), torch.rand(6, 3, 4)
    expected, last = rv.nn.run_padded(layer, x, LENGTHS)
    packed, state = rv.nn.run_packed(layer, pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
    y, lengths = pad_packed_sequence(packed)
    assert expected.any() and lengths.tolist() == LENGTHS
    torch.testing.assert_close(y, expected[:5])
    torch.testing.assert_close(state, last)
    first, _ = rv.nn.run_padded(layer, x.transpose(0, 1), torch.tensor(LENGTHS), batch_first=True)
    torch.testing.assert_close(first.transpose(0, 1), expected)
    x.requires_grad_()
    rv.nn.run_padded(layer, x, LENGTHS)[0].sum().backward()
    assert x.grad[:3].any() and not x.grad[3:, 0].any() and not x.grad[5:].any()


@pytest.mark.parametrize("lengths", [[3, 5], [0, 3, 3], [3, 7, 3], [3.0, 5.0, 3.0], [True, True, True]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(ValueError, match="lengths"):
        rv.nn.run_padded(rv.nn.LI(4, 3), torch.rand(6, 3, 4), lengths)


def test_population_counts_are_sums_by_hand():
    y = (torch.rand(7, 3, 6, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    counts = rv.nn.population_counts(y, 3)
    for b in range(3):
        for k in range(3):
            assert counts[b, k] == sum(float(y[t, b, n]) for t in range(7) for n in (2 * k, 2 * k + 1))
    for wrong in (4, 0, True):
        with pytest.raises(ValueError, match="classes"):
            rv.nn.population_counts(y, wrong)


def test_a_rate_penalty_wakes_silent_neurons_and_spares_those_within():
    """Gradient of (low − r)²/N by one spike: −2 (low − r)/(N T B), by hand."""
    y = torch.zeros(4, 2, 3, dtype=torch.float64)
    y[:, :, 1], y[0, :, 2] = 1.0, 1.0  # rates 0, 1, 0.25
    y.requires_grad_()
    penalty = rv.nn.rate_penalty(y, 0.1, 0.5)
    assert penalty.item() == pytest.approx((0.1**2 + 0.5**2) / 3)
    (gradient,) = torch.autograd.grad(penalty, y)
    expected = torch.tensor([-0.2, 1.0, 0.0], dtype=torch.float64) / (3 * 4 * 2)
    torch.testing.assert_close(gradient, expected.expand(4, 2, 3))
    for low, high in ((-0.1, 0.5), (0.6, 0.5), (0.1, float("nan"))):
        with pytest.raises(ValueError, match=r"low|high"):
            rv.nn.rate_penalty(y, low, high)
