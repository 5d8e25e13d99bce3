"""Perforated backpropagation: against plain re-derivations in float64, and what growth must not change."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import ranvier as rv
from ranvier.learners import PerforatedBackpropagation, Plateau, adopt, count_dendrites, grow, perforate
from ranvier.learners.perforated.dendrites import Dendrites

F64 = torch.float64
X = torch.randn(20, 6, generator=torch.Generator().manual_seed(2), dtype=F64)
LABELS = torch.arange(20) % 3


def plain(seed=0, inplace=False):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=inplace), nn.Linear(5, 3)).double()


def learn(model, optimizer, x=X, labels=LABELS):
    model.zero_grad()
    cross_entropy(model(x), labels).backward()
    optimizer.step()


def grown(dendrites=2, **options):
    """A model whose dendrites have weights other than 0."""
    model = perforate(plain(), **options)
    for _ in range(dendrites):
        optimizer = torch.optim.Adam(grow(model), 0.05)
        for _ in range(5):
            learn(model, optimizer)
        for weight in adopt(model):
            nn.init.normal_(weight)
    return model


@pytest.mark.parametrize("inplace", [False, True])
def test_a_dendrite_follows_its_neurons_error(inplace):
    """Gradient and averages, three batches long, by plain formulas on the network without dendrites."""
    model, net = perforate(plain(inplace=inplace)), plain()
    parameters = grow(model)
    candidate = model[0].dendrites.candidate
    v_mean, e_mean, covariance = np.zeros(5), np.zeros(5), np.zeros(5)
    for t in range(1, 4):
        x = X.roll(t, 0) * t
        z = net[0](x)
        error = torch.autograd.grad(cross_entropy(net[2](net[1](z)), LABELS), z)[0].numpy()
        w, b = (p.detach().numpy() for p in candidate.dendrite.inner.parameters())
        v = 1 / (1 + np.exp(-(x.numpy() @ w.T + b)))
        v_mean, e_mean = 0.99 * v_mean + 0.01 * v.mean(0), 0.99 * e_mean + 0.01 * error.mean(0)
        fill = 1 - 0.99**t
        centred = error - e_mean / fill
        covariance = 0.99 * covariance + 0.01 * ((v - v_mean / fill) * centred).sum(0)
        slope = -np.sign(covariance) * centred * v * (1 - v)
        model.zero_grad()
        cross_entropy(model(x), LABELS).backward()
        np.testing.assert_allclose(parameters[0].grad, slope.T @ x.numpy(), rtol=1e-10)
        np.testing.assert_allclose(parameters[1].grad, slope.sum(0), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(candidate.covariance, covariance, rtol=1e-10)
        with torch.no_grad():
            for p in parameters:
                p -= 0.5 * p.grad


def test_channels_of_a_convolution_are_neurons():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(27, 3)).double()
    x = torch.randn(4, 2, 6, 6, dtype=F64)
    z = net[0](x)
    error = torch.autograd.grad(cross_entropy(net[1:](z), LABELS[:4]), z)[0]
    model = perforate(net, ["0"], activation="tanh")
    parameters = grow(model)
    v = torch.tanh(model[0].dendrites.candidate.dendrite.inner(x))
    cross_entropy(model(x), LABELS[:4]).backward()
    over = (0, 2, 3)
    centred_v, centred_e = (t - t.mean(over, keepdim=True) for t in (v, error))
    score = (centred_v * centred_e).sum(over).abs().sum()
    expected = torch.autograd.grad(-score, parameters)
    for p, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_what_a_layer_with_dendrites_gives(activation):
    model = grown(activation=activation)
    layer, function = model[0], getattr(torch, activation)
    first, second = layer.dendrites.grown
    one = function(X @ first.inner.weight.T + first.inner.bias)
    two = function(X @ second.inner.weight.T + second.inner.bias + second.links[:, 0] * one)
    expected = X @ layer.main.weight.T + layer.main.bias + first.weight * one + second.weight * two
    torch.testing.assert_close(layer(X), expected, rtol=1e-13, atol=1e-14)
    assert second.links.abs().min() > 0 and count_dendrites(model) == 2


def test_no_error_goes_through_a_dendrite_unless_asked():
    for through in (False, True):
        model = grown(through=through)
        x = X.clone().requires_grad_()
        model[0](x).sum().backward()
        main = model[0].main.weight.sum(0).expand(20, 6)
        assert torch.allclose(x.grad, main) is not through
        if through:
            assert torch.autograd.gradcheck(model, (x,))
        frozen = [p for d in model[0].dendrites.grown for p in d.learning()]
        assert all(p.grad is None for p in frozen)
        model(X).sum().backward()
        assert all(d.weight.grad.abs().sum() > 0 for d in model[0].dendrites.grown)


def test_growing_changes_nothing_until_the_weights_learn():
    model, net = perforate(plain()), plain()
    optimizer = torch.optim.Adam(grow(model), 0.1)
    for _ in range(3):
        learn(model, optimizer)
    assert torch.equal(model(X), net(X))
    adopt(model)
    assert torch.equal(model(X), net(X))


def test_the_correlation_rises_and_the_best_is_kept():
    model = perforate(plain())
    optimizer = torch.optim.SGD(grow(model), 5.0)
    candidate = model[0].dendrites.candidate
    scores = []
    for _ in range(60):
        learn(model, optimizer)
        scores.append(candidate.best_score.sum().item())
    averages = np.diff(scores) / (0.01 * 0.99 ** np.arange(1, 60))  # what each batch added to the running average
    assert averages[-1] > 1.5 * averages[0]
    best = copy.deepcopy(candidate.best.state_dict())
    for p in candidate.dendrite.learning():
        nn.init.zeros_(p)  # V is constant: nothing correlates with it
    learn(model, optimizer)
    assert candidate.best_score.sum().item() == scores[-1]
    assert all(torch.equal(v, best[k]) for k, v in candidate.best.state_dict().items())
    adopt(model)
    assert torch.equal(model[0].dendrites.grown[0].inner.weight, best["inner.weight"])


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}, {"bias": False}]
)
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_are_torchs_own_but_for_the_dendrites(kind, options):
    torch.manual_seed(1)
    layer = kind(4, 5, **options).double()
    x = torch.randn(3, 7, 4, dtype=F64)
    y, end = layer(x)
    flat, _ = layer(x[0])
    model = perforate(layer)
    optimizer = torch.optim.SGD(grow(model), 0.1)
    out, state = model(x)
    torch.testing.assert_close(out, y, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(state, end, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(model(x[0])[0], flat, rtol=1e-12, atol=1e-13)
    out.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for group in optimizer.param_groups for p in group["params"])
    for weight in adopt(model):
        nn.init.normal_(weight)
    assert not torch.allclose(model(x)[0], y)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_cells_too(kind):
    torch.manual_seed(1)
    cell = kind(4, 5).double()
    x, h = torch.randn(3, 4, dtype=F64), torch.randn(3, 5, dtype=F64)
    state = (h, h + 1) if kind is nn.LSTMCell else h
    expected, begun, one = cell(x, state), cell(x), cell(x[0])
    model = perforate(cell)
    grow(model)
    for a, b in ((model(x, state), expected), (model(x), begun), (model(x[0]), one)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_the_librarys_own_layers_have_dendrites():
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LIF(6, 8), rv.nn.LI(8, 3))
    x = 2 * torch.rand(5, 4, 6)
    y = model(x)[0]
    perforate(model)
    parameters = grow(model)
    assert torch.equal(model(x)[0], y)
    rv.learners.membrane_cross_entropy(model(x)[0], LABELS[:4]).backward()
    assert all(p.grad.abs().sum() > 0 for p in parameters)


def test_a_model_is_saved_with_its_dendrites():
    model, other = grown(3), perforate(plain(9))
    other.load_state_dict(model.state_dict())
    assert count_dendrites(other) == 3 and torch.equal(other(X), model(X))
    grow(model)
    cross_entropy(model(X), LABELS).backward()
    for receiver in (perforate(plain(9)), grown(1), grown(5)):  # takes on what is loaded, growth and all
        receiver.load_state_dict(model.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(receiver.state_dict().values(), model.state_dict().values()))
        assert receiver[0].dendrites.candidate.batches == 1
        optimizer = torch.optim.SGD([p for d in dendrites(receiver) for p in d.candidate.dendrite.learning()], 0.1)
        learn(receiver, optimizer)
        adopt(receiver)
    receiver.load_state_dict(grown(0).state_dict())
    assert count_dendrites(receiver) == 0 and torch.equal(receiver(X), plain()(X))
    broken = {k: v for k, v in grown(2).state_dict().items() if k != "0.dendrites.grown.1.links"}
    with pytest.raises(RuntimeError, match="links"):
        perforate(plain()).load_state_dict(broken)


def dendrites(model):
    return [m for m in model.modules() if isinstance(m, Dendrites)]


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight


REFUSED = {
    "no module": (lambda: perforate(3), "the model is a int"),
    "no layer": (lambda: perforate(nn.ReLU()), "the ReLU has no nn.Linear"),
    "shared": (lambda: perforate(Shared()), "a.weight and b.weight are one tensor"),
    "one layer twice": (lambda: perforate(nn.Sequential(m := nn.Linear(3, 3), m)), "0.weight and 1.weight are one"),
    "unknown": (lambda: perforate(plain(), ["1"]), "layers names '1'; expected .*'0', '2'"),
    "none": (lambda: perforate(plain(), []), "layers names none"),
    "a text": (lambda: perforate(plain(), "0"), "layers is the text '0'"),
    "lazy": (lambda: perforate(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 3)), ["0"]), "layers names '0'"),
    "projection": (lambda: perforate(nn.LSTM(4, 5, proj_size=2)), "proj_size = 2"),
    "activation": (lambda: perforate(plain(), activation="step"), "activation is 'step'"),
    "twice": (lambda: perforate(perforate(plain())), "the model is perforated"),
    "grow twice": (lambda: (grow(m := perforate(plain())), grow(m)), "has dendrites that grow"),
    "adopt none": (lambda: adopt(perforate(plain())), "has no dendrites that grow"),
    "plain": (lambda: grow(plain()), "the Sequential has no dendrites"),
    "learner of a plain one": (lambda: learner(plain()), "expected perforate"),
    "learner of a grown one": (lambda: learner(grown(2)), "has 2 dendrites"),
    "cycles": (lambda: learner(cycles=-1), "cycles is -1"),
    "plateau": (lambda: Plateau(window=0), "expected window >= 1"),
    "held out": (lambda: learner(held_out=[]), "held_out has no batch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_named(name):
    attempt, text = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=text):
        attempt()


def test_a_refusal_leaves_the_model_as_it_is():
    model = Shared()
    with pytest.raises(ValueError, match="one tensor"):
        perforate(model)
    assert type(model.a) is nn.Linear


def test_an_encoder_calls_its_dendrites_when_evaluated():
    """torch's fused call of an encoder layer would read its weights, and not call its parts."""
    torch.manual_seed(0)
    model = perforate(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)).eval()
    grow(model)
    for weight in adopt(model):
        nn.init.normal_(weight)
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        fused = model(x)
    torch.testing.assert_close(fused, model.train()(x))


