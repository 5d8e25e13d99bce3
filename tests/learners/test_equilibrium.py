"""Equilibrium propagation and contrastive Hebbian learning: against the true gradient, plain loops, and digits."""

import json
from itertools import pairwise

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.energies import Descent, Fixed
from ranvier.energies.graphs.lagrangians import ReLU, Sigmoid, Tanh
from ranvier.energies.graphs.layered import Layered
from ranvier.learners import ContrastiveHebbian, EquilibriumPropagation
from ranvier.learners.energy_based.equilibrium import nudged, nudged_gradient
from ranvier.learners.energy_based.nudging import Holomorphic, OneSided, RandomSign, Symmetric
from tests.laws.oracles import oracle

F64 = torch.float64


def dense(lagrangian=None, sizes=(12, 20, 15, 5)):
    torch.manual_seed(0)
    return Layered([nn.Linear(a, b) for a, b in pairwise(sizes)], (sizes[0],), lagrangian).double()


def convolutional(lagrangian=None):
    torch.manual_seed(0)
    maps = [
        nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(6, 8, 3), nn.AvgPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(8, 5)),
    ]
    return Layered(maps, (1, 8, 8), lagrangian).double()


def problem(model):
    """Inputs, targets, and the true gradient: autograd through the converged fixed point."""
    x = torch.rand(7, *model.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    target = torch.eye(5, dtype=F64)[torch.arange(7) % 5]
    descent = Descent(model, Fixed(0.3), gradient="implicit", tol=1e-12, max_steps=5000)
    settled = descent.settle(model.init_state(7), field=model.drive(x))
    model.zero_grad()
    (0.5 * (model.output(settled.x) - target).square().sum(1)).mean().backward()
    return x, target, settled.x.detach(), gradient(model)


def gradient(model):
    result = torch.cat([p.grad.flatten() for p in model.parameters()])
    model.zero_grad()
    return result


def estimate(model, free, x, target, nudging, steps=200, step=0.3):
    nudged_gradient(model, free, model.drive(x), target, nudging, steps, Fixed(step))
    return gradient(model)


def relative(result, true):
    return float((result - true).norm() / true.norm())


MODELS = {"dense": dense, "convolutional": convolutional}


@pytest.mark.parametrize("lagrangian", [None, Sigmoid(), Tanh()], ids=["confined", "sigmoid", "tanh"])
@pytest.mark.parametrize("name", MODELS)
def test_small_nudges_give_the_true_gradient(name, lagrangian):
    model = MODELS[name](lagrangian)
    x, target, free, true = problem(model)
    result = estimate(model, free, x, target, OneSided(0.001))
    assert torch.cosine_similarity(result, true, dim=0) > 0.999 and relative(result, true) < 0.03
    few = estimate(model, free, x, target, OneSided(0.001), steps=1)  # reaches the last layer only
    assert relative(few, true) > 0.3


@pytest.mark.parametrize(
    ("name", "nudging", "order"),
    [
        ("dense", OneSided, 1), ("convolutional", Symmetric, 2), ("dense", Holomorphic, 4),
        ("convolutional", Holomorphic, 4), ("dense", lambda b: Holomorphic(b, 6), 6),
    ],
    ids=["one-sided", "symmetric", "four-roots", "four-roots-convolutional", "six-roots"],
)  # fmt: skip
def test_the_bias_falls_with_beta_as_the_nudging_promises(name, nudging, order):
    model = MODELS[name](Sigmoid())
    x, target, free, true = problem(model)
    betas = (0.6, 0.3)
    errors = [relative(estimate(model, free, x, target, nudging(beta), 60, 0.5), true) for beta in betas]
    assert errors[0] / errors[1] == pytest.approx(2.0**order, rel=0.25)


def test_signs_are_drawn_and_average_to_symmetric_nudging():
    model = dense(Sigmoid())
    x, target, free, _ = problem(model)
    symmetric = estimate(model, free, x, target, Symmetric(0.3), steps=50)
    torch.manual_seed(0)
    signs = [RandomSign(0.3).points()[1][0] for _ in range(400)]
    assert 160 < sum(b > 0 for b in signs) < 240 and set(signs) == {0.3, -0.3}
    sided = [estimate(model, free, x, target, OneSided(b), steps=50) for b in (0.3, -0.3)]
    torch.testing.assert_close((sided[0] + sided[1]) / 2, symmetric)


def test_two_roots_are_symmetric_nudging_and_four_join_conjugates():
    assert Holomorphic(0.3, 2).points() == Symmetric(0.3).points()
    model = dense(Tanh())
    x, target, free, _ = problem(model)
    field = model.drive(x).detach()
    up, down = (nudged(model, free, field, target, 0.2j * sign, 60, Fixed(0.3)) for sign in (1, -1))
    torch.testing.assert_close(up, down.conj())
    assert up.imag.abs().max() > 0.01


@oracle
def by_hand(model, x, beta, target, start, steps):
    """Scellier and Bengio (2017), eq. 1 and 6, on hard sigmoids, unit by unit: the states after `steps` steps."""
    (W1, b1), (W2, b2) = ((m.weight.detach(), m.bias.detach()) for m in model.maps)
    states = start.clone()
    for b in range(len(x)):
        h, o = start[b, :4].clone(), start[b, 4:].clone()
        for _ in range(steps):
            new_h, new_o = h.clone(), o.clone()
            for i in range(4):
                pull = sum(W1[i, k] * x[b, k] for k in range(3)) + b1[i] + sum(W2[j, i] * o[j] for j in range(2))
                new_h[i] = min(max(h[i] + 0.5 * (pull - h[i]), 0.0), 1.0)
            for j in range(2):
                pull = sum(W2[j, i] * h[i] for i in range(4)) + b2[j] + beta * (target[b, j] - o[j])
                new_o[j] = min(max(o[j] + 0.5 * (pull - o[j]), 0.0), 1.0)
            h, o = new_h, new_o
        states[b] = torch.cat([h, o])
    return states


def small():
    torch.manual_seed(2)
    model = Layered([nn.Linear(3, 4), nn.Linear(4, 2)], (3,)).double()
    return model, torch.rand(5, 3, dtype=F64), torch.tensor([0, 1, 1, 0, 1])


def test_a_step_of_learning_by_hand():
    model, x, labels = small()
    before = [p.detach().clone() for p in model.parameters()]
    target = torch.eye(2, dtype=F64)[labels]
    free = by_hand(model, x, 0.0, target, torch.zeros(5, 6, dtype=F64), 20)
    second = by_hand(model, x, 0.4, target, free, 4)
    (h, o), (h2, o2) = ((s[:, :4], s[:, 4:]) for s in (free, second))
    expected = [h2.T @ x - h.T @ x, (h2 - h).sum(0), o2.T @ h2 - o.T @ h, (o2 - o).sum(0)]
    learner = EquilibriumPropagation(model, torch.optim.SGD(model.parameters(), 0.1), nudging=OneSided(0.4))
    metrics = learner.step((x, labels))
    for p, old, product in zip(model.parameters(), before, expected, strict=True):
        torch.testing.assert_close(p.detach(), old + 0.1 * product / 0.4 / 5)
    assert metrics["loss"] == pytest.approx(float(0.5 * (o - target).square().sum(1).mean()))
    assert metrics["accuracy"] == pytest.approx(float((o.argmax(1) == labels).double().mean()))


def test_contrastive_hebbian_learning_by_hand():
    model, x, labels = small()
    before = [p.detach().clone() for p in model.parameters()]
    target = torch.eye(2, dtype=F64)[labels]
    free = by_hand(model, x, 0.0, target, torch.zeros(5, 6, dtype=F64), 20)
    (W1, b1), (W2, _) = ((m.weight.detach(), m.bias.detach()) for m in model.maps)
    h, o, held = free[:, :4], free[:, 4:], free[:, :4]
    for _ in range(10):
        held = (held + 0.5 * (x @ W1.T + b1 + target @ W2 - held)).clamp(0, 1)
    expected = [held.T @ x - h.T @ x, (held - h).sum(0), target.T @ held - o.T @ h, (target - o).sum(0)]
    ContrastiveHebbian(model, torch.optim.SGD(model.parameters(), 0.1)).step((x, labels))
    for p, old, product in zip(model.parameters(), before, expected, strict=True):
        torch.testing.assert_close(p.detach(), old + 0.1 * product / 5)


def test_contrastive_hebbian_learning_lowers_the_gap_of_energies():
    """Its gradient is that of E(clamped) − E(free) at converged states."""
    model, x, labels = small()
    target = torch.eye(2, dtype=F64)[labels]

    def gap():
        descent = Descent(model, Fixed(0.3), tol=1e-12, max_steps=5000)
        field = model.drive(x)
        with torch.no_grad():
            free = descent.settle(model.init_state(5), field=field)
            clamp = rv.energies.Clamp.at(model.outputs, target, 6)
            held = descent.settle(free.x, clamp, field)
        parts = [model.energy(s.x) - (field * s.x).sum(1) for s in (held, free)]
        return (parts[0] - parts[1]).mean()

    gap().backward()
    true = gradient(model)
    learner = ContrastiveHebbian(model, torch.optim.SGD(model.parameters(), 0.0), free_steps=300, clamped_steps=300)
    learner.step((x, labels))
    torch.testing.assert_close(gradient(model), true)
    start = float(gap().detach())
    learner.optimizer.param_groups[0]["lr"] = 0.1
    for _ in range(20):
        learner.step((x, labels))
    assert 0 <= float(gap().detach()) < 0.8 * start


def test_particles_begin_where_they_ended():
    model, x, labels = small()
    index = torch.tensor([4, 0, 2, 1, 3])
    learner = EquilibriumPropagation(model, torch.optim.SGD(model.parameters(), 0.0), particles=5, free_steps=3)
    start, none = torch.zeros(5, 6, dtype=F64), torch.zeros(5, 2, dtype=F64)
    for _ in range(3):
        learner.step((x, labels, index))
        start = by_hand(model, x, 0.0, none, start, 3).half().double()  # as they are kept
        saved = learner.state_dict()["own"]["particles"][index]
        assert saved.dtype == torch.float16 and torch.equal(saved.double(), start)
    assert (start - by_hand(model, x, 0.0, none, torch.zeros(5, 6, dtype=F64), 9)).abs().max() < 1e-3
    with pytest.raises(ValueError, match="states persist"):
        learner.step((x, labels))


def digits(count=1797):
    X, y = load_digits(return_X_y=True)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))[:count]
    return torch.tensor(X / 16, dtype=torch.float32)[order], torch.tensor(y)[order]


