"""Every public learner goes through the laws of `tests.laws.learners`; one without a case fails by name."""

import inspect
import json

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.energies.graphs.layered import Layered
from ranvier.energies.predictive.hierarchy import Hierarchy
from ranvier.learners import (
    BPTT,
    FORCE,
    HLOP,
    PSPM,
    TESS,
    BurstDependent,
    ContrastiveHebbian,
    DirectFeedbackAlignment,
    EProp,
    EquilibriumPropagation,
    FeedbackAlignment,
    ForwardForward,
    FullFORCE,
    NodePerturbation,
    PerforatedBackpropagation,
    Plateau,
    PredictiveCoding,
    RateNetwork,
    RecurrentForwardForward,
    SpikingNodePerturbation,
    SupervisedSTDP,
    SyntheticGradients,
    TargetPropagation,
    TopDownLayers,
    TruncatedBPTT,
    WeightPerturbation,
    membrane_cross_entropy,
    pathways,
    perforate,
    synthesiser,
)
from tests.laws.learners import LAWS, Case
from tests.processes import Child, module

T, B, N, CLASSES = 8, 12, 6, 3


def spiking(kind, *losses, recurrent=False, rate=0.1, **options):
    """A learner of a layer of spiking neurons and a readout."""

    def make(dtype):
        torch.manual_seed(0)
        layers = rv.nn.LIF(N, 16, recurrent=recurrent, dtype=dtype), rv.nn.LI(16, CLASSES, dtype=dtype)
        model = rv.nn.Sequential(*layers)
        return kind(model, *losses, torch.optim.SGD(parameters(model), rate), **options)

    return make


def parameters(model):
    return list(model.parameters())


def sequences(dtype):
    """Which third of the inputs is active says the class; (T, B, N)."""
    batches = []
    for seed in range(3):
        labels = torch.arange(B) % CLASSES
        x = torch.rand(T, B, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.4
        x += torch.nn.functional.one_hot(labels, CLASSES).repeat_interleave(2, 1)
        batches.append((x.to(dtype), labels))
    return batches


def vectors(dtype):
    return [(x.mean(0), labels) for x, labels in sequences(dtype)]


def with_room(dtype):
    """The same, the label's place at the beginning left empty."""
    return [(torch.cat([torch.zeros_like(x[:, :CLASSES]), x[:, CLASSES:]], 1), labels) for x, labels in vectors(dtype)]


def orthogonal(dtype):
    one = spiking(BPTT, membrane_cross_entropy)(dtype)
    return HLOP(one.model, membrane_cross_entropy, one.optimizer, [2, 2])


def layered(kind, **options):
    def make(dtype):
        torch.manual_seed(0)
        model = Layered.dense(N, 12, CLASSES).to(dtype)
        return kind(model, torch.optim.SGD(parameters(model), 0.2), **options)

    return make


def predictive(dtype):
    torch.manual_seed(0)
    model = Hierarchy([nn.Linear(N, 8), nn.Sequential(nn.Tanh(), nn.Linear(8, CLASSES))], (N,)).to(dtype)
    return PredictiveCoding(model, torch.optim.SGD(parameters(model), 0.1), steps=10)


def static(kind, activation=nn.Tanh, rate=0.3, loss=nn.functional.cross_entropy, last=(), **options):
    """A learner of two linear layers and a function between them."""

    def make(dtype):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(N, 12), activation(), nn.Linear(12, CLASSES), *(part() for part in last))
        model.to(dtype)
        return kind(model, loss, torch.optim.SGD(parameters(model), rate), **options)

    return make


def squared(y, labels):
    return (y - nn.functional.one_hot(labels, CLASSES).to(y)).square().sum(1).mean()


def forward_forward(negatives, reads):
    def make(dtype):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(N, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU()).to(dtype)
        readout = nn.Linear(12, CLASSES, dtype=dtype) if reads else None
        learned = [*parameters(model), *(parameters(readout) if reads else [])]
        optimizer = torch.optim.Adam(learned, 0.01)
        return ForwardForward(model, optimizer, CLASSES, readout=readout, negatives=negatives)

    return make


def from_above(dtype):
    torch.manual_seed(0)
    model = TopDownLayers([N, 12, 12], CLASSES, dtype=dtype)
    return RecurrentForwardForward(model, torch.optim.Adam(parameters(model), 0.01), steps=5, negatives="hard")


def cerebellar(dtype):
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LTC(N, 8).to(dtype), nn.Linear(8, CLASSES, dtype=dtype))
    back = synthesiser(8, (12,), dtype=dtype)
    optimizer = torch.optim.Adam([*parameters(model), *parameters(back)], 0.02)
    return SyntheticGradients(model, back, membrane_cross_entropy, optimizer)


