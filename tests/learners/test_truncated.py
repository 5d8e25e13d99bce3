"""Truncated BPTT: equal to BPTT where the window covers the sequence, to a plain re-derivation where not."""

import pytest
import torch
from torch.nn import functional as F

import ranvier as rv

T, B = 10, 3


def model() -> rv.nn.Sequential:
    torch.manual_seed(5)
    first = rv.nn.LIF(6, 8, recurrent=True, alpha=0.7, adaptation=(0.9, 0.3), learn=("beta",))
    return rv.nn.Sequential(first, rv.nn.LI(8, 4))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return 2 * torch.rand(T, B, 6, generator=generator), torch.tensor([0, 3, 1])


def gradients(every: int, back: int | None = None) -> list[torch.Tensor]:
    net = model()
    subject = rv.learners.TruncatedBPTT(
        net, rv.learners.membrane_cross_entropy, torch.optim.SGD(net.parameters(), 0.0), every=every, back=back
    )
    subject.step(batch())
    return [p.grad.clone() for p in net.parameters()]


def plain(every: int, back: int) -> list[torch.Tensor]:
    """Every window's loss by itself, from a run step by step whose state is cut where the window's reach ends."""
    net = model()
    x, labels = batch()
    for start in range(0, T, every):
        end, reach = min(start + every, T), max(0, start + every - back)
        state, loss = net.init_state(B), 0.0
        for t in range(end):
            if t == reach:
                state = tuple({k: v.detach() for k, v in s.items()} for s in state)
            state, y = net.step(state, x[t])
            if t >= start:
                loss = loss + F.cross_entropy(y, labels) / T
        loss.backward()
    return [p.grad for p in net.parameters()]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("every", "back"), [(2, 2), (2, 4), (3, 6), (1, 3), (4, 12), (1, 10), (10, 10), (99, 99)])
def test_gradient(every, back):
    result = gradients(every, back)
    for a, b in zip(result, plain(every, back), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    bptt = plain(T, T)
    same = all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(result, bptt, strict=True))
    assert same == (back >= T)


@pytest.mark.usefixtures("float64")
def test_one_window_is_bptt_for_a_loss_that_is_no_mean_over_steps():
    net, twin = model(), model()
    loss = rv.learners.rate_cross_entropy
    rv.learners.TruncatedBPTT(net, loss, torch.optim.SGD(net.parameters(), 0.1), every=T).step(batch())
    rv.learners.BPTT(twin, loss, torch.optim.SGD(twin.parameters(), 0.1)).step(batch())
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_step_every_window_uses_the_new_weights():
    net, twin = model(), model()
    loss = rv.learners.membrane_cross_entropy
    subject = rv.learners.TruncatedBPTT(net, loss, torch.optim.SGD(net.parameters(), 0.5), every=4, update="window")
    metrics = subject.step(batch())
    optimizer, state, total = torch.optim.SGD(twin.parameters(), 0.5), None, 0.0
    x, labels = batch()
    for start in (0, 4, 8):
        y, state = twin(x[start : start + 4], state)
        state = tuple({k: v.detach() for k, v in s.items()} for s in state)
        optimizer.zero_grad()
        part = loss(y, labels) * len(y) / T
        part.backward()
        optimizer.step()
        total += part.item()
    assert metrics["loss"] == pytest.approx(total, rel=1e-12)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_refusals():
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    loss = rv.learners.membrane_cross_entropy
    for wrong in ({"every": 0}, {"every": 2, "back": 3}, {"every": 2, "back": 4, "update": "window"},
                  {"every": 2, "update": "never"}):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            rv.learners.TruncatedBPTT(net, loss, optimizer, **wrong)
    linear = torch.nn.Linear(2, 2)
    with pytest.raises(TypeError, match="expected a Cell"):
        rv.learners.TruncatedBPTT(linear, loss, torch.optim.SGD(linear.parameters(), 0.1), every=1)
