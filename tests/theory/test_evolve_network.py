"""The Fokker-Planck equation in time from a Network: beside its stationary states, and beside its simulation."""

import math

import pytest
import torch

import ranvier as rv

EXPONENTIAL = rv.Exponential(tau=3.0)


def series(*values, interval=50.0):
    return rv.TimeSeries(torch.tensor(values, dtype=torch.float64), interval)


def network(drive, rate=10.0, background=1000.0, synapse=EXPONENTIAL, n=4000, sources=10.0):
    """Excitatory LIF, inhibitory EIF and sources; weights such that the input is that of n/5 synapses at any n."""
    net = rv.Network(seed=3)
    scale = 1.0 if isinstance(synapse, rv.Exponential) else 1 / 20
    e = net.add(rv.LIF(), n, name="e", drive=drive, noise=4.0)
    s = net.add(rv.Poisson(), 200, name="s", rate=rate)
    i = net.add(rv.EIF(), n // 4, name="i", drive=0.0, noise=4.0)
    weight = 320.0 * scale / n
    net.connect(e, [e, i], weight=weight, probability=0.2, delay=1.5, synapse=synapse)
    net.connect(i, [e, i], weight=-4 * weight, probability=0.2, delay=1.0, synapse=synapse)
    net.connect(s, e, weight=2.0 * scale, in_degree=20, delay=1.25, synapse=synapse)
    net.background(i, rate=background, weight=3.0 * scale, synapse=synapse)
    return net


def stationary(*inputs, **options):
    return rv.theory.predict_populations(network(*inputs, **options)).rates()[[0, 2]]


def test_a_stationary_network_stays_where_prediction_says():
    course = rv.theory.evolve(network(12.0), 30.0, 0.1)
    assert course.rate.shape == (300, 2)
    torch.testing.assert_close(course.rate, stationary(12.0).expand(300, 2), rtol=1e-7, atol=0)


@pytest.mark.parametrize("synapse, rtol", [(rv.Delta(), 1e-5), (EXPONENTIAL, 0.01)])
def test_after_every_input_has_stepped_it_settles_where_prediction_says(synapse, rtol):
    """Exactly where noise is white; the shift for coloured noise is that of the beginning."""
    before, after = (12.0, 10.0, 1000.0), (14.0, 30.0, 1500.0)
    steps = [series(a, b) for a, b in zip(before, after, strict=True)]
    course = rv.theory.evolve(network(*steps, synapse=synapse), 400.0, 0.1)
    start, end = (stationary(*x, synapse=synapse) for x in (before, after))
    torch.testing.assert_close(course.rate[499], start, rtol=1e-7, atol=0)
    torch.testing.assert_close(course.rate[-1], end, rtol=rtol, atol=0)
    assert float((end / start - 1).abs().min()) > 10 * rtol  # it moved


def test_beside_the_simulation_of_the_same_network():
    """Means over 50 ms: 4000 neurons count to .1 Hz in each (Poisson's error of 2000 spikes and more, twice that for
    the fluctuations that they share). Without the simulation's step it would be 3 to 6 % more."""
    values = [11.0] * 5 + [16.0, 16.0, 8.0, 8.0]
    net = network(series(*values), rate=series(10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 30.0, 30.0, 30.0))
    recording = rv.simulate(net, 450.0, dt=0.05, seed=1)
    window = (recording.times / 50.0 - 1e-9).long()
    excitatory = recording.neurons < 4000
    simulated = torch.bincount(window[excitatory], minlength=9).double() / (4000 * 0.05)
    predicted = rv.theory.evolve(net, 450.0, 0.1, step=0.05).rate[:, 0].reshape(9, 500).mean(1)
    torch.testing.assert_close(simulated[2:], predicted[2:], rtol=0.01, atol=0.3)
    whole = simulated[2:].sum(), predicted[2:].sum()
    assert float(whole[0] / whole[1]) == pytest.approx(1.0, abs=0.015)
    assert predicted[2:].max() > 2 * predicted[2:].min()


def test_predict_gives_rates_in_time():
    """Of each neuron, its population's at the end of the step; of sources the given ones."""
    net = network(series(12.0, 14.0), rate=series(10.0, 30.0), n=40)
    prediction, course = rv.predict(net, dt=0.05), rv.theory.evolve(net, 60.0, 0.1, step=0.05)
    r = prediction.rates([10.0, 50.0, 50.1, 60.0])
    assert r.shape == (4, net.size) and isinstance(prediction, rv.theory.TimePrediction)
    for neuron, k in ((0, 0), (net.size - 1, 1)):
        torch.testing.assert_close(r[:, neuron], course.rate[[99, 499, 500, 599], k])
    assert r[:, 40].tolist() == [10.0, 10.0, 30.0, 30.0]
    torch.testing.assert_close(prediction.rates([60.0], neurons="i"), r[3:, -10:])
    still = rv.predict(network(12.0, n=40))
    torch.testing.assert_close(still.rates([1.0, 2.0]), still.rates().expand(2, -1))
    for wrong in ([], [-1.0], [math.inf], [0.0]):
        with pytest.raises(ValueError, match="t is empty, not finite or not above 0"):
            prediction.rates(wrong)
    with pytest.raises(TypeError, match=r"rate of Poisson is a time series; .* net.add\(rv.Poisson"):
        rv.Poisson(rate=series(1.0))


def test_refuses_by_name():
    with pytest.raises(ValueError, match="step is -1"):
        rv.theory.evolve(network(11.0), 10.0, 0.1, step=-1.0)
    with pytest.raises(ValueError, match="drive of population 'e' differs between neurons"):
        rv.theory.evolve(network(rv.TimeSeries(torch.tensor([[9.0] * 4, [9.0] * 3 + [8.0]]), 1.0), n=4), 10.0, 0.1)
    with pytest.raises(ValueError, match=r"changes every 0\.25 ms; expected a multiple"):
        rv.theory.evolve(network(series(11.0, 12.0, interval=0.25)), 10.0, 0.1)
    with pytest.raises(ValueError, match="noise of population 'e' changes in time"):
        net = network(11.0)
        net.set(net["e"], noise=series(3.0, 4.0))
        rv.theory.evolve(net, 10.0, 0.1)
    with pytest.raises(ValueError, match="synapse of 2 variables; expected Delta or Exponential"):
        rv.theory.evolve(network(11.0, synapse=rv.Alpha(tau=3.0)), 10.0, 0.1)
    with pytest.raises(ValueError, match=r"coupling, drive is given beside a Network"):
        rv.theory.evolve(network(11.0), 10.0, 0.1, coupling=torch.ones(2, 2), drive=1.0)
    with pytest.raises(ValueError, match="initial is given beside a Network"):
        rv.theory.evolve(network(11.0), 10.0, 0.1, initial="reset")
    with pytest.raises(ValueError, match=r"duration is 0\.0; expected a positive"):
        rv.theory.evolve(network(11.0), 0.0, 0.1)
    with pytest.raises(ValueError, match="no spiking populations"):
        net = rv.Network()
        net.add(rv.Poisson(), 3, rate=5.0)
        rv.theory.evolve(net, 10.0, 0.1)
