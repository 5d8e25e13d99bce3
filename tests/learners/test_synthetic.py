"""Synthetic gradients: against backpropagation, truncated and whole, and plain recursions in float64."""

import copy

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.learners import SyntheticGradients, membrane_cross_entropy, synthesiser

F64 = torch.float64
T, B, N, H = 9, 5, 3, 4
X = torch.randn(T, B, N, generator=torch.Generator().manual_seed(2), dtype=F64)
LABELS = torch.arange(B) % 2
TARGETS = torch.randn(B, T, 2, generator=torch.Generator().manual_seed(3), dtype=F64)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell, self.readout = kind(N, H), nn.Linear(H, 2)

    def forward(self, x, state=None):
        y, state = self.cell(x, state)
        return self.readout(y), state


def gru(kind=nn.GRU):
    torch.manual_seed(0)
    return Recurrent(kind).double()


def mse(y, target):
    return (y - target).square().mean()


def learner(model=None, size=H, loss=mse, rate=0.1, hidden=(16,), **options):
    model = gru() if model is None else model
    torch.manual_seed(1)
    back = synthesiser(size, hidden, dtype=F64)
    optimizer = torch.optim.SGD([*model.parameters(), *back.parameters()], rate)
    return SyntheticGradients(model, back, loss, optimizer, **{"accuracy": None} | options)


def gradients(subject, targets=TARGETS):
    subject.model.zero_grad()
    loss, _ = subject._learn(X, targets)
    return loss, [p.grad.clone() for p in subject.cortex.parameters()]


def agree(a, b):
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_one_window_is_backpropagation(kind):
    subject = learner(gru(kind), 2 * H if kind is nn.LSTM else H, every=T)
    loss, ours = gradients(subject)
    subject.model.zero_grad()
    whole = mse(subject.cortex(X)[0], TARGETS.transpose(0, 1))
    whole.backward()
    assert loss == pytest.approx(whole.item(), rel=1e-12)
    agree(ours, [p.grad for p in subject.cortex.parameters()])


def test_a_silent_synthesiser_is_truncated_backpropagation():
    for options in ({}, {"scale": 0.0}):
        model = rv.nn.Sequential(rv.nn.LIF(N, H, recurrent=True, dtype=F64), rv.nn.LI(H, 2, dtype=F64))
        x, optimizer = 3 * X.abs(), torch.optim.SGD(model.parameters(), 0.1)
        plain = rv.learners.TruncatedBPTT(model, membrane_cross_entropy, optimizer, every=3)
        plain._learn(x, LABELS)
        expected = [p.grad.clone() for p in model.parameters()]
        size = sum(t.numel() for t in rv.learners.decoupled._states.leaves(model.init_state(B))) // B
        subject = learner(model, size, membrane_cross_entropy, every=3, **options)
        subject.model.zero_grad()
        subject._learn(x, LABELS)
        agree([p.grad for p in model.parameters()], expected)
        assert expected[0].abs().sum() > 0


