"""Generators of symmetries in data: by an adversary, and by the gradient of a fitted function."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, Size, canvas, register
from ranvier.symmetries import (
    LieGANResult,
    alignment,
    boosts,
    fit_function,
    invariance_generators,
    lie_gan,
    rotations,
    scaling,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTH = {"rotation": rotations(2), "boost": boosts(2), "scaling": scaling(2)}


def data(kind: str, seed: int, wide: float) -> tuple[Tensor, Tensor]:
    """x (4000, 2) and y of which `kind` is the symmetry: radius, proper time, direction; or none."""
    generator = torch.Generator().manual_seed(seed)
    u, v = torch.rand(2, 4000, generator=generator)
    normal = torch.randn(4000, 2, generator=generator)
    match kind:
        case "rotation":
            return normal, normal.norm(dim=1, keepdim=True)
        case "boost":
            time, rapidity = 0.5 + u, wide * (v - 0.5)
            return torch.stack([time * rapidity.cosh(), time * rapidity.sinh()], 1), time[:, None]
        case "scaling":
            r, angle = torch.exp(wide * (u - 0.5)), 2 * torch.pi * v
            return (
                torch.stack([r * angle.cos(), r * angle.sin()], 1),
                torch.stack([(2 * angle).cos(), (2 * angle).sin()], 1),
            )
        case _:
            x, y = normal.T
            return normal, (x + 0.5 * y**2 + 0.3 * x**3)[:, None]


def measure(
    seed: int, size: Size, kind: str = "", steps: float = 1.0, dimension: int = 5, truth: str = ""
) -> dict[str, Any]:
    """Cosines of discovered generators with the true ones, the adversary's advantage, and a count of rotations.

    kind: of the data in place of all others. steps: of training, in parts of the whole. dimension: of the rotations
    that are counted. truth: the generator that results are held against, in place of their own.
    """
    metrics: dict[str, Any] = {}
    for name in ("rotation", "boost", "scaling"):
        true = TRUTH[truth or name]
        restarts = 3 if name == "scaling" else 1
        metrics[f"gan_{name}"] = None
        if name != "scaling" or size == "full":
            metrics[f"gan_{name}"] = alignment(adversary(kind or name, seed, steps, restarts, size).basis, true)
        metrics[f"gradient_{name}"] = by_gradient(kind or name, seed, steps, truth or name)
    metrics["lost"] = adversary(kind or "none", seed, steps, 1, size).advantage
    metrics["nothing"] = float(len(gradient_basis(kind or "none", seed, steps)[0]))
    x = torch.randn(200, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    metrics["rotations"] = float(len(invariance_generators(lambda x: x.square().sum(1), x).basis))
    shown = [adversary(kind or name, seed, steps, 1, size) for name in ("rotation", "boost")]
    metrics["matrices"] = [result.basis[0].numpy() for result in shown]
    return metrics


@lru_cache(maxsize=32)
def adversary(kind: str, seed: int, steps: float, restarts: int, size: Size) -> LieGANResult:
    x, y = data(kind, seed, 5.0 if kind == "scaling" else 4.0)
    whole = 1500 if size == "full" else 600 if kind == "boost" else 400
    return lie_gan(x, y, steps=max(1, round(whole * steps)), restarts=restarts, seed=seed)


@lru_cache(maxsize=32)
def gradient_basis(kind: str, seed: int, steps: float) -> tuple[Tensor, Tensor]:
    x, y = data(kind, seed, 1.5 if kind == "scaling" else 2.4)
    whole = 900 if kind == "scaling" else 400
    net = fit_function(x, y, steps=max(1, round(whole * steps)), seed=seed)
    result = invariance_generators(net, x[:1000], 0.02)
    return result.basis, result.residuals


def by_gradient(kind: str, seed: int, steps: float, truth: str) -> float:
    return alignment(gradient_basis(kind, seed, steps)[0], TRUTH[truth])


def matrices(material: dict[str, Any]) -> Figure:
    """The two generators."""
    figure, axes = canvas(4.4, 2, 1, 2)
    for axis, matrix, name in zip(axes[0], material["matrices"], ("rotation", "boost"), strict=True):
        axis.imshow(matrix, cmap="RdBu", vmin=-1, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
        for (i, j), value in zip(((0, 0), (0, 1), (1, 0), (1, 1)), matrix.ravel(), strict=True):
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=COLOURS[4])
    return figure


YANG = "Yang et al. (2023), LieGAN"
COSINE = "a cosine of .99 is 8 degrees; five seeds lie above .998"

register(
    Experiment(
        name="symmetry_generators",
        title="Symmetries found in data",
        paper="J. Yang, R. Walters, N. Dehmamy and R. Yu (2023). Generative adversarial symmetry discovery. ICML. "
        "arXiv:2302.00236.",
        summary="Which linear maps leave data as they are? An adversary fails to tell moved data from the data; a "
        "fitted function's gradient is orthogonal to the motion. Both find rotations and Lorentz boosts, and nothing "
        "where nothing is. Rotations of n dimensions take n(n - 1)/2 parameters, not n - 1.",
        claims=(
            Claim(
                "The adversary finds rotations,",
                YANG, "gan_rotation", AtLeast(0.99), 0.0, COSINE, {"kind": "none"},
            ),
            Claim(
                "and Lorentz boosts,",
                YANG, "gan_boost", AtLeast(0.99), 0.0, COSINE, {"truth": "rotation"},
            ),
            Claim(
                "and scaling.",
                YANG, "gan_scaling", AtLeast(0.99), 0.0, "the best of three starts, at full size", {"kind": "none"},
                only="full size",
            ),
            Claim(
                "A fitted function's gradient finds rotations,",
                "grad f · L x = 0", "gradient_rotation", AtLeast(0.99), 0.0, COSINE, {"kind": "none"},
            ),
            Claim(
                "boosts,",
                "grad f · L x = 0", "gradient_boost", AtLeast(0.99), 0.0, COSINE, {"truth": "rotation"},
            ),
            Claim(
                "and scaling.",
                "grad f · L x = 0", "gradient_scaling", AtLeast(0.99), 0.0, COSINE, {"kind": "none"},
            ),
            Claim(
                "Where there is no symmetry the adversary tells moved data from the data (nats),",
                "a control", "lost", AtLeast(0.15), 0.0, "symmetric data: below .07", {"kind": "rotation"},
            ),
            Claim(
                "and the gradient finds none.",
                "a control", "nothing", 0.0, 0.0, "counted", {"kind": "rotation"},
            ),
            Claim(
                "Rotations of 5 dimensions have 10 parameters, n(n - 1)/2, not n - 1 as the seed text says.",
                "dimension of SO(n)", "rotations", 10.0, 0.0, "counted", {"dimension": 4},
            ),
        ),
        measure=measure,
        pictures={"Generators that the adversary found.": matrices},
    )
)  # fmt: skip
