"""Neural circuit architectural priors: a worm's circuit of four weights swims before it has learned anything."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Film, Size, canvas, register
from ranvier.atlas.bodies._worm import worm_controller
from ranvier.bodies import NCAP, Swimmer, evolve, policy_gradient
from ranvier.bodies.swimmer import CONTROL, FULL_SPEED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: steps of an episode, networks of random weights, generations of evolution, steps of its episodes, iterations of the
#: policy gradient
SIZES = {"small": (150, 5, 4, 80, 0), "full": (1000, 20, 100, 300, 15)}
LINKS, HIDDEN = 6, 64
BODIES = (4, 8, 12)
LAYERS = (LINKS + 1, HIDDEN, HIDDEN, LINKS - 1)


def measure(
    seed: int, size: Size, signed: bool = True, circuit: bool = True, control: str = "mlp", bodies: str = "circuit",
    magnitudes: str = "random", proprioception: float = 1.0,
) -> dict[str, Any]:  # fmt: skip
    """Returns of untrained networks, of both during equal learning, and of the circuit in other bodies.

    signed: whether the circuit's weights have the worm's signs; else the median of random ones. circuit: whether the
    prior is the circuit; else a perceptron replaces it. control: what it is compared with, mlp or circuit. bodies:
    what swims in other bodies, circuit or random. magnitudes: of the signed circuit that has lost them, random or one.
    proprioception: of the worm's motor neurons.
    """
    steps, nets, generations, short, iterations = SIZES[size]
    own = ("ncap" if signed else "unsigned") if circuit else "mlp"
    prior = untrained(own, steps, nets)
    mlp = untrained("mlp" if control == "mlp" else "ncap", steps, nets)
    courses = {name: trained(name, generations, short, seed)[1] for name in ("ncap", "mlp")}
    rival = courses["mlp" if control == "mlp" else "ncap"]
    tenth = max(generations // 10, 3)
    chain = [transfer(links, steps, bodies == "circuit") for links in BODIES]
    padded = [perceptron_elsewhere(links, steps, generations, short, seed) for links in BODIES]
    worm = Swimmer(LINKS).run(NCAP(LINKS - 1).controller(), steps, seed=seed)
    result: dict[str, Any] = {
        "untrained": prior / steps,
        "ratio": prior / max(mlp, 1e-9),
        "unsigned_share": untrained("unsigned", steps, nets) / untrained("ncap", steps, nets) if signed else 1.0,
        "magnitudes_share": untrained(magnitudes, steps, nets) / untrained("ncap", steps, nets),
        "parameter_ratio": parameters("mlp") / parameters("ncap" if circuit else "mlp"),
        "early": mean(courses["ncap"][:tenth]) / max(mean(rival[:tenth]), 1e-9),
        "other_bodies": min(chain) / steps,
        "over_padded": min(own / max(other, 1e-9) for own, other in zip(chain, padded, strict=True)),
        **dict.fromkeys(("late", "learning_kept", "gradient", "worm", "unwired")),
        "courses": courses,
        "short": short,
        "episode": worm,
    }
    if size == "full":
        last, best = (mean(courses["ncap"][-tenth:]), mean(courses["mlp"][-tenth:]))
        ablated = trained("random" if signed else "unsigned", generations, short, seed)[1]
        gradients = {name: by_gradient(name, iterations, short, seed) for name in ("ncap", "mlp")}
        driven = {w: crawl(seed, w, proprioception) for w in (1.0, 0.0)}
        share, other = iterations // 3, control if control == "mlp" else "ncap"
        result |= {
            "late": (last if signed else mean(ablated[-tenth:])) / best,
            "learning_kept": mean(ablated[-tenth:]) / last,
            "gradient": mean(gradients["ncap"][:share]) / mean(gradients[other][:share]),
            "worm": driven[1.0],
            "unwired": driven[0.0],
        }
    return result


def mean(values: Any) -> float:
    return float(np.mean(values))


def parameters(kind: str) -> int:
    """How many there are."""
    return len(start(0)) if kind == "mlp" else sum(p.numel() for p in NCAP(LINKS - 1).parameters())


@lru_cache(maxsize=16)
def untrained(kind: str, steps: int, nets: int) -> float:
    """The median return of `nets` networks that have not learned."""
    body = Swimmer(LINKS)
    seeds = range(1 if kind in ("ncap", "one") else nets)
    return float(np.median([body.run(controller(kind, None, k), steps, seed=k).total for k in seeds]))


def circuit_of(kind: str, seed: int) -> NCAP:
    """NCAP with weights of one ("ncap", "one"), signed random ones, or ones without signs."""
    return NCAP(LINKS - 1, signed=kind != "unsigned", magnitudes="random" if kind == "random" else "one", seed=seed)


def controller(kind: str, x: np.ndarray | None, seed: int) -> Any:
    """Of flat weights x, or of those that learning begins with."""
    if kind == "mlp":
        return perceptron(start(seed) if x is None else x)
    return circuit_of(kind, seed).controller(x)


@lru_cache(maxsize=8)
def trained(kind: str, generations: int, steps: int, seed: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Weights after evolution, and mean returns of the generations."""
    body = Swimmer(LINKS)
    begin = start(seed) if kind == "mlp" else circuit_of(kind, seed).weight.detach().numpy()

    def fitness(x: np.ndarray, episode: int) -> float:
        return body.run(controller(kind, x, seed), steps, seed=episode).total

    x, log = evolve(fitness, begin, generations, seed=seed)
    return x, tuple(log)


