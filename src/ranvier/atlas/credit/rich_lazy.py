"""Rich and lazy learning: what the rank of initial recurrent weights, at equal norm, does to how a network learns."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.atlas.credit._intervals import least
from ranvier.atlas.credit._recurrent import Ensemble
from ranvier.atlas.credit._tasks import TASKS, Batch
from ranvier.data import celegans, larva
from ranvier.learners import BPTT, regimes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

GAIN = 1.25  # Gaussian weights have the standard deviation GAIN/√H
BATCH, TRIALS = 32, 320
F64 = torch.float64
#: by size: hidden units, iterations, learning rate, seeds, examples of the tangent kernel, tasks; the paper has 300
#: units, 10 000 iterations at .003
SETTINGS = {
    "small": (64, 500, 0.004, 6, 4, ("2AF",)), "full": (128, 3000, 0.003, 8, 8, ("2AF", "DMS", "CXT")),
}  # fmt: skip
#: what learns side by side, as far as a task's size goes
RANKS = {"small": ("rank 1", "full"), "full": ("rank 1", "rank 12", "full")}
WIRINGS = ("larva", "worm")
Arm = dict[str, np.ndarray]


def measure(
    seed: int, size: Size, low: str = "rank 1", aligned: str = "aligned", wiring: str = "", theory_rank: int = 1,
    rescaled: bool = True, parts: str = "ranks exception wirings theory",
) -> dict[str, Any]:  # fmt: skip
    """low, aligned, wiring: which initial weights stand for those of rank 1, those aligned with the task, and those of
    measured wirings ("" for themselves). theory_rank: of the linear network that is held against the closed form of
    rank 1. rescaled: whether low ranks have the norm of the full one. parts: what is measured."""
    names = ("kernel", "representation", "change", "cost", "loss_gap", "norms", "exception", "larva", "worm",
             "forgetting", "theory", "theory_average", "theory_exception")  # fmt: skip
    metrics: dict[str, Any] = dict.fromkeys(names)
    if "ranks" in parts:
        tasks = {task: learned(task, RANKS[size], seed, size) for task in SETTINGS[size][-1]}
        pairs = [(arms[low], arms["full"]) for arms in tasks.values()]
        metrics["kernel"] = min(least(f["kernel"] - r["kernel"]) for r, f in pairs)
        metrics["loss_gap"] = max(abs(float((r["loss"] - f["loss"]).mean())) for r, f in pairs)
        metrics["norms"] = norms(seed, size, rescaled)
        metrics["tasks"] = tasks
        if size == "full":
            metrics["representation"] = min(least(f["representation"] - r["representation"]) for r, f in pairs)
            for name in ("change", "cost"):
                metrics[name] = min(least(np.log(r[name] / f[name])) for r, f in pairs)
            metrics["forgetting"] = least(pairs[0][0]["forgotten"] - pairs[0][1]["forgotten"])
    if "exception" in parts:
        one = learned("2AF", ("rank 3",), seed, size)["rank 3"]
        other = one if aligned == "rank 3" else learned("2AF", (aligned,), seed, size)[aligned]
        metrics["exception"] = least(np.log(one["change"] / other["change"]))
    if "wirings" in parts and size == "full":
        full = learned("2AF", RANKS[size], seed, size)["full"]
        arms = learned("2AF", WIRINGS, seed, size)
        for name in WIRINGS:
            metrics[name] = least(full["kernel"] - (full if wiring else arms[name])["kernel"])
        metrics["wirings"] = arms
    if "theory" in parts:
        metrics |= theory(seed, theory_rank)
    return metrics


def initial(task: str, kind: str, seed: int, k: int, size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Recurrent, input and output weights of the k-th network from `seed` on."""
    hidden = SETTINGS[size][0]
    draw = torch.Generator().manual_seed(1000 * seed + k)
    full = torch.randn(hidden, hidden, generator=draw) * GAIN / hidden**0.5
    inputs = torch.randn(hidden, TASKS[task][0], generator=draw) / TASKS[task][0] ** 0.5
    outputs = torch.randn(3, hidden, generator=draw) / hidden**0.5
    match kind.split():
        case ["rank", rank]:
            full = regimes.of_rank(full, int(rank))
        case ["aligned"]:  # one random direction, and the two leading ones of what a network of rank 1 has learned
            full = regimes.of_rank(learned(task, RANKS[size], seed, size)["rank 1"]["learned"][k], 3)
            full *= GAIN * hidden**0.5 / full.norm()
        case ["larva"] | ["worm"]:
            edges = larva() if kind == "larva" else celegans().chemical
            full = regimes.balanced_wiring(edges, hidden, gain=GAIN, seed=1000 * seed + k).float()
    return full, inputs, outputs


