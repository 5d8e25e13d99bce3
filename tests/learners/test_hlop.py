"""HLOP: the laterals' five iterations, what is projected and what is frozen, and that old outputs do not change."""

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.learners.local.hlop import Lateral

T, B = 5, 6


def model(*, apart: bool = True, bias: bool = False) -> rv.nn.Sequential:
    torch.manual_seed(2)
    if not apart:
        return rv.nn.Sequential(rv.nn.LIF(8, 10, bias=bias), rv.nn.LI(10, 3, bias=bias))
    return rv.nn.Sequential(nn.Linear(8, 10, bias=bias), rv.nn.LIF(10), nn.Linear(10, 3, bias=bias))


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.rand(T, B, 8, generator=generator), torch.randint(3, (B,), generator=generator)


def learner(net: nn.Module, **kw) -> rv.learners.HLOP:
    loss = rv.learners.membrane_cross_entropy
    return rv.learners.HLOP(net, loss, torch.optim.SGD(net.parameters(), 0.1), (3, 4), **kw)


@pytest.mark.usefixtures("float64")
def test_the_laterals_iterations():
    generator = torch.Generator().manual_seed(0)
    x = 5 * torch.rand(7, 9, generator=generator)
    lateral = Lateral(9, 0.01)
    lateral.grow(2, x)
    torch.testing.assert_close(lateral.H @ lateral.H.T, torch.eye(2))
    lateral.grow(3, x)
    H, momentum = lateral.H.clone(), torch.zeros(5, 9)
    lateral.learn(x, 5)
    for _ in range(5):
        change = torch.zeros(5, 9)
        for row in x:
            y = H @ row
            change += torch.outer(y, row - H.T @ y) / 7
        change = change.clamp(-10, 10)
        change[:2] = 0  # the older rows
        momentum = 0.9 * momentum + 0.1 * change
        H = H + 0.01 * momentum
    torch.testing.assert_close(lateral.H, H, rtol=1e-10, atol=1e-12)
    assert torch.equal(lateral.H[:2], H[:2])


def test_spiking_laterals_send_so_many_spikes():
    lateral = Lateral(3, 0.01, spiking=(2.0, 4))
    lateral.grow(3, torch.zeros(1))
    lateral.H = torch.eye(3)
    assert lateral.code(torch.tensor([[0.7, -0.2, 9.0]])).tolist() == [[0.5, 0.0, 2.0]]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("apart", [True, False])
def test_weights_move_only_across_what_older_tasks_used(apart):
    net = model(apart=apart)
    subject = learner(net)
    subject.step(batch(0))
    subject.next_task((2, 2))
    old = [lateral.H[: lateral.old].clone() for lateral in subject.laterals]
    twin = model(apart=apart)
    twin.load_state_dict(net.state_dict())
    rv.learners.membrane_cross_entropy(twin(batch(1)[0])[0], batch(1)[1]).backward()
    subject.step(batch(1))
    pairs = zip(*([m.weight for m in n.modules() if isinstance(m, nn.Linear)] for n in (net, twin)), strict=True)
    for rows, (weight, free), lateral in zip(old, pairs, subject.laterals, strict=True):
        expected = torch.stack([g - rows.T @ (rows @ g) for g in free.grad])
        assert not torch.allclose(expected, free.grad, rtol=1e-2)
        torch.testing.assert_close(weight.grad, expected, rtol=1e-9, atol=1e-12)
        assert torch.equal(lateral.H[: lateral.old], rows) and len(lateral.H) > lateral.old


@pytest.mark.usefixtures("float64")
def test_spiking_laterals_project_each_steps_activity():
    """With fine steps they do what linear ones do; with coarse ones, what their rounded code says."""
    gradients = []
    for spiking in (None, (50.0, 10**9), (20.0, 40)):
        net = model()
        subject = learner(net, spiking=spiking)
        subject.next_task((2, 2))
        subject.step(batch(1))
        gradients.append(net[0].weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-8)
    assert not torch.allclose(gradients[0], gradients[2], rtol=1e-3)
    net = model()
    subject = learner(net, spiking=(20.0, 40))
    subject.next_task((2, 2))
    H = subject.laterals[0].H[:3].clone()
    x, labels = batch(1)
    drive = net[0](x)
    drive.retain_grad()
    y = net[2](net[1](drive)[0])
    rv.learners.membrane_cross_entropy(y, labels).backward()
    code = ((x @ H.T).clamp(-20, 20) * 2).round() / 2
    expected = torch.einsum("tbn,tbm->nm", drive.grad, x - code @ H)
    net.zero_grad()
    subject.step((x, labels))
    torch.testing.assert_close(net[0].weight.grad, expected, rtol=1e-9, atol=1e-12)


def test_biases_learn_in_the_first_task_only():
    for vectors in (False, True):
        net = model(bias=True)
        subject = learner(net, vectors=vectors)
        start = net[0].bias.detach().clone()
        subject.step(batch(0))
        first = net[0].bias.detach().clone()
        assert not torch.equal(first, start)
        subject.next_task((2, 2))
        subject.step(batch(1))
        assert torch.equal(net[0].bias, first) == (not vectors)


def test_rows_approach_the_principal_subspace():
    """Of activity with a spectrum, from a random start."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(512, 20, generator=generator) * (0.8 ** torch.arange(20)) * 2
    lateral = Lateral(20, 0.05)
    lateral.grow(5, x)
    start = (x - lateral.code(x) @ lateral.H).square().sum()
    for _ in range(6):
        for rows in x.split(32):
            lateral.learn(rows, 5)
    left = (x - lateral.code(x) @ lateral.H).square().sum()
    best = torch.linalg.svdvals(x)[5:].square().sum()
    assert best <= left < 1.05 * best < 0.5 * start
    assert (lateral.H @ lateral.H.T - torch.eye(5)).norm() < 0.02


def test_a_run_is_resumed_in_its_second_task(tmp_path):
    def subject():
        net = learner(model())
        net.step(batch(0))
        net.next_task((2, 2))
        return net

    torch.manual_seed(1)
    whole = subject()
    rv.fit(whole, [batch(1), batch(2)], 3, progress=False)
    torch.manual_seed(1)
    rv.fit(subject(), [batch(1), batch(2)], 1, tmp_path, progress=False)
    torch.manual_seed(9)
    again = subject()
    rv.fit(again, [batch(1), batch(2)], 3, tmp_path, progress=False)
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(a.H, b.H) for a, b in zip(whole.laterals, again.laterals, strict=True))


def test_refusals():
    with pytest.raises(ValueError, match="one a weight"):
        rv.learners.HLOP(model(), rv.learners.membrane_cross_entropy, torch.optim.SGD(model().parameters(), 0.1), (3,))
    with pytest.raises(ValueError, match="modules before neurons alone"):
        learner(model(apart=False), spiking=(20.0, 40))
    net = rv.nn.Sequential(rv.nn.LIF(8, 10, recurrent=True), rv.nn.LI(10, 3))
    with pytest.raises(ValueError, match="the parameter 0"):
        learner(net)
    with pytest.raises(ValueError, match="expected at most 8"):
        learner(model()).next_task((6, 2))
