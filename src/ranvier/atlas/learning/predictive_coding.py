"""Predictive coding: inference that balances precise errors, when it is backpropagation, and what it fills in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register
from ranvier.energies import Clamp, Descent, Fixed
from ranvier.energies.predictive.hierarchy import FixedPredictions, Hierarchy
from ranvier.learners import PredictiveCoding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64
PRECISIONS = (1.0, 0.1, 0.01)


def measure(
    seed: int, size: Size, steps: int = 1500, held: bool = True, learned: bool = True, output: float = 1.0,
    own: bool = True, parts: str = "limits gaussian precision digits",
) -> dict[str, Any]:  # fmt: skip
    """steps: of inference, where gradients and means are compared. held: predictions, in the limit that holds them.
    learned: precisions. output: precision of the last layer, where errors are small. own: each digit is filled in from
    its own upper half, not another's. parts: what is measured."""
    names = ("held", "order", "small_errors", "conditional", "precision", "completion", "completion_most")
    metrics: dict[str, Any] = dict.fromkeys(names)
    if "limits" in parts:
        metrics |= limits(seed, steps, held, output)
    if "gaussian" in parts:
        metrics["conditional"] = conditional(seed, steps)
    if "precision" in parts:
        metrics |= precision(seed, learned)
    if "digits" in parts:
        metrics |= completion(seed, size, own)
    return metrics


def limits(seed: int, steps: int, held: bool, output: float) -> dict[str, Any]:
    """Distances of the gradient after inference from backpropagation's, relative to it."""
    torch.manual_seed(seed)
    maps = [nn.Linear(8, 12), nn.Sequential(nn.Tanh(), nn.Linear(12, 9)), nn.Sequential(nn.Tanh(), nn.Linear(9, 4))]
    maps = [m.double() for m in maps]
    x, target = torch.randn(6, 8, dtype=F64), torch.eye(4, dtype=F64)[torch.arange(6) % 4]
    out = nn.Sequential(*maps)(x).detach()
    errors = [distance(maps, x, target, p, steps) for p in PRECISIONS]
    return {
        "held": held_distance(maps, x, target) if held else errors[0],
        "order": float(np.polyfit(np.log(PRECISIONS[1:]), np.log(errors[1:]), 1)[0]),
        "small_errors": distance(maps, x, out + 1e-3 * (target - out), output, steps),
        "errors": errors,
    }


def distance(maps: list[Any], x: Tensor, target: Tensor, output: float, steps: int) -> float:
    """With free predictions, the last layer's precision at `output`, all others at 1."""
    (0.5 * output * (nn.Sequential(*maps)(x) - target).square().sum(1)).mean().backward()
    true = taken(maps)
    model = Hierarchy(maps, (8,), precision=[1.0, 1.0, output])
    clamp = model.layout.clamp(layer0=x, layer3=target)
    with torch.no_grad():
        state = Descent(model, Fixed(0.2)).relax({"x": model.predict(x)}, min(steps, 300), clamp)["x"]
    model.energy(state).mean().backward()
    return float((taken(maps) - true).norm() / true.norm())


def held_distance(maps: list[Any], x: Tensor, target: Tensor) -> float:
    """With predictions held: the errors of hidden layers against the loss's slopes there."""
    model = Hierarchy(maps, (8,))
    start = model.predict(x).detach()
    clamp = model.layout.clamp(layer0=x, layer3=target)
    state = Descent(FixedPredictions(model, start), Fixed(0.5)).relax({"x": start}, 100, clamp)["x"]
    first = maps[0](x)
    second = maps[1](first)
    slopes = torch.autograd.grad((0.5 * (maps[2](second) - target).square()).sum(), [first, second])
    true = torch.cat(slopes, 1)
    layers = model.layout.split(start - state)
    return float((torch.cat([layers["layer1"], layers["layer2"]], 1) - true).norm() / true.norm())