def perforated(neurons):
    def make(dtype):
        torch.manual_seed(0)
        model = perforate(nn.Sequential(nn.Linear(N, 8), nn.ReLU(), nn.Linear(8, CLASSES)).to(dtype))
        phases = {"neurons": Plateau(neurons, most=1), "dendrites": Plateau(1, most=1)}
        optimizer = torch.optim.Adam(parameters(model), 0.01)
        return PerforatedBackpropagation(model, nn.functional.cross_entropy, optimizer, cycles=2, **phases)

    return make


def pooled(dtype):
    torch.manual_seed(2)
    layer = rv.nn.LIF(8, recurrent=True, beta=0.9, threshold=0.3, reset="zero", dtype=dtype)
    with torch.no_grad():
        layer.recurrent.copy_(0.05 * torch.rand(8, 8) * torch.tensor([1.0] * 6 + [-1.0] * 2))
    return PSPM(layer, step=1e-3, window=4)


def references(dtype):
    """Drives, and the spikes that a network with other weights gives to them."""
    batches = []
    for seed in range(3):
        x = 0.1 * torch.rand(60, 1, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
        target = (torch.rand(60, 1, 8, generator=torch.Generator().manual_seed(9)) < 0.15).to(dtype)
        batches.append((x, target))
    return batches


def rates(kind, **options):
    """A learner of a network of rates."""

    def make(dtype):
        torch.manual_seed(0)
        return kind(RateNetwork(1, 20, 2, feedback=kind is FORCE, tau=4.0, dtype=dtype), **options)

    return make


def movements(*widths):
    """Signals of several widths that follow a pulse, in three batches of the same trials."""

    def make(dtype):
        t = torch.arange(30, dtype=torch.float64)[:, None, None] / 30
        x = (t < 0.1) * torch.linspace(1, 2, 3, dtype=torch.float64)[None, :, None]
        waves = [torch.sin(2 * torch.pi * t * torch.arange(1, n + 1)) * x[:1] for n in widths]
        return [tuple(part.to(dtype) for part in (x, *waves))] * 3

    return make


def rewarded(_):
    net = rv.Network()
    neuron = rv.LIF(tau_m=20.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=2.0)
    first = net.add(neuron, 6, name="inputs", noise=1.0)
    last = net.add(neuron, 2, name="outputs", noise=3.0, drive=9.0)
    edges = torch.arange(6).repeat(2), torch.arange(2).repeat_interleave(6)
    weight = torch.full((12,), 20.0)
    learning = net.connect(first, last, weight=weight, delay=1.0, synapse=rv.Exponential(tau=5.0), edges=edges)

    def reward(counts, labels):
        rows = torch.arange(len(labels))
        return torch.tanh((counts[rows, labels] - counts[rows, 1 - labels]) / 5)

    return SpikingNodePerturbation(net, [learning], first, last, reward, rate=300.0, sigma=2.0, trial=100.0)


def stimuli(_):
    labels = torch.arange(B) % 2
    return [(25.0 * torch.nn.functional.one_hot(labels, 2).repeat_interleave(3, 1), labels)] * 3


WORDS = torch.tensor([[k >> i & 1 for i in range(10)] for k in range(1024)])


def words(_):
    """Three one-word tasks; each showing replaces the last one's."""
    return [(WORDS, (torch.arange(1024) == k).long()) for k in (341, 37, 700)]


CASES = {
    "BPTT": Case(BPTT, spiking(BPTT, membrane_cross_entropy), sequences),
    "BPTT, recurrent": Case(BPTT, spiking(BPTT, membrane_cross_entropy, recurrent=True), sequences),
    "TruncatedBPTT": Case(
        TruncatedBPTT, spiking(TruncatedBPTT, membrane_cross_entropy, every=3, update="window"), sequences
    ),
    "EProp": Case(EProp, spiking(EProp, recurrent=True), sequences),
    "TESS": Case(TESS, spiking(TESS, rate=0.05), sequences, measure="accuracy", rises=True),
    "HLOP": Case(HLOP, orthogonal, sequences),
    "PSPM": Case(PSPM, pooled, references, measure="distance", change=0.0, rounds=20),
    "SupervisedSTDP": Case(
        SupervisedSTDP, lambda _: SupervisedSTDP(), words, measure="accuracy", rises=True, rounds=1, change=-1.0,
        dtypes=(torch.float64,), spoil=lambda batch: (batch[0] + 1, batch[1]),
    ),
    "EquilibriumPropagation": Case(EquilibriumPropagation, layered(EquilibriumPropagation), vectors),
    "ContrastiveHebbian": Case(ContrastiveHebbian, layered(ContrastiveHebbian), vectors),
    "PredictiveCoding": Case(PredictiveCoding, predictive, vectors),
    "FeedbackAlignment": Case(FeedbackAlignment, static(FeedbackAlignment), vectors),
    "FeedbackAlignment, signs": Case(
        FeedbackAlignment, static(FeedbackAlignment, pathway=pathways.SignSymmetry()), vectors
    ),
    "FeedbackAlignment, Kolen and Pollack": Case(
        FeedbackAlignment, static(FeedbackAlignment, pathway=pathways.KolenPollack()), vectors
    ),
    "FeedbackAlignment, weight mirror": Case(
        FeedbackAlignment, static(FeedbackAlignment, pathway=pathways.WeightMirror()), vectors
    ),
    "DirectFeedbackAlignment": Case(DirectFeedbackAlignment, static(DirectFeedbackAlignment), vectors),
    "TargetPropagation": Case(TargetPropagation, static(TargetPropagation), vectors),
    "BurstDependent": Case(
        BurstDependent, static(BurstDependent, nn.Sigmoid, 2.0, squared, (nn.Sigmoid,)), vectors
    ),
    "WeightPerturbation": Case(WeightPerturbation, static(WeightPerturbation, rate=0.02, samples=4), vectors),
    "NodePerturbation": Case(NodePerturbation, static(NodePerturbation, rate=0.1), vectors),
    "SpikingNodePerturbation": Case(
        SpikingNodePerturbation, rewarded, stimuli, "reward", rises=True, rounds=5, change=0.5, dtypes=(torch.float32,)
    ),
    "ForwardForward": Case(ForwardForward, forward_forward("hard", True), with_room),
    "ForwardForward, by goodness": Case(ForwardForward, forward_forward("hard", False), with_room),
    "RecurrentForwardForward": Case(RecurrentForwardForward, from_above, with_room, change=0.05),
    "FORCE": Case(FORCE, rates(FORCE), movements(2), rounds=5),
    "FullFORCE": Case(FullFORCE, rates(FullFORCE), movements(2), rounds=5),
    "FullFORCE, from recordings": Case(FullFORCE, rates(FullFORCE, recorded=3), movements(2, 3), rounds=5),
    "SyntheticGradients": Case(SyntheticGradients, cerebellar, sequences),
    "PerforatedBackpropagation": Case(PerforatedBackpropagation, perforated(2), vectors),
    "PerforatedBackpropagation, whose dendrites grow": Case(PerforatedBackpropagation, perforated(1), vectors),
}  # fmt: skip


def test_every_learner_has_a_case():
    """A public class of rv.learners with the surface of a `Learner`."""
    surface = ("step", "evaluate", "describe", "state_dict", "load_state_dict")
    public = {name: getattr(rv.learners, name) for name in rv.learners.__all__ if name != "Learner"}
    learners = {n for n, v in public.items() if inspect.isclass(v) and all(hasattr(v, m) for m in surface)}
    missing = learners - {case.kind.__name__ for case in CASES.values()}
    assert not missing, f"learners without a Case here: {', '.join(sorted(missing))}"
    assert len(learners) >= 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_laws(law, name, dtype):
    case = CASES[name]
    if dtype not in case.dtypes:
        pytest.skip("has its own precision")
    law(case, dtype)


def test_the_laws_notice_a_learner_that_is_none():
    """One that learns nothing, one that forgets a part of its state, one that learns while it measures."""

    class Frozen(BPTT):
        def step(self, batch):
            return self.evaluate(batch) | {"examples": len(batch[1])}

    class Forgetful(BPTT):
        def load_state_dict(self, state):
            momentum = {**state["optimizer"], "state": {}}
            super().load_state_dict({**state, "optimizer": momentum})

    class Nosy(BPTT):
        def evaluate(self, batch):
            return self.step(batch)

    def broken(kind):
        def make(dtype):
            learner = spiking(kind, membrane_cross_entropy)(dtype)
            learner.optimizer.param_groups[0]["momentum"] = 0.9
            return learner

        return Case(kind, make, sequences)

    failures = {
        law.__name__: [kind.__name__ for kind in (Frozen, Forgetful, Nosy) if fails(law, broken(kind))] for law in LAWS
    }
    assert failures["it_learns"] == ["Frozen"] or "Frozen" in failures["it_learns"]
    assert "Frozen" in failures["a_step_changes_what_is_learned"]
    assert failures["runs_may_be_cut_and_joined"] == ["Forgetful"]
    assert failures["measuring_changes_nothing"] == ["Nosy"]


def fails(law, case):
    try:
        law(case, torch.float64)
    except (AssertionError, KeyError):
        return True
    return False


def test_killed_runs_of_every_learner_end_with_the_same_bits(tmp_path):
    """In a separate process, which forks: SIGKILL in the fourth step of six, then `fit` on the same folder."""
    child = Child(module, "tests.learners.killed_each", tmp_path)
    out, error = child.communicate(timeout=240)
    assert child.returncode == 0, error
    assert json.loads(out.splitlines()[-1]) == []