def learner(model=None, cycles=2, **options):
    torch.manual_seed(0)
    model = perforate(plain()) if model is None else model
    options = {"neurons": Plateau(2, 9, most=2), "dendrites": Plateau(3, 9, most=1)} | options
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    return PerforatedBackpropagation(model, cross_entropy, optimizer, cycles=cycles, **options)


BATCHES = [(X, LABELS), (X.roll(3, 0) + 0.1, LABELS.roll(3)), (2 * X, LABELS)]


def test_cycles_grow_dendrites_while_all_else_stands_still():
    trained, course = learner(), []
    for batch in itertools.islice(itertools.cycle(BATCHES), 24):
        before = copy.deepcopy(trained.model[0].main.state_dict())
        metrics = trained.step(batch)
        still = all(torch.equal(v, before[k]) for k, v in trained.model[0].main.state_dict().items())
        assert still == bool(metrics["growing"])
        course.append((metrics["dendrites"], metrics["growing"]))
    assert course == [(0, 0)] * 4 + [(0, 1)] * 3 + [(1, 0)] * 4 + [(1, 1)] * 3 + [(2, 0)] * 10
    assert trained.finished and trained.model[0].dendrites.grown[1].weight.abs().min() > 0  # they learn
    held = trained.optimizer.param_groups[0]["params"]
    assert len(held) == 4 + 2 * 2 and len({id(p) for p in held}) == len(held)


