"""Neural circuit architectural priors: a worm's circuit of four weights swims before it has learned anything."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register
from ranvier.bodies import NCAP, Swimmer, evolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: steps of an episode, networks of random weights, generations of evolution, steps of its episodes
SIZES = {"small": (200, 8, 8, 100), "full": (1000, 20, 200, 1000)}
LINKS, HIDDEN = 6, 64


def measure(
    seed: int, size: Size, signed: bool = True, circuit: bool = True, control: str = "mlp", bodies: str = "circuit"
) -> dict[str, Any]:
    """Returns of untrained networks, of both after as many generations, and of the circuit in other bodies.

    signed: whether the circuit's weights have the worm's signs; else the median of random ones. circuit: whether the
    prior is the circuit; else a perceptron replaces it. control: what it is compared with, mlp or circuit. bodies:
    what swims in other bodies, circuit or random.
    """
    steps, nets, generations, short = SIZES[size]
    prior = untrained("ncap" if circuit else "mlp", steps, 1) if signed else untrained("unsigned", steps, nets)
    mlp = untrained("mlp" if control == "mlp" else "ncap", steps, nets)
    budgets = {name: trained(name, generations, short, seed) for name in ("ncap", "mlp")}
    learned, other = budgets["ncap" if circuit else "mlp"], budgets[control if control == "mlp" else "ncap"]
    chain = {links: transfer(links, steps, bodies == "circuit") for links in (4, 8, 12)}
    body = Swimmer(LINKS)
    return {
        "untrained": prior / steps,
        "ratio": prior / max(mlp, 1e-9),
        "unsigned_share": untrained("unsigned", steps, nets) / untrained("ncap", steps, 1) if signed else 1.0,
        "after_evolution": learned[-1] / max(other[-1], 1e-9),
        "other_bodies": min(chain.values()) / steps,
        "curves": budgets,
        "short": short,
        "episode": body.run(NCAP(LINKS - 1).controller(), steps, seed=seed),
    }


@lru_cache(maxsize=16)
def untrained(kind: str, steps: int, nets: int) -> float:
    """The median return of `nets` networks that have not learned."""
    body = Swimmer(LINKS)
    returns = []
    for k in range(nets):
        if kind == "mlp":
            controller = perceptron(start(k))
        else:
            controller = NCAP(LINKS - 1, signed=kind == "ncap", seed=k).controller()
        returns.append(body.run(controller, steps, seed=k).total)
    return float(np.median(returns))


@lru_cache(maxsize=4)
def trained(kind: str, generations: int, steps: int, seed: int) -> tuple[float, ...]:
    """Mean returns of the generations."""
    body, cell = Swimmer(LINKS), NCAP(LINKS - 1)

    def fitness(x: np.ndarray, episode: int) -> float:
        return body.run(cell.controller(x) if kind == "ncap" else perceptron(x), steps, seed=episode).total

    begin = cell.weight.detach().numpy() if kind == "ncap" else start(seed)
    return tuple(evolve(fitness, begin, generations, seed=seed)[1])


def transfer(links: int, steps: int, circuit: bool) -> float:
    """The untrained circuit's return in another body; else that of random torques."""
    rng = np.random.default_rng(links)
    noise = rng.uniform(-1, 1, (steps, links - 1))
    return Swimmer(links).run(NCAP(links - 1).controller() if circuit else lambda q, k: noise[k], steps).total


def start(seed: int) -> np.ndarray:
    """Random weights of a perceptron of two hidden layers, flat."""
    rng = np.random.default_rng(seed)
    sizes = (LINKS + 1, HIDDEN, HIDDEN, LINKS - 1)
    layers = pairwise(sizes)
    return np.concatenate([rng.standard_normal(a * b) / a**0.5 for a, b in layers])


def perceptron(x: np.ndarray) -> Any:
    """Tangents of joints and of the oscillator's phase (Bhattasali et al. give it the time, too)."""
    a, b = (LINKS + 1) * HIDDEN, HIDDEN * HIDDEN
    first, second = x[:a].reshape(HIDDEN, LINKS + 1), x[a : a + b].reshape(HIDDEN, HIDDEN)
    last = x[a + b :].reshape(LINKS - 1, HIDDEN)

    def control(joints: np.ndarray, step: int) -> np.ndarray:
        phase = 2 * np.pi * step / 60
        hidden = np.tanh(first @ np.concatenate([joints, [np.sin(phase), np.cos(phase)]]))
        return np.tanh(last @ np.tanh(second @ hidden))

    return control


def pictures(material: dict[str, Any]) -> Figure:
    """The body on its way, and returns during evolution."""
    figure, axes = canvas(7, 2.8, 1, 2)
    left, right = axes[0]
    places = material["episode"].places
    shown = np.linspace(0, len(places) - 1, 12).astype(int)
    for k, step in enumerate(shown):
        left.plot(*places[step].T, color=COLOURS[0], alpha=0.2 + 0.8 * k / len(shown), lw=2)
    left.plot(*places[:, 0].T, color=COLOURS[1], lw=0.8)
    left.set(aspect="equal", xlabel="x (m)", ylabel="y (m)", title="untrained")
    for (name, curve), colour in zip(material["curves"].items(), COLOURS, strict=False):
        right.plot(np.array(curve) / material["short"], color=colour, label=name)
    right.set(xlabel="generation", ylabel="return a step", ylim=(0, 1.02))
    right.legend()
    return figure


PAPER = "Bhattasali, Zador & Engel (2022), NeurIPS"

register(
    Experiment(
        name="ncap",
        title="A worm's circuit in a swimmer",
        paper="N. X. Bhattasali, A. M. Zador and T. A. Engel (2022). Neural circuit architectural priors for embodied "
        "control. NeurIPS 2022.",
        summary="Proprioception from the segment ahead, an oscillator in the head, excitation of the same side and "
        "inhibition of the other: four weights, shared by all segments. With the signs of the worm the body swims at "
        "once; with random signs it does not.",
        claims=(
            Claim(
                "Before it has learned, the circuit earns more than half of all there is.",
                PAPER, "untrained", AtLeast(0.5), 0.0, "a bound", {"signed": False},
            ),
            Claim(
                "That is 5 times the median of untrained perceptrons.",
                PAPER, "ratio", AtLeast(5.0), 0.0, "a bound", {"circuit": False},
            ),
            Claim(
                "With random signs the start is lost.",
                PAPER, "unsigned_share", AtMost(0.25), 0.0, "a bound on a median", {"signed": False},
            ),
            Claim(
                "At the same early budget of evolution it is ahead of a perceptron.",
                PAPER, "after_evolution", AtLeast(1.5), 0.0, "a bound", {"control": "circuit"},
            ),
            Claim(
                "It swims in bodies of 4 to 12 links without learning anew.",
                PAPER, "other_bodies", AtLeast(0.3), 0.0, "a bound", {"bodies": "random"},
            ),
        ),
        measure=measure,
        pictures={"An untrained swimmer's way, from pale to dark; and evolution.": pictures},
    )
)  # fmt: skip
