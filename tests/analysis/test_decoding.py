"""Decoders undo their encoders, as exactly as the code allows."""

import pytest
import torch

from ranvier.analysis import decoding
from ranvier.learners import encoders

F64 = torch.float64


def values(batch=40, n=3):
    return torch.rand(batch, n, dtype=F64, generator=torch.Generator().manual_seed(0))


def test_rate():
    x, steps = values(), 400
    error = decoding.rate(encoders.rate(x, steps, generator=torch.Generator().manual_seed(1))) - x
    z = error / (x * (1 - x) / steps).sqrt()
    assert abs(z.mean()) < 4 / 120**0.5 and abs(z.square().mean() - 1) < 4 * (2 / 120) ** 0.5


@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_latency(threshold):
    x, steps = values(), 50
    result = decoding.latency(encoders.latency(x, steps, threshold=threshold), threshold=threshold)
    prediction = x > threshold
    assert torch.equal(result.isnan(), ~prediction)
    assert (result - x)[prediction].abs().max() <= (1 - threshold) / 98 + 1e-12


def test_latency_of_a_membrane():
    x, steps, tau, threshold = values(), 60, 20.0, 0.2
    result = decoding.latency(encoders.latency(x, steps, tau=tau, threshold=threshold), tau=tau, threshold=threshold)
    when = tau * (x / (x - threshold)).log() - tau * torch.tensor(1 / 0.8, dtype=F64).log()
    inside = (x > threshold) & (when < steps - 1)
    again = tau * (result / (result - threshold)).log() - tau * torch.tensor(1 / 0.8, dtype=F64).log()
    assert inside.sum() > 60 and (again - when)[inside].abs().max() <= 0.5 + 1e-9


@pytest.mark.parametrize("weighted", [False, True])
def test_phase(weighted):
    x = values()
    spikes = encoders.phase(x, 27, period=8, weighted=weighted)
    error = x - decoding.phase(spikes, period=8, weighted=weighted)
    assert error.min() >= 0 and error.max() < 2**-8 and error.max() > 2**-10


def test_delta():
    x = 0.5 + torch.cumsum(0.04 * torch.randn(200, 4, 2, generator=torch.Generator().manual_seed(2)).clamp(-2, 2), 0)
    spikes = encoders.delta(x, 0.1)
    assert (decoding.delta(spikes, 0.1, start=x[0]) - x).abs().max() <= 0.1 + 1e-5


def test_population():
    x = -2 + 5 * values()
    result = decoding.population(encoders.population(x, 9, low=-2, high=3), 9, low=-2, high=3)
    torch.testing.assert_close(result, x)


def test_population_bears_noise():
    x = values(400)
    g = torch.Generator().manual_seed(3)
    activity = encoders.population(x, 10)
    noisy = (activity + 0.02 * torch.randn(activity.shape, generator=g, dtype=F64)).clamp(min=0)
    # the Cramér–Rao bound is 0.0022
    assert (decoding.population(noisy, 10) - x).square().mean().sqrt() < 0.003
    assert decoding.population(torch.zeros(1, 10), 10).isnan().all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: decoding.rate(torch.zeros(3, 4)),
        lambda: decoding.phase(torch.zeros(3, 1, 1), period=4),
        lambda: decoding.delta(torch.zeros(3, 1, 1), 0.0),
        lambda: decoding.population(torch.zeros(2, 10), 4),
        lambda: decoding.population(-torch.ones(2, 10), 5),
    ],
    ids=["axes", "period", "threshold", "size", "negative"],
)
def test_refusals(call):
    with pytest.raises(ValueError, match=r" (is|has) .*; expected "):
        call()