@lru_cache(maxsize=4)
def by_gradient(kind: str, iterations: int, steps: int, seed: int) -> tuple[float, ...]:
    """Mean returns during a policy gradient of equal settings."""
    cell: nn.Module = NCAP(LINKS - 1) if kind == "ncap" else Perceptron(start(seed))
    return tuple(policy_gradient(Swimmer(LINKS), cell, iterations, steps=steps, seed=seed))


def transfer(links: int, steps: int, circuit: bool) -> float:
    """The untrained circuit's return in another body; else that of random torques."""
    rng = np.random.default_rng(links)
    noise = rng.uniform(-1, 1, (steps, links - 1))
    return Swimmer(links).run(NCAP(links - 1).controller() if circuit else lambda q, k: noise[k], steps).total


@lru_cache(maxsize=8)
def perceptron_elsewhere(links: int, steps: int, generations: int, short: int, seed: int) -> float:
    """The evolved perceptron's return in another body: it moves as many joints as it has outputs, from the head on;
    inputs that there are not are 0."""
    inner, n = perceptron(trained("mlp", generations, short, seed)[0]), LINKS - 1

    def control(joints: np.ndarray, step: int) -> np.ndarray:
        torques = inner(np.pad(joints[:n], (0, max(0, n - len(joints)))), step)
        return np.pad(torques[: len(joints)], (0, max(0, len(joints) - n)))

    return Swimmer(links).run(control, steps).total


@lru_cache(maxsize=4)
def crawl(seed: int, wiring: float, proprioception: float, steps: int = 200) -> float:
    """Forward speed, of the one that earns all, of the body that the measured nervous system drives, after a period."""
    control = worm_controller(LINKS, wiring=wiring, proprioception=proprioception)
    return float(Swimmer(LINKS).run(control, steps, seed=seed).speed[60:].mean() / FULL_SPEED)


def start(seed: int) -> np.ndarray:
    """Random weights of a perceptron of two hidden layers, flat."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.standard_normal(a * b) / a**0.5 for a, b in pairwise(LAYERS)])


def matrices(x: Any) -> list[Any]:
    """A flat array's or tensor's layers [target, source]."""
    parts, k = [], 0
    for a, b in pairwise(LAYERS):
        parts.append(x[k : k + a * b].reshape(b, a))
        k += a * b
    return parts


def perceptron(x: np.ndarray) -> Any:
    """Tangents of joints and of the oscillator's phase (Bhattasali et al. give it the time, too)."""
    first, second, last = matrices(x)

    def control(joints: np.ndarray, step: int) -> np.ndarray:
        phase = 2 * np.pi * step / 60
        hidden = np.tanh(first @ np.concatenate([joints, [np.sin(phase), np.cos(phase)]]))
        return np.tanh(last @ np.tanh(second @ hidden))

    return control


