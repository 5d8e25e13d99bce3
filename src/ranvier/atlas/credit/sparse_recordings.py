"""Recurrent networks that learn a circuit's outputs and dynamics from recordings of a few of its units."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.linalg import solve_continuous_lyapunov
from torch import Tensor

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.atlas.credit._circuit import circuit
from ranvier.atlas.credit._intervals import least
from ranvier.learners import FullFORCE, RateNetwork

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64
STEPS, DT, TAU = 60, 10.0, 100.0  # 600 ms of movement; ms
CONDITIONS, EPOCHS, COMPONENTS = 5, 8, 8
#: by size: units of the circuit, of the network that learns, seeds, shares of units recorded
SETTINGS = {"small": (60, 100, 8, (0.1,)), "full": (200, 200, 10, (0.02, 0.05, 0.1, 0.2, 0.5))}


def measure(
    seed: int, size: Size, recorded: str = "", shuffled: bool = False, parts: str = "learning rotation"
) -> dict[str, Any]:
    """Gains over full-FORCE that sees outputs alone: lower ends of 95 % intervals over paired seeds.

    recorded: what stands for the recorded units, "other" (those of another circuit) or "none"; "" for themselves.
    shuffled: whether the order of time is lost before rotations are sought. parts: what is measured.
    """
    metrics: dict[str, Any] = dict.fromkeys(("error", "unseen", "relative", "frequency"))
    seeds, shares = range(seed, seed + SETTINGS[size][2]), SETTINGS[size][3]
    if "learning" in parts:
        plain = [run(s, size, 0.0, "") for s in seeds]
        arms = {share: [run(s, size, share, recorded) for s in seeds] for share in shares}
        tenth = arms[0.1]
        metrics["relative"] = float(np.median([one["error"] for one in tenth]))
        metrics["error"] = least([np.log(a["error"] / b["error"]) for a, b in zip(plain, tenth, strict=True)])
        metrics["unseen"] = least([b["unseen"] - a["unseen"] for a, b in zip(plain, tenth, strict=True)])
        metrics["arms"] = {0.0: plain, **arms}
    if "rotation" in parts:
        pairs = [run(s, size, 0.1, "")["rotation"] for s in seeds]
        errors = [abs(np.log(rotation(p, shuffled) / rotation(t, False))) for p, t in pairs]
        metrics["frequency"] = float(np.median(errors))
    return metrics


def pulses(angles: Tensor) -> Tensor:
    """Inputs (STEPS, conditions, 2) that set the initial state of a movement in a direction."""
    u = torch.zeros(STEPS, len(angles), 2, dtype=F64)
    u[:3] = torch.stack([torch.cos(angles), torch.sin(angles)], 1)
    return u


@cache
def teacher(seed: int, units: int) -> RateNetwork:
    """The circuit: pulses excite the two states of most energy to come; two muscles read its rates."""
    weights, states = circuit(seed, units)
    model = RateNetwork(2, units, 2, tau=TAU, dt=DT, dtype=F64).requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    model.recurrent.copy_(torch.from_numpy(weights))
    model.inputs.copy_(torch.from_numpy(states.copy()) * units**0.5)
    model.outputs.copy_(torch.randn(2, units, generator=draw, dtype=F64) / units**0.5)
    return model


@cache
@torch.no_grad()
def run(seed: int, size: Size, share: float, recorded: str) -> dict[str, Any]:
    """Train on five directions; errors in five others, and of units that were not recorded."""
    units, hidden, *_ = SETTINGS[size]
    train = torch.arange(CONDITIONS, dtype=F64) * 2 * torch.pi / CONDITIONS
    test = train + torch.pi / (2 * CONDITIONS)  # neither directions of the training nor their opposites
    model = teacher(seed, units)
    rates, held_out = model.rates(pulses(train))[0], model.rates(pulses(test))[0]
    targets, goals = rates @ model.outputs.T, held_out @ model.outputs.T
    order = torch.randperm(units, generator=torch.Generator().manual_seed(seed))
    count, unseen = round(share * units), order[units // 2 :]
    known = {"": rates, "none": rates * 0, "other": teacher(seed + 500, units).rates(pulses(train))[0].flip(1)}[
        recorded
    ]
    torch.manual_seed(100 + seed)
    network = RateNetwork(2, hidden, 2, gain=1.0, tau=TAU, dt=DT, dtype=F64)
    learner = FullFORCE(network, recorded=count, gain=1.0, every=1, seed=seed)
    parts = (pulses(train), targets, *([known[..., order[:count]]] if count else []))
    for _ in range(EPOCHS):
        learner.step(parts)
    own, own_test = network.rates(pulses(train))[0], network.rates(pulses(test))[0]
    z, true = own_test @ network.outputs.T, held_out[..., unseen]
    predicted = decode(own, rates[..., unseen], own_test)
    correlations = [
        np.corrcoef(p, t)[0, 1] for p, t in zip(predicted.flatten(0, 1).T, true.flatten(0, 1).T, strict=True)
    ]
    return {
        "error": float((z - goals).square().mean() / goals.var()), "unseen": float(np.mean(correlations)),
        "rotation": (predicted.numpy(), true.numpy()), "outputs": (z.numpy(), goals.numpy()),
    }  # fmt: skip


def decode(own: Tensor, units: Tensor, own_test: Tensor) -> Tensor:
    """Units from the leading components of the network's activity, by regression on the training's conditions."""
    flat = own.flatten(0, 1)
    axes = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:COMPONENTS].T

    def design(activity: Tensor) -> Tensor:
        low = (activity - flat.mean(0)) @ axes
        return torch.cat([low, torch.ones_like(low[..., :1])], -1)

    weights = torch.linalg.lstsq(design(own).flatten(0, 1), units.flatten(0, 1)).solution
    return design(own_test) @ weights


def rotation(rates: np.ndarray, shuffled: bool) -> float:
    """Frequency in Hz of the fastest plane of the skew-symmetric dynamics that fit six components of (T, B, N) best
    (Churchland et al. 2012)."""
    x = rates - rates.mean((0, 1))
    if shuffled:
        x = x[np.random.default_rng(0).permutation(len(x))]
    axes = np.linalg.svd(x.reshape(-1, x.shape[2]), full_matrices=False)[2][:6].T
    low = x @ axes
    slope, state = np.diff(low, axis=0).reshape(-1, 6) / (DT / 1000), low[:-1].reshape(-1, 6)
    crossed = state.T @ slope
    skew = solve_continuous_lyapunov(state.T @ state, crossed - crossed.T)
    return float(np.abs(np.linalg.eigvals(skew).imag).max() / (2 * np.pi))


def sweep(material: dict[str, Any]) -> Figure:
    """Held-out error by the share of units recorded."""
    figure, axes = canvas(4.2, 2.9)
    for k, runs in enumerate(material["arms"].values()):
        axes.plot([k] * len(runs), [one["error"] for one in runs], "o", ms=4, color=COLOURS[k % len(COLOURS)])
    axes.set(xticks=range(len(material["arms"])), xticklabels=[f"{s:.0%}" for s in material["arms"]], yscale="log",
             xlabel="units recorded", ylabel="error in held-out directions")  # fmt: skip
    return figure


def muscles(material: dict[str, Any]) -> Figure:
    """Outputs of one network in held-out directions, and the circuit's."""
    figure, axes = canvas(5.0, 2.6)
    z, goals = material["arms"][0.1][0]["outputs"]
    for k in range(3):
        axes.plot(np.arange(STEPS) * DT, goals[:, k, 0], color="0.7", lw=3)
        axes.plot(np.arange(STEPS) * DT, z[:, k, 0], color=COLOURS[k])
    axes.set(xlabel="time (ms)", ylabel="muscle")
    return figure


