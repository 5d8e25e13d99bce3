"""The distal reward problem: which of many coincidences, seconds ago, earned the reward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DT, RATE = 1.0, 1.0  # ms, Hz
REWARD = 0.002  # dopamine for each; small, so that weights cause no spikes by themselves and reach no bounds


def measure(
    seed: int, size: Size, tau_c: float = 1000.0, late: float = 1000.0
) -> dict[str, Any]:
    """Synapses between neurons that fire at random; one now and then meets pre before post, and 1 to 3 s later
    there is reward. `tau_c`: of the eligibility, ms; `late`: the reward's least delay, ms."""
    pairs, seconds = {"small": (250, 600), "full": (1000, 3600)}[size]
    rng = np.random.default_rng(seed)
    end = 1000.0 * seconds
    events = np.arange(1000.0, end - 7000.0, 8000.0)
    events = events + rng.uniform(0.0, 1000.0, len(events))
    rewards = events + rng.uniform(late, late + 2000.0, len(events))

    def train(extra: np.ndarray) -> tuple[rv.SpikeTimes, np.ndarray]:
        counts = rng.poisson(RATE * seconds, pairs)
        times = np.concatenate([rng.uniform(10.0, end - 10.0, counts.sum()), extra])
        who = np.concatenate([np.repeat(np.arange(pairs), counts), np.zeros(len(extra), int)])
        return rv.SpikeTimes(torch.from_numpy(times), torch.from_numpy(who)), times

    net = rv.Network()
    pre = net.add(train(events)[0], pairs, name="pre")
    teacher = net.add(train(events + 4.0)[0], pairs, name="teacher")  # its spike acts a step later
    post = net.add(rv.LIF(t_ref=0.0), pairs, name="post")
    rule = rv.rules.RewardSTDP(
        A_plus=0.1, A_minus=0.1, tau_c=tau_c, tau_d=200.0, interval=10.0, w_min=-10.0, w_max=10.0
    )
    dopamine = np.zeros(round(end))
    np.add.at(dopamine, rewards[rewards < end].astype(int), REWARD)
    one_to_one = np.arange(pairs), np.arange(pairs)
    learning = net.connect(
        pre, post, weight=0.0, delay=DT, edges=one_to_one, plasticity=rule, modulator=rv.TimeSeries(dopamine, 1.0)
    )
    net.connect(teacher, post, weight=1000.0, delay=DT, edges=one_to_one)
    recording = rv.simulate(net, end, dt=DT, record=rv.WeightProbe(learning, interval=10_000.0))
    w = recording.weights[learning].numpy()
    others = w[1:]
    # a mark of 0.1 exp(−5/20), what is left of it 1 to 3 s later, and dopamine that fades in 200 ms
    left = (np.exp(-1.0) - np.exp(-3.0)) / 2
    expected = len(events) * 0.1 * np.exp(-5 / 20) * left * REWARD / (1 / 200 + 1 / 1000)
    trace = recording.weights.trace(learning)
    return {
        "score": float((w[0] - others.mean()) / others.std()),
        "rank": float((others < w[0]).mean()),
        "growth": float(w[0] / expected),
        "growth_error": float(4 * others.std() / expected),
        "others": float(abs(others.mean()) / others.std()),
        "times": trace.times.numpy() / 1000,
        "course": trace.values.numpy(),
    }


def course(material: dict[str, Any]) -> Figure:
    """The rewarded synapse among the others."""
    figure, axis = canvas(6, 3)
    axis.plot(material["times"], material["course"][:, 1:101], color="0.8", lw=0.6)
    axis.plot(material["times"], material["course"][:, 0], color=COLOURS[0], lw=1.5)
    axis.set(xlabel="time (s)", ylabel="change of the weight")
    return figure


PAPER = "Izhikevich 2007, fig. 1 and 'reinforcing a synapse'"

register(
    Experiment(
        name="reward_stdp",
        title="A reward finds the synapse that earned it",
        paper="E. M. Izhikevich (2007). Solving the distal reward problem through linkage of STDP and dopamine "
        "signaling. Cerebral Cortex 17:2443–2452.",
        doi="10.1093/cercor/bhl152",
        summary="One synapse among many meets pre before post now and then; reward comes one to three seconds later, "
        "when all others have had coincidences too. Eligibility that lasts a second singles it out. Reduced: "
        "neurons fire as they are told, so that synapses do not act on what earns the reward.",
        claims=(
            Claim(
                "The rewarded synapse grows beyond all others.",
                PAPER,
                "rank",
                AtLeast(1.0),
                0.0,
                "none of the others may be above it",
                {"tau_c": 100.0},
            ),
            Claim(
                "It stands out by more than chance.",
                PAPER,
                "score",
                AtLeast(4.0),
                0.0,
                "four standard deviations of the synapses that earn nothing",
                {"late": 4500.0},
            ),
            Claim(
                "It grows by what its eligibility is worth when the reward comes.",
                "Izhikevich 2007, eqs. 1 and 2, integrated: marks, their decay over 1 to 3 s, dopamine's own",
                "growth",
                1.0,
                "growth_error",
                "four standard deviations of the synapses that earn nothing",
                {"late": 3000.0},
            ),
        ),
        measure=measure,
        pictures={"Weights over time: the synapse that earns rewards, and a hundred that do not.": course},
    )
)
