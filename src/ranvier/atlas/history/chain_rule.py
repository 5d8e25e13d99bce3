"""The chain rule (1676): the derivative of a function of a function, and why it is not a quotient of differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: functions and their derivatives, applied one after another
STAGES = (
    (np.sin, np.cos),
    (np.exp, np.exp),
    (lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
)


def chain(x: np.ndarray, stages: Any = STAGES, inner: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Value and derivative of the stages in a row; without `inner` the last stage's derivative alone."""
    slope = np.ones_like(x)
    for f, derivative in stages:
        slope = slope * derivative(x) if inner else derivative(x)
        x = f(x)
    return x, slope


def measure(seed: int, size: Size, inner: bool = True, central: bool = True) -> dict[str, Any]:
    """Errors of the chain rule on Leibniz's root and on four functions in a row; the order of difference quotients.

    inner: whether inner derivatives are multiplied. central: whether differences are taken on both sides.
    """
    rng = np.random.default_rng(seed)
    a, b, c, z = rng.uniform(1, 2, (4, 1000))
    root = ((lambda z: a + b * z + c * z * z, lambda z: b + 2 * c * z), (np.sqrt, lambda u: 0.5 / np.sqrt(u)))
    by_hand = (b + 2 * c * z) / (2 * np.sqrt(a + b * z + c * z * z))
    x = rng.uniform(-1, 1, 1000)
    complex_step = np.imag(chain(x + 1e-30j)[0]) / 1e-30  # exact to rounding: nothing is subtracted
    steps = 10.0 ** -np.arange(1, 13)
    slope = chain(x)[1]
    quotient = [_differences(x, h, central) for h in steps]
    errors = np.array([np.abs(q - slope).max() for q in quotient])
    return {
        "root": float(np.abs(chain(z, root, inner)[1] / by_hand - 1).max()),
        "composed": float(np.abs(chain(x, inner=inner)[1] - complex_step).max()),
        "order": math.log10(errors[0] / errors[2]) / 2,
        "best": float(math.log10(errors.min())),
        "steps": steps,
        "errors": errors,
    }


def _differences(x: np.ndarray, h: float, central: bool) -> np.ndarray:
    if central:
        return (chain(x + h)[0] - chain(x - h)[0]) / (2 * h)
    return (chain(x + h)[0] - chain(x)[0]) / h


def differences(material: dict[str, Any]) -> Figure:
    """Errors of quotients by their step."""
    figure, axis = canvas(4.5, 2.8)
    axis.loglog(material["steps"], material["errors"], "o-", color=COLOURS[0])
    axis.set(xlabel="difference of x", ylabel="error of the derivative")
    return figure


register(
    Experiment(
        name="chain_rule",
        title="The chain rule",
        paper="G. W. Leibniz (1676), memoir on the root of a + bz + cz², in J. M. Child (1920), The early mathematical "
        "manuscripts of Leibniz; J. Schmidhuber (2022). Annotated history of modern AI and deep learning. "
        "arXiv:2212.11279.",
        summary="What every trained network rests on: the derivative of a function of a function is the product of "
        "their derivatives. It is exact, where quotients of differences lose half or a third of their digits.",
        claims=(
            Claim(
                "The derivative of Leibniz's root is (b + 2cz)/(2 root).",
                "Leibniz (1676)", "root", AtMost(0.0), 1e-14, "rounding", {"inner": False},
            ),
            Claim(
                "Of four functions in a row it is the product of four derivatives.",
                "the chain rule, against a complex step of 1e-30", "composed", AtMost(0.0), 1e-14, "rounding",
                {"inner": False},
            ),
            Claim(
                "Central differences err by the square of their step.",
                "Taylor's theorem", "order", 2.0, 0.1, "the next order at a step of .1", {"central": False},
            ),
            Claim(
                "At best they have two thirds of the digits: an error near eps to the power 2/3.",
                "truncation h² against rounding eps/h", "best", math.log10(2.2e-16 ** (2 / 3)), 1.0,
                "constants of the function, and steps of a factor of 10", {"central": False},
            ),
        ),
        measure=measure,
        pictures={"Central differences: too wide they truncate, too narrow they round.": differences},
    )
)  # fmt: skip
