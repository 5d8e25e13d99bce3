"""Several series, weights of rows, carried states, given matrices, feedback and what learns online: against plain loops
and closed forms."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.pipeline import FeatureUnion, make_pipeline

from ranvier.reservoirs import (
    ESN,
    NGRC,
    DivergenceWarning,
    IntrinsicPlasticity,
    ReservoirClassifier,
    ReservoirTransformer,
    lorenz63,
    valid_time,
)

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=(n, 2)) for n in (60, 45, 70))
YA, YB, YC = (np.cumsum(x, 0)[:, :1] * 0.1 + x[:, 1:] for x in (A, B, C))
SETTINGS = {"connectivity": 0.3, "leak": 0.6, "bias_scaling": 0.2, "random_state": 0}
MODELS = {"ESN": ESN(25, washout=5, **SETTINGS), "NGRC": NGRC(3)}


def states(W, inputs, bias, leak, x, r=None):
    """The reservoir's run, by a plain loop."""
    r, rows = np.zeros(len(bias)) if r is None else r, []
    for u in x:
        r = (1 - leak) * r + leak * np.tanh(W @ r + inputs @ u + bias)
        rows.append(r)
    return np.array(rows)


def ridge(F, Y, strength, weight=None):
    """Normal equations in long doubles' stead: by least squares with the ridge as rows."""
    scale = np.ones(len(F)) if weight is None else np.sqrt(weight)
    rows = np.vstack([F * scale[:, None], np.sqrt(strength) * np.eye(F.shape[1])])
    return np.linalg.lstsq(rows, np.vstack([Y * scale[:, None], np.zeros((F.shape[1], Y.shape[1]))]), rcond=None)[0].T


@pytest.mark.parametrize("name", MODELS)
def test_several_series_are_their_rows_after_each_warm_up(name):
    model = MODELS[name].fit([A, B, C], [YA, YB, YC])
    skip = model._warm_up()
    F = np.vstack([model.features(x)[skip:] for x in (A, B, C)])
    expected = ridge(F, np.vstack([y[skip:] for y in (YA, YB, YC)]), model.ridge)
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-6, atol=1e-7)
    each = model.predict([A, B])
    np.testing.assert_array_equal(each[1], model.predict(B))
    cube = model.fit(np.stack([A[:40], B[:40]]), np.stack([YA[:40], YB[:40]]))
    assert cube.predict(np.stack([A[:40], B[:40], C[:40]])).shape == (3, 40, 1)


@pytest.mark.parametrize("name", MODELS)
def test_borders_between_series_hold_in_partial_fit(name):
    whole = MODELS[name].fit([A, B, C], [YA, YB, YC]).coef_.copy()
    parts = MODELS[name].__class__(**MODELS[name].get_params())
    parts.partial_fit(A[:2], YA[:2])  # fewer than the memory takes
    parts.partial_fit(A[2:30], YA[2:30]).partial_fit(A[30:], YA[30:]).partial_fit(B, YB, new_series=True).partial_fit(
        [C], [YC]
    )
    np.testing.assert_allclose(parts.coef_, whole, rtol=1e-6, atol=1e-8)
    joined = MODELS[name].__class__(**MODELS[name].get_params()).fit(np.vstack([A, B, C]), np.vstack([YA, YB, YC]))
    assert np.abs(joined.coef_ - whole).max() > 1e-3  # the borders matter


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_rows(name):
    weight = RNG.uniform(0, 2, len(A))
    model = MODELS[name].fit(A, YA, sample_weight=weight)
    skip = model._warm_up()
    expected = ridge(model.features(A)[skip:], YA[skip:], model.ridge, weight[skip:])
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="sample_weight is of 1 series; expected 2"):
        MODELS[name].fit([A, B], [YA, YB], sample_weight=[weight])


@pytest.mark.parametrize("name", MODELS)
def test_a_state_is_carried(name):
    model = MODELS[name].fit(A, YA)
    first, state = model.predict(C[:30], return_state=True)
    rest = model.predict(C[30:], state=state)
    np.testing.assert_allclose(np.vstack([first, rest]), model.predict(C), rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="both given"):
        model.predict(C, state=state, history=A)


