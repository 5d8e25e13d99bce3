"""Modern Hopfield networks: retrieval in one step, averages at low inverse temperature, and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, gallery, register
from ranvier.energies import Descent, Fixed, ModernHopfield

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64


def measure(seed: int, size: Size, cool: float = 1.0, width: float = 1.0, steps: int = 8) -> dict[str, Any]:
    """Retrieval, averages, and the energy along the update.

    cool: factor on every β. width: of the steps of descent; 1 is the update. steps: of retrieval from a cluster.
    """
    g = torch.Generator().manual_seed(seed)
    count = {"small": 10_000, "full": 200_000}[size]
    X = torch.randn(count, 40, generator=g, dtype=F64)
    noisy = X[:200] + 0.3 * torch.randn(200, 40, generator=g, dtype=F64)
    once = ModernHopfield(X, 2.0 * cool).update(noisy)
    near = (once - X[:200]).norm(dim=1) < 0.02 * X[:200].norm(dim=1)
    metrics: dict[str, Any] = {"one_step": float(near.double().mean())}

    few = torch.randn(30, 16, generator=g, dtype=F64)
    states = torch.randn(20, 16, generator=g, dtype=F64)
    attention = torch.nn.functional.scaled_dot_product_attention(states[None], few[None], few[None])[0]
    metrics["attention"] = float((ModernHopfield(few, cool / 4).update(states) - attention).abs().max())

    model = ModernHopfield(few, cool)
    descent, state, energies = Descent(model, Fixed(width)), {"x": 3 * states}, []
    for _ in range(25):
        energies.append(model.energy(state["x"]))
        state = descent.relax(state, 1)
    trace = torch.stack(energies)
    metrics |= {"rise": float(trace.diff(dim=0).max()), "trace": trace.numpy()}

    centres = 2 * torch.randn(6, 16, generator=g, dtype=F64)
    clustered = (centres[:, None] + 0.05 * torch.randn(6, 10, 16, generator=g, dtype=F64)).flatten(0, 1)
    end = ModernHopfield(clustered, 0.8 * cool).update(clustered, steps)
    means = clustered.unflatten(0, (6, 10)).mean(1).repeat_interleave(10, 0)
    metrics["average"] = float((end - means).norm(dim=1).mean() / (clustered - means).norm(dim=1).mean())
    return metrics | completed(cool)


def completed(cool: float) -> dict[str, Any]:
    """Digits with their lower half hidden, one update away, at three β: all 1797 digits are stored."""
    data = digits(0)
    images = torch.cat([data.x, data.x_test]) * 2 - 1
    truth = images[::9]
    probes = truth.clone()
    probes[:, 32:] = 0.0
    shown = [truth.numpy(), probes.numpy()]
    # the energy's ½ x² favours patterns of small norm: stored with equal ones, as the paper's on a sphere
    stored = images / images.norm(dim=1, keepdim=True) * 8
    for beta in (2.0, 0.25, 0.05):
        y = ModernHopfield(stored, beta * cool).update(probes)
        shown.append((y / y.abs().amax(1, keepdim=True)).numpy())
    nearest = (torch.from_numpy(shown[2]) @ stored.T).argmax(1)
    right = float((images[nearest] == truth).all(1).double().mean())
    return {"completed": right, "digits": np.stack(shown)[:, 3:17]}


def landscape(material: dict[str, Any]) -> Figure:
    """Four patterns in the plane: the energy at three β, and where descent goes."""
    X = torch.tensor([[-1.0, -0.6], [-0.7, 0.9], [0.9, 0.5], [1.1, 0.1]], dtype=F64)
    axis = torch.linspace(-1.6, 1.6, 90, dtype=F64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    figure, (row,) = canvas(8, 2.8, 1, 3)
    starts = torch.tensor([[-1.4, 0.2], [0.1, 1.4], [0.2, -1.4], [1.4, -1.2], [-0.2, 0.2], [1.4, 1.4]], dtype=F64)
    for panel, beta in zip(row, (1.0, 3.0, 25.0)):
        model = ModernHopfield(X, beta)
        energy = model.energy(grid).reshape(90, 90)
        panel.contourf(axis, axis, energy.sqrt(), 24, cmap="Greys_r", alpha=0.8)
        state, path = {"x": starts}, [starts]
        for _ in range(80):
            state = Descent(model, Fixed(0.1)).relax(state, 1)
            path.append(state["x"])
        for track in torch.stack(path, 1):
            panel.plot(*track.T, color=COLOURS[1], lw=1.0)
            panel.plot(*track[-1], "o", ms=3, color=COLOURS[1])
        panel.plot(*X.T, "x", ms=6, color=COLOURS[0], mew=1.5)
        panel.set(title=f"β = {beta:g}", aspect="equal", xticks=[], yticks=[])
    assert material
    return figure


def digit_pictures(material: dict[str, Any]) -> Figure:
    """Hidden halves and what is retrieved."""
    titles = ["digit", "given", "β = 2", "β = 0.25", "β = 0.05"]
    return gallery(7.5, 3.0, material["digits"], titles, -1, 1)[0]


PAPER = "Ramsauer et al. (2021)"
register(
    Experiment(
        name="modern_hopfield",
        title="Modern Hopfield networks: attention as recall",
        paper="H. Ramsauer et al. (2021). Hopfield networks is all you need. ICLR.",
        summary="E = −log Σ exp(β x·ξ)/β + ½|ξ|²: a step of descent is attention. At high β it finds one of very many "
        "patterns in one step, at low β it ends in averages.",
        claims=(
            Claim(
                "One update retrieves ten thousand (full size: 200 000) patterns of 40 numbers from noise.",
                PAPER + ", theorems 3 and 4", "one_step", AtLeast(0.9), 0.0,
                "patterns with a neighbour within the noise, 1 % of ten thousand and 6 % of 200 000", {"cool": 0.1},
            ),
            Claim(
                "The update is attention.", PAPER + ", eq. 10", "attention", AtMost(0.0), 1e-12, "rounding",
                {"cool": 2.0},
            ),
            Claim(
                "The update never raises the energy.", PAPER + ", theorem 1", "rise", AtMost(0.0), 1e-12, "rounding",
                {"width": 2.6},
            ),
            Claim(
                "At low β states end in averages of a cluster of similar patterns.",
                PAPER + ", metastable states", "average", AtMost(0.2), 0.0,
                "of the distance between a pattern and its cluster's mean; larger patterns weigh more", {"cool": 100.0},
            ),
            Claim(
                "Most digits are completed from their upper half, among 1797 that are stored.",
                "this entry", "completed", AtLeast(0.5), 0.0,
                "for a third of them another digit's upper half fits better", {"cool": 0.01},
            ),
        ),
        measure=measure,
        pictures={
            "Four patterns (crosses) in the plane, the energy (dark is low), and descents to their ends.": landscape,
            "One update from the upper half of a digit, 1797 digits being stored: β = 2 recalls, less averages.":
                digit_pictures,
        },
    )
)  # fmt: skip