def taken(maps: list[nn.Module]) -> Tensor:
    """All gradients as one vector, which are then forgotten."""
    metrics = torch.cat([p.grad.flatten() for m in maps for p in m.parameters() if p.grad is not None])
    for m in maps:
        m.zero_grad()
    return metrics


def conditional(seed: int, steps: int) -> float:
    """Largest distance between where linear layers settle, three of twelve units held, and the conditional mean."""
    torch.manual_seed(seed)
    maps = [nn.Linear(3, 4).double(), nn.Linear(4, 5).double()]
    model = Hierarchy(maps, (3,), prior=True, precision=[4.0, 2.0]).double()
    A, B = (m.weight.detach() for m in maps)
    noise = torch.block_diag(torch.eye(3), torch.eye(4) / 4, torch.eye(5) / 2).double()
    mixing = torch.eye(12, dtype=F64)  # of (cause, noise of the middle, noise of the data) into units
    mixing[3:7, :3], mixing[7:, :3], mixing[7:, 3:7] = A, B @ A, B
    cov, mean = mixing @ noise @ mixing.T, model.predict()[0].detach()
    known, values = torch.arange(7, 10), torch.randn(4, 3, dtype=F64)
    rest = torch.tensor([k for k in range(12) if k not in known.tolist()])
    gain = torch.linalg.solve(cov[known][:, known], cov[known][:, rest])
    expected = mean[rest] + (values - mean[known]) @ gain
    with torch.no_grad():
        start = model.predict(batch=4)
        state = Descent(model, Fixed(0.05)).relax({"x": start}, steps, Clamp.at(known, values, 12))["x"]
    return float((state[:, rest] - expected).abs().max())


def precision(seed: int, learned: bool) -> dict[str, Any]:
    """Worst relative error of learned precisions of three outputs, of noise 0.2, 0.5 and 1.5."""
    g = torch.Generator().manual_seed(seed)
    sigma = torch.tensor([0.2, 0.5, 1.5], dtype=F64)
    x = torch.randn(4000, 3, generator=g, dtype=F64)
    y = x @ torch.randn(3, 3, generator=g, dtype=F64) + sigma * torch.randn(4000, 3, generator=g, dtype=F64)
    torch.manual_seed(seed)
    model = Hierarchy([nn.Linear(3, 3).double()], (3,), learn_precision=learned).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model.energy(model.layout.join({"layer0": x, "layer1": y})).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return {"precision": float((model.precision("layer1").detach() * sigma**2 - 1).abs().max())}


def completion(seed: int, size: Size, own: bool) -> dict[str, Any]:
    """Squared error of the lower halves of held-out digits, filled in from the upper, over that of their mean."""
    data = digits(seed)
    x, test = data.x.float(), data.x_test.float()
    torch.manual_seed(seed)
    maps = [nn.Linear(16, 48), nn.Sequential(nn.Tanh(), nn.Linear(48, 64))]
    model = Hierarchy(maps, (16,), prior=True, precision=[1.0, 20.0])
    # a prior on weights: without, they grow for ever, as point beliefs leave out how sure causes are, and inference
    # becomes stiff
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1.0)
    learner = PredictiveCoding(model, optimizer, direction="unsupervised", steps=12, rule=Fixed(0.02))
    loader = DataLoader(TensorDataset(x, data.y), batch_size=50, shuffle=True)
    rv.fit(learner, loader, 5 if size == "small" else 20, progress=False)
    units = model.layout.slices["layer2"]
    upper = Clamp.at(slice(units.start, units.start + 32), (test if own else test.roll(1, 0))[:, :32], model.units)
    with torch.no_grad():
        start = model.predict(batch=len(test))
        state = Descent(model, Fixed(0.02)).relax({"x": start}, 250, upper)["x"]
        filled = model.layout.split(state)["layer2"]
    error = (filled[:, 32:] - test[:, 32:]).square().sum(1)
    baseline = (x[:, 32:].mean(0) - test[:, 32:]).square().sum(1)
    ratio = float(error.sum() / baseline.sum())
    spread = float((error - ratio * baseline).square().sum().sqrt() / baseline.sum())
    return {"completion": ratio, "completion_most": ratio + 4 * spread,
            "filled": filled[:10].numpy(), "digits": test[:10].numpy()}  # fmt: skip