class Known(nn.Module):
    """The true gradient at the ends of windows: what a perfect synthesiser would say."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, h):
        return torch.cat([self.of(part) for part in h.split(B)])

    def of(self, h):
        for state, gradient in self.table:
            if torch.allclose(state, h, rtol=0, atol=1e-14):
                return gradient
        raise AssertionError("a state that the whole run does not have")


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("targets", [TARGETS, LABELS])
def test_windows_side_by_side_are_windows_one_by_one(kind, every, targets):
    """With a dropout of 0 they go one by one; the last one is shorter where `every` does not divide the steps."""
    collected = []
    for parts in ((), (nn.Dropout(0.0),)):
        model = gru(kind)
        model.readout = nn.Sequential(model.readout, *parts)
        loss = mse if targets.ndim > 1 else membrane_cross_entropy
        subject = learner(model, 2 * H if kind is nn.LSTM else H, loss, every=every, scale=0.7)
        for p in subject.synthesiser.parameters():
            nn.init.normal_(p, std=0.3, generator=torch.Generator().manual_seed(p.numel()))
        value, slopes = gradients(subject, targets)
        back = [p.grad.clone() for p in subject.synthesiser.parameters()]
        collected.append([torch.tensor(value), torch.tensor(subject._synthesis), *slopes, *back])
    agree(*collected)


@pytest.mark.parametrize("feedback_every", [1, 2])
def test_a_perfect_synthesiser_makes_it_whole(feedback_every):
    """Truncated at every step, and yet backpropagation through all of them."""
    model = gru()
    states = [None]
    outputs = []
    for t in range(T):
        y, h = model(X[t : t + 1], states[-1])
        h.retain_grad()
        states.append(h)
        outputs.append(y)
    known = list(range(feedback_every - 1, T, feedback_every))
    loss = mse(torch.cat(outputs)[known], TARGETS[:, known].transpose(0, 1))
    loss.backward()
    expected = [p.grad.clone() for p in model.parameters()]
    # GRU returns its last output twice: the gradient at the state is that of what comes after it
    table = [(h.detach()[0], (torch.zeros_like(h) if h.grad is None else h.grad)[0] * B) for h in states[1:]]
    subject = learner(model, every=1, scale=1.0, feedback_every=feedback_every)
    subject.synthesiser = Known(table)
    subject.ablate("olive")
    value, ours = gradients(subject)
    assert value == pytest.approx(loss.item(), rel=1e-12) and subject._synthesis < 1e-20
    agree(ours, expected)


def test_targets_are_bootstrapped():
    """Ĝ(h_k) learns ∂(loss_k + scale Ĝ(h_{k+1})·h_{k+1})/∂h_k, of one example; by hand, backwards."""
    model = gru()
    subject = learner(model, every=3, scale=0.4)
    for p in subject.synthesiser.parameters():
        nn.init.normal_(p, std=0.3)
    subject.model.zero_grad()
    subject._learn(X, TARGETS)
    h = torch.zeros(1, B, H, dtype=F64)
    expected = torch.zeros((), dtype=F64)
    for start in (0, 3, 6):
        h = h.detach().requires_grad_()
        y, after = model(X[start : start + 3], h)
        value = (y - TARGETS[:, start : start + 3].transpose(0, 1)).square().mean((0, 2)).sum() / 3
        if start < 6:
            value = value + 0.4 * (subject.synthesiser(after[0]).detach() * after[0]).sum()
        if start:
            (target,) = torch.autograd.grad(value, h)
            expected = expected + (subject.synthesiser(h[0].detach()) - target[0]).square().sum() / B
        h = after
    reference = torch.autograd.grad(expected, list(subject.synthesiser.parameters()))
    agree([p.grad for p in subject.synthesiser.parameters()], reference)


def test_parts_are_lost():
    subject = learner(every=1, scale=1.0)
    for p in subject.synthesiser.parameters():
        nn.init.normal_(p, std=0.3)
    heard = gradients(subject)[1]
    subject.ablate("cerebellum")
    silent = gradients(subject)[1]
    assert not torch.allclose(heard[1], silent[1])
    agree(silent, gradients(learner(gru(), every=1))[1])  # truncated
    before = copy.deepcopy(subject.synthesiser.state_dict())
    subject.ablate("olive")
    subject.step((X, TARGETS))
    assert all(torch.equal(v, before[k]) for k, v in subject.synthesiser.state_dict().items())
    other = learner(every=1, scale=1.0)
    other.load_state_dict(subject.state_dict())
    assert other._own["ablated"] == ["cerebellum", "olive"]
    with pytest.raises(ValueError, match="the part is 'cortex'"):
        subject.ablate("cortex")


def test_the_synthesiser_learns():
    subject = learner(every=1)
    subject.optimizer = torch.optim.Adam(subject.synthesiser.parameters(), 0.01)
    first = subject.step((X, TARGETS))["synthesis"]
    for _ in range(100):
        last = subject.step((X, TARGETS))["synthesis"]
    assert first == pytest.approx(1.0) and last < 0.7  # 1: it predicts 0


@pytest.mark.parametrize("layer", [rv.nn.LIF(N, H, recurrent=True, dtype=F64), rv.nn.LTC(N, H).double()])
def test_the_librarys_own_cells(layer):
    model = rv.nn.Sequential(layer, nn.Linear(H, 2).double())
    size = sum(t.numel() for t in rv.learners.decoupled._states.leaves(model.init_state(B))) // B
    subject = learner(model, size, membrane_cross_entropy, accuracy=rv.learners.accuracy)
    first = subject.evaluate((X, LABELS))["loss"]
    for _ in range(20):
        metrics = subject.step((X, LABELS))
    assert subject.evaluate((X, LABELS))["loss"] < first and 0 <= metrics["accuracy"] <= 1


class Forgetful(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(N, 2).double()

    def forward(self, x, state=None):
        return self.layer(x)


REFUSED = {
    "no recurrent cell": (lambda: learner(Forgetful()).step((X, TARGETS)), "the Forgetful returns no state"),
    "size": (lambda: learner(size=H + 1).step((X, TARGETS)), "shapes cannot be multiplied|the synthesiser gives"),
    "every": (lambda: learner(every=0), "every is 0"),
    "too short": (lambda: learner(feedback_every=T + 1).step((X, TARGETS)), f"T >= {T + 1}"),
    "targets": (lambda: learner().step((X, TARGETS[:, :4])), r"targets have shape \(5, 4, 2\)"),
    "batch": (lambda: learner().step((X[:, :3], TARGETS)), r"expected \(T, 5, ...\)"),
    "nan": (lambda: learner().step((X * float("nan"), TARGETS)), "135 values that are not finite"),
    "ambiguous": (lambda: learner(gru(lambda *a: nn.GRU(*a, num_layers=B)), B * H).step((X, TARGETS)), "another batch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_named(name):
    attempt, text = REFUSED[name]
    with pytest.raises((ValueError, TypeError, RuntimeError), match=text):
        attempt()
