"""Neuron models: rates against closed forms and SciPy, traces against plain loops."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import ranvier as rv
from tests.engines import plain


def test_fI_curve_of_the_lif_is_exact():
    """The period is the closed form's, rounded up to whole steps."""
    drive = np.array([14.0, 15.5, 16.0, 18.0, 25.0, 60.0])
    net = rv.Network()
    net.add(rv.LIF(), len(drive), drive=torch.tensor(drive))
    out = rv.simulate(net, 2000.0, dt=0.1, dtype=torch.float64)
    for k, d in enumerate(drive):
        times = out.times[out.neurons == k].numpy()
        if d <= 15.0:
            assert len(times) == 0
            continue
        climb = 20.0 * math.log(d / (d - 15.0))
        assert times[0] == pytest.approx(math.ceil(climb / 0.1) * 0.1)
        assert np.allclose(np.diff(times), 2.0 + math.ceil(climb / 0.1) * 0.1)


def test_fI_curve_of_the_qif():
    """τ V' = (V − V_r)(V − V_c)/(V_c − V_r) + μ above rheobase: an arctangent from reset to threshold."""
    drive, gap = np.array([4.0, 6.0, 20.0]), 15.0
    dt = 0.01
    net = rv.Network()
    net.add(rv.QIF(), 3, drive=torch.tensor(drive))
    out = rv.simulate(net, 1000.0, dt=dt, dtype=torch.float64)
    middle = -57.5
    for k, d in enumerate(drive):
        depth = math.sqrt(gap * d - gap**2 / 4)  # of (V − middle)² + depth², over the gap
        period = 20.0 * gap / depth * (math.atan((30 - middle) / depth) - math.atan((-80 - middle) / depth))
        intervals = np.diff(out.times[out.neurons == k].numpy())
        assert np.abs(intervals - period - dt / 2).max() <= dt / 2 + 1e-6
    quiet = rv.Network()
    quiet.add(rv.QIF(), 1, drive=gap / 4 - 0.01)
    assert len(rv.simulate(quiet, 500.0, dt=0.1, dtype=torch.float64).times) == 0


def test_hodgkin_huxley_spikes_as_scipys_solution():
    p = rv.HodgkinHuxley()

    def right(t, y):
        V, m, h, n = y
        v = V - p.V_T
        fraction = lambda x: x / np.expm1(x) if abs(x) > 1e-9 else 1.0  # noqa: E731
        a_m, b_m = 1.28 * fraction((13 - v) / 4), 1.4 * fraction((v - 40) / 5)
        a_h, b_h = 0.128 * np.exp((17 - v) / 18), 4 / (1 + np.exp((40 - v) / 5))
        a_n, b_n = 0.16 * fraction((15 - v) / 5), 0.5 * np.exp((10 - v) / 40)
        I = p.g_L * (p.E_L - V + 30.0) - p.g_Na * m**3 * h * (V - p.E_Na) - p.g_K * n**4 * (V - p.E_K)
        return [I / p.C_m, a_m * (1 - m) - b_m * m, a_h * (1 - h) - b_h * h, a_n * (1 - n) - b_n * n]

    crossing = lambda t, y: y[0] - p.V_th  # noqa: E731
    crossing.direction = 1
    exact = solve_ivp(
        right, (0, 200), [-60.0, 0.0, 1.0, 0.0], "LSODA", rtol=1e-8, atol=1e-8, events=crossing
    ).t_events[0]
    net = rv.Network()
    net.add(p, 1, drive=30.0)
    recording = rv.simulate(net, 200.0, dt=0.01, dtype=torch.float64).times.numpy()
    assert len(recording) == len(exact) > 5
    assert np.abs(np.diff(recording).mean() / np.diff(exact).mean() - 1) < 0.01
    coarse = rv.simulate(net, 200.0, dt=0.02, dtype=torch.float64).times.numpy()
    errors = [np.abs(x - exact[: len(x)]).max() for x in (recording, coarse)]
    assert errors[0] < 0.7 * errors[1] + 0.02  # converges with dt


@pytest.mark.parametrize(
    "neuron, drive, least",
    [(rv.AdEx(), 25.0, 3), (rv.AdEx(b=5.0, tau_w=20.0, V_reset=-48.0), 30.0, 5), (rv.Izhikevich(), 10.0, 5),
     (rv.Izhikevich(a=0.1, d=2.0), 12.0, 10), (rv.EIF(), 10.0, 10)],
)  # fmt: skip
def test_spikes_and_traces_are_those_of_a_plain_loop(neuron, drive, least):
    net = rv.Network()
    net.add(neuron, 1, "cell", drive=drive)
    at, _, V = plain.simulate(net, 0.125, 2000, ["cell"])
    recording = rv.simulate(net, 250.0, dt=0.125, dtype=torch.float64, record="V")
    assert len(at) >= least and np.array_equal(np.rint(recording.times.numpy() / 0.125), at)
    assert np.abs(recording.states["V"].values.numpy() - V["cell"]).max() < 1e-6


