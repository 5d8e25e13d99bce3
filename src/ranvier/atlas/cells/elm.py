"""The expressive leaky memory neuron: sums over long spike patterns, and a detailed neuron's input and output."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANNELS, LONG, SHORT = 40, 300.0, 3.0  # channels; time constants of the memory (steps)
#: digits, steps of a pattern, training steps, batch, runs
ADDING = {"small": (4, 50, 160, 48, 1), "full": (10, 100, 2500, 64, 1)}
EXC, INH = 40, 10  # inputs of the detailed neuron


class Patterns:
    """Synthetic spoken digits: each has its own spikes, up to two a channel, of which one in ten fails; they come
    early or late by a tenth and jitter by a fiftieth of the pattern's length, over a background of noise spikes."""

    def __init__(self, digits: int, steps: int) -> None:
        draw = torch.Generator().manual_seed(7)
        self.steps, self.digits = steps, digits
        self.times = torch.rand(digits, CHANNELS, 2, generator=draw)
        self.there = torch.rand(digits, CHANNELS, 2, generator=draw) < 0.5

    def pairs(self, batch: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two digits one after the other, (2 steps, B, CHANNELS), and their sum (B,)."""
        shown = torch.randint(self.digits, (2, batch), generator=draw)
        x = (torch.rand(2 * self.steps, batch, CHANNELS, generator=draw) < 0.002).float()
        b, channel = torch.arange(batch)[:, None, None], torch.arange(CHANNELS)[:, None]
        for k, digit in enumerate(shown):
            pace = 0.9 + 0.2 * torch.rand(batch, 1, 1, generator=draw)
            jitter = 0.02 * torch.randn(batch, CHANNELS, 2, generator=draw)
            t = (self.steps * (self.times[digit] * pace + jitter)).long().clamp(0, self.steps - 1) + k * self.steps
            transmitted = self.there[digit] & (torch.rand(batch, CHANNELS, 2, generator=draw) < 0.9)
            x[t[transmitted], b.expand_as(t)[transmitted], channel.expand_as(t)[transmitted]] = 1.0
        return x, shown.sum(0)


class Adder(nn.Module):
    """One ELM neuron, or an LSTM of as many parameters, that answers at the end."""

    def __init__(self, kind: str, classes: int, tau: float) -> None:
        super().__init__()
        if kind == "elm":
            self.cell: nn.Module = rv.nn.ELM(CHANNELS, classes, memory=30, branches=10, tau_m=(1.0, tau))
            self.readout: nn.Module = nn.Identity()
        else:
            self.cell, self.readout = nn.LSTM(CHANNELS, 20), nn.Linear(20, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, CHANNELS) -> logits (B, classes)."""
        return self.readout(self.cell(x)[0][-1])


@cache
def adding(kind: str, tau: float, seed: int, size: Size) -> tuple[float, int]:
    """Accuracy on new patterns after training, and the number of learned parameters."""
    digits, steps, training, batch, _ = ADDING[size]
    patterns, draw = Patterns(digits, steps), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = Adder(kind, 2 * digits - 1, tau)
    optimizer = torch.optim.Adam(model.parameters(), 0.005)
    for _ in range(training):
        x, total = patterns.pairs(batch, draw)
        loss = nn.functional.cross_entropy(model(x), total)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        x, total = patterns.pairs(1000, draw)
        right = float((model(x).argmax(1) == total).double().mean())
    return right, sum(p.numel() for p in model.parameters() if p.requires_grad)


def recorded(copies: int, duration: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A Hodgkin–Huxley neuron under `copies` different draws of its 50 conductance synapses' input: spikes in
    (T, copies, 50) and out (T, copies) per ms, and the membrane (T, copies) in mV."""
    net, draw = rv.Network(seed=seed), np.random.default_rng(0)  # the same neuron, whatever the seed
    cells = net.add(rv.HodgkinHuxley(), copies, name="cells")
    synapses = (rv.ExponentialConductance(tau=5.0, E_rev=0.0), rv.ExponentialConductance(tau=10.0, E_rev=-80.0))
    sources = []
    kinds = (("exc", EXC, 10.0, 2.0, synapses[0]), ("inh", INH, 20.0, 6.0, synapses[1]))  # Hz, nS
    for name, count, rate, peak, synapse in kinds:
        source = net.add(rv.Poisson(rate=rate), copies * count, name=name)
        every = torch.arange(copies * count)
        weights = torch.from_numpy(np.tile(peak * draw.lognormal(0.0, 0.4, count), copies))  # nS
        net.connect(source, cells, edges=(every, every // count), weight=weights, delay=0.1, synapse=synapse)
        sources.append(source)
    probe = rv.Probe("V", neurons=cells, interval=1.0)
    recording = rv.simulate(net, duration, dt=0.05, seed=seed, record=[probe])
    steps = int(duration)
    when = np.minimum((np.asarray(recording.times) - 1e-6).astype(int), steps - 1)
    who = np.asarray(recording.neurons)
    x, y = torch.zeros(steps, copies, EXC + INH), torch.zeros(steps, copies)
    y[when[who < copies], who[who < copies]] = 1.0
    for source, count, offset in ((sources[0], EXC, 0), (sources[1], INH, EXC)):
        own = (who >= source.start) & (who < source.start + source.size)
        k = who[own] - source.start
        x.index_put_((torch.from_numpy(when[own]), torch.from_numpy(k // count), torch.from_numpy(offset + k % count)),
                     torch.ones(len(k)), accumulate=True)  # fmt: skip
    return x, y, torch.from_numpy(np.asarray(recording.states["V"].values)).float()


@cache
def surrogate(memory: int, seed: int) -> dict[str, Any]:
    """An ELM neuron fitted to the detailed one: area under the curve of its spike prediction on new input."""
    from sklearn.metrics import roc_auc_score

    x, y, v = recorded(300, 2000.0, seed)
    torch.manual_seed(seed)
    cell = rv.nn.ELM(EXC + INH, 2, memory=memory, branches=25, tau_m=(1.0, 100.0))
    level, training = ((v - v.mean()) / v.std()).clamp(-3, 2), 4000
    optimizer = torch.optim.Adam(cell.parameters(), 0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training)
    for _ in range(training):
        t, b = int(torch.randint(0, 1750, (1,))), torch.randint(0, 250, (40,))
        out = cell(x[t : t + 250, b])[0][50:]
        spikes = nn.functional.binary_cross_entropy_with_logits(out[..., 0], y[t + 50 : t + 250, b])
        loss = spikes + 0.02 * (out[..., 1] - level[t + 50 : t + 250, b]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        out = cell(x[:, 250:])[0]
    prediction = out[100:, :, 0].flatten().numpy()
    residual = (out[100:, :, 1] - level[100:, 250:]).square().mean() / level[100:, 250:].var()
    return {
        "auc": float(roc_auc_score(y[100:, 250:].flatten().numpy(), prediction)),
        "explained": float(1 - residual),
        "rate": 1000 * float(y.mean()),
        "chance": torch.sigmoid(out[..., 0]),
        "spikes": y[:, 250:],
        "membrane": v[:, 250:],
    }


def measure(
    seed: int, size: Size, tau: float = LONG, short: float = SHORT, memory: int = 20, counted: int = 20
) -> dict[str, Any]:
    """Accuracies of the adders; the surrogate's figures, at full size only.

    tau, short: greatest time constants of the adder and of its ablation. memory: units of the surrogate. counted: of
    the one whose parameters are counted.
    """
    runs = range(ADDING[size][-1] * seed, ADDING[size][-1] * (seed + 1))
    scores = {name: [adding(kind, t, run, size) for run in runs]
              for name, kind, t in (("elm", "elm", tau), ("lstm", "lstm", 0.0), ("short", "elm", short))}  # fmt: skip
    mean = {name: float(np.mean([right for right, _ in results])) for name, results in scores.items()}
    twin: dict[str, Any] = surrogate(memory, seed) if size == "full" else {}
    cell = rv.nn.ELM(EXC + INH, 2, memory=counted, branches=25)
    return {
        "accuracy": mean["elm"],
        "accuracy_lstm": mean["lstm"],
        "accuracy_short": mean["short"],
        "gain": mean["elm"] - mean["lstm"],
        "parameters_elm": scores["elm"][0][1],
        "parameters_lstm": scores["lstm"][0][1],
        "auc": twin.get("auc"),
        "explained": twin.get("explained"),
        "rate": twin.get("rate"),
        "parameters": sum(p.numel() for p in cell.parameters() if p.requires_grad),
        "twin": twin,
        "scores": scores,
    }


def adders(material: dict[str, Any]) -> Figure:
    """Accuracy, a point a run."""
    figure, axis = canvas(4, 2.6)
    for k, (name, results) in enumerate(material["scores"].items()):
        shares = [right for right, _ in results]
        axis.plot([k] * len(shares), shares, "o", color=COLOURS[k], ms=5, mec="none", label=name)
    labels = ["ELM", "LSTM", "ELM, short τ"]
    axis.set(xticks=range(3), xticklabels=labels, xlim=(-0.5, 2.5), ylim=(0, 1.02), ylabel="accuracy")
    return figure


def surrogate_trace(material: dict[str, Any]) -> Figure:
    """The detailed neuron's membrane, and the chance of a spike that the surrogate gives."""
    figure, axes = canvas(7, 3, 2, sharex=True)
    top, bottom = axes[:, 0]
    twin = material["twin"]
    if not twin:
        top.text(0.5, 0.5, "at full size only", transform=top.transAxes, ha="center")
        return figure
    shown = slice(500, 1000)
    time = np.arange(500)
    top.plot(time, twin["membrane"][shown, 0], color=COLOURS[4], lw=0.8)
    top.set(ylabel="V (mV)")
    bottom.plot(time, twin["chance"][shown, 0], color=COLOURS[0], lw=1)
    spikes = np.flatnonzero(twin["spikes"][shown, 0].numpy())
    bottom.plot(spikes, np.full(len(spikes), 1.05), "|", color=COLOURS[1], ms=7)
    bottom.set(ylabel="chance of a spike", xlabel="time (ms)", ylim=(0, 1.15))
    return figure


PAPER = "Spieler et al. 2024, arXiv 2306.16922"

register(
    Experiment(
        name="elm",
        title="The expressive leaky memory neuron",
        paper="A. Spieler, N. Rahaman, G. Martius, B. Schölkopf and A. Levina (2024). The expressive leaky memory "
        "neuron: an efficient and expressive phenomenological neuron model can solve long-horizon tasks. ICLR. "
        "arXiv 2306.16922.",
        summary="One neuron with slow memories adds spoken digits that an LSTM of its size forgets, and stands in for "
        "a conductance-based neuron with a few thousand parameters.",
        claims=(
            Claim(
                "On sums of two long spike patterns one ELM neuron beats an LSTM of as many parameters.",
                PAPER + ", SHD-Adding; here on synthetic digits", "gain", AtLeast(0.15), 0.0,
                "no number for these patterns; the paper's gap at its finest time bins is larger", {"tau": SHORT},
            ),
            Claim(
                "With time constants shorter than a pattern it fails.",
                PAPER + ", ablation of the memory's time constants", "accuracy_short", AtMost(0.5), 0.0,
                "half of all sums; the last pattern alone gives between a tenth and a third", {"short": LONG},
            ),
            Claim(
                "It learns when a conductance-based neuron will spike, to the millisecond.",
                PAPER + ", figure 2: AUC 0.9946 on a layer-5 pyramidal cell's record of years, ours of ten minutes",
                "auc", AtLeast(0.98), 0.0, "less data, another neuron", {"memory": 1},
                only="full size",
            ),
            Claim(
                "For that it has fewer than ten thousand parameters.",
                PAPER, "parameters", AtMost(9999.0), 0.0, "a count", {"counted": 100},
            ),
        ),
        measure=measure,
        pictures={
            "Sums of two spike patterns: accuracy, a point a run.": adders,
            "Half a second of new input: the neuron's membrane; the surrogate's chance of a spike, and the spikes.":
                surrogate_trace,
        },
    )
)  # fmt: skip
