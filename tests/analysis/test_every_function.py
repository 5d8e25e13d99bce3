"""Every public function of `ranvier.analysis`, found by itself, on closed forms and plain re-derivations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ranvier import analysis
from ranvier.analysis import Spikes, decoding, ensembles, information, matching
from tests.laws.analysis import Case, check, public
from tests.laws.analysis_populations import POPULATION_CASES

N, STEPS, DT, WINDOW = 5, 400, 0.5, 5.0  # 200 ms in 40 windows
NAN, ZERO = np.full(N, np.nan), np.zeros(N)
rng = np.random.default_rng(0)
dense = rng.random((STEPS, N)) < [0.05, 0.1, 0.2, 0.1, 0.3]
dense[:, 1] |= dense[:, 0]
STEP, NEURON = np.nonzero(dense)
COUNTS = dense.reshape(-1, 10, N).sum(1)
SPIKES = {"steps": STEP + 1, "neurons": NEURON.astype(np.int64), "size": N}
SILENT = {"steps": np.empty(0, np.int64), "neurons": np.empty(0, np.int64)}
CLOCK = {"steps": np.repeat(np.arange(1, STEPS + 1), N), "neurons": np.tile(np.arange(N), STEPS)}


def spikes(steps, neurons, size):
    steps, neurons = np.asarray(steps), np.asarray(neurons)
    order = np.lexsort((neurons, steps))
    return Spikes.from_steps(steps[order], neurons[order], n_neurons=size, dt=DT, stop=STEPS)


def of_spikes(function, *args, **options):
    return lambda steps, neurons, size: function(spikes(steps, neurons, size), *args, **options)


def last(answer, order):
    return answer[..., order]


def pairs(answer, order):
    return answer[..., order, :][..., order]


def same(answer, order):
    return answer


def density():
    """C_ij(τ) at −5, 0 and 5 ms from the counts, lag by lag."""
    n, mean = len(COUNTS), COUNTS.mean(0)
    late, early = COUNTS[1:].T.astype(float), COUNTS[:-1].T.astype(float)
    zero = COUNTS.T @ COUNTS / n
    ahead = late @ early.T / (n - 1)
    return (np.stack([ahead.T, zero, ahead]) - np.outer(mean, mean)) * (1000.0 / WINDOW) ** 2


def welch(f, half=40):
    """Half-overlapping segments under Hann's window, the sum over time written out."""
    s = dense / (DT / 1000.0) - dense.mean(0) / (DT / 1000.0)
    k = np.arange(2 * half)
    taper = np.sin(np.pi * k / (2 * half)) ** 2
    wave = np.exp(-2j * np.pi * np.outer(f, k) * DT / 1000.0) * taper
    segments = [wave @ s[a : a + 2 * half] * DT / 1000.0 for a in range(0, STEPS - 2 * half + 1, half)]
    return np.mean([np.einsum("fi,fj->fij", x, x.conj()) for x in segments], 0) / (np.sum(taper**2) * DT / 1000.0)


def cv():
    return [np.std(np.diff(np.flatnonzero(train))) / np.mean(np.diff(np.flatnonzero(train))) for train in dense.T]


def statistic(function, value, silent, clock, permuted, *args, **options):
    degenerate = ((SILENT, silent), (CLOCK, clock))
    return Case(of_spikes(function, *args, **options), SPIKES, value, 1e-9, degenerate, permuted)


def square(value):
    return np.full((N, N), float(value))


BLOCK = np.repeat([0.0, 1.0], 50)
GAUSS = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 3000)
ONE_HOT = np.zeros((4, 1, 2))
ONE_HOT[[1, 3], 0, [0, 1]] = 1.0
NO_SPIKES = {"spikes": 0 * ONE_HOT}
WORDS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 25)
f = np.array([10.0, 25.0])

