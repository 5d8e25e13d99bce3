"""Gap junctions and large conductances: exact for identical cells, of second order for others, whatever their size."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch

import ranvier as rv

F64 = torch.float64
BOTH = ([0, 1], [1, 0])
#: of an order of convergence; the torch engine, some hundred times slower, shows it by two
STEPS = {"compiled": (0.1, 0.05, 0.025), "torch": (0.1, 0.05)}


def pair(neuron, weight, synapse=None, **options):
    net = rv.Network()
    cells = net.add(neuron, 2, **options)
    if weight:
        net.connect(cells, cells, weight=weight, edges=BOTH, synapse=synapse or rv.Electrical())
    return net


def last(net, duration, dt, **options):
    record = rv.Probe("V", neurons=net.populations[-1], interval=duration)
    return rv.simulate(net, duration, dt=dt, record=record, **options).states["V"].values[-1].numpy()


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("share", [1.0, 10.0, 100.0, 1000.0])
def test_identical_passive_cells_do_not_feel_each_other(engine, dtype, share):
    """V(tau) = 10 (1 - 1/e) mV, to what the repetitions of a step leave."""
    passive = rv.LIF(g_L=2.0, V_th=1e9, E_L=0.0)
    V = last(pair(passive, 2.0 * share, drive=10.0), 20.0, 0.5, engine=engine, dtype=dtype)
    assert np.abs(V - 10 * (1 - math.exp(-1))).max() < 1e-5


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("neuron", [rv.LIF(), rv.Izhikevich(), rv.EIF(), rv.QIF(), rv.AdEx()])
def test_identical_spiking_cells_keep_their_rate(engine, neuron):
    """The torch engine, some hundred times slower, is driven four times as hard for a quarter of the time: as many
    spikes, and so as sharp a comparison."""
    drive = {"LIF": 20.0, "Izhikevich": 10.0, "EIF": 10.0, "QIF": 10.0, "AdEx": 30.0}[type(neuron).__name__]
    leak = float(neuron.g_L)
    shares = (0.0, 1.0, 10.0, 100.0) if isinstance(neuron, rv.LIF) else (0.0, 1.0)
    drive, duration = (4 * drive, 50.0) if engine == "torch" else (drive, 1000.0)
    rates = []
    for share in shares if engine == "compiled" else (0.0, shares[-1]):
        net = pair(neuron, share * leak, drive=drive)
        rates.append(rv.simulate(net, duration, dt=0.1, engine=engine).rates().tolist())
    assert min(rates[0]) > 8
    exact = isinstance(neuron, rv.LIF)
    for rate in rates[1:]:
        assert rate == (rates[0] if exact else pytest.approx(rates[0], abs=1001 / duration)), rates  # a spike


@pytest.mark.parametrize(
    ("engine", "start", "bound"),
    [("compiled", [-65.0] * 3, 1e-5), ("torch", [-65.0] * 3, 1e-5), ("compiled", [-65.0, -60.0, -70.0], 1e-5)],
)
def test_different_cells_against_the_matrix_exponential(engine, start, bound):
    """Three cells of different tau, g_L and drive, joined along a line by 100 g_L: of order 2.

    The last start has 5 mV between partners that come together in 0.1 ms, the first step.
    """
    tau, leak, drive = np.array([20.0, 10.0, 15.0]), np.array([1.0, 2.0, 1.5]), np.array([10.0, 0.0, -5.0])
    w = 100.0
    A = np.diag(-1 / tau)
    for i, j in ((0, 1), (1, 0), (1, 2), (2, 1)):
        A[i, j] += w / leak[i] / tau[i]
        A[i, i] -= w / leak[i] / tau[i]
    whole = np.zeros((4, 4))
    whole[:3, :3], whole[:3, 3] = A, (drive - 65.0) / tau
    exact = (scipy.linalg.expm(8.0 * whole) @ np.array([*start, 1.0]))[:3]
    net = rv.Network()
    own = rv.LIF(tau_m=torch.tensor(tau), g_L=torch.tensor(leak), V_th=1e9)
    cells = net.add(own, 3, drive=torch.tensor(drive), initial={"V": torch.tensor(start).double()})
    net.connect(cells, cells, weight=w, edges=([0, 1, 1, 2], [1, 0, 2, 1]), synapse=rv.Electrical())
    errors = [np.abs(last(net, 8.0, dt, engine=engine, dtype=F64) - exact).max() for dt in STEPS[engine]]
    assert errors[0] < bound
    assert all(1.7 < math.log2(a / b) < 2.2 for a, b in pairwise(errors)), errors
    assert np.abs(last(net, 8.0, 0.1, engine=engine) - exact).max() < errors[0] + 1e-5  # in float32


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("tau", [0.0, 3.0])
def test_graded_synapses_larger_than_the_leak(engine, tau):
    """Sigmoidal with a reversal potential, 100 g_L when open: against SciPy, of order 2."""
    from scipy.integrate import solve_ivp

    net = rv.Network()
    cells = net.add(rv.Graded(g_L=1.0), 2, drive=torch.tensor([12.0, 3.0]).double(),
                    initial={"V": torch.tensor([-45.0, -30.0]).double()})  # fmt: skip
    synapse = rv.Sigmoidal(V_half=-30.0, slope=4.0, tau=tau, E_rev=-50.0)
    net.connect(cells, cells, weight=100.0, edges=BOTH, synapse=synapse)

    def right(t, y):
        opened = 1 / (1 + np.exp((-30.0 - y[:2][::-1]) / 4.0))
        s = y[2:] if tau else opened
        dV = (-35.0 - y[:2] + np.array([12.0, 3.0]) + 100 * s * (-50.0 - y[:2])) / 10.0
        return np.concatenate([dV, (opened - s) / tau]) if tau else dV

    start = [-45.0, -30.0, *[0.0, 0.0] * (tau > 0)]
    exact = solve_ivp(right, (0, 6), start, "LSODA", rtol=1e-11, atol=1e-11).y[:2, -1]
    errors = [np.abs(last(net, 6.0, dt, engine=engine, dtype=F64) - exact).max() for dt in STEPS[engine]]
    assert errors[0] < 1e-2
    assert all(1.6 < math.log2(a / b) < 2.4 for a, b in pairwise(errors)), errors


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("weight", [10.0, 1000.0])
def test_conductances_larger_than_the_leak(engine, weight):
    """A conductance of `weight`/g_L times the leak, decaying over 5 ms: against SciPy, of order 2."""
    from scipy.integrate import solve_ivp

    net = rv.Network()
    source = net.add(rv.SpikeTimes([1.0], torch.tensor([0])), 1)
    cells = net.add(rv.LIF(g_L=10.0, V_th=1e9), 1)
    net.connect(source, cells, weight=weight, delay=1.0, edges=([0], [0]), synapse=rv.ExponentialConductance(tau=5.0))
    right = lambda t, V: (-65.0 - V + weight / 10 * math.exp(-t / 5) * (0 - V)) / 20.0  # noqa: E731
    exact = solve_ivp(right, (0, 18.0), [-65.0], "LSODA", rtol=1e-11, atol=1e-11).y[0, -1]
    errors = [abs(last(net, 20.0, dt, engine=engine, dtype=F64)[0] - exact) for dt in (0.5, 0.25, 0.125)]
    assert errors[-1] < 1e-3 * 65
    assert all(a / b > 3.5 for a, b in pairwise(errors)), errors


def test_conductances_of_a_noisy_neuron_do_not_explode():
    """Euler's method alone would: dt·g/C is 5. V comes to rest between leak and reversal, as the balance says."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes([1.0], torch.tensor([0])), 1)
    cells = net.add(rv.EIF(g_L=1.0), 50, noise=0.5)
    synapse = rv.ExponentialConductance(tau=1e6, E_rev=-80.0)
    net.connect(source, cells, weight=1000.0, delay=1.0, out_degree=50, synapse=synapse)
    recording = rv.simulate(net, 50.0, dt=0.1, record=rv.Probe("V", neurons=cells)).states["V"].values[-100:]
    assert float(recording.mean()) == pytest.approx((-54.0 - 80.0 * 1000) / 1001, abs=0.01)
    assert float(recording.std()) < 0.1


