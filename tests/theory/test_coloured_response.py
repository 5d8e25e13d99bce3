"""Linear response in filtered noise: its limits, and against simulation."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv

NEURONS = [
    pytest.param(
        lambda V: 11.3 - V, {"tau": 10.0, "sigma": 0.0, "s": 17.0, "tau_s": 0.55, "t_ref": 1.9}, id="filtered"
    ),
    pytest.param(lambda V: 12.7 - V, {"tau": 17.0, "sigma": 2.3, "s": 4.1, "tau_s": 6.3}, id="both"),
    pytest.param(
        lambda V: 9.0 - V + 1.4 * torch.exp((V - 12.0) / 1.4),
        {"tau": 13.0, "sigma": 2.9, "s": 5.2, "tau_s": 4.7, "t_ref": 1.3, "V_th": 30.0},
        id="exponential",
    ),
]


@pytest.mark.parametrize(("force", "values"), NEURONS)
def test_slow_currents_move_the_rate_along_its_curve(force, values):
    values = {"V_th": 15.0, "V_reset": 0.4, "steps": 64, "values": 8} | values
    h = 1e-3
    more, less = (rv.theory.filtered_rate(lambda V, d=d: force(V) + d, **values) for d in (h, -h))
    response = rv.theory.coloured_response(force, [0.0, 0.1], **values)[:, 0]
    assert complex(response[0]) == pytest.approx(float((more - less) / (2 * h)), rel=2e-4)
    assert complex(response[1]) == pytest.approx(complex(response[0]), rel=1e-2)


def test_with_hardly_any_filtered_noise_it_is_that_of_white_noise():
    def force(V):
        return 12.7 - V

    values = {"tau": 17.0, "sigma": 4.3, "V_th": 15.0, "V_reset": 0.4, "t_ref": 1.7}
    f = [3.0, 40.0, 130.0]
    white = rv.theory.response(rv.theory.membrane(force, **values), torch.tensor(f)).current
    response = rv.theory.coloured_response(force, f, s=1e-3, tau_s=3.0, steps=300, **values)
    np.testing.assert_allclose(response, white, rtol=6e-3)  # the first-order grid's error at twice 300 steps


def test_refusals():
    values = {"tau": 10.0, "sigma": 1.0, "s": 3.0, "tau_s": 2.0, "V_th": 15.0, "V_reset": 0.4}
    for f, other, message in (
        ([math.nan], {}, "expected finite numbers in Hz"), ("fast", {}, "frequencies in Hz"),
        ([1.0], {"tau_s": 0.0}, "tau_s is 0"), ([1.0], {"sigma": -1.0}, "sigma"),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=message):
            rv.theory.coloured_response(lambda V: 11.3 - V, f, **values | other)
    down, up = rv.theory.coloured_response(lambda V: 11.3 - V, [-40.0, 40.0], steps=32, values=4, **values)[:, 0]
    assert complex(down) == pytest.approx(complex(up).conjugate(), rel=1e-9)


def test_gradients():
    def gain(x):
        response = rv.theory.coloured_response(
            lambda V: x[0] - V, [90.0], tau=10.0, sigma=x[1], s=x[2], tau_s=x[3], V_th=15.0, V_reset=0.4, steps=32,
            values=4,
        )[0, 0]  # fmt: skip
        return response.real + 2 * response.imag

    x = torch.tensor([11.3, 1.7, 9.0, 1.1], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(gain(x), x)
    for k, step in enumerate(1e-4 * torch.eye(4, dtype=torch.float64)):
        with torch.no_grad():
            difference = (gain(x + step) - gain(x - step)) / 2e-4
        assert float(slopes[k]) == pytest.approx(float(difference), rel=1e-4, abs=1e-6)


def test_against_simulation():
    """Many small inputs through `Exponential(0.5)`; a current of two frequencies; the engine's answer to within four
    standard errors (1.3 and 0.9 % of it) and what the diffusion approximation leaves out (1 %). White noise at the
    same rate has 23 % less at 325 Hz, and is 0.39 rad late."""
    f, size, n, T, dt = (80.0, 325.0), 2.0, 2000, 6000.0, 0.1
    t = (np.arange(round(T / dt)) + 0.5) * dt
    drive = sum(a * np.cos(2 * math.pi * x * t / 1000) for x, a in zip(f, (size, 2 * size), strict=True))
    neuron = rv.LIF(tau_m=10.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=2.0)

    def network(drive):
        net = rv.Network()
        cells = net.add(neuron, n, drive=drive)
        for rate, weight in ((112_000.0, 0.88), (20_800.0, -3.52)):  # areas in mV ms
            net.background(cells, rate=rate, weight=weight, synapse=rv.Exponential(tau=0.5))
        return net

    mean = 0.88 * (112_000 - 4 * 20_800) / 1000
    recording = rv.simulate(network(rv.TimeSeries(12.65 - mean + drive, dt)), T, dt=dt, seed=1)
    s = math.sqrt((112_000 * 0.88**2 + 20_800 * 3.52**2) / 1000)  # W^2 r/(2 tau_s), of 1 ms
    response = rv.theory.coloured_response(
        lambda V: 12.65 - V, f, tau=10.0, sigma=0.0, s=s, tau_s=0.5, V_th=15.0, V_reset=0.0, t_ref=2.0
    )[:, 0]
    times = recording.times.numpy()
    seconds = n * T / 1000
    for x, amplitude, expected in zip(f, (size, 2 * size), response.tolist(), strict=True):
        simulated = 2 * np.exp(-2j * math.pi * x * (times - dt / 2) / 1000).sum() / seconds / amplitude
        error = math.sqrt(2 * len(times)) / seconds / amplitude
        assert abs(simulated - expected) < 4 * error + 0.01 * abs(expected), (x, simulated, expected, error)