def test_a_score_leaves_the_washout_out():
    model = ESN(25, washout=20, **SETTINGS).fit(A, YA)
    y, prediction = YC[20:], model.predict(C)[20:]
    assert model.score(C, YC) == pytest.approx(1 - ((y - prediction) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert model.score([C, B[:10]], [YC, YB[:10]]) == pytest.approx(model.score(C, YC))
    with pytest.raises(ValueError, match="no series of more than 20 rows"):
        model.score(C[:20], YC[:20])


@pytest.mark.parametrize("make", [np.asarray, csr_matrix])
def test_a_given_matrix(make):
    W = np.where(RNG.uniform(size=(30, 30)) < 0.2, RNG.normal(size=(30, 30)), 0)
    model = ESN(W=make(W), spectral_radius=None, leak=0.7, bias_scaling=0.3, random_state=1).fit(A, YA)
    weights = model.reservoir_
    np.testing.assert_array_equal(model.W_.toarray(), W)
    expected = states(W, weights.inputs, weights.bias, 0.7, A)
    np.testing.assert_allclose(model.features(A)[:, :30], expected, rtol=1e-12, atol=1e-13)
    scaled = ESN(W=make(W), spectral_radius=0.5, random_state=1).fit(A, YA).W_.toarray()
    assert np.abs(np.linalg.eigvals(scaled)).max() == pytest.approx(0.5)
    np.testing.assert_allclose(scaled / scaled.max(), W / W.max(), atol=1e-12)
    with pytest.raises(ValueError, match=r"W is of shape \(30, 29\)"):
        ESN(W=W[:, :29]).fit(A, YA)
    with pytest.raises(ValueError, match="no cycles"):
        ESN(W=np.triu(np.ones((5, 5)), 1)).fit(A, YA)


def test_feedback_is_taught_and_then_heard():
    model = ESN(30, feedback_scaling=0.5, washout=3, ridge=1e-3, **SETTINGS).fit(A, YA)
    weights, W = model.reservoir_, model.W_.toarray()
    taught = states(W, weights.inputs, weights.bias, 0.6, np.hstack([A, np.vstack([[[0.0]], YA[:-1]])]))
    F = np.hstack([taught, np.ones((len(A), 1)), A])
    np.testing.assert_allclose(model.coef_, ridge(F[3:], YA[3:], 1e-3), rtol=1e-8, atol=1e-10)
    r, y, rows = np.zeros(30), np.zeros(1), []
    for x in C:
        r = states(W, weights.inputs, weights.bias, 0.6, [np.concatenate([x, y])], r)[0]
        y = model.coef_ @ np.concatenate([r, [1.0], x])
        rows.append(y)
    np.testing.assert_allclose(model.predict(C), rows, rtol=1e-9, atol=1e-10)
    _, state = model.predict(C[:30], return_state=True)
    np.testing.assert_allclose(model.predict(C[30:], state=state), rows[30:], rtol=1e-9, atol=1e-10)


def test_force_without_feedback_is_ridge_regression():
    """Recursive least squares from P = 1/ridge ends at the ridge regression's readout."""
    kind, weight = {"ridge": 1.0, "washout": 4, **SETTINGS}, RNG.uniform(0.1, 2, len(A))
    online, batch = (ESN(30, learning=how, **kind).fit(A, YA, weight) for how in ("force", "ridge"))
    np.testing.assert_allclose(online.coef_, batch.coef_, rtol=1e-7, atol=1e-9)
    online.partial_fit(B, YB, new_series=True)
    np.testing.assert_allclose(online.coef_, batch.partial_fit(B, YB, new_series=True).coef_, rtol=1e-7, atol=1e-9)


def test_force_against_a_plain_loop():
    model = ESN(20, learning="force", feedback_scaling=1.0, ridge=1.0, direct=False, **SETTINGS).fit(A, YA)
    weights, W = model.reservoir_, model.W_.toarray()
    P, w, r, z = np.eye(20), np.zeros((1, 20)), np.zeros(20), np.zeros(1)
    for x, y in zip(A, YA, strict=True):
        r = states(W, weights.inputs, weights.bias, 0.6, [np.concatenate([x, z])], r)[0]
        z = w @ r
        gain = P @ r / (1 + r @ P @ r)
        P = P - np.outer(gain, P @ r)
        w = w - np.outer(z - y, gain)
    np.testing.assert_allclose(model.coef_, w, rtol=1e-7, atol=1e-9)
    with pytest.raises(ValueError, match="learning='force' with ridge=0"):
        ESN(20, learning="force", ridge=0).fit(A, YA)


def test_force_makes_a_rhythm_of_its_own():
    """Sussillo & Abbott (2009): chaos before (g = 1.5), the taught wave after, with no input but the output."""
    t = np.arange(3120)
    wave = (np.sin(2 * np.pi * t / 60) + 0.5 * np.sin(2 * np.pi * t / 30))[:, None]
    silence = np.zeros((3000, 1))
    model = ESN(
        200, spectral_radius=1.5, leak=0.1, feedback_scaling=1.0, bias_scaling=0.1, learning="force", ridge=1.0,
        direct=False, random_state=0,
    ).fit(silence, wave[:3000])  # fmt: skip
    rows = model.predict(silence[:120], state=model._memory)  # where learning ended
    assert np.corrcoef(rows[:, 0], wave[3000:, 0])[0, 1] > 0.98 and np.abs(rows - wave[3000:]).max() < 0.4


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.2), (0.2, 0.1)])
def test_intrinsic_plasticity_reaches_its_law(mean, deviation):
    """Mean and deviation of the activity, over units of a reservoir that hears noise."""
    x = np.random.default_rng(3).normal(size=(2000, 1))
    target = IntrinsicPlasticity(mean, deviation, rate=3e-4, epochs=40)
    kind = {"units": 50, "input_scaling": 1.0, "random_state": 0}
    before, after = (ReservoirTransformer(**kind, plasticity=p).fit(x).transform(x)[200:] for p in (None, target))
    assert abs(after.mean(0) - mean).max() < 0.05 and abs(after.std(0) - deviation).max() < 0.05
    assert abs(before.std(0) - deviation).max() > 0.1


