"""Astrocytes that gate synapses: memory across a delay, and characters of real text."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, dataset, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CUES, EACH, SHOWN = 5, 4, 10  # cues; channels of each, and of the prompt; steps that a cue and the prompt last
SLOW, FAST = (20.0, 200.0), (1.0, 3.0)  # time constants of calcium (steps)
PACE = (1.0, 10.0)  # for reading, a character a step: better than (5, 50) on text that neither trained nor tests
ALPHABET = " abcdefghijklmnopqrstuvwxyz.,;:()'-\"0"
RECALL = {"small": (130, 1, 40), "full": (300, 3, 60)}  # training steps, runs, steps of delay
#: training steps, seeds, and learning rate; recurrent units diverge at more
READING = {False: (600, 5, 0.01), True: (600, 3, 0.001)}
INTERVAL = {3: 4.303, 5: 2.776}  # Student's t of the 95 % interval, for the mean of that many values


class Unit(nn.Module):
    """Neurons and their astrocytes, and a linear readout of the spikes."""

    def __init__(self, inputs: int, neurons: int, outputs: int, **options: Any) -> None:
        super().__init__()
        self.cell = rv.nn.AstrocyteLIF(inputs, neurons, astrocytes=16, **options)
        self.readout = nn.Linear(neurons, outputs)


def cues(batch: int, draw: torch.Generator, delay: int) -> tuple[Tensor, Tensor]:
    """A cue's channels fire, then nothing but noise, then a prompt: x (T, B, channels), which cue it was (B,)."""
    which = torch.randint(CUES, (batch,), generator=draw)
    steps, channels = SHOWN + delay + SHOWN, EACH * (CUES + 1)
    chance = torch.full((steps, batch, channels), 0.02)
    own = EACH * which[:, None] + torch.arange(EACH)
    chance[:SHOWN, torch.arange(batch)[:, None], own] = 0.5
    chance[-SHOWN:, :, -EACH:] = 0.5
    return (torch.rand(chance.shape, generator=draw) < chance).float(), which


@cache
def recall(seed: int, steps: int, delay: int, **options: Any) -> float:
    """Accuracy in naming the cue after the delay."""
    torch.manual_seed(seed)
    unit, draw = Unit(EACH * (CUES + 1), 48, CUES, **options), torch.Generator().manual_seed(seed)

    def answer(x: Tensor) -> Tensor:
        return unit.readout(unit.cell(x)[0][-SHOWN:].mean(0))

    optimizer = torch.optim.Adam(unit.parameters(), 0.01)
    for _ in range(steps):
        x, which = cues(32, draw, delay)
        loss = nn.functional.cross_entropy(answer(x), which)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unit.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        x, which = cues(500, draw, delay)
        return float((answer(x).argmax(1) == which).double().mean())


def text() -> Tensor | None:
    """A thousand English sentences of news and encyclopaedia as indices into ALPHABET, digits one symbol, accents
    left out (Universal Dependencies, PUD); None without the data, see `dataset`."""
    file = dataset("text/en_pud-ud-test.conllu")
    if file is None:
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    prose = " ".join(line.removeprefix("# text = ").strip() for line in lines if line.startswith("# text = "))
    prose = unicodedata.normalize("NFKD", prose.lower()).translate(str.maketrans("“”’–", "\"\"'-"))
    place = {c: k for k, c in enumerate(ALPHABET)} | {str(d): len(ALPHABET) - 1 for d in range(10)}
    return torch.tensor([place[c] for c in prose if c in place])


