"""Information estimates on channels whose information is known."""

import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln, digamma, logsumexp

from ranvier.analysis.information import (
    channel_information,
    class_information,
    entropy,
    gaussian_information,
    mutual_information,
    nearest_neighbour_information,
    nsb,
)


def h(p):
    return stats.entropy([p, 1 - p], base=2)


def test_known_channels():
    assert channel_information(np.array([[0.9, 0.1], [0.1, 0.9]])) == pytest.approx(1 - h(0.1))  # binary symmetric
    assert channel_information(np.array([[0.7, 0.3, 0], [0, 0.3, 0.7]])) == pytest.approx(0.7)  # erasure
    assert channel_information(np.eye(3), np.array([0.5, 0.25, 0.25])) == pytest.approx(1.5)
    z = channel_information(np.array([[1, 0], [0.5, 0.5]]), np.array([0.6, 0.4]))
    assert z == pytest.approx(np.log2(5 / 4), abs=1e-9)  # the Z channel's capacity


def test_frequencies_as_they_are():
    s, r = np.array([0, 0, 1, 1]), np.array([5, 5, 7, 9])
    assert mutual_information(s, r, correction=None) == pytest.approx(1)
    assert entropy(r) == pytest.approx(1.5)
    words = np.array([[0, 1], [0, 1], [1, 1], [1, 0]])
    assert entropy(words) == pytest.approx(1.5)
    assert mutual_information(words, r, correction=None) == pytest.approx(1.5)


def channel(trials, rng, stimuli=8, steps=12):
    """Binomial counts, of each stimulus as many; and their information."""
    x = (np.arange(stimuli) + 0.5) / stimuli
    s = np.repeat(np.arange(stimuli), trials)
    truth = channel_information(stats.binom.pmf(np.arange(steps + 1), steps, x[:, None]))
    return s, rng.binomial(steps, x[s]), truth


@pytest.mark.parametrize("correction", ["panzeri_treves", "quadratic"])
def test_corrections_take_the_bias_away(correction):
    rng = np.random.default_rng(0)
    runs = [channel(24, rng) for _ in range(40)]
    truth = runs[0][2]
    plain = np.mean([mutual_information(s, r, correction=None) for s, r, _ in runs]) - truth
    rest = np.mean([mutual_information(s, r, correction=correction) for s, r, _ in runs]) - truth
    assert plain > 0.08  # the first term of the bias is near 0.12
    assert abs(rest) < 0.2 * plain
    shuffled = np.mean([mutual_information(s, r, correction="shuffle") for s, r, _ in runs]) - truth
    assert shuffled < rest - 0.05  # it takes too much


def test_panzeri_treves_term_where_all_responses_are_possible():
    rng = np.random.default_rng(1)
    s, r = rng.integers(0, 3, 3000), rng.integers(0, 4, 3000)
    term = (3 * 3 - 3) / (2 * 3000 * np.log(2))
    plain = mutual_information(s, r, correction=None)
    assert plain - mutual_information(s, r) == pytest.approx(term)


@pytest.mark.parametrize("correction", ["panzeri_treves", "quadratic", "shuffle"])
def test_independent_ones_tell_nothing(correction):
    rng = np.random.default_rng(2)
    result = []
    for _ in range(60):
        s, r = rng.integers(0, 4, 200), rng.integers(0, 6, 200)
        result.append(mutual_information(s, r, correction=correction))
    assert abs(np.mean(result)) < 4 * np.std(result) / 60**0.5 + 1e-3


def test_miller_madow():
    rng = np.random.default_rng(3)
    plain = np.mean([entropy(rng.integers(0, 16, 60)) for _ in range(300)])
    corrected = np.mean([entropy(rng.integers(0, 16, 60), correction="miller_madow") for _ in range(300)])
    assert plain < 3.85 and abs(corrected - 4) < 0.03


