"""Drawn parameters, weights and delays have the distributions that they are said to have; 1e-4 false alarms a test."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import ranvier as rv
from ranvier.networks import ByDistance, ExponentialDistribution, LogNormal, wiring

SIGMA = math.sqrt(math.log1p(0.5**2))
LAWS = [
    (rv.Normal(4.0, 0.5), stats.norm(4.0, 0.5)),
    (rv.Normal(1.0, 1.0, low=0.5, high=3.0), stats.truncnorm(-0.5, 2.0, 1.0, 1.0)),
    (rv.Uniform(1.0, 4.0), stats.uniform(1.0, 3.0)),
    (LogNormal(2.0, 1.0), stats.lognorm(SIGMA, scale=2.0 * math.exp(-(SIGMA**2) / 2))),
    (ExponentialDistribution(3.0, low=0.5), stats.expon(0.5, 2.5)),
]
each = pytest.mark.parametrize(("law", "expected"), LAWS, ids=lambda x: type(x).__name__ if hasattr(x, "draw") else "")


@each
def test_everything_that_takes_one_is_drawn_from_it(law, expected):
    """Parameters, weights, delays, a background's weights, and both engines' initial values."""
    net = rv.Network(seed=7)
    cells = net.add(rv.LIF(tau_m=20.0, V_th=1e9, E_L=0.0), 5000, drive=law, initial={"V": law})
    p = net.connect(cells, cells, weight=law, delay=law, in_degree=1)
    background = net.background(cells, rate=law, weight=law)
    columns = [cells.parameters["drive"], p.weight, p.delay, background.weight, background.rate]
    for engine in ("compiled", "torch"):
        columns.append(rv.Simulation(net, engine=engine, dtype=torch.float64).get(cells)["V"])
    for column in columns:
        assert column.shape == (5000,) and column.dtype == torch.float64
        assert stats.kstest(column.numpy(), expected.cdf).pvalue > 1e-4
    ranks = np.corrcoef([column.numpy() for column in columns])
    assert np.abs(ranks[np.triu_indices(len(columns), 1)]).max() < 5 / math.sqrt(5000)  # no stream is used twice


def test_seeds_of_the_network_decide():
    def weights(seed):
        net = rv.Network(seed=seed)
        cells = net.add(rv.LIF(), 50, tau_m=rv.Normal(20.0, 2.0, low=5.0))
        return torch.cat([net.connect(cells, cells, weight=rv.Uniform(0, 1), in_degree=3).weight for _ in range(2)])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))
    assert not torch.equal(weights(1)[:150], weights(1)[150:])


def test_a_drawn_parameter_is_set_stored_and_simulated(tmp_path):
    net = rv.Network(seed=2)
    cells = net.add(rv.LIF(), 40, "cells", drive=20.0, initial={"V": rv.Normal(-65.0, 3.0, high=-55.0)})
    net.set(cells, drive=LogNormal(20.0, 3.0))
    p = net.connect(cells, cells, weight=0.1, in_degree=4)
    net.set(p, weight=rv.Uniform(0.1, 0.3))
    assert cells.parameters["drive"].std() > 1 and p.weight.shape == (160,)
    again = rv.read_network(rv.write_network(net, tmp_path / "net"))
    assert again.populations[0].initial == cells.initial
    one, other = (rv.simulate(n, 50.0, engine="torch") for n in (net, again))
    assert len(one.times) > 40 and torch.equal(one.times, other.times)


@pytest.mark.parametrize("periodic", [None, 1.0])
def test_weights_and_delays_follow_distance(periodic):
    """Against the formula on each pair, by the plainest means."""
    rng = np.random.default_rng(0)
    a, b = rng.random((30, 2)), rng.random((20, 2))
    net = rv.Network(seed=1)
    source, target = net.add(rv.LIF(), 30, positions=a), net.add(rv.LIF(), 20, positions=b)
    rule = wiring.Distance("constant", peak=0.4, periodic=periodic)
    for profile, formula in (
        ("exponential", lambda r: 0.7 * math.exp(-r / 0.3)), ("gaussian", lambda r: 0.7 * math.exp(-(r**2) / 0.18)),
    ):  # fmt: skip
        p = net.connect(source, target, weight=ByDistance(0.7, profile=profile, scale=0.3),
                        delay=ByDistance(1.0, slope=2.0), wiring=rule)  # fmt: skip
        for s, t, weight, delay in zip(*p.edges(), p.weight, p.delay, strict=True):
            gap = [abs(a[s, k] - b[t, k]) for k in (0, 1)]
            r = math.hypot(*(min(g, 1 - g) if periodic else g for g in gap))
            assert math.isclose(weight, formula(r), rel_tol=1e-12) and math.isclose(delay, 1 + 2 * r, rel_tol=1e-12)


def test_what_is_no_distribution_is_refused():
    for bad in (
        lambda: rv.Normal(0.0, -1.0), lambda: rv.Normal(0.0, 1.0, low=1.0, high=0.0),
        lambda: rv.Normal(0.0, 1.0, low=9.0), lambda: rv.Uniform(1.0, 0.0), lambda: LogNormal(-1.0, 1.0),
        lambda: LogNormal(1.0, math.nan),
        lambda: ExponentialDistribution(1.0, low=1.0), lambda: ByDistance(1.0, profile="flat"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            bad()
    net = rv.Network()
    cells = net.add(rv.LIF(), 5)
    with pytest.raises(ValueError, match="no positions of equal dimensions"):
        net.connect(cells, cells, weight=ByDistance(1.0), in_degree=2)
    with pytest.raises(ValueError, match="above 0 ms"):
        net.connect(cells, cells, weight=1.0, delay=rv.Normal(0.0, 1.0), in_degree=2)
