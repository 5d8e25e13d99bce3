"""Networks of evaluators: what width, depth and swapping do to judges of stated faults. A test of the aggregation law;
no language model judges here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.interpret import Review, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

SAMPLES = {"small": 400, "full": 4000}
ROLES = tuple(f"role {k}" for k in range(8))
NOISE, ROLE_BIAS, POSITION_BIAS, TIE = 2.0, 1.0, 0.7, 0.3


class Stub:
    """A judge whose score is the answer's quality, plus what its role overrates in it, plus `position` for the answer
    shown first, plus noise; with reviews, half of that and half of the reviews' mean.

    An answer is its number as text. A judge forms its opinion, noise and all, alone and again when it first sees
    reviews; asked again it keeps to that, or, where it revises "always", forms one in every layer. Reviews carry the
    layer on as their text.
    """

    def __init__(self, quality: np.ndarray, seed: int, position: float = POSITION_BIAS, revises: str = "once") -> None:
        rng = np.random.default_rng([seed, 1])
        shape = (*quality.shape, len(ROLES), 3)
        taste = rng.normal(size=shape[:3])[..., None] * ROLE_BIAS
        self.opinions = (quality[:, :, None, None] + taste + NOISE * rng.normal(size=shape)).tolist()
        self.position, self.opinions_each = position, 2 if revises == "once" else 3

    def __call__(self, question: str, first: str, second: str, role: str, reviews: Sequence[Review]) -> Review:
        layer = 1 + max((int(review.text) for review in reviews), default=0)
        number, kind = int(role.split()[1]), min(layer, self.opinions_each) - 1
        sample = self.opinions[int(question)]
        pair = [sample[int(one)][number][kind] for one in (first, second)]
        pair[0] += self.position
        if reviews:
            pair = [(x + sum(r.scores[k] for r in reviews) / len(reviews)) / 2 for k, x in enumerate(pair)]
        return Review((pair[0], pair[1]), str(layer))


def measure(
    seed: int,
    size: Size,
    position: float = POSITION_BIAS,
    alike: bool = False,
    swap: bool = True,
    revises: str = "once",
) -> dict[str, Any]:
    """Agreement (κ) with the true preference of one judge, of eight, and of eight in two and three layers.

    position: what judges add to the first answer. alike: whether all eight have one role. swap: whether both orders
    are judged. revises: when a judge forms its opinion again, "once" or "always".
    """
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=(SAMPLES[size], 2)) * 1.2
    true = preference(quality)
    judge = Stub(quality, seed, position, revises)
    roles = ("role 0",) * 8 if alike else ROLES
    shapes = {"single": (roles[:1], 1), "wide": (roles, 1), "deep": (roles, 2), "deeper": (roles, 3)}
    kappa, scores = {}, {}
    for name, (some, depth) in shapes.items():
        scores[name] = np.array(
            [evaluate(judge, str(k), ("0", "1"), some, depth=depth, swap=swap).scores for k in range(len(quality))]
        )
        kappa[name] = float(cohen_kappa_score(true, preference(scores[name])))
    unbiased = Stub(quality, seed, 0.0, revises)
    fair = np.array([evaluate(unbiased, str(k), ("0", "1"), roles).scores for k in range(50)])
    gap = np.diff(scores["deep"][:50] - fair, axis=1)
    return {
        **{f"kappa_{name}": value for name, value in kappa.items()},
        "gain_wide": kappa["wide"] - kappa["single"],
        "gain_deep": kappa["deep"] - kappa["wide"],
        "gain_third": kappa["deeper"] - kappa["deep"],
        "left_over": float(np.abs(gap).max()),
    }


def preference(scores: np.ndarray) -> np.ndarray:
    """0 for a tie within TIE, else the better answer, 1 or 2."""
    gap = scores[:, 1] - scores[:, 0]
    return np.where(np.abs(gap) < TIE, 0, np.where(gap > 0, 2, 1))


def agreement(metrics: dict[str, Any]) -> Figure:
    """κ of networks of different shapes."""
    figure, axes = canvas(5, 3)
    names = ("single", "wide", "deep", "deeper")
    axes.bar(range(4), [metrics[f"kappa_{name}"] for name in names], color=COLOURS[0])
    axes.set(xticks=range(4), xticklabels=names, ylabel="κ")
    return figure


PAPER = "Zhang et al. 2023"
register(
    Experiment(
        name="wide_deep",
        title="Wide and deep networks of evaluators",
        paper="X. Zhang et al. (2023). Wider and deeper LLM networks are fairer LLM evaluators. arXiv 2308.01862.",
        summary="Judges in several roles score two answers in both orders; a second layer sees reviews of the first. "
        "The judges here are stubs of stated bias and noise: what is tested is the law by which they are put together.",
        claims=(
            Claim(
                "Eight roles agree better with the true preference than one.",
                PAPER + ": κ .28 to .34", "gain_wide", AtLeast(0.06), 0.0, "the paper's gain",
                {"alike": True},
            ),
            Claim(
                "A second layer agrees better than one.",
                PAPER + ", Table 3", "gain_deep", AtLeast(0.0), 0.0, "no loss", {"swap": False, "position": 6.0},
            ),
            Claim(
                "A third layer does not help judges who keep to their revised opinion.",
                PAPER + ", depth", "gain_third", AtMost(0.0), 0.0, "no gain",
                {"revises": "always"},
            ),
            Claim(
                "Judging both orders cancels what judges add to the first answer, exactly.",
                "a consequence of the mean over orders", "left_over", AtMost(0.0), 1e-9, "rounding", {"swap": False},
            ),
        ),
        measure=measure,
        pictures={"Agreement with the true preference.": agreement},
    )
)  # fmt: skip