def integrated(counts, states):
    """The posterior mean of the entropy in bits by quadrature: over the probability of each value, which is of Beta
    type at a concentration, and over concentrations with equal steps of the entropy that they make expect."""
    counts = np.concatenate([np.asarray(counts, float), np.zeros(states - len(counts))])
    t = np.linspace(-50, 50, 4001)  # q = 1/(1 + exp(-t))
    log_q, log_rest = -np.logaddexp(0, -t), -np.logaddexp(0, t)

    def expected(beta):  # Σ ∫ −q ln q Beta(q; a, b) dq
        a = counts[:, None] + beta
        rest = a.sum() - a
        return (-log_q * np.exp((a + 1) * log_q + rest * log_rest - betaln(a, rest))).sum() * (t[1] - t[0])

    def evidence(beta):  # of the samples one after the other: Pólya's urn
        observed, p = np.zeros(states), 1.0
        for value in np.repeat(np.arange(states), counts.astype(int)):
            p *= (observed[value] + beta) / (observed.sum() + states * beta)
            observed[value] += 1
        return p

    nodes, weight = np.polynomial.legendre.leggauss(60)
    u = np.linspace(-25, 30, 40_000)
    prior = digamma(states * np.exp(u) + 1) - digamma(np.exp(u) + 1)
    beta = np.exp(np.interp((nodes + 1) / 2 * np.log(states), prior, u))
    p = weight * np.array([evidence(b) for b in beta])
    return p @ np.array([expected(b) for b in beta]) / p.sum() / np.log(2)


@pytest.mark.parametrize(("counts", "states"), [((3, 1), 2), ((4, 0), 2), ((1, 0, 2), 3), ((2, 2, 1), 5)])
def test_nsb_is_the_integral_that_it_stands_for(counts, states):
    assert nsb(np.array(counts), states)[0] == pytest.approx(integrated(counts, states), abs=2e-5)


@pytest.mark.parametrize(("counts", "states"), [((3, 1, 0), 3), ((1, 1, 1, 5), 6)])
def test_nsb_moments_are_those_of_dirichlet_draws(counts, states):
    """Laws drawn from the priors by their weights."""
    rng, counts = np.random.default_rng(0), np.append(counts, np.zeros(states - len(counts)))
    u = np.linspace(-14, 14, 4001)
    xi = digamma(states * np.exp(u) + 1) - digamma(np.exp(u) + 1)
    beta = np.exp(np.interp(rng.uniform(xi[0], xi[-1], 200_000), xi, u))
    shape = beta[:, None] + np.zeros(states)
    log_g = np.log(rng.gamma(shape + 1)) + np.log(rng.uniform(size=shape.shape)) / shape  # Γ(β) from Γ(β + 1)
    log_q = log_g - logsumexp(log_g, axis=1, keepdims=True)
    h, weight = -(np.exp(log_q) * log_q).sum(1) / np.log(2), np.exp(log_q @ counts)
    mean = weight @ h / weight.sum()
    deviation = np.sqrt(weight @ (h - mean) ** 2 / weight.sum())
    assert nsb(counts, states) == pytest.approx((mean, deviation), abs=0.01)


def test_nsb_with_fewer_samples_than_states():
    """100 samples of 1024 values: frequencies and their correction are off by bits."""
    rng = np.random.default_rng(4)
    for p in (np.ones(1024), 0.9 ** np.arange(1024), rng.gamma(0.1, size=1024)):
        p = p / p.sum()
        truth = stats.entropy(p, base=2)
        result = np.array([nsb(np.bincount(rng.choice(1024, 100, p=p)), 1024) for _ in range(20)])
        assert abs(result[:, 0].mean() - truth) < 0.35
        assert np.abs(result[:, 0] - truth).max() < 4 * result[:, 1].max()
    rough = [entropy(rng.choice(1024, 100), correction="miller_madow") for _ in range(20)]
    assert np.mean(rough) < 7.5  # of 10


def test_nsb_at_its_ends():
    assert nsb(np.array([7]), 1) == (0.0, 0.0)
    mean, deviation = nsb(np.array([1_000_000, 1_000_000]), 2)
    assert mean == pytest.approx(1, abs=1e-5) and deviation < 1e-5
    mean, deviation = nsb(np.ones(10), 1e30)  # no coincidence: at least some thousand states
    assert 40 < mean < 99.7 and deviation > 5
    words = np.array([[0, 1], [0, 1], [1, 1], [1, 0]])
    assert entropy(words, correction="nsb", states=4) == nsb(np.array([2, 1, 1]), 4)[0]


