"""The perceptron and what its synapses can store: convergence, XOR, Cover's law, and binary synapses that forget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learn(x: np.ndarray, y: np.ndarray, sweeps: int, gain: float = 1.0) -> tuple[np.ndarray, int, bool]:
    """Rosenblatt's rule, w ← w + y x where y w·x ≤ 0: weights, mistakes, and whether the last sweep had none."""
    w, mistakes = np.zeros(x.shape[1]), 0
    for _ in range(sweeps):
        before = mistakes
        for row, label in zip(x, y, strict=True):
            if label * (w @ row) <= 0:
                w, mistakes = w + gain * label * row, mistakes + 1
        if mistakes == before:
            return w, mistakes, True
    return w, mistakes, False


def measure(
    seed: int, size: Size, gain: float = 1.0, load: float = 2.0, product: bool = False, errors: bool = True,
    q: float = 0.1, overwrite: bool = True,
) -> dict[str, Any]:
    """Mistakes beside Novikoff's bound, XOR, the share of separable dichotomies, Willshaw's information, forgetting.

    gain: of Rosenblatt's rule; below 0 it unlearns. load: patterns a weight. product: whether XOR's product is a third
    input. errors: whether wrongly recalled units count against the information. overwrite: whether synapses are binary.
    """
    rng = np.random.default_rng(seed)
    trials = {"small": 60, "full": 1000}[size]
    worst = max(novikoff(rng, gain) for _ in range(10))
    x = np.array([[1, -1, -1], [1, -1, 1], [1, 1, -1], [1, 1, 1]], float)
    x = np.c_[x, x[:, 1] * x[:, 2]] if product else x
    separable = np.mean([dichotomy(rng, 12, round(load * 12)) for _ in range(trials)])
    stored = np.array([250, 500, 750, 1000, 1250, 1500, 2000, 3000])
    information = np.array([willshaw(rng, 256, 8, int(m), errors) for m in stored])
    ages, signal = palimpsest(rng, 20_000, q, overwrite)
    slope = -np.polyfit(ages, np.log(np.maximum(signal, 1e-3)), 1)[0]
    return {
        "mistakes_of_bound": float(worst),
        "xor_solved": float(learn(x, np.array([-1, 1, 1, -1]), 100)[2]),
        "separable": float(separable),
        "separable_error": 3 * math.sqrt(0.25 / trials),
        "willshaw": float(information.max()),
        "forgetting": float(slope) / -math.log(1 - 0.1),
        "stored": stored,
        "information": information,
        "ages": ages,
        "signal": signal,
    }


def novikoff(rng: np.random.Generator, gain: float) -> float:
    """Mistakes over (R/margin)², of 60 points on both sides of a plane, .1 or more away."""
    teacher = rng.standard_normal(8)
    teacher /= np.linalg.norm(teacher)
    x = rng.standard_normal((400, 8))
    side = x @ teacher
    x = x[np.abs(side) > 0.1][:60]
    y = np.sign(x @ teacher)
    bound = (np.linalg.norm(x, axis=1).max() / np.abs(x @ teacher).min()) ** 2
    return learn(x, y, math.ceil(bound) if gain < 0 else 2000, gain)[1] / bound


def dichotomy(rng: np.random.Generator, inputs: int, patterns: int) -> bool:
    """Whether random labels of random points are those of some plane through the origin (a linear program)."""
    from scipy.optimize import linprog

    x = rng.standard_normal((patterns, inputs)) * rng.choice([-1, 1], (patterns, 1))
    return linprog(np.zeros(inputs), A_ub=-x, b_ub=-np.ones(patterns), bounds=(None, None)).status == 0


def willshaw(rng: np.random.Generator, units: int, active: int, patterns: int, errors: bool) -> float:
    """Bits a synapse of a binary matrix of pairs of patterns with `active` units of `units`."""
    a, b = (np.argsort(rng.random((patterns, units)), 1)[:, :active] for _ in range(2))
    matrix = np.zeros((units, units), bool)
    for i in range(active):
        matrix[b.ravel(), np.repeat(a[:, i], active)] = True
    probe = rng.choice(patterns, min(patterns, 200), replace=False)
    recalled = matrix[:, a[probe]].all(2).sum(0)  # units that every active input reaches: all right ones, and others
    bits = math.log2(math.comb(units, active))
    lost = np.array([math.log2(math.comb(int(k), active)) for k in recalled]) if errors else 0.0
    return float(patterns * np.mean(bits - lost)) / units**2


