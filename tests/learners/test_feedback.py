"""Learners whose errors go back by other ways than the weights: against plain formulas in float64."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import ranvier as rv
from ranvier.learners import (
    BurstDependent,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    TargetPropagation,
    gradient_angles,
    pathways,
)
from tests.laws.oracles import oracle

F64 = torch.float64
X = torch.randn(20, 6, generator=torch.Generator().manual_seed(2), dtype=F64)
LABELS = torch.arange(20) % 3


def tanh_net(last=()):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), *last).double()


def sgd(model, rate=0.1):
    return torch.optim.SGD(model.parameters(), rate)


def arrays(model):
    return [p.detach().numpy().copy() for p in model.parameters()]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def gradients(learner, x=X, labels=LABELS):
    learner.model.zero_grad()
    learner._learn(x, labels)
    return [p.grad.numpy().copy() for p in learner.model.parameters()]


@oracle
def by_hand(model, back):
    """Gradients with `back(l, delta, error)` for what comes back into layer l's activity."""
    w1, b1, w2, b2, w3, b3 = arrays(model)
    x = X.numpy()
    h1 = np.tanh(x @ w1.T + b1)
    h2 = np.tanh(h1 @ w2.T + b2)
    error = (softmax(h2 @ w3.T + b3) - np.eye(3)[LABELS.numpy()]) / len(x)
    d2 = back(2, error, error) * (1 - h2**2)
    d1 = back(1, d2, error) * (1 - h1**2)
    out = []
    for delta, below in ((d1, x), (d2, h1), (error, h2)):
        out += [delta.T @ below, delta.sum(0)]
    return out


def agree(a, b, rtol=1e-10):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-14)


def test_feedback_alignment_by_hand():
    model = tanh_net()
    learner = FeedbackAlignment(model, cross_entropy, sgd(model))
    feedback = [f.numpy() for f in learner._own["feedback"].values()]
    agree(gradients(learner), by_hand(model, lambda layer, delta, error: delta @ feedback[layer]))


def test_direct_feedback_by_hand():
    model = tanh_net()
    learner = DirectFeedbackAlignment(model, cross_entropy, sgd(model))
    result = gradients(learner)
    feedback = {1: learner._own["feedback"]["2"].numpy(), 2: learner._own["feedback"]["4"].numpy()}
    agree(result, by_hand(model, lambda layer, delta, error: error @ feedback[layer]))


@pytest.mark.parametrize("uniform", [False, True])
def test_signs_are_the_weights_and_sizes_are_not(uniform):
    model = tanh_net()
    learner = FeedbackAlignment(model, cross_entropy, sgd(model), pathway=pathways.SignSymmetry(uniform))
    sizes = list(learner._own["feedback"].values())
    with torch.no_grad():
        model[4].weight.mul_(-3)  # signs follow, sizes stay
    back = [np.sign(w) * s.numpy() for w, s in zip(arrays(model)[::2], sizes, strict=True)]
    agree(gradients(learner), by_hand(model, lambda layer, delta, error: delta @ back[layer]))
    assert (float(sizes[1].std()) < 1e-12) is uniform and all(float(s.min()) >= 0 for s in sizes)


def test_weights_as_feedback_make_it_backpropagation():
    """In convolutions and recurrent use, too."""

    class Exact(pathways.RandomFeedback):
        def current(self, feedback, weight):
            return weight

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.inward = nn.Conv2d(2, 3, 3, stride=2, padding=1, groups=1), nn.Linear(27, 4)
            self.again, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            drive = self.inward(torch.relu(self.conv(x)).flatten(1))
            h = torch.tanh(drive)
            for _ in range(3):
                h = torch.tanh(drive + self.again(h))
            return self.out(h)

    torch.manual_seed(0)
    model = Loop().double()
    x = torch.randn(4, 2, 6, 6, dtype=F64)
    learner = FeedbackAlignment(model, cross_entropy, sgd(model), pathway=Exact())
    ours = gradients(learner, x, LABELS[:4])
    model.zero_grad()
    cross_entropy(model(x), LABELS[:4]).backward()
    agree(ours, [p.grad.numpy() for p in model.parameters()])


@pytest.mark.parametrize(("optimizer", "rate"), [(torch.optim.SGD, 1.0), (torch.optim.Adam, 0.05)])
def test_kolen_and_pollack_let_the_difference_shrink(optimizer, rate):
    """By 1 − decay a step, whatever the optimizer does: a closed form."""
    model = tanh_net()
    learner = FeedbackAlignment(
        model, cross_entropy, optimizer(model.parameters(), rate), pathway=pathways.KolenPollack(decay=0.05)
    )

    def difference():
        return learner._own["feedback"]["2"] - model[2].weight.detach()

    first = difference()
    for _ in range(60):
        learner.step((X, LABELS))
    torch.testing.assert_close(difference(), first * 0.95**60, rtol=1e-9, atol=1e-14)
    assert learner.weight_angle() < 60


