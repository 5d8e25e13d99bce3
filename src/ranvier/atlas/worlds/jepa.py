"""Latent world models: what prediction of codes keeps of moving scenes, when it collapses, and planning by it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register
from ranvier.worlds import (
    JEPA,
    HierarchicalJEPA,
    MovingDots,
    PixelPredictor,
    SceneBatches,
    WorldLearner,
    effective_rank,
    plan,
    slow_features,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: updates, hidden units of encoder and predictor; codes of 16
SIZES = {"small": (240, 96), "full": (3000, 256)}
STEPS, BATCH, CODE, HORIZON = 6, 48, 16, 3
NOISY = MovingDots()
STILL = MovingDots(background="fixed")
#: without noise, and so fast that places are forgotten from frame to frame; only the shape stays
FAST = MovingDots(noise=0.0, distractors=0, speed=1.6, shapes=2)


def measure(
    seed: int, size: Size, background: str = "changing", variance: float = 0.0, held: bool = True, split: str = "codes",
    planner: bool = True, top: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Probes of codes, their rank, what of them is slow, and how near planned actions lead to a goal.

    background: of the scenes that codes and pixels are compared on. variance: the regulariser's weight in the model
    that should collapse. held: whether the rank is that of the regularised model; else of the other. split: what slow
    features are taken of, codes or pixels. planner: whether actions are planned; else they are random. top: whether
    persistence is requested of the upper level; else of the lower.
    """
    updates, hidden = SIZES[size]
    world = NOISY if background == "changing" else STILL
    codes, pixels = (trained(kind, world, updates, hidden, seed) for kind in ("shared", "pixels"))
    collapsed = collapsing(variance, "shared", updates, hidden, seed)
    scene = NOISY.sample(3, 400, generator=torch.Generator().manual_seed(seed + 5))
    fast = trained("shared", FAST, max(updates, 400), hidden, seed)
    pixel_features = separated(None, seed)
    what = separated(fast, seed) if split == "codes" else pixel_features
    guide = trained("shared", NOISY, updates, hidden, seed)
    travelled = {k: reached(guide, k if planner else "random", seed) for k in ("cem", "gradient", "random")}
    result: dict[str, Any] = {
        "over_pixels": probe(codes, world, seed) - probe(pixels, world, seed),
        "position": probe(codes, world, seed),
        "rank": effective_rank(encoded(guide if held else collapsed, scene.frames)),
        "collapsed_rank": effective_rank(encoded(collapsed, scene.frames)),
        "identity_slow": what["slow"][1],
        "position_slow": what["slow"][0],
        "identity_rest": what["rest"][1],
        "position_rest": what["rest"][0],
        "over_sfa": what["slow"][1] - pixel_features["slow"][1],
        "cem": travelled["cem"],
        "gradient": travelled["gradient"],
        "random": travelled["random"],
        **dict.fromkeys(
            ("identity_margin", "average_position", "average_rank", "persistence", "upper_identity", "upper_position")
        ),
        "scene": scene,
        "fast": encoded(fast, FAST.sample(30, 1, generator=torch.Generator().manual_seed(seed + 9)).frames),
        "spectra": [spectrum(m, scene.frames) for m in (guide, collapsed, pixels)],
    }
    if size == "full":
        average = trained("average", world, updates, hidden, seed)
        both = trained("levels", FAST, updates, hidden, seed)
        levels = [state_of(lambda x, k=k: both.encode(x)[k], FAST, seed) for k in (0, 1)]
        shown = levels[1 if top else 0]
        result |= {
            "identity_margin": state_of(average, world, seed)[1] - state_of(pixels, world, seed)[1],
            "average_rank": effective_rank(encoded(collapsing(0.0, "average", updates, hidden, seed), scene.frames)),
            "average_position": probe(average, world, seed) - probe(pixels, world, seed),
            "upper_identity": levels[1][1],
            "upper_position": levels[1][0],
            "persistence": shown[1] - shown[0],
        }
    return result


@lru_cache(maxsize=16)
def trained(kind: str, world: MovingDots, updates: int, hidden: int, seed: int) -> Any:
    """A model after `updates` updates: codes with the encoder as target (shared) or its average; pixels; levels."""
    inputs = world.side**2
    if kind == "pixels":
        model: nn.Module = PixelPredictor(inputs, 2, size=CODE, hidden=hidden, seed=seed)
    elif kind == "levels":
        lower = JEPA(inputs, 2, size=CODE, hidden=hidden, target="shared", seed=seed)
        model = HierarchicalJEPA(lower, stride=3, size=2, seed=seed + 1)
    else:
        model = JEPA(inputs, 2, size=CODE, hidden=hidden, target=kind, seed=seed)  # type: ignore[arg-type]
    return taught(model, world, updates, seed)


