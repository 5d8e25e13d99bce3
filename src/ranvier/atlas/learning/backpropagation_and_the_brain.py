"""Backpropagation and the brain: learners without weight transport, beside backpropagation; what noise alone costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register
from ranvier.learners import (
    BPTT,
    BurstDependent,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    NodePerturbation,
    TargetPropagation,
    WeightPerturbation,
    count_learning,
    gradient_angles,
    pathways,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64
#: inputs and neurons of the layers whose perturbations are compared
LAYERS = ((5, 4), (20, 4), (20, 16))
#: what stands in for backpropagation's way back, by a name that `measure` takes
RULES = ("feedback", "direct", "signs", "kolen", "mirror", "targets", "bursts")


def measure(
    seed: int, size: Size, rule: str = "", rate: float = 0.05, parts: str = "angles digits noise price", draws: int = 1,
    budget: float = 2.0,
) -> dict[str, Any]:
    """rule: what replaces each learner of `RULES`, such as "frozen"; "" for itself. rate: of the linear network whose
    weights come to agree with their feedback. parts: what is measured. draws: of noise, for one estimate.
    budget: draws for each number that is perturbed, where the price of a gradient is measured."""
    names = ("angle", "fall", "weight_angle", "worst_gap", "worst_gain", "weights", "nodes", "by_synapses",
             "price_error", "price_weights", "price_nodes")
    metrics: dict[str, Any] = dict.fromkeys(names)
    if "angles" in parts:
        metrics |= alignment(seed, rate)
    if "digits" in parts:
        steps, seeds = {"small": (250, 1), "full": (4000, 10)}[size]
        each = range(seed, seed + seeds)
        arms = {r: np.mean([on_digits(s, rule or r, steps) for s in each]) for r in RULES}
        plain, frozen = (np.mean([on_digits(s, r, steps) for s in each]) for r in ("bptt", "frozen"))
        metrics["arms"] = {"backpropagation": plain, **arms, "frozen": frozen}
        metrics["worst_gap"] = float(plain - min(arms.values()))
        metrics["worst_gain"] = float(min(arms.values()) - frozen)
    if "noise" in parts:
        metrics |= noise(seed, 400 if size == "small" else 4000, draws)
    if "price" in parts:
        metrics |= price(seed, 12 if size == "small" else 200, budget)
    return metrics


def alignment(seed: int, rate: float) -> dict[str, Any]:
    """Two linear layers that learn a linear map (Lillicrap et al. 2016, fig. 1): angles between feedback alignment's
    change of the first layer and the gradient, and between feedback and weights."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(30, 20, bias=False), nn.Linear(20, 10, bias=False)).double()
    x = torch.randn(200, 30, dtype=F64)
    y = x @ (torch.randn(10, 30, dtype=F64) / 30**0.5).T

    def squared(out: Tensor, index: Tensor) -> Tensor:
        return (out - y[index]).square().sum(1).mean() / 2

    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.1)
    optimizer = torch.optim.SGD(model.parameters(), rate)
    learner = FeedbackAlignment(model, squared, optimizer, pathway=pathways.RandomFeedback(10.0), accuracy=None)
    batch = x, torch.arange(200)
    angles, weights = [], []
    for k in range(150):
        if k % 10 == 0:
            angles.append(gradient_angles(learner, batch)["0.weight"])
        weights.append(learner.step(batch)["weight_angle"])
    return {"angle": angles[-1], "fall": angles[0] - angles[-1], "weight_angle": weights[0] - weights[-1],
            "angles": angles}  # fmt: skip


def network(seed: int) -> nn.Sequential:
    """64 pixels, 32 and 32 units, 10 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10))


def squared_error(y: Tensor, labels: Tensor) -> Tensor:
    """Half the squared distance from the label's one-hot code, mean over the batch."""
    return (y - nn.functional.one_hot(labels, y.shape[-1])).square().sum(-1).mean() / 2


def learner_of(rule: str, seed: int) -> Any:
    """Adam at 3e-3; bursts, whose cells have sigmoids, in one hidden layer of 32 and at .02."""
    if rule == "bursts":
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 32), nn.Sigmoid(), nn.Linear(32, 10), nn.Sigmoid())
        for weight in (model[0].weight, model[2].weight):
            nn.init.xavier_normal_(weight)  # type: ignore[arg-type]
        return BurstDependent(model, squared_error, torch.optim.Adam(model.parameters(), 0.02))
    model = network(seed)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    if rule == "direct":
        return DirectFeedbackAlignment(model, cross_entropy, optimizer)
    if rule == "targets":
        return TargetPropagation(model, cross_entropy, optimizer)
    if rule in ("bptt", "frozen"):
        if rule == "frozen":
            model[:4].requires_grad_(False)
        return BPTT(model, cross_entropy, optimizer, accuracy=share)
    ways = {"feedback": pathways.RandomFeedback(), "signs": pathways.SignSymmetry(),
            "kolen": pathways.KolenPollack(1e-3), "mirror": pathways.WeightMirror()}  # fmt: skip
    return FeedbackAlignment(model, cross_entropy, optimizer, pathway=ways[rule])


