"""Gradients of a network's statistics, and what they are for."""

import math
import time

import pytest
import torch

import ranvier as rv
from ranvier.theory.network.fluctuations import frequencies
from tests.theory.beside import gradient_is_that_of_differences


def leaf(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


VALUES = {
    "weight": [30.0, -25.0, 40.0, 20.0],
    "delay": [1.0, 2.5, 0.7, 1.0],
    "drive": [9.0, 11.0, 8.0],
    "noise": [6.0, 7.0, 5.0],
    "tau_m": [10.0, 12.0, 9.0],
    "V_th": [-40.0, -41.0, -39.5],
    "V_reset": [-60.0, -62.0, -61.0],
    "t_ref": [2.0, 1.0, 1.5],
    "Delta_T": [2.0, 1.8, 2.2],
    "rate": 50.0,
    "jump": [0.3, 0.3, 0.4],
    "tau_s": [3.0, 5.0, 1.0, 6.0],
}


def build(weight, delay, drive, noise, tau_m, V_th, V_reset, t_ref, Delta_T, rate, jump, tau_s):
    """Two models, four kinds of synapse, a Poisson source and two backgrounds."""
    net = rv.Network()
    own = {"V_th": V_th, "V_reset": V_reset, "t_ref": t_ref, "Delta_T": Delta_T}
    a = net.add(rv.EIF(tau_m=tau_m, E_L=-65.0, V_T=-50.0, **own), 3, drive=drive, noise=noise)
    b = net.add(rv.LIF(tau_m=15.0), 1, drive=11.0, noise=5.0)
    p = net.add(rv.Poisson(rate), 1)
    net.connect(a, a, weight=weight, delay=delay, synapse=rv.Alpha(tau=tau_s[0]), edges=([0, 1, 2, 2], [1, 2, 0, 1]))
    net.connect(a, b, weight=jump[0], synapse=rv.Delta(), edges=([0], [0]))
    net.connect(b, a, weight=-30.0, synapse=rv.Exponential(tau=tau_s[1]), edges=([0, 0], [0, 1]))
    biexponential = rv.BiExponential(tau_rise=tau_s[2], tau_decay=tau_s[3], normalise="peak")
    net.connect(p, a, weight=3.0, synapse=biexponential, edges=([0, 0], [0, 1]))
    net.background(a, rate=1000.0, weight=jump, synapse=rv.Delta())
    net.background(b, rate=500.0, weight=4.0, synapse=rv.Exponential(tau=tau_s[1]))
    # few nodes: differences ask for an exact derivative of what is computed, not for an exact answer
    prediction = rv.predict(net, N=60, V_lb=-120.3, recurrent_noise="filtered")
    prediction.__dict__["frequencies"] = torch.linspace(0.0, 200.0, 9, dtype=torch.float64)
    return prediction


MEASURES = {
    "rates": lambda prediction: prediction.rates(),
    "cv": lambda prediction: prediction.cv(),
    "spectrum": lambda prediction: prediction.spectrum([0.0, 20.0]),
    "pairs": lambda prediction: prediction.spectrum([20.0], pairs=[[0, 1], [4, 1], [1, 1]]),
    "covariance": lambda prediction: 10 * prediction.covariance(50.0),
    "correlation": lambda prediction: prediction.correlation(float("inf"), neurons=[0, 2, 4]),
    "lags": lambda prediction: prediction.cross_correlation([-1.0, 3.0], pairs=[[0, 1], [2, 2]], bin=1.0) / 10,
}


@pytest.fixture(scope="module")
def shifted():
    """The prediction with gradients, and those beside it in a random direction of each input."""
    inputs = {k: leaf(v) for k, v in VALUES.items()}
    g = torch.Generator().manual_seed(5)
    beside = {}
    for name, value in inputs.items():
        along = torch.randn(value.shape, generator=g, dtype=torch.float64)
        with torch.no_grad():
            beside[name] = (along, *(build(**(inputs | {name: value + h * along})) for h in (STEP, -STEP)))
    return inputs, build(**inputs), beside


STEP = 1e-5


@pytest.mark.parametrize("name", MEASURES)
def test_directional_derivatives(name, shifted):
    """In weights, delays, drive, noise, times of membranes and synapses, thresholds, resets, sharpness, rates of
    sources: a random direction of each, by central differences."""
    inputs, prediction, beside = shifted
    measured = torch.view_as_real(value) if (value := MEASURES[name](prediction)).is_complex() else value
    weights = torch.randn(measured.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    gradients = torch.autograd.grad(
        (weights * measured).sum(), list(inputs.values()), retain_graph=True, materialize_grads=True
    )
    for (key, (along, above, below)), gradient in zip(beside.items(), gradients, strict=True):
        with torch.no_grad():
            difference = MEASURES[name](above) - MEASURES[name](below)
        difference = torch.view_as_real(difference) if difference.is_complex() else difference
        expected = float((weights * difference).sum()) / (2 * STEP)
        assert float((gradient * along).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-5), key


@pytest.mark.parametrize("name", ["weight", "tau_s"])
def test_each_entry_of_the_gradient(name):
    """Every entry by central differences through the whole of predict, of what is scattered over edges and of what
    several share (the directions above project)."""
    inputs = {k: torch.tensor(v, dtype=torch.float64) for k, v in VALUES.items()}

    def loss(values):
        prediction = build(**(inputs | {name: values}))
        return prediction.rates().square().sum() + 1e3 * prediction.covariance(50.0).square().sum()

    gradient_is_that_of_differences(loss, inputs[name], rel=2e-5)


ANSWERS = {
    "rates": lambda prediction: prediction.rates(),
    "cv": lambda prediction: prediction.cv(),
    "short": lambda prediction: prediction.covariance(5.0),
    "long": lambda prediction: prediction.covariance(500.0),
    "correlation": lambda prediction: prediction.correlation(50.0),
    "limit": lambda prediction: prediction.correlation(math.inf),
    "binned": lambda prediction: prediction.cross_correlation([-2.0, 0.0, 3.0]),
    "lags": lambda prediction: prediction.cross_correlation([-2.0, 3.0], bin=0.0),
    "spectrum": lambda prediction: prediction.spectrum([0.0, 30.0]).abs(),
    "motifs": lambda prediction: prediction.motifs(2, 20.0).abs(),
}


def test_every_answer_on_its_own_frequencies_and_grid():
    """By central differences of whole predictions, each with the grid and frequencies that it chooses: at a CV of .04,
    where spectra have peaks 0.3 Hz wide. One derivative of all answers, each in its own unit."""

    def predicted(scale):
        net = rv.Network()
        drive = torch.stack([30.0 * scale, 27.0 * scale**2])
        cells = net.add(rv.LIF(tau_m=15.0), 2, drive=drive, noise=0.6 * scale)
        net.connect(cells, cells, weight=4.0 * scale, delay=1.5, synapse=rv.Exponential(tau=4.0), edges=([0], [1]))
        return rv.predict(net, recurrent_noise="filtered")

    one, step = torch.tensor(1.0, dtype=torch.float64, requires_grad=True), 1e-4
    prediction = predicted(one)
    with torch.no_grad():
        prediction.covariance(5.0)  # whoever asks first takes no gradients away
        above, below = predicted(one + step), predicted(one - step)
    for names in (["rates", "cv", "limit", "spectrum", "motifs"], ["short", "long", "correlation", "binned", "lags"]):
        total, differences = 0.0, 0.0
        for name in names:
            with torch.no_grad():
                expected = (ANSWERS[name](above) - ANSWERS[name](below)) / (2 * step)
            weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)) / expected.abs().max()
            total = total + (weights * ANSWERS[name](prediction)).sum()
            differences += float((weights * expected).sum())
        (slope,) = torch.autograd.grad(total, one, retain_graph=True)
        assert float(slope) == pytest.approx(differences, abs=2e-3), names