def completed(material: dict[str, Any]) -> Figure:
    """Digits, and what is made of their upper halves."""
    figure, axes = canvas(6.4, 2.0, 3, 10)
    for column, (digit, filled) in enumerate(zip(material["digits"], material["filled"], strict=True)):
        hidden = np.where(np.arange(64) < 32, digit, 0.5)
        for row, image in enumerate((hidden, filled, digit)):
            axes[row, column].imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axes[row, column].set_axis_off()
    for row, text in enumerate(("given", "filled in", "true")):
        axes[row, 0].text(-1.2, 3.5, text, ha="right", va="center", fontsize=8)
    return figure


def backpropagation(material: dict[str, Any]) -> Figure:
    """Distance from backpropagation's gradient against the precision of the output."""
    figure, axis = canvas(4.4, 2.8)
    axis.loglog(PRECISIONS, material["errors"], "o-", ms=4, color=COLOURS[0])
    axis.set(xlabel="precision of the output, of hidden layers 1", ylabel="distance from backpropagation")
    return figure


WHITTINGTON = "Whittington and Bogacz (2017), Neural Comput. 29:1229"
ROUNDING = "rounding of double precision"

register(
    Experiment(
        name="predictive_coding",
        title="Predictive coding and backpropagation",
        paper="R. Bogacz (2017). A tutorial on the free-energy framework for modelling perception and learning. "
        "J. Math. Psychol. 76:198-211.",
        doi="10.1016/j.jmp.2015.11.003",
        summary="Every layer predicts the next; states settle where precision-weighted errors balance, then every "
        "synapse learns from the error it feeds. That is backpropagation where predictions are held "
        "during inference, or where "
        "the output is much less precise than hidden layers; small errors alone do not make it so. Run downwards the "
        "same network fills in what it does not see.",
        claims=(
            Claim(
                "With predictions held, errors settle at backpropagation's.",
                "Millidge, Tschantz and Buckley (2022), Neural Comput. 34:1329",
                "held", AtMost(1e-10), 0.0, ROUNDING, {"held": False, "parts": "limits"},
            ),
            Claim(
                "Otherwise the difference is of first order in the output's precision.",
                WHITTINGTON, "order", 1.0, 0.1, "the next order at a precision of 0.1", {"steps": 2, "parts": "limits"},
            ),
            Claim(
                "Small errors alone do not make it backpropagation.",
                "this entry", "small_errors", AtLeast(0.1), 0.0, "a distance that no sampling makes",
                {"output": 0.001, "parts": "limits"},
            ),
            Claim(
                "Linear layers, some units held, settle at the Gaussian's conditional mean.",
                "equation 53, minimised", "conditional", AtMost(1e-6), 0.0, "1500 steps of 0.05",
                {"steps": 10, "parts": "gaussian"},
            ),
            Claim(
                "Precisions learn the inverse variance of the noise.",
                "equation 60", "precision", AtMost(4 * (2 / 4000) ** 0.5), 0.0,
                "four standard errors of a variance from 4000 samples", {"learned": False, "parts": "precision"},
            ),
            Claim(
                "From its upper half the network fills in the lower half of a digit better than its mean.",
                "the data that come with scikit-learn", "completion_most", AtMost(1.0), 0.0,
                "squared error over that of the mean, and four standard errors of it from 297 digits",
                {"own": False, "parts": "digits"},
            ),
        ),
        measure=measure,
        pictures={
            "Upper halves, what the network makes of them, and the digits.": completed,
            "How near inference with free predictions comes to backpropagation.": backpropagation,
        },
    )
)  # fmt: skip