def test_nsb_information_of_few_trials():
    """A quarter as many trials of each stimulus as there are responses: a tenth of the bias is left."""
    rng = np.random.default_rng(5)
    likelihood = rng.dirichlet(np.full(64, 0.5), 4)
    truth, s = channel_information(likelihood), np.repeat(np.arange(4), 16)
    result = {"nsb": [], "shuffle": [], None: []}
    for _ in range(8):
        r = np.array([rng.choice(64, p=likelihood[k]) for k in s])
        for correction, values in result.items():
            values.append(mutual_information(s, r, correction=correction, states=64) - truth)
    off = {name: np.mean(values) for name, values in result.items()}
    assert off[None] > 0.7 and off["shuffle"] < -0.2
    with pytest.raises(ValueError, match=r"responses holds .* different values in 64 trials"):
        mutual_information(s, r, correction="quadratic")
    assert abs(off["nsb"]) < 0.2 * off[None]


@pytest.mark.parametrize(
    "call",
    [
        lambda: mutual_information(np.zeros(3), np.zeros(4)),
        lambda: mutual_information(np.zeros(3), np.zeros(3), correction="jackknife"),
        lambda: mutual_information(np.zeros(3), np.zeros(3), correction="quadratic"),
        lambda: mutual_information(np.zeros(3), np.zeros(3), correction="nsb"),
        lambda: entropy(np.zeros(3), correction="nsb", states=0.5),
        lambda: nsb(np.array([1.5, 2]), 4),
        lambda: nsb(np.array([-1, 2]), 4),
        lambda: nsb(np.zeros(3), 4),
        lambda: nsb(np.ones(5), 4),
        lambda: entropy(np.zeros((0,))),
        lambda: entropy(np.array([np.nan])),
        lambda: channel_information(np.ones((2, 2))),
        lambda: channel_information(np.eye(2), np.ones(2)),
    ],
    ids=["lengths", "correction", "few", "states", "few states", "parts", "negative", "nothing", "too few states",
          "none", "nan", "rows", "prior"],
)
def test_refusals(call):
    with pytest.raises(ValueError, match=r" (is|has|holds) .*; expected "):
        call()


CORRECTIONS = ["panzeri_treves", "quadratic", "shuffle", "nsb", None]


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("trials", [10, 20, 40])
def test_independent_words_tell_nothing_or_are_refused(correction, trials):
    """8 binary neurons at 4 stimuli: with 10 trials of each no estimate can know (1.1 to 1.9 bits where 0 is right)."""
    rng, s = np.random.default_rng(6), np.repeat(np.arange(4), trials)
    refused = 0
    for _ in range(10):
        words = rng.integers(0, 2, (4 * trials, 8))
        try:
            value = mutual_information(s, words, correction=correction, states=256)
        except ValueError as error:
            refused += "different values in" in str(error) or "repeat" in str(error)
        else:
            assert abs(value) < 0.2 or correction in ("nsb", None)
    assert refused == 10 or (correction, trials) not in {(c, 10) for c in CORRECTIONS if c != "shuffle"}


def test_a_warning_states_what_shuffled_responses_give():
    rng, s = np.random.default_rng(7), np.repeat(np.arange(4), 40)
    words = rng.integers(0, 2, (160, 6))
    with pytest.warns(UserWarning, match=r"40 trials a stimulus for \d+ different responses") as caught:
        value = mutual_information(s, words)
    stated = str(caught[0].message).split("nothing, is ")[1].split(" bits")[0]
    mean, spread = (float(part) for part in stated.split("±"))
    assert 0.05 < mean < 0.3 and abs(value - mean) < 4 * spread  # it is right: all of the estimate is bias


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_never_more_than_either_entropy(correction):
    rng = np.random.default_rng(8)
    for trials in (6, 12, 50):
        for stimuli, responses, noise in ((2, 6, 0.1), (6, 2, 0.0), (3, 3, 0.3), (4, 4, 0.0)):
            s = np.repeat(np.arange(stimuli), trials)
            r = np.where(rng.random(len(s)) < noise, rng.integers(0, responses, len(s)), s % responses)
            value = mutual_information(s, r, correction=correction, states=responses)
            assert value <= min(entropy(s), entropy(r)) + 1e-12


