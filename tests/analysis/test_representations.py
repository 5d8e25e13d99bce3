"""Measures of likeness against one-line oracles and planted truths."""

import numpy as np
import pytest
from scipy import stats

from ranvier.analysis import comparison as c
from ranvier.analysis import encoding as e

rng = np.random.default_rng(8)
X, Y = rng.standard_normal((30, 12)), rng.standard_normal((30, 50))
ROTATION = np.linalg.qr(rng.standard_normal((12, 12)))[0]


def test_measures_are_those_of_one_liners():
    np.testing.assert_allclose(c.similarity_matrix(X), np.corrcoef(X), atol=1e-12)
    upper = np.triu_indices(30, 1)
    assert c.ssm(X, Y) == pytest.approx(stats.spearmanr(np.corrcoef(X)[upper], np.corrcoef(Y)[upper])[0])
    a, b = X - X.mean(0), Y - Y.mean(0)
    expected = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert c.cka(X, Y) == pytest.approx(expected) == pytest.approx(c.cka(Y, X))
    d = stats.spearmanr(*(((x[:, None] - x) ** 2).sum(2)[upper] for x in (X, Y)))[0]
    assert c.rsa(X, Y, metric="euclidean") == pytest.approx(d)
    q, r = (np.linalg.qr(x - x.mean(0))[0] for x in (X, X[:, :5] + 0.5 * Y[:, :5]))
    assert c.svcca(X, X[:, :5] + 0.5 * Y[:, :5], share=1.0) == pytest.approx(np.linalg.svd(q.T @ r)[1].mean())


@pytest.mark.parametrize("measure", [c.cka, c.svcca, lambda a, b: c.rsa(a, b, metric="euclidean")])
def test_rotation_scale_and_shift_change_nothing(measure):
    moved = 3.0 * X @ ROTATION + rng.standard_normal(12)
    assert measure(X, moved) == pytest.approx(1.0, abs=1e-9)
    assert measure(X, Y[:, :6]) < 0.9


@pytest.mark.parametrize("columns", [5, 400])
def test_the_unbiased_alignment_of_unrelated_responses_is_zero(columns):
    values = [c.cka(*rng.standard_normal((2, 20, columns)), unbiased=True) for _ in range(40)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(40)
    plain = np.mean([c.cka(*rng.standard_normal((2, 20, columns))) for _ in range(5)])
    assert (plain > 0.5) == (columns == 400)  # the plain one takes many neurons for likeness
    assert c.cka(X, X @ ROTATION, unbiased=True) == pytest.approx(1.0)


def test_the_layer_that_neurons_were_drawn_from_is_found():
    layers = [rng.standard_normal((60, 40))]
    for _ in range(5):
        layers.append(np.maximum(layers[-1] @ rng.standard_normal((40, 40)) / 4, 0.0))
    right = 0
    for truth in range(6):
        neurons = layers[truth] @ rng.standard_normal((40, 200)) + 0.3 * rng.standard_normal((60, 200))
        depth = c.pseudo_depth(neurons, layers, c.cka)
        right += abs(depth.layer - truth) <= 1
        assert depth.depth == depth.layer / 5 and depth.scores.shape == (6,)
    assert right >= 5


def test_ceiling_rises_with_repeats_and_bootstrap_spreads_as_resampling_does():
    signal = rng.standard_normal((40, 30))
    few, many = (c.noise_ceiling(signal + 2 * rng.standard_normal((n, 40, 30)), splits=5)[0] for n in (4, 40))
    assert 0 < few < many < 1
    one = signal[:, :15] + 0.5 * rng.standard_normal((40, 15))
    neurons = c.bootstrap(one, signal, c.cka, draws=60)
    fresh = [c.cka(signal[:, rng.integers(0, 15, 15)] + 0.5 * rng.standard_normal((40, 15)), signal) for _ in range(60)]
    assert 0.4 < neurons.std() / np.std(fresh) < 2.5
    assert c.bootstrap(one, signal, over="stimuli", draws=5).shape == (5,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: c.ssm(X, Y[:5]), "one has 30 stimuli, other 5"),
        (lambda: c.ssm(np.ones((5, 3)), Y[:5]), "all neurons respond alike to stimulus 0"),
        (lambda: c.cka(np.ones((5, 3)), Y[:5]), "the same to all stimuli"),
        (lambda: c.cka(np.full((5, 3), np.nan), Y[:5]), "holds nan"),
        (lambda: c.rsa(X, X, metric="x"), "metric is 'x'"),
        (lambda: c.noise_ceiling(X), "at least two repeats"),
        (lambda: c.pseudo_depth(X, [X]), "expected at least two"),
        (lambda: e.challenge_score(X, X, [1.0]), "ceiling has shape"),
        (lambda: e.noise_ceiling_share([1.0], 0, 0, 0), "not all 0"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def planted(noise_ratio=1.0, stimuli=1200, vertices=60):
    features = rng.standard_normal((stimuli, 20))
    signal = features @ rng.standard_normal((20, vertices))
    signal /= signal.std(0)
    s = np.full(vertices, noise_ratio)
    actual = signal + rng.standard_normal((3, stimuli, vertices)).mean(0) / s
    return features, signal, actual, e.noise_ceiling_share(s)


def test_a_perfect_model_scores_one_hundred_and_a_shuffled_one_nothing():
    features, signal, actual, ceiling = planted()
    assert ceiling[0] == pytest.approx(1 / (1 + 1 / 3))
    assert e.challenge_score(signal, actual, ceiling) == pytest.approx(100.0, abs=3.0)
    encoder = e.fit_encoder(features[:900], actual[:900], k=20)
    assert e.challenge_score(encoder(features[900:]), actual[900:], ceiling) == pytest.approx(98.0, abs=5.0)
    assert e.challenge_score(encoder(features[900:])[::-1], actual[900:], ceiling) < 2.0
    assert e.challenge_score(-signal, actual, ceiling) == 0.0
    assert e.challenge_score(signal, signal, ceiling) == 100.0  # capped
    assert e.noise_ceiling_share(0.5, 10, 20, 30) == pytest.approx(0.25 / (0.25 + (10 + 10 + 10) / 60))


def test_the_right_layer_wins_and_ridge_is_scikit_learns():
    features, _, actual, ceiling = planted()
    wrong = np.tanh(features @ rng.standard_normal((20, 5)))
    scores = e.search_layers({"wrong": wrong, "right": features}, actual, ceiling, k=20)
    assert list(scores) == ["right", "wrong"] and scores["right"] > scores["wrong"] + 20
    np.testing.assert_allclose(
        e.correlations(features[:, :3], actual[:, :3]),
        [np.corrcoef(features[:, k], actual[:, k])[0, 1] for k in range(3)], rtol=1e-9,
    )  # fmt: skip
