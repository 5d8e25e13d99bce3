"""Boltzmann machines against enumeration: laws, gradients, learning, and their spiking sampler."""

import pytest
import torch

from ranvier.energies import RBM, Boltzmann, Clamp
from ranvier.energies.machines.boltzmann import all_states
from tests.laws.energies import check_energy

pytestmark = pytest.mark.usefixtures("float64")


def machine(n, seed=0, spread=0.8):
    g = torch.Generator().manual_seed(seed)
    upper = torch.triu(spread * torch.randn(n, n, generator=g), 1)
    return Boltzmann(upper + upper.T, 0.5 * torch.randn(n, generator=g))


def rbm(visible, hidden, seed=0, scale=0.7, **options):
    torch.manual_seed(seed)
    model = RBM(visible, hidden, scale=scale, **options)
    with torch.no_grad():
        model.visible_bias.normal_(0, 0.5)
        model.hidden_bias.normal_(0, 0.5)
    return model


def test_laws():
    check_energy(machine(9), torch.rand(4, 9, generator=torch.Generator().manual_seed(1)), tol=1e-6)


@pytest.mark.parametrize("tau", [1, 4, 20])
def test_the_spiking_sampler_follows_the_boltzmann_law(tau):
    """Total variation of 16 states' frequencies: 0.008 from 20000 independent samples, more from correlated ones."""
    model = machine(4)
    states, p = model.distribution()
    result = model.sample(torch.zeros(4, 4), 100_000, tau=tau, every=20, seed=2)
    code = (result.samples[10:].flatten(0, 1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    actual = torch.bincount(code, minlength=16) / len(code)
    assert 0.5 * (actual - p).abs().sum() < 0.03
    without = torch.softmax(-(model.energy(states) - states.sum(1) * torch.tensor(2.0).log()), 0)
    assert 0.5 * (without - p).abs().sum() > 0.1  # what an offset by log 2 would do
    torch.testing.assert_close(result.mean, (p[:, None] * states).sum(0).expand(4, -1), atol=0.02, rtol=0)
    torch.testing.assert_close(result.spikes * tau / 100_000, result.mean, atol=1e-3, rtol=0)


def test_clamped_neurons_condition_the_others():
    model = machine(5, 3)
    clamp = Clamp.at([0, 2], torch.tensor([1.0, 0.0]), 5)
    result = model.sample(torch.zeros(2, 5), 60_000, tau=5, clamp=clamp)
    states, p = model.distribution()
    within = (states[:, 0] == 1) & (states[:, 2] == 0)
    expected = (p[within, None] * states[within]).sum(0) / p[within].sum()
    torch.testing.assert_close(result.mean, expected.expand(2, -1), atol=0.02, rtol=0)


def test_the_sampler_is_a_function_of_its_seed_and_entry():
    model, x = machine(12, 4), torch.zeros(3, 12)
    both, alone = model.sample(x, 500, seed=1), model.sample(x[:1], 500, seed=1)
    assert torch.equal(both.mean[:1], alone.mean) and not torch.equal(both.mean[0], both.mean[1])


def test_free_energy_conditionals_and_partition_by_enumeration():
    model = rbm(5, 4)
    joint = model.joint()
    states, p = joint.distribution()
    v, h = all_states(5), all_states(4)
    table = p.view(32, 16)
    torch.testing.assert_close(model.log_likelihood(v).detach().exp(), table.sum(1))
    torch.testing.assert_close(model.hidden_given(v).detach(), (table @ h) / table.sum(1, keepdim=True))
    torch.testing.assert_close(model.visible_given(h).detach(), (table.T @ v) / table.sum(0)[:, None])
    turned = rbm(4, 5)
    turned.weight.data, turned.visible_bias.data = model.weight.data.T.clone(), model.hidden_bias.data
    turned.hidden_bias.data = model.visible_bias.data
    torch.testing.assert_close(turned.log_partition(), model.log_partition())
    assert states.shape == (512, 9)


def test_persistent_learning_follows_the_likelihoods_gradient():
    """With many chains at the model's law, PCD's step is the exact gradient of log p, by autograd."""
    model = rbm(4, 3, 1, persistent=40_000)
    data = torch.bernoulli(torch.rand(300, 4))
    v = all_states(4)
    p = model.log_likelihood(v).detach().exp()
    model.chains.copy_(v[torch.multinomial(p, 40_000, replacement=True)])
    before = [q.detach().clone() for q in model.parameters()]
    exact = torch.autograd.grad(model.log_likelihood(data).mean(), list(model.parameters()))
    model.step(data, 1.0)
    for old, new, gradient in zip(before, model.parameters(), exact, strict=True):
        torch.testing.assert_close(new.detach() - old, gradient, atol=0.02, rtol=0)


@pytest.mark.parametrize("persistent", [0, 100])
@pytest.mark.long
def test_learning_raises_the_likelihood(persistent):
    """Bars and stripes, 3 × 3: 14 patterns; chance is −9 ln 2 = −6.24, the best −ln 14 = −2.64."""
    torch.manual_seed(0)
    rows = all_states(3)
    bars = torch.cat([rows[:, :, None].expand(8, 3, 3).flatten(1), rows[:, None, :].expand(8, 3, 3).flatten(1)])
    model = RBM(9, 8, persistent=persistent)
    for _ in range(3000):
        model.step(bars, 0.1, steps=2)
    assert float(model.log_likelihood(bars).detach().mean()) > -3.6


def test_wake_and_sleep_learn_moments():
    """Without hidden units the optimum has the data's first and second moments."""
    prediction = machine(5, 6, 1.0)
    states, p = prediction.distribution()
    g = torch.Generator().manual_seed(0)
    data = states[torch.multinomial(p, 5000, replacement=True, generator=g)]
    model = Boltzmann(torch.zeros(5, 5))
    chains = torch.zeros(400, 5)
    for k in range(150):
        chains = model.learn(data, chains=chains, rate=1.0 if k < 75 else 0.2, sweeps=2, seed=k)
    q = model.distribution()[1]
    assert float((p * (p / q).log()).sum()) < 0.03
    assert float((p * p.log()).sum() + 5 * torch.tensor(2.0).log()) > 0.3  # nats, what it starts from


def test_gibbs_keeps_clamped_units():
    model = rbm(6, 4)
    clamp = Clamp.at([0, 5], torch.tensor([1.0, 0.0]), 6)
    v = model.gibbs(torch.zeros(50, 6), 20, clamp)
    assert (v[:, 0] == 1).all() and (v[:, 5] == 0).all() and 0 < v[:, 1:5].mean() < 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: Boltzmann(torch.ones(3, 3)), "diagonal of zeros"),
        (lambda: machine(3).sample(torch.full((1, 3), 0.5), 5), "not 0 or 1"),
        (lambda: machine(3).sample(torch.zeros(1, 3), 5, tau=0), "tau is 0"),
        (lambda: machine(21, spread=0.1).distribution(), "21 units to enumerate"),
        (lambda: RBM(0, 3), "visible is 0"),
        (lambda: RBM(3, 2).free_energy(torch.zeros(1, 2)), r"visible units have shape \(1, 2\); expected \(B, 3\)"),
        (lambda: RBM(3, 2).step(torch.full((1, 3), 2.0)), "outside"),
    ],
)
def test_errors(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
