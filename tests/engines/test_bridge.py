"""Crossings within a step: against the reflection principle, the theory's continuous time, and runs cut otherwise."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv


def network(size, *, drive=12.0, noise=5.0, **options):
    net = rv.Network()
    cells = net.add(rv.LIF(E_L=0.0, V_th=15.0, V_reset=0.0, **options), size, drive=drive, noise=noise)
    return net, cells


@pytest.mark.parametrize(("engine", "dtype"), [("compiled", torch.float32), ("torch", torch.float64)])
def test_the_share_that_crosses_in_one_step(engine, dtype):
    """From rest a distance m below the threshold, that is P(max > m) = 2 P(end > m) (Bachelier's reflection), near the
    threshold and far from it."""
    step = 5.0 * math.sqrt(-math.expm1(-2 * 0.1 / 20.0))  # of an Ornstein-Uhlenbeck process
    for distance in (0.1, 0.5, 1.2):
        net, cells = network(100_000, drive=15.0 - distance)
        cells.initial["V"] = 15.0 - distance
        beyond = 0.5 * math.erfc(distance / step / math.sqrt(2))
        for threshold, expected in (("step", beyond), ("bridge", 2 * beyond)):
            share = rv.simulate(net, 0.1, seed=3, engine=engine, dtype=dtype, threshold=threshold).n_spikes / 100_000
            assert share == pytest.approx(expected, abs=3.5 * math.sqrt(expected * (1 - expected) / 100_000))


def test_rates_are_those_of_continuous_time():
    """At dt = 0.5 ms a rate of 20 Hz is 10 % too low; with the bridge by the half step that a spike is late."""
    net, _ = network(1500)
    prediction = rv.predict(net)
    rates = {t: rv.simulate(net, 4000.0, dt=0.5, seed=1, threshold=t).after(200.0) for t in ("step", "bridge")}
    exact = float(prediction.rates()[0])
    bridged, errors = rates["bridge"].rates(return_error=True)
    error = float(errors.square().sum().sqrt()) / 1500
    assert float(rates["step"].rates().mean()) < 0.93 * exact
    late = exact / (1 + 0.25e-3 * exact)
    assert float(bridged.mean()) == pytest.approx(late, abs=3 * error)
    at_step = prediction.at_step(0.5, "bridge")
    assert float(at_step.rates()[0]) == pytest.approx(late, rel=1e-6) and at_step.at_step(0.5, "bridge") is at_step
    assert float(at_step.at_step(0.5).rates()[0]) < 0.93 * exact  # of steps again
    compared = rv.compare(rates["bridge"], prediction, neurons=[0, 1])
    assert compared.predicted_levels[0] == pytest.approx(late, rel=1e-6)


def test_no_bit_depends_on_threads_or_cuts(tmp_path):
    net, cells = network(2000)
    net.connect(cells, cells, probability=0.01, weight=2.0, delay=1.0)
    whole = rv.simulate(net, 40.0, seed=5, threshold="bridge")
    assert whole.n_spikes > 500
    several = rv.simulate(net, 40.0, seed=5, threshold="bridge", threads=2)
    simulation = rv.Simulation(net, seed=5, threshold="bridge")
    pieces = [simulation.run(t) for t in (12.3, 27.7)]
    rv.simulate(net, 17.0, seed=5, threshold="bridge", path=tmp_path / "run")
    stored = rv.simulate(net, 40.0, seed=5, threshold="bridge", path=tmp_path / "run")
    for times, neurons in (
        (several.times, several.neurons),
        (np.concatenate([p.times for p in pieces]), np.concatenate([p.neurons for p in pieces])),
        (stored.times, stored.neurons),
    ):
        assert np.allclose(times, whole.times, atol=1e-9, rtol=0) and np.array_equal(neurons, whole.neurons)
    with pytest.raises(ValueError, match="threshold"):
        rv.simulate(net, 40.0, seed=5, path=tmp_path / "run")


@pytest.mark.parametrize(
    ("neuron", "noise", "message"),
    [
        (rv.EIF(), 3.0, "population 'cells' of EIF is not linear.*use threshold='step'"),
        (rv.LIF(), 0.0, "population 'cells' of LIF has no white noise.*give it noise > 0"),
    ],
)
def test_where_there_is_no_bridge(neuron, noise, message):
    net = rv.Network()
    net.add(neuron, 2, name="cells", drive=20.0, noise=noise)
    with pytest.raises(ValueError, match=message):
        rv.simulate(net, 1.0, threshold="bridge")
    if noise:
        with pytest.raises(ValueError, match=r"upstroke at its threshold.*use threshold='step'"):
            rv.predict(net, dt=0.1, threshold="bridge")


def test_unknown_thresholds():
    net, _ = network(2)
    with pytest.raises(ValueError, match="threshold is 'brigde'; expected one of 'step', 'bridge'"):
        rv.simulate(net, 1.0, threshold="brigde")
    with pytest.raises(ValueError, match="threshold is 'brigde'; expected one of 'step', 'bridge'"):
        rv.predict(net, threshold="brigde")