def share(y: Tensor, labels: Tensor) -> float:
    """Of right answers."""
    return float((y.argmax(1) == labels).double().mean())


@cache
def on_digits(seed: int, rule: str, steps: int) -> float:
    """Accuracy on held-out digits. Bursts, half as fast per step, take twice as many."""
    data = digits(seed)
    x, y = data.x.float(), data.y
    learner, order = learner_of(rule, seed), torch.Generator().manual_seed(seed)
    for _ in range(2 * steps if rule == "bursts" else steps):
        batch = torch.randint(len(x), (128,), generator=order)
        learner.step((x[batch], y[batch]))
    return learner.evaluate((data.x_test.float(), data.y_test))["accuracy"]


def noise(seed: int, samples: int, draws: int) -> dict[str, Any]:
    """Squared errors of perturbations of one layer, over |g|², less what the closed form says, in standard errors (the
    largest of three layers); and how many times larger that of nodes is for four times the synapses."""
    torch.manual_seed(seed)
    deviations: dict[str, list[float]] = {"weights": [], "nodes": []}
    costs: list[float] = []
    for inputs, neurons in LAYERS:
        x = torch.randn(1, inputs, dtype=F64)
        x, slope = x / x.norm(), torch.randn(neurons, dtype=F64)
        gradient = torch.outer(slope, x[0])
        kinds = {"weights": (WeightPerturbation, inputs * neurons), "nodes": (NodePerturbation, neurons)}
        for name, (kind, count) in kinds.items():
            model = nn.Linear(inputs, neurons, bias=False).double()
            optimizer = torch.optim.SGD(model.parameters(), 0.0)
            learner: Any = kind(model, projection(slope), optimizer, samples=draws, accuracy=None)
            squares = []
            for _ in range(samples):
                learner.step((x, torch.zeros(1, dtype=torch.int64)))
                assert model.weight.grad is not None
                squares.append(float((model.weight.grad - gradient).square().sum() / gradient.square().sum()))
            error = np.std(squares) / np.sqrt(samples)
            deviations[name].append(abs(np.mean(squares) - (count + 1)) / error)
            costs += [float(np.mean(squares))] if name == "nodes" else []
    return {**{name: max(values) for name, values in deviations.items()}, "by_synapses": costs[1] / costs[0]}


def price(seed: int, estimates: int, budget: float) -> dict[str, float]:
    """What a gradient with a squared error of half its square costs, by perturbing weights and nodes, `budget` draws
    for each of n + 1: that error, over half, mean over three sizes of layer and both; and operations, forward and of
    learning, over those of backpropagation, at the largest size."""
    torch.manual_seed(seed)
    errors, ratios = [], {}
    for inputs, neurons in LAYERS:
        x, slope = torch.randn(1, inputs, dtype=F64), torch.randn(neurons, dtype=F64)
        batch = x / x.norm(), torch.zeros(1, dtype=torch.int64)
        gradient, operations = torch.outer(slope, batch[0][0]), {}
        for kind, count in ((WeightPerturbation, inputs * neurons), (NodePerturbation, neurons), (BPTT, 0)):
            model = nn.Linear(inputs, neurons, bias=False).double()
            options: dict[str, Any] = {} if kind is BPTT else {"samples": max(1, round(budget * (count + 1)))}
            optimizer = torch.optim.SGD(model.parameters(), 0.0)
            learner: Any = kind(model, projection(slope), optimizer, accuracy=None, **options)
            with count_learning(learner) as counts:
                learner.step(batch)
            operations[kind] = counts.total.dense
            for _ in range(0 if kind is BPTT else estimates):
                learner.step(batch)
                assert model.weight.grad is not None
                errors.append(float((model.weight.grad - gradient).square().sum() / gradient.square().sum()) / 0.5)
        ratios = {k: operations[k] / operations[BPTT] for k in (WeightPerturbation, NodePerturbation)}
    weights, nodes = ratios[WeightPerturbation], ratios[NodePerturbation]
    return {"price_error": float(np.mean(errors)), "price_weights": weights, "price_nodes": nodes}


