"""Surrogate gradients on scikit-learn's digits: accuracy, operations and joules beside a network without spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register
from ranvier.engines.surrogates import ArcTan, FastSigmoid, Gaussian, Surrogate, Triangle
from ranvier.learners import BPTT, accuracy, latency, membrane_cross_entropy, rate, rate_cross_entropy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

HIDDEN, BETA, STEPS = 128, 0.9, 5
TESTED = 397  # digits held out
SEEDS = {"small": 1, "full": 5}


class Flat(Surrogate):
    """The spike's true derivative: none."""

    def slope(self, distance: Tensor) -> Tensor:
        return torch.zeros_like(distance)


SURROGATES = {"arctan": ArcTan, "fast sigmoid": FastSigmoid, "triangle": Triangle, "Gaussian": Gaussian, "flat": Flat}


def measure(
    seed: int,
    size: Size,
    surrogate: str = "arctan",
    shuffled: bool = False,
    code: str = "latency",
    reset: str = "delayed",
    loss: str = "rates",
    others: tuple[str, ...] = ("fast sigmoid", "Gaussian"),
    epochs: int = 15,
) -> dict[str, Any]:
    """Train 64-128-10 with and without spikes, over splits of the digits, and count what testing takes.

    shuffled: labels of the training set drawn by lot. code: of pixels, "latency" (5 steps) or "rate" (25).
    loss: "rates" or "counts". others: surrogates trained beside (full size). epochs: some claims hold untrained.
    """
    rows, spread = [], []
    for k in range(SEEDS[size]):
        data = _digits(1000 * seed + k, shuffled)
        encode = (lambda x: rate(x, 25)) if code == "rate" else (lambda x: latency(x, STEPS, threshold=0.1))
        learned_loss = rate_cross_entropy if loss == "rates" else _on_counts
        torch.manual_seed(1000 * seed + k)
        spiking = _spiking(surrogate, reset)
        results = _trained(spiking, encode, learned_loss, 1e-2, epochs, data)
        torch.manual_seed(1000 * seed + k)
        plain = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        beside = _trained(plain, lambda x: x[None], membrane_cross_entropy, 5e-3, epochs, data)
        y = results["output"]
        rows.append({
            "accuracy": results["accuracy"], "gap": beside["accuracy"] - results["accuracy"],
            "operations": (results["counted"].synops + results["counted"].macs) / beside["counted"].macs,
            "energy": results["counted"].joules() / beside["counted"].joules(),
            "unequal": _unequal(spiking[0], encode(data[2])),
            "per_step": float(learned_loss(y.repeat(4, 1, 1), data[3]) / learned_loss(y, data[3])),
            "plain": beside["accuracy"],
        })  # fmt: skip
        if size == "full":
            more = [_spiking(name, reset) for name in others]
            again = [_trained(m, encode, learned_loss, 1e-2, epochs, data)["accuracy"] for m in more]
            spread.append([results["accuracy"], *again])
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    by_surrogate = np.array(spread).mean(0) if spread else None
    return means | {
        "spread": None if by_surrogate is None else float(np.ptp(by_surrogate)),
        "counted": (results["counted"], beside["counted"]),
        "names": (surrogate, *others),
        "by_surrogate": np.array(spread) if spread else np.array([[means["accuracy"]]]),
    }


def _digits(seed: int, shuffled: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x and labels to train on, and to test on."""
    x, train, x_test, test = digits(seed)
    if shuffled:
        train = train[torch.from_numpy(np.random.default_rng(seed + 1).permutation(len(train)))]
    return x.float(), train, x_test.float(), test


def _spiking(surrogate: str, reset: str) -> rv.nn.Sequential:
    """Reset as in the paper's eq. 4: U[t] = beta U[t−1] + W X[t] − S[t−1] theta."""
    surrogate_slope = SURROGATES[surrogate]()
    return rv.nn.Sequential(
        rv.nn.LIF(64, HIDDEN, beta=BETA, reset=reset, surrogate=surrogate_slope),
        rv.nn.LIF(HIDDEN, 10, beta=BETA, reset=reset, surrogate=surrogate_slope),
    )


def _trained(
    model: nn.Module, encode: Callable[[Tensor], Tensor], loss: Callable[[Tensor, Tensor], Tensor], rate: float,
    epochs: int, data: tuple[Tensor, Tensor, Tensor, Tensor],
) -> dict[str, Any]:  # fmt: skip
    x, labels, unseen, answers = data
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, labels), batch_size=64, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * len(batches))
    rv.fit(BPTT(model, loss, optimizer, encode=encode), batches, epochs, schedule=schedule, progress=False)
    model.eval()
    with torch.no_grad(), rv.nn.count_operations(model) as counted:
        out = model(encode(unseen))
    y = out[0] if isinstance(out, tuple) else out
    return {"accuracy": accuracy(y, answers), "counted": counted, "output": y}


