"""Decoders against closed forms, scikit-learn and planted truths; every score beside its chance."""

import numpy as np
import pytest
from scipy import stats

from ranvier.analysis.decoding import (
    NetworkDecoder,
    accuracy,
    align,
    balanced_accuracy,
    bayesian_decode,
    circular_error,
    decoded_information,
    explained_variance,
    permutation_score,
    posterior,
    ridge,
    ridge_classifier,
    tuning_curves,
)  # fmt: skip

rng = np.random.default_rng(4)


def ring(samples=4000, neurons=12, width=100.0, seed=0):
    """Poisson counts of head-direction cells, and the angle."""
    draw = np.random.default_rng(seed)
    angle = draw.uniform(0, 2 * np.pi, samples)
    preferred = np.arange(neurons) * 2 * np.pi / neurons
    rates = 2 + 30 * np.exp(4 * (np.cos(angle[:, None] - preferred) - 1))
    return draw.poisson(rates * width / 1000), angle, preferred


def test_tuning_curves_are_those_that_were_planted():
    counts, angle, preferred = ring(40_000)
    curves = tuning_curves(counts, angle, 100.0, bins=24, period=2 * np.pi)
    expected = 2 + 30 * np.exp(4 * (np.cos(curves.centers[:, None] - preferred) - 1))
    error = np.sqrt(expected / (curves.occupancy[:, None] / 1000))  # Hz, of a Poisson count
    assert np.abs((curves.rates - expected) / error).mean() < 1.0  # 0.8, and the curve's bend within a bin
    off = np.abs(np.angle(np.exp(1j * (curves.preferred - preferred))))
    assert off.max() <= 2 * np.pi / 24
    assert curves.occupancy.sum() == pytest.approx(40_000 * 100.0)


def test_the_posterior_is_bayes_rule_by_hand():
    curves = tuning_curves([[0, 3], [2, 1], [4, 0], [0, 0]], [0.0, 0.0, 1.0, 1.0], 1000.0, bins=2)
    p = posterior([[1, 2]], curves, 500.0)
    by_hand = np.array([0.5, 0.5]) * [
        np.prod(stats.poisson.pmf([1, 2], np.maximum(r, 0.01) * 0.5)) for r in curves.rates
    ]
    np.testing.assert_allclose(p[0], by_hand / by_hand.sum(), rtol=1e-9)
    uniform = posterior([[1, 2]], curves, 500.0, prior=[1.0, 3.0])
    np.testing.assert_allclose(uniform[0], by_hand * [1, 3] / (by_hand * [1, 3]).sum(), rtol=1e-9)


def test_decoding_error_reaches_the_cramer_rao_bound():
    counts, angle, preferred = ring(6000, neurons=24, width=500.0)
    curves = tuning_curves(counts[:3000], angle[:3000], 500.0, bins=90, period=2 * np.pi, smoothing=1.5)
    got = bayesian_decode(counts[3000:], curves, 500.0)
    away = np.angle(np.exp(1j * (got - angle[3000:])))
    grid = np.linspace(0, 2 * np.pi, 500)
    f = 2 + 30 * np.exp(4 * (np.cos(grid[:, None] - preferred) - 1))
    slope = -120 * np.sin(grid[:, None] - preferred) * np.exp(4 * (np.cos(grid[:, None] - preferred) - 1))
    bound = 1 / np.sqrt((0.5 * slope**2 / f).sum(1).mean())
    assert 0.95 * bound < away.std() < 1.3 * bound  # the bins' width alone adds 2 % of it
    np.testing.assert_allclose(circular_error(got, angle[3000:]), np.median(np.abs(away)), rtol=1e-12)


def test_a_window_with_a_hole_is_not_decoded():
    counts, angle, _ = ring(500)
    curves = tuning_curves(counts, np.where(angle < 1, np.nan, angle), 100.0, bins=20, period=2 * np.pi)
    assert np.isnan(curves.rates[:3]).all() and np.isfinite(curves.rates[4:]).all()
    holes = counts[:3].astype(float)
    holes[1, 2] = np.nan
    assert np.isnan(bayesian_decode(holes, curves, 100.0)).tolist() == [False, True, False]


