"""Graded networks: the linear noise approximation against closed forms, plain algebra and simulation."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

import ranvier as rv
from ranvier.theory.network.fluctuations.linear_noise import (
    fixed_point,
    lagged_covariance,
    linear_noise,
    lyapunov,
    noise_spectrum,
)
from ranvier.theory.network.graded import graded_prediction
from tests.theory.replicas import members, replicate


def stable(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, generator=rng, dtype=torch.float64) / n**0.5 / 2 - torch.eye(n, dtype=torch.float64)
    G = torch.randn(n, n, generator=rng, dtype=torch.float64)
    return A, G @ G.T


def test_lyapunov_against_the_kronecker_system():
    A, Q = stable(6)
    unit = np.eye(6)
    big = np.kron(A.numpy(), unit) + np.kron(unit, A.numpy())
    plain = np.linalg.solve(big, -Q.numpy().ravel()).reshape(6, 6)
    np.testing.assert_allclose(lyapunov(A, Q), plain, rtol=1e-11)
    A.requires_grad_(), Q.requires_grad_()
    assert torch.autograd.gradcheck(lyapunov, (A, Q))
    assert torch.autograd.gradgradcheck(lyapunov, (A, Q))
    with pytest.raises(ValueError, match="square ones of one size"):
        lyapunov(A, Q[:3, :3])


def test_lyapunov_by_blocks_is_scipys_of_the_whole():
    """Of more neurons than are solved at once, with pairs of eigenvalues that no cut may part; and stiff."""
    for n in (49, 150, 151):
        A, Q = stable(n)
        values = torch.linalg.eigvals(A)
        assert int((values.imag > 0).sum()) > n // 4
        for factor in (torch.ones(n).double(), torch.logspace(0, 4, n).double()):
            B = factor[:, None] * A
            plain = scipy.linalg.solve_continuous_lyapunov(B.numpy(), -Q.numpy())
            np.testing.assert_allclose(lyapunov(B, Q), plain, rtol=0, atol=1e-10 * np.abs(plain).max())


def test_spectrum_and_lags_are_each_others_transform():
    A, Q = stable(4)
    C = lyapunov(A, Q)
    lags = torch.arange(-400, 401, dtype=torch.float64) * 0.05
    wave = torch.exp(-2j * math.pi * 0.03 * lags)[:, None, None]  # 30 Hz
    plain = torch.trapezoid(lagged_covariance(A, C, lags) * wave, lags, dim=0) / 1000
    S = noise_spectrum(A, Q, 30.0)[0]
    torch.testing.assert_close(S, plain, rtol=1e-3, atol=1e-3 * float(S.abs().max()))
    torch.testing.assert_close(S, S.mH)


def pair(w, g=2.0, tau=10.0):
    """Two leaky neurons and a gap junction: their sum relaxes at 1/tau, their difference (1 + 2w/g)/tau."""
    net = rv.Network()
    two = net.add(rv.Graded(tau_m=tau, E_L=-50.0, g_L=g), 2, noise=3.0, drive=4.0)
    net.connect(two, two, weight=w, synapse=rv.Electrical(), edges=([0, 1], [1, 0]))
    return net


def test_gap_junction_closed_form():
    w, g, tau = 1.5, 2.0, 10.0
    prediction = graded_prediction(pair(w, g, tau))
    torch.testing.assert_close(prediction.mean(), torch.full((2,), -46.0, dtype=torch.float64))
    fast = 1 + 2 * w / g
    both, apart = 9.0 / 2, 9.0 / (2 * fast)  # variance shares of the two modes
    np.testing.assert_allclose(
        prediction.covariance(), [[both + apart, both - apart], [both - apart, both + apart]]
    )
    lag = 7.0
    slow, quick = both * math.exp(-lag / tau), apart * math.exp(-lag * fast / tau)
    np.testing.assert_allclose(prediction.cross_covariance(lag)[0, 0], [slow + quick, slow - quick])
    omega = 2 * math.pi * 0.02
    powers = [2 * v * r / (r**2 + omega**2) for v, r in ((both, 1 / tau), (apart, fast / tau))]
    np.testing.assert_allclose(
        prediction.spectrum(20.0)[0, 0].numpy(), [sum(powers) / 1000, (powers[0] - powers[1]) / 1000], atol=1e-15
    )
    np.testing.assert_allclose(prediction.correlation()[0, 1], (both - apart) / (both + apart))


def test_at_positive_lag_the_second_index_leads():
    net = rv.Network()
    two = net.add(rv.Graded(), 2, noise=2.0)
    net.connect(two, two, weight=10.0, synapse=rv.Sigmoidal(tau=5.0), edges=([0], [1]))  # 0 drives 1
    after, before = graded_prediction(net).cross_covariance([10.0, -10.0])
    assert after[1, 0] > 3 * before[1, 0]
    torch.testing.assert_close(after[1, 0], before[0, 1])


def random_network(seed, noise=1.0, **tensors):
    """Two kinds of neurons; every kind of graded synapse."""
    net = rv.Network(seed=seed)
    a = net.add(rv.Graded(tau_m=tensors.get("tau_m", 20.0), g_L=2.0), 9, "a", noise=noise,
                drive=tensors.get("drive", torch.linspace(-3, 3, 9)))  # fmt: skip
    b = net.add(rv.Graded(tau_m=8.0, E_L=-45.0, g_L=1.0), 6, "b", noise=1.5 * noise)
    net.connect(a, [a, b], weight=4.0, synapse=rv.Sigmoidal(slope=6.0), probability=0.3)
    net.connect(b, a, weight=-8.0, synapse=rv.Sigmoidal(V_half=-40.0, tau=6.0), probability=0.3)
    edges = ([0, 1, 2, 3, 4, 5], [0, 2, 4, 6, 8, 1])
    weight = tensors.get("weight", torch.linspace(0.1, 0.6, 6))
    net.connect(b, a, weight=weight, synapse=rv.Sigmoidal(slope=4.0, tau=12.0, E_rev=0.0), edges=edges)
    net.connect(a, b, weight=0.3, synapse=rv.Sigmoidal(E_rev=-70.0), probability=0.4)
    net.connect(a, a, weight=0.4, synapse=rv.Electrical(), edges=([0, 3, 3, 5], [3, 0, 5, 3]))
    net.connect(b, a, weight=0.2, synapse=rv.Electrical(), edges=([2], [7]))
    return net


@pytest.mark.parametrize("seed", range(3))
def test_fixed_point_is_where_the_noiseless_simulation_rests(seed):
    net = random_network(seed, noise=0.0)
    recording = rv.simulate(net, 1500.0, dt=0.1, dtype=torch.float64, record=[rv.Probe("V", interval=100.0)])
    np.testing.assert_allclose(graded_prediction(net).mean(), recording.states["V"].values[-1], atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_covariances_of_random_networks_against_simulation(seed):
    """Every pair, at lag 0 and 10 ms, within its sampling error (28 copies); noise 1 mV, at which the
    approximation's own error, of second order, is below it."""
    copies, lag = 28, 5
    net = random_network(seed)
    prediction = graded_prediction(net)
    probe = rv.Probe("V", interval=2.0)
    recording = rv.simulate(replicate(net, copies), 2200.0, dt=0.1, seed=seed, record=[probe]).after(200.0)
    V = recording.states["V"].values.double()[:, members(net, copies)]
    V = V - V.mean((0, 1))
    for shift, expected in ((0, prediction.covariance()), (lag, prediction.cross_covariance(2.0 * lag)[0])):
        late, early = V[shift:], V[: len(V) - shift]
        each = torch.einsum("tci,tcj->cij", late, early) / len(late)
        z = (each.mean(0) - expected) / (each.std(0) / copies**0.5)
        assert 0.8 < z.square().mean().sqrt() < 1.25, shift  # 1 but for few independent pairs
        assert z.abs().max() < 5.5  # of 450 values, Student's t with 27 degrees of freedom


