"""Deep networks as nested dynamical systems: learners that compose, feedback without learning, an adaptive controller,
a market whose wealth is a posterior, and synapses as the artificial neurons."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.learners.nested import (
    UNIT,
    Reals,
    Signals,
    from_rule,
    gradient_learner,
    prediction_market,
    run,
    step,
    system,
    wiring,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64
SIZES = (5, 7, 6, 3)


def measure(
    seed: int, size: Size, rate: float = 0.1, payment: str = "bets", coupled: bool = True, adapts: bool = True,
    answers: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """rate: of the composed learners, beside SGD at .1. payment: whether the market pays by "bets" or "equal" shares.
    coupled: whether two oscillators hear each other. adapts: whether the controller's gains learn. answers: whether the
    nerve cell's answer comes back to its synapses."""
    steps = 30 if size == "small" else 1000
    course = control(400, adapts)
    return {
        "composed": composed(seed, steps, rate),
        "market": market(seed, steps, payment),
        "oscillation": oscillation(steps, coupled),
        "controlled": max(abs(x - 1) for x in course[-50:]),
        "course": course,
        **synapses(seed, steps, answers),
    }


def composed(seed: int, steps: int, rate: float) -> float:
    """Largest difference of weights and gradients at the input between three composed layers, each a lens that learns,
    and backpropagation with stochastic gradient descent at .1 through the whole."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3)).to(F64)
    layers = [m for m in model if isinstance(m, nn.Linear)]

    def lens(k: int) -> Any:
        n, m = SIZES[k], SIZES[k + 1]

        def function(p: Tensor, x: Tensor) -> Tensor:
            y = x @ p[: n * m].view(m, n).T + p[n * m :]
            return torch.tanh(y) if k < 2 else y

        own = torch.cat([layers[k].weight.detach().flatten(), layers[k].bias.detach()])
        return gradient_learner(function, own, n, m, rate)

    whole = reduce(lambda a, b: a >> b, [lens(k) for k in range(3)])
    optimizer, state, worst = torch.optim.SGD(model.parameters(), 0.1), whole.start, 0.0
    for _ in range(steps):
        x, target = torch.randn(4, 5, dtype=F64), torch.randn(4, 3, dtype=F64)
        state, _, back = step(whole, state, x, lambda y, goal=target: (y - goal) / len(goal))
        own = x.clone().requires_grad_()
        optimizer.zero_grad()
        ((model(own) - target).square().sum() / 8).backward()
        optimizer.step()
        assert own.grad is not None
        worst = max(worst, float((back - own.grad).abs().max()))
    (first, second), last = state
    for layer, p in zip(layers, (first, second, last), strict=True):
        flat = torch.cat([layer.weight.detach().flatten(), layer.bias.detach()])
        worst = max(worst, float((p - flat).abs().max()))
    return worst


def market(seed: int, rounds: int, payment: str) -> float:
    """Largest difference between the traders' shares and the posterior: prior times likelihoods, normalised."""
    draw = torch.Generator().manual_seed(seed)
    prior = torch.rand(4, generator=draw, dtype=F64)
    prior /= prior.sum()
    lens, state = prediction_market(prior, 3), prior
    log, worst = prior.log(), 0.0
    for _ in range(min(rounds, 30)):
        bets = torch.rand(4, 3, generator=draw, dtype=F64) + 0.05
        bets /= bets.sum(1, keepdim=True)
        outcome = int(torch.randint(3, (), generator=draw))
        log = log + bets[:, outcome].log()
        if payment == "equal":
            bets = bets.mean(0).expand(4, 3)
        nested = reduce(lambda a, b: (a, b), list(bets))
        state, _, _ = step(lens, state, nested, outcome)
        worst = max(worst, float((state - torch.softmax(log, 0)).abs().max()))
    return worst


def oscillation(steps: int, coupled: bool) -> float:
    """Two systems, each driven by what the other shows, and nothing that learns: the difference from the powers of
    their matrix."""
    one = system(Reals(1), torch.tensor([1.0], dtype=F64), lambda s: s, lambda s, d: s + 0.05 * d)
    two = system(Reals(1), torch.tensor([0.0], dtype=F64), lambda s: s, lambda s, d: s - 0.05 * d)

    def back(shown: Any, d: Any) -> Any:
        return (shown[1], shown[0]) if coupled else (0 * shown[1], 0 * shown[0])

    loop = wiring(Reals(1) * Reals(1), UNIT, lambda shown: (), back)
    both = wiring(UNIT, UNIT * UNIT, lambda i: ((), ()), lambda i, d: ())
    ((_, (x, y)), _), _ = run(both >> (one * two) >> loop, [((), ())] * steps)
    matrix = torch.tensor([[1.0, 0.05], [-0.05, 1.0]], dtype=F64)
    expected = torch.linalg.matrix_power(matrix, steps)[:, 0]
    return float((torch.cat([x, y]) - expected).abs().max() / expected.norm())