@lru_cache(maxsize=4)
def collapsing(variance: float, target: Any, updates: int, hidden: int, seed: int) -> Any:
    """A model whose covariance is left free, and whose variance is, but for a mutant."""
    weights = {"variance": variance, "covariance": 0.0}
    model = JEPA(NOISY.side**2, 2, size=CODE, hidden=hidden, target=target, seed=seed, **weights)
    return taught(model, NOISY, updates, seed)


def taught(model: nn.Module, world: MovingDots, updates: int, seed: int) -> nn.Module:
    """The model, trained by Adam."""
    torch.manual_seed(seed)
    learned = [p for p in model.parameters() if p.requires_grad]
    learner = WorldLearner(model, torch.optim.Adam(learned, 2e-3, fused=True))
    rv.fit(learner, SceneBatches(world, STEPS, BATCH, updates), 1, progress=False)
    return model


def encoded(model: Any, frames: Tensor) -> Tensor:
    """Codes of frames (T, B, pixels), in rows."""
    with torch.no_grad():
        codes: Tensor = model(frames).flatten(0, 1).double()
    return codes


def state_of(model: Any, world: MovingDots, seed: int) -> tuple[float, float]:
    """R² of the place and share of right shapes, by linear probes on scenes that they were not fitted to."""
    generator = torch.Generator().manual_seed(seed + 5)
    one, other = world.sample(3, 600, generator=generator), world.sample(3, 400, generator=generator)
    return probed(encoded(model, one.frames), encoded(model, other.frames), one, other)


def probe(model: Any, world: MovingDots, seed: int) -> float:
    """R² of the place alone."""
    return state_of(model, world, seed)[0]


def probed(z: Tensor, test: Tensor, one: Any, other: Any) -> tuple[float, float]:
    """The same of codes: least squares with a ridge of 1e-3 for places and for one-hot shapes, the largest wins."""
    shapes = torch.nn.functional.one_hot(one.identities, 4).double().repeat(len(one.frames), 1)
    goals = torch.cat([one.positions.flatten(0, 1).double(), shapes], 1)
    mean, offset = z.mean(0), goals.mean(0)
    centred = z - mean
    gram = centred.T @ centred + 1e-3 * torch.eye(z.shape[1], dtype=z.dtype)
    guess = (test - mean) @ torch.linalg.solve(gram, centred.T @ (goals - offset)) + offset
    places = other.positions.flatten(0, 1).double()
    error, total = (guess[:, :2] - places).square().sum(0), (places - places.mean(0)).square().sum(0)
    right = guess[:, 2:].argmax(1) == other.identities.repeat(len(other.frames))
    return float((1 - error / total).mean()), float(right.double().mean())


@lru_cache(maxsize=4)
def separated(model: Any, seed: int) -> dict[str, tuple[float, float]]:
    """Place and shape (see `state_of`) read from the slowest feature of codes (pixels where there is no model), and
    from all others."""
    generator = torch.Generator().manual_seed(seed + 5)
    one, other = FAST.sample(4, 500, generator=generator), FAST.sample(4, 300, generator=generator)
    z, test = (encoded(model or nn.Identity(), s.frames).unflatten(0, s.frames.shape[:2]) for s in (one, other))
    slow = slow_features(z, CODE)
    parts = {"slow": slice(0, 1), "rest": slice(1, None)}
    y, y_test = (slow(part).flatten(0, 1) for part in (z, test))
    return {name: probed(y[:, k], y_test[:, k], one, other) for name, k in parts.items()}


@lru_cache(maxsize=8)
def reached(model: Any, method: Any, seed: int, tasks: int = 40, steps: int = 6) -> float:
    """The mean distance to the goal's place after `steps` planned steps, over that at the beginning."""
    generator = torch.Generator().manual_seed(seed + 6)
    begin, end = 2 * torch.rand(2, tasks, 2, generator=generator) - 1
    shapes = torch.randint(0, NOISY.shapes, (tasks,), generator=generator)
    here = begin
    for _ in range(steps):
        with torch.no_grad():
            code, goal = (model(NOISY.frames(p[None], shapes, generator=generator))[0] for p in (here, end))
        if method == "random":
            action = 2 * torch.rand(tasks, 2, generator=generator) - 1
        else:
            iterations = 4 if method == "cem" else 12
            action = plan(model, code, goal, HORIZON, method=method, iterations=iterations, population=40,
                          generator=generator)[0]  # fmt: skip
        here = NOISY.move(here, action)
    return float((here - end).norm(dim=1).mean() / (begin - end).norm(dim=1).mean())


