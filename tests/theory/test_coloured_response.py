"""Linear response in filtered noise: its limits, and against simulation."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.theory.single_neuron import two_variables
from ranvier.theory.single_neuron.functions import in_hertz
from tests.theory.beside import gradient_is_that_of_differences

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


@pytest.mark.parametrize(
    ("force", "values"),
    [
        (lambda V: 12.7 - V, {"tau": 17.0, "sigma": 4.3, "V_th": 15.0, "V_reset": 0.4, "t_ref": 1.7}),
        # noise that is strong beside the upstroke's width turns many a spike back: 4 % of the rate, 10 % at 130 Hz
        (lambda V: 12.7 - V + 1.4 * torch.exp((V - 24) / 1.4),
         {"tau": 11.0, "sigma": 9.0, "V_th": 100.0, "V_reset": 0.4, "t_ref": 1.7}),
    ],
    ids=["lif", "eif"],
)  # fmt: skip
def test_with_hardly_any_filtered_noise_it_is_that_of_white_noise(force, values):
    f, filtered = [3.0, 40.0, 130.0], {"s": 1e-3, "tau_s": 3.0, "steps": 300}
    cell = rv.theory.membrane(force, **values)
    rate = rv.theory.filtered_rate(force, **filtered, **values)
    assert float(rate) == pytest.approx(float(rv.theory.stationary(cell).rate), rel=2e-3)
    white = rv.theory.response(cell, torch.tensor(f)).current
    response = rv.theory.coloured_response(force, f, **filtered, **values)
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


def dense(force, f, N, values):
    """The response on one grid of N steps from the equation's matrix as a whole, (F,) in 1/ms per mV."""
    d = two_variables.discretised(force, *(values[k] for k in ORDER), steps=N, values=4)
    M, at = d.values, two_variables.basis(d.values)[1]
    generator, left, right = (torch.from_numpy(x) for x in (at.generator, at.left, at.right))
    decay, position, wait = two_variables.returns(d, N)
    node = int(position.detach())
    share = position[0] - node
    E = left * decay @ right
    step = 1e-4 * float((d.top - d.low).detach()) / N

    def operator(current):
        """(d mass/dt of all (N, M) as a matrix, what leaves at the top (M, N M))."""
        up, down = (x[0] for x in two_variables.face_rates(d, N, current))
        A = torch.kron(torch.eye(N).double(), generator / d.p["tau_s"])
        moves = torch.diag(up[:-1].reshape(-1), -M) + torch.diag(down[:-1].reshape(-1), M)
        A = A + moves - torch.diag(moves.sum(0))
        out = torch.cat([torch.zeros(M, (N - 1) * M).double(), torch.diag(up[-1])], 1)
        return A - torch.nn.functional.pad(out, (0, 0, (N - 1) * M, 0)), out

    A, out = operator(0.0)
    A_slope, out_slope = ((x - y) / (2 * step) for x, y in zip(operator(step), operator(-step), strict=True))
    start = torch.nn.functional.pad(torch.cat([(1 - share) * E, share * E]), (0, 0, node * M, (N - node - 2) * M))
    whole = torch.cat([A + start @ out, (1 + wait * out.sum(0))[None]])
    one = torch.cat([torch.zeros(N * M), torch.ones(1)]).double()
    p = torch.linalg.lstsq(whole, one[:, None], driver="gelsd").solution[:, 0]
    result = []
    for omega in 2 * math.pi / 1000 * torch.tensor(f).double():
        late = start * torch.exp(-1j * omega * wait)
        system = 1j * omega * torch.eye(N * M) - A - late @ out.to(late.dtype)
        q = torch.linalg.solve(system, (A_slope @ p).to(late.dtype) + late @ (out_slope @ p).to(late.dtype))
        result.append((out.to(q.dtype) @ q + out_slope @ p).sum() * torch.exp(-1j * omega * d.tail[0]))
    return torch.stack(result)


ORDER = ("tau", "sigma", "s", "tau_s", "V_th", "V_reset", "t_ref")
F = [0.3, 20.0, 90.0, 800.0] * 5  # more than the kernel's lanes