def test_noise_passes_through_a_junction():
    """Two noisy cells as one: their mean has variance sigma^2/2, whatever the coupling and dt. A hundred pairs."""
    one, other = torch.arange(100), torch.arange(100, 200)
    edges = torch.cat([one, other]), torch.cat([other, one])
    for dt in (0.1, 0.5):
        net = rv.Network()
        cells = net.add(rv.LIF(g_L=1.0, V_th=1e9), 200, drive=0.0, noise=4.0)
        net.connect(cells, cells, weight=100.0, edges=edges, synapse=rv.Electrical())
        values = rv.simulate(net, 2100.0, dt=dt, seed=3, record=rv.Probe("V", interval=1.0)).states["V"].values
        mean = (values[100:, one] + values[100:, other]).double() / 2
        assert float((mean + 65.0).square().mean()) == pytest.approx(8.0, rel=0.08)  # 5000 independent samples: 2 %


def test_more_than_one_tile_and_population():
    """A ring over 600 cells in two populations of different models: the same as in torch."""
    net = rv.Network()
    a = net.add(rv.LIF(g_L=1.0), 300, drive=torch.linspace(10, 25, 300).double())
    b = net.add(rv.Graded(g_L=2.0), 300, drive=torch.linspace(-10, 10, 300).double())
    ring = torch.arange(300)
    for one, other in ((a, a), (a, b), (b, a)):
        net.connect(one, other, weight=5.0, edges=(ring, (ring + 1) % 300), synapse=rv.Electrical())
    net.connect(a, b, weight=1.0, edges=(ring, ring), synapse=rv.Sigmoidal(V_half=-55.0, E_rev=0.0))
    net.connect(a, a, weight=0.5, delay=1.0, edges=(ring, (ring + 7) % 300))
    ours, theirs = (rv.simulate(net, 20.0, dtype=F64, engine=e, record="V") for e in ("compiled", "torch"))
    assert ours.n_spikes > 50 and torch.equal(ours.times, theirs.times) and torch.equal(ours.neurons, theirs.neurons)
    torch.testing.assert_close(ours.states["V"].values, theirs.states["V"].values, rtol=0, atol=1e-6)
    again = rv.simulate(net, 20.0, dtype=F64, threads=2, record="V")
    assert torch.equal(ours.states["V"].values, again.states["V"].values)


