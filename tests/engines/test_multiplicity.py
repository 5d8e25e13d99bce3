"""Several spikes of a neuron in one step: all are emitted, delivered, recorded and learned from, in both engines."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import ranvier as rv
from ranvier._steps import rounded_steps
from ranvier.engines.sources.listed import spike_events
from tests.engines import plain, plain_plastic, plastic

ENGINES = ["compiled", "torch"]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_given_spike_is_emitted_and_recorded(engine):
    net = rv.Network()
    net.add(rv.SpikeTimes(torch.tensor([1.0, 1.0, 1.02, 0.1, 1.0]), torch.tensor([0, 0, 0, 1, 1])), 2)
    out = rv.simulate(net, 5.0, dt=0.1, engine=engine)
    assert out.times.tolist() == pytest.approx([0.1, 1.0, 1.0, 1.0, 1.0])
    assert out.neurons.tolist() == [1, 0, 0, 0, 1] and out.rates().tolist() == [600.0, 400.0] and out.n_spikes == 5


@pytest.mark.parametrize("engine", ENGINES)
def test_times_nearest_to_zero_are_left_out_with_their_number(engine):
    net = rv.Network()
    net.add(rv.SpikeTimes(torch.tensor([0.0, 1.0, 1.0, 1.02]), torch.zeros(4, dtype=torch.int64)), 1, "given")
    with pytest.warns(UserWarning, match=r"'given': 1 of 4 spike times lie before 0.05 ms and are not"):
        out = rv.simulate(net, 5.0, dt=0.1, engine=engine)
    assert out.times.tolist() == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("dt", [0.1, 0.05, 0.2, 0.3, 1.0])
def test_halves_go_up_whatever_floating_point_makes_of_them(dt):
    k = np.arange(1, 2000)
    assert np.array_equal(rounded_steps((k + 0.5) * dt, dt), k + 1)  # written as a product
    assert np.array_equal(rounded_steps(np.round((k + 0.5) * dt, 6), dt), k + 1)  # as decimals, such as 0.15
    assert np.array_equal(rounded_steps((k + 0.499) * dt, dt), k)
    far = 10**9 + k  # a day in steps of .1 ms and beyond
    assert np.array_equal(rounded_steps((far + 0.5) * dt, dt), far + 1)
    assert np.array_equal(rounded_steps(far * dt, dt), far)


@pytest.mark.parametrize("engine", ENGINES)
def test_times_and_delays_are_rounded_alike(engine):
    """0.15, 0.25 and 0.35 ms at dt 0.1 are 2, 3 and 4 steps; the two roundings meet in what V jumps at."""
    for time, delay, steps in ((0.15, 0.25, 5), (0.25, 0.15, 5), (0.35, 0.24, 6), (0.14, 0.35, 5)):
        net = rv.Network()
        source = net.add(rv.SpikeTimes(torch.tensor([time]), torch.tensor([0])), 1)
        cells = net.add(rv.LIF(tau_m=1e9), 1)
        net.connect(source, cells, weight=1.0, delay=delay, edges=([0], [0]))
        V = rv.simulate(net, 2.0, engine=engine, record="V", dtype=torch.float64).states["V"].values[:, 0]
        assert int((V < -64.5).sum()) == steps


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("synapse", [rv.Delta(), rv.Exponential(tau=4.0)])
def test_k_spikes_in_a_step_are_one_spike_of_k_times_the_weight(engine, synapse):
    times, rng = [], np.random.default_rng(0)
    counts = rng.integers(0, 5, 40)
    for k, count in enumerate(counts):
        times += [0.7 * (k + 1)] * count
    V = []
    for spikes, weights in ((times, None), ([0.7 * (k + 1) for k in range(40)], counts)):
        net = rv.Network()
        if weights is None:
            source = net.add(rv.SpikeTimes(torch.tensor(spikes), torch.zeros(len(spikes), dtype=torch.int64)), 1)
            edges, weight = ([0, 0], [0, 1]), torch.tensor([0.5, -0.25])
        else:
            source = net.add(rv.SpikeTimes(torch.tensor(spikes), torch.arange(40)), 40)
            edges = (np.tile(np.arange(40), 2), np.repeat([0, 1], 40))
            weight = torch.tensor(np.concatenate([0.5 * weights, -0.25 * weights]))
        cells = net.add(rv.LIF(V_th=1e6), 2)
        net.connect(source, cells, weight=weight, delay=1.1, edges=edges, synapse=synapse)
        V.append(rv.simulate(net, 40.0, engine=engine, record="V", dtype=torch.float64).states["V"].values)
    assert torch.allclose(*V, rtol=0, atol=1e-12) and float(V[0].std()) > 0.1


@pytest.mark.parametrize("threads", [1, 3])
def test_given_trains_with_doubles_against_the_plain_network(threads, monkeypatch):
    monkeypatch.setattr("ranvier.engines.compiled.lowering.LEAST_WORK", 1)
    rng = np.random.default_rng(3)
    times, neurons = rng.uniform(0.1, 60.0, 3000), rng.integers(0, 20, 3000)  # some 2.5 a step of one neuron in ten
    net = rv.Network(seed=1)
    src = net.add(rv.SpikeTimes(torch.from_numpy(times), torch.from_numpy(neurons)), 20)
    cells = net.add(rv.LIF(), 600, drive=10.0)
    net.connect(src, cells, weight=0.6, delay=0.3, probability=0.3)
    net.connect(cells, cells, weight=0.2, delay=0.5, in_degree=20)
    steps, who, _ = plain.simulate(net, 0.1, 600)
    out = rv.simulate(net, 60.0, threads=threads, dtype=torch.float64)
    assert np.array_equal(rounded_steps(out.times.numpy(), 0.1), steps) and np.array_equal(out.neurons.numpy(), who)
    assert len(steps) > 3500 and len(set(zip(steps, who, strict=True))) < len(steps) - 100


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["additive", "power", "nearest", "triplet", "inhibitory", "reward", "oja"])
def test_plastic_synapses_learn_from_every_spike(engine, name):
    """Against a plain one, synapse by synapse: several arrivals act one by one."""
    rule = plastic.RULES[name]
    rng = np.random.default_rng(1)
    times = np.round(rng.uniform(0.1, 60.0, 150), 1)
    net = rv.Network(seed=1)
    trains = torch.from_numpy(np.repeat(times, rng.integers(1, 4, 150)))
    src = net.add(rv.SpikeTimes(trains, torch.arange(len(trains)) % 2), 4)
    cells = net.add(rv.LIF(), 5, drive=np.linspace(14.0, 18.0, 5))
    modulator = plastic.series() if rule.law.uses_modulator else None
    p = net.connect(src, cells, weight=0.4, delay=0.4, probability=1.0, plasticity=rule, modulator=modulator)
    source = {}
    if modulator is not None:
        source[p.index] = lambda k, _: float(modulator.values[min((k - 1) // 25, 59)])
    steps, who, weights = plain_plastic.simulate(net, 0.1, 600, source)
    out = rv.simulate(net, 60.0, engine=engine, dtype=torch.float64)
    assert np.array_equal(rounded_steps(out.times.numpy(), 0.1), steps) and np.array_equal(out.neurons.numpy(), who)
    assert np.allclose(out.weights[p].numpy(), weights[p.index], rtol=0, atol=1e-12)
    assert np.abs(weights[p.index] - 0.4).max() > 1e-3 and len(set(zip(steps, who, strict=True))) < len(steps) - 50


RATES = [100.0, 1000.0, 2000.0, 10_000.0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("several", [False, True], ids=["one rate", "a rate a neuron"])
def test_poisson_trains_are_poisson_at_every_rate(engine, several):
    """Counts in windows of 1 ms: mean and variance λ, and their distribution's, from .1 to 10 kHz at dt .1 ms.

    Bounds are 4.5 standard errors of the sample: λ/n for the mean, (λ + 2λ²)/n for the variance of a Poisson variable;
    the χ² test is at 1e-4. At a step's mean of 1, a train of one spike a step would be a clock.
    """
    size, duration = 40, 400.0
    for rate in RATES:
        inputs = torch.full((size,), rate, dtype=torch.float64) if several else rate
        if several:
            inputs = inputs * torch.linspace(0.999, 1.001, size, dtype=torch.float64)
        net = rv.Network()
        net.add(rv.Poisson(rate=inputs), size)
        out = rv.simulate(net, duration, engine=engine, seed=5)
        steps = rounded_steps(out.times.numpy(), 0.1) - 1
        for window, lam in ((10, rate / 1000), (1, rate / 10_000)):
            windows = round(duration / 0.1 / window)
            counts = np.zeros((windows, size), int)
            np.add.at(counts, (steps // window, out.neurons.numpy()), 1)
            n = counts.size
            assert abs(counts.mean() - lam) < 4.5 * math.sqrt(lam / n)
            assert abs(counts.var() - lam) < 4.5 * math.sqrt((lam + 2 * lam**2) / n)
            k = np.arange(stats.poisson.ppf(1e-3 / n**0.5, lam), stats.poisson.isf(20 / n, lam) + 1)
            expected = np.concatenate([stats.poisson.pmf(k, lam), [stats.poisson.sf(k[-1], lam)]]) * n
            observed = np.bincount(np.minimum(counts.ravel(), int(k[-1]) + 1), minlength=int(k[-1]) + 2)[int(k[0]) :]
            assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-4
        assert abs(float(out.fano(1.0).mean()) - 1) < 4.5 * math.sqrt(2 / (size * duration))


@pytest.mark.parametrize("engine", ENGINES)
def test_poisson_trains_of_two_neurons_are_independent_and_their_seeds_differ(engine):
    net = rv.Network()
    net.add(rv.Poisson(rate=2000.0), 2)
    one, other = (rv.simulate(net, 2000.0, engine=engine, seed=k) for k in (1, 2))
    assert abs(float(one.correlation(1.0)[0, 1])) < 4.5 / math.sqrt(2000)
    assert not torch.equal(one.times[:100], other.times[:100])


def test_rates_beyond_reach_are_refused():
    for rate in (1.3e6, -1.0, math.nan, math.inf):
        for engine in ENGINES:
            net = rv.Network()
            with pytest.raises(ValueError, match="rate"):
                net.add(rv.Poisson(rate=rate), 2, "fast")
                rv.simulate(net, 1.0, engine=engine)
    net = rv.Network()
    net.add(rv.Poisson(rate=1.28e6), 3)
    assert float(rv.simulate(net, 100.0).rates().mean()) == pytest.approx(1.28e6, rel=0.01)  # 5 SE: 1.28e5 spikes each


def test_more_spikes_than_a_byte_counts_are_refused():
    net = rv.Network()
    for count in (255, 256):
        p = net.add(rv.SpikeTimes(torch.full((count,), 2.0), torch.zeros(count, dtype=torch.int64)), 1, f"p{count}")
        if count == 255:
            assert len(spike_events(p, 0.1)[0]) == 255 and rv.simulate(net, 3.0).n_spikes == 255
        else:
            with pytest.raises(ValueError, match="'p256' has a neuron with 256 spikes in one step; expected"):
                spike_events(p, 0.1)