@pytest.mark.parametrize("tail", [0.0, 1.0])
def test_the_kernel_solves_the_equation(tail):
    """Values and gradients, beside the dense system; `tail`: an upstroke that leaves the grid before the threshold."""
    x = torch.tensor([11.3, 10.0, 1.7, 9.0, 1.1, 15.0, 0.4, 1.9], dtype=torch.float64, requires_grad=True)
    weights = torch.randn(len(F), dtype=torch.complex128, generator=torch.Generator().manual_seed(1))

    def both(x):
        values = dict(zip(ORDER, x[1:], strict=True))
        values["V_th"] = values["V_th"] + 20.0 * tail

        def force(V):
            return x[0] - V + tail * torch.exp((V - 12.0) / 1.2)

        exact = 1000 * (2 * dense(force, F, 32, values) - dense(force, F, 16, values))
        return rv.theory.coloured_response(force, F, steps=16, values=4, **values)[:, 0], exact

    answers = both(x)
    torch.testing.assert_close(*answers, rtol=1e-7, atol=0)
    own, expected = (torch.autograd.grad((weights * y).real.sum(), x, retain_graph=True)[0] for y in answers)
    torch.testing.assert_close(own, expected, rtol=1e-6, atol=1e-6)


def test_gradients():
    def loss(x):
        response = rv.theory.coloured_response(
            lambda V: x[0] - V, [90.0], tau=10.0, sigma=x[1], s=x[2], tau_s=x[3], V_th=15.0, V_reset=0.4, steps=32,
            values=4,
        )[0, 0]  # fmt: skip
        return response.real + 2 * response.imag

    gradient_is_that_of_differences(loss, torch.tensor([11.3, 1.7, 9.0, 1.1], dtype=torch.float64), rel=1e-4)


def many(weight):
    """80 neurons of unlike input."""
    net = rv.Network()
    cells = net.add(rv.LIF(tau_m=10.0, E_L=0.0, V_th=15.0, V_reset=0.0, t_ref=1.5), 80, drive=9.0)
    for rate, sign in ((RATES, 1), (60_000.0, -1)):
        net.background(cells, rate=rate, weight=sign * weight, synapse=rv.Exponential(tau=0.5))
    return net


RATES = torch.linspace(60_000.0, 64_000.0, 80, dtype=torch.float64)


def test_neurons_of_a_network():
    """Between operating points, and frequencies, that are interpolated; white noise has 20 % less at 325 Hz."""
    f, prediction = [17.0, 325.0], rv.predict(many(1.6))
    gain = prediction.susceptibility(f)
    for i in (0, 37, 79):
        mean, s = 9.0 + 1.6 * (float(RATES[i]) - 60_000) / 1000, 1.6 * math.sqrt((float(RATES[i]) + 60_000) / 1000)
        exact = rv.theory.coloured_response(
            lambda V, mean=mean: mean - V, f, tau=10.0, sigma=0.0, s=s, tau_s=0.5, V_th=15.0, V_reset=0.0, t_ref=1.5
        )[:, 0]
        assert float(((gain[:, i] - exact).abs() / exact.abs()).max()) < 0.03  # as announced
    assert "in rates and responses (to 3 %)" in prediction.report.treatment
    point = prediction.working_point
    white = point.own_gain(in_hertz(f), gain)
    assert float((white[1, 37] / gain[1, 37]).abs()) < 0.85


def test_gradients_of_a_network():
    def loss(x):
        gain = rv.predict(many(x[0])).susceptibility([90.0])[0, [3, 60]]
        return gain.real.sum() + gain[1].imag

    gradient_is_that_of_differences(loss, torch.tensor([1.6], dtype=torch.float64), rel=5e-3)


def test_regular_neurons_keep_the_response_of_white_noise():
    """Resonances narrower than the grid resolves."""
    net = rv.Network()
    cells = net.add(rv.LIF(), 1, drive=25.0, noise=0.5)
    net.background(cells, rate=1000.0, weight=0.4, synapse=rv.Exponential(tau=5.0))
    prediction = rv.predict(net)
    assert float(prediction.cv()) < 0.08 and "CV is below 0.16" in prediction.report.treatment
    assert float((prediction.working_point.ratio(in_hertz([0.0, 50.0])) - 1).abs().max()) < 1e-12


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
