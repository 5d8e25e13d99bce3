"""Equations that read the time: of second order in dt, at late times too."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import ranvier as rv

RATE = 0.3  # 1/ms


class Driven(rv.Neuron):
    """dx/dt = -x/tau + sin(0.3 t)."""

    equations = rv.Equations("dx/dt = -x/tau + sin(0.3*t)")
    tau: float = 5.0


class Conducting(rv.Neuron):
    """dx/dt = -(1 + cos(0.3 t)) x/tau + 1: a slope that changes."""

    equations = rv.Equations("dx/dt = -(1 + cos(0.3*t))*x/tau + 1")
    tau: float = 5.0


def exact(t, tau=5.0):
    a = 1 / tau
    steady = lambda t: (a * np.sin(RATE * t) - RATE * np.cos(RATE * t)) / (a**2 + RATE**2)  # noqa: E731
    return steady(t) - steady(0.0) * np.exp(-a * t)


def end(neuron, dt, method=None, duration=20.0, **options):
    net = rv.Network()
    net.add(neuron, 1, method=method)
    record = rv.Probe("x", interval=duration)
    return float(rv.simulate(net, duration, dt=dt, record=record, **options).states["x"].values[-1])


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize(("method", "order"), [("exact", 2), ("heun", 2), ("rk4", 4)])
def test_a_drive_that_reads_the_time(engine, method, order):
    steps = (1.0, 0.5) if engine == "torch" else (1.0, 0.5, 0.25)
    errors = [abs(end(Driven(), dt, method, engine=engine, dtype=torch.float64) - exact(20.0)) for dt in steps]
    assert all(order - 0.4 < math.log2(a / b) < order + 0.6 for a, b in pairwise(errors)), errors


def test_a_slope_that_reads_the_time():
    from scipy.integrate import solve_ivp

    right = lambda t, x: 1 - (1 + math.cos(RATE * t)) * x / 5  # noqa: E731
    true = solve_ivp(right, (0, 20), [0.0], "DOP853", rtol=1e-12, atol=1e-12).y[0, -1]
    errors = [abs(end(Conducting(), dt, "exponential_euler", dtype=torch.float64) - true) for dt in (1.0, 0.5, 0.25)]
    assert all(1.7 < math.log2(a / b) < 2.3 for a, b in pairwise(errors)), errors


def test_the_phase_is_kept_in_float32():
    """After a million ms, where float32 knows the time to 1/16 ms."""
    late = 1e6
    single, double = (end(Driven(), 1.0, "rk4", late, dtype=kind) for kind in (torch.float32, torch.float64))
    assert single == pytest.approx(double, abs=1e-6)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_a_threshold_reads_the_time_at_the_steps_end(engine):
    class Alarm(rv.Neuron):
        """Spikes from 2 ms on."""

        equations = rv.Equations("dx/dt = 0*x + drive", threshold="t >= 2", reset="x = t")

    net = rv.Network()
    net.add(Alarm(), 1, drive=0.0)
    recording = rv.simulate(net, 3.0, dt=0.5, engine=engine, record="x")
    assert recording.times.tolist() == [2.0, 2.5, 3.0]
    assert recording.states["x"].values[:, 0].tolist() == [0.0, 0.0, 0.0, 2.0, 2.5, 3.0]


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_a_trace_too_slow_for_float32_is_warned_of(engine):
    net = rv.Network()
    a = net.add(rv.Poisson(10.0), 2)
    b = net.add(rv.LIF(), 2)
    net.connect(a, b, weight=1.0, probability=1.0, plasticity=rv.rules.STDP(tau_minus=1e5))
    with pytest.warns(RuntimeWarning, match=r"tau_minus = 100000 ms, in float32 .* wrong by up to 0\.06 of itself"):
        rv.simulate(net, 1.0, engine=engine)
