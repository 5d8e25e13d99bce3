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
    """And nothing is drawn twice: neither for populations, projections and backgrounds, nor by `set`."""
    law = rv.Normal(20.0, 2.0, low=5.0)

    def columns(seed):
        net = rv.Network(seed=seed)
        cells = [net.add(rv.LIF(), 50, tau_m=law, drive=law) for _ in range(2)]
        backgrounds = [net.background(cells[0], rate=law, weight=law) for _ in range(2)]
        projections = [net.connect(*cells, weight=law, in_degree=1) for _ in range(2)]
        out = [c.parameters[name] for c in cells for name in ("tau_m", "drive")]
        out += [getattr(b, name) for b in backgrounds for name in ("rate", "weight")] + [p.weight for p in projections]
        for target in (*backgrounds, *projections):
            before = target.weight
            net.set(target, weight=law)
            assert torch.equal(target.weight, before)
        return torch.stack(out)

    one = columns(1)
    assert torch.equal(one, columns(1)) and not (one == columns(2)).any()
    assert len({row.sum().item() for row in one}) == len(one)


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


def test_every_distribution_is_stored(tmp_path):
    net = rv.Network()
    initial = [net.add(rv.LIF(), 2, initial={"V": law}).initial for law, _ in LAWS]
    assert [p.initial for p in rv.read_network(rv.write_network(net, tmp_path)).populations] == initial


@pytest.mark.parametrize(("periodic", "own"), [(None, None), (1.0, None), (None, 1.0), (0.5, (1.0, 0.0))])
def test_weights_and_delays_follow_distance(periodic, own):
    """Against the formula on each pair, by the plainest means, also of positions more than a length apart."""
    rng = np.random.default_rng(0)
    a, b = 2.5 * rng.random((30, 2)), rng.random((20, 2))
    around = np.broadcast_to(own or periodic or 0.0, 2)
    net = rv.Network(seed=1)
    source, target = net.add(rv.LIF(), 30, positions=a), net.add(rv.LIF(), 20, positions=b)
    rule = wiring.Distance("constant", peak=0.4, periodic=periodic)
    for profile, formula in (
        ("exponential", lambda r: 0.7 * math.exp(-r / 0.3)), ("gaussian", lambda r: 0.7 * math.exp(-(r**2) / 0.18)),
    ):  # fmt: skip
        p = net.connect(source, target, weight=ByDistance(0.7, profile=profile, scale=0.3, periodic=own),
                        delay=ByDistance(1.0, slope=2.0, periodic=own), wiring=rule)  # fmt: skip
        for s, t, weight, delay in zip(*p.edges(), p.weight, p.delay, strict=True):
            gap = [abs(a[s, k] - b[t, k]) for k in (0, 1)]
            r = math.hypot(*(min(g % 1, 1 - g % 1) if x else g for g, x in zip(gap, around, strict=True)))
            assert math.isclose(weight, formula(r), rel_tol=1e-12) and math.isclose(delay, 1 + 2 * r, rel_tol=1e-12)


def test_numbers_stay_within_bounds_that_float32_rounds():
    for law in (rv.Uniform(0.3, 0.3), rv.Uniform(0.7, 0.7), rv.Normal(0.3, 1e-9, high=0.3), rv.Normal(0.7, 1e-9, 0.7)):
        values = law.draw(np.random.default_rng(0), 50)
        assert (values >= law.low).all() and (values <= law.high).all()


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
    with pytest.raises(ValueError, match="numbers that are not finite in float32; expected some below"):
        net.add(rv.LIF(), 2, drive=rv.Normal(1e39, 1.0))
    cells = net.add(rv.LIF(), 5)
    with pytest.raises(ValueError, match="no positions of equal dimensions"):
        net.connect(cells, cells, weight=ByDistance(1.0), in_degree=2)
    placed = net.add(rv.LIF(), 5, positions=np.arange(5.0))
    with pytest.raises(ValueError, match="2 lengths for 1 dimensions; expected one number"):
        net.connect(placed, placed, weight=ByDistance(1.0, periodic=(1.0, 1.0)), in_degree=2)
    with pytest.raises(ValueError, match="above 0 ms"):
        net.connect(cells, cells, weight=1.0, delay=rv.Normal(0.0, 1.0), in_degree=2)
