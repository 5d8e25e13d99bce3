"""Forward-forward learning: against plain formulas in float64, and that layers learn from nothing but themselves."""

import numpy as np
import pytest
import torch
from torch import nn

from ranvier.learners import ForwardForward, RecurrentForwardForward, TopDownLayers

F64, CLASSES = torch.float64, 3
X = torch.randn(16, 8, generator=torch.Generator().manual_seed(2), dtype=F64)
LABELS = torch.arange(16) % CLASSES


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU()).double()


def learner(model=None, rate=0.1, **options):
    model = network() if model is None else model
    readout = options.get("readout")
    learned = [*model.parameters(), *(readout.parameters() if readout else [])]
    return ForwardForward(model, torch.optim.SGD(learned, rate), CLASSES, **options)


def gradients(subject, x=X, labels=LABELS):
    subject.model.zero_grad()
    torch.manual_seed(3)
    subject._learn(x, labels)
    return [p.grad.numpy().copy() for p in subject.model.parameters()]


def rms(x):
    return x / (np.sqrt((x**2).mean(1, keepdims=True)) + np.finfo(float).eps ** 0.5)


def test_a_step_by_hand():
    """Both layers' gradients, with peer normalisation, for the wrong labels that were drawn."""
    subject = learner(negatives="random", peer=0.2)
    ours = gradients(subject)
    torch.manual_seed(3)
    chances = torch.ones(16, CLASSES, dtype=F64).scatter(1, LABELS[:, None], 0.0) / 2
    wrong = torch.multinomial(chances, 1)[:, 0]
    x = np.concatenate([X.numpy()] * 2)
    x[:, :CLASSES] = np.eye(CLASSES)[torch.cat([LABELS, wrong]).numpy()]
    real = np.repeat([1.0, 0.0], 16)
    w1, b1, w2, b2 = (p.detach().numpy() for p in subject.model.parameters())
    expected = []
    for w, b in ((w1, b1), (w2, b2)):
        x = rms(x)
        z = np.maximum(x @ w.T + b, 0)
        logits = (z**2).sum(1) - len(w)
        slope = (1 / (1 + np.exp(-logits)) - real) / 32
        average = 0.9 * 0.5 + 0.1 * z[:16].mean(0)
        uneven = 2 * (average - average.mean()) / len(w)
        delta = slope[:, None] * 2 * z
        delta[:16] += 0.2 * 0.1 * uneven / 16
        delta *= z > 0
        expected += [delta.T @ x, delta.sum(0)]
        x = z
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)


def test_a_layer_learns_from_nothing_above_it():
    one, other = network(), network()
    with torch.no_grad():
        other[2].weight.neg_()
    a, b = (gradients(learner(m, negatives="random")) for m in (one, other))
    assert all(np.array_equal(p, q) for p, q in zip(a[:2], b[:2], strict=True)) and not np.allclose(a[2], b[2])


def test_goodness_does_not_go_up():
    """A layer that is ten times as active tells the next one nothing new."""
    one, other = network(), network()
    with torch.no_grad():
        for p in other[0].parameters():
            p.mul_(10)
    a, b = learner(one), learner(other)
    torch.testing.assert_close(a.layers(X)[1], b.layers(X)[1], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(100 * a.layers(X)[0].square().sum(1), b.layers(X)[0].square().sum(1))


def test_the_label_stands_at_the_beginning_and_is_never_the_true_one_by_mistake():
    """What x has there is overwritten, both in learning and in telling labels apart."""
    subject, x = learner(), X.clone()
    x[:, :CLASSES] = 99.0
    torch.testing.assert_close(subject.label_goodness(x), subject.label_goodness(X))
    assert all(np.array_equal(a, b) for a, b in zip(gradients(subject), gradients(learner(), x), strict=True))


def test_hard_negatives_are_those_that_look_right():
    """Drawn by softmax of goodness, or of the readout; never the label itself."""
    from ranvier.learners.forward_forward._goodness import wrong_labels

    logits = torch.tensor([[5.0, 2.0, 0.0]]).repeat(6000, 1)
    drawn = wrong_labels(logits, torch.zeros(6000, dtype=torch.int64))
    share = (drawn == 1).double().mean()
    expected = np.exp(2) / (np.exp(2) + 1)
    assert (drawn != 0).all() and abs(share - expected) < 4 * (expected * (1 - expected) / 6000) ** 0.5
    readout = nn.Linear(5, CLASSES).double()
    subject = learner(readout=readout)
    with torch.no_grad():
        torch.testing.assert_close(subject._negative_logits(X), subject._read(X))
    subject = learner(negatives="random")
    assert not subject._negative_logits(X).any()


def test_the_readout_learns_and_no_error_goes_from_it_into_layers():
    readout = nn.Linear(5, CLASSES).double()
    subject, without = learner(readout=readout, negatives="random"), learner(negatives="random")
    a, b = gradients(subject), gradients(without)
    assert all(np.array_equal(p, q) for p, q in zip(a[:4], b, strict=True)) and np.abs(a[4]).sum() > 0


def test_peers_are_drawn_together():
    def spread(peer):
        subject = learner(peer=peer, negatives="random", rate=0.05)
        for _ in range(150):
            subject.step((X, LABELS))
        z = subject.layers(X)[0].detach().mean(0)
        return float(z.std() / z.mean())

    assert spread(3.0) < 0.7 * spread(0.0)


def test_convolutions_are_layers_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 2), nn.ReLU())
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    subject = ForwardForward(model, optimizer, CLASSES, place="channels")
    labels = torch.arange(30) % CLASSES
    x = 0.1 * torch.rand(30, 1, 8, 8)
    row, column = torch.arange(8)[:, None] % 2, torch.arange(8) % 2
    for k, stripes in enumerate((row + 0 * column, 0 * row + column, row ^ column)):
        x[labels == k] += stripes
    first = subject.evaluate((x, labels))["accuracy"]
    for _ in range(60):
        subject.step((x, labels))
    assert subject.evaluate((x, labels))["accuracy"] > max(0.9, first)


