"""The group method of data handling (1965): a network that grows layers of polynomials while held-out errors fall."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def polynomials(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1, a, b, ab, a², b² (rows, 6): Ivakhnenko's unit has a weight for each."""
    return np.stack([np.ones_like(a), a, b, a * b, a * a, b * b], 1)


def grow(
    x: np.ndarray, y: np.ndarray, train: slice, check: slice, width: int, deepest: int, held_out: bool = True
) -> tuple[list[float], list[np.ndarray]]:
    """Held-out errors, and outputs of the best unit, of every layer until the next lowers the error by less than 5 %.

    Each unit takes two of the layer before, its six weights by least squares on `train`; the `width` best on `check`
    are the next layer's inputs. held_out: whether units are chosen, and growth ends, by errors on `check`.
    """
    errors: list[float] = []
    outputs: list[np.ndarray] = []
    judge = check if held_out else train
    while len(errors) < deepest:
        units = []
        for i, j in combinations(range(x.shape[1]), 2):
            terms = polynomials(x[:, i], x[:, j])
            z = terms @ np.linalg.lstsq(terms[train], y[train])[0]
            units.append((float(np.mean((z[judge] - y[judge]) ** 2)), z))
        units.sort(key=lambda unit: unit[0])
        if errors and (units[0][0] > 0.95 * errors[-1] or errors[-1] < 1e-20):
            break
        errors.append(units[0][0])
        outputs.append(units[0][1])
        x = np.stack([z for _, z in units[:width]], 1)
    return errors, outputs


def measure(
    seed: int, size: Size, deepest: int = 8, held_out: bool = True, noise: float = 0.1, factors: int = 4,
    pair: bool = True,
) -> dict[str, Any]:
    """Layers that grow for products of 2 and 4 inputs, test errors by depth, and what held-out choice saves.

    factors: of the harder target. pair: whether the easy one has two inputs, else three.
    """
    rng = np.random.default_rng(seed)
    train, check, test = slice(0, 150), slice(150, 300), slice(300, 2300)
    x = rng.uniform(0, 2, (2300, 6))  # of mean 0 no part of a product would tell of the whole
    shallow, _ = grow(x, np.prod(x[:, : 2 if pair else 3], 1), train, check, 8, deepest)
    deep = np.prod(x[:, :factors], 1)
    noisy = deep + noise * rng.standard_normal(len(x))
    errors, outputs = grow(x, noisy, train, check, 8, deepest)
    tested = [float(np.mean((z[test] - deep[test]) ** 2) / deep[test].var()) for z in outputs]
    # a small and noisy sample, where what is chosen by the fitted rows is over-fitted
    few, rest = slice(0, 20), slice(20, 40)
    excess = []
    for _ in range({"small": 6, "full": 50}[size]):
        x = rng.standard_normal((1040, 6))
        y = x[:, 0] * x[:, 1] + rng.standard_normal(1040)
        _, chosen = grow(x, y, few, rest, 6, 3, held_out)
        _, other = grow(x, y, few, rest, 6, 3, False)
        losses = [np.mean((z[-1][40:] - x[40:, 0] * x[40:, 1]) ** 2) for z in (chosen, other)]
        excess.append(float(np.log(losses[1] / losses[0])))
    return {
        "layers_of_2": float(len(shallow)),
        "depth_gain": float(len(errors) - len(shallow)),
        "one_layer": tested[0],
        "grown": tested[-1],
        "saved": float(np.median(excess)),
        "tested": tested,
    }


def depth(material: dict[str, Any]) -> Figure:
    """Test error by depth."""
    figure, axis = canvas(4, 2.6)
    axis.semilogy(range(1, len(material["tested"]) + 1), material["tested"], "o-", color=COLOURS[0])
    axis.set(xlabel="layers", ylabel="error, of the variance")
    return figure


IVAKHNENKO = "Ivakhnenko & Lapa (1965)"

register(
    Experiment(
        name="gmdh",
        title="The first deep learning: GMDH",
        paper="A. G. Ivakhnenko and V. G. Lapa (1965). Cybernetic predicting devices. CCM Information Corporation; A. "
        "G. Ivakhnenko (1971). Polynomial theory of complex systems. IEEE Trans. Syst. Man Cybern. 1:364-378.",
        doi="10.1109/TSMC.1971.4308320",
        summary="Units are polynomials of two inputs, fitted by least squares; those that do well on held-out data are "
        "the next layer's inputs, and layers are added while that error falls. Depth is what the task asks for.",
        claims=(
            Claim(
                "A product of two inputs takes one layer.",
                "a unit is a polynomial of degree 2 of two inputs", "layers_of_2", 1.0, 0.0, "counted", {"pair": False},
            ),
            Claim(
                "A product of four grows more.",
                f"{IVAKHNENKO}: a polynomial of degree 4 needs two", "depth_gain", AtLeast(1.0), 0.0, "counted",
                {"factors": 2},
            ),
            Claim(
                "One layer leaves 64 % of the variance, what two of four factors cannot explain.",
                "factors uniform in (0, 2): 1 - ((4/3)^2 - 1)/((4/3)^4 - 1)", "one_layer", 0.64, 0.08,
                "four deviations over seeds 10 to 17", {"factors": 2},
            ),
            Claim(
                "The grown network leaves less than half of that.",
                IVAKHNENKO, "grown", AtMost(0.32), 0.0, "half of the law's .64; seeds 10 to 17 leave .004 to .19",
                {"deepest": 1},
            ),
            Claim(
                "Choosing by held-out rows errs less than choosing by the fitted ones (log ratio).",
                "Ivakhnenko (1971): the external criterion", "saved", AtLeast(0.1), 0.0,
                "0 is no saving; seeds 10 to 17 save from 6.4 on",
                {"held_out": False},
            ),
        ),
        measure=measure,
        pictures={"Error on new data of a product of four inputs, by layers.": depth},
    )
)  # fmt: skip