SALATIELLO = "Salatiello & Giese (2020), arXiv 2005.02211, abstract"
INTERVAL = "the interval of the mean over paired seeds"
register(
    Experiment(
        name="sparse_recordings",
        title="Learning a circuit's dynamics from recordings of a few units",
        paper="A. Salatiello & M. A. Giese (2020). Recurrent neural network learning of performance and intrinsic "
        "population dynamics from sparse neural data. ICANN, arXiv 2005.02211.",
        doi="10.48550/arXiv.2005.02211",
        summary="Networks of rates are trained by full-FORCE to give the outputs of a circuit like motor cortex. Those "
        "that are also driven by a tenth of its units while they learn do better in movements they never saw, and the "
        "circuit's other units can be read from them.",
        claims=(
            Claim(
                "Recordings of a tenth of the units make held-out movements better.",
                SALATIELLO, "error", AtLeast(0.1), 0.0,
                INTERVAL + " of the log ratio of errors; units of another circuit do nearly as much, .48",
                {"recorded": "none", "parts": "learning"},
            ),
            Claim(
                "Units that were not recorded are better predicted, in these movements.",
                SALATIELLO, "unseen", AtLeast(0.001), 0.0,
                INTERVAL + ", by eight components of the activity; by all of it both are near .998",
                {"recorded": "other", "parts": "learning"},
            ),
            Claim(
                "Predicted units rotate as fast as the true ones.",
                SALATIELLO + "; Churchland et al. (2012)", "frequency", AtMost(0.2), 0.0, "a fifth, median over seeds",
                {"shuffled": True, "parts": "rotation"},
            ),
        ),
        measure=measure,
        pictures={"Error by the share of units recorded.": sweep, "Held-out movements.": muscles},
    )
)  # fmt: skip
