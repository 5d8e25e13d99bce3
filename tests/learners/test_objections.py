"""Crick's objections to backpropagation (Nature 1989, "The recent excitement about neural networks") beside learners:
each cell of the table is measured, none is asserted by name."""

import pytest
import torch
from torch import nn

from ranvier.learners import (
    BPTT,
    BurstDependent,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    NodePerturbation,
    PerforatedBackpropagation,
    TargetPropagation,
    WeightPerturbation,
    count_learning,
    pathways,
    perforate,
)

F64 = torch.float64


def cross_entropy(y, labels):
    return nn.functional.cross_entropy(y, labels)


def chain(last=()):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 3), *last).double()


def sgd(model):
    return torch.optim.SGD(model.parameters(), 0.0)


def feedback(pathway):
    return lambda m: FeedbackAlignment(m, cross_entropy, sgd(m), pathway=pathway)


LEARNERS = {
    "backpropagation": lambda m: BPTT(m, cross_entropy, sgd(m), accuracy=None),
    "perforated": lambda m: PerforatedBackpropagation(perforate(m), cross_entropy, sgd(m)),
    "feedback alignment": feedback(pathways.RandomFeedback()),
    "sign symmetry": feedback(pathways.SignSymmetry()),
    "Kolen-Pollack": feedback(pathways.KolenPollack()),
    "weight mirror": feedback(pathways.WeightMirror()),
    "direct feedback": lambda m: DirectFeedbackAlignment(m, cross_entropy, sgd(m)),
    "target propagation": lambda m: TargetPropagation(m, cross_entropy, sgd(m)),
    "bursts": lambda m: BurstDependent(m.append(nn.Sigmoid()), cross_entropy, sgd(m)),
    "weight perturbation": lambda m: WeightPerturbation(m, cross_entropy, sgd(m)),
    "node perturbation": lambda m: NodePerturbation(m, cross_entropy, sgd(m)),
    "forward-forward": lambda m: ForwardForward(m, sgd(m), 3, negatives="random"),
}

#: learner: (its change depends on the weights above, passes of the model a batch, sends errors down, needs labels)
TABLE = {
    "backpropagation": (True, 1, True, True),
    "perforated": (True, 1, True, True),
    "feedback alignment": (False, 1, True, True),
    "sign symmetry": (True, 1, True, True),  # their signs
    "Kolen-Pollack": (False, 1, True, True),
    "weight mirror": (False, 1, True, True),
    "direct feedback": (False, 1, True, True),
    "target propagation": (False, 2, None, True),  # each layer once more; targets come down, and are not counted
    "bursts": (False, 1, True, True),
    "weight perturbation": (True, 2, False, True),  # by what they do to the loss, not by reading them
    "node perturbation": (True, 3, False, True),
    "forward-forward": (False, 2, False, True),
}


def first_change(name, above, labels=(1,)):
    """What the first layer is to learn from one example, with `above` added to the next layer's weights."""
    torch.manual_seed(1)
    learner = LEARNERS[name](chain())
    first, second = (m for m in learner.model.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        second.weight += above
    x = torch.randn(1, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    torch.manual_seed(2)
    learner.step((x, torch.tensor(labels)))
    return first.weight.grad.clone()


@pytest.mark.parametrize("name", LEARNERS)
def test_weight_transport(name):
    """Weights above are changed so that this example's output is not, Δ h = 0: who notices had read them."""
    x = torch.randn(1, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    h = chain()[:2](x).detach()[0]
    change = 3 * torch.randn(3, 5, generator=torch.Generator().manual_seed(5), dtype=F64)
    change -= torch.outer(change @ h, h) / h.dot(h)
    before, after = first_change(name, 0 * change), first_change(name, change)
    assert before.abs().max() > 0
    assert (not torch.allclose(before, after, rtol=1e-9, atol=1e-12)) is TABLE[name][0]


@pytest.mark.parametrize("name", LEARNERS)
def test_passes_and_errors_on_their_way_down(name):
    learner = LEARNERS[name](chain())
    if not learner.counted:
        with pytest.raises(TypeError, match="expected BPTT"), count_learning(learner):
            pass
        return
    x = torch.randn(4, 6, dtype=F64)
    with count_learning(learner) as counts:
        learner.step((x, torch.arange(4) % 3))
    _, passes, errors, _ = TABLE[name]
    assert counts.forward.dense == passes * 4 * (6 * 5 + 5 * 3)
    noise = 4 * (5 + 3) if name == "node perturbation" else 0  # each neuron's own noise times the one loss
    assert (counts.signals.dense > noise) is errors


@pytest.mark.parametrize("name", LEARNERS)
def test_a_teacher(name):
    """All learners here change with the label: a teacher is what none of them does without."""
    assert (not torch.allclose(first_change(name, 0.0), first_change(name, 0.0, (2,)))) is TABLE[name][3]
