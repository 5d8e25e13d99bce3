"""Ensembles: pair correlations tell which of its 2^N states a network uses."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

import ranvier as rv
from ranvier.analysis.ensembles import count_states, entropy_by_size, fit_pairwise, words
from ranvier.analysis.information import entropy
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, dataset, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

NEURONS, BIN = 10, 20.0  # as many as in the paper's groups; ms, as there


def measure(
    seed: int, size: Size, shuffled: bool = False, pairs: bool = True, penalty: float = 0.0
) -> dict[str, Any]:
    """Words of ten neurons of a recurrent network with common input, and the laws fitted to them.

    shuffled: each neuron's words come from another time, which leaves rates only. pairs: whether the law has them.
    penalty: on the pairs of the pseudo-likelihood.
    """
    duration = {"small": 240_000.0, "full": 4_000_000.0}[size]
    z = spikes(seed, duration)
    rng = np.random.default_rng(seed)
    if shuffled:
        z = np.column_stack([np.roll(column, rng.integers(len(z))) for column in z.T])
    law, counted = fit_pairwise(z), count_states(z)
    states = ((np.arange(2**NEURONS)[:, None] >> np.arange(NEURONS)) & 1).astype(float)
    rate = z.mean(0)
    alone = np.exp(states @ np.log(rate) + (1 - states) @ np.log(1 - rate))
    fitted = np.exp(law.log_probability(states)) if pairs else alone
    frequencies = np.bincount(z @ (1 << np.arange(NEURONS)), minlength=2**NEURONS) / len(z)
    some = frequencies > 0
    # both divergences carry the plug-in entropy's bias, taken away
    bias = entropy(z, correction="miller_madow") - entropy(z)
    far, near = (float(frequencies[some] @ np.log2(frequencies[some] / p[some])) - bias for p in (alone, fitted))
    used = counted.used if pairs else counted.independent
    triples = [(i, j, k) for i in range(NEURONS) for j in range(i) for k in range(j)]
    product = np.array([states[:, list(t)].prod(1) for t in triples])
    pseudo = fit_pairwise(z, method="pseudo", penalty=penalty)
    return {
        "multi_information": counted.independent - counted.words, "saved": counted.independent - used,
        "explained": (counted.independent - used) / (counted.independent - counted.words),
        "kl_ratio": near / far, "used_bits": used, "part": 2 ** (used - counted.independent),
        "distinct": counted.distinct,
        "triples": float(np.abs(np.log(product @ fitted / (product @ frequencies))).mean()),
        "pseudo_gap": float(np.abs(pseudo.weight - law.weight).max()), "rate": float(rate.mean() / BIN * 1000),
        "observed": frequencies, "fitted": fitted, "alone": alone, "bins": len(z),
    } | by_size(seed, size, shuffled)  # fmt: skip


@lru_cache(maxsize=1)
def cortex() -> np.ndarray | None:
    """Words (7200, 140) of V1's cells in bins of 25 ms: 1 where one is more active than in its mean."""
    from ranvier.recordings import read_session

    file = dataset("cortex/sequences_140_neurons_25ms.mat")
    if file is None:
        return None
    session = read_session(file, activity="Zdecode", bin=25.0, transpose=True, behaviour=[])
    return (np.asarray(session.activity.read()) > 0).astype(np.uint8)  # type: ignore[union-attr]


@lru_cache(maxsize=4)
def by_size(seed: int, size: Size, shuffled: bool) -> dict[str, Any]:
    """Entropies of V1's ensembles by number of cells, beside those of cells that are turned round by random times."""
    z = cortex()
    if z is None:
        return {"cortex_saved": None}
    sizes, draws = {"small": ((10, 20, 40), 1), "full": ((10, 20, 40, 80, 140), 5)}[size]
    rng = np.random.default_rng(seed)
    turned = np.column_stack([np.roll(column, rng.integers(len(z))) for column in z.T])
    real, control = (entropy_by_size(x, sizes, draws=draws, penalty=30.0, seed=seed)
                     for x in (turned if shuffled else z, turned))  # fmt: skip
    saved = (control["pairwise"] - real["pairwise"]).mean(1)  # of the same cells, so that rates are the same
    return {"cortex_saved": float(saved[2]), "cortex_sizes": sizes, "cortex": real, "cortex_control": control}


