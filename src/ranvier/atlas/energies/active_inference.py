"""Active inference in a T-maze: an agent that counts what it would learn looks at the cue before it chooses an arm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, register
from ranvier.energies.predictive.active_inference import (
    GenerativeModel,
    all_policies,
    expected_free_energy,
    infer_states,
    predict_states,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

PLACES = ("centre", "right arm", "left arm", "cue")
CENTRE, CUE = 0, 3
TRIALS = {"small": 60, "full": 1000}


def measure(
    seed: int, size: Size, win: float = 0.9, cue: float = 1.0, ambiguity: str = "of outcomes given states",
    curious: float = 0.0, moves: int = 2,
) -> dict[str, Any]:  # fmt: skip
    """win: the chance of reward in the right arm, and of punishment in the wrong one. cue: 1 if it tells the truth, 0
    if it says nothing. ambiguity: "of outcomes" puts H[Q(o)] for <H[P(o|s)]>. curious: weight of the epistemic value
    for the agent that should have none. moves: in a trial."""
    model, trials = t_maze(win, cue), TRIALS[size]
    agents = {"expected free energy": (1.0, ambiguity), "reward alone": (curious, ambiguity)}
    paths: dict[str, list[list[int]]] = {}
    wins = {}
    for name, (weight, kind) in agents.items():
        g = torch.Generator().manual_seed(seed)
        paths[name], wins[name] = [], 0
        known: dict[tuple[Any, ...], Any] = {}
        for _ in range(trials):
            path, won = trial(model, weight, kind, moves, g, known)
            paths[name].append(path)
            wins[name] += won
    efe = paths["expected free energy"]
    split = expected_free_energy(model, infer_states(model, (CENTRE, 0, 0), model.D), all_policies(model, moves))
    return {
        "cue_first": sum(path[1] == CUE for path in efe) / trials,
        "reward_only_cue_first": sum(path[1] == CUE for path in paths["reward alone"]) / trials,
        "then_arm": sum(path[1] == CUE and path[2] in (1, 2) for path in efe) / trials if moves > 1 else 0.0,
        "wins": wins["expected free energy"] / trials,
        "wins_error": 4 * math.sqrt(win * (1 - win) / trials),
        "reward_only_wins": wins["reward alone"] / trials,
        "reward_only_error": 4 * math.sqrt(0.25 / trials),
        "two_splits": float((split.total + split.epistemic + split.pragmatic).abs().max()),
        "cue_information": float(split.epistemic[place(model, CUE, moves), 0]),
        "arm_information": float(split.epistemic[place(model, 1, moves), 0]),
        "paths": paths,
    }  # fmt: skip


def place(model: GenerativeModel, where: int, moves: int) -> int:
    """The first policy that begins there."""
    return int((all_policies(model, moves)[:, 0, 0] == where).nonzero()[0])


def t_maze(win: float, cue: float) -> GenerativeModel:
    """Factors: where the agent is, which arm holds the reward. Modalities: place; reward (none, reward, punishment);
    cue (right, left; either by chance elsewhere). Once in an arm, the agent stays."""
    here, reward, signal = torch.zeros(4, 4, 2), torch.zeros(3, 4, 2), torch.zeros(2, 4, 2)
    for context in range(2):
        here[:, :, context] = torch.eye(4)
        reward[0, [CENTRE, CUE], context] = 1
        reward[:, 1 + context, context] = torch.tensor([0, win, 1 - win])
        reward[:, 2 - context, context] = torch.tensor([0, 1 - win, win])
        signal[:, :3, context] = 0.5
        signal[:, CUE, context] = (1 - cue) / 2
        signal[context, CUE, context] = (1 + cue) / 2
    move = torch.zeros(4, 4, 4)
    for target in range(4):
        move[target, [CENTRE, CUE], target] = 1
        move[[1, 2], [1, 2], target] = 1
    still = torch.eye(2)[:, :, None]
    preferences = (torch.zeros(4), torch.tensor([0.0, 2.0, -1.8]), torch.zeros(2))
    priors = (torch.eye(4)[CENTRE], torch.full((2,), 0.5))
    return GenerativeModel((here, reward, signal), (move, still), preferences, priors)


def trial(
    model: GenerativeModel, weight: float, ambiguity: str, moves: int, g: torch.Generator,
    known: dict[tuple[Any, ...], Any],
) -> tuple[list[int], bool]:
    """Where the agent went, and whether it met the reward at the end. known: its beliefs and choice by what it has
    seen, for the trials to come."""
    context = int(torch.randint(2, (), generator=g))
    path, chosen = [CENTRE], None
    observation = outcome(model, CENTRE, context, g)
    history: tuple[Any, ...] = (tuple(observation),)
    for left in range(moves, -1, -1):
        if history not in known:
            prior = model.D if chosen is None else predict_states(model, known[history[:-1]][0], chosen)
            beliefs = infer_states(model, observation, prior)
            known[history] = beliefs, choice(model, beliefs, weight, ambiguity, left) if left else None
        chosen = known[history][1]
        if chosen is not None:
            path.append(int(torch.multinomial(model.B[0][:, path[-1], chosen[0]], 1, generator=g)))
            observation = outcome(model, path[-1], context, g)
            history = (*history, tuple(observation))
    return path, observation[1] == 1


def choice(model: GenerativeModel, beliefs: Any, weight: float, ambiguity: str, left: int) -> list[int]:
    """The first action of the best policy."""
    policies = all_policies(model, left)
    G = expected_free_energy(model, beliefs, policies)
    entropy = G.epistemic + G.ambiguity  # H[Q(o)]
    value = -G.risk - (G.ambiguity if ambiguity == "of outcomes given states" else entropy)
    value = (value - (1 - weight) * (value - G.pragmatic)).sum(1)
    return policies[int((value > value.max() - 1e-9).nonzero()[0])][0].tolist()


def outcome(model: GenerativeModel, at: int, context: int, g: torch.Generator) -> list[int]:
    """An outcome a modality."""
    return [int(torch.multinomial(a[:, at, context], 1, generator=g)) for a in model.A]


def maze(material: dict[str, Any]) -> Figure:
    """The ways taken; a line is as wide as it is frequent."""
    figure, axes = canvas(6.0, 3.2, 1, 2)
    spots = {CENTRE: (0, 0), 1: (1, 0.8), 2: (-1, 0.8), CUE: (0, -0.9)}
    for axis, (name, paths) in zip(axes[0], material["paths"].items(), strict=True):
        for first, second, colour in ((0, 1, COLOURS[0]), (1, 2, COLOURS[1])):
            steps = [(path[first], path[second]) for path in paths if len(path) > second]
            for a, b in sorted(set(steps)):
                if a != b:
                    share = steps.count((a, b)) / len(paths)
                    side = 0.04 if first else -0.04
                    x, y = ((spots[a][k], spots[b][k]) for k in (0, 1))
                    axis.plot([v + side for v in x], y, color=colour, lw=1 + 8 * share, solid_capstyle="round")
        for k, (right, up) in spots.items():
            axis.text(right, up + (0.15 if up >= 0 else -0.2), PLACES[k], ha="center", va="center", fontsize=8)
        axis.plot(*zip(*spots.values(), strict=True), "o", color=COLOURS[4], ms=4)
        axis.set(xlim=(-1.5, 1.5), ylim=(-1.3, 1.2), title=name)
        axis.set_axis_off()
    for text, height, colour in (("first move", 0.1, COLOURS[0]), ("second move", -0.06, COLOURS[1])):
        axes[0, 0].text(-1.45, height - 0.9, text, color=colour, fontsize=8)
    return figure


FRISTON = "Friston et al. (2015), Cogn. Neurosci. 6:187"
CERTAIN = "the choice has no chance in it"

register(
    Experiment(
        name="active_inference",
        title="Active inference in a T-maze",
        paper="K. Friston, F. Rigoli, D. Ognibene, C. Mathys, T. Fitzgerald and G. Pezzulo (2015). Active inference "
        "and epistemic value. Cogn. Neurosci. 6:187-214.",
        doi="10.1080/17588928.2015.1020053",
        summary="One arm is rewarded nine times in ten, the other punished; a cue below tells which. The expected free "
        "energy of a policy is risk plus ambiguity, or, the same, minus what it would teach and minus what it would "
        "earn: an agent that minimises it looks first. Take the entropy of all outcomes for that of outcomes given "
        "states, and nothing but reward is left. Values agree with pymdp's (tests).",
        claims=(
            Claim(
                "An agent that minimises expected free energy visits the cue first.",
                FRISTON, "cue_first", 1.0, 0.0, CERTAIN, {"ambiguity": "of outcomes"},
            ),
            Claim(
                "It then enters an arm.", FRISTON, "then_arm", 1.0, 0.0, CERTAIN, {"ambiguity": "of outcomes"},
            ),
            Claim(
                "An agent for reward alone does not visit the cue.",
                FRISTON, "reward_only_cue_first", AtMost(0.0), 0.0, CERTAIN, {"curious": 1.0},
            ),
            Claim(
                "Having looked, the agent wins as often as the arm pays.",
                FRISTON, "wins", 0.9, "wins_error", "four standard errors of a share", {"cue": 0.0},
            ),
            Claim(
                "The cue is worth a bit, ln 2 nats.",
                FRISTON, "cue_information", math.log(2), 1e-9, "rounding", {"cue": 0.5}, "nats",
            ),
            Claim(
                "An arm tells less: ln 2 less the entropy of its lottery.",
                FRISTON, "arm_information", math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1), 1e-7,
                "rounding of single-precision inputs", {"win": 0.7}, "nats",
            ),
        ),
        measure=measure,
        pictures={"The ways of two agents through the maze.": maze},
    )
)  # fmt: skip
