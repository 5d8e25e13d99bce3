"""Release by chance: means and variances against the binomial's, beside Tsodyks and Markram's amplitudes."""

import numpy as np
import pytest
import torch

import ranvier as rv
from tests.rules.test_short_term import amplitudes

TIMES = [5.0, 15.0, 22.5, 22.5, 60.0]
SIZE = 4000
RULE = rv.rules.StochasticRelease(sites=3, U=0.4, tau_rec=100.0, tau_facil=80.0)


def run(rule, engine="compiled", dtype=torch.float64, seed=0, **options):
    """What each spike adds to V of cells that keep everything, (spikes, cells); weights of 3 mV."""
    net = rv.Network(seed=0)
    source = net.add(rv.SpikeTimes(TIMES, [0] * len(TIMES)), 1)
    cells = net.add(rv.LIF(tau_m=1e9, V_th=1e9, E_L=0.0, V_reset=-1.0), SIZE, initial={"V": 0.0})
    net.connect(source, cells, weight=3.0, delay=1.0, probability=1.0, plasticity=rule)
    probe = rv.Probe("V", interval=0.5)
    run = rv.simulate(net, 70.0, dt=0.5, record=probe, engine=engine, dtype=dtype, seed=seed, **options)
    at = [int(2 * t) + 1 for t in (4.0, 14.0, 21.0, 58.0, 66.0)]
    return run.states["V"].values.double().numpy()[at]


@pytest.mark.parametrize(("engine", "dtype"), [("compiled", torch.float32), ("torch", torch.float64)])
def test_releases_are_binomial_with_tsodyks_and_markrams_mean(engine, dtype):
    """Five standard errors of the mean and of the variance of 4000 synapses; two spikes fall into one step."""
    V, sites = run(RULE, engine, dtype), RULE.sites
    steps = np.diff(V, axis=0)
    p = amplitudes(TIMES, RULE.U, RULE.tau_rec, RULE.tau_facil)
    expected = [(p[0], p[0] * (1 - p[0])), (p[1], p[1] * (1 - p[1])), (p[2] + p[3], sum(x * (1 - x) for x in p[2:4])),
                (p[4], p[4] * (1 - p[4]))]  # fmt: skip
    for size, (mean, variance) in zip(steps / 3.0, expected, strict=True):
        spread = variance / sites
        assert abs(size.mean() - mean) < 5 * np.sqrt(spread / SIZE)
        fourth = np.mean((size - size.mean()) ** 4)
        assert abs(size.var() - spread) < 5 * np.sqrt((fourth - spread**2) / SIZE)
        assert np.abs(size * sites - np.round(size * sites)).max() < 1e-3
    assert abs(np.corrcoef(steps)[0, 1]) < 5 / np.sqrt(SIZE)
    assert abs(np.corrcoef(steps[:, :-1].ravel(), steps[:, 1:].ravel())[0, 1]) < 0.35  # the spikes' means alone


def test_what_is_drawn_depends_on_the_seed_alone():
    one = run(RULE, dtype=torch.float32)
    assert np.array_equal(one, run(RULE, dtype=torch.float32, threads=2))
    assert not np.array_equal(one, run(RULE, dtype=torch.float32, seed=1))
    assert not np.array_equal(one[1] - one[0], one[2] - one[1])


class Coin(rv.rules.Rule):
    """Each spike passes in one of four cases: a rule of a user's own."""

    transmitted = "where(rand() < range, w, 0)"  # a name that loops in kernels use, too
    range: float = rv.parameter(0.25, "1", "probability", at_least=0, at_most=1)


def test_a_user_writes_one():
    sizes = np.diff(run(Coin()), axis=0).round(3)
    assert set(np.unique(np.abs(sizes))) == {0.0, 3.0, 6.0}
    assert abs((sizes[0] > 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / SIZE)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"sites of StochasticRelease is 1\.5; expected a whole number"):
        rv.rules.StochasticRelease(sites=1.5)
    body = {"__annotations__": {"rand_0": float}, "rand_0": 1.0, "transmitted": "w*rand()"}
    with pytest.raises(ValueError, match="'rand_0' is a random number of each spike; expected another name"):
        type("Named", (rv.rules.Rule,), body)()
    with pytest.raises(ValueError, match=r"rand\(\) in 'rand\(\)'; expected it .* what spikes do at a synapse"):
        type("Elsewhere", (rv.rules.Rule,), {"drift": "rand()"})()
    with pytest.raises(ValueError, match="has 33 random numbers; expected at most 32"):
        type("Many", (rv.rules.Rule,), {"on_pre": " + ".join(["rand()"] * 33)})()


def pair(engine="compiled", seed=0):
    """Two projections of one source, and each with two delays: the quanta of each cell that arrive with 3 ms, for the
    first half of them of the second spike, for the others of the first."""
    net = rv.Network(seed=0)
    source = net.add(rv.SpikeTimes([1.0, 2.0], [0, 0]), 1)
    cells = net.add(rv.LIF(tau_m=1e9, V_th=1e9, E_L=0.0, V_reset=-1.0), 400, initial={"V": 0.0})
    delays = torch.tensor([1.0] * 200 + [2.0] * 200)
    for weight in (1.0, 10.0):
        net.connect(source, cells, weight=weight, delay=delays, edges=([0] * 400, list(range(400))),
                    plasticity=rv.rules.StochasticRelease(U=0.5, tau_rec=0.01))  # fmt: skip
    V = rv.simulate(net, 4.0, dt=0.5, record="V", engine=engine, seed=seed).states["V"].values
    return (V[6] - V[5]).round().int().numpy()


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_projections_delays_and_seeds_draw_apart(engine):
    V = pair(engine)
    assert set(np.unique(V)) == {0, 1, 10, 11}
    for one, two in ((V % 10, V // 10), (V[:200] % 10, V[200:] % 10)):
        assert abs(np.mean(one == two) - 0.5) < 5 * 0.5 / np.sqrt(len(one))
    assert np.array_equal(V, pair(engine)) and not np.array_equal(V, pair(engine, seed=1))


def test_a_run_goes_on_to_the_bit(tmp_path):
    net = rv.Network(seed=0)
    source = net.add(rv.Poisson(rate=100.0), 20)
    cells = net.add(rv.LIF(V_th=-64.0), 20)
    net.connect(source, cells, weight=1.0, delay=0.5, probability=0.5, plasticity=RULE)
    whole = rv.simulate(net, 60.0, dt=0.5, record="V")
    rv.simulate(net, 30.0, dt=0.5, record="V", path=tmp_path / "run")
    joined = rv.simulate(net, 60.0, dt=0.5, record="V", path=tmp_path / "run")
    assert torch.equal(joined.states["V"].values, whole.states["V"].values)
    with rv.Simulation(net, dt=0.5, record="V") as simulation:
        simulation.run(30.0)
        there = simulation.store()
        once = simulation.run(30.0).states["V"].values.clone()
        simulation.restore(there)
        again = simulation.run(30.0).states["V"].values
    assert torch.equal(once, again) and torch.equal(again[-60:], whole.states["V"].values[-60:])
