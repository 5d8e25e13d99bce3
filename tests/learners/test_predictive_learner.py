"""Predictive coding as a learner: a step by hand, backpropagation's step, digits both ways, resume."""

import json

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.energies import Backtracking, Fixed
from ranvier.energies.predictive.hierarchy import Hierarchy
from ranvier.learners.energy_based.predictive_coding import PredictiveCoding

F64 = torch.float64


def small(**options):
    torch.manual_seed(0)
    return Hierarchy([nn.Linear(3, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 2))], (3,), **options).double()


BATCH = torch.rand(5, 3, generator=torch.Generator().manual_seed(1), dtype=F64), torch.tensor([0, 1, 1, 0, 1])


def test_a_step_by_hand():
    """Bogacz (2017), eq. 57 and 58, on plain matrices; every change is an error times what was sent."""
    model = small()
    before = [p.detach().clone() for p in model.parameters()]
    W1, b1, W2, b2 = before
    x, target = BATCH[0], torch.eye(2, dtype=F64)[BATCH[1]]
    h = x @ W1.T + b1
    for _ in range(7):
        top = target - h.tanh() @ W2.T - b2
        h = h + 0.1 * (-(h - x @ W1.T - b1) + (top @ W2) * (1 - h.tanh() ** 2))
    low, top = h - x @ W1.T - b1, target - h.tanh() @ W2.T - b2
    subject = PredictiveCoding(model, torch.optim.SGD(model.parameters(), 0.2), steps=7, rule=Fixed(0.1))
    subject.step(BATCH)
    for p, old, hebb in zip(
        model.parameters(), before, (low.T @ x, low.sum(0), top.T @ h.tanh(), top.sum(0)), strict=True
    ):
        torch.testing.assert_close(p.detach(), old + 0.2 * hebb / 5)


def test_with_fixed_predictions_a_step_is_backpropagations():
    model, twin = small(), small()
    PredictiveCoding(model, torch.optim.SGD(model.parameters(), 0.2), fixed_predictions=True, steps=80).step(BATCH)
    target = torch.eye(2, dtype=F64)[BATCH[1]]
    (0.5 * (nn.Sequential(*twin.maps)(BATCH[0]) - target).square().sum(1)).mean().backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.detach(), q.detach() - 0.2 * q.grad)


def digits():
    X, y = load_digits(return_X_y=True)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(X / 16, dtype=torch.float32)[order], torch.tensor(y)[order]
    train = DataLoader(TensorDataset(x[:1500], y[:1500]), batch_size=50, shuffle=True)
    return train, DataLoader(TensorDataset(x[1500:], y[1500:]), batch_size=300)


def learner(direction, precision=1.0, **options):
    torch.manual_seed(0)
    if direction == "discriminative":
        modules, shape = [nn.Linear(64, 64), nn.Sequential(nn.ReLU(), nn.Linear(64, 10))], 64
    else:
        modules, shape = [nn.Linear(10, 32), nn.Sequential(nn.Tanh(), nn.Linear(32, 64))], 10
    model = Hierarchy(modules, (shape,), prior=direction != "discriminative", precision=precision)
    return PredictiveCoding(model, torch.optim.Adam(model.parameters(), 3e-3), direction=direction, **options)


@pytest.mark.parametrize(("direction", "least"), [("discriminative", 0.92), ("generative", 0.8)])
@pytest.mark.long
def test_digits_are_learned_in_both_directions(direction, least):
    train, test = digits()
    history = rv.fit(learner(direction, steps=15), train, 4, validation=test, progress=False)
    assert history[-1]["validation_accuracy"] > least
    losses = [m["validation_loss"] for m in history]
    assert losses[-1] < losses[0]


@pytest.mark.long
def test_causes_of_digits_are_found_without_labels():
    """Ten causes explain what the mean does not: the reconstruction's error falls below half the pixels' variance."""
    train, test = digits()
    subject = learner("unsupervised", [1.0, 20.0], rule=Fixed(0.02))
    history = rv.fit(subject, train, 3, validation=test, progress=False)
    assert "accuracy" not in history[0] and history[-1]["validation_loss"] < history[0]["validation_loss"]
    x, _ = next(iter(test))
    with torch.no_grad():
        state = subject.infer(subject.model.predict(batch=len(x)), {"layer2": x})
        error = subject.model.errors(state)["layer2"].square().sum(1).mean()
    assert error < 0.5 * (x - x.mean(0)).square().sum(1).mean()


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    train, _ = digits()
    whole, part = learner("discriminative", steps=5), learner("discriminative", steps=5)
    torch.manual_seed(1)
    rv.fit(whole, train, 2, progress=False)
    torch.manual_seed(1)
    rv.fit(part, train, 1, tmp_path, progress=False)
    again = learner("discriminative", steps=5)
    rv.fit(again, train, 2, tmp_path, progress=False)
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    json.dumps(again.describe())


def test_refusals():
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(TypeError, match="expected a Hierarchy"):
        PredictiveCoding(nn.Linear(3, 2), optimizer)
    with pytest.raises(ValueError, match="expected 'discriminative'"):
        PredictiveCoding(model, optimizer, direction="both")
    with pytest.raises(ValueError, match="prior=True"):
        PredictiveCoding(model, optimizer, direction="unsupervised")
    with pytest.raises(ValueError, match="it is no descent"):
        PredictiveCoding(model, optimizer, fixed_predictions=True, rule=Backtracking())
