"""Covariances and spectra of networks against the formulas written out, quadrature and finite differences."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import theory
from ranvier.theory.network.fluctuations import linear_response
from ranvier.theory.network.fluctuations.linear_response import Selection, cross_spectra
from ranvier.theory.network.fluctuations.motifs import strongest_paths
from ranvier.theory.network.self_consistency.rates import Coupling

O = {"tau_m": 10.0, "E_L": -72.0, "Delta_T": 1.4, "V_T": -48.0, "V_th": 30.0, "V_reset": -72.0, "t_ref": 2.0}


def hundred(excitation, inhibition, seed=1):
    """The network of 100 of the reference values."""
    net = rv.Network(seed=seed)
    e = net.add(rv.EIF(**O), 80, name="e", drive=10.0, noise=9.0)
    i = net.add(rv.EIF(**O), 20, name="i", drive=10.0, noise=9.0)
    synapse = rv.Exponential(tau=5.0)
    net.connect(e, [e, i], weight=excitation, probability=0.2, synapse=synapse)
    net.connect(i, [e, i], weight=inhibition, probability=0.2, synapse=synapse)
    return net


def matrices(net):
    """W (mV·ms) and delays as dense arrays, from the edges."""
    W = np.zeros((net.size, net.size))
    for p in net.projections:
        s, t = (x.numpy() for x in p.edges())
        np.add.at(W, (t + p.target.start, s + p.source.start), p.weight)
    return W


def lowered_spectra(net, rates, f, delay=1.0, tau_s=5.0, share=0.0):
    """C(f) in Hz of single neurons' theory, one after another, by dense inverses."""
    W, r = matrices(net), rates.numpy() / 1000
    A, S = np.zeros(net.size, complex), np.zeros(net.size)
    for i in range(net.size):
        mu = -72.0 + 10.0 + W[i] @ r
        variance = 81.0 + share * W[i] ** 2 @ r / 20.0
        m = theory.membrane(
            lambda V, mu=mu: mu - V + 1.4 * torch.exp((V + 48.0) / 1.4),
            tau=10.0, sigma=math.sqrt(variance), V_th=30.0, V_reset=-72.0, t_ref=2.0,
        )  # fmt: skip
        x = theory.response(m, f)
        A[i], S[i] = complex(x.current), float(x.spectrum)
    K = A[:, None] / 1000 * W * np.exp(-2j * np.pi * f * delay / 1000) / (1 + 2j * np.pi * f * tau_s / 1000)
    B = np.linalg.inv(np.eye(net.size) - K)
    return B @ np.diag(S) @ B.conj().T


