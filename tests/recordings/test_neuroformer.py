"""Tokens against a plain re-derivation; a model that knows nothing of what follows; planted stimuli and couplings."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ranvier.recordings import Session, Signal, hold_out
from ranvier.recordings.coupling import fit_coupled_glm, partial_correlation
from ranvier.recordings.neuroformer import (
    Frames,
    Neuroformer,
    attention_drive,
    attention_map,
    decode_labels,
    events,
    forecast,
    log_likelihood,
    tokenise,
    train_neuroformer,
)

OPTIONS = {"window": 20.0, "past": 40.0, "bin": 5.0}


def noise(seed=0, size=4, duration=2000.0, rate=0.02):
    rng = np.random.default_rng(seed)
    number = rng.poisson(rate * size * duration)
    times = rng.uniform(0.1, duration, number)
    return Session.from_times(times, rng.integers(0, size, number), duration=duration, size=size, dt=0.5)


def model_of(windows, **options):
    torch.manual_seed(0)
    bins, past = round(windows.window / windows.bin), round(windows.past / windows.bin)
    return Neuroformer(windows.size, bins=bins, past_bins=past, width=16, **options)


def test_tokens_are_the_spikes_of_a_window_and_its_past():
    session = noise()
    windows = tokenise(session, **OPTIONS)
    chunks = list(session.spikes.source())
    spikes = sorted((step * 0.5, int(n)) for steps, neurons in chunks for step, n in zip(steps, neurons, strict=True))
    assert len(windows) == (2000 - 40) // 20

    def tokens(low, length):
        return sorted((int(np.ceil((t - low) / 5.0 - 1e-9)) - 1, n) for t, n in spikes if low < t <= low + length)

    for k in range(len(windows)):
        low = 40.0 + 20.0 * k
        ahead, before = tokens(low, 20.0), tokens(low - 40.0, 40.0)
        n = len(ahead)
        assert windows.ids[k, : n + 1].tolist() == [4, *(i for _, i in ahead)]
        assert windows.bins[k, 1 : n + 1].tolist() == [b for b, _ in ahead]
        assert windows.next_ids[k, : n + 1].tolist() == [*(i for _, i in ahead), 4]
        assert windows.next_bins[k, : n + 1].tolist() == [*(b for b, _ in ahead), -1]
        assert (windows.ids[k, n + 1 :] == 5).all() and (windows.next_ids[k, n + 1 :] == -1).all()
        m = len(before)
        assert list(zip(windows.past_bins[k, :m].tolist(), windows.past_ids[k, :m].tolist(), strict=True)) == before
    assert windows.spikes == sum(40.0 < t <= 2000.0 for t, _ in spikes)
    assert float(windows.counts().sum()) == windows.spikes


def test_windows_of_one_stretch_know_nothing_of_another():
    split = hold_out(0.0, 2000.0, share=0.3)
    one = noise(0)
    steps, neurons = next(iter(one.spikes.source()))
    times, late = steps * 0.5, steps * 0.5 > split.test[0, 0]
    rng = np.random.default_rng(1)
    for changed, spans in ((late, split.train), (~late, split.test)):
        other = np.where(changed, rng.integers(0, 4, len(times)), neurons)
        two = Session.from_times(times, other, duration=2000.0, size=4, dt=0.5)
        a, b = (tokenise(s, spans=spans, **OPTIONS) for s in (one, two))
        assert torch.equal(a.ids, b.ids) and torch.equal(a.past_ids, b.past_ids)
    # a planted leak: windows of the whole session, cut by their starts, reach back across the border
    a, b = (tokenise(s, **OPTIONS) for s in (one, Session.from_times(
        times, np.where(late, neurons, 3 - neurons), duration=2000.0, size=4, dt=0.5)))  # fmt: skip
    tested = a.starts >= split.test[0, 0]
    assert not torch.equal(a[tested].past_ids, b[tested].past_ids)


def test_what_is_said_depends_on_nothing_later_and_not_on_padding():
    windows = tokenise(noise(rate=0.05), **OPTIONS)
    model = model_of(windows).eval()
    ids = model(windows).ids
    later = windows[slice(0, None)]
    later.ids[:, 3:] = torch.where(later.ids[:, 3:] < 4, 3 - later.ids[:, 3:], later.ids[:, 3:])
    changed = model(later).ids
    assert torch.allclose(ids[:, :3], changed[:, :3], atol=1e-6)
    assert not torch.allclose(ids[:, 3:], changed[:, 3:], atol=1e-3)
    few = windows[windows.counts().sum(1) <= 2]
    assert few.trimmed().ids.shape[1] < few.ids.shape[1]
    torch.testing.assert_close(log_likelihood(model, few), log_likelihood(model, few.trimmed()), atol=1e-5, rtol=0)


def test_probabilities_of_all_windows_add_up_to_one_less_what_is_out_of_order():
    # two neurons, one bin, at most one spike each: nothing, one, the other, both in their order
    sessions = [Session.from_times([15.0 + k for k in s], list(s), duration=20.0, size=2, dt=1.0)
                for s in ((), (0,), (1,), (0, 1))]  # fmt: skip
    windows = [tokenise(s, window=10.0, past=10.0, bin=10.0) for s in sessions]
    model = model_of(windows[0])
    p = [np.exp(log_likelihood(model, w)).item() for w in windows]
    assert 0 < sum(p) < 1
    output = model.eval()(windows[0])
    by_hand = output.ids[0, 0].log_softmax(0)[2].exp()
    assert abs(p[0] - by_hand.item()) < 1e-6


def stimulated(seed=0, bins=1200):
    """Six neurons; three fire with one feature of the stimulus, three with the other."""
    rng = np.random.default_rng(seed)
    stimulus = np.repeat(rng.random((bins // 2, 2)) < 0.5, 2, 0).astype(float)
    counts = rng.random((bins, 6)) < 0.05 + 0.6 * stimulus[:, [0, 0, 0, 1, 1, 1]]
    session = Session.from_counts(counts.astype(int), bin=10.0)
    return session, Frames(Signal(np.arange(bins) * 10.0, stimulus), 20.0, 2)


@pytest.fixture(scope="module")
def tuned():
    session, frames = stimulated()
    cut = {"window": 20.0, "past": 20.0, "bin": 10.0, "modalities": {"video": frames}}
    labels = {"first": Signal(frames.signal.times, frames.signal.values[:, 0])}
    train = tokenise(session, spans=[[0, 9000]], labels=labels, **cut)
    test = tokenise(session, spans=[[9000, 12000]], labels=labels, **cut)
    model = model_of(train, modalities={"video": (2, 2)}, contrast=8, labels=["first"])
    history = train_neuroformer(model, train, epochs=12, batch=40, rate=8e-3)
    assert history[-1] < history[0]
    return model, test


@pytest.mark.long
def test_forecasts_follow_the_stimulus_and_not_another(tuned):
    model, test = tuned
    actual = test.counts().numpy()
    mean = forecast(model, test, draws=10)
    other = test[slice(0, None)]
    other.modalities["video"] = test.modalities["video"].flip(0)
    wrong = forecast(model, other, draws=10)
    r = [np.corrcoef(x.ravel(), actual.ravel())[0, 1] for x in (mean, wrong)]
    assert r[0] > 0.5 and abs(r[1]) < 0.25  # a perfect forecast has 0.65
    assert abs(mean.sum() / actual.sum() - 1) < 0.15


def test_contrast_brings_windows_and_their_own_stimulus_together(tuned):
    model, test = tuned
    output = model(test)
    likeness = (output.state @ output.contexts["video"].T).detach().numpy()
    kind = test.modalities["video"].flatten(1).numpy() @ [1, 2, 4, 8]
    same = kind[:, None] == kind
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_a_label_is_decoded_from_spikes(tuned):
    model, test = tuned
    decoded = decode_labels(model, test)["first"]
    assert np.corrcoef(decoded, test.labels["first"])[0, 1] > 0.7


def test_missing_labels_count_for_nothing(tuned, float64):
    part = tuned[1][slice(0, 20)]
    part.labels["first"][5:] = torch.nan
    few = part[slice(0, 5)]
    models = [model_of(part, modalities={"video": (2, 2)}, labels=["first"]) for _ in range(2)]
    for m, w in zip(models, (part, few), strict=True):
        train_neuroformer(m, w, epochs=1, batch=20, spikes=0.0)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


def test_any_number_of_modalities_and_a_cost_that_is_linear_in_features():
    session, _ = stimulated()
    rng = np.random.default_rng(0)
    cost = []
    for features in (20, 40, 80):
        frames = {name: Frames(Signal(np.arange(1200) * 10.0, rng.random((1200, features))), 20.0, 2)
                  for name in ("video", "speed", "eyes")}  # fmt: skip
        windows = tokenise(session, window=20.0, past=20.0, bin=10.0, modalities=frames)[slice(0, 10)]
        model = model_of(windows, modalities=dict.fromkeys(frames, (2, features)))
        with FlopCounterMode(display=False) as counter:
            model(windows)
        cost.append(counter.get_total_flops())
    assert cost[2] - cost[1] == 2 * (cost[1] - cost[0]) > 0


@pytest.fixture(scope="module")
def coupled():
    """Neuron 0 makes 1 fire a bin later; the others are alone."""
    rng = np.random.default_rng(0)
    y = np.zeros((3000, 5), int)
    for t in range(3000):
        rate = np.full(5, 0.1)
        rate[1] += 0.8 * y[t - 1, 0] if t else 0.0
        y[t] = rng.random(5) < rate
    return y


@pytest.mark.long
def test_attention_and_couplings_say_who_drives_whom(coupled):
    windows = tokenise(Session.from_counts(coupled, bin=5.0), window=5.0, past=10.0, bin=5.0)
    model = model_of(windows)
    train_neuroformer(model, windows, epochs=3, batch=50, rate=8e-3)
    pairs = ~np.eye(5, dtype=bool)
    edge = np.zeros((5, 5), bool)
    edge[1, 0] = True
    glm = fit_coupled_glm(coupled, lags=(1, 2, 3))
    for drive in (attention_drive(model, windows), glm.drive):
        assert drive[edge].min() > drive[pairs & ~edge].max()
    assert attention_map(model, windows).shape == (5, 5)
    assert (attention_map(model, windows) <= 1).all() and (attention_map(model, windows) >= 0).all()


def test_the_coupled_model_is_scikit_learns_regression(coupled):
    from sklearn.linear_model import PoissonRegressor

    glm = fit_coupled_glm(coupled, lags=(1, 2, 4), penalty=3.0)
    late = coupled[3:]
    x = np.concatenate([coupled[2:-1], coupled[1:-2] + coupled[:-3]], 1)
    for k in range(5):
        oracle = PoissonRegressor(alpha=3.0 / len(x), max_iter=1000, tol=1e-9).fit(x, late[:, k])
        np.testing.assert_allclose(glm.coupling[:, k].ravel(), oracle.coef_, atol=3e-3)
        np.testing.assert_allclose(glm(coupled)[3:, k], oracle.predict(x), rtol=0.02)
    assert np.isnan(glm(coupled)[:3]).all()


def test_partial_correlation_is_that_of_residuals(rng):
    x = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    x -= x.mean(0)
    result = partial_correlation(np.cov(x.T), penalty=0.0)
    for i, j in itertools.combinations(range(4), 2):
        rest = np.delete(x, [i, j], 1)
        a, b = (y - rest @ np.linalg.lstsq(rest, y, rcond=None)[0] for y in (x[:, i], x[:, j]))
        assert abs(result[i, j] - np.corrcoef(a, b)[0, 1]) < 1e-9


def test_events_are_steps_of_activity_and_know_nothing_of_what_follows():
    rng = np.random.default_rng(0)
    values = 0.05 * rng.standard_normal((200, 2))
    values[100:, 0] += 3.0
    values[150:, 1] += 3.0
    session = Session(activity=Signal(np.arange(200) * 100.0, values))
    spiking = events(session, threshold=5.0)
    assert spiking.rates().shape == (2,) and spiking.n_neurons == 2
    (steps, neurons), = spiking.spikes.source()
    places = [(round(s * spiking.dt / 100 - 0.5), int(n)) for s, n in zip(steps, neurons, strict=True)]
    assert places == [(100, 0), (150, 1)]
    values[180:] += 50
    (again, _), = events(Session(activity=Signal(np.arange(200) * 100.0, values)), threshold=5.0).spikes.source()
    assert again[:2].tolist() == steps.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tokenise(noise(), window=7.0, past=10.0, bin=5.0), "whole bins"),
        (lambda: tokenise(noise(), spans=[[0.0, 50.0]], **OPTIONS), "no window"),
        (lambda: tokenise(noise(), spans=[0.0, 50.0], **OPTIONS), "stretches"),
        (lambda: tokenise(Session(activity=Signal([0.0, 1.0], np.zeros((2, 1))))), "events"),
        (lambda: events(noise()), "continuous"),
        (lambda: Neuroformer(3, bins=2, past_bins=2, width=9, heads=2), "multiple of heads"),
        (lambda: model_of(tokenise(noise(), **OPTIONS))(tokenise(noise(size=5), **OPTIONS)), "those of the model"),
        (lambda: model_of(tokenise(noise(), **OPTIONS), modalities={"video": (1, 1)})(tokenise(noise(), **OPTIONS)),
         "no modality 'video'"),
        (lambda: fit_coupled_glm(-np.ones((20, 2))), "from 0"),
        (lambda: fit_coupled_glm(np.ones((20, 2)), lags=(3, 1)), "borders that rise"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "expected" in str(error.value)
