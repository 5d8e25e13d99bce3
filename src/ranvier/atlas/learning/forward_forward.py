"""The forward-forward algorithm: layers that learn alone, on digits and MNIST, beside backpropagation."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, dataset, digits, register
from ranvier.learners import BPTT, ForwardForward, RecurrentForwardForward, TopDownLayers, fit, read_mnist

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

CLASSES = 10


def measure(
    seed: int, size: Size, negatives: str = "hard", steps: int = 0, above: bool = True, held: bool = True,
    parts: str = "digits recurrent locality mnist",
) -> dict[str, Any]:  # fmt: skip
    """negatives: "hard" or "random". steps: of learning; 0 for the size's own. above: labels are shown above the
    recurrent network. held: what a layer reads is detached, where locality is measured. parts: what is measured;
    "mnist" at full size, where the data are."""
    names = ("accuracy", "gap", "hardness", "recurrent", "locality", "mnist_error")
    metrics: dict[str, Any] = dict.fromkeys(names)
    seeds = range(seed, seed + (1 if size == "small" else 10))
    steps = steps or (250 if size == "small" else 4000)
    if "digits" in parts:
        arms = {kind: np.array([on_digits(s, kind, steps) for s in seeds]) for kind in ("hard", "random")}
        plain = np.array([on_digits(s, "backpropagation", steps) for s in seeds])
        metrics |= {"accuracy": float(arms[negatives].mean()), "gap": float((plain - arms[negatives]).mean())}
        metrics["hardness"] = float((arms[negatives] - arms["random"]).mean())
        metrics["arms"] = {"backpropagation": plain, **arms}
    if "recurrent" in parts:
        metrics["recurrent"] = from_above(seed, steps // 2, above)
    if "locality" in parts:
        metrics["locality"] = locality(seed, held)
    if "mnist" in parts and size == "full" and (folder := dataset("mnist")) is not None:
        metrics["mnist_error"] = 1 - on_mnist(folder, seed, epochs=12 if steps > 1 else 0)
    return metrics


def with_room(x: Tensor) -> Tensor:
    """Pixels after ten places for the label, so that no pixel is lost."""
    return torch.cat([torch.zeros(len(x), CLASSES), x.float()], 1)


def network(seed: int, sizes: list[int]) -> nn.Sequential:
    """Layers of ReLU units."""
    torch.manual_seed(seed)
    return nn.Sequential(*(part for n, m in pairwise(sizes) for part in (nn.Linear(n, m), nn.ReLU())))


@cache
def on_digits(seed: int, kind: str, steps: int) -> float:
    """Accuracy on held-out digits, 2 × 100 units: by goodness, or of a readout trained by backpropagation."""
    data = digits(seed)
    x, test, y = with_room(data.x), with_room(data.x_test), data.y
    model = network(seed, [74, 100, 100])
    learner: Any
    if kind == "backpropagation":
        model.append(nn.Linear(100, CLASSES))
        learner = BPTT(model, cross_entropy, torch.optim.Adam(model.parameters(), 1e-3), accuracy=None)
    else:
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        learner = ForwardForward(model, optimizer, CLASSES, negatives=kind)
    order = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = torch.randint(len(x), (128,), generator=order)
        learner.step((x[batch], y[batch]))
    with torch.no_grad():
        labels = model(test).argmax(1) if kind == "backpropagation" else learner.predict(test)
    return float((labels == data.y_test).double().mean())


def from_above(seed: int, steps: int, above: bool) -> float:
    """Accuracy of the recurrent version on held-out digits, 2 × 64 units."""
    data = digits(seed)
    x, y = data.x.float(), data.y
    torch.manual_seed(seed)
    model = TopDownLayers([64, 64, 64], CLASSES)
    if not above:
        nn.init.zeros_(model.down[-1].weight)  # type: ignore[arg-type]
        model.down[-1].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    learner = RecurrentForwardForward(model, optimizer, steps=6, counted_steps=(3, 5))
    order = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = torch.randint(len(x), (128,), generator=order)
        learner.step((x[batch], y[batch]))
    return learner.evaluate((data.x_test.float(), data.y_test))["accuracy"]


def locality(seed: int, held: bool) -> float:
    """Largest change of the first layer's gradient where the second's weights change their sign; held=False: of losses
    summed in plain torch, nothing detached."""
    data = digits(seed)
    x, y = with_room(data.x)[:64], data.y[:64]
    gradients = []
    for sign in (1, -1):
        model = network(seed, [74, 20, 20])
        with torch.no_grad():
            model[2].weight.mul_(sign)  # type: ignore[operator, union-attr]
        if held:
            optimizer = torch.optim.SGD(model.parameters(), 0.0)
            torch.manual_seed(seed)
            ForwardForward(model, optimizer, CLASSES, negatives="random").step((x, y))
        else:
            first = model[:2](x)
            second = model[2:](first / first.square().mean(1, keepdim=True).sqrt())
            logits = [z.square().sum(1) - 20 for z in (first, second)]
            nn.functional.softplus(-torch.stack(logits)).mean().backward()
        gradients.append(model[0].weight.grad)
    return float((gradients[0] - gradients[1]).abs().max())  # type: ignore[operator]


def on_mnist(folder: Path, seed: int, width: int = 500, epochs: int = 12) -> float:
    """Test accuracy on MNIST of two layers and a readout of the second, which finds the negatives, too."""
    x, y = read_mnist(folder)
    test, labels = read_mnist(folder, train=False)
    model = network(seed, [794, width, width])
    readout = nn.Linear(width, CLASSES)
    optimizer = torch.optim.Adam([*model.parameters(), *readout.parameters()], 3e-3)
    learner = ForwardForward(model, optimizer, CLASSES, readout=readout)
    data = torch.utils.data.TensorDataset(with_room(x.flatten(1)), y)
    loader = torch.utils.data.DataLoader(data, batch_size=200, shuffle=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    fit(learner, loader, epochs, schedule=schedule, progress=False)
    return float((learner.predict(with_room(test.flatten(1)), by="readout") == labels).double().mean())


def bars(material: dict[str, Any]) -> Figure:
    """Accuracy of every seed, by what it learned from."""
    figure, axes = canvas(4.4, 3.0)
    for k, values in enumerate(material["arms"].values()):
        axes.plot(np.full(len(values), k), values, "o", ms=4, color=COLOURS[k])
    axes.set(xticks=range(3), xticklabels=list(material["arms"]), ylabel="accuracy on held-out digits")
    return figure


HINTON = "Hinton (2022), arXiv 2212.13345"
DIGITS = {"steps": 2, "parts": "digits"}
register(
    Experiment(
        name="forward_forward",
        title="The forward-forward algorithm",
        paper="G. Hinton (2022). The Forward-Forward Algorithm: Some Preliminary Investigations. arXiv 2212.13345.",
        doi="10.48550/arXiv.2212.13345",
        summary="Every layer learns alone to tell images with their own label from images with a wrong one, by the sum "
        "of its squared activities. Negatives that look right teach most. A recurrent network does it with the label "
        "above.",
        claims=(
            Claim(
                "Layers that learn alone tell digits apart.",
                HINTON, "accuracy", AtLeast(0.85), 0.0, "chance is .1", DIGITS,
            ),
            Claim(
                "They come within a tenth of the same layers under backpropagation.",
                HINTON + ": 1.36 % error on MNIST", "gap", AtMost(0.1), 0.0, "of 250 steps",
                {"negatives": "random", "parts": "digits"},
            ),
            Claim(
                "Negatives that look right teach more than random ones.",
                HINTON + ", section 3.3", "hardness", AtLeast(0.03), 0.0,
                "three standard errors of accuracy on 397 digits", {"negatives": "random", "parts": "digits"},
            ),
            Claim(
                "A recurrent network, image below and label above, does it as well.",
                HINTON + ", section 4", "recurrent", AtLeast(0.5), 0.0, "chance is .1; 125 steps",
                {"above": False, "parts": "recurrent"},
            ),
            Claim(
                "Nothing that is above a layer changes what it learns, given its negatives.",
                HINTON, "locality", AtMost(0.0), 0.0, "exact", {"held": False, "parts": "locality"},
            ),
            Claim(
                "On MNIST a small network errs on 3 % at most.",
                HINTON + ": 1.36 % with four layers of 2000", "mnist_error", AtMost(0.03), 0.0,
                "none: 2.2 % of two layers of 500 after 12 epochs, 122 s on one core",
                {"steps": 1, "parts": "mnist"},
                ours=True,
                only="MNIST at full size",
            ),
        ),
        measure=measure,
        pictures={"Accuracy by what the layers learned from.": bars},
    )
)  # fmt: skip
