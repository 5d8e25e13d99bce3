"""Agents with codes of their own for one world: the same topology, other coordinates; what lets one read another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.analysis import manifolds
from ranvier.analysis.decoding import align, circular_error, permutation_score, ridge
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

AGENTS, CELLS, AXES, WORDS = 4, 60, 6, 24  # cells of an agent; components of its latents; its vocabulary


def measure(
    seed: int, size: Size, shuffled: bool = False, shared: int = 120, words: int = WORDS, same: bool = False,
    turn: float = 1.0,
) -> dict[str, Any]:
    """Agents that walk about one ring, each with cells, gains and mixtures of its own.

    shuffled: whether the moments that they share come in another order. shared: their number. words: of the
    vocabulary. same: whether all have the very same cells, and coordinates. turn: the part of the ring that there is.
    """
    moments, points = {"small": (1500, 150), "full": (10_000, 400)}[size]
    rng = np.random.default_rng(seed)
    world = np.cumsum(0.15 * rng.standard_normal(moments)) % (2 * np.pi)
    world = world * turn
    train, test = slice(0, moments // 2), slice(moments // 2, None)
    senses = [cells(rng) for _ in range(AGENTS)]
    activity = [respond(senses[0 if same else k], world, rng) for k in range(AGENTS)]
    axes = [manifolds.principal_components(activity[0 if same else k][train], AXES) for k in range(AGENTS)]
    latents = [a.project(x) for a, x in zip(axes, activity, strict=True)]
    one, two = activity[:2]
    truth = np.column_stack([np.cos(world), np.sin(world)])
    readers = [ridge(x[train], truth[train]) for x in latents]

    def error(predicted: np.ndarray) -> float:
        return float(np.degrees(circular_error(angle(predicted), world[test])))

    by_shared = {}
    for number in sorted({10, 30, shared}):
        chosen = rng.permutation(moments // 2)[:number]
        partner = rng.permutation(chosen) if shuffled else chosen
        # a common moment is a label; the mean response to it is one response
        place, reference = align(two[partner], np.arange(number), one[chosen], np.arange(number), k=AXES)
        by_shared[number] = error(ridge(reference.project(one)[train], truth[train])(place(two[test])))
    message = spoken(latents[0], words, train)
    heard = rng.permutation(message[train]) if shuffled else message[train]
    meaning = np.stack([latents[1][train][heard == w].mean(0) if (heard == w).any() else np.zeros(AXES)
                        for w in range(words)])  # fmt: skip
    own = readers[1]
    by_word = own(meaning[message[test]])
    decoded = angle(own(latents[1][test]))
    chance = permutation_score(lambda y: float(np.degrees(circular_error(decoded, y))), world[test], shift=True,
                               permutations=20, greater=False)  # fmt: skip
    unread = [error(readers[a](latents[b][test])) for a in range(AGENTS) for b in range(AGENTS) if a != b]
    return {
        "rings": sum(ring(x, points) == (1, 1) for x in latents), "unread": float(np.mean(unread)),
        "own": error(own(latents[1][test])), "aligned": by_shared[shared], "spoken": error(by_word),
        "bits": float(np.log2(words)), "chance": chance.chance, "by_shared": by_shared, "latents": latents,
        "world": world,
    }  # fmt: skip


def angle(vector: np.ndarray) -> np.ndarray:
    """Of rows of cosine and sine."""
    return np.arctan2(vector[:, 1], vector[:, 0]) % (2 * np.pi)


def cells(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Preferred directions, widths, gains and a random mixture of them."""
    return {
        "preferred": rng.uniform(0, 2 * np.pi, CELLS), "width": rng.uniform(1.0, 4.0, CELLS),
        "gain": rng.lognormal(0, 0.4, CELLS), "mix": np.linalg.qr(rng.standard_normal((CELLS, CELLS)))[0],
    }


def respond(sense: dict[str, np.ndarray], world: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noisy activity (moments, cells)."""
    rate = sense["gain"] * np.exp(sense["width"] * (np.cos(world[:, None] - sense["preferred"]) - 1))
    return (rate + 0.1 * rng.standard_normal(rate.shape)) @ sense["mix"]


def ring(latent: np.ndarray, points: int) -> tuple[int, ...]:
    """Numbers of pieces and loops that live longer than half of the longest loop, of evenly chosen moments."""
    chosen = manifolds.farthest(latent, points)
    homology = manifolds.persistence(manifolds.distances(latent[chosen]))
    pieces, loops = homology.lifetimes(0)[1:], homology.lifetimes(1)
    bar = 0.5 * float(loops.max(initial=0.0))
    return 1 + int((pieces > bar).sum()), int((loops > bar).sum())


def spoken(latent: np.ndarray, words: int, train: slice) -> np.ndarray:
    """The word of each moment, the nearest of the speaker's landmarks: one active unit of `words`."""
    marks = latent[train][manifolds.farthest(latent[train], words)]
    return ((latent[:, None] - marks) ** 2).sum(2).argmin(1)


def private_latents(material: dict[str, Any]) -> Figure:
    """Two agents' latents, coloured by the world; error by shared moments."""
    figure, (row,) = canvas(9, 2.8, 1, 3)
    for axis, latent, name in zip(row, material["latents"], ("one agent", "the other")):
        axis.scatter(latent[:, 0], latent[:, 1], c=material["world"], s=2, cmap="twilight")
        axis.set(title=name, xticks=[], yticks=[])
    row[2].plot(list(material["by_shared"]), list(material["by_shared"].values()), "o-", color=COLOURS[0])
    row[2].axhline(material["chance"], color=COLOURS[5])
    row[2].set(xlabel="shared moments", ylabel="error (°)", xscale="log")
    return figure


BLOG, CHANCE = "The seeds' text: latents are unique, and shared by communication", "90° by chance"
register(
    Experiment(
        name="communication",
        title="Private latents, shared by messages",
        paper="R. J. Gardner et al. (2022). Toroidal topology of population activity in grid cells. Nature "
        "602:123–128; and the project's own claim on communication.",
        doi="10.1038/s41586-021-04268-7",
        summary="Four agents walk one ring, with cells of their own. Each one's activity is a ring, in coordinates "
        "that are nobody else's: a reader of one is at a loss with the other. A rotation, from moments that both "
        "shared, or a sparse message, one of 24 words that each has tied to its own states, lets one read the other.",
        claims=(
            Claim("The activity of all four agents has one piece and one loop.", BLOG, "rings", 4, 0, "whole numbers",
                  {"turn": 0.5}),
            Claim("A reader of one agent's latents cannot read another's.", BLOG, "unread", AtLeast(45.0), 0.0,
                  "half of chance: " + CHANCE, {"same": True}, "degrees"),
            Claim("Aligned by 120 shared moments, it can.", BLOG, "aligned", AtMost(20.0), 0.0, CHANCE,
                  {"shuffled": True}, "degrees"),
            Claim("A message of one active unit in 24 tells the world's state.", BLOG, "spoken", AtMost(20.0), 0.0,
                  CHANCE + "; words alone leave 360°/24/4", {"shuffled": True}, "degrees"),
        ),
        measure=measure,
        pictures={"Private latents; error by shared moments.": private_latents},
    )
)  # fmt: skip