def test_peaks_that_no_frequencies_resolve_have_no_gradients(monkeypatch):
    monkeypatch.setattr(frequencies, "MOST", 300)
    drive = torch.tensor([30.0, 27.0], dtype=torch.float64, requires_grad=True)
    net = rv.Network()
    cells = net.add(rv.LIF(), 2, drive=drive, noise=0.3)
    net.connect(cells, cells, weight=4.0, edges=([0], [1]))
    prediction = rv.predict(net, N=100)
    assert prediction.rates().requires_grad
    with pytest.raises(ValueError, match=r"more narrow peaks than 300 frequencies.*expected fewer such neurons"):
        prediction.covariance(20.0)


def test_backward_costs_at_most_four_times_forward():
    g = torch.Generator().manual_seed(0)
    drive = (8 + 4 * torch.rand(60, generator=g).double()).requires_grad_()
    weight = torch.full((600,), 5.0, dtype=torch.float64, requires_grad=True)
    net = rv.Network()
    a = net.add(rv.EIF(tau_m=10.0), 60, drive=drive, noise=7.0)
    ends = torch.randint(0, 60, (2, 600), generator=g)
    net.connect(a, a, weight=weight, synapse=rv.Exponential(), edges=(ends[0], ends[1]))
    ratios = []
    while min(ratios, default=4) >= 4 and len(ratios) < 3:
        began = time.process_time()
        loss = rv.predict(net).covariance(50.0).square().sum()
        forward = time.process_time() - began
        loss.backward()
        ratios.append((time.process_time() - began - forward) / forward)
    assert min(ratios) < 4, ratios


