"""Perturbation learning: unbiased, with variances by closed forms; plain re-derivations in float64."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ranvier.learners import NodePerturbation, WeightPerturbation

F64 = torch.float64
X = torch.randn(8, 6, generator=torch.Generator().manual_seed(2), dtype=F64)
LABELS = torch.arange(8) % 3


def net(*parts):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), *parts, nn.Linear(5, 3)).double()


def make(kind, model, **options):
    return kind(model, cross_entropy, torch.optim.SGD(model.parameters(), 0.1), **options)


def vector(learner, x=X, labels=LABELS):
    learner.model.zero_grad()
    learner._learn(x, labels)
    return torch.cat([p.grad.flatten() for p in learner.model.parameters()])


def true(model, x=X, labels=LABELS):
    model.zero_grad()
    cross_entropy(model(x), labels).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_weights_by_hand():
    model = net()
    learner = make(WeightPerturbation, model, sigma=1e-3)
    torch.manual_seed(5)
    ours = vector(learner)
    torch.manual_seed(5)
    noise = torch.cat([torch.randn_like(p).flatten() for p in model.parameters()])
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    losses = []
    for sign in (1, -1):
        nn.utils.vector_to_parameters(start + sign * 1e-3 * noise, model.parameters())
        losses.append(cross_entropy(model(X), LABELS).item())
    torch.testing.assert_close(ours, (losses[0] - losses[1]) / 2e-3 * noise, rtol=1e-9, atol=1e-12)


def test_nodes_by_hand():
    model = net()
    learner = make(NodePerturbation, model, sigma=1e-3)
    torch.manual_seed(5)
    ours = vector(learner)
    torch.manual_seed(5)
    first, second = torch.randn(8, 5, dtype=F64), torch.randn(8, 3, dtype=F64)

    def losses(sign):
        z = model[0](X) + sign * 1e-3 * first
        return cross_entropy(model[2](torch.tanh(z)) + sign * 1e-3 * second, LABELS, reduction="none")

    slope = ((losses(1) - losses(-1)) / 2e-3 / 8).detach()[:, None]
    h = torch.tanh(model[0](X)).detach()
    expected = [(slope * first).T @ X, (slope * first).sum(0), (slope * second).T @ h, (slope * second).sum(0)]
    torch.testing.assert_close(ours, torch.cat([e.flatten() for e in expected]), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", [WeightPerturbation, NodePerturbation])
def test_the_mean_is_the_gradient(kind):
    """Off by no more than four standard errors of the mean, in the direction of the gradient and across."""
    model = net()
    learner, g = make(kind, model), true(net())
    torch.manual_seed(0)
    draws = torch.stack([vector(learner) for _ in range(300)])
    along = draws @ g / g.norm() ** 2
    assert abs(along.mean() - 1) < 4 * along.std() / 300**0.5
    assert (draws.mean(0) - g).norm() < 2 * (draws.var(0).sum() / 300) ** 0.5


@pytest.mark.parametrize("inputs", [5, 40])
def test_variances_by_closed_forms(inputs):
    """One example with |x| = 1, one layer, L = g·z: (n + 1)|g|² with n weights, or n neurons whatever the inputs.

    The mean of 4000 squared errors is off by 4 standard errors at most.
    """
    torch.manual_seed(0)
    x = torch.randn(1, inputs, dtype=F64)
    x /= x.norm()
    slope = torch.randn(4, dtype=F64)
    for kind, dimension in ((WeightPerturbation, 4 * inputs), (NodePerturbation, 4)):
        model = nn.Linear(inputs, 4, bias=False).double()
        learner = kind(
            model, lambda y, labels: (y @ slope).mean(), torch.optim.SGD(model.parameters(), 0.1), accuracy=None
        )
        errors = torch.stack([vector(learner, x, LABELS[:1]) for _ in range(2000)]) - torch.outer(slope, x[0]).flatten()
        squares = errors.square().sum(1) / slope.square().sum()
        assert abs(squares.mean() - (dimension + 1)) < 4 * squares.std() / 2000**0.5


def test_more_samples_divide_the_variance():
    for kind in (WeightPerturbation, NodePerturbation):
        one, many = make(kind, net()), make(kind, net(), samples=16)
        few, more = (torch.stack([vector(learner) for _ in range(60)]).var(0).sum() for learner in (one, many))
        assert 8 < few / more < 32


def test_dropout_is_the_same_on_both_sides():
    """Else the difference would be that of two masks, over σ."""
    for kind in (WeightPerturbation, NodePerturbation):
        model = net(nn.Dropout(0.5))
        model.train()
        assert vector(make(kind, model, sigma=1e-6)).norm() < 100 * true(net()).norm()


def test_weights_come_back_whatever_happens():
    model = net()
    learner = WeightPerturbation(model, lambda y, labels: y.no_such(), torch.optim.SGD(model.parameters(), 0.1))
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(AttributeError):
        learner.step((X, LABELS))
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_a_layer_called_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x):
            return self.layer(torch.tanh(self.layer(x)))

    with pytest.raises(ValueError, match="layer is called twice"):
        make(NodePerturbation, Twice().double()).step((X, LABELS))


def test_options_are_checked():
    for kind in (WeightPerturbation, NodePerturbation):
        for options in ({"sigma": 0.0}, {"sigma": float("nan")}, {"samples": 0}):
            with pytest.raises(ValueError, match="sigma is"):
                make(kind, net(), **options)
