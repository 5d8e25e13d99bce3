"""Node perturbation of spiking neurons, beside reward-modulated STDP, on patterns that two neurons must tell apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, canvas, register
from ranvier.atlas.credit._intervals import least
from ranvier.learners import SpikingNodePerturbation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

INPUTS, BATCH, TRIAL, PAUSE, DT = 20, 16, 200.0, 50.0, 1.0
RATE, RATE_STDP = 1500.0, 0.1
#: by size: batches of trials, seeds
SETTINGS = {"small": (10, 4), "full": (100, 8)}


def measure(seed: int, size: Size, shuffled: bool = False, rule: str = "nodes") -> dict[str, Any]:
    """shuffled: whether rewards go to other trials. rule: what stands for node perturbation, "nodes" or "stdp"."""
    batches, seeds = SETTINGS[size]
    each = range(seed, seed + seeds)
    runs = [by_nodes(s, batches, shuffled) if rule == "nodes" else by_stdp(s, batches) for s in each]
    beside = [by_stdp(s, batches) for s in each] if size == "full" else []
    after, before = (np.array([run[k] for run in runs]) for k in (-1, 0))
    return {
        "gain": least(after - before),
        "reward": float(after.mean()),
        "beside": least(after - np.array([run[-1] for run in beside])) if beside else None,
        "stdp": float(np.mean([run[-1] for run in beside])) if beside else None,
        "courses": {"node perturbation": runs, "reward STDP": beside},
    }


def network(seed: int, plasticity: Any = None) -> tuple[rv.Network, Any, Any, Any]:
    """Inputs that are driven, two noisy outputs, all-to-all synapses of random weights."""
    net, draw = rv.Network(seed=seed), torch.Generator().manual_seed(seed)
    neuron = rv.LIF(tau_m=20.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=2.0)
    inputs = net.add(neuron, INPUTS, name="inputs", noise=2.0)
    outputs = net.add(neuron, 2, name="outputs", noise=3.0, drive=9.0)
    edges = torch.arange(INPUTS).repeat(2), torch.arange(2).repeat_interleave(INPUTS)
    weight = 10.0 + torch.randn(2 * INPUTS, generator=draw, dtype=torch.float64)
    modulator = rv.TimeSeries(np.zeros(1), DT) if plasticity else None
    learning = net.connect(
        inputs, outputs, weight=weight, delay=1.0, synapse=rv.Exponential(tau=5.0), edges=edges,
        plasticity=plasticity, modulator=modulator,
    )  # fmt: skip
    return net, inputs, outputs, learning


def patterns(seed: int) -> tuple[Tensor, Tensor]:
    """Four random patterns of drive (mV), two for each output; a batch of trials in a random order."""
    draw = torch.Generator().manual_seed(seed)
    drives = 22.0 * (torch.rand(4, INPUTS, generator=draw, dtype=torch.float64) < 0.5)
    order = torch.arange(BATCH)[torch.randperm(BATCH, generator=draw)] % 4
    return drives[order], order % 2


def reward(counts: Tensor, labels: Tensor) -> Tensor:
    """How much more the right output fired, within −1 and 1."""
    rows = torch.arange(len(labels))
    return torch.tanh((counts[rows, labels] - counts[rows, 1 - labels]) / 5)


@cache
def by_nodes(seed: int, batches: int, shuffled: bool) -> list[float]:
    """Mean reward before learning, in every batch, and after it."""
    net, inputs, outputs, learning = network(seed)
    chance = torch.Generator().manual_seed(seed)

    def paid(counts: Tensor, labels: Tensor) -> Tensor:
        value = reward(counts, labels)
        return value[torch.randperm(len(value), generator=chance)] if shuffled else value

    learner = SpikingNodePerturbation(
        net, [learning], inputs, outputs, paid, rate=RATE, sigma=2.0, trial=TRIAL, pause=PAUSE, dt=DT, seed=1000 * seed
    )
    batch = patterns(seed)
    torch.manual_seed(seed)
    course = [learner.evaluate(batch)["reward"]]
    course += [learner.step(batch)["reward"] for _ in range(batches)]
    return [*course, learner.evaluate(batch)["reward"]]


@cache
def by_stdp(seed: int, batches: int) -> list[float]:
    """The same by reward-modulated STDP (Izhikevich 2007): twice as many trials, as the other has two runs; what
    modulates is the reward less its average of late."""
    rule = rv.rules.RewardSTDP(A_plus=1.0, A_minus=1.0, tau_c=200.0, tau_d=0.0, interval=DT, w_min=-100.0, w_max=100.0)
    net, inputs, outputs, learning = network(seed, rule)
    x, labels = patterns(seed)
    course, average = [], 0.0
    quiet, width = round(PAUSE / DT), round(TRIAL / DT)
    steps = 2 * batches + 2
    drive = torch.zeros(steps * BATCH, quiet + width, INPUTS, dtype=torch.float64)
    drive[:, quiet:] = x.repeat(steps, 1)[:, None]
    net.set(inputs, drive=rv.TimeSeries(drive.flatten(0, 1), DT))
    simulation = rv.Simulation(net, dt=DT, seed=1000 * seed)
    paid, value = 0.0, torch.zeros(1)
    for step in range(steps):
        rewards = []
        for k in range(BATCH):
            success = np.full(quiet, paid)  # of the last trial, while its eligibility lasts
            recording = simulation.run(PAUSE, modulators={learning: rv.TimeSeries(success, DT)})
            recording = simulation.run(TRIAL, modulators={learning: rv.TimeSeries(np.zeros(width), DT)})
            spikes = recording.neurons[recording.times > simulation.time - TRIAL] - outputs.start
            value = reward(torch.bincount(spikes[spikes >= 0], minlength=2)[None].double(), labels[k : k + 1])
            first, last = step == 0, step == steps - 1
            paid = 0.0 if first or last else RATE_STDP * (float(value) - average)
            average = 0.9 * average + 0.1 * float(value)
            rewards.append(float(value))
        course.append(float(np.mean(rewards)))
    return course


def courses(material: dict[str, Any]) -> Figure:
    """Mean reward of a batch, every seed."""
    figure, axes = canvas(4.4, 2.9)
    for k, (name, runs) in enumerate(material["courses"].items()):
        for i, run in enumerate(runs):
            axes.plot(np.linspace(0, 1, len(run)), run, color=COLOURS[k], label=name if i == 0 else "")
    axes.set(xlabel="share of trials", ylabel="reward")
    axes.legend()
    return figure


FIETE = "Fiete & Seung (2006), PRL 97:048104"
INTERVAL = "the interval of the mean over paired seeds"
register(
    Experiment(
        name="spiking_perturbation",
        title="Perturbing spiking neurons, and rewarding what helped",
        paper="I. R. Fiete & H. S. Seung (2006). Gradient learning in spiking neural networks by dynamic perturbation "
        "of conductances. Phys. Rev. Lett. 97:048104.",
        doi="10.1103/PhysRevLett.97.048104",
        summary="Noise on every neuron's input, its synapses' memory of it, and one reward for all: two spiking "
        "neurons learn to tell four patterns apart, in the compiled engine. Reward-modulated STDP, paid by the same "
        "reward, is beside it.",
        claims=(
            Claim(
                "Rewards rise when what perturbed a neuron is reinforced by the reward it brought.",
                FIETE, "gain", AtLeast(0.1), 0.0, INTERVAL + "; a tenth of the largest reward", {"shuffled": True},
            ),
            Claim(
                "In as many trials it learns more than reward-modulated STDP, which follows no gradient.",
                "Frémaux, Sprekeler & Gerstner (2010), J. Neurosci. 30:13326", "beside", AtLeast(0.1), 0.0, INTERVAL,
                {"rule": "stdp"},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={"Reward in the course of learning.": courses},
    )
)  # fmt: skip