def projection(slope: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss that is linear in the output."""
    return lambda y, labels: (y @ slope).mean()


def accuracies(material: dict[str, Any]) -> Figure:
    """By learner."""
    figure, axes = canvas(5.0, 3.0)
    arms = material["arms"]
    axes.barh(range(len(arms)), list(arms.values()), color=[COLOURS[0], *[COLOURS[1]] * len(RULES), COLOURS[5]])
    axes.set(yticks=range(len(arms)), yticklabels=list(arms), xlabel="accuracy on held-out digits")
    axes.invert_yaxis()
    return figure


def falling(material: dict[str, Any]) -> Figure:
    """The angle between feedback alignment's change and the gradient."""
    figure, axes = canvas(4.0, 2.8)
    axes.plot(np.arange(len(material["angles"])) * 10, material["angles"], color=COLOURS[0])
    axes.set(xlabel="step", ylabel="angle to the gradient (degrees)", ylim=(0, 95))
    return figure


LILLICRAP = "Lillicrap et al. (2016), Nat. Commun. 7:13276"
WERFEL = "Werfel, Xie & Seung (2005), Neural Comput. 17:2699"
STILL = {"rate": 0.0, "parts": "angles"}
register(
    Experiment(
        name="backpropagation_and_the_brain",
        title="Backpropagation and the brain",
        paper="T. P. Lillicrap, A. Santoro, L. Marris, C. J. Akerman & G. Hinton (2020). Backpropagation and the "
        "brain. Nat. Rev. Neurosci. 21:335-346.",
        doi="10.1038/s41583-020-0277-3",
        summary="Errors need not go back by the weights that signals came by: random feedback, direct feedback, signs, "
        "learned feedback, targets and bursts all train hidden layers. Noise alone does, too, at a price that grows "
        "with the number of what is perturbed.",
        claims=(
            Claim(
                "With fixed random feedback, what the hidden layer learns comes within 45° of the gradient.",
                LILLICRAP + ", fig. 2", "angle", AtMost(45.0), 0.0, "half of a right angle, which chance gives", STILL,
            ),
            Claim(
                "It began near a right angle.",
                LILLICRAP + ", fig. 2", "fall", AtLeast(30.0), 0.0, "a third of a right angle", STILL,
            ),
            Claim(
                "That is because forward weights come to agree with the feedback.",
                LILLICRAP, "weight_angle", AtLeast(10.0), 0.0, "two deviations of random weights' angle", STILL,
            ),
            Claim(
                "All of them come near backpropagation on digits.",
                "T. P. Lillicrap et al. (2020)", "worst_gap", AtMost(0.1), 0.0,
                "half of what is lost where hidden layers learn nothing, .21",
                {"rule": "frozen", "parts": "digits"},
            ),
            Claim(
                "All of them are better than a readout of random layers that learn nothing.",
                "control: ours", "worst_gain", AtLeast(0.03), 0.0, "three standard errors of accuracy",
                {"rule": "frozen", "parts": "digits"},
            ),
            Claim(
                "Weight perturbation's squared error is n + 1 times the gradient's, n weights.",
                WERFEL, "weights", AtMost(4.0), 0.0, "standard errors of the mean",
                {"draws": 2, "parts": "noise"},
            ),
            Claim(
                "Node perturbation's is n + 1 times, n neurons.",
                WERFEL, "nodes", AtMost(4.0), 0.0, "standard errors of the mean",
                {"draws": 2, "parts": "noise"},
            ),
            Claim(
                "For half the gradient's square as error, perturbations take two draws for each number.",
                WERFEL, "price_error", 1.0, 0.3, "sampling, of 12 estimates each", {"budget": 1.0, "parts": "price"},
            ),
            Claim(
                "Backpropagation has it exactly, for less than a hundredth of the operations of perturbed weights.",
                "T. P. Lillicrap et al. (2020), fig. 1", "price_weights", AtLeast(100.0), 0.0,
                "counted, of 20 inputs and 16 neurons", {"budget": 0.05, "parts": "price"},
            ),
            Claim(
                "And for less than a tenth of those of perturbed neurons.",
                "T. P. Lillicrap et al. (2020), fig. 1", "price_nodes", AtLeast(10.0), 0.0,
                "counted, of 20 inputs and 16 neurons", {"budget": 0.05, "parts": "price"},
            ),
        ),
        measure=measure,
        pictures={"Accuracy by the way errors go back.": accuracies, "Feedback alignment aligns.": falling},
    )
)  # fmt: skip
