"""Worms made alike, their wiring, and forecasts, on planted data."""

import numpy as np
import pytest

from ranvier.recordings import (
    Connectome,
    Neurons,
    Session,
    Signal,
    built_in_wiring,
    canonical_names,
    consensus,
    fit_forecast,
    homogenise,
    identified,
    shuffled_graph,
    skill,
    suspect,
    wiring_of,
)  # fmt: skip

NAMES = canonical_names()
rng = np.random.default_rng(3)


def latent(samples=4000, size=40, dt=100.0):
    """Slow activity of `size` neurons, sampled every dt ms."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(rng.standard_normal((samples, size)), 60, axis=0) * 20, np.arange(samples) * dt


def lab(x, t, step, order, gain, noise=0.02):
    """One laboratory's recording: its own rate, order, gain and offset."""
    at = np.arange(0, t[-1], step)
    values = np.column_stack([np.interp(at, t, column) for column in x.T])[:, order]
    values = gain * values + 7 + noise * gain * rng.standard_normal(values.shape)
    return Session(activity=Signal(at, values), neurons=Neurons([NAMES[k] for k in order], np.full(len(order), 4.0)))


def test_three_laboratories_agree_after_it_and_not_before():
    x, t = latent()
    labs = [lab(x, t, step, rng.permutation(40), gain) for step, gain in ((600.0, 1.0), (250.0, 40.0), (480.0, 0.3))]
    alike = [homogenise(s) for s in labs]
    assert all(s.n_neurons == 302 and s.neurons.names == NAMES for s in alike)
    n = min(len(s.activity) for s in alike)
    after = [s.activity.read(slice(200, n))[:, :40] for s in alike]
    for a, b in ((0, 1), (1, 2)):
        assert np.nanmean([np.corrcoef(p, q)[0, 1] for p, q in zip(after[a].T, after[b].T)]) >= 0.95
    raw = [s.activity.read()[:600, 0] for s in labs]
    assert abs(np.corrcoef(raw[0], raw[1])[0, 1]) < 0.5
    assert np.isnan(after[0]).sum() == 0 and np.isnan(alike[0].activity.read()[:, 40:]).all()


def test_the_past_does_not_know_the_future():
    x, t = latent(1500)
    session = lab(x, t, 600.0, np.arange(40), 1.0)
    changed = session.activity.read()
    changed[150:] += 100.0
    other = Session(activity=Signal(session.activity.times, changed), neurons=session.neurons)
    a, b = (homogenise(s).activity for s in (session, other))
    before = a.times < session.activity.times[149]
    np.testing.assert_array_equal(a.read()[before], b.read()[before])
    assert before.sum() > 200 and not np.array_equal(a.read(), b.read(), equal_nan=True)


def test_labels_in_doubt_are_left_out_and_said():
    neurons = Neurons(("AVAL", "AVAL", "AVAR", "SIBV?", "", "HSN3", "RIML", "RIML", "RIS"), [4, 3, 2, 5, 5, 5, 3, 3, 1])
    places, notes = identified(neurons, least_confidence=1.5)
    assert {NAMES[k]: v for k, v in places.items()} == {"AVAL": 0, "AVAR": 2}
    assert set(notes) == {
        "3 traces of a label given twice", "1 traces in doubt", "1 traces without a label", "1 traces not canonical",
        "1 traces of too little confidence",
    }  # fmt: skip


def test_interpolated_stuck_and_missing_traces_are_caught():
    x = rng.standard_normal((400, 5)).cumsum(0)
    x[100:140, 1] = np.linspace(x[100, 1], x[139, 1], 40)
    x[200:240, 2] = np.nan
    x[300:340, 3] = x[300, 3]
    x[50:60, 4] = np.nan  # a short hole
    assert suspect(x).tolist() == [False, True, True, True, False]
    assert suspect(x.astype(np.float32)).tolist() == [False, True, True, True, False]


def test_the_built_in_wiring_is_joined_by_name():
    wiring = built_in_wiring()
    assert wiring.chemical.shape == (302, 302) and (wiring.electrical == wiring.electrical.T).all()
    from ranvier.data import celegans

    chemical = celegans().chemical
    own = chemical.sources == chemical.targets  # of a cell with itself: left out
    assert wiring.chemical.sum() == pytest.approx(float(chemical.weights[~own].sum()))
    k = 17
    s, t = (NAMES.index(chemical.names[int(i[k])]) for i in (chemical.sources, chemical.targets))
    assert wiring.chemical[t, s] == float(chemical.weights[k])
    for shares in wiring.normalised():
        assert set(np.round(shares.sum(1), 9).tolist()) <= {0.0, 1.0}


def test_consensus_averages_direction_by_direction():
    edges = [("AVAL", "AVAR", 4.0), ("AVAL", "RIS", 2.0), ("AVAL", "MUSCLE", 9.0)]
    a = wiring_of(edges, electrical=[False, True, False])
    edges = [("AVAL", "AVAR", 10.0), ("AVAR", "AVAL", 10.0), ("RIS", "AVAL", 6.0)]
    b = wiring_of(edges, electrical=[False, False, True])
    both = consensus([a, b])
    i, j, r = (NAMES.index(n) for n in ("AVAL", "AVAR", "RIS"))
    assert both.chemical[j, i] == pytest.approx((12 + 6) / 2) and both.chemical[i, j] == pytest.approx(3.0)
    assert both.electrical[i, r] == both.electrical[r, i] == pytest.approx(4.0) and both.count == 2
    measured = np.full((302, 302), np.nan)
    measured[0, 1] = 2.0
    joined = consensus([a, Connectome(b.chemical, b.electrical, measured)])
    assert joined.functional[0, 1] == 2.0 and np.isnan(joined.functional[1, 0])
    with pytest.raises(ValueError, match="no edge joins two canonical neurons"):
        wiring_of([("x", "y", 1.0)], electrical=[False])


def test_the_true_graph_forecasts_held_out_worms_better_than_a_shuffled_one():
    size = 60
    graph = (rng.random((size, size)) < 0.08) * rng.random((size, size))
    shares = graph / np.maximum(graph.sum(1, keepdims=True), 1e-12)
    worms = []
    for _ in range(4):
        x = np.zeros((900, size))
        for k in range(1, 900):
            x[k] = 0.9 * x[k - 1] + 0.09 * shares @ x[k - 1] + 0.3 * rng.standard_normal(size)
        x[:, rng.choice(size, 15, replace=False)] = np.nan  # not recorded in this one
        worms.append(x)
    scores = {}
    for name, g in (("true", shares), ("shuffled", shuffled_graph(shares, 1)), ("none", None)):
        law = fit_forecast(worms[:3], () if g is None else (g,), steps=1, lag=1)
        scores[name] = skill(law(worms[3]), worms[3], 1)
    assert scores["true"] > scores["shuffled"] + 0.001 and scores["none"] > 0.02  # persistence is 0
    assert skill(worms[3], worms[3], 1) == 0.0
    law = fit_forecast(worms[:3], (shares,), steps=1, lag=1)
    assert law.weight[0] == pytest.approx(-0.1, abs=0.02) and law.weight[2] == pytest.approx(0.09, abs=0.04)
    with pytest.raises(ValueError, match="no sample with its future"):
        fit_forecast([np.full((5, size), np.nan)], (shares,))
