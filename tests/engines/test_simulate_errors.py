"""What `simulate` refuses, and a neuron that explodes: found, expected, what to do."""

import pytest
import torch

import ranvier as rv


def small(**options):
    net = rv.Network()
    net.add(rv.LIF(), 3, "cells", **options)
    return net


@pytest.mark.parametrize(
    "options, message",
    [
        ({"duration": 0.0}, r"duration is 0\.0; expected a positive"),
        ({"duration": -1.0}, r"duration is -1\.0"),
        ({"duration": float("nan")}, r"duration is nan"),
        ({"duration": float("inf")}, r"duration is inf"),
        ({"duration": 1.05}, r"duration is 1\.05 ms; expected a multiple of the step dt = 0\.1 ms"),
        ({"duration": 100_000.05}, r"duration is 100000\.05 ms; expected a multiple"),
        ({"duration": 10_000_000.05}, r"duration is 10000000\.05 ms; expected a multiple"),
        ({"duration": 0.01}, r"duration is 0\.01 ms; expected a multiple"),
        ({"duration": "10 ms"}, r"duration is '10 ms'; expected a plain number of ms"),
        ({"duration": None}, r"duration is None; expected a plain number"),
        ({"duration": True}, r"duration is True; expected a plain number"),
        ({"dt": torch.tensor(0.1)}, r"dt is tensor\(0\.1000\); expected a plain number"),
        ({"dt": 0.0}, r"dt is 0\.0; expected a positive number"),
        ({"dt": -0.1}, r"dt is -0\.1"),
        ({"dt": float("nan")}, r"dt is nan"),
        ({"seed": -1}, r"seed is -1; expected an integer from 0"),
        ({"seed": 2**63}, r"expected an integer from 0 to 2\^63 - 1"),
        ({"seed": 1.5}, r"seed is 1\.5; expected an integer"),
        ({"seed": True}, r"seed is True; expected an integer"),
        ({"seed": "one"}, r"seed is 'one'; expected an integer"),
        ({"seed": None}, r"seed is None; expected an integer"),
        ({"threads": 0}, r"threads is 0; expected a whole number, at least 1"),
        ({"threads": 1.5}, r"threads is 1\.5; expected a whole number, at least 1"),
        ({"engine": "nest"}, r"engine is 'nest'; expected one of 'compiled', 'torch'"),
        ({"dtype": torch.float16}, r"dtype is torch\.float16; expected torch\.float32 or torch\.float64"),
        ({"record": "w"}, r"variable is 'w'; expected one that can be recorded: 'V'"),
        ({"record": rv.Probe("V", interval=0.15)}, r"interval of 0\.15 ms; expected a multiple of the step"),
        ({"record": rv.Probe("V", interval=0.0)}, r"interval of 0\.0 ms"),
        ({"record": rv.Probe("V", neurons="others")}, r"no population 'others'; expected one of cells"),
        (
            {"record": rv.Probe("V", neurons=[0, 3])},
            r"neuron 3 has no variable 'V'; expected neurons of cells",
        ),
        ({"record": rv.Probe("V", neurons=[-1])}, r"neuron -1 has no variable 'V'"),
        ({"record": rv.Probe("V", neurons=[])}, r"records no neuron; expected at least one"),
        ({"record": rv.Probe("V", neurons=[0.5])}, r"expected indices"),
        ({"record": 5}, r"record has 5; expected names of variables, Probes"),
        ({"record": ["V", None]}, r"record has None; expected names"),
        ({"record": rv.Probe("V", interval="1 ms")}, r"interval of 1 ms ms, a str; expected a plain number"),
        ({"record": rv.Probe("V", interval=float("nan"))}, r"interval of nan ms; expected a multiple"),
        ({"record": rv.Probe("V", neurons=[True, False, True])}, r"expected indices"),
        ({"record": ["V", "V"]}, r"expected different names: give Probe"),
    ],
)
def test_what_is_refused(options, message):
    options = {"duration": 1.0} | options
    with pytest.raises((ValueError, TypeError), match=message):
        rv.simulate(small(), options.pop("duration"), **options)


@pytest.mark.parametrize("wrong", ["1 ms", None, True, float("nan"), -1.0, torch.tensor(1.0)], ids=str)
def test_a_step_is_a_positive_number_everywhere(wrong):
    net = small(noise=3.0)
    for act in (
        lambda: rv.as_cell(net, dt=wrong), lambda: rv.predict(net, dt=wrong), lambda: rv.Simulation(net, dt=wrong),
        lambda: rv.nn.from_neuron(rv.LIF(), 3, dt=wrong), lambda: rv.theory.predict_populations(net, dt=wrong),
        lambda: rv.theory.evolve(net, 10.0, wrong),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=r"^dt is .*; expected a .* ms"):
            act()


