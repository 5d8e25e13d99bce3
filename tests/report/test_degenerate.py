"""Activity without variance: every figure and statistic says so and goes on, without a warning (here an error)."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.traces import StateTrace
from ranvier.report import Comparison, compare, page
from ranvier.report._parts import NOTHING, number

SECONDS, DT = 4, 0.1
STEPS = round(SECONDS * 1000 / DT)


def network(size, connected=False, graded=False):
    net = rv.Network()
    cells = net.add(rv.Graded() if graded else rv.EIF(), size, name="cells", noise=3.0)
    if connected:
        net.connect(cells, cells, weight=1.0, probability=0.5, synapse=rv.Sigmoidal() if graded else rv.Delta())
    return net


def trains(kind, size, rng):
    """(steps, neurons) of a kind of activity."""
    clock = range(50, STEPS + 1, 50)
    every = {"silent": [], "one spike": [[7]], "two spikes": [[7, 20_000]] * size, "clock": [clock] * size}
    if kind in every:
        each = [np.array(list(train), np.int64) for train in every[kind]]
    elif kind == "one active":
        each = [np.sort(rng.choice(np.arange(1, STEPS), 40, replace=False))]
    elif kind == "alike":
        each = [np.sort(rng.choice(np.arange(1, STEPS), 40, replace=False))] * size
    elif kind == "a burst":
        each = [np.arange(1000, 1010) for _ in range(size)]
    else:
        each = [np.sort(rng.choice(np.arange(1, STEPS), 40, replace=False)) for _ in range(size)]
    each = each[:size]
    steps = np.concatenate(each) if each else np.empty(0, np.int64)
    neurons = np.repeat(np.arange(len(each)), [len(t) for t in each])
    order = np.lexsort((neurons, steps))
    return steps[order], neurons[order]


KINDS = ["silent", "one spike", "two spikes", "clock", "one active", "alike", "a burst", "random"]


def spiking(kind, size, connected=True):
    net = network(size, connected)
    steps, neurons = trains(kind, size, np.random.default_rng(0))
    return net, Recording(steps, neurons, n_neurons=size, dt=DT, duration=SECONDS * 1000.0, network=net)


def still(size, values):
    net = network(size, graded=True)
    times = np.arange(1, SECONDS * 200 + 1) * 5.0
    trace = StateTrace(times, np.arange(size), np.broadcast_to(values, (len(times), size)).astype(np.float32))
    return net, Recording([], [], n_neurons=size, dt=DT, duration=SECONDS * 1000.0, states={"V": trace}, network=net)


class Prediction:
    """Theory's answer, whatever it is."""

    def __init__(self, size, rate=0.0, correlation=0.0):
        self.size = self.n_neurons = size
        self.rate, self.value = rate, correlation
        self.report = type("Report", (), {"spectral_radius": 0.0, "recurrent_noise": torch.zeros(0), "counted": "none"})

    def rates(self):
        return torch.full((self.size,), self.rate, dtype=torch.float64)

    def cv(self, *, neurons=None):
        raise NotImplementedError

    def covariance(self, window, *, neurons=None):
        raise NotImplementedError

    def spectrum(self, f, *, neurons=None, pairs=None):
        raise NotImplementedError

    def correlation(self, window, *, neurons):
        return torch.full((len(neurons), len(neurons)), self.value, dtype=torch.float64)

    def cross_correlation(self, lags, *, pairs):
        return torch.zeros(len(lags), len(pairs), dtype=torch.float64)


def prose(html):
    return re.sub(r"data:image[^\"]+|<style>.*?</style>|<script.*?</script>|<meta[^>]+>", "", html, flags=re.S)


def check_page(net, recording):
    text = prose(page(net, recording, title="A", window=100.0))
    assert not re.search(r"\b(nan|inf|None)\b", text), re.findall(r".{30}\b(?:nan|inf|None)\b.{9}", text)
    return text


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_spikes(kind, size):
    text = check_page(*spiking(kind, size, connected=size > 1))
    flat = size == 1 or kind in ("silent", "one spike", "clock", "one active")
    assert (NOTHING in text) == flat or kind in ("two spikes", "a burst")


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("values", [-35.0, 0.0, np.array([-70.1, -35.3, 1e-3])[None]])
def test_pages_of_still_voltages(values, size):
    values = values[:, :size] if isinstance(values, np.ndarray) else values
    assert NOTHING in check_page(*still(size, values))


@pytest.mark.parametrize("dt", [0.05, 0.3, 0.7, 5.0])
def test_steps_that_no_window_is_a_multiple_of(dt):
    rng, size = np.random.default_rng(1), 4
    n = round(6000 / dt)
    steps = np.sort(rng.integers(1, n + 1, 200))
    net = network(size, True)
    run = Recording(steps, rng.integers(0, size, 200), n_neurons=size, dt=dt, duration=n * dt, network=net)
    check_page(net, run)
    assert compare(run, Prediction(size, 8.0)).window == pytest.approx(round(100 / dt) * dt)


@pytest.mark.parametrize(("size", "correlation"), [(1, 0.1), (2, 0.0), (5, 0.1)])
@pytest.mark.parametrize("kind", KINDS)
def test_comparisons_of_spikes(kind, size, correlation, tmp_path):
    """One pair beside a prediction of nothing, ten beside a constant one; and none."""
    _, recording = spiking(kind, size, connected=False)
    result = compare(recording, Prediction(size, 10.0, correlation))
    assert isinstance(result, Comparison) and "nan" not in repr(result)
    assert "nan" not in prose(result.save(tmp_path / "page.html").read_text("utf-8")).lower()
    pairs = len(result.simulated)
    active = size if kind not in ("silent", "one spike", "one active") else 0 if kind == "silent" else 1
    assert pairs <= active * (active - 1) // 2 and result.left_out == size - len(result.neurons)
    assert (result.within(2.0) is None) == (pairs == 0)
    assert result.slope is None  # all predictions are the same
    assert (result.explained is None) == (pairs < 2 or bool(np.ptp(result.simulated) < 1e-12))
    if pairs == 0:
        assert dict(result.table())["slope of simulated on predicted correlations (1: unbiased)"] == NOTHING
        assert NOTHING in repr(result)


def test_a_prediction_that_is_not_finite_is_refused():
    _, recording = spiking("random", 3)
    with pytest.raises(ValueError, match="rate is nan at 3 of 3 places; expected finite"):
        compare(recording, Prediction(3, float("nan")))
    with pytest.raises(ValueError, match="correlation is inf"):
        compare(recording, Prediction(3, 1.0, float("inf")))


@pytest.mark.parametrize("other", [None, "prediction", np.zeros(3), object()])
def test_what_is_no_prediction_is_refused(other):
    with pytest.raises(TypeError, match=r"prediction is .*; expected what rv\.predict returns"):
        compare(spiking("random", 3)[1], other)


def test_numbers_as_text():
    assert number(None, 2) == number(float("nan"), 2) == number(np.inf, 2) == NOTHING
    assert number(-0.001, 2) == "0.00" and number(-1.5, 1) == "−1.5"