@pytest.mark.parametrize("shape", [(60, 8), (20, 50)])
@pytest.mark.parametrize("penalty", [0.3, 10.0])
def test_ridge_is_that_of_scikit_learn(shape, penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = rng.standard_normal(shape) + 3, rng.standard_normal((shape[0], 2)) - 5
    ours, theirs = ridge(x, y, penalty=penalty), linear_model.Ridge(alpha=penalty).fit(x, y)
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=1e-9)
    np.testing.assert_allclose(ours.bias, theirs.intercept_, atol=1e-9)
    labels = rng.integers(0, 3, shape[0])
    theirs = linear_model.RidgeClassifier(alpha=penalty).fit(x, labels)
    assert (ridge_classifier(x, labels, penalty=penalty).classify(x) == theirs.predict(x)).all()


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    a, b = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    assert accuracy(a, b) == pytest.approx(metrics.accuracy_score(b, a))
    assert balanced_accuracy(a, b) == pytest.approx(metrics.balanced_accuracy_score(b, a))
    x, y = rng.standard_normal((2, 50))
    assert explained_variance(x, y) == pytest.approx(metrics.r2_score(y, x))
    assert explained_variance(np.full(50, y.mean()), y) == pytest.approx(0.0)


def test_information_of_a_perfect_and_of_a_useless_decoder():
    labels = np.arange(400) % 4
    assert decoded_information(labels, labels) == pytest.approx(2.0, abs=0.02)
    assert decoded_information(rng.permutation(labels), labels) < 0.03


def test_chance_is_what_permuted_labels_give():
    labels = np.repeat([0, 1, 2, 3], 25)
    x = rng.standard_normal((100, 5))
    x[:, 0] += 3 * labels
    x[:, 1] += 3 * (labels % 2)

    def score(y):
        return accuracy(ridge_classifier(x[::2], y[::2]).classify(x[1::2]), y[1::2])

    result = permutation_score(score, labels, permutations=60)
    assert result.value > 0.4 and abs(result.chance - 0.25) < 0.03 and result.p == pytest.approx(1 / 61)
    useless = permutation_score(lambda y: score(y) * 0 + accuracy(rng.permutation(y), y), labels, permutations=60)
    assert useless.p > 0.01


def test_groups_are_permuted_whole():
    groups, labels = np.repeat(np.arange(10), 4), np.repeat(np.arange(10) % 2, 4)
    together = []
    permutation_score(lambda y: together.append(all(len(set(y[groups == g])) == 1 for g in range(10))) or 0.0, labels,
                      groups=groups, permutations=20)  # fmt: skip
    assert all(together)
    with pytest.raises(ValueError, match="labels differ within a group"):
        permutation_score(lambda y: 0.0, np.arange(40), groups=groups)


def test_a_network_decodes_what_no_line_can_and_is_seeded():
    x = rng.standard_normal((600, 2))
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    first, second = (NetworkDecoder((32,), epochs=30).fit(x[:400], labels[:400]).classify(x[400:]) for _ in range(2))
    assert (first == second).all()
    assert accuracy(first, labels[400:]) > 0.9
    assert accuracy(ridge_classifier(x[:400], labels[:400]).classify(x[400:]), labels[400:]) < 0.65


def test_alignment_undoes_a_rotation_between_animals():
    latent = rng.standard_normal((8, 4))
    labels = np.tile(np.arange(8), 20)
    noise = 0.05
    one = latent[labels] @ np.linalg.qr(rng.standard_normal((30, 4)))[0].T + noise * rng.standard_normal((160, 30))
    axes = np.linalg.qr(rng.standard_normal((40, 4)))[0].T
    two = 3 * latent[labels] @ axes + noise * rng.standard_normal((160, 40))
    to_one, components = align(two[:80], labels[:80], one, labels, k=4)
    decoder = ridge_classifier(components.project(one), labels)
    within = accuracy(decoder.classify(components.project(one)), labels)
    assert accuracy(decoder.classify(to_one(two[80:])), labels[80:]) >= within - 0.02 > 0.5
    wrong, components = align(two[:80], (labels[:80] + 3) % 8, one, labels, k=4)
    assert accuracy(decoder.classify(wrong(two[80:])), labels[80:]) < 0.3
    with pytest.raises(ValueError, match="0 labels are common"):
        align(two, labels + 10, one, labels)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tuning_curves([[1], [2]], [1.0], 10.0), "expected \\(T, N\\) and \\(T,\\)"),
        (lambda: tuning_curves([[1], [2]], [np.nan, np.nan], 10.0), "no finite value"),
        (lambda: ridge([[1.0], [np.nan]], [1.0, 2.0]), "x holds nan in row 1, column 0"),
        (lambda: ridge([[1.0], [2.0]], [1.0, np.nan]), "expected finite values"),
        (lambda: ridge_classifier([[1.0], [2.0]], [1, 1]), "1 class; expected at least two"),
        (lambda: NetworkDecoder().classify([[1.0]]), "expected fit"),
        (lambda: accuracy([], []), "expected one of each"),
        (lambda: posterior([[1, 2]], tuning_curves([[1], [2]], [0.0, 1.0], 10.0), 10.0), "the curves' neurons"),
        (lambda: posterior([[-1]], tuning_curves([[1], [2]], [0.0, 1.0], 10.0), 10.0), "negative values"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