@pytest.mark.parametrize(
    "measure",
    [
        entropy,
        lambda x: mutual_information(x, np.arange(1000) % 2),
        lambda x: mutual_information(np.arange(1000) % 2, x, correction=None),
    ],
)
def test_continuous_values_are_refused(measure):
    """A thousand different floats would carry log2(1000) bits."""
    x = np.random.default_rng(9).normal(size=1000)
    for values in (x, x.astype(np.float32), np.stack([x, x**2], 1)):
        with pytest.raises(ValueError, match=r"different fractional numbers.*nearest_neighbour_information"):
            measure(values)
    measure(np.round(x))  # whole numbers are counts


RHO = [0.0, 0.3, 0.6, 0.9]


@pytest.mark.parametrize("rho", RHO)
@pytest.mark.parametrize("estimate", [nearest_neighbour_information, gaussian_information])
def test_gaussian_pairs(estimate, rho):
    """-1/2 log2(1 - rho^2), also of few trials: within four standard errors of thirty estimates, and the bias of
    neighbours at strong dependence (Kraskov et al. 2004, fig. 4)."""
    rng = np.random.default_rng(10)
    for n in (100, 500):
        values = []
        for _ in range(30):
            x, z = rng.normal(size=(2, n))
            values.append(estimate(x, rho * x + np.sqrt(1 - rho**2) * z))
        truth = -0.5 * np.log2(1 - rho**2)
        assert abs(np.mean(values) - truth) < 4 * np.std(values) / 30**0.5 + 0.05 * truth


@pytest.mark.parametrize("estimate", [nearest_neighbour_information, gaussian_information])
def test_gaussian_vectors(estimate):
    """1/2 log2 |C_x| |C_y| / |C| of three and two columns."""
    rng = np.random.default_rng(11)
    mix = rng.normal(size=(5, 5))
    C = mix @ mix.T + np.eye(5)
    truth = 0.5 * np.log2(np.linalg.det(C[:3, :3]) * np.linalg.det(C[3:, 3:]) / np.linalg.det(C))
    both = rng.multivariate_normal(np.zeros(5), C, 4000)
    assert estimate(both[:, :3], both[:, 3:]) == pytest.approx(truth, abs=0.12)
    assert estimate(both[:, 3:], both[:, :3]) == pytest.approx(estimate(both[:, :3], both[:, 3:]), abs=1e-9)


def test_the_bias_of_a_copula_of_few_trials_is_taken_away():
    rng = np.random.default_rng(12)
    plain, corrected = [], []
    for _ in range(200):
        x, y = rng.normal(size=(2, 20, 3))
        C = np.corrcoef(np.hstack([x, y]).T)
        plain.append(0.5 * np.log2(np.linalg.det(C[:3, :3]) * np.linalg.det(C[3:, 3:]) / np.linalg.det(C)))
        corrected.append(gaussian_information(x, y))
    assert np.mean(plain) > 0.4 and abs(np.mean(corrected)) < 4 * np.std(corrected) / 200**0.5 + 0.02


def test_monotonic_functions_change_nothing_of_a_copula_and_neighbours_see_a_parabola():
    rng = np.random.default_rng(13)
    x, z = rng.normal(size=(2, 2000))
    y = 0.6 * x + 0.8 * z
    assert gaussian_information(np.exp(x), y**3) == pytest.approx(gaussian_information(x, y), abs=1e-12)
    parabola = x**2 + 0.1 * z
    assert nearest_neighbour_information(x, parabola) > 1.5 and gaussian_information(x, parabola) < 0.05


def test_errors_of_neighbours_are_those_of_repetitions():
    rng = np.random.default_rng(14)
    result = []
    for _ in range(30):
        x, z = rng.normal(size=(2, 600))
        result.append(nearest_neighbour_information(x, 0.6 * x + 0.8 * z, return_error=True))
    values, errors = np.array(result).T
    assert 0.6 < errors.mean() / values.std(ddof=1) < 1.6


