"""The torch engine: agreement with the compiled one, the laws of cells, gradients."""

import pytest
import torch

import ranvier as rv
from tests.laws.cells import check_cell

F64 = torch.float64


def mixed_network(noise: float = 0.0) -> rv.Network:
    """Spiking neurons of four models, all kinds of synapses, individual delays."""
    net = rv.Network(seed=4)
    exc = net.add(rv.EIF(), 30, name="exc", drive=10.0, noise=noise, initial={"V": torch.linspace(-60, -50, 30)})
    inh = net.add(rv.LIF(E_L=-60.0, tau_m=torch.linspace(10, 20, 10)), 10, name="inh", drive=14.0, noise=noise)
    hh = net.add(rv.HodgkinHuxley(), 5, name="hh", drive=torch.linspace(0.0, 20.0, 5))
    slow = net.add(rv.AdEx(), 5, name="slow", drive=30.0)
    net.connect(exc, inh, weight=8.0, probability=0.3, delay=1.5, synapse=rv.Exponential(tau=5.0))
    net.connect(inh, exc, weight=-0.8, probability=0.3, delay=1.0, synapse=rv.Delta())
    net.connect(exc, hh, weight=3.0, probability=0.5, delay=0.7, synapse=rv.ExponentialConductance(tau=5.0))
    net.connect(hh, slow, weight=40.0, probability=0.8, delay=2.0, synapse=rv.Alpha(tau=3.0))
    net.connect(
        exc, slow, weight=torch.linspace(-3, 6, 30, dtype=F64), delay=torch.linspace(0.1, 3, 30, dtype=F64),
        synapse=rv.BiExponential(tau_rise=1.0, tau_decay=4.0),
        edges=(torch.arange(30), torch.arange(30) % 5),
    )  # fmt: skip
    return net


def test_both_engines_spike_at_the_same_steps_without_noise():
    net = mixed_network()
    a = rv.simulate(net, 80.0, dtype=F64, record="V")
    b = rv.simulate(net, 80.0, dtype=F64, record="V", engine="torch")
    assert a.n_spikes > 100 and torch.equal(a.times, b.times) and torch.equal(a.neurons, b.neurons)
    # a spike's upstroke magnifies rounding by exp((V − V_T)/Delta_T)
    ours, theirs = a.states["V"].values, b.states["V"].values
    calm = ours < -45
    assert calm.double().mean() > 0.9
    torch.testing.assert_close(ours[calm], theirs[calm], rtol=0, atol=1e-7)


def test_first_spikes_agree_in_float32():
    net = mixed_network()
    a, b = rv.simulate(net, 60.0), rv.simulate(net, 60.0, engine="torch")
    assert a.n_spikes > 100
    for neuron in range(net.size):
        ours, theirs = a.times[a.neurons == neuron], b.times[b.neurons == neuron]
        assert len(ours) == len(theirs) == 0 or abs(ours[0] - theirs[0]) < 0.11


def test_both_engines_agree_on_rates_with_noise():
    net = rv.Network(seed=1)
    lif = net.add(rv.LIF(), 400, drive=10.0, noise=5.0)
    net.background(lif, rate=1000.0, weight=0.5)
    net.connect(lif, lif, weight=-0.2, in_degree=40, delay=1.0, synapse=rv.Delta())
    a, b = rv.simulate(net, 500.0, dt=0.2, seed=3), rv.simulate(net, 500.0, dt=0.2, seed=3, engine="torch")
    ours, theirs = a.after(100.0).rates(), b.after(100.0).rates()
    error = (ours.var() / 400 + theirs.var() / 400).sqrt()
    assert ours.mean() > 5 and abs(ours.mean() - theirs.mean()) < 4 * error


def test_continuous_synapses_agree():
    net = rv.Network(seed=2)
    worm = net.add(rv.Graded(), 12, drive=torch.linspace(-4, 6, 12))
    net.connect(worm, worm, weight=0.3, probability=0.4, synapse=rv.Electrical())
    net.connect(worm, worm, weight=2.0, probability=0.4, synapse=rv.Sigmoidal(tau=3.0))
    net.connect(worm, worm, weight=0.4, probability=0.4, synapse=rv.Sigmoidal(E_rev=-70.0))
    a = rv.simulate(net, 30.0, dtype=F64, record="V")
    b = rv.simulate(net, 30.0, dtype=F64, record="V", engine="torch")
    values = a.states["V"].values
    assert values[-1].std() > 1
    torch.testing.assert_close(values, b.states["V"].values, rtol=0, atol=1e-9)


