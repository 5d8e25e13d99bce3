"""e-prop: its gradient against autograd with the recurrence cut, against BPTT where nothing is cut, and with the
true learning signal, which makes the factorisation exact."""

import pytest
import torch
from torch.nn import functional as F

import ranvier as rv
from ranvier.learners.local._eligibility import EligibilityFilter

T, B, C = 9, 3, 2
pytestmark = pytest.mark.usefixtures("float64")


def layer(**kind) -> rv.nn.LIF:
    torch.manual_seed(4)
    subject = rv.nn.LIF(5, 6, beta=0.8, surrogate=rv.engines.surrogates.Triangle(1.0), **kind)
    with torch.no_grad():
        subject.linear.weight.mul_(2.0)
    return subject


KINDS = {
    "lif": {"recurrent": True},
    "alif": {"recurrent": True, "adaptation": (0.9, 0.4)},
    "mixed": {"recurrent": True, "adaptation": (0.9, torch.tensor([0.0, 0.0, 0.0, 0.5, 0.5, 0.5])), "bias": False},
    "filtered": {"recurrent": True, "alpha": 0.6, "adaptation": (0.7, 0.4), "reset": "zero"},
    "delayed": {"recurrent": True, "reset": "delayed"},
    "axons": {"recurrent": True, "recurrent_delay": torch.tensor([1, 2, 3, 1, 2, 3]), "adaptation": (0.9, 0.4)},
}


def model(kind: str, **readout) -> rv.nn.Sequential:
    return rv.nn.Sequential(layer(**KINDS[kind]), rv.nn.LI(6, C, **({"beta": 0.7} | readout)))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return 1.5 * torch.rand(T, B, 5, generator=generator), torch.tensor([0, 1, 1])


def search(net, **kw) -> dict[str, torch.Tensor]:
    subject = rv.learners.EProp(net, torch.optim.SGD(net.parameters(), 0.0), **kw)
    subject.step(batch())
    return {name: p.grad.clone() for name, p in net.named_parameters()}