def test_neighbours_as_scikit_learn_counts_them():
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    rng = np.random.default_rng(15)
    x, z = rng.normal(size=(2, 500))
    y, labels = 0.6 * x + 0.8 * z, rng.integers(0, 3, 500)
    theirs = mutual_info_regression(x[:, None], y, n_neighbors=4)[0] / np.log(2)  # it adds noise of 1e-10
    assert nearest_neighbour_information(x, y, k=4) == pytest.approx(theirs, abs=1e-6)
    theirs = mutual_info_classif((labels + z)[:, None], labels, n_neighbors=3)[0] / np.log(2)
    assert class_information(labels, labels + z) == pytest.approx(theirs, abs=1e-6)


def test_classes_of_gaussians():
    """Two classes a distance apart: h(mixture) - h(one) by quadrature."""
    rng, d = np.random.default_rng(16), 2.0
    labels = rng.integers(0, 2, 4000)
    v = np.linspace(-8, 10, 20_001)
    p = 0.5 * (stats.norm.pdf(v) + stats.norm.pdf(v - d))
    truth = -(p * np.log2(p)).sum() * (v[1] - v[0]) - 0.5 * np.log2(2 * np.pi * np.e)
    assert class_information(labels, d * labels + rng.normal(size=4000)) == pytest.approx(truth, abs=0.06)


def test_constants_tell_nothing():
    x = np.random.default_rng(17).normal(size=200)
    for estimate in (nearest_neighbour_information, gaussian_information):
        assert estimate(x, np.ones(200)) == estimate(np.zeros(200), x) == 0.0
    assert class_information(np.arange(200) % 2, np.ones(200)) == 0.0
    assert nearest_neighbour_information(x, np.ones(200), return_error=True) == (0.0, 0.0)
    thirds = np.arange(50) % 3
    assert mutual_information(np.zeros(50), thirds) == 0.0 == mutual_information(thirds, np.zeros(50))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: nearest_neighbour_information(x, np.round(x)),
        lambda x: gaussian_information(x, np.round(x)),
        lambda x: gaussian_information(x, np.stack([x, 2 * x], 1)),
        lambda x: gaussian_information(x, x),
        lambda x: nearest_neighbour_information(x[:4], x[:4]),
        lambda x: nearest_neighbour_information(x[:30], x[:30], return_error=True),
        lambda x: gaussian_information(x[:3], x[:3]),
        lambda x: nearest_neighbour_information(x, x[:-1]),
        lambda x: gaussian_information(x, np.append(x[1:], np.nan)),
        lambda x: nearest_neighbour_information(x, np.array(["a"] * len(x))),
        lambda x: class_information(np.arange(len(x)), x),
        lambda x: nearest_neighbour_information(x, x, k=0),
    ],
)
def test_continuous_estimates_refuse(call):
    with pytest.raises(ValueError, match="; expected "):
        call(np.random.default_rng(18).normal(size=100))


@pytest.mark.parametrize(("n", "rho"), [(100, 0.0), (100, 0.95), (300, 0.99)])
def test_the_error_of_neighbours_covers_bias_too(n, rho):
    """Twice the error holds the true value of a Gaussian pair in nine of ten draws; parts of ten trials did in six."""
    rng, true = np.random.default_rng(1), -0.5 * np.log2(1 - rho**2)
    hits = 0
    for _ in range(30):
        x = rng.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value, error = nearest_neighbour_information(x, y, return_error=True)
        hits += abs(value - true) < 2 * error
    assert hits >= 24  # of 30 at 0.9, three standard deviations less


def test_an_estimate_that_grows_with_the_trials_is_called_a_lower_bound():
    """rho = 0.999: 4.48 bits, of which 100 trials show 3.9."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    y = 0.999 * x + np.sqrt(1 - 0.999**2) * rng.normal(size=100)
    with pytest.warns(UserWarning, match=r"grows by 0\.\d+ from half the 100 trials .* lower bound"):
        value, error = nearest_neighbour_information(x, y, return_error=True)
    assert value + 2 * error > 4.48 > value