def test_a_plateau_ends_a_phase_and_the_best_of_held_out_batches_stays():
    trained = learner(cycles=1, neurons=Plateau(1, 2, 0.0), held_out=[BATCHES[2]])
    trained.optimizer.param_groups[0]["lr"] = 0.5  # too large: the loss rises again
    losses = []
    while not trained.finished:
        losses.append(trained.evaluate(BATCHES[2])["loss"])
        trained.step(BATCHES[0])
        assert len(losses) < 300
    final = trained.evaluate(BATCHES[2])["loss"]
    assert final == min(losses)
    assert trained.step(BATCHES[0])["loss"] > 0 and trained.evaluate(BATCHES[2])["loss"] == final  # it learns no more


def test_batchnorm_stands_still_while_dendrites_grow():
    torch.manual_seed(0)
    model = perforate(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).double())
    trained = learner(model, neurons=Plateau(1, 9, most=1))
    trained.step(BATCHES[0])
    before = copy.deepcopy(model[1].state_dict())
    assert trained.step(BATCHES[1])["growing"] == 1 and model[1].training
    assert all(torch.equal(v, before[k]) for k, v in model[1].state_dict().items())


@pytest.mark.parametrize("stop", [3, 6, 8, 12])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, stop):
    """Within phases, and at their borders."""
    data = torch.utils.data.TensorDataset(X, LABELS)
    loader = torch.utils.data.DataLoader(data, batch_size=5, shuffle=True)
    held_out = [(X + 0.1, LABELS)]
    torch.manual_seed(7)
    whole = learner(held_out=held_out)
    history = rv.fit(whole, loader, 5, progress=False)
    torch.manual_seed(7)
    doomed, count = learner(held_out=held_out), itertools.count()
    step = doomed.step

    def limited(batch):
        if next(count) == stop:
            raise KeyboardInterrupt
        return step(batch)

    doomed.step = limited
    with pytest.raises(KeyboardInterrupt):
        rv.fit(doomed, loader, 5, tmp_path, save_every=1, progress=False)
    again = learner(held_out=held_out)
    assert rv.fit(again, loader, 5, tmp_path, save_every=1, progress=False) == history
    a, b = whole.model.state_dict(), again.model.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) and count_dendrites(again.model) == 2


