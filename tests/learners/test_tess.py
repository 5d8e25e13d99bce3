"""TESS: its update against the equations written out; locality; convolutions; weight standardisation."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ranvier as rv
from tests.laws.oracles import oracle

T, B = 7, 4


@oracle
def square_waves(classes: int, n: int) -> torch.Tensor:
    """The paper's feedback: sign(sin(f_c k))/n, f_c evenly from 50 to 512."""
    frequencies = np.linspace(50.0, 512.0, classes)
    return torch.tensor([[np.sign(np.sin(f * k)) / n for k in range(n)] for f in frequencies])


def model(bias: bool = False, recurrent: bool = False) -> rv.nn.Sequential:
    torch.manual_seed(3)
    slope = rv.engines.surrogates.FastSigmoid(0.3)
    first = rv.nn.LIF(6, 9, beta=0.5, threshold=0.6, surrogate=slope, bias=bias, recurrent=recurrent)
    second = rv.nn.LIF(9, 8, beta=0.5, threshold=0.6, surrogate=slope, bias=bias)
    with torch.no_grad():
        second.linear.weight.mul_(3.0)  # so that it is active
    return rv.nn.Sequential(first, second, rv.nn.LI(8, 4, beta=0.8, bias=bias))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.rand(T, B, 6, generator=generator), torch.tensor([0, 3, 1, 1])


def learned(net, x=None, **rule) -> dict[str, torch.Tensor]:
    inputs, labels = batch()
    subject = rv.learners.TESS(net, torch.optim.SGD(net.parameters(), 0.0), **rule)
    subject.step((inputs if x is None else x, labels))
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


@oracle
def written_out(net, pre=1.0, post=1.0, lambda_post=0.2, lambda_pre=0.5) -> list[torch.Tensor]:
    """Loops over steps, examples and neurons: (2 hidden weights, their gradient)."""
    x, labels = batch()
    rows = [list(row) for row in x]
    result = []
    for layer in list(net)[:2]:
        W = layer.linear.weight.detach()
        n = len(W)
        basis, gradient, sent = square_waves(4, n), torch.zeros_like(W), []
        v, trace, after = torch.zeros(B, n), torch.zeros(B, W.shape[1]), torch.zeros(B, n)
        for t in range(T):
            out = torch.zeros(B, n)
            for b in range(B):
                u = 0.5 * v[b] + W @ rows[t][b]
                out[b] = (u >= 0.6).to(u.dtype)
                v[b] = u - 0.6 * out[b]
                trace[b] = lambda_pre * trace[b] + rows[t][b]
                psi = layer.surrogate.slope(u - 0.6)
                m = basis.T @ (torch.softmax(basis @ out[b], 0) - F.one_hot(labels[b], 4))
                for i in range(n):
                    e = pre * psi[i] * trace[b] + post * after[b, i] * rows[t][b]
                    gradient[i] += m[i] * e / (T * B)
                after[b] = lambda_post * after[b] + psi
            sent.append(list(out))
        rows = sent
        result.append(gradient)
    return result


@pytest.mark.usefixtures("float64")
def test_the_update_is_the_papers():
    result = learned(model())
    for name, expected in zip(("0.linear.weight", "1.linear.weight"), written_out(model()), strict=True):
        assert expected.abs().sum() > 1e-3
        torch.testing.assert_close(result[name], expected, rtol=1e-9, atol=1e-15)
    causal = learned(model(), alpha_post=0.0)
    for name, expected in zip(("0.linear.weight", "1.linear.weight"), written_out(model(), post=0.0), strict=True):
        torch.testing.assert_close(causal[name], expected, rtol=1e-9, atol=1e-15)
        assert not torch.allclose(causal[name], result[name])


