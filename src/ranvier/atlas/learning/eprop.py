"""e-prop: a spiking network with adaptive neurons learns to recall a bit over a delay, without going back in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.learners import BPTT, EProp, membrane_cross_entropy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

GROUP = 5  # input neurons a symbol


@dataclass(frozen=True)
class Task:
    """Symbols of `length` steps: bits one after another; a store command with one of them, a recall at the end."""

    blocks: int
    length: int
    batches: int
    batch: int
    neurons: int
    seeds: int


FULL = Task(blocks=8, length=8, batches=600, batch=64, neurons=40, seeds=2)


class Damped(rv.engines.surrogates.Surrogate):
    """The paper's pseudo-derivative, dampened by .3."""

    formula = "0.3*max(0, 1 - abs(x))"


class AtRecall(nn.Module):
    """A model's output while the answer counts."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__()
        self.model, self.steps = model, steps

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)[0][-self.steps :]


def measure(
    seed: int, size: Size, learned: bool = True, recurrent: bool = False, feedback: str = "", only: str = "all"
) -> dict[str, Any]:
    """Gradients against BPTT's, then the delayed recall by e-prop and by BPTT.

    learned: whether the recurrent network learns, or the readout alone. recurrent: whether the neurons of the first
    comparison, which should have none but their own past, are wired among themselves. feedback: for the
    recall, instead of both kinds. only: "gradient", or "all". The recall takes minutes and is left to the full size.
    """
    metrics: dict[str, Any] = {"gradient_error": gradient_error(seed, recurrent)}
    names = ("recall_symmetric", "recall_random", "gap_symmetric", "gap_random", "bptt")
    metrics |= dict.fromkeys(names)
    if only == "gradient" or size == "small":
        return metrics
    kinds = [feedback] if feedback else ["symmetric", "random"]
    seeds = [seed + 100 * k for k in range(FULL.seeds)]
    # feedback makes no difference to a readout alone
    curves = {kind: np.array([learn(FULL, s, kind if learned else "symmetric", learned) for s in seeds])
              for kind in kinds}  # fmt: skip
    curves["bptt"] = np.array([learn(FULL, s, "bptt", True) for s in seeds])
    metrics["bptt"] = float(curves["bptt"][:, -1].mean())
    for kind in kinds:
        metrics[f"recall_{kind}"] = float(curves[kind][:, -1].mean())
        metrics[f"gap_{kind}"] = metrics["bptt"] - metrics[f"recall_{kind}"]
    metrics["curves"] = {kind: rows.mean(0) for kind, rows in curves.items()}
    return metrics


def gradient_error(seed: int, recurrent: bool) -> float:
    """The largest relative difference of e-prop's gradients from BPTT's, for adaptive filtered neurons, float64."""
    torch.manual_seed(seed)
    cell = rv.nn.LIF(8, 12, beta=0.8, alpha=0.6, adaptation=(0.95, 0.3), recurrent=recurrent, dtype=torch.float64)
    model = rv.nn.Sequential(cell, rv.nn.LI(12, 3, beta=0.7, dtype=torch.float64))
    x, labels = 2 * torch.rand(30, 5, 8, dtype=torch.float64), torch.randint(3, (5,))
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    gradients = []
    for learner in (EProp(model, optimizer), BPTT(model, membrane_cross_entropy, optimizer)):
        learner.step((x, labels))
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*gradients, strict=True))


def recall(task: Task, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Spikes (T, B, 4 groups of input neurons: 0, 1, store, recall) and the bit that was stored, (B,)."""
    bits = torch.randint(0, 2, (task.blocks, batch), generator=generator)
    when = torch.randint(0, task.blocks - 2, (batch,), generator=generator)
    chance = torch.full((task.blocks, batch, 4), 0.02)
    chance[:-1, :, 0][bits[:-1] == 0] = 0.4
    chance[:-1, :, 1][bits[:-1] == 1] = 0.4
    chance[when, torch.arange(batch), 2] = 0.4
    chance[-1, :, 3] = 0.4
    chance = chance.repeat_interleave(task.length, 0).repeat_interleave(GROUP, 2)
    spikes = (torch.rand(chance.shape, generator=generator) < chance).float()
    return spikes, bits[when, torch.arange(batch)]