def test_a_weight_mirror_finds_the_weights():
    """B tends to rate/decay W, off by the noise of √(decay/2 · inputs/examples)."""
    model = tanh_net()
    mirror = pathways.WeightMirror(rate=0.02, decay=0.01, examples=400)
    learner = FeedbackAlignment(model, cross_entropy, sgd(model, 0.0), pathway=mirror)
    for _ in range(800):  # 0.99^800 = 3e-4 is left of what it began with
        learner._update()
    weight, feedback = model[2].weight.detach(), learner._own["feedback"]["2"]
    noise = float((feedback / 2 - weight).norm() / weight.norm())
    assert noise < 4 * (0.01 / 2 * 6 / 400) ** 0.5 and learner.weight_angle() < 4


def test_alignment_grows_and_gradients_follow():
    """Lillicrap et al. 2016, fig. 2: weights come to agree with fixed feedback, and the angle falls below 90°."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(30, 20, bias=False), nn.Linear(20, 10, bias=False)).double()
    target = torch.randn(10, 30, dtype=F64) / 30**0.5
    x = torch.randn(200, 30, dtype=F64)
    y = x @ target.T

    def squared(out, index):
        return (out - y[index]).square().sum(1).mean() / 2

    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.1)
    learner = FeedbackAlignment(model, squared, sgd(model, 0.05), pathway=pathways.RandomFeedback(10.0), accuracy=None)
    index = torch.arange(200)
    first = gradient_angles(learner, (x, index))["0.weight"], learner.weight_angle()
    for _ in range(150):
        learner.step((x, index))
    last = gradient_angles(learner, (x, index))["0.weight"]
    assert first[0] > 75 and last < 45
    assert learner.weight_angle() < first[1]
    assert learner.evaluate((x, index))["loss"] < 0.05 * float(y.square().sum(1).mean() / 2)


def test_targets_by_hand():
    model = tanh_net()
    learner = TargetPropagation(model, cross_entropy, sgd(model), rate=0.3, noise=0.0)
    w1, b1, w2, b2, w3, b3 = arrays(model)
    v2, c2, v3, c3 = arrays(learner.inverses)
    x = X.numpy()
    h1 = np.tanh(x @ w1.T + b1)
    h2 = np.tanh(h1 @ w2.T + b2)
    h3 = h2 @ w3.T + b3
    t3 = h3 - 0.3 * (softmax(h3) - np.eye(3)[LABELS.numpy()])
    t2 = h2 + np.tanh(t3 @ v3.T + c3) - np.tanh(h3 @ v3.T + c3)
    t1 = h1 + np.tanh(t2 @ v2.T + c2) - np.tanh(h2 @ v2.T + c2)
    expected = []
    for h, t, below, slope in ((h1, t1, x, 1 - h1**2), (h2, t2, h1, 1 - h2**2), (h3, t3, h2, 1)):
        delta = (h - t) * slope / (0.3 * len(x))
        expected += [delta.T @ below, delta.sum(0)]
    agree(gradients(learner), expected)
    miss = np.tanh(h2 @ v2.T + c2) - h1  # what the first inverse gets wrong, of tanh(V h + c)
    delta = miss * (1 - (miss + h1) ** 2) / len(x)
    np.testing.assert_allclose(learner.inverses[0][0].weight.grad, delta.T @ h2, rtol=1e-9, atol=1e-14)


def test_targets_of_exact_inverses_are_gauss_newton():
    """Of invertible linear layers the difference is W⁻¹(ĥ − h)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    learner = TargetPropagation(model, cross_entropy, sgd(model), rate=0.1)
    with torch.no_grad():
        inverse = learner.inverses[0][0]
        inverse.weight.copy_(torch.linalg.inv(model[1].weight))
        inverse.bias.copy_(-inverse.weight @ model[1].bias)
    x = X[:, :4]
    h = [x, model[0](x).detach(), model(x).detach()]
    slope = torch.randn(20, 4, dtype=F64)
    target = learner.targets(h, slope)[0]
    torch.testing.assert_close(target - h[1], -0.1 * slope @ torch.linalg.inv(model[1].weight).T)
    torch.testing.assert_close(model[1](target), h[2] - 0.1 * slope)


def test_inverses_learn():
    model = tanh_net()
    learner = TargetPropagation(model, cross_entropy, sgd(model, 0.0), noise=0.05)

    def miss():
        with torch.no_grad():
            h1 = model[:2](X)
            return float((learner.inverses[0](model[2:4](h1)) - h1).square().mean() / h1.var())

    first = miss()
    for _ in range(300):
        learner.step((X, LABELS))
    assert miss() < 0.5 * first  # five values came from four


def sigmoids():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3), nn.Sigmoid()).double()


def squared_error(y, labels):
    return (y - torch.eye(3, dtype=y.dtype)[labels]).square().sum(1).mean() / 2