def spectrum(model: Any, frames: Tensor) -> np.ndarray:
    """Singular values of codes, each over their sum."""
    values = torch.linalg.svdvals(encoded(model, frames))
    shares: np.ndarray = (values / values.sum()).numpy()
    return shares


def pictures(material: dict[str, Any]) -> Figure:
    """A scene, spectra of codes, and codes along a fast scene."""
    figure, axes = canvas(7.5, 2.6, 1, 3)
    picture, spectra, course = axes[0]
    picture.imshow(material["scene"].frames[0, 0].reshape(NOISY.side, NOISY.side).numpy(), cmap="Greys")
    picture.set(xticks=[], yticks=[], title="a frame")
    for name, values, colour in zip(("VICReg", "without", "pixels"), material["spectra"], COLOURS, strict=False):
        spectra.semilogy(np.arange(1, len(values) + 1), values.clip(1e-8), ".-", color=colour, label=name)
    spectra.set(xlabel="component", ylabel="share", title="singular values of codes")
    spectra.legend()
    course.plot(material["fast"].numpy(), lw=0.7)
    course.set(xlabel="frame", ylabel="code", title="codes of a moving object")
    return figure


LECUN = "LeCun (2022), A path towards autonomous machine intelligence"
SOBAL = "Sobal et al. (2022), arXiv 2211.10831"
VICREG = "Bardes, Ponce & LeCun (2022), ICLR"

register(
    Experiment(
        name="jepa",
        title="Joint-embedding prediction of moving scenes",
        paper=f"{LECUN}; scenes and planner are the project's own.",
        summary="An encoder and a predictor that leads from code to code along actions. Where the background changes "
        "from frame to frame, codes hold the object's place better than those that predict pixels; where it is fixed, "
        "the advantage goes. Without variance, and with gradients into the target, all codes become one. The shape "
        "that persists and the place that changes lie in different directions of the code. (Target and context share "
        "the encoder, as in VICReg; the moving average is claimed apart, at full size.)",
        claims=(
            Claim(
                "Among changing distractors a linear probe finds the place better in codes than in those that predict "
                "pixels, by a network of the same size.",
                SOBAL, "over_pixels", AtLeast(0.03), 0.0, "a bound on a difference of R²", {"background": "fixed"},
            ),
            Claim(
                "Without the variance term, and with gradients into the target, codes collapse: their effective rank "
                "nears 1.",
                VICREG, "collapsed_rank", AtMost(2.5), 0.0, "a bound; 16 at most", {"variance": 25.0},
            ),
            Claim(
                "With both terms of VICReg they do not.",
                VICREG, "rank", AtLeast(4.0), 0.0, "a bound; 16 at most", {"held": False},
            ),
            Claim(
                "What persists, the shape, is read from the slowest feature of the codes.",
                LECUN, "identity_slow", AtLeast(0.93), 0.0, "a bound; chance is .5", {"split": "pixels"},
            ),
            Claim(
                "The place is not in it, but in all others.",
                LECUN, "position_rest", AtLeast(0.9), 0.0, "a bound on R²", {"split": "slow"},
            ),
            Claim(
                "Slow features of the pixels do not separate the shape as well.",
                "Wiskott & Sejnowski (2002), as a control", "over_sfa", AtLeast(0.08), 0.0, "a bound",
                {"split": "pixels"},
            ),
            Claim(
                "Actions that minimise the latent energy (cross-entropy method) lead to the goal.",
                LECUN, "cem", AtMost(0.4), 0.0, "a bound on what is left of the distance", {"planner": False},
            ),
            Claim(
                "So do those found by gradients through the predictor.",
                LECUN, "gradient", AtMost(0.4), 0.0, "a bound on what is left of the distance", {"planner": False},
            ),
            Claim(
                "With a moving average as its target, the code tells the shape better than prediction of pixels does.",
                LECUN, "identity_margin", AtLeast(0.03), 0.0, "a bound", {"background": "fixed"},
                only="full size",
            ),
            Claim(
                "The upper of two levels, which predicts three frames ahead, keeps the shape rather than the place.",
                LECUN, "persistence", AtLeast(0.3), 0.0, "a bound on share right less R²", {"top": False},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={"A frame; the rank of codes; codes along a scene.": pictures},
    )
)  # fmt: skip
