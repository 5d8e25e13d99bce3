"""What scikit-learn asks of an estimator, and what a series asks of it beyond that."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import Ridge

from ranvier.reservoirs import ESN, NGRC, ReservoirClassifier, lorenz63

MODELS = {
    "NGRC": NGRC(2, 2, difference=True),
    "ESN": ESN(60, leak=0.5, input_scaling=0.02, bias_scaling=0.3, washout=20, difference=True, random_state=3),
}


X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, 0]


def spoiled(array, value):
    return np.where(np.arange(array.size).reshape(array.shape) == 7, value, array)


REFUSED = {
    "nan": lambda m: m.fit(spoiled(X, np.nan), Y),
    "inf": lambda m: m.fit(spoiled(X, np.inf), Y),
    "one dimension": lambda m: m.fit(Y, Y),
    "a number": lambda m: m.fit(3.0, Y),
    "no rows": lambda m: m.fit(X[:0], Y[:0]),
    "no columns": lambda m: m.fit(X[:, :0], Y),
    "complex": lambda m: m.fit(X * 1j, Y),
    "words": lambda m: m.fit(np.full((40, 3), "a"), Y),
    "other length of y": lambda m: m.fit(X, Y[:-1]),
    "nan in y": lambda m: m.fit(X, spoiled(Y, np.nan)),
    "words in y": lambda m: m.fit(X, np.full(40, "a")),
    "no y": lambda m: m.fit(X, None),
    "y of three dimensions": lambda m: m.fit(X, np.zeros((40, 2, 2))),
    "not fitted": lambda m: m.predict(X),
    "other columns": lambda m: m.fit(X, Y).predict(X[:, :2]),
    "nan afterwards": lambda m: m.fit(X, Y).predict(spoiled(X, np.nan)),
    "score of another length": lambda m: m.fit(X, Y).score(X, Y[:-1]),
    "sparse": lambda m: m.fit(csr_matrix(X), Y),
}


@pytest.mark.parametrize("ours", [ESN(20), NGRC()], ids=["ESN", "NGRC"])
@pytest.mark.parametrize("case", REFUSED)
def test_refuses_in_the_words_of_scikit_learn(case, ours):
    theirs = GaussianProcessRegressor() if case == "sparse" else Ridge()
    words = []
    for model in (theirs, clone(ours)):
        with pytest.raises((ValueError, TypeError)) as refusal:
            REFUSED[case](model)
        words.append((type(refusal.value), str(refusal.value).replace(type(model).__name__, "<model>")))
    assert words[0] == words[1]


@pytest.fixture(scope="module")
def series():
    return lorenz63(700, seed=1, warm_up=10.0)


@pytest.mark.parametrize("name", MODELS)
def test_online_is_batch(name, series):
    x, y = series[:-1], series[1:]
    batch = MODELS[name].fit(x, y).coef_.copy()
    model = MODELS[name].__class__(**MODELS[name].get_params())
    for rows in (slice(0, 300), slice(300, 301), slice(301, 699)):
        model.partial_fit(x[rows], y[rows])
    np.testing.assert_allclose(model.coef_, batch, rtol=1e-5, atol=1e-7 * np.abs(batch).max())


@pytest.mark.parametrize("name", MODELS)
def test_history_is_what_came_before(name, series):
    model = MODELS[name].fit(series[:-1], series[1:])
    whole = model.predict(series)
    np.testing.assert_allclose(model.predict(series[300:], history=series[:300]), whole[300:], rtol=1e-9)
    assert np.abs(model.predict(series[300:])[:1] - whole[300:301]).max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::ranvier.reservoirs.DivergenceWarning")
def test_forecast_is_prediction_fed_back(name, series):
    model = MODELS[name].fit(series[:-1], series[1:])
    ahead = model.forecast(6, series)
    rows = series
    for step in range(6):
        following = model.predict(rows)[-1:]
        np.testing.assert_allclose(ahead[step : step + 1], following, rtol=1e-7)
        rows = np.concatenate([rows, following])


@pytest.mark.parametrize("name", MODELS)
def test_forgetting_follows_a_change(name):
    """y = 2x, then y = -x: who forgets gives the second."""
    x = np.random.default_rng(5).normal(size=(2000, 1))
    y = np.where(np.arange(2000) < 1000, 2 * x[:, 0], -x[:, 0])
    new = np.random.default_rng(6).normal(size=(300, 1))
    error = {}
    for forget in (1.0, 0.98):
        model = MODELS[name].__class__(**MODELS[name].get_params()).set_params(forget=forget, difference=False)
        for first in range(0, 2000, 100):
            model.partial_fit(x[first : first + 100], y[first : first + 100])
        error[forget] = np.abs(model.predict(new) + new[:, 0])[30:].mean()
    assert error[0.98] < 0.05 < 1.0 < error[1.0]


def test_refusals(series):
    with pytest.raises(ValueError, match=r"y has 1 columns for X with 3; expected as many: difference"):
        NGRC(difference=True).fit(series, series[:, 0])
    with pytest.raises(ValueError, match=r"n_samples=4; expected more than the 5 rows"):
        NGRC(6).fit(series[:4], series[:4])
    with pytest.raises(ValueError, match="'ridge' parameter of NGRC must be"):
        NGRC(ridge=-1.0).fit(series, series)
    with pytest.raises(ValueError, match=r"orders is \(0,\)"):
        NGRC(orders=(0,)).fit(series, series)
    with pytest.raises(ValueError, match="1 outputs for 3 inputs"):
        NGRC().fit(series, series[:, 0]).forecast(3, series)
    with pytest.raises(ValueError, match="2 rows of history; expected more than 2"):
        NGRC(3).fit(series[:-1], series[1:]).forecast(3, series[:2])
    with pytest.raises(ValueError, match="y has 1 columns; expected 3 as before"):
        NGRC().fit(series, series).partial_fit(series, series[:, 0])


def test_a_fit_that_was_refused_leaves_nothing_fitted():
    """Parts of it may be set by then."""
    x = np.tile([[1.0, 2.0]], (30, 1))  # features that depend on each other
    model = NGRC(ridge=0.0)
    with pytest.raises(ValueError, match="linearly dependent features"):
        model.fit(x[:-1], x[1:])
    sequences = ReservoirClassifier(10, ridge=-1.0)
    with pytest.raises(ValueError, match="ridge"):
        sequences.fit([x, x], [0, 1])
    one = ReservoirClassifier(10)
    with pytest.raises(ValueError, match="one class"):
        one.fit([x, x], [0, 0])
    for answer in (
        lambda: model.predict(x), lambda: model.forecast(3, x), lambda: model.score(x[:-1], x[1:]),
        lambda: sequences.predict([x]), lambda: one.predict([x]),
    ):  # fmt: skip
        with pytest.raises(NotFittedError):
            answer()