def wiring(seed, size=8, edges=24):
    """Directed edges without repeats: (sources, targets)."""
    g = torch.Generator().manual_seed(seed)
    place = torch.randperm(size * (size - 1), generator=g)[:edges]
    source, rest = place // (size - 1), place % (size - 1)
    return source, rest + (rest >= source)


def network(edges, weight, size=8):
    net = rv.Network()
    cells = net.add(rv.LIF(tau_m=10.0), size, drive=torch.linspace(11.0, 13.0, size).double(), noise=5.0)
    net.connect(cells, cells, weight=weight, delay=1.5, synapse=rv.Exponential(tau=4.0), edges=edges)
    return net


def descend(loss, x, steps=30):
    """Minimise loss(x) by L-BFGS."""
    x = x.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [x], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-14
    )

    def closure():
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        return value

    optimizer.step(closure)
    return x.detach()


@pytest.mark.long
def test_weights_are_fitted_to_rates_and_covariances():
    """Planted weights on a known wiring come back from rates and short-window covariances."""
    edges = wiring(1, size=5, edges=10)
    planted = 25 * torch.randn(10, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        aim = rv.predict(network(edges, planted, 5), N=300)
        rates, C = aim.rates(), aim.covariance(20.0)

    def loss(w):
        prediction = rv.predict(network(edges, w, 5), N=300)
        return (prediction.rates() - rates).square().sum() + 1e4 * (prediction.covariance(20.0) - C).square().sum()

    result = descend(loss, torch.zeros(10).double(), steps=25)
    torch.testing.assert_close(result, planted, rtol=0, atol=0.05)


@pytest.mark.long
def test_a_planted_network_from_its_lagged_covariances():
    """The wiring itself, every pair allowed. Equal-time covariances are symmetric, N(N+1)/2 numbers for N(N-1)
    weights: they cannot tell who leads. Covariances at a lag can, and here they do; from equal times alone
    another network fits as well."""
    edges = wiring(3, size=5, edges=7)
    planted = 30 * torch.randn(7, generator=torch.Generator().manual_seed(4)).double()
    every = torch.tensor([(s, t) for s in range(5) for t in range(5) if s != t]).T
    truth = torch.zeros(5, 5).double()
    truth[edges[1], edges[0]] = planted
    lags = torch.tensor([4.0])

    def observed(net):
        prediction = rv.predict(net, N=300, recurrent_noise="filtered")
        return prediction.rates(), prediction.cross_correlation(lags, bin=4.0), prediction.correlation(float("inf"))

    with torch.no_grad():
        aim = observed(network(edges, planted, 5))

    def directed(w):
        prediction = observed(network((every[0], every[1]), w, 5))
        return 1e-2 * (prediction[0] - aim[0]).square().sum() + 1e-2 * (prediction[1] - aim[1]).square().sum()

    def symmetric(w):
        prediction = observed(network((every[0], every[1]), w, 5))
        return 1e3 * (prediction[2] - aim[2]).square().sum()

    def matrix(w):
        result = torch.zeros(5, 5).double()
        result[every[1], every[0]] = w
        return result

    start = torch.zeros(20).double()
    result = descend(directed, start, steps=45)
    assert (matrix(result) - truth).abs().max() < 1.0  # of weights up to 60
    other = descend(symmetric, start + 1.0, steps=30)
    assert symmetric(other) < 1e-6 * symmetric(start)
    assert (matrix(other) - truth).abs().max() > 10.0


@pytest.mark.long
def test_wiring_that_decorrelates():
    """Given excitation that correlates, the inhibitory weights that undo half of it (mean square): each of
    four inhibitory neurons may reach all others. Large weights cost, or they would silence their targets."""
    excitatory = torch.tensor([(s, t) for s in range(4) for t in range(8) if (t - s) % 8 in (1, 2, 5)]).T
    inhibitory = torch.tensor([(s, t) for s in range(4, 8) for t in range(8) if s != t]).T
    edges = torch.cat([excitatory, inhibitory], 1)
    off = ~torch.eye(8, dtype=torch.bool)

    def correlation(w):
        weight = torch.cat([torch.full((excitatory.shape[1],), 25.0).double(), w])
        prediction = rv.predict(network((edges[0], edges[1]), weight), N=300, recurrent_noise="filtered")
        return prediction.correlation(float("inf"))[off].square().mean()

    start = torch.full((inhibitory.shape[1],), -5.0).double()
    result = descend(lambda w: correlation(w) + 1e-8 * w.square().sum(), start, steps=25)
    assert float(correlation(result)) < 0.55 * float(correlation(start))
    assert result.abs().max() < 150.0
