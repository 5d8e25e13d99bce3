"""Every learner of spiking layers names what is wrong with a batch, and changes no weight that it should not."""

import copy

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.learners import BPTT, HLOP, TESS, EProp, TruncatedBPTT, membrane_cross_entropy

T, B, N, CLASSES = 6, 4, 5, 3
GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(T, B, N, generator=GENERATOR)
LABELS = torch.arange(B) % CLASSES


def learner(name: str):
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LIF(N, 8, recurrent=name in ("e-prop", "TESS")), rv.nn.LI(8, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return {
        "BPTT": lambda: BPTT(model, membrane_cross_entropy, optimizer),
        "truncated": lambda: TruncatedBPTT(model, membrane_cross_entropy, optimizer, every=2, update="window"),
        "TESS": lambda: TESS(model, optimizer),
        "e-prop": lambda: EProp(model, optimizer),
        "HLOP": lambda: HLOP(model, membrane_cross_entropy, optimizer, [2, 2]),
    }[name]()


def at(step: int, value: float) -> torch.Tensor:
    """X with one entry at `step` replaced."""
    x = X.clone()
    x[step, 2, 1] = value
    return x


BATCHES = {
    "nan": (at(0, float("nan")), LABELS, "nan|not finite"),
    "nan later": (at(4, float("nan")), LABELS, "at step 4"),
    "inf later": (at(4, float("inf")), LABELS, "at step 4"),
    "no steps": (X[:0], LABELS, "T > 0"),
    "no examples": (X[:, :0], LABELS[:0], "empty batch"),
    "features": (X[..., :3], LABELS, rf"expected \((T, )?B, {N}\)"),
    "float64": (X.double(), LABELS, "torch.float64"),
    "rank": (X[0], LABELS, "expected"),
    "label": (X, LABELS + 1, f"label {CLASSES}"),
    "labels": (X, LABELS[:2], "labels have shape"),
}


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ["BPTT", "truncated", "TESS", "e-prop", "HLOP"])
def test_a_bad_batch_is_named_and_changes_nothing(name, batch):
    subject = learner(name)
    before, (x, labels, text) = copy.deepcopy(subject.model.state_dict()), BATCHES[batch]
    for attempt in (subject.step, subject.evaluate):
        with pytest.raises(ValueError, match=text):
            attempt((x, labels))
    assert all(torch.equal(value, before[key]) for key, value in subject.model.state_dict().items())
    assert subject.step((X, LABELS))["examples"] == B


@pytest.mark.parametrize("name", ["BPTT", "truncated", "TESS", "e-prop", "HLOP"])
def test_weights_that_are_not_finite_are_named(name):
    """A neuron whose membrane is nan is silent: the loss does not tell."""
    subject = learner(name)
    with torch.no_grad():
        subject.model[0].linear.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"not finite|there is nan in v"):
        subject.step((X, LABELS))


def test_feature_maps_of_another_shape_are_named():
    model = rv.nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), rv.nn.LIF(), nn.Flatten(), rv.nn.LI(4 * 6 * 6, CLASSES))
    subject = TESS(model, torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(ValueError, match=r"x has shape \(4, 3, 8, 8\) .*expected \(B, 2, height, width\)"):
        subject.step((torch.rand(T, B, 3, 8, 8), LABELS))
    subject.step((torch.rand(T, B, 2, 8, 8), LABELS))


@pytest.mark.parametrize(
    "subject", [BPTT, lambda *inputs, **more: TruncatedBPTT(*inputs, every=2, update="window", **more)]
)
def test_a_gradient_that_cannot_be_clipped_changes_nothing(subject):
    model = rv.nn.LI(N, CLASSES)
    before = copy.deepcopy(model.state_dict())
    learner = subject(
        model, lambda y, labels: (0.0 * y.sum()).sqrt(), torch.optim.SGD(model.parameters(), 0.1), clip=1.0
    )
    with pytest.raises(ValueError, match="gradient of norm nan"):
        learner.step((X, LABELS))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["BPTT", "truncated", "TESS", "e-prop", "HLOP"])
def test_what_requires_no_gradient_is_not_learned(name):
    subject = learner(name)
    subject.model[0].requires_grad_(False)
    before = copy.deepcopy(subject.model.state_dict())
    subject.step((X, LABELS))
    changed = [key for key, value in subject.model.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == ["1.linear.weight", "1.linear.bias"]


def test_numpy_arrays_are_refused_before_anything_is_learned():
    """In batches, whatever encodes them, and by encoders."""
    one = learner("BPTT")
    for x, labels, name in ((X.numpy(), LABELS, "x"), (X, LABELS.numpy(), "labels")):
        for act in (one.step, one.evaluate):
            with pytest.raises(TypeError, match=f"{name} of a batch is a ndarray; expected a tensor: .*as_tensor"):
                act((x, labels))
    encoders = rv.learners
    for encode in (lambda x: encoders.rate(x, 3), lambda x: encoders.latency(x, 3), lambda x: encoders.phase(x, 8),
                   lambda x: encoders.delta(x, 0.1), lambda x: encoders.population(x, 4)):  # fmt: skip
        with pytest.raises(TypeError, match=r"is ndarray; expected a tensor: convert it by torch.as_tensor"):
            encode(X.numpy())