def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match="net is 'x'; expected a Network"):
        rv.simulate("x", 1.0)


def test_an_empty_network():
    with pytest.raises(ValueError, match=r"no populations; expected at least one: net\.add"):
        rv.simulate(rv.Network(), 1.0)


@pytest.mark.parametrize(
    "duration, dt", [(1.0, 0.1), (0.3, 0.1), (1e6, 0.1), (123456.7, 0.1), (0.7, 0.05), (3, 1)]
)
def test_durations_that_floating_point_blurs_are_fine(duration, dt):
    from ranvier.engines._prepare import duration_steps

    assert duration_steps(duration, dt) == round(duration / dt)


def test_a_probe_of_a_part():
    net = rv.Network()
    net.add(rv.LIF(), 300, "a", initial={"V": torch.arange(300) * 1e-3 - 70.0})
    net.add(rv.Poisson(), 5, "source")
    b = net.add(rv.LIF(), 4, "b", initial={"V": -torch.arange(4) - 80.0})
    record = [
        rv.Probe("V", neurons=[299, 306, 0, 306, 256], interval=0.2),
        rv.Probe("V", neurons=b, name="of b"),
        rv.Probe("V", neurons="b", interval=1.0, name="rare"),
    ]
    out = rv.simulate(net, 1.0, record=record)
    V = out.states["V"]
    assert V.neurons.tolist() == [0, 256, 299, 306] and V.values.shape == (5, 4)
    assert torch.allclose(V.times, 0.2 * torch.arange(1, 6).double())
    start = torch.tensor([-70.0, -69.744, -69.701, -81.0])
    decay = torch.exp(-V.times / 20.0)[:, None]
    assert torch.allclose(V.values.double(), -65.0 + (start + 65.0) * decay, atol=2e-5)
    assert out.states["of b"].values.shape == (10, 4) and out.states["of b"].neurons.tolist() == [
        305,
        306,
        307,
        308,
    ]
    assert torch.equal(out.states["rare"].values, out.states["of b"].values[9:])


class Square(rv.Neuron):
    """x' = x²: infinite at t = 1/x(0)."""

    equations = rv.Equations("dx/dt = x**2/tau\ndy/dt = -y/tau")
    initial = {"x": 0.0}
    tau: float = 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_explosion_names_population_neuron_variable_and_time(dtype):
    net = rv.Network()
    net.add(rv.LIF(), 5, "quiet")
    start = torch.zeros(300, dtype=torch.float64)
    start[271], start[12] = 0.25, 0.2
    net.add(Square(), 300, "loud", initial={"x": start})
    at = explodes(0.25, 0.05, dtype)
    assert 3.5 < at < 6.0
    message = rf"^x of neuron 271 of population 'loud' is not finite at t = {at:g} ms; .*\(now 0\.05 ms\)"
    with pytest.raises(FloatingPointError, match=message):
        rv.simulate(net, 50.0, dt=0.05, dtype=dtype)


def explodes(x, dt, dtype):
    """The time after the first step of plain RK4 whose x is not finite."""
    x = torch.tensor(x, dtype=dtype)
    for step in range(10_000):
        if not torch.isfinite(x):
            return step * dt
        k1 = x**2
        k2 = (x + dt / 2 * k1) ** 2
        k3 = (x + dt / 2 * k2) ** 2
        k4 = (x + dt * k3) ** 2
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    raise AssertionError("never")


def test_an_explosion_on_disk_leaves_the_whole_segments(tmp_path):
    net = rv.Network()
    net.add(Square(), 2, "loud", initial={"x": 0.25})
    with pytest.raises(FloatingPointError, match="x of neuron 0"):
        rv.simulate(net, 50.0, dt=0.05, path=tmp_path / "run")
    assert not list((tmp_path / "run").glob(".segment*"))


@pytest.mark.parametrize("synapse", [rv.Delta(), rv.Exponential(tau=5.0)])
def test_what_requires_gradients_is_simulated_as_it_is(synapse):
    """Without torch's warning of a tensor made a number; warnings are errors here."""
    rates = []
    for learned in (False, True):
        weight, drive = (torch.tensor(v, dtype=torch.float64, requires_grad=learned) for v in (2.0, 20.0))
        net = rv.Network()
        cells = net.add(rv.LIF(), 5, drive=drive, noise=2.0)
        net.connect(cells, cells, weight=weight, probability=0.5, synapse=synapse)
        net.background(cells, rate=100.0, weight=weight)
        rates.append(rv.simulate(net, 200.0).rates())
    assert torch.equal(*rates) and rates[0].sum() > 0