@cache
def learned(task: str, kinds: tuple[str, ...], seed: int, size: Size) -> dict[str, Arm]:
    """What networks of several seeds come to, by kind: how far they moved, how well they do, what they forget. All
    learn side by side, those of one seed from the same trials."""
    _, steps, rate, seeds, examples, _ = SETTINGS[size]
    parts = [initial(task, kind, seed, k, size) for kind in kinds for k in range(seeds)]
    model = Ensemble(*(torch.stack(weights) for weights in zip(*parts, strict=True)))
    start = model.recurrent.detach().clone()
    few, many = (drawn(task, n, seed, s, seeds, len(kinds)) for n, s in ((examples, 7), (TRIALS, 8)))
    before = tangent_kernels(model, few[0]), representations(model, many[0])
    train(model, task, seed, seeds, len(kinds), steps, rate)
    after = tangent_kernels(model, few[0]), representations(model, many[0])
    change = model.recurrent.detach() - start
    kernel, representation = ([regimes.alignment(a, b) for a, b in zip(*two, strict=True)]
                              for two in zip(after, before, strict=True))  # fmt: skip
    loss, accuracy = scores(model, many)
    values = {
        "change": change.flatten(1).norm(dim=1).numpy(), "cost": change.abs().sum((1, 2)).numpy(),
        "kernel": np.array(kernel), "representation": np.array(representation), "loss": loss, "accuracy": accuracy,
        "learned": model.recurrent.detach().clone(),
    }  # fmt: skip
    if task == "2AF" and size == "full":  # whose inputs and outputs are those of the second task
        train(model, "DMS", seed + 1, seeds, len(kinds), steps, rate)
        values["forgotten"] = accuracy - scores(model, many)[1]
    return {kind: {name: v[i * seeds : (i + 1) * seeds] for name, v in values.items()} for i, kind in enumerate(kinds)}


def drawn(task: str, trials: int, seed: int, stream: int, seeds: int, times: int) -> Batch:
    """x (T, A, B, inputs) and labels (A, B, T), the same trials for `times` networks of each seed."""
    draw = TASKS[task][1]
    pairs = [draw(trials, torch.Generator().manual_seed((1000 * seed + k) * 1000 + stream)) for k in range(seeds)]
    x, labels = torch.stack([x for x, _ in pairs], 1), torch.stack([labels for _, labels in pairs])
    return x.repeat(1, times, 1, 1), labels.repeat(times, 1, 1)


