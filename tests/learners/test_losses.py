"""Losses on spikes against closed forms, and the first spike's gradient against the change that a spike makes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ranvier.learners import (
    accuracy,
    first_spike,
    first_spike_accuracy,
    first_spike_cross_entropy,
    membrane_cross_entropy,
    rate_cross_entropy,
    rate_mse,
)
from tests.laws.oracles import oracle

F64 = torch.float64


def trains(*rows: str) -> torch.Tensor:
    """(T, 1, C) from one string of 0 and 1 a neuron."""
    return torch.tensor([[[float(c) for c in column]] for column in zip(*rows, strict=True)], dtype=F64)


def test_rate_and_membrane_losses_are_the_closed_forms():
    y = torch.zeros(8, 1, 3, dtype=F64)
    y[::2, 0, 1] = 1.0  # class 1 at half of the greatest rate
    e = math.exp(5.0)
    assert float(rate_cross_entropy(y, torch.tensor([1]))) == pytest.approx(-math.log(e / (e + 2)))
    assert float(rate_cross_entropy(y.repeat(3, 1, 1), torch.tensor([1]))) == pytest.approx(-math.log(e / (e + 2)))
    one = math.e
    expected = (-math.log(one / (one + 2)) - math.log(1 / 3)) / 2
    assert float(membrane_cross_entropy(y, torch.tensor([1]))) == pytest.approx(expected)
    assert accuracy(torch.cat([y, y], 1), torch.tensor([1, 2])) == 0.5


def test_rate_mse_is_the_closed_form_for_any_number_of_steps():
    y = torch.cat([trains("1100", "1111", "0000"), trains("0000", "0000", "1000")], 1)
    expected = ((0.5 - 0.8) ** 2 + 0.8**2 + 0.2**2 + 0.2**2 + 0.2**2 + (0.25 - 0.8) ** 2) / 2
    labels = torch.tensor([0, 2])
    assert float(rate_mse(y, labels)) == pytest.approx(expected)
    assert float(rate_mse(y.repeat(5, 1, 1), labels)) == pytest.approx(expected)
    assert float(rate_mse(trains("11", "00"), torch.tensor([0]), correct=1.0, incorrect=0.0)) == 0.0
    with pytest.raises(ValueError, match="expected rates within"):
        rate_mse(y, labels, correct=20)


@oracle
def by_hand(train: list[int]) -> int:
    return next((t for t, s in enumerate(train) if s), len(train))


@given(st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_first_spike_and_its_gradient_are_what_a_spike_more_or_less_changes(train):
    y = torch.tensor(train, dtype=F64, requires_grad=True)
    when = first_spike(y)
    assert when.item() == by_hand(train)
    (gradient,) = torch.autograd.grad(when, y)
    for s in range(len(train)):
        with_spike, without = [*train], [*train]
        with_spike[s], without[s] = 1, 0
        assert float(gradient[s]) == by_hand(with_spike) - by_hand(without)


def test_first_spike_loss_is_the_closed_form_and_wakes_the_silent():
    y = trains("0010", "0100", "0000").requires_grad_()
    loss = first_spike_cross_entropy(y, torch.tensor([2]), scale=2.0)
    weights = [math.exp(-2.0 * t / 4) for t in (2, 1, 4)]
    assert loss.item() == pytest.approx(-math.log(weights[2] / sum(weights)))
    loss.backward()
    assert (y.grad[:, 0, 2] < 0).all()  # descent adds spikes to the silent neuron, most of all early ones
    assert (y.grad[1:, 0, 2] > y.grad[:-1, 0, 2]).all()
    assert y.grad[2, 0, 0] > 0 and y.grad[1, 0, 1] > 0 and not y.grad[2:, 0, 1].any()


def test_a_net_learns_to_spike_first_from_silence():
    """All neurons silent at the start; the loss's own gradient, through the surrogate, wakes the right ones."""
    import ranvier as rv

    torch.manual_seed(0)
    layer = rv.nn.LIF(4, 4, bias=False)
    with torch.no_grad():
        layer.linear.weight.fill_(0.01)
    x, labels = torch.eye(4).expand(10, 4, 4), torch.arange(4)
    assert not layer(x)[0].any()
    optimizer = torch.optim.Adam(layer.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        first_spike_cross_entropy(layer(x)[0], labels).backward()
        optimizer.step()
    y = layer(x)[0]
    assert first_spike_accuracy(y, labels) == 1.0
    assert (first_spike(y).diagonal() <= 1).all()


def test_ties_count_by_chance():
    labels = torch.tensor([0])
    assert first_spike_accuracy(trains("010", "010", "001"), labels) == 0.5
    assert first_spike_accuracy(trains("000", "000"), labels) == 0.5
    assert first_spike_accuracy(trains("100", "011"), labels) == 1.0
    assert accuracy(trains("100", "011"), labels) == 0.0
    assert accuracy(trains("0", "0", "0", "0"), labels) == 0.25


@pytest.mark.parametrize(
    "loss", [rate_cross_entropy, rate_mse, membrane_cross_entropy, first_spike_cross_entropy, accuracy,
             first_spike_accuracy], ids=lambda f: f.__name__,
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused_by_all(loss):
    y = trains("01", "10", "00")
    for labels, text in (([3], "label 3 at position 0"), ([-1], "label -1"), ([0, 1], "expected"),
                         ([0.0], "whole numbers"), ([True], "whole numbers")):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            loss(y, torch.tensor(labels))
    with pytest.raises(ValueError, match=r"expected \(T, B, classes\)"):
        loss(y[0], torch.tensor([0]))


def test_a_membrane_has_no_first_spike():
    with pytest.raises(ValueError, match="expected spikes"):
        first_spike_cross_entropy(trains("01", "10") * 0.5, torch.tensor([0]))