@cache
def reading(seed: int, recurrent: bool, **options: Any) -> float:
    """Bits a character on the last tenth of the text, after training on the first eight; the ninth chose `PACE`."""
    characters = text()
    assert characters is not None  # `measure` looked
    train, test = characters[: int(0.8 * len(characters))], characters[int(0.9 * len(characters)) :]
    torch.manual_seed(seed)
    size, window = len(ALPHABET), torch.arange(65)[:, None]
    # wide slopes, or the gradient explodes through the recurrence
    options["surrogate"] = rv.nn.surrogates.ArcTan(width=4.0)
    unit, draw = Unit(size, 128, size, recurrent=recurrent, **options), torch.Generator().manual_seed(seed)
    with torch.no_grad():  # one of 38 channels fires a step
        unit.cell.weight[:, :size].mul_(3)
        unit.cell.sensing.mul_(0.3)

    def bits(x: Tensor) -> Tensor:
        y = unit.readout(unit.cell(nn.functional.one_hot(x[:-1], size).float())[0])
        return nn.functional.cross_entropy(y.flatten(0, 1), x[1:].flatten()) / np.log(2)

    steps, _, rate = READING[recurrent]
    optimizer = torch.optim.Adam(unit.parameters(), rate)
    for _ in range(steps):
        begin = torch.randint(len(train) - 65, (32,), generator=draw)
        loss = bits(train[begin + window])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(unit.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        return float(bits(test[64 * torch.arange((len(test) - 1) // 64) + window]))


def least(gains: np.ndarray) -> float:
    """Lower end of the 95 % interval of their mean."""
    return float(gains.mean() - INTERVAL[len(gains)] * gains.std(ddof=1) / len(gains) ** 0.5)


def measure(
    seed: int, size: Size, tau: tuple[float, float] = SLOW, reader: bool = True, delay: int | None = None
) -> dict[str, Any]:
    """Astrocytes on against ablated, the same seeds; reading and recurrent recall at full size only."""
    steps, runs, usual = RECALL[size]
    delay = usual if delay is None else delay
    seeds = range(runs * seed, runs * (seed + 1))
    results = {
        "on": [recall(s, steps, delay, tau=tau, recurrent=False) for s in seeds],
        "ablated": [recall(s, steps, delay, modulated=False, recurrent=False) for s in seeds],
    }
    read: dict[str, list[float]] = {}
    if size == "full":
        results["recurrent, on"] = [recall(s, steps, delay, tau=tau) for s in seeds]
        results["recurrent, ablated"] = [recall(s, steps, delay, modulated=False) for s in seeds]
    if size == "full" and text() is not None:
        for recurrent, kind in ((False, ""), (True, "recurrent, ")):
            pairs = range(READING[recurrent][1] * seed, READING[recurrent][1] * (seed + 1))
            read[f"{kind}on"] = [reading(s, recurrent, tau=PACE, modulated=reader) for s in pairs]
            read[f"{kind}ablated"] = [reading(s, recurrent, tau=PACE, modulated=False) for s in pairs]
    mean = {name: float(np.mean(values)) for name, values in results.items()}
    gains, recurrent_gains = (
        np.subtract(read[f"{kind}ablated"], read[f"{kind}on"]) if read else None for kind in ("", "recurrent, ")
    )
    return {
        "recall": mean["on"],
        "recall_ablated": mean["ablated"],
        "gain": mean["on"] - mean["ablated"],
        "gain_recurrent": mean["recurrent, on"] - mean["recurrent, ablated"] if size == "full" else None,
        "bits": float(np.mean(read["on"])) if read else None,
        "bits_ablated": float(np.mean(read["ablated"])) if read else None,
        "bits_gain": None if gains is None else float(gains.mean()),
        "bits_gain_least": None if gains is None else least(gains),
        "bits_recurrent": float(np.mean(read["recurrent, on"])) if read else None,
        "bits_gain_recurrent": None if recurrent_gains is None else float(recurrent_gains.mean()),
        "bits_gain_recurrent_least": None if recurrent_gains is None else least(recurrent_gains),
        "found": results,
        "read": read,
    }


def accuracies(material: dict[str, Any]) -> Figure:
    """Recall and reading, a line a seed."""
    figure, axes = canvas(7, 2.6, 1, 2)
    left, right = axes[0]
    results, read = material["found"], material["read"]
    for k, name in enumerate(("", "recurrent, ")):
        for a, b in zip(results.get(f"{name}ablated", ()), results.get(f"{name}on", ()), strict=True):
            left.plot([2 * k, 2 * k + 1], [a, b], "o-", color=COLOURS[5], mfc=COLOURS[k], mec="none", ms=5, lw=0.8)
    left.axhline(1 / CUES, color=COLOURS[5], lw=0.8, ls=":")
    names = ["ablated", "on", "recurrent,\nablated", "recurrent,\non"][: len(results)]
    left.set(xticks=range(len(names)), xticklabels=names, xlim=(-0.4, len(names) - 0.6), ylim=(0, 1.02))
    left.set_ylabel("recalled")
    for k, name in enumerate(("", "recurrent, ")):
        for a, b in zip(read.get(f"{name}ablated", ()), read.get(f"{name}on", ()), strict=True):
            right.plot([2 * k, 2 * k + 1], [a, b], "o-", color=COLOURS[5], mfc=COLOURS[2 + k], mec="none", ms=5, lw=0.8)
    names = ["ablated", "on", "recurrent,\nablated", "recurrent,\non"]
    right.set(xticks=range(4), xticklabels=names, xlim=(-0.4, 3.4), ylabel="bits a character")
    if not read:
        right.set(ylim=(0, 5))
        right.text(0.5, 0.5, "at full size, with the text", transform=right.transAxes, ha="center", color=COLOURS[5])
    return figure


PAPER = "Shen et al. 2023, arXiv 2312.07625, abstract"

register(
    Experiment(
        name="astrocyte",
        title="Astrocytes that gate synapses",
        paper="J. Shen et al. (2023). Astrocyte-enabled advancements in spiking neural networks for large language "
        "modeling. arXiv 2312.07625. Equations after M. De Pittà et al. (2011), PLoS Computational Biology 7, and "
        "S. Gordleeva et al. (2021), Frontiers in Cellular Neuroscience 15.",
        summary="An honest reconstruction from an abstract: calcium that integrates presynaptic activity slowly and "
        "gates release lets spiking neurons remember. It helps them to read a little, a hundredth of the 3.3 bits a "
        "character, where neurons do not hear each other.",
        claims=(
            Claim(
                "Spiking neurons with astrocytes recall a cue after a delay that neurons alone do not bridge.",
                PAPER + ": memory retention", "gain", AtLeast(0.3), 0.0,
                "no number in the abstract; chance is 0.2", {"tau": FAST},
            ),
            Claim(
                "Without astrocytes, and without recurrence, the cue is forgotten.",
                "a membrane that loses a tenth a step, 40 steps or more", "recall_ablated", AtMost(0.3), 0.0,
                "chance is 0.2; 500 trials give 0.02", {"delay": 0},
            ),
            Claim(
                "They help spiking neurons to predict the next character of real text ...",
                PAPER + ": language", "bits_gain_least", AtLeast(0.01), 0.0,
                "no number in the abstract; a hundredth of a bit, at the lower end of the seeds' 95 % interval",
                {"reader": False}, "bits",
                only="the text at full size",
            ),
            Claim(
                "... also where neurons hear each other's last spikes.",
                PAPER + ": language", "bits_gain_recurrent_least", AtLeast(0.01), 0.0, "as before",
                {"reader": False}, "bits",
                only="the text at full size",
            ),
        ),
        measure=measure,
        pictures={"Recall after the delay, and reading, a line a seed.": accuracies},
    )
)  # fmt: skip
