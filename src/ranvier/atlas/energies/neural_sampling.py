"""Neural sampling: spiking neurons with refractory times as a Markov chain that samples a Boltzmann law."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from ranvier.atlas import Size

Array = np.ndarray
TAUS = (1, 3, 5)  # refractory times, in steps


def measure(
    seed: int,
    size: Size,
    update: str = "sequential",
    offset: bool = True,
    sleep: bool = True,
    together: str = "synchronous",
    unshifted: bool = False,
) -> dict[str, Any]:
    """The chain's law by enumeration, by sampling, and after learning.

    update: neurons one after another, or all at once ("synchronous"). offset: whether a neuron spikes with
    probability sigmoid(u - ln tau), or without the ln tau. sleep: whether learning subtracts what the network
    does by itself. together, unshifted: update and offset of the chains that are to have another law.
    """
    rng = np.random.default_rng(seed)
    W, b = couplings(3, 1.0, rng)
    metrics: dict[str, Any] = {}
    law = boltzmann(W, b)
    metrics["law_error"] = max(float(np.abs(chain_law(W, b, tau, update, offset) - law).max()) for tau in TAUS)
    metrics["together_kl"] = divergence(chain_law(W, b, 1, together), law)
    metrics["unshifted_kl"] = divergence(chain_law(W, b, 5, "sequential", unshifted), law)
    W, b = couplings(10, 0.3, rng)
    target, sweeps = boltzmann(W, b), {"small": 400_000, "full": 10_000_000}[size]
    floor = (len(target) - 1) / (2 * sweeps)
    for tau in (1, 20):
        short, long = (
            divergence(sample(W, b, tau, n, seed, update, offset) / n, target) for n in (sweeps // 10, sweeps)
        )
        metrics |= {f"kl_{tau}": long, f"over_floor_{tau}": long / floor, f"fall_{tau}": short / long}
    return metrics | learned(seed, size, update, offset, sleep)


def couplings(n: int, spread: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Symmetric weights without self-coupling, and biases."""
    upper = np.triu(rng.normal(0.0, spread, (n, n)), 1)
    return upper + upper.T, rng.normal(0.0, spread, n)


def patterns(n: int) -> Array:
    """(2^n, n): all states; the first unit is the most significant."""
    return np.array(list(itertools.product((0, 1), repeat=n)), dtype=float)


def boltzmann(W: Array, b: Array) -> Array:
    """p(z) of log p = z W z/2 + b z + constant, (2^n,)."""
    z = patterns(len(b))
    energy = 0.5 * np.einsum("si,ij,sj->s", z, W, z) + z @ b
    weight = np.exp(energy - energy.max())
    return np.maximum(weight / weight.sum(), 1e-300)


def divergence(p: Array, q: Array) -> float:
    """Kullback-Leibler divergence KL(p || q), nats."""
    here = p > 0
    return float((p[here] * np.log(p[here] / q[here])).sum())


def chain_law(W: Array, b: Array, tau: int, update: str, offset: bool = True) -> Array:
    """The stationary law of z, from all (tau + 1)^n states of the refractory counters."""
    n = len(b)
    counters = np.array(list(itertools.product(range(tau + 1), repeat=n)))
    place = (tau + 1) ** np.arange(n - 1, -1, -1)
    S, here = len(counters), np.arange(len(counters))
    z = (counters > 0).astype(float)
    spike = 1 / (1 + np.exp(-(z @ W + b - np.log(tau) * offset)))  # (states, neurons)

    def moved(k: int) -> Array:
        """The transition matrix when neuron k alone is updated."""
        T, zeta = np.zeros((S, S)), counters[:, k]
        down = here + place[k] * (np.where(zeta > 1, zeta - 1, 0) - zeta)
        up = here + place[k] * (tau - zeta)
        fires = np.where(zeta > 1, 0.0, spike[:, k])
        np.add.at(T, (here, down), 1 - fires)
        np.add.at(T, (here, up), fires)
        return T

    if update == "sequential":
        T = np.linalg.multi_dot([moved(k) for k in range(n)])
    else:
        T = np.ones((S, S))
        for k in range(n):  # each neuron's own move, given the old state of all others
            own, digit = moved(k), counters[:, k]
            by_digit = np.stack([own[:, digit == value].sum(1) for value in range(tau + 1)], 1)
            T *= by_digit[:, digit]
    system = np.vstack([(T.T - np.eye(S)), np.ones(S)])
    law = np.linalg.lstsq(system, np.append(np.zeros(S), 1.0), rcond=None)[0]
    code = (z @ 2 ** np.arange(n - 1, -1, -1)).astype(int)
    return np.bincount(code, law, minlength=2**n)


@cache
def _updates() -> Callable[..., None]:
    from ranvier.codegen.compilation import compiled

    @compiled
    def run(W: Array, b: Array, tau: int, draws: Array, together: bool, zeta: Array, z: Array, counts: Array) -> None:
        n = len(b)
        old = z.copy()
        for sweep in range(len(draws)):
            old[:] = z
            code = 0
            for k in range(n):
                if zeta[k] > 1:
                    zeta[k] -= 1
                else:
                    u = b[k]
                    for j in range(n):
                        u += W[k, j] * (old[j] if together else z[j])
                    zeta[k] = tau if draws[sweep, k] * (1 + np.exp(-u)) < 1 else 0
                z[k] = 1.0 if zeta[k] > 0 else 0.0
                code = 2 * code + (zeta[k] > 0)
            counts[code] += 1

    return run