def palimpsest(rng: np.random.Generator, synapses: int, q: float, overwrite: bool) -> tuple[np.ndarray, np.ndarray]:
    """Overlap of synapses with a memory, by the number of memories since: each memory sets a binary synapse to its
    value with chance q; without overwriting, memories add up."""
    memories = rng.choice([-1.0, 1.0], (26, synapses))
    w = rng.choice([-1.0, 1.0], synapses) if overwrite else np.zeros(synapses)
    overlap = []
    for memory in memories:
        chosen = rng.random(synapses) < q
        w = np.where(chosen, memory, w) if overwrite else w + chosen * memory
        overlap.append(float(w @ memories[0]) / synapses)
    return np.arange(15.0), np.array(overlap[:15]) / overlap[0]


def pictures(material: dict[str, Any]) -> Figure:
    """Information against load, and a memory's fading."""
    figure, axes = canvas(7, 2.6, 1, 2)
    left, right = axes[0]
    left.plot(material["stored"], material["information"], "o-", color=COLOURS[0])
    left.axhline(math.log(2), color=COLOURS[5], lw=0.8)
    left.set(xlabel="pairs stored", ylabel="bits a synapse", ylim=(0, 0.75))
    right.plot(material["ages"], material["signal"], "o", ms=3, color=COLOURS[0])
    right.plot(material["ages"], 0.9 ** material["ages"], color=COLOURS[1])
    right.set(xlabel="memories since", ylabel="overlap")
    return figure


register(
    Experiment(
        name="synaptic_capacity",
        title="The perceptron, and what synapses store",
        paper="F. Rosenblatt (1958). The perceptron. Psychol. Rev. 65:386-408; A. B. J. Novikoff (1962). On "
        "convergence proofs for perceptrons; T. M. Cover (1965). IEEE Trans. Electron. Comput. 14:326-334; D. J. "
        "Willshaw, O. P. Buneman and H. C. Longuet-Higgins (1969). Nature 222:960-962; D. J. Amit and S. Fusi (1994). "
        "Neural Comput. 6:957-982.",
        summary="Rosenblatt's rule errs a bounded number of times where a plane separates, and for ever on XOR. A "
        "plane stores two patterns a weight, a binary matrix at most ln 2 bits a synapse, and binary synapses that are "
        "overwritten forget exponentially. (Hopfield's .138 patterns a unit: see the entry hopfield.)",
        claims=(
            Claim(
                "The perceptron's mistakes are at most (radius/margin)².",
                "Novikoff (1962)", "mistakes_of_bound", AtMost(1.0), 0.0, "a theorem", {"gain": -1.0},
            ),
            Claim(
                "It never learns XOR.",
                "Minsky & Papert (1969)", "xor_solved", 0.0, 0.0, "a theorem", {"product": True},
            ),
            Claim(
                "Half of all dichotomies of twice as many patterns as weights are separable.",
                "Cover (1965)", "separable", 0.5, "separable_error", "three standard errors of a share", {"load": 3.0},
            ),
            Claim(
                "A binary matrix holds at most ln 2 bits a synapse.",
                "Willshaw et al. (1969)", "willshaw", AtMost(math.log(2)), 0.0, "a bound, approached slowly with size",
                {"errors": False},
            ),
            Claim(
                "Overwritten with chance q, binary synapses forget by 1 - q a memory.",
                "Amit & Fusi (1994)", "forgetting", 1.0, 0.15, "noise of 20 000 synapses at the oldest age",
                {"overwrite": False},
            ),
        ),
        measure=measure,
        pictures={"Willshaw's information with its bound, and a palimpsest's memory with its law.": pictures},
    )
)  # fmt: skip