CASES: dict[str, Case] = {
    **POPULATION_CASES,
    "rates": statistic(analysis.rates, dense.sum(0) * 1000 / (STEPS * DT), ZERO, ZERO + 1000 / DT, last),
    "cv": statistic(analysis.cv, cv(), NAN, ZERO, last),
    "counts": statistic(analysis.counts, COUNTS, 0 * COUNTS, 0 * COUNTS + 10, last, WINDOW),
    "covariance": statistic(analysis.covariance, np.cov(COUNTS.T), square(0), square(0), pairs, WINDOW),
    "correlation": statistic(
        analysis.correlation, np.corrcoef(COUNTS.T), square(np.nan), square(np.nan), pairs, WINDOW
    ),
    "fano": statistic(analysis.fano, COUNTS.var(0, ddof=1) / COUNTS.mean(0), NAN, ZERO, last, WINDOW),
    "population_rate": statistic(
        analysis.population_rate, COUNTS.mean(1) * 1000 / WINDOW, np.zeros(40), np.full(40, 2000.0), same, WINDOW
    ),
    "cross_correlation": statistic(
        analysis.cross_correlation, density(), np.zeros((3, N, N)), np.zeros((3, N, N)), pairs, [-5.0, 0.0, 5.0]
    ),
    "spectrum": statistic(
        analysis.spectrum, welch(f), np.zeros((2, N, N)), np.zeros((2, N, N)), pairs, f, segment=40.0
    ),
    "decoding.rate": Case(
        decoding.rate, {"spikes": ONE_HOT}, [[0.25, 0.25]], degenerate=((NO_SPIKES, [[0, 0]]),)
    ),
    "decoding.latency": Case(
        decoding.latency, {"spikes": ONE_HOT}, [[1 - 0.99 / 3, 0.01]], degenerate=((NO_SPIKES, [[np.nan] * 2]),)
    ),
    "decoding.phase": Case(
        lambda spikes: decoding.phase(spikes, period=4), {"spikes": ONE_HOT}, [[1 / 4, 1 / 16]],
        degenerate=(({"spikes": 0 * ONE_HOT}, [[0, 0]]), ({"spikes": ONE_HOT[:2]}, "period")),
    ),
    "decoding.delta": Case(
        lambda spikes: decoding.delta(spikes, 0.5), {"spikes": ONE_HOT}, 0.5 * np.cumsum(ONE_HOT, 0),
        degenerate=(({"spikes": 0 * ONE_HOT}, 0 * ONE_HOT),),
    ),
    "decoding.population": Case(
        lambda activity: decoding.population(activity, 5),
        {"activity": np.exp(-0.5 * ((0.3 - (np.arange(5) - 0.5) / 3) * 1.5 * 3) ** 2)[None]}, [[0.3]],
        degenerate=(({"activity": np.zeros((1, 5))}, [[np.nan]]),),
    ),
    "ensembles.words": Case(
        lambda steps, neurons, size: ensembles.words(np.asarray(steps) * DT, neurons, size, STEPS * DT, WINDOW),
        SPIKES, COUNTS > 0, 0.0, ((SILENT, 0 * COUNTS), (CLOCK, 0 * COUNTS + 1)), last,
    ),
    "ensembles.count_states": Case(
        ensembles.count_states, {"data": WORDS}, ensembles.States(2, 2.0, 2.0, 2.0 + 3 / (200 * np.log(2)), 4), 1e-6,
        (({"data": 0 * WORDS}, ensembles.States(2, 0.0, 0.0, 0.0, 1)), ({"data": WORDS[:0]}, "words")),
    ),
    "ensembles.fit_pairwise": Case(
        ensembles.fit_pairwise, {"data": WORDS}, ensembles.Pairwise(np.zeros((2, 2)), np.zeros(2), 2.0), 1e-6,
        (({"data": 0 * WORDS}, "the same state in all words"),),
    ),
    "ensembles.pairwise_entropy": Case(
        lambda weight: ensembles.pairwise_entropy(ensembles.Pairwise(np.asarray(weight), np.zeros(2), np.nan)),
        {"weight": np.zeros((2, 2))}, 2.0,
    ),
    "ensembles.entropy_by_size": Case(
        lambda data: tuple(ensembles.entropy_by_size(data, [2], draws=1).values()), {"data": WORDS},
        tuple(np.array([[v]]) for v in (2.0, 2.0, 2.0 + 3 / (200 * np.log(2)), 4)), 1e-6,
        (({"data": 0 * WORDS}, "sizes"),),
    ),
    "information.channel_information": Case(
        information.channel_information, {"likelihood": np.array([[0.9, 0.1], [0.1, 0.9]])},
        1 - stats.entropy([0.9, 0.1], base=2), degenerate=(({"likelihood": np.ones((3, 1))}, 0.0),),
    ),
    "information.entropy": Case(
        information.entropy, {"samples": np.repeat([3, 5, 7], [2, 1, 1])}, 1.5,
        degenerate=(({"samples": np.ones(4)}, 0.0), ({"samples": np.empty(0)}, "samples")),
    ),
    "information.nsb": Case(
        lambda counts: information.nsb(counts, 2), {"counts": np.array([10**6, 10**6])}, [1.0, 0.0], 1e-5,
        (({"counts": np.array([0, 0])}, "counts"),),
    ),
    "information.mutual_information": Case(
        lambda s, r: information.mutual_information(s, r, correction=None), {"s": BLOCK, "r": BLOCK}, 1.0,
        degenerate=(({"s": 0 * BLOCK}, 0.0), ({"r": 0 * BLOCK}, 0.0), ({"r": BLOCK[:3]}, "responses")),
    ),
    "information.nearest_neighbour_information": Case(
        lambda x, y: information.nearest_neighbour_information(x, y), {"x": GAUSS[:, 0], "y": GAUSS[:, 1]},
        -0.5 * np.log2(1 - 0.64), 0.06, (({"x": np.ones(3000)}, 0.0), ({"y": np.zeros(3000)}, 0.0)),
    ),
    "information.gaussian_information": Case(
        lambda x, y: information.gaussian_information(x, y), {"x": GAUSS[:, 0], "y": GAUSS[:, 1]},
        -0.5 * np.log2(1 - 0.64), 0.06, (({"x": np.ones(3000)}, 0.0), ({"y": GAUSS[:, 0]}, "determine one another")),
    ),
    "information.class_information": Case(
        lambda labels, values: information.class_information(labels, values),
        {"labels": (GAUSS[:, 0] > 0).astype(int), "values": GAUSS[:, 0]}, 1.0, 0.02,
        (({"values": np.ones(3000)}, 0.0), ({"labels": np.arange(3000)}, "labels")),
    ),
    "matching.overlap_set": Case(lambda: matching.overlap_set(10, 4, 5, 2), {}, math.comb(5, 2) ** 2),
    "matching.false_match": Case(lambda: matching.false_match(10, 4, 5, 4), {}, 5 / 210),
    "matching.false_negative": Case(lambda: matching.false_negative(4, 4, 4, 1), {}, 1.0),
    "matching.synaptic_failure": Case(lambda: matching.synaptic_failure(3, 3, 0.5), {}, 7 / 8),
    "matching.union_size": Case(lambda: matching.union_size(3, 1, 2), {}, [0, 1 / 3, 2 / 3, 0]),
    "matching.union_false_match": Case(
        lambda: matching.union_false_match(10, 4, 5, 4, 1), {}, matching.false_match(10, 4, 5, 4)
    ),
}  # fmt: skip