class Perceptron(nn.Module):
    """The same as a `Cell`."""

    def __init__(self, x: np.ndarray) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(x.copy()))

    def init_state(self, batch: int) -> dict[str, Tensor]:
        return {"step": self.weight.new_zeros(batch, 1)}

    def step(self, state: dict[str, Tensor], x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        first, second, last = matrices(self.weight)
        phase = 2 * torch.pi * state["step"] / 60
        hidden = torch.tanh(torch.cat([x, phase.sin(), phase.cos()], 1) @ first.T)
        return {"step": state["step"] + 1}, torch.tanh(torch.tanh(hidden @ second.T) @ last.T)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        state, outputs = self.init_state(x.shape[1]), []
        for row in x.unbind(0):
            state, y = self.step(state, row)
            outputs.append(y)
        return torch.stack(outputs), state


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
    for (name, curve), colour in zip(material["courses"].items(), COLOURS, strict=False):
        right.plot(np.array(curve) / material["short"], color=colour, label=name)
    right.set(xlabel="generation", ylabel="return a step", ylim=(0, 1.02))
    right.legend()
    return figure


def film(material: dict[str, Any]) -> Film:
    """Every second step of the first 120."""
    return Film(material["episode"].places[:120:2], interval=2000 * CONTROL, caption="untrained, four weights")


PAPER = "Bhattasali, Zador & Engel (2022), NeurIPS"

register(
    Experiment(
        name="ncap",
        title="A worm's circuit in a swimmer",
        paper="N. X. Bhattasali, A. M. Zador and T. A. Engel (2022). Neural circuit architectural priors for embodied "
        "control. NeurIPS 2022.",
        summary="Proprioception from the segment ahead, an oscillator in the head, excitation of the same side and "
        "inhibition of the other: four weights, shared by all segments. With the signs of the worm the body swims at "
        "once; with random signs it does not. The measured nervous system of 302 neurons, run by the compiled engine, "
        "swims, too, by the proprioception of its motor neurons; with all connections between neurons cut it swims no "
        "worse (metric unwired), so this gait does not test the wiring.",
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
                "With the worm's signs and random magnitudes it is, too, in the median.",
                PAPER, "magnitudes_share", AtMost(0.5), 0.0, "a bound on a median", {"magnitudes": "one"},
            ),
            Claim(
                "It has orders of magnitude fewer parameters.",
                f"{PAPER}, abstract", "parameter_ratio", AtLeast(100.0), 0.0, "two orders", {"circuit": False},
            ),
            Claim(
                "At the same early budget of evolution it is ahead of a perceptron.",
                PAPER, "early", AtLeast(1.5), 0.0, "a bound", {"control": "circuit"},
            ),
            Claim(
                "It swims in bodies of 4 to 12 links without learning again.",
                PAPER, "other_bodies", AtLeast(0.3), 0.0, "a bound", {"bodies": "random"},
            ),
            Claim(
                "There it earns more than a perceptron that evolved in 6 links.",
                PAPER, "over_padded", AtLeast(1.5), 0.0, "a bound, the worst of three bodies", {"bodies": "random"},
            ),
            Claim(
                "At the end of evolution it earns no less.",
                f"{PAPER}, abstract: comparable", "late", AtLeast(0.8), 0.0, "a fifth less is still comparable",
                {"signed": False},
                only="full size",
            ),
            Claim(
                "With random magnitudes it learns as far; without signs it does not.",
                PAPER, "learning_kept", AtLeast(0.8), 0.0, "a bound", {"signed": False},
                only="full size",
            ),
            Claim(
                "By a policy gradient (REINFORCE, without a critic), too, it is ahead early.",
                PAPER, "gradient", AtLeast(1.5), 0.0, "a bound", {"control": "circuit"},
                only="full size",
            ),
            Claim(
                "The measured nervous system in the compiled engine drives the body forward.",
                "the project's own, on the wiring of Cook et al. (2019)", "worm", AtLeast(0.2), 0.0,
                "a bound, in .1 m/s", {"proprioception": 0.0},
                ours=True,
                only="full size",
            ),
        ),
        measure=measure,
        pictures={
            "An untrained swimmer's way, from pale to dark; and evolution.": pictures,
            "The untrained swimmer, as fast as it is.": film,
        },
    )
)  # fmt: skip