def test_initial_values():
    inputs = torch.linspace(-80.0, -60.0, 5, dtype=torch.float64)
    net = rv.Network()
    net.add(rv.LIF(E_L=-70.0, tau_m=1e12), 4)
    net.add(rv.LIF(tau_m=1e12), 5, initial={"V": inputs})
    net.add(rv.LIF(tau_m=1e12, V_th=1e9), 4000, initial={"V": rv.Uniform(-65.0, -50.0)})
    net.add(rv.LIF(tau_m=1e12, V_th=1e9), 4000, initial={"V": rv.Normal(-60.0, 3.0)})
    net.add(rv.LIF(tau_m=1e12, E_L=inputs), 5)

    def run(seed):
        return rv.simulate(net, 0.1, seed=seed, dtype=torch.float64, record="V").states["V"].values[0]

    V = run(0)
    assert torch.allclose(V[:4], torch.tensor(-70.0).double()) and torch.allclose(V[4:9], inputs)
    u, n = V[9:4009], V[4009:8009]
    assert -65.0 <= u.min() < -64.9 and -50.1 < u.max() < -50.0
    assert abs(u.mean() + 57.5) < 5 * 15 / math.sqrt(12 * 4000) and abs(n.mean() + 60.0) < 5 * 3 / math.sqrt(
        4000
    )
    assert abs(n.std() - 3.0) < 5 * 3 / math.sqrt(8000)
    assert torch.allclose(V[-5:], inputs)
    assert torch.equal(run(0), V) and not torch.equal(run(1), V)


class PIF(rv.Neuron):
    """Perfect integrator."""

    equations = rv.Equations("dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset")
    tau_m: float = 10.0  # ms
    V_th: float = -50.0  # mV
    V_reset: float = -60.0  # mV


class Names(rv.Neuron):
    """Names that a kernel or Python might use for itself."""

    equations = rv.Equations(
        """dx/dt = -x/C + lo*n : mV
        di/dt = -i*S + X : pA
        dn/dt = where(i > hi, -n, c - n)/tau
        f = C""",
        threshold="x >= real + 0*f", reset="x = NZ; i = i + IN",
    )  # fmt: skip
    C: float = 10.0
    S: float = 0.5
    X: float = 1.0
    IN: float = -2.0
    NZ: float = -0.5
    c: float = 2.0
    lo: float = 1.5
    hi: float = 0.5
    real: float = 0.4
    tau: float = 5.0


def test_a_model_in_ten_lines():
    net = rv.Network()
    net.add(PIF(), 2, drive=torch.tensor([5.0, 0.0]), initial={"V": -60.0})
    out = rv.simulate(net, 100.0, dt=0.125)
    assert out.times.tolist() == [20.0, 40.0, 60.0, 80.0, 100.0]


def test_any_name_may_be_a_models():
    net = rv.Network()
    net.add(Names(), 1)
    out = rv.simulate(net, 40.0, dt=0.1, dtype=torch.float64, record=["x", "i", "n"])
    x = i = n = 0.0
    spikes = []
    for k in range(400):
        goal = 0.0 if i > 0.5 else 2.0  # each is linear in itself: exponential Euler, all from the old values
        x, i, n = (
            15.0 * n + (x - 15.0 * n) * math.exp(-0.01),
            2.0 + (i - 2.0) * math.exp(-0.05),
            goal + (n - goal) * math.exp(-0.02),
        )
        if x >= 0.4:
            spikes.append((k + 1) * 0.1)
            x, i = -0.5, i - 2.0
    assert len(spikes) > 3 and np.allclose(out.times.numpy(), spikes)
    assert out.states["x"].values[-1].item() == pytest.approx(x, rel=1e-10)


def test_missing_defaults_and_equations_are_named():
    with pytest.raises(
        TypeError, match=r"Bad's equations use V_th, tau; expected a default of each, such as `V_th: float"
    ):
        type("Bad", (rv.Neuron,), {"equations": rv.Equations("dV/dt = -V/tau", threshold="V > V_th")})
    with pytest.raises(TypeError, match=r"Bad has no equations; expected `equations = rv\.Equations"):
        type("Bad", (rv.Neuron,), {})
    with pytest.raises(TypeError, match="no parameter 'tau'"):
        rv.LIF(tau=3.0)


@pytest.mark.parametrize(
    "times, neurons, message",
    [
        ([1.0, 2.0], [0], "two arrays of the same length"), ([-1.0], [0], "negative or not finite"),
        ([float("nan")], [0], "negative or not finite"), ([1.0], [-1], "negative or no integers"),
        ([1.0], [0.5], "negative or no integers"), ([[1.0]], [[0]], "two arrays of the same length"),
    ],
)  # fmt: skip
def test_given_spikes_that_are_none(times, neurons, message):
    with pytest.raises(ValueError, match=message):
        rv.SpikeTimes(times, neurons)


def test_monte_carlo_rates_of_the_reference_table():
    """Neurons O and R (Scharfetter–Gummel: 7.54922 and 18.16470 Hz) at dt 0.02, to 4 standard errors."""
    net = rv.Network()
    common = {"tau_m": 10.0, "noise": 9.0}
    net.add(
        rv.EIF(E_L=-72.0, Delta_T=1.4, V_T=-48.0, V_th=30.0, V_reset=-72.0, t_ref=2.0),
        5120,
        drive=10.0,
        **common,
    )
    net.add(
        rv.EIF(E_L=-60.0, Delta_T=2.0, V_T=-50.0, V_th=-10.0, V_reset=-65.0, t_ref=1.5),
        2048,
        drive=2.0,
        **common,
    )
    out = rv.simulate(net, 1300.0, dt=0.02, seed=11).after(200.0)
    rates = out.rates().numpy()
    for part, expected in ((rates[:5120], 7.54922), (rates[5120:], 18.16470)):
        error = part.std(ddof=1) / math.sqrt(len(part))
        assert error < 0.005 * expected
        # Euler-Maruyama counts a spike at the end of its step: a bias of some -0.3 % at this dt
        assert abs(part.mean() - expected) < 4 * error, (part.mean(), error)