@cache  # mutants share BPTT's runs
def learn(task: Task, seed: int, kind: str, learned: bool) -> list[float]:
    """Share of right answers: means over the batches of each tenth of training, and at last on 1024 new trials."""
    torch.manual_seed(seed)
    strength = torch.zeros(task.neurons)
    strength[task.neurons // 2 :] = 0.15
    memory = math.exp(-1 / (task.blocks * task.length))
    cell = rv.nn.LIF(4 * GROUP, task.neurons, recurrent=True, adaptation=(memory, strength), surrogate=Damped())
    model = rv.nn.Sequential(cell, rv.nn.LI(task.neurons, 2))
    with torch.no_grad():
        cell.get_parameter("linear.weight").mul_(2.0)  # so that five input neurons make it fire
    optimizer = torch.optim.Adam((model if learned else model[1]).parameters(), 5e-3)
    learner: Any
    if kind == "bptt":
        learner = BPTT(AtRecall(model, task.length), membrane_cross_entropy, optimizer, clip=1.0)
    else:
        learner = EProp(model, optimizer, last=task.length, feedback=kind, clip=1.0)
    generator = torch.Generator().manual_seed(seed)
    right = [learner.step(recall(task, task.batch, generator))["accuracy"] for _ in range(task.batches)]
    end = learner.evaluate(recall(task, 1024, generator))["accuracy"]
    return [*np.array(right).reshape(10, -1).mean(1).tolist(), end]


def learning(metrics: dict[str, Any]) -> Figure:
    """Right answers while learning."""
    figure, axes = canvas(5, 3.2)
    for colour, (kind, curve) in zip(COLOURS, metrics.get("curves", {}).items(), strict=False):
        axes.plot(np.arange(1, 11) * 10, curve[:10], color=colour, label=kind)
    axes.set(xlabel="training done (%)", ylabel="right answers", ylim=(0.4, 1.02))
    if "curves" in metrics:
        axes.legend()
    return figure


PAPER = "Bellec et al. 2020"
ERROR = "the criterion, none less; counting 2 × 1024 trials leaves half a point"
register(
    Experiment(
        name="eprop",
        title="Recall over a delay, learned by e-prop",
        paper="G. Bellec, F. Scherr, A. Subramoney, E. Hajek, D. Salaj, R. Legenstein & W. Maass (2020). A solution to "
        "the learning dilemma for recurrent networks of spiking neurons. Nature Communications 11:3625.",
        doi="10.1038/s41467-020-17236-y",
        summary="Eligibility traces of membrane and adaptation carry a synapse's past; a learning signal that arrives "
        "at the end turns them into changes of weights.",
        claims=(
            Claim(
                "Where neurons are not wired among themselves, e-prop's gradient is BPTT's.",
                PAPER + ", eq. 1", "gradient_error", AtMost(0.0), 1e-10, "rounding, in float64",
                {"recurrent": True, "only": "gradient"},
            ),
            Claim(
                "Recurrent networks with adaptive neurons learn store and recall by e-prop: 95 % of answers are right.",
                "Bellec et al. 2019 (arXiv 1901.09049): decision error below .05",
                "recall_symmetric", AtLeast(0.95), 0.0, ERROR,
                {"learned": False, "feedback": "symmetric"},
                only="full size",
            ),
            Claim(
                "With random feedback they learn it too.",
                PAPER, "recall_random", AtLeast(0.95), 0.0, ERROR,
                {"learned": False, "feedback": "random"},
                only="full size",
            ),
            Claim(
                "e-prop comes within a few points of BPTT.",
                PAPER + ", Fig. 3: both solve tasks with long delays", "gap_symmetric", AtMost(0.0), 0.05,
                "the criterion of 5 % wrong answers", {"learned": False, "feedback": "symmetric"},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={"Share of right answers while learning.": learning},
    )
)  # fmt: skip