@pytest.fixture
def trainable():
    net = rv.Network(seed=1)
    drive = torch.nn.Parameter(torch.full((6,), 16.0, dtype=F64))
    tau = torch.nn.Parameter(torch.tensor(15.0, dtype=F64))
    lif = net.add(rv.LIF(tau_m=tau), 6, drive=drive, noise=1.0)
    weights = torch.nn.Parameter(torch.linspace(-4, 9, 12, dtype=F64))
    edges = (torch.arange(12) % 6, (torch.arange(12) * 5 + 1) % 6)
    net.connect(lif, lif, weight=weights, edges=edges, delay=0.3, synapse=rv.Exponential(tau=2.0))
    return net, [drive, tau, weights]


def test_a_network_is_a_lawful_cell(trainable):
    net, parameters = trainable
    cell = rv.as_cell(net, 0.1, dtype=F64, surrogate=rv.engines.surrogates.ArcTan(width=5.0), seed=3)
    x = 4 * torch.rand(240, 3, 6, dtype=F64, generator=torch.Generator().manual_seed(0))
    check_cell(cell, x, parameters)
    assert {id(p) for p in cell.parameters()} == {id(p) for p in parameters}


def test_gradients_of_a_silent_network_are_exact():
    # without spikes the step is smooth, so autograd must equal finite differences
    net = rv.Network()
    weights = torch.linspace(0.5, 1.5, 4, dtype=F64).requires_grad_()
    source = net.add(rv.SpikeTimes(torch.tensor([1.0, 2.0, 3.5]), torch.tensor([0, 1, 0])), 2)
    graded = net.add(rv.Graded(), 2, initial={"V": -35.0})
    net.connect(source, graded, weight=weights, delay=0.5, edges=([0, 0, 1, 1], [0, 1, 0, 1]))

    def last(w, x):
        net.projections[0].__dict__["weight"] = w
        return rv.as_cell(net, 0.1, dtype=F64)(x)[0][-1, :, 2:]

    x = torch.zeros(60, 1, 4, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: last(w, x.detach()), weights)
    (slope,) = torch.autograd.grad(last(weights, x).sum(), x)
    assert slope[:, 0, 2:].min() > 0


def test_training_moves_a_rate_to_its_target():
    net = rv.Network(seed=1)
    drive = torch.nn.Parameter(torch.linspace(15.5, 18.0, 20))
    net.add(rv.LIF(t_ref=0.0), 20, drive=drive)
    cell = rv.as_cell(net, 1.0, surrogate=rv.engines.surrogates.FastSigmoid(width=5.0))
    x = torch.zeros(100, 1, 20)
    optimizer = torch.optim.Adam([drive], lr=0.5)
    for _ in range(35):
        y, _ = cell(x)
        loss = (y.sum(0).mean() - 6.0) ** 2  # six spikes in 100 ms: 60 Hz
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs(y.sum(0).mean() - 6.0) <= 0.5 and drive.mean() > 20.0


@pytest.mark.parametrize("name", ["ArcTan", "FastSigmoid", "Triangle", "Gaussian", "StraightThrough"])
def test_surrogates_step_forward_and_slope_backward(name):
    surrogate = getattr(rv.engines.surrogates, name)(width=2.0)
    x = torch.tensor([-5.0, -0.5, 0.0, 0.5], dtype=F64, requires_grad=True)
    y = surrogate(x)
    y.sum().backward()
    assert y.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert x.grad is not None
    assert x.grad[2] == pytest.approx(0.5) and x.grad[1] == pytest.approx(x.grad[3])
    assert 0 <= x.grad[0] < x.grad[1] <= x.grad[2]


def test_wrong_shapes_are_refused(trainable):
    cell = rv.as_cell(trainable[0], 0.1)
    for shape in [(5, 2, 7), (0, 2, 6), (5, 6)]:
        with pytest.raises(ValueError, match="expected"):
            cell(torch.zeros(shape))


def recurrent_cell(scale):
    net = rv.Network(seed=1)
    cells = net.add(rv.LIF(t_ref=0.0), 20, drive=60.0)
    weight = torch.nn.Parameter(scale * torch.randn(400, generator=torch.Generator().manual_seed(0)))
    ends = torch.cartesian_prod(torch.arange(20), torch.arange(20)).T
    net.connect(cells, cells, weight=weight, delay=0.1, edges=(ends[0], ends[1]), synapse=rv.Exponential(tau=2.0))
    return rv.as_cell(net, 0.1), weight


def test_gradients_that_explode_are_warned_of_with_their_factor():
    """Recurrent spikes multiply them step by step; the same network with weak weights is quiet."""
    x = torch.zeros(300, 1, 20)
    cell, weight = recurrent_cell(10.0)
    y, _ = cell(x)
    with pytest.warns(RuntimeWarning, match=r"gradients exploded in 300 steps: .* is \S+ times what"):
        y.sum().backward()
    assert float(weight.grad.abs().max()) > 1e4
    cell, weight = recurrent_cell(1.0)
    y, _ = cell(x)
    y.sum().backward()
    assert 0 < float(weight.grad.abs().max()) < 100