def learner(kind=EquilibriumPropagation, **options):
    torch.manual_seed(1)
    model = Layered.dense(64, 256, 10)
    rates = [{"params": list(m.parameters()), "lr": lr} for m, lr in zip(model.maps, (0.5, 0.1), strict=True)]
    return kind(model, torch.optim.SGD(rates, 0.1), **options)


def loaders(x, y, share=1500):
    train = DataLoader(TensorDataset(x[:share], y[:share], torch.arange(share)), batch_size=20, shuffle=True)
    return train, DataLoader(TensorDataset(x[share:], y[share:]), batch_size=300)


class Pairs:
    """A loader of triples, as pairs."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return ((x, y) for x, y, _ in self.loader)


@pytest.mark.long
def test_digits_are_learned():
    train, test = loaders(*digits())
    history = rv.fit(learner(particles=1500), train, 8, validation=test, progress=False)
    assert max(m["validation_accuracy"] for m in history[-3:]) >= 0.95
    assert history[-1]["accuracy"] > 0.96


def test_without_a_second_phase_worth_the_name_nothing_is_learned():
    train, test = loaders(*digits())
    history = rv.fit(learner(free_steps=2, nudged_steps=1), Pairs(train), 3, validation=test, progress=False)
    assert history[-1]["validation_accuracy"] < 0.5


@pytest.mark.long
def test_contrastive_hebbian_learning_learns_digits():
    train, test = loaders(*digits())
    torch.manual_seed(1)
    model = Layered.dense(64, 100, 10)
    subject = ContrastiveHebbian(model, torch.optim.SGD(model.parameters(), 0.1))
    history = rv.fit(subject, Pairs(train), 3, validation=test, progress=False)
    assert history[-1]["validation_accuracy"] > 0.85


@pytest.mark.parametrize("particles", [None, 200])
def test_a_run_cut_anywhere_ends_with_the_same_bits(tmp_path, particles):
    x, y = digits(200)

    def subject():
        return learner(particles=particles, nudging=RandomSign(0.5))

    def loader():
        train, _ = loaders(x, y, 200)
        return train if particles else Pairs(train)

    whole = subject()
    rv.fit(whole, loader(), 2, progress=False)

    class Cut(Exception):
        pass

    broken, steps = subject(), 0
    step = broken.step

    def counted(batch):
        nonlocal steps
        steps += 1
        if steps == 14:
            raise Cut
        return step(batch)

    broken.step = counted
    with pytest.raises(Cut):
        rv.fit(broken, loader(), 2, tmp_path, save_every=3, progress=False)
    again = subject()
    rv.fit(again, loader(), 2, tmp_path, progress=False)
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    json.dumps(again.describe())


def test_refusals():
    model, x, labels = small()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(TypeError, match=r"expected rv\.energies\.Layered"):
        EquilibriumPropagation(nn.Linear(3, 2), optimizer)
    with pytest.raises(ValueError, match="1 at least"):
        EquilibriumPropagation(model, optimizer, nudged_steps=0)
    with pytest.raises(ValueError, match=r"confined to \[0, 1\]; expected holomorphic"):
        EquilibriumPropagation(model, optimizer, nudging=Holomorphic()).step((x, labels))
    other = dense(ReLU())
    with pytest.raises(ValueError, match="of ReLU"):
        subject = EquilibriumPropagation(other, torch.optim.SGD(other.parameters(), 0.1), nudging=Holomorphic())
        subject.step((torch.rand(2, 12, dtype=F64), torch.tensor([0, 1])))
    with pytest.raises(ValueError, match="0 and 1 are held"):
        ContrastiveHebbian(other, torch.optim.SGD(other.parameters(), 0.1))
    for wrong in (0.0, float("nan")):
        with pytest.raises(ValueError, match="beta"):
            Symmetric(wrong)
    with pytest.raises(ValueError, match="even number"):
        Holomorphic(0.1, 3)
    pooled = Layered([nn.Flatten(), nn.Sequential(nn.Unflatten(1, (1, 3)), nn.MaxPool1d(2))], (1, 3), Tanh()).double()
    state = torch.zeros(2, pooled.units, dtype=F64)
    with pytest.raises(ValueError, match="expected affine maps"):
        nudged(pooled, state, state, torch.zeros(2, 1, dtype=F64), 1j, 2, Fixed(0.1))