def test_from_above_by_hand():
    torch.manual_seed(0)
    model = TopDownLayers([8, 6, 5], CLASSES, retained=0.3, dtype=F64)
    code = torch.eye(CLASSES, dtype=F64)[LABELS]
    z = model(X, code, model.begin(X))
    x, c = X.numpy(), code.numpy()
    (u1, a1), (u2, a2) = ((m.weight.detach().numpy(), m.bias.detach().numpy()) for m in model.up)
    d1, d2 = (m.weight.detach().numpy() for m in model.down)
    z1 = np.maximum(rms(x) @ u1.T + a1, 0)
    z2 = np.maximum(rms(z1) @ u2.T + a2, 0)
    one = 0.3 * z1 + 0.7 * np.maximum(rms(x) @ u1.T + a1 + rms(z2) @ d1.T, 0)
    two = 0.3 * z2 + 0.7 * np.maximum(rms(z1) @ u2.T + a2 + c @ d2.T, 0)
    for a, b in zip(z, (one, two), strict=True):
        np.testing.assert_allclose(a.detach(), b, rtol=1e-12, atol=1e-14)


def test_each_layer_and_step_learns_by_itself():
    """The gradient of all steps is the sum of each step's, the past held."""
    torch.manual_seed(0)
    model = TopDownLayers([8, 6, 5], CLASSES, dtype=F64)
    subject = RecurrentForwardForward(model, torch.optim.SGD(model.parameters(), 0.1), steps=3, counted_steps=(1, 2))
    torch.manual_seed(3)
    subject._learn(X, LABELS)
    ours = [p.grad.clone() for p in model.parameters()]
    torch.manual_seed(3)
    wrong = torch.multinomial(torch.ones(16, CLASSES, dtype=F64).scatter(1, LABELS[:, None], 0.0) / 2, 1)[:, 0]
    code, both = torch.eye(CLASSES, dtype=F64)[torch.cat([LABELS, wrong])], torch.cat([X, X])
    real = torch.cat([torch.ones(16), torch.zeros(16)]).double()
    z = [a.detach() for a in model.begin(both)]
    model.zero_grad()
    for _ in range(3):
        new = model(both, code, z)
        for layer in new:
            logit = layer.square().sum(1) - layer.shape[1]
            (nn.functional.softplus(-logit) * real + nn.functional.softplus(logit) * (1 - real)).mean().backward()
        z = [a.detach() for a in new]
    for a, p in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad / 3, rtol=1e-10, atol=1e-14)


REFUSED = {
    "classes": (lambda: learner(peer=-1.0), "peer -1.0"),
    "negatives": (lambda: learner(negatives="soft"), "negatives 'soft'"),
    "readout": (lambda: learner(readout=nn.Linear(5, 4)), "expected an nn.Linear with 3 outputs"),
    "readout's inputs": (lambda: learner(readout=nn.Linear(4, 3).double()).step((X, LABELS)), "expected 5"),
    "too few values": (lambda: learner().step((X[:, :2], LABELS)), "3 values at least each"),
    "label": (lambda: learner().step((X, LABELS + 1)), "label 3"),
    "predict": (lambda: learner().predict(X, by="readout"), "by is 'readout'"),
    "recurrent": (lambda: RecurrentForwardForward(network(), None), "expected a TopDownLayers"),
    "sizes": (lambda: TopDownLayers([8], 3), r"sizes is \[8\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_named(name):
    attempt, text = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=text):
        attempt()
