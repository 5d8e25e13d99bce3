"""One unit, several kinds of picture: a class of three digits answers as three facets, or as one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.atlas import AtLeast, AtMost, Claim, Experiment, digits, gallery, register
from ranvier.interpret import Facets, Stage, activations, facets, maximise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

MODES = (0, 1, 7)  # digits that are one class
NUMBER = {"small": 6, "full": 10}
#: gentle, for in a net of this size longer ascent ends in patterns that an independent net takes for other digits
STAGES = (Stage(6, 0.012, variation=150.0),)
PLAIN = (Stage(6, 0.012),)


def pictures_of(x: Tensor) -> Tensor:
    return x.float().reshape(-1, 1, 8, 8)


@cache
def network(seed: int, merged: bool) -> nn.Module:
    """A small convolutional net of digits: three of them one class, or, as a judge, all apart."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(384, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip
    data = digits(seed)
    y = torch.where(torch.isin(data.y, torch.tensor(MODES)), MODES[0], data.y) if merged else data.y
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        rows = torch.randint(len(y), (64,), generator=generator)
        loss = nn.functional.cross_entropy(model(pictures_of(data.x[rows])), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def measure(
    seed: int, size: Size, codes: str = "network", starts: str = "facets", stages: str = "regular"
) -> dict[str, Any]:
    """Facets of the merged class: how pure they are, which digits their pictures show an independent network, and how
    natural that network finds them with and without regularisers.

    codes: of the "network", or "noise". starts: the "facets" means, or one "single" mean of all. stages: whether
    ascent is "regular" or "bare".
    """
    model, judge = network(seed, True), network(seed + 1, False)
    images, modes, result = sorted_class(seed, NUMBER[size], codes)
    purity = np.mean([torch.bincount(modes[m]).max() / len(m) for m in result.members])
    begin = images.mean(0, keepdim=True) if starts == "single" else result.starts
    shown = maximise(model, "7", MODES[0], begin, PLAIN if stages == "bare" else STAGES, low=0.0, high=1.0, seed=seed)
    bare = maximise(model, "7", MODES[0], begin, PLAIN, low=0.0, high=1.0, seed=seed)
    with torch.no_grad():
        before, after = (model(x)[:, MODES[0]].mean() for x in (begin, shown))
        answers = judge(shown).argmax(1)
        natural, rough = (judge(x).softmax(1).amax(1).mean() for x in (shown, bare))
    variation = [float((x.diff(dim=2).abs().sum() + x.diff(dim=3).abs().sum()) / len(x)) for x in (shown, bare)]
    return {
        "purity": float(purity),
        "modes": float(len(set(answers.tolist()) & set(MODES))),
        "rise": float(after - before),
        "naturalness": float(natural),
        "naturalness_bare": float(rough),
        "gain_naturalness": float(natural - rough),
        "variation_ratio": variation[0] / variation[1],
        "shown": torch.cat([begin, shown, bare]).flatten(1).numpy(),
    }


@cache  # t-SNE takes most of the entry's time
def sorted_class(seed: int, number: int, codes: str) -> tuple[Tensor, Tensor, Facets]:
    """Images of the merged class, their digits, and their facets."""
    data = digits(seed)
    rows = torch.isin(data.y, torch.tensor(MODES)).nonzero()[:240, 0]
    images = pictures_of(data.x[rows])
    features = activations(network(seed, True), images.split(120), "6")["6"]
    if codes == "noise":
        features = torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
    return images, data.y[rows], facets(images, features, number_of=number, nearest=15, seed=seed)


def rows_of_pictures(metrics: dict[str, Any]) -> Figure:
    """Starts, pictures, and pictures without regularisers."""
    shown = metrics["shown"].reshape(3, -1, 64)
    figure, _ = gallery(7, 3.4, shown, ["start", "picture", "bare"], 0.0, 1.0)
    return figure


PAPER = "Nguyen et al. 2016"
register(
    Experiment(
        name="facets",
        title="Facets of a unit",
        paper="A. Nguyen, J. Yosinski & J. Clune (2016). Multifaceted feature visualization: uncovering the different "
        "types of features learned by each neuron in deep neural networks. arXiv 1602.03616.",
        summary="A class of three different digits: its examples are sorted by the network's codes, and a picture is "
        "grown from the mean of each kind.",
        claims=(
            Claim(
                "Facets hold one digit each.",
                PAPER + ", section 3", "purity", AtLeast(0.9), 0.0, "one image in ten", {"codes": "noise"},
            ),
            Claim(
                "Their pictures show all three digits to an independent network; from one mean there are fewer.",
                PAPER + ", Fig. 1", "modes", AtLeast(3.0), 0.0, "a count", {"starts": "single"},
            ),
            Claim(
                "Denoising leaves less variation in the pictures than bare ascent.",
                PAPER + ", regularisers", "variation_ratio", AtMost(0.9), 0.0, "a tenth", {"stages": "bare"},
            ),
            Claim(
                "An independent network is surer of them.",
                PAPER + ", interpretability of pictures", "gain_naturalness", AtLeast(0.005), 0.0,
                "half a point in a hundred", {"stages": "bare"},
            ),
        ),
        measure=measure,
        pictures={"Starts, pictures, and pictures without regularisers.": rows_of_pictures},
    )
)  # fmt: skip
