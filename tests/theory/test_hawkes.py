"""Hawkes processes beside Hawkes's closed form and beside clusters of events, and Poisson GLMs."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.theory import hawkes
from tests.theory.beside import gradient_is_that_of_differences


def test_one_process():
    """Hawkes (1971), exponential kernel of area a and time constant tau: the density of the covariance at lag t is
    r a (2 - a)/(2 tau (1 - a)) e^{-(1 - a) t/tau}."""
    a, tau, base = 0.6, 8.0, 4.0
    prediction, r = hawkes([base], [[a]], kernel=rv.Exponential(tau=tau)), base / (1 - a)
    assert float(prediction.rates()) == pytest.approx(r, rel=1e-12)
    lags, beta = torch.tensor([1.0, 10.0, 40.0], dtype=torch.float64), (1 - a) / tau
    scale = r * 1000 * a * (2 - a) / (2 * tau * (1 - a))
    c = prediction.cross_correlation(lags, bin=0.0)[:, 0, 0]
    torch.testing.assert_close(c, scale * torch.exp(-beta * lags), rtol=2e-3, atol=0)
    T = 50.0
    counts = r * T / 1000 + 2 * scale * 1e-6 * (T / beta - (1 - math.exp(-beta * T)) / beta**2)
    assert float(prediction.covariance(T)) == pytest.approx(counts, rel=1e-4)
    f = torch.tensor([0.0, 20.0], dtype=torch.float64)
    spectrum = r + 2 * scale * beta / 1000 / (beta**2 + (2 * math.pi * f / 1000) ** 2)
    torch.testing.assert_close(prediction.spectrum(f)[:, 0, 0].real, spectrum, rtol=1e-12, atol=0)


def clusters(base, W, tau, delay, duration, seed):
    """(times in ms, process) of all events: immigrants, and each one's offspring."""
    rng, n = np.random.default_rng(seed), len(base)
    counts = rng.poisson(np.array(base) * duration / 1000)
    times, kind = rng.uniform(0, duration, counts.sum()), np.repeat(np.arange(n), counts)
    all_times, all_kinds = [times], [kind]
    while len(times):
        parts = []
        for i in range(n):
            born = rng.poisson(W[i][kind])
            at = np.repeat(times, born) + delay + rng.exponential(tau, born.sum())
            parts.append((at, np.full(len(at), i)))
        times, kind = (np.concatenate(x) for x in zip(*parts, strict=True))
        all_times.append(times)
        all_kinds.append(kind)
    return np.concatenate(all_times), np.concatenate(all_kinds)


def test_two_processes_beside_clusters():
    base, W, tau, delay, T = [8.0, 3.0], np.array([[0.3, 0.2], [0.5, 0.1]]), 6.0, 2.0, 20.0
    prediction = hawkes(base, W, kernel=rv.Exponential(tau=tau), delay=delay)
    times, kind = clusters(base, W, tau, delay, 4e6, 1)
    windows = int(4e6 / T)
    n = np.stack([np.bincount((times[kind == i] / T).astype(int), minlength=windows)[:windows] for i in (0, 1)])
    observed = torch.from_numpy(np.cov(n[:, 10:]))
    rates = torch.from_numpy(n.mean(1)) * 1000 / T
    torch.testing.assert_close(prediction.rates(), rates, rtol=0.015, atol=0)
    torch.testing.assert_close(prediction.covariance(T), observed, rtol=0.03, atol=0)


@pytest.mark.parametrize("link, base", [("identity", [8.0, 5.0]), ("exp", [1.5, 2.0]), ("softplus", [6.0, 4.0])])
def test_gradients(link, base):
    scale = 1.0 if link != "exp" else 0.02

    def loss(x):
        p = hawkes(x[:2], scale * x[2:6].reshape(2, 2), kernel=rv.Exponential(tau=50.0), delay=x[6], link=link)
        return p.rates().sum() + p.covariance(30.0).sum() + p.spectrum([15.0])[0, 0, 1].real

    x = torch.tensor([*base, 0.2, -0.3, 0.4, 0.1, 2.0], dtype=torch.float64)
    gradient_is_that_of_differences(loss, x, rel=1e-5)


def test_a_glm_is_that_of_its_linear_process():
    """At its mean rates a GLM responds as the Hawkes process of weights slope W."""
    W = torch.tensor([[0.0, 0.02], [-0.02, 0.01]], dtype=torch.float64)
    slow = rv.Exponential(tau=50.0)
    glm = hawkes([1.6, 2.2], W, kernel=slow, link="exp")
    r = glm.rates()
    torch.testing.assert_close(r, torch.exp(torch.tensor([1.6, 2.2]) + W @ r), rtol=1e-6, atol=0)
    K = r[:, None] * W
    linear = hawkes(r - K @ r, K, kernel=slow)
    torch.testing.assert_close(glm.covariance(50.0), linear.covariance(50.0))
    assert 0 < glm.report.covariance_error < 0.5 and linear.report.covariance_error == 0
    assert "exact" in str(linear.report) and "link exp" in str(glm.report)


def test_refuses_by_name():
    with pytest.raises(ValueError, match="spectral radius"):
        hawkes([1.0, 1.0], [[0.0, -1.1], [1.1, 0.0]])
    with pytest.raises(ValueError, match="rate of process 0 is -"):
        hawkes([1.0, 1.0], [[0.0, -2.0], [0.2, 0.0]])
    with pytest.raises(ValueError, match="link is 'log'"):
        hawkes([1.0], [[0.2]], link="log")
    with pytest.raises(ValueError, match=r"expected \(N,\) and \(N, N\)"):
        hawkes([1.0], [0.2])
    with pytest.raises(ValueError, match="a delay is -1"):
        hawkes([1.0], [[0.2]], delay=-1.0)
    with pytest.raises(ValueError, match="no closed form"):
        hawkes([1.0], [[0.2]]).cv()