def sample(W: Array, b: Array, tau: int, sweeps: int, seed: int, update: str, offset: bool = True) -> Array:
    """How often each state of z was met after each of `sweeps` updates of all neurons, (2^n,)."""
    rng, n = np.random.default_rng(seed), len(b)
    zeta, z, counts = np.zeros(n, np.int64), np.zeros(n), np.zeros(2**n)
    bias = b - np.log(tau) * offset
    for lo in (-1000, *range(0, sweeps, 100_000)):  # the first thousand are not counted
        length = 1000 if lo < 0 else min(100_000, sweeps - lo)
        _updates()(W, bias, tau, rng.random((length, n)), update != "sequential", zeta, z, counts)
        if lo < 0:
            counts[:] = 0
    return counts


def learned(seed: int, size: Size, update: str, offset: bool, sleep: bool) -> dict[str, Any]:
    """Wake and sleep on a small set of data: moments of the data minus those of the network's own spikes."""
    n, tau, rng = 6, 3, np.random.default_rng(seed + 1)
    z = patterns(n)
    ideals = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]])
    flips = np.abs(z[:, None] - ideals).sum(2)
    data = (0.1**flips * 0.9 ** (n - flips)).mean(1)  # a pattern with a tenth of its units turned over
    W, b = couplings(n, 0.1, rng)
    wake = np.einsum("s,si,sj->ij", data, z, z)
    falls, epochs = [divergence(data, boltzmann(W, b))], {"small": 120, "full": 600}[size]
    for epoch in range(epochs):
        p = sample(W, b, tau, 4000, seed + epoch, update, offset) / 4000 if sleep else np.zeros(2**n)
        step = 0.5 * (wake - np.einsum("s,si,sj->ij", p, z, z))
        b = b + np.diag(step)
        W = W + step - np.diag(np.diag(step))
        falls.append(divergence(data, boltzmann(W, b)))
    return {"learning_kl_start": falls[0], "learning_kl": falls[-1], "falls": falls, "data": data,
            "model": boltzmann(W, b)}  # fmt: skip


def learning(material: dict[str, Any]) -> Figure:
    """Divergence while learning, and the two laws afterwards."""
    figure, axes = canvas(8, 2.8, 1, 2)
    left, right = axes[0]
    left.semilogy(material["falls"], color=COLOURS[0], lw=1.2)
    left.set(xlabel="epoch", ylabel="KL of data and network (nats)")
    right.loglog(material["data"], material["model"], "o", ms=3, color=COLOURS[1])
    right.axline((0.01, 0.01), (0.1, 0.1), color=COLOURS[5], lw=0.8)
    right.set(xlabel="probability in the data", ylabel="in the network")
    return figure


PAPER = "Buesing, Bill, Nessler and Maass (2011), theorem 1"
ROUNDING = "rounding in a linear system of at most 216 states"

register(
    Experiment(
        name="neural_sampling",
        title="Neural sampling: connectivity as an internal model",
        paper="L. Buesing, J. Bill, B. Nessler and W. Maass (2011). Neural dynamics as sampling: a model for "
        "stochastic computation in recurrent networks of spiking neurons. PLoS Comput. Biol. 7:e1002211.",
        doi="10.1371/journal.pcbi.1002211",
        summary="Neurons with an absolute refractory time, updated one after another, sample the Boltzmann law "
        "that their connectivity describes; learning the connectivity makes them a model of their data.",
        claims=(
            Claim(
                "With refractory times of 1, 3 and 5 steps the spikes' law is the Boltzmann law, exactly.",
                PAPER,
                "law_error",
                0.0,
                1e-14,
                ROUNDING,
                {"update": "synchronous"},
            ),
            Claim(
                "Updated all at once, the same neurons sample another law.",
                "enumeration of the chain",
                "together_kl",
                AtLeast(1e-3),
                0.0,
                "a bound far above rounding, 1e-14",
                {"together": "sequential"},
                "nats",
            ),
            Claim(
                "The membrane potential must be shifted by the logarithm of the refractory time.",
                PAPER,
                "unshifted_kl",
                AtLeast(1e-3),
                0.0,
                "a bound far above rounding, 1e-14",
                {"unshifted": True},
                "nats",
            ),
            Claim(
                "Ten neurons without memory (tau = 1) come as close to the law as independent samples would: "
                "a divergence of (2^n − 1)/2T.",
                "the mean of a likelihood ratio",
                "over_floor_1",
                1.0,
                0.35,
                "4.4 % for the ratio's spread, and up to 30 % for the correlation of successive sweeps",
                {"update": "synchronous"},
            ),
            Claim(
                "The divergence falls as 1/T, also with a refractory time of 20 steps: tenfold in ten times the time.",
                "a sampling error, not a bias",
                "fall_20",
                10.0,
                4.0,
                "four standard deviations of a ratio of two divergences, each good to 10 % with the chain's "
                "correlation",
                {"offset": False},
            ),
            Claim(
                "Learning by wake and sleep makes the network a model of its data.",
                "contrastive learning, Ackley, Hinton and Sejnowski (1985)",
                "learning_kl",
                AtMost(0.12),
                0.0,
                "a tenth of what the network starts from; the moments of sleep are sampled",
                {"sleep": False},
                "nats",
            ),
        ),
        measure=measure,
        pictures={"Learning by wake and sleep; the law learned against that of the data.": learning},
    )
)
