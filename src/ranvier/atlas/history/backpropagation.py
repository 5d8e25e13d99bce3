"""Reverse accumulation (1970): all derivatives at the cost of a few evaluations, first used on rounding errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Tape:
    """Operations in the order in which they ran, each with its operands and its derivatives by them."""

    def __init__(self, values: np.ndarray, kind: type = np.float64) -> None:
        self.kind = kind
        self.values: list[Any] = [kind(v) for v in values]
        self.operands: list[tuple[int, ...]] = [()] * len(values)
        self.slopes: list[tuple[float, ...]] = [()] * len(values)
        self.rounding = [0.0] * len(values)
        self.inputs = len(values)

    def apply(self, value: Any, exact: float, operands: tuple[int, ...], slopes: tuple[float, ...]) -> int:
        self.values.append(self.kind(value))
        self.rounding.append(float(self.kind(value)) - exact)
        self.operands.append(operands)
        self.slopes.append(slopes)
        return len(self.values) - 1

    def add(self, i: int, j: int) -> int:
        a, b = self.values[i], self.values[j]
        return self.apply(a + b, float(a) + float(b), (i, j), (1.0, 1.0))

    def multiply(self, i: int, j: int) -> int:
        a, b = self.values[i], self.values[j]
        return self.apply(a * b, float(a) * float(b), (i, j), (float(b), float(a)))

    def sine(self, i: int) -> int:
        a = self.values[i]
        return self.apply(np.sin(a), float(np.sin(float(a))), (i,), (float(np.cos(float(a))),))

    def reverse(self) -> tuple[np.ndarray, int]:
        """∂ last/∂ each value, and multiplications and additions done: two for an operand of an operation."""
        adjoint = np.zeros(len(self.values))
        adjoint[-1], work = 1.0, 0
        for k in reversed(range(self.inputs, len(self.values))):
            for i, slope in zip(self.operands[k], self.slopes[k], strict=True):
                adjoint[i] += adjoint[k] * slope
                work += 2
        return adjoint, work

    def forward(self) -> tuple[np.ndarray, int]:
        """The same of the inputs alone, by carrying a tangent of each input through."""
        gradient, work = np.zeros(self.inputs), 0
        for j in range(self.inputs):
            tangent = np.zeros(len(self.values))
            tangent[j] = 1.0
            for k in range(self.inputs, len(self.values)):
                for i, slope in zip(self.operands[k], self.slopes[k], strict=True):
                    tangent[k] += slope * tangent[i]
                    work += 2
            gradient[j] = tangent[-1]
        return gradient, work


def program(tape: Tape) -> None:
    """sin(x_0 x_1) + sin(x_1 x_2) + ..., each term added to the sum so far."""
    total = tape.sine(tape.multiply(0, 1))
    for i in range(1, tape.inputs - 1):
        total = tape.add(total, tape.sine(tape.multiply(i, i + 1)))


def measure(
    seed: int, size: Size, mode: str = "reverse", drop: bool = False, rounding: bool = True
) -> dict[str, Any]:
    """Errors of the gradient, operations a gradient takes over those of the function, and rounding errors predicted.

    mode: "reverse" or "forward". drop: whether one of the two ways to each input is left out. rounding: whether the
    adjoints weigh rounding errors, else they are only added.
    """
    rng = np.random.default_rng(seed)
    inputs = np.array([4, 16, 64, {"small": 128, "full": 1024}[size]])
    costs = [cost(rng.uniform(0.5, 2, n), mode) for n in inputs]
    x = rng.uniform(0.5, 2, 64)
    tape = Tape(x)
    program(tape)
    gradient = tape.reverse()[0][: len(x)]
    c = np.cos(x[:-1] * x[1:])
    by_hand = np.append(c * x[1:], 0.0) + (0.0 if drop else 1.0) * np.insert(c * x[:-1], 0, 0.0)
    return {
        "gradient": float(np.abs(gradient - by_hand).max()),
        "most": float(max(costs)),
        "rounding": predicted_rounding(rng, rounding),
        "inputs": inputs,
        "reverse": [cost(rng.uniform(0.5, 2, n), "reverse") for n in inputs],
        "forward": [cost(rng.uniform(0.5, 2, n), "forward") for n in inputs[:3]],
    }


def cost(x: np.ndarray, mode: str) -> float:
    """Operations of the gradient over operations of the function."""
    tape = Tape(x)
    program(tape)
    how: Callable[[], tuple[np.ndarray, int]] = {"reverse": tape.reverse, "forward": tape.forward}[mode]
    return how()[1] / (len(tape.values) - tape.inputs)


def predicted_rounding(rng: np.random.Generator, weighed: bool) -> float:
    """Largest miss, over the error itself, of Σ adjoint · rounding for the whole error of float32 results."""
    worst = 0.0
    for _ in range(20):
        x = rng.uniform(0.5, 2, 40).astype(np.float32)
        tape, exact = Tape(x, np.float32), Tape(x)
        program(tape)
        program(exact)
        adjoint = tape.reverse()[0] if weighed else np.ones(len(tape.values))
        error = float(tape.values[-1]) - exact.values[-1]
        worst = max(worst, abs(float(adjoint @ tape.rounding) - error) / max(abs(error), 1e-7))
    return worst


def costs(material: dict[str, Any]) -> Figure:
    """Cost of a gradient by the number of inputs."""
    figure, axis = canvas(4, 2.6)
    axis.loglog(material["inputs"], material["reverse"], "o-", color=COLOURS[0], label="reverse")
    axis.loglog(material["inputs"][:3], material["forward"], "o-", color=COLOURS[1], label="forward")
    axis.set(xlabel="inputs", ylabel="gradient / function")
    axis.legend()
    return figure


register(
    Experiment(
        name="backpropagation_1970",
        title="Backpropagation: reverse accumulation",
        paper="S. Linnainmaa (1970). The representation of the cumulative rounding error of an algorithm as a Taylor "
        "expansion of the local rounding errors. Master's thesis, University of Helsinki; (1976). BIT 16:146-160; W. "
        "Baur and V. Strassen (1983). Theor. Comput. Sci. 22:317-330.",
        doi="10.1007/BF01931367",
        summary="Derivatives of one result by everything that led to it, in one pass backwards. Its inventor wanted to "
        "know how rounding errors add up; networks have been trained by it since.",
        claims=(
            Claim(
                "A pass backwards gives the whole gradient.",
                "against the gradient by hand", "gradient", AtMost(0.0), 1e-14, "rounding", {"drop": True},
            ),
            Claim(
                "It costs at most four operations for one of the function, for any number of inputs.",
                "Baur & Strassen (1983)", "most", AtMost(4.0), 0.0, "a theorem, counted", {"mode": "forward"},
            ),
            Claim(
                "Local rounding errors, weighed by the adjoints, are the whole rounding error.",
                "Linnainmaa (1976)", "rounding", AtMost(0.0), 1e-3,
                "second order: 6e-8 an operation, and errors below 1e-7 are not divided by", {"rounding": False},
            ),
        ),
        measure=measure,
        pictures={"Operations of a gradient over those of the function.": costs},
    )
)  # fmt: skip