@pytest.mark.usefixtures("float64")
def test_the_readout_learns_by_its_exact_gradient():
    net, twin = model(bias=True), model(bias=True)
    result = learned(net)
    x, labels = batch()
    rv.learners.membrane_cross_entropy(twin(x)[0], labels).backward()
    torch.testing.assert_close(result["2.linear.weight"], twin[2].linear.weight.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(result["2.linear.bias"], twin[2].linear.bias.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_bias_is_a_weight_from_an_input_that_is_always_one():
    biased, plain = model(bias=True), model()
    result = learned(biased)
    with torch.no_grad():
        wide = rv.nn.LIF(7, 9, beta=0.5, threshold=0.6, surrogate=biased[0].surrogate, bias=False)
        wide.linear.weight.copy_(torch.cat([biased[0].linear.weight, biased[0].linear.bias[:, None]], 1))
    net = rv.nn.Sequential(wide, plain[1], plain[2])
    x = F.pad(batch()[0], (0, 1), value=1.0)
    expected = learned(net, x)["0.linear.weight"]
    torch.testing.assert_close(result["0.linear.bias"], expected[:, -1], rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(result["0.linear.weight"], expected[:, :-1], rtol=1e-9, atol=1e-15)


@pytest.mark.usefixtures("float64")
def test_recurrent_weights_are_weights_from_ones_own_last_spikes():
    net = model(recurrent=True)
    result = learned(net)
    spikes = net[0](batch()[0])[0].detach()
    before = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
    wide = rv.nn.LIF(15, 9, beta=0.5, threshold=0.6, surrogate=net[0].surrogate, bias=False)
    with torch.no_grad():
        wide.linear.weight.copy_(torch.cat([net[0].linear.weight, net[0].recurrent], 1))
    expected = learned(rv.nn.Sequential(wide, net[1], net[2]), torch.cat([batch()[0], before], 2))["0.linear.weight"]
    torch.testing.assert_close(result["0.linear.weight"], expected[:, :6], rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(result["0.recurrent"], expected[:, 6:], rtol=1e-9, atol=1e-15)


@pytest.mark.usefixtures("float64")
def test_a_layer_learns_nothing_from_those_above():
    net, other = model(), model()
    with torch.no_grad():
        other[1].linear.weight.mul_(-1.0)
        other[2].linear.weight.mul_(3.0)
    a, b = learned(net), learned(other)
    assert torch.equal(a["0.linear.weight"], b["0.linear.weight"])
    assert not torch.allclose(a["1.linear.weight"], b["1.linear.weight"])


@pytest.mark.usefixtures("float64")
def test_standardised_weights_pass_the_gradient_to_what_makes_them():
    net, twin = rv.learners.standardise(model()), model()
    weight = net[0].linear.weight
    torch.testing.assert_close(weight.mean(1), torch.zeros(9), rtol=0, atol=1e-12)
    torch.testing.assert_close(weight.var(1) * 6, torch.ones(9), rtol=2e-3, atol=0)
    with torch.no_grad():
        for mine, theirs in zip(net, twin, strict=True):
            theirs.linear.weight.copy_(mine.linear.weight)
    gradient = learned(twin)["0.linear.weight"]
    result = learned(net)["0.linear.parametrizations.weight.original"]
    raw = net[0].linear.parametrizations.weight.original.detach().requires_grad_()
    deviation = raw - raw.mean(1, keepdim=True)
    subject = deviation / (6 * deviation.square().sum(1, keepdim=True) / 5 + 1e-4).sqrt()
    torch.testing.assert_close(result, torch.autograd.grad(subject, raw, gradient)[0], rtol=1e-8, atol=1e-14)


@pytest.mark.usefixtures("float64")
def test_a_convolution_is_a_shared_weight():
    """Against the dense layer that does the same, its gradient summed over the places that share a weight."""
    torch.manual_seed(8)
    slope = rv.engines.surrogates.FastSigmoid(0.3)
    convolution = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    net = rv.nn.Sequential(
        convolution, rv.nn.LIF((3, 4, 4), beta=0.5, threshold=0.6, surrogate=slope), nn.MaxPool2d(2), nn.Flatten(),
        rv.nn.LI(12, 4, beta=0.8),
    )  # fmt: skip
    x = 4 * torch.rand(T, B, 2, 4, 4)
    subject = rv.learners.TESS(net, torch.optim.SGD(net.parameters(), 0.0), pool=2)
    labels = torch.tensor([0, 3, 1, 1])
    subject.step((iter(x), labels))
    taps = F.unfold(torch.eye(32).view(32, 2, 4, 4), 3, padding=1)  # (32 sources, 18 taps, 16 places)
    place = torch.einsum("skp,ck->scp", taps, convolution.weight.detach().flatten(1)).flatten(1)  # (32, 48)
    v, pre, post = torch.zeros(B, 48), torch.zeros(B, 32), torch.zeros(B, 48)
    basis, total = square_waves(4, 12), torch.zeros(48, 32)
    for row in x.flatten(2):
        u = 0.5 * v + row @ place
        s = (u >= 0.6).to(u.dtype)
        v, pre, psi = u - 0.6 * s, 0.5 * pre + row, slope.slope(u - 0.6)
        pooled = s.view(B, 3, 2, 2, 2, 2).mean((3, 5)).flatten(1)
        m = (torch.softmax(pooled @ basis.T, 1) - F.one_hot(labels, 4)) @ basis
        m = m.view(B, 3, 2, 1, 2, 1).expand(B, 3, 2, 2, 2, 2).reshape(B, 48) / 4
        total += (m * psi).T @ pre + (m * post).T @ row
        post = 0.2 * post + psi
    expected = torch.einsum("cps,skp->ck", total.view(3, 16, 32), taps).view(3, 2, 3, 3) / (T * B)
    assert expected.abs().sum() > 1e-4
    torch.testing.assert_close(convolution.weight.grad, expected, rtol=1e-8, atol=1e-14)


@pytest.mark.usefixtures("float64")
def test_input_may_come_step_by_step():
    x, _ = batch()
    a, b = learned(model()), learned(model(), iter(x))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_refusals():
    net = model()
    x, labels = batch()
    subject = rv.learners.TESS(net, torch.optim.SGD(net.parameters(), 0.1))
    with pytest.raises(ValueError, match="there is no step"):
        subject.step((x[:0], labels))
    with pytest.raises(ValueError, match="label 6 at position 0"):
        subject.step((x, labels + 6))
    with pytest.raises(ValueError, match="not finite"):
        subject.step((x * float("nan"), labels))
    spiking = rv.nn.Sequential(rv.nn.LIF(6, 4))
    with pytest.raises(ValueError, match="that ends in a readout"):
        rv.learners.TESS(spiking, torch.optim.SGD(spiking.parameters(), 0.1))
    stacked = rv.nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), rv.nn.LIF(6), rv.nn.LI(6, 4))
    with pytest.raises(ValueError, match="two weights without neurons"):
        rv.learners.TESS(stacked, torch.optim.SGD(stacked.parameters(), 0.1)).step((x, labels))
    normed = rv.nn.Sequential(rv.nn.LIF(6, 6), nn.LayerNorm(6), rv.nn.LI(6, 4))
    with pytest.raises(ValueError, match="LayerNorm with parameters"):
        rv.learners.TESS(normed, torch.optim.SGD(normed.parameters(), 0.1)).step((x, labels))
    with pytest.raises(ValueError, match="lambda_pre is 2"):
        rv.learners.TESS(net, torch.optim.SGD(net.parameters(), 0.1), lambda_pre=2)
    with pytest.raises(ValueError, match="3 sides in pool; expected one, or 2"):
        rv.learners.TESS(net, torch.optim.SGD(net.parameters(), 0.1), pool=[4, 2, 1]).step((x, labels))
