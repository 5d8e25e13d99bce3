"""Operations of learners: against torch's own counter of what ran, by hand, and untouched results."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import ranvier as rv
from ranvier.learners import BPTT, TESS, EProp, TruncatedBPTT, count_learning, membrane_cross_entropy
from tests.learners.test_every_learner import CASES

T, B, C = 5, 3, 4


def small(linear: bool = False) -> rv.nn.Sequential:
    """Feature maps without borders, a recurrent layer, a readout."""
    torch.manual_seed(3)
    slope = rv.engines.surrogates.FastSigmoid(0.3)
    lif = {"beta": 0.5, "threshold": 0.6, "surrogate": slope, "fused": False}
    model = rv.nn.Sequential(
        nn.Conv2d(2, 3, 3), rv.nn.LIF((3, 4, 4), **lif), nn.Flatten(),
        rv.nn.LIF(48, 7, recurrent=True, **lif), nn.Linear(7, C) if linear else rv.nn.LI(7, C, beta=0.8, fused=False),
    )  # fmt: skip
    with torch.no_grad():
        model[0].bias.fill_(1.0)  # so that there are spikes
        model[3].linear.weight.mul_(3.0)
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    x = 4 * torch.rand(T, B, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([0, 3, 1])


def learner(rule: str, **kw):
    model = small(**kw)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    if rule == "bptt":
        return BPTT(model, membrane_cross_entropy, optimizer)
    if rule == "truncated":
        return TruncatedBPTT(model, membrane_cross_entropy, optimizer, every=1, back=2)
    return TESS(model, optimizer, pool=[2, 1], alpha_post=0.0 if rule == "causal" else 1.0)


def counted(rule: str, **kw):
    subject = learner(rule, **kw)
    with count_learning(subject) as observed:
        subject.step(batch())
    return observed


# of one example, one step
CONV, FIRST, FED, LAST = 2 * 3 * 9 * 16, 48 * 7, 7 * 7, 7 * C
FORWARD = CONV + FIRST + FED + LAST


def test_backpropagation_by_hand():
    observed = counted("bptt")
    assert observed.forward.dense == observed.gradients.dense == T * B * FORWARD
    assert observed.signals.dense == observed.signals.macs == T * B * (FORWARD - CONV)  # x needs no gradient
    assert observed.gradients.synops == observed.forward.synops > 0 and observed.gradients.macs == T * B * CONV
    assert observed.total.dense == T * B * (3 * FORWARD - CONV)
    assert observed.total.joules(updates=False) == pytest.approx(
        sum(part.joules(updates=False) for part in (observed.forward, observed.signals, observed.gradients))
    )


@pytest.mark.parametrize(("rule", "linear"), [("tess", False), ("tess", True), ("causal", False)])
def test_a_local_rule_by_hand(rule, linear):
    observed, products = counted(rule, linear=linear), 2 if rule == "tess" else 1
    assert observed.forward.dense == T * B * FORWARD
    assert observed.gradients.dense == T * B * (products * (FORWARD - LAST) + LAST)
    feedback = 2 * C * (3 * 2 * 2) + 2 * C * 7
    traces = 2 * 36 + 48 + 7 + (0 if linear else 7)  # of x, of spikes that arrive, of those the readout gets
    assert observed.signals.dense == T * B * (feedback + traces + (products + 1) * (48 + 7))
    assert observed.total.updates == T * B * (48 + 7 + (0 if linear else C))


class Plain(nn.Module):
    """The same network in torch's own words, whose products its counter sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.fed = nn.Conv2d(2, 3, 3), nn.Linear(48, 7), nn.Linear(7, 7, bias=False)
        self.last = nn.Linear(7, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.sigmoid(self.conv(x.flatten(0, 1))).view(T, B, 48)
        h, out = torch.zeros(B, 7, requires_grad=True), []  # the first step's products are taken, too
        for row in z:
            h = torch.sigmoid(self.first(row) + self.fed(h))
            out.append(self.last(h))
        return torch.stack(out)


@pytest.mark.parametrize("rule", ["bptt", "tess", "causal"])
def test_products_are_those_that_torch_itself_counts(rule):
    """Of TESS as it runs, but for the traces, which are no products of matrices; of BPTT in plain torch."""
    subject, elementwise = learner(rule), 0
    if rule == "bptt":
        plain = Plain()
        subject = BPTT(plain, membrane_cross_entropy, torch.optim.SGD(plain.parameters(), 0.0))
    else:
        elementwise = T * B * (2 * 36 + 48 + 7 + 7 + (3 if rule == "tess" else 2) * (48 + 7))
    with FlopCounterMode(display=False) as flops:
        subject.step(batch())
    assert flops.get_total_flops() == 2 * (counted(rule).total.dense - elementwise)


def test_spikes_make_additions_of_outer_products():
    """With alpha_pre = 0 only what enters at once is left: as many additions as there are spikes times neurons."""
    subject = learner("tess")
    subject.alpha_pre = 0.0
    spikes = (batch()[0] > 3).float()
    with count_learning(subject) as observed:
        subject.step((spikes, batch()[1]))
    row = {row.name: row for row in observed.gradients.layers}
    places = torch.nn.functional.conv2d(spikes.flatten(0, 1), torch.ones(3, 2, 3, 3))
    assert row["0: Conv2d"].macs == 0 and row["0: Conv2d"].synops == int(places.sum())
    assert row["3: LIF"].macs == 0 and 0 < row["3: LIF"].synops < row["3: LIF"].dense


def test_windows_that_overlap_are_gone_through_as_often():
    observed = counted("truncated")
    assert observed.forward.dense == T * B * FORWARD
    assert observed.gradients.dense == (2 * T - 1) * B * FORWARD  # all but the last step's are used twice


@pytest.mark.parametrize("rule", ["bptt", "tess"])
def test_counting_changes_nothing_and_ends(rule):
    plain, other = learner(rule), learner(rule)
    plain.step(batch())
    with count_learning(other) as observed:
        other.step(batch())
    for p, q in zip(plain.model.parameters(), other.model.parameters(), strict=True):
        assert p.grad.equal(q.grad) and p.grad.any()
    before = str(observed)
    other.step(batch())
    assert str(observed) == before and before.startswith("forward\n") and "\ngradients\n" in before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in other.model.modules())