def cut(net, last=T, rate=0.0, strength=0.0) -> dict[str, torch.Tensor]:
    """Autograd, step by step, where spikes reach other neurons without a gradient."""
    x, labels = batch()
    state, spikes, loss = net.init_state(B), [], 0.0
    for t in range(T):
        first = dict(state[0])
        for name in first.keys() & {"y", "history"}:
            first[name] = first[name].detach()
        state, y = net.step((first, state[1]), x[t])
        spikes.append(state[0].get("y", None))
        if t >= T - last:
            loss = loss + F.cross_entropy(y, labels) / last
    if strength:
        loss = loss + 0.5 * strength * (torch.stack(spikes).mean((0, 1)) - rate).square().sum()
    loss.backward()
    return {name: p.grad for name, p in net.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_bptts_without_the_paths_between_neurons(kind):
    a, b = search(model(kind)), cut(model(kind))
    full = model(kind)
    rv.learners.membrane_cross_entropy(full(batch()[0])[0], batch()[1]).backward()
    for name, p in full.named_parameters():
        assert b[name].abs().sum() > 0
        torch.testing.assert_close(a[name], b[name], rtol=1e-9, atol=1e-13)
        if name.startswith("0"):
            assert not torch.allclose(a[name], p.grad, rtol=1e-3)


def test_a_filtered_readout_and_a_loss_at_the_end():
    a, b = search(model("alif", alpha=0.5), last=3), cut(model("alif", alpha=0.5), last=3)
    for name, expected in b.items():
        torch.testing.assert_close(a[name], expected, rtol=1e-9, atol=1e-13)


def test_rates_are_regularised_by_a_local_signal():
    a = search(model("alif"), rate=0.1, rate_strength=3.0)
    b = cut(model("alif"), rate=0.1, strength=3.0)
    for name, expected in b.items():
        torch.testing.assert_close(a[name], expected, rtol=1e-9, atol=1e-13)


def test_a_layer_without_recurrence_has_bptts_gradient():
    def net():
        return rv.nn.Sequential(layer(adaptation=(0.9, 0.4), alpha=0.5), rv.nn.LI(6, C, beta=0.7))

    a, twin = search(net()), net()
    rv.learners.membrane_cross_entropy(twin(batch()[0])[0], batch()[1]).backward()
    for name, p in twin.named_parameters():
        torch.testing.assert_close(a[name], p.grad, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_true_learning_signal_the_factorisation_is_exact(kind):
    """Bellec et al. 2020, eq. 1: dE/dW = Σ_t dE/dz[t] e[t], dE/dz being the total derivative."""
    net = model(kind)
    x, labels = batch()
    state, spikes, y_all = net.init_state(B), [], []
    for t in range(T):
        inner, z = net[0].step(state[0], x[t])
        z = z.clone()
        z.retain_grad()
        if "y" in inner:
            inner = {**inner, "y": z}
        else:
            inner = {**inner, "history": torch.cat([inner["history"][:-1], z[None]])}
        outer, y = net[1].step(state[1], z)
        state = (inner, outer)
        spikes.append(z)
        y_all.append(y)
    rv.learners.membrane_cross_entropy(torch.stack(y_all), labels).backward()
    traces, inner, total = EligibilityFilter(net[0]), net[0].init_state(B), 0.0
    for t in range(T):
        inner, z, e = traces.step(inner, x[t])
        assert torch.equal(z, spikes[t])
        total = total + torch.einsum("bn,bnm->nm", spikes[t].grad, e)
    got = traces.split(total)
    torch.testing.assert_close(got["weight"], net[0].linear.weight.grad, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(got["recurrent"], net[0].recurrent.grad, rtol=1e-9, atol=1e-13)


class Feedback(torch.autograd.Function):
    """z Wᵀ, whose gradient goes back by another matrix."""

    @staticmethod
    def forward(ctx, z, W, B):
        ctx.save_for_backward(z, B)
        return z @ W.T

    @staticmethod
    def backward(ctx, g):
        z, B = ctx.saved_tensors
        return g @ B, g.T @ z, None


def test_random_feedback():
    net, twin = model("alif", bias=False), model("alif", bias=False)
    subject = rv.learners.EProp(net, torch.optim.SGD(net.parameters(), 0.0), feedback="random")
    subject.step(batch())
    (matrix,) = subject.state_dict()["own"]["feedback"]
    x, labels = batch()
    state, low, loss = twin[0].init_state(B), torch.zeros(B, C), 0.0
    for t in range(T):
        state = {**state, "y": state["y"].detach()}
        state, z = twin[0].step(state, x[t])
        low = 0.7 * low + Feedback.apply(z, twin[1].linear.weight, matrix)
        loss = loss + F.cross_entropy(low, labels) / T
    loss.backward()
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-13)


def test_adaptive_feedback_comes_to_equal_the_readout():
    net = model("lif")
    subject = rv.learners.EProp(net, torch.optim.Adam(net.parameters(), 1e-2), feedback="adaptive", decay=0.05)
    (matrix,) = subject.state_dict()["own"]["feedback"]
    first = (matrix - net[1].linear.weight.detach()).norm().item()
    for _ in range(40):
        subject.step(batch())
    (matrix,) = subject.state_dict()["own"]["feedback"]
    expected = first * 0.95**40
    assert (matrix - net[1].linear.weight.detach()).norm().item() == pytest.approx(expected, rel=1e-6)


def test_several_layers_learn_by_random_feedback_and_no_other():
    net = rv.nn.Sequential(layer(), rv.nn.LIF(6, 7, recurrent=True), rv.nn.LI(7, C))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with pytest.raises(ValueError, match='or feedback="random"'):
        rv.learners.EProp(net, optimizer)
    rv.learners.EProp(net, optimizer, feedback="random").step(batch())
    assert all(p.grad is not None for p in net.parameters())
    with pytest.raises(ValueError, match="spiking layers with weights"):
        rv.learners.EProp(rv.nn.Sequential(rv.nn.LIF(3), rv.nn.LI(3, 2)), optimizer)
    with pytest.raises(ValueError, match="feedback is 'none'"):
        rv.learners.EProp(net, optimizer, feedback="none")