def summed(y: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of every step, summed over networks, so that each learns as if it were alone."""
    return losses(y, labels).sum()


def losses(y: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each network."""
    return cross_entropy(y.permute(1, 3, 2, 0), labels, reduction="none").mean((1, 2))


def train(model: Ensemble, task: str, seed: int, seeds: int, times: int, steps: int, rate: float) -> None:
    """By stochastic gradient descent with momentum .9; trials are drawn for a hundred steps at once."""
    learner = BPTT(model, summed, torch.optim.SGD(model.parameters(), rate, momentum=0.9), accuracy=None)
    for block in range(0, steps, 100):
        x, labels = drawn(task, 100 * BATCH, seed, 100 + block // 100, seeds, times)
        for k in range(100):
            part = slice(k * BATCH, (k + 1) * BATCH)
            learner.step((x[:, :, part], labels[:, part]))


@torch.no_grad()
def scores(model: Ensemble, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Loss, and the share of right choices at the last step."""
    y = model(batch[0])
    right = y[-1].argmax(-1) == batch[1][..., -1]
    return losses(y, batch[1]).numpy(), right.double().mean(1).numpy()


@torch.no_grad()
def representations(model: Ensemble, x: Tensor) -> list[Tensor]:
    """Kernels of the activity at the decision."""
    return [regimes.representation_kernel(h) for h in model.states(x)[-1]]


def tangent_kernels(model: Ensemble, x: Tensor) -> list[Tensor]:
    """Over recurrent weights, of all steps and outputs; network by network."""
    kernels = []
    for k in range(len(model.recurrent)):
        one = Ensemble(*(p.detach()[k : k + 1] for p in (model.recurrent, model.inputs, model.outputs)))
        kernels.append(regimes.tangent_kernel(one(x[:, k : k + 1]), [one.recurrent]))
    return kernels


def norms(seed: int, size: Size, rescaled: bool) -> float:
    """The ratio of initial norms, low rank to full."""
    full = initial("2AF", "full", seed, 0, size)[0]
    if rescaled:
        return float(initial("2AF", "rank 1", seed, 0, size)[0].norm() / full.norm())
    return float(torch.linalg.matrix_norm(full, 2) / full.norm())


def theory(seed: int, rank: int) -> dict[str, float]:
    """A linear network of 20 inputs: gradient descent against the closed form, and the closed form by rank."""
    size, norm, draw = 20, 2.0, torch.Generator().manual_seed(seed)
    rows, columns = (torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=F64))[0] for _ in range(2))
    weight = regimes.of_rank(norm / size**0.5 * rows @ columns, rank)
    beta = torch.randn(size, generator=draw, dtype=F64)
    beta /= beta.norm()
    basis = torch.linalg.svd(weight)[2][:rank]
    w, a = weight.clone(), torch.zeros(size, dtype=F64)
    for _ in range(3000):
        error = beta - w.T @ a
        w, a = w + 0.01 * torch.outer(a, error), a + 0.01 * w @ error
    before, after = weight.T @ weight, w.T @ w + a @ a * torch.eye(size, dtype=F64)
    expected = regimes.linear_regime(size, 1, norm, 1.0, float((basis[:1] @ beta).square().sum()))
    low, full, along = (
        regimes.linear_regime(size, r, norm, 1.0, overlap)
        for r, overlap in ((rank, rank / size), (size, 1.0), (1, 1.0))
    )
    return {
        "theory": max(abs(float((w - weight).norm()) - expected.change),
                      abs(regimes.alignment(after, before) - expected.alignment)),
        "theory_average": full.alignment - low.alignment,
        "theory_exception": along.alignment - low.alignment,
    }  # fmt: skip


def scatter(material: dict[str, Any]) -> Figure:
    """Kernel alignment against the change of weights, by task and rank."""
    figure, axes = canvas(4.4, 3.2)
    for k, (task, arms) in enumerate(material["tasks"].items()):
        for name, marker in (("rank 1", "o"), ("full", "x")):
            arm = arms[name]
            axes.plot(arm["change"], arm["kernel"], marker, ms=4, color=COLOURS[k], label=task if marker == "o" else "")
    axes.set(xlabel="change of recurrent weights", ylabel="alignment of tangent kernels", xscale="log")
    axes.legend()
    return figure


LIU = "Liu et al. (2024), ICLR, arXiv 2310.08513"
INTERVAL = "the interval of the mean over paired seeds"
SAME = {"low": "full", "parts": "ranks"}
register(
    Experiment(
        name="rich_lazy",
        title="Rich and lazy learning by the rank of initial weights",
        paper="Y. H. Liu, A. Baratin, J. Cornford, S. Mihalas, E. Shea-Brown & G. Lajoie (2024). How connectivity "
        "structure shapes rich and lazy learning in neural circuits. ICLR, arXiv 2310.08513.",
        doi="10.48550/arXiv.2310.08513",
        summary="Recurrent networks whose initial weights have full rank stay near them; at equal norm, those of low "
        "rank change their kernels, unless their directions are the task's.",
        claims=(
            Claim(
                "At equal norm, full rank learns lazier than rank 1: its tangent kernel stays, in all three tasks.",
                LIU + ", fig. 2", "kernel", AtLeast(0.02), 0.0, INTERVAL, SAME,
            ),
            Claim(
                "Weights of both have equal norm at the beginning.",
                LIU + ", section 3", "norms", 1.0, 1e-5, "single precision", {"rescaled": False, "parts": "ranks"},
            ),
            Claim(
                "Low rank moves its weights further.",
                LIU + ", fig. 2", "change", AtLeast(0.001), 0.0,
                INTERVAL + "; at 64 units and 500 steps .996 against .971, an interval that reaches below 0", SAME,
                only="full size",
            ),
            Claim(
                "Its representation changes more.",
                LIU + ", fig. 2", "representation", AtLeast(0.001), 0.0,
                INTERVAL + "; .874 against .987 at 64 units, an interval that reaches −.02", SAME,
                only="full size",
            ),
            Claim(
                "Low rank costs more plasticity, Σ|ΔW|.",
                LIU + ", discussion", "cost", AtLeast(0.001), 0.0,
                INTERVAL + "; at 64 units 33.4 against 32.7, an interval that reaches below 0", SAME,
                only="full size",
            ),
            Claim(
                "A low rank aligned with the task learns lazier than a random one: weights move less.",
                LIU + ", abstract", "exception", AtLeast(0.02), 0.0, INTERVAL,
                {"aligned": "rank 3", "parts": "exception"},
            ),
            Claim(
                "Gradient descent in a linear network of rank 1 ends where the closed form says.",
                "ours, after " + LIU + ", section 4", "theory", AtMost(0.0), 0.01,
                "the order of a step of .01, and what is still to learn", {"theory_rank": 5, "parts": "theory"},
            ),
            Claim(
                "In it a full rank is lazier than rank 1, on average over tasks.",
                LIU + ", theorem 1", "theory_average", AtLeast(0.1), 0.0, "exact; a tenth of the alignment's range",
                {"theory_rank": 20, "parts": "theory"},
            ),
            Claim(
                "And a rank of 1 that is aligned with the task is lazier than one that is not.",
                LIU + ", section 4", "theory_exception", AtLeast(0.1), 0.0, "exact; a tenth of the alignment's range",
                {"theory_rank": 20, "parts": "theory"},
            ),
        ),
        measure=measure,
        pictures={"Every network: rank 1 (dots) and full rank (crosses).": scatter},
    )
)  # fmt: skip