def test_a_step_that_is_not_agreed_on_is_warned_of():
    """Mutual inhibition of the voltages, dt w/2 tau close to 1: the factor from one repetition to the next."""
    net = rv.Network()
    cells = net.add(rv.Graded(g_L=1.0), 2, drive=torch.tensor([12.0, 3.0]).double())
    net.connect(cells, cells, weight=-20.6, edges=BOTH, synapse=rv.synapses.Proportional())
    with pytest.warns(RuntimeWarning, match=r"still changed by .* mV after \d+ repetitions .* shorten dt \(now 1 ms\)"):
        rv.simulate(net, 1.0, dt=1.0)


def unlike(stiffness, ratio, synapse=None, **options):
    """Two cells whose capacitances have that ratio, 10 mV apart, and dt G/C of the smaller at dt 0.1 ms."""
    own = rv.LIF(tau_m=20.0, g_L=torch.tensor([1.0, ratio]).double(), V_th=1e9)
    start = torch.tensor([-60.0, -70.0]).double()
    return pair(own, stiffness * 20.0 / 0.1, synapse, initial={"V": start}, **options)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("ratio", [2.0, 5.0])
@pytest.mark.parametrize("stiffness", [0.5, 2.0, 10.0, 1e3, 1e7])
def test_a_jump_between_unlike_cells_is_shared_out(engine, dtype, stiffness, ratio):
    """Charge is conserved however strong the junction: to a thousandth of the jump at once, a tenth of that later."""
    w, C = stiffness * 200.0, 20.0 * np.array([1.0, ratio])
    A = np.array([[-w - 1, w], [w, -w - ratio]]) / C[:, None]
    for duration, bound in ((0.1, 1e-2), (2.0, 1e-3)):
        exact = -65 + scipy.linalg.expm(A * duration) @ [5.0, -5.0]
        V = last(unlike(stiffness, ratio), duration, 0.1, engine=engine, dtype=dtype)
        assert np.abs(V - exact).max() < bound


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("share", [1e6, 1e8])
def test_identical_spiking_cells_stay_exact_however_strongly_joined(engine, share):
    """To the bit: their junctions carry nothing."""
    V = [
        rv.simulate(pair(rv.LIF(), share * w, drive=20.0), 30.0, record="V", dtype=F64, engine=engine)
        for w in (0.0, 1.0)
    ]
    assert V[0].n_spikes == 2 and torch.equal(V[0].times, V[1].times)
    torch.testing.assert_close(V[0].states["V"].values, V[1].states["V"].values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("stiffness", [0.01, 1.0, 1e4])
def test_spikes_that_arrive_at_one_of_joined_cells_are_shared_out(engine, stiffness):
    """A delta synapse of 10 mV onto the smaller cell: against the matrix exponential from the jump on."""
    net = unlike(stiffness, 3.0)
    net.populations[0].initial["V"] = -65.0
    source = net.add(rv.SpikeTimes([0.2], [0]), 1)
    net.connect(source, net.populations[0], weight=10.0, delay=0.1, edges=([0], [0]))
    w, C = stiffness * 200.0, 20.0 * np.array([1.0, 3.0])
    A = np.array([[-w - 1, w], [w, -w - 3]]) / C[:, None]
    exact = -65 + scipy.linalg.expm(A * 0.7) @ [10.0, 0.0]
    record = rv.Probe("V", neurons=net.populations[0], interval=0.1)
    V = rv.simulate(net, 1.0, record=record, engine=engine, dtype=F64).states["V"].values[-1].numpy()
    assert np.abs(V - exact).max() < 5e-3


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("share", [1.0, 1e3, 1e7])
def test_a_refractory_cell_holds_its_partner(engine, share):
    """V of the first is clamped at reset for 5 ms; the second relaxes towards it and its own rest, in closed form."""
    own = rv.LIF(tau_m=20.0, V_th=torch.tensor([-64.0, 1e9]).double(), V_reset=-75.0, t_ref=5.0)
    start = {"V": torch.tensor([-63.9, -60.0]).double()}
    net = pair(own, share * 10.0, initial=start)
    recording = rv.simulate(net, 3.1, record="V", engine=engine, dtype=F64)
    V = recording.states["V"].values.numpy()
    assert recording.n_spikes == 1 and V[1, 0] == V[-1, 0] == -75.0
    rate, to = (1 + share) / 20.0, (-65.0 - 75.0 * share) / (1 + share)
    expected = to + (V[1, 1] - to) * np.exp(-rate * 0.1 * np.arange(len(V) - 1))
    assert np.abs(V[1:, 1] - expected).max() < 2e-3


@pytest.mark.parametrize("share", [0.3, 30.0, 1e5])
def test_hodgkin_huxley_by_rk4_is_stable_however_strongly_joined(share):
    """Two cells from unequal starts against SciPy, on their way to the first spike and past it."""
    from scipy.integrate import solve_ivp

    net = rv.Network()
    cells = net.add(rv.HodgkinHuxley(), 2, drive=torch.tensor([15.0, 12.0]).double(), method="rk4",
                    initial={"V": torch.tensor([-65.0, -55.0]).double()})  # fmt: skip
    w = share * 10.0
    net.connect(cells, cells, weight=w, edges=BOTH, synapse=rv.Electrical())
    V = rv.simulate(net, 12.0, dt=0.02, dtype=F64, record="V").states["V"].values[-1].numpy()

    def right(t, y):
        V, m, h, n = y.reshape(4, 2)
        v = V + 63.0
        ratio = lambda x: np.where(np.abs(x) < 1e-6, 1 - x / 2, x / np.expm1(x))  # noqa: E731
        dV = 10 * (-60 - V + np.array([15.0, 12.0])) - 20000 * m**3 * h * (V - 50) - 6000 * n**4 * (V + 90)
        dV = (dV + w * (V[::-1] - V)) / 200
        dm = 1.28 * ratio((13 - v) / 4) * (1 - m) - 1.4 * ratio((v - 40) / 5) * m
        dh = 0.128 * np.exp((17 - v) / 18) * (1 - h) - 4 / (1 + np.exp((40 - v) / 5)) * h
        dn = 0.16 * ratio((15 - v) / 5) * (1 - n) - 0.5 * np.exp((10 - v) / 40) * n
        return np.concatenate([dV, dm, dh, dn])

    initial = rv.HodgkinHuxley.initial
    start = np.repeat([0.0, *(float(initial.get(k, 0.0)) for k in ("m", "h", "n"))], 2)
    start[:2] = -65.0, -55.0
    exact = solve_ivp(right, (0, 12), start, "LSODA", rtol=1e-10, atol=1e-10).y[:2, -1]
    assert np.abs(V - exact).max() < 0.05


@pytest.mark.parametrize("neuron", [rv.EIF(tau_m=torch.tensor([20.0, 10.0]).double()), rv.AdEx()])
@pytest.mark.parametrize("share", [3.0, 80.0])
def test_upstrokes_of_unlike_joined_cells_are_agreed_on(neuron, share):
    """They answer a current by more than it is, so that repetitions change it by shares: no warning, whatever dt."""
    drive = torch.tensor([40.0, 25.0] if isinstance(neuron, rv.AdEx) else [14.0, 6.0]).double()
    rates = []
    for dt in (0.05, 0.025):
        net = pair(neuron, share * float(neuron.g_L), drive=drive)
        rates.append(rv.simulate(net, 200.0, dt=dt).rates())
    assert float(rates[0].min()) >= 5 and float((rates[0] - rates[1]).abs().max()) <= 10  # two spikes


def unlike_quadratic(share):
    own = rv.QIF(tau_m=torch.tensor([20.0, 10.0]).double())
    return pair(own, share * 10.0, drive=torch.tensor([14.0, 6.0]).double())


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize(("share", "dt"), [(100.0, 0.05), (300.0, 0.0125)])
def test_the_first_of_two_joined_upstrokes_resets_both(dtype, share, dt):
    """Pulled to the reset of the one, the other does not spike: against SciPy's events, to two steps a spike."""
    from scipy.integrate import solve_ivp

    tau, drive = np.array([20.0, 10.0]), np.array([14.0, 6.0])

    def right(t, V):
        return ((V + 65) * (V + 50) / 15 + drive + share * (V[::-1] - V)) / tau

    def reaches(t, V):
        return V[1] - 30.0

    reaches.terminal, reaches.direction = True, 1
    t, V, expected = 0.0, np.array([-65.0, -65.0]), []
    while True:
        path = solve_ivp(right, (t, 58.0), V, "LSODA", rtol=1e-9, atol=1e-9, events=reaches)
        assert path.y[0].max() < 30.0
        if path.status == 0:
            break
        t, V = path.t[-1], np.array([path.y[0, -1], -80.0])
        expected.append(t)
    recording = rv.simulate(unlike_quadratic(share), 58.0, dt=dt, dtype=dtype)
    assert (recording.neurons == 1).all() and recording.n_spikes == len(expected) >= 4
    assert (np.abs(recording.times.numpy() - expected) < 2 * dt * np.arange(1, len(expected) + 1)).all()


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_upstrokes_joined_within_a_step_are_warned_of(engine):
    with pytest.warns(RuntimeWarning, match=r"dt G/C of up to 1 .* expected at most 0.5: use dt = 0.05 ms"):
        rv.simulate(unlike_quadratic(100.0), 0.2, engine=engine)


def test_junctions_too_strong_to_be_solved_are_refused():
    net = rv.Network()
    cells = net.add(rv.LIF(g_L=1.0), 2)
    net.connect(cells, cells, weight=1e5, edges=([0, 1], [1, 0]), synapse=rv.Electrical())
    rv.simulate(net, 0.1)
    one_way = rv.Network()
    cells = one_way.add(rv.LIF(g_L=1.0), 3)
    one_way.connect(cells, cells, weight=1e5, edges=([0, 1, 2], [1, 2, 0]), synapse=rv.Electrical())
    for engine in ("compiled", "torch"):
        with pytest.raises(ValueError, match=r"two directions have dt G/C of up to 500 .* use dt = 0\.006 ms or less"):
            rv.simulate(one_way, 1.0, engine=engine)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_junctions_of_one_direction_against_the_matrix_exponential(engine):
    """A ring of one-way junctions, whose eigenvalues are complex, at dt G/C of 10."""
    w, n = 2000.0, 5
    net = rv.Network()
    start = torch.linspace(-70, -60, n).double()
    cells = net.add(rv.LIF(g_L=1.0, V_th=1e9), n, initial={"V": start})
    ring = torch.arange(n)
    net.connect(cells, cells, weight=w, edges=(ring, (ring + 1) % n), synapse=rv.Electrical())
    A = (w * np.roll(np.eye(n), 1, 0) - (w + 1) * np.eye(n)) / 20.0
    for duration in (0.1, 1.0):
        exact = -65 + scipy.linalg.expm(A * duration) @ (start.numpy() + 65)
        assert np.abs(last(net, duration, 0.1, engine=engine, dtype=F64) - exact).max() < 2e-3


def test_gradients_reach_the_weights_of_junctions():
    """Against differences, through the torch engine's step."""
    from ranvier.engines.surrogates import ArcTan
    from ranvier.engines.torch._step import TorchNetwork

    def end(w):
        own = rv.LIF(tau_m=20.0, g_L=torch.tensor([1.0, 2.0]).double(), V_th=1e9)
        net = rv.Network()
        cells = net.add(own, 2, initial={"V": torch.tensor([-60.0, -70.0]).double()})
        net.connect(cells, cells, weight=w, edges=BOTH, synapse=rv.Electrical())
        network = TorchNetwork(net, 0.1, F64, ArcTan(), external=False)
        constants, state = network.constants(), network.init_state(1)
        for _ in range(5):
            state, _ = network.step(constants, state, None)
        return state.variables[0][0, 0, 0]

    w = torch.tensor(30.0, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(end(w), w)
    h = 1e-4
    with torch.no_grad():
        assert float(slope) == pytest.approx(float(end(w + h) - end(w - h)) / (2 * h), rel=1e-5)


def test_the_upstroke_of_a_spike_without_reset_is_not_cut_off():
    """A Hodgkin-Huxley neuron by rk4 against exponential Euler, extrapolated to steps of zero from two."""
    interval = {}
    for method, dt in (("rk4", 0.05), ("exponential_euler", 0.02), ("exponential_euler", 0.01)):
        net = rv.Network()
        net.add(rv.HodgkinHuxley(), 1, drive=15.0, method=method)
        times = rv.simulate(net, 100.0, dt=dt, dtype=F64).times
        interval[method, dt] = float(times[-1] - times[0]) / (len(times) - 1)
    limit = 2 * interval["exponential_euler", 0.01] - interval["exponential_euler", 0.02]
    assert interval["rk4", 0.05] == pytest.approx(limit, abs=0.05)  # the grid of spike times; cut off, 1.1 ms more