def test_what_is_not_counted_is_named_or_refused():
    model = rv.nn.Sequential(rv.nn.LIF(6, 5), nn.LayerNorm(5), rv.nn.LI(5, 2))
    subject = BPTT(model, membrane_cross_entropy, torch.optim.SGD(model.parameters(), 0.1))
    with count_learning(subject) as observed:
        pass
    assert observed.signals.uncounted == observed.total.uncounted == ("1: LayerNorm",)
    model = rv.nn.Sequential(rv.nn.LIF(6, 5), rv.nn.LI(5, 2))
    eprop = EProp(model, torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(TypeError, match="EProp; expected BPTT"), count_learning(eprop):
        pass


X, LABELS = torch.randn(6, 8, generator=torch.Generator().manual_seed(4)), torch.arange(6) % 3


def chain(*last) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 5), nn.Sigmoid(), nn.Linear(5, 3), *last)


def squares(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return y.square().sum(-1).mean()


FIRST, SECOND = 6 * 40, 6 * 15  # products of six examples with each layer's weights
#: (learner, forward, signals, gradients)
STATIC = {
    "feedback": (lambda m, o: rv.learners.FeedbackAlignment(m, squares, o, accuracy=None), 1, SECOND, FIRST + SECOND),
    "direct": (
        lambda m, o: rv.learners.DirectFeedbackAlignment(m, squares, o, accuracy=None), 1, SECOND, FIRST + SECOND
    ),
    "nodes": (lambda m, o: rv.learners.NodePerturbation(m, squares, o, accuracy=None), 3, 6 * 8, FIRST + SECOND),
    "weights": (lambda m, o: rv.learners.WeightPerturbation(m, squares, o, accuracy=None), 2, 0, 40 + 15 + 5 + 3),
    "bursts": (
        lambda m, o: rv.learners.BurstDependent(m.append(nn.Sigmoid()), squares, o, accuracy=None),
        1, 2 * SECOND, FIRST + SECOND,
    ),
    "forward": (
        lambda m, o: rv.learners.ForwardForward(m, o, 3, negatives="random"), 2, 0, 2 * (FIRST + SECOND)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATIC)
def test_learners_without_steps_by_hand(name):
    """Forward in whole passes. No layer but backpropagation's sends an error through the weights of the one above."""
    make, passes, signals, gradients = STATIC[name]
    model = chain()
    trained = make(model, torch.optim.SGD(model.parameters(), 0.0))
    with count_learning(trained) as counts:
        trained.step((X, LABELS))
    assert counts.forward.dense == passes * (FIRST + SECOND)
    assert (counts.signals.dense, counts.gradients.dense) == (signals, gradients)


def test_least_squares_by_hand():
    """Of 7 units, 2 inputs, 3 outputs, two trials of five steps with an update at each second step and the last."""
    for kind, options in ((rv.learners.FORCE, {"feedback": True}), (rv.learners.FullFORCE, {"feedback": False})):
        model = rv.learners.RateNetwork(2, 7, 3, **options)
        trained = kind(model)
        with count_learning(trained) as counts:
            trained.step((torch.rand(5, 2, 2), torch.rand(5, 2, 3)))
        units, updates = 7 * 7 + 7 * 2 + 3 * 7, 3 * 2
        forced = kind is rv.learners.FORCE
        assert counts.forward.dense == 5 * 2 * (units + (7 * 3 if forced else 0))
        assert counts.signals.dense == updates * 49 + (0 if forced else 5 * 2 * (49 + 7 * 3))
        assert counts.gradients.dense == updates * (28 + 21 + (0 if forced else 49))


def test_spiking_perturbation_by_hand():
    """Spikes times the synapses that they reach, in both runs; a synapse's noise times its current, a trial."""
    net = rv.Network()
    neuron = rv.LIF(tau_m=20.0, E_L=0.0, V_th=15.0, V_reset=0.0)
    first, last = net.add(neuron, 3, name="first"), net.add(neuron, 2, name="last", drive=9.0, noise=3.0)
    edges = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    p = net.connect(first, last, weight=torch.ones(3), synapse=rv.Exponential(tau=5.0), edges=edges)
    trained = rv.learners.SpikingNodePerturbation(
        net, [p], first, last, lambda counts, labels: counts.sum(1), rate=1.0, trial=40.0, bin=20.0, pause=0.0
    )
    x = torch.tensor([[40.0, 0.0, 40.0], [0.0, 40.0, 0.0]])
    with count_learning(trained) as counts:
        trained.step((x, torch.zeros(2, dtype=torch.int64)))
    net.set(first, drive=rv.TimeSeries(x.repeat_interleave(80, 0), 0.5))
    spikes = torch.bincount(rv.simulate(net, 80.0, dt=0.5).neurons, minlength=5)
    assert counts.forward.synops == 2 * int(2 * spikes[0] + spikes[1]) > 0
    assert counts.forward.updates == 2 * 160 * 5
    assert counts.signals.dense == 2 * 2 * 2 and counts.gradients.dense == 2 * 2 * 3


#: learners that cannot be counted yet
UNCOUNTED = {
    "ContrastiveHebbian", "EProp", "EquilibriumPropagation", "HLOP", "PSPM", "PredictiveCoding",
    "SupervisedSTDP", "TargetPropagation",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_learner_is_counted_or_refused_by_name(name):
    """By discovery: a learner that is neither counted nor listed above fails here."""
    case = CASES[name]
    dtype = case.dtypes[0]
    torch.manual_seed(0)
    trained, first = case.make(dtype), case.batches(dtype)[0]
    if case.kind.__name__ in UNCOUNTED:
        with pytest.raises(TypeError, match=f"learner is a {case.kind.__name__}"), count_learning(trained):
            pass
        return
    with count_learning(trained) as counts:
        trained.step(first)
    assert counts.forward.dense + counts.forward.synops > 0 and counts.gradients.dense > 0
    assert counts.total.dense == counts.forward.dense + counts.signals.dense + counts.gradients.dense