def control(steps: int, adapts: bool) -> list[float]:
    """x ← .9 x + .5 u, to be held at 1 by gains that learn from the error that comes back; they begin at 0."""
    plant = system(Reals(1), torch.zeros(1, dtype=F64), lambda s: s, lambda s, u: 0.9 * s + 0.5 * u)
    law = gradient_learner(
        lambda p, x: p[:1] * (1 - x) + p[1:], torch.zeros(2, dtype=F64), 1, 1, 0.05 if adapts else 0.0
    )
    x, gains, course = plant.start, law.start, []
    for _ in range(steps):
        after, _, _ = step(plant, x, (), law.forward(gains, x))
        gains, _, _ = step(law, gains, x, after - 1)
        x = after
        course.append(float(x[0]))
    return course


def synapses(seed: int, steps: int, answers: bool) -> dict[str, float]:
    """Synapses that learn by Oja's rule, and a nerve cell behind them: which of both has a state, and whether weights
    go to the first principal component of what they receive."""
    draw = torch.Generator().manual_seed(seed)
    spread = torch.tensor([3.0, 1.0, 0.5], dtype=F64)
    axes = torch.linalg.qr(torch.randn(3, 3, generator=draw, dtype=F64))[0]
    weight = torch.randn(1, 3, generator=draw, dtype=F64)
    synapse = from_rule(rv.rules.Oja(eta=0.02), weight / weight.norm(), 1)
    cell = wiring(Reals(1), Signals(1), lambda drive: drive, lambda drive, d: drive if answers else 0 * drive)
    state = (synapse >> cell).start
    for _ in range(max(steps, 300)):
        x = (spread * torch.randn(1, 3, generator=draw, dtype=F64)) @ axes.T
        state, _, _ = step(synapse >> cell, state, x, ())
    w = state[0][1][0]
    return {"component": float((w @ axes[:, 0]).abs() / w.norm()), "wire": float(state[1] == ())}


def held(material: dict[str, Any]) -> Figure:
    """The plant in the loop."""
    figure, axes = canvas(4.2, 2.4)
    axes.plot(material["course"], color=COLOURS[0])
    axes.axhline(1.0, color="0.7")
    axes.set(xlabel="step", ylabel="state of the plant")
    return figure


SHAPIRO = "Shapiro & Spivak (2022), Dynamic categories, dynamic operads"
register(
    Experiment(
        name="nested_systems",
        title="Deep networks as nested dynamical systems",
        paper="D. I. Spivak & T. Hosgood (2021). Deep neural networks as nested dynamical systems. arXiv 2111.01297.",
        doi="10.48550/arXiv.2111.01297",
        summary="Cells, rules and learners are lenses with a state. In a row and in parallel they compose: to "
        "backpropagation, to oscillators, to controllers that adapt, to a market that reasons as Bayes would. In these "
        "types the thing that learns, the artificial neuron, is the synapse; the nerve cell is the wire.",
        claims=(
            Claim(
                "Learners composed in a row are backpropagation with stochastic gradient descent.",
                "Fong, Spivak & Tuyéras (2019), theorem III.2", "composed", AtMost(0.0), 1e-12, "double precision",
                {"rate": 0.101},
            ),
            Claim(
                "A prediction market's wealth is the posterior over its traders.",
                SHAPIRO, "market", AtMost(0.0), 1e-12, "double precision", {"payment": "equal"},
            ),
            Claim(
                "Dynamical systems wired in feedback oscillate, with nothing that learns.",
                SHAPIRO, "oscillation", AtMost(0.0), 1e-12, "double precision", {"coupled": False},
            ),
            Claim(
                "A controller in a closed loop adapts until the plant is held.",
                "Spivak & Hosgood (2021), section 1", "controlled", AtMost(0.02), 0.0, "a fiftieth of the goal",
                {"adapts": False},
            ),
            Claim(
                "What learns is the synapse: weights go to the first principal component by what the cell answers.",
                "Spivak & Hosgood (2021), section 1; Oja (1982)", "component", AtLeast(0.95), 0.0,
                "18° of noise at a rate of .02", {"answers": False},
            ),
        ),
        measure=measure,
        pictures={"A plant, held by a controller that learns.": held},
    )
)  # fmt: skip