def test_every_function_has_a_case():
    assert public().keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_laws(name):
    check(CASES[name])


@pytest.mark.parametrize("spoil", ["value", "silent", "order", "input"])
def test_the_laws_see_a_planted_fault(spoil):
    def wrong(steps, neurons, size):
        neurons = np.asarray(neurons)
        right = analysis.rates(spikes(steps, neurons, size))
        if spoil == "value":
            return right * 1.001
        if spoil == "silent" and not len(neurons):
            return right + np.nan
        if spoil == "order":
            return np.sort(right)
        if spoil == "input" and len(neurons) and neurons.flags.writeable:
            neurons[:] = neurons[::-1].copy()
        return right

    case = CASES["rates"]
    data = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in case.data.items()}
    with pytest.raises(AssertionError):
        check(Case(wrong, data, case.value, case.tolerance, case.degenerate, case.permuted))


@pytest.mark.parametrize("function", [analysis.rates, analysis.covariance, analysis.correlation])
@pytest.mark.parametrize("data", [SILENT, CLOCK], ids=["silent", "clock"])
def test_errors_without_variance_are_zero_or_nan(function, data):
    args = () if function is analysis.rates else (WINDOW,)
    error = of_spikes(function, *args, return_error=True)(**data, size=N)[1]
    assert (np.nan_to_num(error) == 0).all() and np.isnan(error).all() == (function is analysis.correlation)


@pytest.mark.parametrize("size", [0, 1])
def test_no_neuron_and_one(size):
    steps = np.arange(4, STEPS, 7) if size else np.empty(0, np.int64)
    one = spikes(steps, np.zeros(len(steps), np.int64), size)
    assert analysis.rates(one).shape == analysis.cv(one).shape == analysis.fano(one, WINDOW).shape == (size,)
    assert analysis.covariance(one, WINDOW).shape == analysis.correlation(one, WINDOW).shape == (size, size)
    assert analysis.counts(one, WINDOW).shape == (40, size)
    assert analysis.population_rate(one, WINDOW).shape == (40,)
