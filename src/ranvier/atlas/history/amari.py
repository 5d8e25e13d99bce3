"""Amari (1967): hidden neurons trained by stochastic descent, and what a step size costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(
    seed: int, size: Size, hidden: int = 6, batch: int = 1, decay: float = 0.0
) -> dict[str, Any]:
    """Accuracy of hidden neurons on four clusters at the corners of a square, and how a linear unit's weights jitter.

    hidden: neurons; 0 is a single unit. batch: patterns a step. decay: of the step size, an update.
    """
    rng = np.random.default_rng(seed)
    corners = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    which = rng.integers(0, 4, 4000)
    x, y = corners[which] + 0.3 * rng.standard_normal((4000, 2)), np.where(which < 2, 1.0, -1.0)
    classify = train(rng, x[:3000], y[:3000], hidden)
    steps = np.array([0.01, 0.02, 0.04])
    jitter = np.array([linear(rng, step, batch, decay) for step in steps])
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 60), np.linspace(-2, 2, 60)), 2).reshape(-1, 2)
    return {
        "accuracy": float(np.mean(np.sign(classify(x[3000:])) == y[3000:])),
        "jitter": float(np.mean(jitter / law(steps))),
        "slope": float(np.polyfit(np.log(steps), np.log(np.maximum(jitter, 1e-12)), 1)[0]),
        "x": x[:300],
        "y": y[:300],
        "map": classify(grid).reshape(60, 60),
    }


def law(step: np.ndarray, inputs: int = 4) -> np.ndarray:
    """Mean squared distance of the weights, of white normal inputs and errors of variance 1."""
    return step * inputs / (2 - step * (inputs + 2))


def train(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, hidden: int) -> Any:
    """Stochastic descent of the squared error, one pattern a step; returns the trained classifier."""
    units = max(hidden, 1)
    W, c = rng.standard_normal((units, 2)), rng.standard_normal(units)
    v, b = (0.1 * rng.standard_normal(units), 0.0) if hidden else (np.ones(1), 0.0)

    def output(x: np.ndarray) -> np.ndarray:
        return np.tanh(np.tanh(x @ W.T + c) @ v + b)

    for k in range(3 * len(x)):
        row, target = x[k % len(x)], y[k % len(x)]
        h = np.tanh(W @ row + c)
        z = np.tanh(v @ h + b)
        delta = (z - target) * (1 - z * z)
        back = delta * v * (1 - h * h)
        if hidden:
            v, b = v - 0.1 * delta * h, b - 0.1 * delta
        W -= 0.1 * np.outer(back, row)
        c -= 0.1 * back
    return output


def linear(rng: np.random.Generator, step: float, batch: int, decay: float, inputs: int = 4) -> float:
    """Mean squared distance of many linear units' weights from the optimum, after they have settled."""
    w = np.zeros((200, inputs))
    total, count = 0.0, 0
    for k in range(1200):
        x = rng.standard_normal((batch, 200, inputs))
        error = rng.standard_normal((batch, 200)) - np.einsum("bui,ui->bu", x, w)
        w += step / (1 + decay * k) * (error[:, :, None] * x).mean(0)
        if k >= 600:
            total, count = total + np.square(w).sum(1).mean(), count + 1
    return float(total / count)


def boundary(material: dict[str, Any]) -> Figure:
    """The classes, and where the network parts them."""
    figure, axis = canvas(3, 3)
    axis.contourf(material["map"], levels=[-9, 0, 9], extent=(-2, 2, -2, 2), colors=["#eef3f8", "#fbeee6"])
    for k, label in enumerate((1, -1)):
        chosen = material["y"] == label
        axis.plot(*material["x"][chosen].T, ".", ms=3, color=COLOURS[1 - k])
    axis.set(xticks=[], yticks=[])
    return figure


register(
    Experiment(
        name="amari_1967",
        title="Hidden neurons by stochastic descent",
        paper="S. Amari (1967). A theory of adaptive pattern classifiers. IEEE Trans. Electron. Comput. EC-16:299-307.",
        doi="10.1109/PGEC.1967.264666",
        summary="Amari trained networks with hidden neurons on one pattern at a time, two decades before this became "
        "common, and said what it costs: the weights never rest, and jitter with the step size.",
        claims=(
            Claim(
                "Hidden neurons, trained a pattern at a time, part classes that no plane parts.",
                "Amari (1967), section VI", "accuracy", AtLeast(0.97), 0.0,
                "clusters of spread .3 at distance 1 of the boundary: .998", {"hidden": 0},
            ),
            Claim(
                "A linear unit's weights lie step N/(2 - step (N + 2)) from the optimum, squared.",
                "Amari (1967), section V, for white normal inputs", "jitter", 1.0, 0.05,
                "200 units over 600 steps that are correlated over 1/step", {"batch": 4},
            ),
            Claim(
                "Half the step, half the jitter.",
                "Amari (1967), section V", "slope", 1.05, 0.1, "the law's own slope between .01 and .04",
                {"decay": 0.05},
            ),
        ),
        measure=measure,
        pictures={"Two classes at opposite corners, and the trained network's boundary.": boundary},
    )
)  # fmt: skip