@pytest.mark.parametrize(("noise", "share"), [("none", 0.0), ("filtered", 2 / 3)])
def test_spectra_by_hand(noise, share):
    net = hundred(20.0, -80.0)
    prediction = rv.predict(net, recurrent_noise=noise)
    for f in (0.0, 30.0):
        expected = lowered_spectra(net, prediction.rates(), f, share=share)
        C = prediction.spectrum([f])[0].numpy()
        np.testing.assert_allclose(C, expected, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(
            prediction.spectrum([f], neurons=[7, 93, 2])[0], expected[np.ix_([7, 93, 2], [7, 93, 2])], atol=1e-8
        )
        pairs = [[3, 90], [90, 3], [5, 5]]
        np.testing.assert_allclose(
            prediction.spectrum([f], pairs=pairs)[0], [expected[i, j] for i, j in pairs], atol=1e-8
        )
    K = prediction.coupling(0.0)[0].real.numpy()
    assert prediction.report.spectral_radius == pytest.approx(abs(np.linalg.eigvals(K)).max(), rel=1e-9)


@pytest.fixture(scope="module")
def prediction():
    return rv.predict(hundred(20.0, -80.0), recurrent_noise="none")


def test_covariance_is_the_integral_of_the_spectrum(prediction):
    """Trapezoidal rule on 2000 equal steps, whose aliases lie at lags of 1 s, where C has vanished."""
    f = torch.arange(0, 2001).double()
    chosen = [0, 1, 85, 99]
    C = prediction.spectrum(f, neurons=chosen)
    for window in (1.0, 20.0, 100.0, 600.0):
        T = window / 1000
        kernel = (T * torch.sinc(f * T)) ** 2 * torch.where(f == 0, 1.0, 2.0)
        r = torch.diag(prediction.rates()[chosen])
        expected = ((C.real - r) * kernel[:, None, None]).sum(0) + r * T
        torch.testing.assert_close(prediction.covariance(window, neurons=chosen), expected, rtol=2e-3, atol=2e-6)


def test_long_windows_count_the_spectrum_at_zero(prediction):
    C0 = prediction.spectrum([0.0])[0].real
    torch.testing.assert_close(prediction.covariance(200_000.0) / 200.0, C0, rtol=2e-3, atol=2e-5)
    sd = C0.diagonal().sqrt()
    torch.testing.assert_close(prediction.correlation(math.inf), C0 / sd[:, None] / sd)


def test_cross_correlations_sum_to_the_covariance(prediction):
    """cov_T is the integral of (T - |tau|) C(tau), and of spikes in bins of T it is T² C(0)."""
    at = [[0, 1], [3, 3], [90, 4]]
    C = prediction.covariance(50.0)
    expected = torch.stack([C[i, j] for i, j in at])
    torch.testing.assert_close(
        prediction.cross_correlation([0.0], pairs=at, bin=50.0)[0] * 0.05**2, expected, rtol=1e-6, atol=1e-9
    )
    lags = torch.arange(-50, 51).double()
    c = prediction.cross_correlation(lags, pairs=at)
    assert torch.allclose((c * (50 - lags.abs())[:, None]).sum(0) * 1e-6, expected, rtol=1e-4, atol=1e-7)


def test_a_refractory_neuron_does_not_fire_twice_at_once():
    """C_ii(tau) = -r² for |tau| < t_ref."""
    net = rv.Network()
    net.add(rv.EIF(**O), 3, drive=torch.tensor([10.0, 14.0, 20.0]).double(), noise=9.0)
    prediction = rv.predict(net)
    for lag in (0.0, 0.5, 1.5):
        c = prediction.cross_correlation([lag], bin=0.0)[0]
        torch.testing.assert_close(c, -torch.diag(prediction.rates() ** 2), rtol=3e-3, atol=1e-9)


def test_the_source_leads_at_positive_lags():
    net = rv.Network()
    a = net.add(rv.EIF(**O), 2, drive=10.0, noise=9.0)
    net.connect(a, a, weight=20.0, delay=3.0, synapse=rv.Exponential(tau=5.0), edges=([0], [1]))
    c = rv.predict(net).cross_correlation([-8.0, 8.0], pairs=[[1, 0], [0, 1]], bin=1.0)
    assert c[1, 0] > 10.0 and abs(c[0, 0]) < 0.5  # neuron 0 leads: C_10 at positive lag
    torch.testing.assert_close(c[0, 1], c[1, 0])


def test_delays_shift_the_cross_correlation():
    def lag(delay):
        net = rv.Network()
        a = net.add(rv.EIF(**O), 2, drive=10.0, noise=9.0)
        net.connect(a, a, weight=20.0, delay=delay, synapse=rv.Exponential(tau=5.0), edges=([0], [1]))
        return rv.predict(net).cross_correlation([10.0 + delay], pairs=[[1, 0]], bin=1.0)

    torch.testing.assert_close(lag(1.0), lag(17.0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("excitation", [10.0, 20.0])
def test_class_means_of_the_reference_table(excitation):
    """Over five wirings, the table's being one more, each class mean lies within their spread."""
    expected = {
        10.0: {"rate": 7.652, "EE": 0.00701, "EI": -0.00392, "II": -0.01618, "all": 0.00259},
        20.0: {"rate": 7.739, "EE": 0.01809, "EI": -0.00275, "II": -0.02724, "all": 0.00961},
    }[excitation]
    result = {name: [] for name in expected}
    off, E = ~torch.eye(100, dtype=torch.bool), torch.arange(100) < 80
    for seed in range(5):
        prediction = rv.predict(hundred(excitation, -4 * excitation, seed), recurrent_noise="none")
        rho = prediction.correlation(100.0)
        result["rate"].append(prediction.rates().mean())
        for name, a, b in (("EE", E, E), ("EI", E, ~E), ("II", ~E, ~E), ("all", E | ~E, E | ~E)):
            result[name].append(rho[a[:, None] & b & off].mean())
    for name, values in result.items():
        v = torch.stack(values)
        assert abs(v.mean() - expected[name]) < 3 * v.std() * math.sqrt(1 + 1 / 5), name


def test_motifs(prediction):
    """Relative error off the diagonal at orders 1 to 4 (reference: .41, .13, .034, .008)."""
    C = prediction.spectrum([0.0])[0].real
    sums = prediction.motifs(12).cumsum(0)
    off = ~torch.eye(100, dtype=torch.bool)
    error = [float((x - C)[off].norm() / C[off].norm()) for x in sums]
    assert error[1:5] == pytest.approx([0.41, 0.13, 0.034, 0.008], rel=0.12)
    assert error[12] < 1e-5


def test_strongest_paths_against_all_of_them():
    g = torch.Generator().manual_seed(0)
    K = torch.randn(6, 6, generator=g).double() * (torch.rand(6, 6, generator=g) < 0.6)
    S = torch.rand(6, generator=g).double() + 0.5
    every = []

    def ways(end, length):
        if length == 0:
            return [(1.0, (end,))]
        return [(float(K[w[0], k]) * x, (k, *w)) for x, w in ways(end, length - 1) for k in range(6) if K[w[0], k] != 0]

    for m in range(4):
        for n in range(4 - m):
            every += [a * b * float(S[v[0]]) for a, v in ways(1, m) for b, w in ways(4, n) if v[0] == w[0]]
    result = strongest_paths(K, S, 1, 4, order=3, count=8)
    expected = sorted(every, key=abs, reverse=True)[:8]
    assert [p.contribution.real for p in result] == pytest.approx(expected)
    assert all(p.to_i[-1] == 1 and p.to_j[-1] == 4 and p.to_i[0] == p.to_j[0] for p in result)


def random_coupling(size, edges, seed=0):
    g = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, size, (2, edges), generator=g)
    weight = torch.randn(edges, generator=g).double()
    delay = torch.rand(edges, generator=g).double() * 5
    from ranvier.theory.network.filters import synapse_filter

    filters = (synapse_filter(rv.Exponential(tau=3.0)), synapse_filter(rv.Alpha(tau=2.0)))
    return Coupling(size, ends[0], ends[1], weight, delay, torch.randint(0, 2, (edges,), generator=g), filters)


@pytest.mark.parametrize("size", [5, 60])  # batched calls, and a loop of LAPACK's
@pytest.mark.parametrize(
    "requested",
    [
        Selection(),
        Selection(rows=torch.tensor([3, 0])),
        Selection(rows=torch.tensor([3, 0, 1]), pairs=torch.tensor([[0, 1], [2, 2], [1, 0]])),
        Selection(weights=torch.tensor([[0.5, -0.2, 1.0]], dtype=torch.complex128)),
        Selection(rows=torch.tensor([4, 1]), weights=torch.tensor([[0.5, 1j, 1.0], [1.0, 2.0, 1 - 1j]])),
    ],
)
def test_gradients_of_cross_spectra(size, requested):
    """In susceptibilities, spectra, weights and delays, at a block of frequencies with 0 in it."""
    from dataclasses import replace

    coupling = random_coupling(size, 3 * size)
    if requested.weights is not None:
        requested = replace(requested, weights=requested.weights.to(torch.complex128))
    f = torch.tensor([20.0, 0.0, 90.0], dtype=torch.float64)
    g = torch.Generator().manual_seed(1)
    gain = 0.2 * torch.randn(3, size, dtype=torch.complex128, generator=g)
    gain[1] = gain[1].real + 0j
    spectrum = torch.rand(3, size, generator=g).double() + 0.2
    spectrum[0, 1] = 0.0

    def measure(gain, spectrum, weight, delay):
        # at frequency 0 only the real part of a susceptibility means anything
        gain = torch.stack([gain[0], gain[1].real + 0j, gain[2]])
        return cross_spectra(replace(coupling, weight=weight, delay=delay), gain, spectrum + 0.1, f, requested)

    inputs = [x.clone().requires_grad_() for x in (gain, spectrum, coupling.weight, coupling.delay)]
    assert torch.autograd.gradcheck(measure, inputs, fast_mode=True, atol=1e-6)


def test_blocks_of_frequencies_give_what_one_block_gives(monkeypatch):
    from ranvier.theory.network.fluctuations import linear_response

    coupling = random_coupling(7, 20)
    f = torch.linspace(0, 50, 9).double()
    gain, S = torch.full((9, 7), 0.2 + 0.1j, dtype=torch.complex128), torch.ones(9, 7).double()
    gain[0] = 0.2
    whole = cross_spectra(coupling, gain, S, f)
    monkeypatch.setattr(linear_response, "BLOCK", 400)
    torch.testing.assert_close(cross_spectra(coupling, gain, S, f), whole)
    assert torch.equal(whole[0].imag, torch.zeros(7, 7).double())


def test_silent_neurons_do_not_spoil_the_others():
    """Spectra over sixteen orders of magnitude, and exactly 0."""
    coupling = random_coupling(60, 200)
    g = torch.Generator().manual_seed(2)
    S = 10 ** (-16 * torch.rand(1, 60, generator=g).double())
    S[0, 0] = 0.0
    gain = (0.3 * torch.sqrt(S)).to(torch.complex128)
    f = torch.tensor([10.0]).double()
    gains = linear_response.current_gains(coupling, gain, f)
    K = linear_response.interaction(coupling, gains, f)[0].numpy()
    B = np.linalg.inv(np.eye(60) - K)
    expected = (B * S[0].numpy()) @ B.conj().T
    sd = np.sqrt(np.diag(expected).real) + 1e-30
    result = cross_spectra(coupling, gain, S, f)[0].numpy()
    np.testing.assert_allclose(result / np.outer(sd, sd), expected / np.outer(sd, sd), atol=1e-11)