@pytest.mark.long
def test_the_worm():
    """302 neurons: simulated against predicted, all pairs, with little noise. In 40 s, of which the slowest mode's
    265 ms leave 75 independent samples, the mean variance has a standard error of 0.4 %."""
    net = rv.brains.celegans(noise=1.0).network
    prediction = graded_prediction(net)
    V = rv.simulate(net, 41_000.0, dt=0.5, seed=3, record=[rv.Probe("V", interval=10.0)]).after(1000.0)
    V = V.states["V"].values.double()
    assert float((V.mean(0) - prediction.mean()).abs().max()) < 0.2
    V = V - V.mean(0)
    blocks = torch.stack([x.T @ x / len(x) for x in V.chunk(20)])
    z = (blocks.mean(0) - prediction.covariance()) / (blocks.std(0) / 20**0.5)
    pairs = z[torch.triu_indices(302, 302, 1).unbind()]
    assert 0.95 < float(pairs.square().mean().sqrt()) < 1.15  # Student's t with 19 degrees of freedom: 1.06
    np.testing.assert_allclose(
        blocks.mean(0).diagonal().mean(), prediction.covariance().diagonal().mean(), rtol=0.015
    )


def test_gradients_in_weights_drive_noise_and_time_constants():
    inputs = (
        torch.linspace(0.1, 0.6, 6, dtype=torch.float64),
        torch.tensor(2.0, dtype=torch.float64),
        torch.tensor(1.0, dtype=torch.float64),
        torch.tensor(20.0, dtype=torch.float64),
    )

    def answers(weight, drive, noise, tau_m):
        net = random_network(0, weight=weight, drive=drive, tau_m=tau_m, noise=noise)
        prediction = graded_prediction(net)
        some = [0, 4, 11]
        spectrum = prediction.spectrum(12.0, neurons=some)
        lagged = prediction.cross_covariance([-3.0, 8.0], neurons=some)
        return prediction.mean(), prediction.covariance(neurons=some), lagged, spectrum.real, spectrum.imag

    weight, drive, noise, tau_m = (x.clone().requires_grad_() for x in inputs)
    inputs = (weight, drive, noise, tau_m)
    assert torch.autograd.gradcheck(answers, inputs, eps=1e-5, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_of_two_fixed_points_the_one_reached_from_the_start():
    net = rv.Network()
    one = net.add(rv.Graded(E_L=-60.0), 1, noise=0.5)
    net.connect(one, one, weight=50.0, synapse=rv.Sigmoidal(slope=4.0), edges=([0], [0]))
    low = graded_prediction(net).mean()
    high = graded_prediction(net, start=torch.tensor([-20.0])).mean()
    for V, about in ((low, -59.9), (high, -10.0)):
        assert abs(float(V) - about) < 0.5
        assert abs(float(-60 - V + 50 / (1 + math.exp(-(float(V) + 35) / 4)))) < 1e-9


def test_noise_that_two_variables_share():
    class Pair(rv.Neuron):
        """A voltage and an adaptation driven by one noise."""

        equations = rv.Equations(
            "dV/dt = (drive + I - V - a)/10 + noise*xi\n da/dt = (V - a)/50 + 2*noise*xi + noise*xi_b"
        )
        g_L: float = 1.0

    net = rv.Network()
    net.add(Pair(), 1, noise=0.3, drive=2.0)
    around = graded_prediction(net).around
    np.testing.assert_allclose(around.diffusion, 0.09 * np.array([[1, 2], [2, 5]]))
    np.testing.assert_allclose(around.state, [1.0, 1.0])


def test_what_has_no_stationary_state_is_refused():
    def ring(x):  # three cells, each inhibiting the next, with a steep nonlinearity: it oscillates
        return 10 * torch.sigmoid(-4 * (torch.roll(x, 1) - 3)) - x

    with pytest.raises(ValueError, match="not settled"):
        fixed_point(ring, torch.tensor([1.0, 2.0, 4.0]), horizon=300)
    with pytest.raises(ValueError, match=r"unstable.*oscillating at"):
        linear_noise(ring, torch.eye(3, dtype=torch.float64), torch.full((3,), _even(), dtype=torch.float64))
    with pytest.raises(ValueError, match="runs away"):
        fixed_point(lambda x: x**2 + 1, torch.tensor([0.0]))


def _even() -> float:
    """The ring's symmetric, unstable fixed point, by bisection."""
    low, high = 0.0, 10.0
    for _ in range(200):
        x = (low + high) / 2
        low, high = (x, high) if 10 / (1 + math.exp(4 * (x - 3))) > x else (low, x)
    return x


def test_what_is_no_graded_network_is_refused():
    net = rv.Network()
    spiking = net.add(rv.LIF(), 2, "cells")
    with pytest.raises(ValueError, match="'cells' of LIF spikes"):
        graded_prediction(net)
    net = rv.Network()
    cells = net.add(rv.Graded(), 2, "cells", drive=rv.TimeSeries([1.0, 2.0], 1.0))
    with pytest.raises(ValueError, match="changes in time"):
        graded_prediction(net)
    net = rv.Network()
    cells = net.add(rv.Graded(), 2, "cells")
    net.background(cells, 100.0, 0.1)
    with pytest.raises(ValueError, match="background"):
        graded_prediction(net)
    net = rv.Network()
    net.add(rv.Graded(), 2)
    with pytest.raises(ValueError, match="one value a variable"):
        graded_prediction(net, start=torch.zeros(3))
    assert spiking.size == 2
