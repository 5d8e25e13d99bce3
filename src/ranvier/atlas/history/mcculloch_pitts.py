"""McCulloch and Pitts' neurons (1943): what one computes, what two layers do, and circles that remember."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def fires(x: np.ndarray, weights: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """Whether the sum of active inputs x (..., n) reaches the threshold; inhibition counts by its weight."""
    return x @ np.asarray(weights, float).T >= threshold


def measure(
    seed: int, size: Size, weights: int = 3, layers: int = 2, circle: bool = True, veto: bool = False
) -> dict[str, Any]:
    """Functions of two and three inputs that a unit computes, those of two layers, and how long a circle remembers.

    weights: largest absolute value of the whole ones tried. layers: 1 or 2. circle: whether the memory feeds back.
    veto: whether any active inhibitory input silences a unit, as in the paper, in place of adding its weight.
    """
    return {
        "two": float(len(single(2, weights, veto))),
        "three": float(len(single(3, weights, veto))),
        "universal": universal(layers),
        "remembered": memory(circle),
    }


def single(n: int, largest: int, veto: bool) -> set[tuple[bool, ...]]:
    """Truth tables (2^n) of a threshold unit with whole weights up to `largest`."""
    x = np.array(list(product((0, 1), repeat=n)), float)
    tables = set()
    for w in product(range(-largest, largest + 1), repeat=n):
        row = np.array(w, float)
        total = x @ np.maximum(row, 0) if veto else x @ row
        silent = (x @ np.minimum(row, 0) < 0) & veto
        for threshold in np.arange(-n * largest, n * largest + 2):
            tables.add(tuple((total >= threshold) & ~silent))
    return tables


def universal(layers: int) -> float:
    """Share of the 256 functions of three inputs that a layer of one unit a true row, and an OR, compute."""
    x = np.array(list(product((0, 1), repeat=3)), float)
    right = 0
    for table in product((False, True), repeat=8):
        rows = x[np.array(table)]
        if layers == 1:  # the OR of the inputs alone
            right += bool((fires(x, np.ones((1, 3)), 1.0)[:, 0] == table).all())
            continue
        hidden = fires(x, 2 * rows - 1, rows.sum(1)) if len(rows) else np.zeros((8, 1), bool)
        right += bool((fires(hidden.astype(float), np.ones((1, hidden.shape[1])), 1.0)[:, 0] == table).all())
    return right / 256


def memory(circle: bool) -> float:
    """Steps, of 100 after one pulse, on which a unit that excites itself is active, until an inhibitory one at 60."""
    active, count = 0.0, 0
    for t in range(1, 101):
        pulse, reset = float(t == 1), float(t == 61)
        active = float(pulse + circle * active - 2 * reset >= 1)
        count += int(active)
    return float(count)


def tables(material: dict[str, Any]) -> Figure:
    """How many functions there are, and how many a unit computes."""
    figure, axis = canvas(3.5, 2.6)
    axis.bar([0, 1], [16, 256], color=COLOURS[5], width=0.5)
    axis.bar([0, 1], [material["two"], material["three"]], color=COLOURS[0], width=0.5)
    axis.set(xticks=[0, 1], xticklabels=["2 inputs", "3 inputs"], ylabel="Boolean functions", yscale="log")
    return figure


register(
    Experiment(
        name="mcculloch_pitts",
        title="Neurons as logic",
        paper="W. S. McCulloch and W. Pitts (1943). A logical calculus of the ideas immanent in nervous activity. "
        "Bull. Math. Biophys. 5:115-133; S. Muroga (1971). Threshold logic and its applications.",
        doi="10.1007/BF02478259",
        summary="A unit that fires where enough of its inputs do computes 14 of the 16 functions of two inputs: all "
        "but XOR and its complement. Two layers compute every one, and circles remember.",
        claims=(
            Claim(
                "A threshold unit computes 14 of 16 functions of two inputs.",
                "Muroga (1971): 2, 4, 14, 104, 1882 ...", "two", 14.0, 0.0, "counted", {"veto": True},
            ),
            Claim(
                "And 104 of 256 of three.",
                "Muroga (1971)", "three", 104.0, 0.0, "counted; weights up to 3 suffice", {"weights": 1},
            ),
            Claim(
                "Two layers compute all 256.",
                "McCulloch & Pitts (1943): every expression has a net", "universal", 1.0, 0.0, "counted", {"layers": 1},
            ),
            Claim(
                "A circle holds a pulse until it is inhibited, 60 steps later.",
                "McCulloch & Pitts (1943), nets with circles", "remembered", 60.0, 0.0, "counted", {"circle": False},
            ),
        ),
        measure=measure,
        pictures={"Functions there are (grey), and those of one unit.": tables},
    )
)  # fmt: skip