def test_random_dendrites_are_taken_as_drawn():
    trained = learner(dendrites=Plateau(most=0))
    for _ in range(4):
        trained.step(BATCHES[0])
    torch.manual_seed(0)
    assert count_dendrites(trained.model) == 1 and not trained.growing
    assert trained.model[0].dendrites.grown[0].inner.weight.abs().max() <= 6**-0.5  # nn.Linear's own bounds


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("dendrites", [1, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(4, 6), lambda: nn.Linear(4, 6, bias=False), lambda: nn.Conv1d(4, 6, 3),
        lambda: nn.RNN(4, 5), lambda: nn.RNN(4, 5, nonlinearity="relu"), lambda: nn.GRU(4, 5, num_layers=2),
        lambda: nn.LSTM(4, 5, bidirectional=True), lambda: nn.LSTM(4, 5, num_layers=2, bias=False),
    ],
)  # fmt: skip
def test_without_gradients_the_same_is_computed(make, dendrites, activation):
    """In place, and with stacked weights: as with gradients, input and state untouched."""
    torch.manual_seed(0)
    model = perforate(make().double(), activation=activation).eval()
    for _ in range(dendrites):
        grow(model)
        adopt(model)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_()
    x = torch.randn(7, 4, 9) if isinstance(model.main, nn.Conv1d) else torch.randn(7, 3, 4)
    x = x.double()
    before = x.clone()

    def parts(result):
        if isinstance(result, torch.Tensor):
            return [result]
        return [result[0], *(result[1] if isinstance(result[1], tuple) else result[1:])]

    slow = parts(model(x))
    with torch.no_grad():
        fast = parts(model(x))
    for a, b in zip(slow, fast, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        assert a.requires_grad and not b.requires_grad
    assert torch.equal(x, before)