def test_deep_and_parallel_reservoirs():
    one, two = (ReservoirTransformer(n, random_state=n) for n in (12, 9))
    deep = make_pipeline(one, two, NGRC(1, 1, (1,)))
    deep.fit([A, B], [YA, YB])
    inner = two.fit(one.fit(A).transform(A)).transform(one.transform(A))
    np.testing.assert_allclose(deep.predict(A), NGRC(1, 1, (1,)).fit(
        [inner, two.transform(one.transform(B))], [YA, YB]).predict(inner), rtol=1e-7, atol=1e-9)  # fmt: skip
    wide = FeatureUnion([("a", one), ("b", two)])
    both = wide.fit_transform(A)
    assert both.shape == (60, 21)
    np.testing.assert_array_equal(both[:, 12:], two.fit(A).transform(A))
    assert list(two.get_feature_names_out()[:2]) == ["reservoirtransformer0", "reservoirtransformer1"]


@pytest.mark.filterwarnings("error")
def test_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(lorenz63(300, rough=True), columns=list("xyz"))
    model = NGRC(2, difference=True, ridge=1e-3).fit(frame[:-1], frame[1:])
    model.predict(frame[10:], history=frame[:10])
    model.forecast(5, frame)
    table = ReservoirTransformer(5, random_state=0).set_output(transform="pandas").fit(frame).transform(frame)
    assert list(table.columns) == [f"reservoirtransformer{k}" for k in range(5)]
    with pytest.raises(ValueError, match=r"2 series, and set_output.*expected one"):
        ReservoirTransformer(5).set_output(transform="pandas").fit_transform([A, B])


def test_sequences_are_told_apart():
    """Sines of two frequencies with random phases and noise; labels at random are not learned."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 120)
    phase, t = rng.uniform(0, 2 * np.pi, (120, 1)), np.arange(80)
    X = np.sin(2 * np.pi * t / np.where(label == 0, 20, 13)[:, None] + phase) + 0.1 * rng.normal(size=(120, 80))
    names = np.array(["slow", "fast"])[label]
    for form in (X, X[..., None], [x[: rng.integers(60, 81), None] for x in X]):
        model = ReservoirClassifier(60, random_state=0).fit(form[:80], names[:80])
        assert model.score(form[80:], names[80:]) > 0.95
        assert model.decision_function(form[80:]).shape == (40,)
    shuffled = rng.permutation(names)
    assert ReservoirClassifier(60, random_state=0).fit(X[:80], shuffled[:80]).score(X[80:], shuffled[80:]) < 0.75
    pooled = np.array([ReservoirTransformer(60, leak=0.3, bias_scaling=0.2, random_state=0).fit(X[:1].T).transform(
        x[:, None]).mean(0) for x in X])  # fmt: skip
    centred = pooled[:80] - pooled[:80].mean(0)
    goal = np.where(names[:80] == "slow", 1.0, -1.0)[:, None]
    model = ReservoirClassifier(60, random_state=0).fit(X[:80], names[:80])
    np.testing.assert_allclose(model.coef_[1:], ridge(centred, goal - goal.mean(), 1e-3), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("rough", "delays", "orders", "least"), [(True, 2, (2,), 2.0), (False, 1, (2, 3, 4), 5.0)])
def test_the_settings_of_the_docstring_forecast(rough, delays, orders, least):
    """In Lyapunov times, the median of five series; bounded for ten of them."""
    times = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DivergenceWarning)
        for seed in range(5):
            rows = 400 if rough else 1000
            series = lorenz63(rows + 440, 0.025, seed=seed, rough=rough)
            model = NGRC(delays, 1, orders, ridge=2.5e-6, difference=True).fit(series[: rows - 1], series[1:rows])
            ahead = model.forecast(440, series[:rows])
            times.append(valid_time(series[rows:], ahead, dt=0.025 / 1.1))
    assert np.median(times) > least


def test_a_forecast_that_diverges_says_when():
    series = lorenz63(600, seed=1)
    model = NGRC(2, ridge=2.5e-6, difference=True).fit(series[:-1], series[1:])
    with pytest.warns(DivergenceWarning, match=r"diverged: at step \d+ of 2000"):
        rows = model.forecast(2000, series)
    with pytest.warns(DivergenceWarning) as said:
        model.forecast(2000, series)
    first = int(str(said[0].message).split("step ")[1].split(" ")[0])
    bound = 100 * np.abs(series[1:]).max()
    assert np.abs(rows[:first]).max() <= bound and not np.abs(rows[first]).max() <= bound