@lru_cache(maxsize=2)  # the mutants change what is made of them
def spikes(seed: int, duration: float) -> np.ndarray:
    """Words of the first ten excitatory neurons of 40, with 10 inhibitory ones and sources that they share."""
    net = rv.Network(seed=seed)
    exc = net.add(rv.LIF(tau_m=20.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0), 40, drive=0.0, noise=3.0)
    inh = net.add(rv.LIF(tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=1.0), 10, drive=0.0, noise=3.0)
    common = net.add(rv.Poisson(20.0), 30)
    net.connect(common, [exc, inh], weight=3.0, delay=1.0, synapse=rv.Delta(), probability=0.3)
    net.connect(exc, [exc, inh], weight=0.5, delay=1.0, synapse=rv.Delta(), probability=0.2)
    net.connect(inh, [exc, inh], weight=-1.5, delay=1.0, synapse=rv.Delta(), probability=0.2)
    frequencies = rv.simulate(net, duration, dt=0.5, seed=seed)
    chosen = frequencies.neurons < NEURONS
    return words(frequencies.times[chosen].numpy(), frequencies.neurons[chosen].numpy(), NEURONS, duration, BIN)


def bits_by_size(material: dict[str, Any]) -> Figure:
    """Entropy of V1's ensembles against their size."""
    figure, axis = canvas(4.4, 3)
    if "cortex" in material:
        lines = {**{k: material["cortex"][k] for k in ("independent", "pairwise", "words")},
                 "pairwise, turned": material["cortex_control"]["pairwise"]}  # fmt: skip
        for colour, (name, values) in zip(COLOURS, lines.items()):
            axis.plot(material["cortex_sizes"], values.mean(1), "o-", ms=3, color=colour, label=name)
        axis.legend()
    axis.set(xlabel="cells", ylabel="entropy (bits)")
    return figure


def rates_of_words(material: dict[str, Any]) -> Figure:
    """How often words come against what the laws say."""
    figure, (row,) = canvas(8, 3, 1, 2)
    frequencies, scale = material["observed"], 1000 / BIN
    some = frequencies > 0
    for axis, name, title in zip(row, ("alone", "fitted"), ("independent", "pairwise")):
        axis.loglog(frequencies[some] * scale, material[name][some] * scale, ".", ms=3, color=COLOURS[0])
        axis.axline((1e-2, 1e-2), (1.0, 1.0), color="0.6", lw=0.8)
        axis.set(xlabel="words observed (1/s)", ylabel="predicted (1/s)", title=title, ylim=(1e-5, 100))
    return figure


PAPER = "Schneidman, Berry, Segev and Bialek (2006)"
register(
    Experiment(
        name="ensembles",
        title="Ensembles: the states that neurons use of those they could",
        paper="E. Schneidman, M. J. Berry II, R. Segev and W. Bialek (2006). Weak pairwise correlations imply "
        "strongly correlated network states in a neural population. Nature 440:1007–1012.",
        doi="10.1038/nature04701",
        summary="Ten neurons of a simulated network with common input could be in 1024 states. The law of greatest "
        "entropy with their rates and pair correlations tells which ones they use; their rates alone do not.",
        claims=(
            Claim(
                "Pairs account for 90 % of what neurons have in common.", PAPER + ", figure 2",
                "explained", AtLeast(0.9), 0.0, "the paper's number, of retinal neurons", {"pairs": False},
            ),
            Claim(
                "The pairwise law's divergence from the words is a tenth of that of independent neurons, or less.",
                PAPER + ", figure 1", "kl_ratio", AtMost(0.1), 0.0, "1 less the share of pairs", {"pairs": False},
            ),
            Claim(
                "Neurons correlate: they use fewer states than their rates allow.", PAPER, "saved",
                AtLeast(0.1), 0.0, "a bound, ten times the bias of shuffled words", {"shuffled": True}, "bits",
            ),
            Claim(
                "The states used are fewer, by a tenth or more, than those that rates alone allow (2^S each).",
                PAPER, "part", AtMost(0.9), 0.0, "as before: 0.15 bits", {"shuffled": True},
            ),
            Claim(
                "Triples spike as often as the pairs' law says, which has not seen them.", PAPER,
                "triples", AtMost(0.1), 0.0, "a bound on the mean |ln ratio|; sampling alone gives about 0.03",
                {"pairs": False},
            ),
            Claim(
                "The pseudo-likelihood finds the couplings of the likelihood.", "Besag (1975)", "pseudo_gap",
                AtMost(0.1), 0.0, "a bound; both are consistent", {"penalty": 1e5},
            ),
            Claim(
                "By the pairwise law 40 cells of V1 use fewer states than the same cells turned round by random times.",
                PAPER, "cortex_saved", AtLeast(0.3), 0.0, "ten times the scatter of the entropies' estimates",
                {"shuffled": True}, "bits",
                only="recorded cells",
            ),
        ),
        measure=measure,
        pictures={
            "Rates of the words of ten neurons against two laws.": rates_of_words,
            "V1: entropy by number of cells.": bits_by_size,
        },
    )
)  # fmt: skip