def test_bursts_by_hand():
    model = sigmoids()
    learner = BurstDependent(model, squared_error, sgd(model), beta=1.5, teaching=0.8)
    w1, b1, w2, b2 = arrays(model)
    y2 = learner._feedback[1].numpy()
    x, target = X.numpy(), np.eye(3)[LABELS.numpy()]

    def sigma(v):
        return 1 / (1 + np.exp(-v))

    e1 = sigma(x @ w1.T + b1)
    e2 = sigma(e1 @ w2.T + b2)
    p2, q2 = np.clip(0.5 - 0.8 * (1 - e2) * (e2 - target), 0, 1), 0.5
    p1 = sigma(1.5 * (1 - e1) * ((p2 * e2) @ y2))
    q1 = sigma(1.5 * (1 - e1) * ((q2 * e2) @ y2))
    expected = []
    for error, below in (((p1 - q1) * e1, x), ((p2 - q2) * e2, e1)):
        expected += [-error.T @ below / (0.8 * len(x)), -error.sum(0) / (0.8 * len(x))]
    agree(gradients(learner), expected)


def test_bursts_are_backpropagation_where_errors_are_small():
    """With Y = 4/β Wᵀ, small β and a weak loss: b − b̄ → −∂L/∂v, off by the order of both."""

    class Symmetric(pathways.RandomFeedback):
        def current(self, feedback, weight):
            return 4 / beta * weight

    for beta in (0.2, 0.002):
        model = sigmoids()
        with torch.no_grad():
            model[2].weight.mul_(0.01)  # the sigmoid of the apical potential stays at its steepest

        def weak(y, labels):
            return 0.01 * squared_error(y, labels)

        learner = BurstDependent(model, weak, sgd(model), beta=beta, pathway=Symmetric())
        ours = gradients(learner)
        model.zero_grad()
        weak(model(X), LABELS).backward()
        true = [p.grad.numpy() for p in model.parameters()]
        for a, b in zip(ours, true, strict=True):
            assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(b)


STATIC = {
    "feedback": lambda m: FeedbackAlignment(m, cross_entropy, sgd(m)),
    "direct": lambda m: DirectFeedbackAlignment(m, cross_entropy, sgd(m)),
    "targets": lambda m: TargetPropagation(m, cross_entropy, sgd(m)),
    "bursts": lambda m: BurstDependent(m, cross_entropy, sgd(m)),
    "nodes": lambda m: rv.learners.NodePerturbation(m, cross_entropy, sgd(m)),
    "forward": lambda m: rv.learners.ForwardForward(m, sgd(m), 3),
}


class Shared(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
        self[2].weight = self[0].weight


MODELS = {
    "shared weights": (Shared, STATIC, r"0.weight and 2.weight are one tensor"),
    "in place": (
        lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)),
        ("direct", "targets", "bursts", "forward"), r"1 is ReLU\(inplace=True\)",
    ),
    "recurrent": (lambda: nn.Sequential(nn.GRU(6, 3)), STATIC, "0 is a GRU"),
    "no weights": (lambda: nn.Sequential(nn.Tanh(), nn.PReLU()), STATIC, "no layer with weights|has no nn.Linear"),
    "no chain": (
        lambda: nn.ModuleDict({"a": nn.Linear(6, 3)}), ("direct", "targets", "bursts", "forward"),
        "the model is a ModuleDict; expected an nn.Sequential",
    ),
    "attention": (lambda: nn.Sequential(nn.MultiheadAttention(6, 2)), STATIC, "MultiheadAttention"),
    "padding": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3, padding="same")), ("feedback", "direct", "nodes", "forward"),
        "0 pads by 'same'",
    ),
    "a convolution's targets": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3)), ("targets", "bursts"), "0 is a Conv1d"),
    "other rates": (lambda: nn.Sequential(nn.Linear(6, 3), nn.Tanh()), ("bursts",), "layer 0 is Linear, Tanh"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "kind"), [(m, k) for m, (_, kinds, _) in MODELS.items() for k in kinds])
def test_a_model_that_cannot_learn_so_is_refused_by_name(model, kind):
    make, _, text = MODELS[model]
    with pytest.raises((TypeError, ValueError), match=text):
        STATIC[kind](make())


BATCHES = {
    "torch.float32; expected torch.float64": X.float(),
    "6 values that are not finite": X.clone().index_fill(0, torch.tensor([3]), float("nan")),
    "shapes cannot be multiplied|mat1": X[:, :4],
}


@pytest.mark.parametrize("kind", ["feedback", "direct", "targets", "nodes", "forward"])
@pytest.mark.parametrize("text", BATCHES)
def test_a_bad_batch_changes_nothing(kind, text):
    x = BATCHES[text]
    learner = STATIC[kind](tanh_net())
    before = copy.deepcopy(learner.model.state_dict())
    for attempt in (learner.step, learner.evaluate):
        with pytest.raises((ValueError, RuntimeError), match=text):
            attempt((x, LABELS))
    assert all(torch.equal(v, before[k]) for k, v in learner.model.state_dict().items())
    assert not any(m._forward_hooks for m in learner.model.modules())


def test_in_place_activations_get_the_same_errors():
    """Where a learner allows them."""
    answers = []
    for inplace in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=inplace), nn.Linear(5, 3)).double()
        answers.append(gradients(FeedbackAlignment(model, cross_entropy, sgd(model))))
    agree(*answers)