def _on_counts(y: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(y.sum(0), labels)


def _unequal(layer: Any, x: Tensor) -> float:
    """Share of the layer's spikes that the paper's recurrence, written out, does not have, or has besides."""
    with torch.no_grad():
        y, _ = layer(x)
        u = s = torch.zeros_like(y[0])
        different = 0.0
        for row, spikes in zip(layer.linear(x), y, strict=True):
            u = BETA * u + row - s
            s = (u >= 1.0).to(u.dtype)
            different += float((s != spikes).sum())
    return different / max(float(y.sum()), 1.0)


def bars(material: dict[str, Any]) -> Figure:
    """What one image costs."""
    figure, axes = canvas(6.0, 2.6, 1, 2)
    for axis, title, of in (
        (axes[0, 0], "synaptic operations", lambda c: (c.synops + c.macs) / TESTED),
        (axes[0, 1], "energy (nJ)", lambda c: 1e9 * c.joules() / TESTED),
    ):
        axis.bar(["spikes", "rectifiers"], [of(c) for c in material["counted"]], color=COLOURS[:2], width=0.6)
        axis.set_title(f"{title} an image")
    return figure


def shapes(material: dict[str, Any]) -> Figure:
    """Accuracy by surrogate."""
    figure, axis = canvas(4.6, 2.6)
    values = 100 * material["by_surrogate"]
    for k in range(values.shape[1]):
        axis.plot(np.full(len(values), k), values[:, k], ".", color=COLOURS[5], ms=4)
        axis.plot(k, values[:, k].mean(), "_", color=COLOURS[0], ms=24, mew=2)
    axis.set_xticks(range(values.shape[1]), material["names"][: values.shape[1]])
    axis.set(ylabel="right on unseen digits (%)", xlim=(-0.6, values.shape[1] - 0.4))
    return figure


SURVEY = "Eshraghian et al. (2023), and the survey of Tavanaei et al. (2019)"

CLAIMS = (
    Claim(
        "Backpropagation through time with a surrogate gradient classifies at least 95 % of unseen digits.",
        SURVEY, "accuracy", AtLeast(0.95), 0.0, "none: a bound, met in the mean over splits",
        {"shuffled": True},
    ),
    Claim(
        "That is within two points of a network of rectifiers of the same shape.",
        SURVEY, "gap", AtMost(0.02), 0.0, "none: a bound, met in the mean over splits",
        {"surrogate": "flat"},
    ),
    Claim(
        "It takes fewer synaptic operations, the input's among them, than the rectifiers' network takes "
        "multiply–accumulates.",
        SURVEY, "operations", AtMost(1.0), 0.0, "none: counted",
        {"code": "rate", "epochs": 5},
    ),
    Claim(
        "It takes less energy for arithmetic, the neurons' updates included.",
        SURVEY, "energy", AtMost(1.0), 0.0, "none: counted",
        {"code": "rate", "epochs": 5},
    ),
    Claim(
        "Reset by subtraction acts one step after the spike: U[t] = beta U[t−1] + W X[t] − S[t−1] theta.",
        "Eshraghian et al. (2023), the leaky integrate-and-fire neuron with reset", "unequal", 0.0, 1e-3,
        "spikes within rounding of the threshold, in float32",
        {"reset": "subtract", "epochs": 1},
    ),
    Claim(
        "A loss on rates does not depend on the number of steps: over four times as many it is the same.",
        SURVEY, "per_step", 1.0, 1e-4, "rounding in float32",
        {"loss": "counts", "epochs": 1},
    ),
    Claim(
        "The surrogate's shape matters little if it has a slope everywhere: arctan, fast sigmoid and Gaussian differ "
        "by less than two points, at one width and one learning rate. (The triangle, which has none further from "
        "the threshold than its width, loses ten: neurons far below stay silent.)",
        "Zenke and Vogels (2021), who find shapes alike where their scale is chosen well", "spread", AtMost(0.02), 0.0,
        "none: a bound, met in the means over splits",
        {"others": ("triangle",)},
        only="full size",
    ),
)  # fmt: skip

register(
    Experiment(
        name="surrogate_training",
        title="Training spiking networks by surrogate gradients",
        paper="J. K. Eshraghian et al. (2023). Training spiking neural networks using lessons from deep learning. "
        "Proc. IEEE 111:1016-1054.",
        doi="10.1109/JPROC.2023.3308088",
        summary="64-128-10 leaky integrate-and-fire neurons on 8 × 8 digits, one spike a pixel at most, against "
        "64-128-10 rectifiers. Operations are counted while the networks are tested: a spike adds a weight, a number "
        "multiplies it. Joules are those of arithmetic alone (Horowitz 2014, 45 nm, float32); with spikes, the "
        "neurons' own updates are in them.",
        claims=CLAIMS,
        measure=measure,
        pictures={
            "What testing takes with spikes and without.": bars,
            "Accuracy by surrogate, a dot a split (at full size).": shapes,
        },
    )
)
