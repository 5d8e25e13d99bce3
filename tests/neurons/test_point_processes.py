"""Sources that are drawn ahead have the statistics of their laws; tolerances are 5 standard errors of counting."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import ranvier as rv
from ranvier.engines.torch._external import ExternalInputs
from ranvier.neurons import CorrelatedPoisson, GammaProcess, PulsePackets


def recorded(source, size, duration, dt=0.1, **options):
    net = rv.Network()
    net.add(source, size, **options.pop("parameters", {}))
    return rv.simulate(net, duration, **{"dt": dt, "seed": 11} | options)


def trains(recording):
    order = np.lexsort((recording.times, recording.neurons))
    times, neurons = recording.times.numpy()[order], recording.neurons.numpy()[order]
    return np.split(times, np.flatnonzero(np.diff(neurons)) + 1)


@pytest.mark.parametrize(("shape", "t_ref"), [(1.0, 0.0), (1.0, 8.0), (4.0, 0.0), (4.0, 5.0), (2.5, 5.0), (0.5, 2.0)])
def test_intervals_of_a_gamma_process(shape, t_ref):
    """Mean 1/rate; CV (1 - rate t_ref)/sqrt(shape), whose square has the variance of a sample variance; uncorrelated;
    none below the dead time."""
    rate, size, duration = 50.0, 100, 8000.0
    intervals = [np.diff(t) for t in trains(recorded(GammaProcess(rate, shape, t_ref), size, duration))]
    every = np.concatenate(intervals)
    n, mean, cv = len(every), 1000 / rate, (1 - rate * t_ref / 1000) / math.sqrt(shape)
    # of a run of finite length a few long intervals are missing: one in the run's mean number, times CV² + 1
    missing = mean * (cv**2 + 1) * mean / duration
    assert abs(every.mean() - mean) < 5 * mean * cv / math.sqrt(n) + missing
    kurtosis = 3 + 6 / shape
    assert abs(every.std() / mean - cv) < 5 * cv * math.sqrt((kurtosis - 1) / 4 / n) + missing / mean + 0.1 / mean
    assert every.min() > t_ref - 0.11 and every.min() < t_ref + 0.35 * mean
    before = np.concatenate([x[:-1] - mean for x in intervals])
    after = np.concatenate([x[1:] - mean for x in intervals])
    assert abs((before * after).mean()) < 5 * (mean * cv) ** 2 / math.sqrt(len(before)) + missing * mean


@pytest.mark.parametrize(("shape", "t_ref"), [(6.0, 4.0), (3.0, 15.0)])
def test_a_gamma_process_begins_in_equilibrium(shape, t_ref):
    """The rate is the same in every bin from the start: chi-square of 25 bins of 2 ms over 20 000 trains."""
    recording = recorded(GammaProcess(40.0, shape, t_ref), 20_000, 50.0)
    counts = np.histogram(recording.times.numpy() - 0.05, np.arange(0, 50.1, 2.0))[0]
    expected = 20_000 * 40.0 * 0.002
    assert abs(((counts - expected) ** 2 / expected).sum() - 25) < 5 * math.sqrt(50)


@pytest.mark.parametrize("source", [GammaProcess(shape=3.0, t_ref=2.0), CorrelatedPoisson(correlation=0.01)])
def test_rates_follow_a_series(source):
    """Of each piece but for what dead times and regular intervals carry over from the one before: one interval."""
    values = torch.tensor([20.0, 80.0, 0.0, 50.0])
    recording = recorded(source, 400, 1000.0, parameters={"rate": rv.TimeSeries(values, 250.0)})
    counts = np.histogram(recording.times.numpy() - 0.05, [0, 250, 500, 750, 1000])[0] / 400
    expected = values.numpy() * 0.25
    spread = np.sqrt(expected * (1 + 399 * getattr(source, "correlation", 0.0)) / 400)
    carried = 0.35 if isinstance(source, GammaProcess) else 0.0
    assert (np.abs(counts - expected) <= 5 * spread + carried).all() and counts[2] == 0


def test_each_neuron_has_its_own_parameters():
    rates, shapes = torch.tensor([10.0, 40.0, 90.0]).repeat(40), torch.tensor([1.0, 9.0, 2.5]).repeat(40)
    recording = recorded(GammaProcess(rates, shapes), 120, 10_000.0)
    mean = recording.rates().reshape(40, 3)
    assert ((mean.mean(0) - rates[:3]).abs() < 5 * (rates[:3] / shapes[:3] / 400).sqrt() + 0.1).all()
    for k in range(3):
        intervals = np.concatenate([np.diff(t) for t in trains(recording)[k::3]])
        error = math.sqrt((2 + 6 / float(shapes[k])) / 4 / len(intervals))
        assert abs(intervals.std() / intervals.mean() * float(shapes[k]) ** 0.5 - 1) < 5 * error + 0.02


@pytest.mark.parametrize("correlation", [0.05, 0.4, 1.0])
def test_counts_are_correlated_as_requested(correlation):
    """Pairwise correlation of counts; its mean over pairs has, by the common process, the error of about one pair."""
    size, windows, rate = 20, 4000, 60.0
    recording = recorded(CorrelatedPoisson(rate, correlation), size, windows * 20.0, dt=0.5)
    c = recording.correlation(20.0)
    pairs = c[~torch.eye(size, dtype=torch.bool)]
    assert abs(float(pairs.mean()) - correlation) < 5 * (1 - correlation**2) / math.sqrt(windows) + 1e-9
    error = math.sqrt(rate / (windows * 0.02) * (1 + (size - 1) * correlation) / size)
    assert abs(float(recording.rates().mean()) - rate) < 5 * error
    assert abs(float(recording.cv().mean()) - 1) < 0.05


@pytest.mark.parametrize("activity", [0.3, 1.0, 2.25])
def test_packets_have_their_size_centre_and_spread(activity):
    size, sd, times = 1000, 3.0, np.array([40.0, 100.0, 160.0])
    recording = recorded(PulsePackets(times, activity, sd), size, 200.0)
    each = recording.times.numpy()
    n = round(activity * size)
    assert len(each) == 3 * n
    for centre in times:
        own = each[np.abs(each - centre) < 30.0]
        assert len(own) == n
        assert abs(own.mean() - centre) < 5 * sd / math.sqrt(n)
        assert abs(own.std() - math.sqrt(sd**2 + 0.1**2 / 12)) < 5 * sd / math.sqrt(2 * n)
    order = np.lexsort((each, recording.neurons.numpy()))
    if activity == 1.0:  # neighbours' displacements are independent, of even and odd ones, and of their squares
        gap = (each[order].reshape(size, 3) - times).T.ravel() / sd
        for one, other in ((gap[0::2], gap[1::2]), (gap[1:-1:2], gap[2::2])):
            assert abs((one * other).mean()) < 5 / math.sqrt(len(one))
            assert abs(((one**2 - 1) * (other**2 - 1)).mean()) < 5 * 2 / math.sqrt(len(one))
    counts = np.bincount(recording.neurons.numpy(), minlength=size)
    assert counts.min() >= 3 * int(activity) and counts.max() <= 3 * math.ceil(activity)
    if more := n % size:  # a uniform subset, of each packet its own: places, and how many two of them share
        numbers = recording.neurons.numpy()
        one, two = (np.bincount(numbers[np.abs(each - t) < 30.0], minlength=size) > int(activity) for t in times[:2])
        assert abs(np.flatnonzero(one).mean() - (size - 1) / 2) < 5 * size / math.sqrt(12 * more)
        shared = stats.hypergeom(size, more, more)
        assert abs((one & two).sum() - shared.mean()) < 5 * shared.std()


def test_no_two_populations_emit_the_same():
    """Nor two runs side by side in torch."""
    net = rv.Network()
    kinds = GammaProcess(200.0), CorrelatedPoisson(200.0, 0.5), PulsePackets([10.0], sd=2.0)
    pairs = [(net.add(kind, 50), net.add(kind, 50)) for kind in kinds]
    recording = rv.simulate(net, 30.0)
    times, neurons = recording.times.numpy(), recording.neurons.numpy()
    for pair in pairs:
        own = [(neurons >= p.start) & (neurons < p.start + 50) for p in pair]
        one, other = (np.stack([times[k], neurons[k] - p.start]) for k, p in zip(own, pair, strict=True))
        assert one.shape[1] and not np.array_equal(one, other)
    for state in ExternalInputs(net, 0.1, torch.float32).begin(seed=0, batch=2):
        assert not torch.equal(*state)


@pytest.mark.parametrize(
    "source", [GammaProcess(80.0, 3.0, 2.0), CorrelatedPoisson(80.0, 0.2), PulsePackets([25.0, 40.0], 1.5, 3.0)],
    ids=lambda source: type(source).__name__,
)  # fmt: skip
def test_engines_loops_and_pieces_emit_the_same(source, tmp_path):
    def run(engine, **options):
        return recorded(source, 300, 60.0, engine=engine, **options)

    one = run("compiled")
    assert len(one.times) > 500
    for other in (run("torch"), run("events"), run("stepping", threads=2), run("compiled", path=tmp_path / "run")):
        assert torch.equal(one.times, other.times) and torch.equal(one.neurons, other.neurons)
    other = run("compiled", seed=12)
    assert not torch.equal(one.neurons, other.neurons)


def test_a_rate_may_be_set_in_the_course_of_a_run():
    net = rv.Network()
    source = net.add(GammaProcess(20.0, 4.0), 500)
    simulation = rv.Simulation(net)
    before = simulation.run(500.0)
    simulation.set(source, rate=60.0)
    after = simulation.run(500.0)
    assert abs(len(before.times) / 250 - 20.0) < 1 and abs(len(after.times) / 250 - 60.0) < 2


def test_what_no_process_can_be_is_refused_by_a_run():
    series = rv.TimeSeries([1.0, 2.0], 5.0)
    for source, parameters, match in (
        (GammaProcess(200.0, t_ref=5.0), {}, "dead time t_ref of 1; expected less than 1"),
        (GammaProcess(), {"shape": series}, "changes in time; expected one value a neuron"),
        (CorrelatedPoisson(), {"correlation": torch.tensor([0.1, 0.2])}, "differs between neurons; expected one"),
        (CorrelatedPoisson(), {"rate": torch.tensor([1.0, 2.0])}, "2 rates; expected one for all"),
        (CorrelatedPoisson(), {"correlation": rv.TimeSeries([0.1, 0.2], 5.0)}, "changes in time; expected one number"),
        (CorrelatedPoisson(1000.0, 0.001), {}, "copies 100 spikes a step.*expected at most 16"),
        (GammaProcess(1e6), {}, "expected 0 to"),
        (GammaProcess(10_000.0, 1e-3), {}, "more than 64 times in one step; expected at most 64"),
    ):
        with pytest.raises(ValueError, match=match):
            recorded(source, 2, 100.0, parameters=parameters)


def test_a_process_of_alike_neurons_takes_alike_values():
    parameters = {"rate": torch.full((3,), 80.0), "correlation": torch.full((3,), 0.4)}
    one, other = (recorded(CorrelatedPoisson(80.0, 0.4), 3, 50.0, parameters=p) for p in ({}, parameters))
    assert len(one.times) and torch.equal(one.times, other.times) and torch.equal(one.neurons, other.neurons)


@pytest.mark.parametrize("time", [500.0, 3.074457345618259e17, 1e300])
def test_packets_after_the_end_are_not_emitted(time):
    """Nor where steps times neurons pass 2^64 by a step of the run."""
    assert recorded(PulsePackets([time]), 6, 60.0).n_spikes == 0


def test_packets_before_the_start_are_counted_in_a_warning():
    with pytest.warns(UserWarning, match="of 400 spike times lie before 0.05 ms"):
        recording = recorded(PulsePackets([0.0], sd=2.0), 400, 20.0)
    assert abs(len(recording.times) - 200) < 5 * 10
