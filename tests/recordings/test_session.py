"""A session answers as a simulation's recording does, and says what it was not told."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.recordings import Epochs, Neurons, Session, Signal, resample


@pytest.fixture(scope="module")
def recording():
    net = rv.Network()
    net.add(rv.Poisson(30.0), 4, name="cells")
    return rv.simulate(net, 4000.0, seed=3)


def test_spikes_answer_as_the_simulation(recording):
    session = Session.of_simulation(recording)
    for ask in (
        lambda r: r.rates(), lambda r: r.cv(), lambda r: r.covariance(50.0), lambda r: r.correlation(50.0),
        lambda r: r.fano(50.0), lambda r: r.spectrum([10.0]), lambda r: r.cross_correlation([0.0, 5.0]),
        lambda r: r.population_rate(100.0), lambda r: r.rates(neurons=[2, 0]), lambda r: r.rates(return_error=True)[1],
    ):  # fmt: skip
        assert torch.equal(ask(session), ask(recording))
    assert session.neurons.names[0] == "cells[0]"
    assert torch.equal(session.rates(neurons="cells[3]"), recording.rates(neurons=[3]))
    other = Session.from_times(recording.times, recording.neurons, duration=4000.0, size=4)
    assert torch.equal(other.rates(), recording.rates())


def test_times_keep_the_files_clock():
    session = Session.from_times([6881.25, 6890.0], [1, 0], start=6880.0, duration=20.0, dt=0.1)
    assert (session.start, session.stop) == pytest.approx((6880.0, 6900.0))
    table = session.binned(10.0)
    assert table.times.tolist() == pytest.approx([6885.0, 6895.0])
    assert np.asarray(table.values).tolist() == [[1, 1], [0, 0]]  # a spike at the end of a bin belongs to it


def test_counts_come_back():
    counts = np.random.default_rng(0).poisson(0.7, (50, 3))
    assert np.array_equal(Session.from_counts(counts, bin=10.0).binned(10.0).values, counts)
    with pytest.raises(ValueError, match="no counts; expected whole numbers"):
        Session.from_counts(counts - 0.5, bin=10.0)
    with pytest.raises(ValueError, match="no counts"):
        Session.from_counts(np.array([[np.nan, 1.0]]), bin=10.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_continuous_covariance_is_that_of_what_was_measured(dtype):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((400, 3)).cumsum(0).astype(dtype)
    session = Session(activity=Signal(np.arange(400) * 10.0, x))
    means = x.astype(float).reshape(100, 4, 3).mean(1)
    np.testing.assert_allclose(session.covariance(40.0), np.cov(means.T), rtol=1e-9)
    np.testing.assert_allclose(session.correlation(40.0), np.corrcoef(means.T), rtol=1e-9)
    x[40:200, 1] = np.nan  # a hole of one neuron: its pairs are compared elsewhere, the others everywhere
    holes = Session(activity=Signal(np.arange(400) * 10.0, x))
    there = np.isfinite(means[:, 0]) & (np.arange(100) * 4 // 4 >= 50) | (np.arange(100) < 10)
    np.testing.assert_allclose(holes.covariance(40.0)[0, 2], np.cov(means.T)[0, 2], rtol=1e-9)
    np.testing.assert_allclose(holes.covariance(40.0)[0, 1], np.cov(means[there].T)[0, 1], rtol=1e-9)
    np.testing.assert_allclose(holes.correlation(40.0)[1, 2], np.corrcoef(means[there].T)[1, 2], rtol=1e-9)
    assert holes.measured().tolist() == [1.0, 0.6, 1.0]


def test_what_is_only_of_spikes_is_refused_of_calcium():
    session = Session(activity=Signal([0.0, 10.0, 20.0], np.ones((3, 2))))
    with pytest.raises(ValueError, match="holds continuous activity; expected spikes"):
        session.rates()
    with pytest.raises(ValueError, match="expected at least 2: shorten it"):
        session.covariance(20.0)


def test_values_are_read_only_when_asked_for(tmp_path):
    path = tmp_path / "large.npy"
    np.save(path, np.arange(30.0).reshape(10, 3))
    session = rv.recordings.read_session(path, bin=100.0)
    assert isinstance(session.activity.values, np.memmap)
    assert session.binned(500.0, neurons=[2]).read().tolist() == [[8.0], [23.0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Signal([0.0, 2.0, 1.0], [1, 2, 3]), "expected increasing times: sort them"),
        (lambda: Signal([0.0, 1.0, 1.0], [1, 2, 3]), "leave repeated ones out"),
        (lambda: Signal([0.0, np.nan], [1, 2]), "expected finite times"),
        (lambda: Signal([0.0, 1.0], np.ones((3, 2))), "one row a time: turn|expected \\(2,\\)"),
        (lambda: Signal([0.0, 1.0], np.ones((3, 2)).T), None),
        (lambda: Signal([0.0, 1.0, 2.0], np.ones((2, 3))), "turn them over"),
        (lambda: Epochs([0.0], [-1.0]), "expected it to stop later"),
        (lambda: Epochs([0.0, 1.0], [2.0]), "expected one of each an epoch"),
        (lambda: Epochs([0.0], [np.inf]), "expected finite times"),
        (lambda: Epochs([0.0], [1.0], {"a": [1, 2]}), "expected one value for each of 1 epochs"),
        (lambda: Neurons(("a", "a")).index("a"), "neurons 0, 1 are all named 'a'"),
        (lambda: Neurons(("AVAL", "")).index("AVAR"), "did you mean 'AVAL'"),
        (lambda: Session(), "neither of spikes= and activity="),
        (lambda: Session(activity=Signal([0.0], [[1.0, 2.0]]), neurons=Neurons(("a",))), "1 neurons are described"),
        (lambda: Session.from_times([1.0, np.nan], [0, 0], duration=5.0), "expected finite times"),
        (lambda: Session.from_times([1.0, 9.0], [0, 0], duration=5.0), "a spike lies at step"),
        (lambda: Session.from_times([1.0], [[0]], duration=5.0), "expected one neuron a spike"),
        (lambda: Session.from_times([1.0], [-1], duration=5.0), "owners holds -1; expected indices"),
        (lambda: resample(Signal([], []), 10.0), "expected at least one"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, words):
    if words is None:
        make()
        return
    with pytest.raises(ValueError, match=words):
        make()


def test_a_signal_goes_over_its_holes_and_round_its_circle():
    signal = Signal([0.0, 10.0, 20.0, 30.0, 100.0], [0.0, 1.0, np.nan, 3.0, 4.0])
    got = signal.at([5.0, 15.0, 30.0, 60.0, 100.0, 101.0, -1.0])
    np.testing.assert_allclose(got, [0.5, 1.5, 3.0, np.nan, 4.0, np.nan, np.nan])
    np.testing.assert_allclose(signal.at([9.9, 10.0, 25.0, 50.0], method="previous"), [0, 1, 1, 3])
    np.testing.assert_allclose(signal.at([4.0, 96.0], method="nearest"), [0.0, 4.0])
    angle = Signal([0.0, 10.0], [6.2, 0.2], period=2 * np.pi)
    step = 0.2 + 2 * np.pi - 6.2
    np.testing.assert_allclose(angle.at([5.0]), (6.2 + step / 2) % (2 * np.pi))


def test_epochs_are_sorted_and_their_overlaps_known():
    trials = Epochs([30.0, 0.0, 5.0, 20.0], [40.0, 10.0, 12.0, 30.0], {"which": ["d", "a", "b", "c"]})
    assert trials["which"].tolist() == ["a", "b", "c", "d"]
    assert trials.components().tolist() == [0, 0, 1, 2] and trials.overlapping
    assert trials.union().tolist() == [[0.0, 12.0], [20.0, 30.0], [30.0, 40.0]]
    assert trials.contains([0.0, 11.9, 12.0, 29.9, 40.0]).tolist() == [True, True, False, True, False]
    assert trials[[True, False, False, True]]["which"].tolist() == ["a", "d"]
    with pytest.raises(ValueError, match=r"no column 'whic'; expected one of .*: did you mean 'which'"):
        trials["whic"]
