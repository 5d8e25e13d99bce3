"""Parameters and rates that change in time, against closed forms and counting statistics."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv


@pytest.fixture(params=["compiled", "torch"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def voltage(engine: str, duration: float, **parameters) -> torch.Tensor:
    net = rv.Network()
    net.add(rv.LIF(tau_m=20.0, E_L=-65.0, V_th=1e3, V_reset=-70.0), 2, "cells", **parameters)
    recording = rv.simulate(net, duration, dt=0.1, record="V", engine=engine, dtype=torch.float64)
    return recording.states["V"].values[-1]


def test_a_leak_potential_that_steps(engine):
    """E_L from −65 to −55 mV, one neuron 10 ms after the other."""
    steps = torch.tensor([[-65.0, -65.0], [-55.0, -65.0], [-55.0, -55.0], [-55.0, -55.0]])
    V = voltage(engine, 40.0, E_L=rv.TimeSeries(steps, 10.0), initial={"V": -65.0})
    expected = [-55.0 - 10.0 * math.exp(-30.0 / 20.0), -55.0 - 10.0 * math.exp(-20.0 / 20.0)]
    assert V.tolist() == pytest.approx(expected, abs=1e-9)


def test_a_time_constant_that_steps(engine):
    """V decays by ∫dt/τ, whatever the steps."""
    V = voltage(engine, 30.0, tau_m=rv.TimeSeries([20.0, 5.0, 40.0], 10.0), initial={"V": -45.0})
    exponent = 10.0 / 20.0 + 10.0 / 5.0 + 10.0 / 40.0
    assert V.tolist() == pytest.approx([-65.0 + 20.0 * math.exp(-exponent)] * 2, abs=1e-9)


def test_a_threshold_that_steps(engine):
    """Above the resting voltage for 50 ms, below it in the next 50."""
    net = rv.Network()
    net.add(rv.LIF(), 3, drive=16.0, V_th=rv.TimeSeries([-45.0, -52.0], 50.0), t_ref=2.0)
    times = rv.simulate(net, 100.0, engine=engine).times
    assert len(times) and times.min() > 50.0


def test_noise_that_steps(engine):
    """The free membrane's standard deviation follows: 0, then 3 mV."""
    net = rv.Network()
    net.add(rv.LIF(tau_m=5.0, V_th=1e3), 400, "cells", noise=rv.TimeSeries([0.0, 3.0], 40.0))
    V = rv.simulate(net, 80.0, record=rv.Probe("V", interval=40.0), engine=engine).states["V"].values.double()
    assert V[0].std() < 1e-6
    assert V[1].std() == pytest.approx(3.0, abs=5 * 3.0 / math.sqrt(800))


@pytest.mark.parametrize("columns", [1, 3])
def test_rates_of_sources_and_backgrounds_step(engine, columns):
    """Counts in three epochs, each within five standard deviations of a Poisson count; independent neurons."""
    rates = np.array([[50.0, 0.0, 20.0], [400.0, 900.0, 0.0], [10.0, 60.0, 3000.0]])[:, :columns]
    epoch = 100.0 if engine == "torch" else 500.0  # ms; some hundred times slower
    rate = rv.TimeSeries(rates[:, 0] if columns == 1 else rates, epoch)
    net = rv.Network()
    source = net.add(rv.Poisson(), 3, "source", rate=rate)
    ears = net.add(rv.LIF(V_th=-64.5, V_reset=-65.0, t_ref=0.0), 3, "ears")  # one spike a step with input
    net.background(ears, rate=rate, weight=5.0)
    recording = rv.simulate(net, 3 * epoch, dt=0.1, engine=engine, seed=3)
    for p, per_step in ((source, False), (ears, True)):
        for k in range(3):
            within = (recording.times > epoch * k + 0.05) & (recording.times <= epoch * (k + 1) + 0.05)
            counts = torch.bincount(recording.neurons[within].long(), minlength=6)[p.slice].double()
            mean = torch.from_numpy(np.broadcast_to(rates[k], 3).copy()) * epoch / 1000
            if per_step:  # steps with at least one
                mean = 10 * epoch * (1 - torch.exp(-mean / (10 * epoch)))
            assert ((counts - mean).abs() <= 5 * mean.sqrt() + 1e-9).all(), (p.name, k, counts, mean)


