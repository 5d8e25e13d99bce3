"""Weights that spikes change by chance, against the laws of sums; and spikes of the target that act later."""

import numpy as np
import pytest
import torch
from scipy import stats

import ranvier as rv

SIZE, PRE, POST = 4000, [5.0, 15.0, 15.0, 30.0], [10.0, 40.0]


class Walk(rv.rules.Rule):
    """Each spike of the source adds a normal number, each of the target b with the probability p."""

    on_pre = "a*randn()"
    on_post = "b*int(rand() < p)"
    transmitted = "w*int(rand() < 0.5)"
    a: float = 0.01
    b: float = 1.0
    p: float = 0.3


def walk(engine="compiled", dtype=torch.float32, seed=0, threads=1):
    net = rv.Network(seed=0)
    source = net.add(rv.SpikeTimes(PRE, [0] * len(PRE)), 1)
    driver = net.add(rv.SpikeTimes(POST, [0] * len(POST)), 1)
    cells = net.add(rv.LIF(E_L=0.0, V_th=90.0, V_reset=0.0, t_ref=0.0), SIZE)
    synapses = net.connect(source, cells, weight=0.0, delay=1.0, probability=1.0, plasticity=Walk())
    net.connect(driver, cells, weight=1000.0, delay=1.0, probability=1.0)
    return rv.Simulation(net, dt=0.5, engine=engine, dtype=dtype, seed=seed, threads=threads), synapses


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_sums_of_what_spikes_draw(engine):
    simulation, synapses = walk(engine)
    simulation.run(45.0)
    w = simulation.get(synapses, "weight").double().numpy()
    jumps = np.round(w)
    counts = np.bincount(jumps.astype(int), minlength=3)
    assert stats.chisquare(counts, SIZE * stats.binom(2, 0.3).pmf(range(3))).pvalue > 1e-4
    rest = (w - jumps) / (0.01 * np.sqrt(len(PRE)))
    assert stats.kstest(rest, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(rest[1:], rest[:-1])[0, 1]) < 4.5 / np.sqrt(SIZE)
    assert abs(np.corrcoef(rest, jumps)[0, 1]) < 4.5 / np.sqrt(SIZE)


def test_draws_are_the_seeds_alone():
    whole, synapses = walk()
    whole.run(45.0)
    w = whole.get(synapses, "weight")
    cut, same = walk(threads=2)
    cut.run(12.0)
    there = cut.store()
    cut.run(8.0)
    cut.restore(there)
    cut.run(33.0)
    assert torch.equal(cut.get(same, "weight"), w)
    other, synapses = walk(seed=1)
    other.run(45.0)
    assert not torch.equal(other.get(synapses, "weight"), w)


def test_layers_draw_from_torch():
    weight, rule = torch.zeros(300, 300), Walk()
    torch.manual_seed(0)
    _, change = rule.step(rule.init_state(weight, 1), weight, torch.ones(1, 300), torch.zeros(1, 300))
    assert stats.kstest(change.flatten().numpy() / 0.01, "norm").pvalue > 1e-4


def pairs(engine, axonal, dendritic, lags):
    """The change of a weight by one pair of spikes for each lag (ms) of the target's behind the source's."""
    net = rv.Network()
    n = len(lags)
    source = net.add(rv.SpikeTimes([50.0] * n, range(n)), n)
    driver = net.add(rv.SpikeTimes([50.0 + lag - 1.5 for lag in lags], range(n)), n)
    cells = net.add(rv.LIF(E_L=0.0, V_th=90.0, V_reset=0.0), n)
    each = (list(range(n)), list(range(n)))
    rule = rv.rules.STDP(A_plus=0.03, A_minus=0.02, tau_plus=15.0, tau_minus=30.0, w_max=2.0, dendritic_delay=dendritic)
    learns = net.connect(source, cells, weight=1.0, delay=axonal, edges=each, plasticity=rule)
    net.connect(driver, cells, weight=1000.0, delay=1.0, edges=each)
    run = rv.simulate(net, 120.0, dt=0.5, engine=engine, dtype=torch.float64)
    own = run.neurons >= cells.start
    assert run.times[own].sort().values.tolist() == sorted(50.0 + lag for lag in lags)
    return run.weights[learns].numpy() - 1.0


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize(("axonal", "dendritic"), [(1.0, 0.0), (2.0, 7.5), (9.0, 3.0)])
def test_a_window_is_moved_by_the_difference_of_its_delays(engine, axonal, dendritic):
    """A pair counts by the times at the synapse: t_post + dendritic - (t_pre + axonal); at once, pre goes first."""
    lags = np.array([-20.0, -7.0, -5.5, -5.0, -1.0, 0.5, 1.0, 1.5, 6.0, 6.5, 20.0])
    there = lags + dendritic - axonal
    expected = np.where(there >= 0, 0.03 * np.exp(-there / 15), -0.02 * np.exp(there / 30))
    np.testing.assert_allclose(pairs(engine, axonal, dendritic, lags.tolist()), expected, rtol=1e-9)


def test_a_dense_layer_takes_spikes_as_they_arrive():
    rule, weight = rv.rules.STDP(dendritic_delay=2.0), torch.zeros(1, 1)
    with pytest.raises(ValueError, match="dendritic_delay of STDP is 2 ms; expected 0 in a dense layer"):
        rule.step(rule.init_state(weight, 1), weight, torch.ones(1, 1), torch.zeros(1, 1))


def test_a_file_holds_what_a_rule_delivers(tmp_path):
    net = rv.Network()
    cells = net.add(rv.LIF(), 2)
    net.connect(cells, cells, weight=0.5, probability=1.0, plasticity=Walk(p=0.5, dendritic_delay=3.0))
    folder = rv.networks.write_network(net, tmp_path / "net")
    again = rv.networks.read_network(folder).projections[0].plasticity
    assert again.law.transmitted == Walk().law.transmitted and again.law.on_post == Walk().law.on_post
    assert (again.p, again.dendritic_delay) == (0.5, 3.0)
    file = folder / "network.json"
    for old, new in (('"3.0"', '"-3.0"'), ('"declared": {', '"declared": {"dendritic_delay": {"at_least": -9}, ')):
        file.write_text(file.read_text().replace(old, new))
        with pytest.raises(ValueError, match=r"dendritic_delay of Walk is -3 ms; expected 0 ms or above"):
            rv.networks.read_network(folder)