def test_a_series_of_one_value_is_that_value():
    """Bit for bit, sources, backgrounds and drive."""
    runs = []
    for value in (300.0, rv.TimeSeries([300.0], 1.0), rv.TimeSeries([300.0] * 7, 5.0)):
        net = rv.Network()
        source = net.add(rv.Poisson(), 20, "source", rate=value)
        cells = net.add(rv.LIF(), 20, "cells", drive=10.0)
        net.background(cells, rate=value, weight=1.0)
        net.connect(source, cells, weight=0.5, in_degree=5)
        runs.append(rv.simulate(net, 200.0, threads=1))
    for other in runs[1:]:
        assert torch.equal(other.times, runs[0].times) and torch.equal(other.neurons, runs[0].neurons)
    assert runs[0].n_spikes > 100


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda n: n.add(rv.LIF(), 2, t_ref=rv.TimeSeries([1.0], 1.0)), "refractory period does not change"),
        (lambda n: n.add(rv.LIF(), 2, tau_m=rv.TimeSeries([1.0, -1.0], 1.0)), "tau_m"),
        (lambda n: n.add(rv.LIF(), 2, V_th=rv.TimeSeries([-50.0, -90.0], 1.0)), "V_reset"),
        (lambda n: n.add(rv.Poisson(), 2, rate=rv.TimeSeries([1.0, -1.0], 1.0)), "rate"),
        (lambda n: n.add(rv.Poisson(), 2, rate=rv.TimeSeries(torch.ones(4, 3), 1.0)), "3 columns"),
        (lambda n: n.background(n.add(rv.LIF(), 2), rate=rv.TimeSeries([-1.0], 1.0), weight=1.0), "rate"),
    ],
)
def test_what_does_not_fit_is_refused(add, message):
    with pytest.raises((ValueError, TypeError), match=message):
        add(rv.Network())


def test_a_prediction_and_a_step_that_does_not_fit_refuse():
    net = rv.Network()
    net.add(rv.Poisson(), 2, "source", rate=rv.TimeSeries([5.0], 0.25))
    with pytest.raises(ValueError, match="rate of population 'source' changes every"):
        rv.simulate(net, 1.0, dt=0.1)
    cells = net.add(rv.LIF(), 2, "cells", V_th=rv.TimeSeries([-50.0], 1.0), noise=1.0)
    with pytest.raises(ValueError, match="changes in time"):
        rv.predict(net)
    del cells


def test_series_are_written_and_read(tmp_path):
    net = rv.Network()
    cells = net.add(rv.LIF(), 2, "cells", E_L=rv.TimeSeries([-65.0, -60.0], 1.0))
    net.background(cells, rate=rv.TimeSeries(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 2.0), weight=1.0)
    rv.write_network(net, tmp_path / "net")
    again = rv.read_network(tmp_path / "net")
    assert torch.equal(again.backgrounds[0].rate.values, net.backgrounds[0].rate.values)
    assert again["cells"].parameters["E_L"].interval == 1.0


def test_a_series_is_read_from_text_and_arrays(tmp_path):
    values = np.array([[0.0, 1.5, -2.0], [3.0, 4.0, 1e-3]])
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", other=values[:, 0], drive=values)
    np.savetxt(tmp_path / "c.csv", values, delimiter=",", header="first,second,third", comments="")
    np.savetxt(tmp_path / "d.txt", values, fmt="%.17g")
    for name, array in (("a.npy", None), ("b.npz", "drive"), ("c.csv", None), ("d.txt", None)):
        series = rv.TimeSeries.read(tmp_path / name, 5.0, array)
        assert series.interval == 5.0 and np.array_equal(series.values.numpy(), values)
    np.savetxt(tmp_path / "one.txt", values[:, 1])
    assert np.array_equal(rv.TimeSeries.read(tmp_path / "one.txt", 5.0).values.numpy(), values[:, 1])


@pytest.mark.parametrize(
    ("text", "match"),
    [("", "holds no numbers; expected"), ("1,2\n3\n", "line 2 of .*has 1 numbers; expected 2"),
     ("a,b\nc,d\n1,2\n", "line 2 of .*expected numbers"),
     ("1,2\n3,x\n", "line 2"), ("1,nan\n", "not finite"), ("1,x\n2,3\n", "line 1")],
)  # fmt: skip
def test_a_file_that_is_no_series_is_refused(tmp_path, text, match):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=match):
        rv.TimeSeries.read(tmp_path / "bad.csv", 5.0)
    np.savez(tmp_path / "two.npz", a=np.zeros(2), b=np.array(["x"]))
    for name, expected in ((None, "expected one of a, b"), ("c", "expected one of a, b"), ("b", "real numbers")):
        with pytest.raises(ValueError, match=expected):
            rv.TimeSeries.read(tmp_path / "two.npz", 5.0, name)
