"""The laws that every source of spikes keeps; a new source needs a case here."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines._prepare import ENGINES
from ranvier.networks import read_network, write_network
from ranvier.neurons.sources import Source
from tests.laws.discovery import require_cases
from tests.laws.interruptions import require_same, require_same_when_interrupted

DT, DURATION, SIZE = 0.16, 2000.0, 50


@dataclass(frozen=True)
class Case:
    """rate: expected Hz of each neuron; fano: of its counts; bad: what it refuses; correlation: of two neurons' counts;
    chance: whether seeds matter; drawn_by_engine: whether another engine draws other spikes."""

    source: Source
    rate: float
    fano: float
    bad: tuple[dict, ...]
    correlation: float = 0.0
    chance: bool = True
    drawn_by_engine: bool = False


TIMES = np.repeat(np.arange(20.0, DURATION, 40.0), SIZE)
CASES = {
    rv.Poisson: Case(
        rv.Poisson(rate=40.0), 40.0, 1.0,
        ({"rate": -1.0}, {"rate": float("nan")}, {"rate": float("inf")}, {"rate": "40 mV"}), drawn_by_engine=True,
    ),
    rv.SpikeTimes: Case(
        rv.SpikeTimes(TIMES, np.tile(np.arange(SIZE), len(TIMES) // SIZE)), 25.0, 0.0,
        ({"times": [-1.0], "neurons": [0]}, {"times": [float("nan")], "neurons": [0]},
         {"times": [1.0, 2.0], "neurons": [0]}, {"times": [1.0], "neurons": [-1]}, {"times": [1.0], "neurons": [0.5]}),
        chance=False,
    ),
    rv.neurons.GammaProcess: Case(
        rv.neurons.GammaProcess(rate=40.0), 40.0, 1.0,
        ({"rate": -1.0}, {"shape": 0.0}, {"shape": float("inf")}, {"t_ref": -1.0}, {"shape": "2"}),
    ),
    rv.neurons.CorrelatedPoisson: Case(
        rv.neurons.CorrelatedPoisson(rate=40.0, correlation=0.02), 40.0, 1.0,
        ({"rate": -1.0}, {"correlation": 0.0}, {"correlation": 1.1}, {"correlation": float("nan")}), correlation=0.02,
    ),
    rv.neurons.PulsePackets: Case(
        rv.neurons.PulsePackets(np.arange(20.0, DURATION, 40.0), sd=1.5), 25.0, 0.0,
        ({"times": [-1.0]}, {"times": [[1.0]]}, {"times": [float("nan")]}, {"times": [1.0], "activity": -1.0},
         {"times": [1.0], "activity": 65.0}, {"times": [1.0], "sd": -1.0}, {"times": [1.0], "sd": float("nan")}),
    ),
}  # fmt: skip
each = pytest.mark.parametrize("case", CASES.values(), ids=[kind.__name__ for kind in CASES])
engines = pytest.mark.parametrize("engine", ["compiled", "torch"])


def network(source):
    net = rv.Network()
    net.add(source, SIZE, "sources")
    return net


def run(net, duration=DURATION, **options):
    return rv.simulate(net, duration, **{"dt": DT, "seed": 3} | options)


def test_no_source_is_left_out():
    require_cases(Source, CASES)


@each
@engines
def test_rate_and_fano_factor(case, engine):
    if engine == "torch" and not case.drawn_by_engine:
        pytest.skip("the same spikes in every engine, see below")
    recording = run(network(case.source), engine=engine, dt=0.5 if engine == "torch" else DT)
    counts = recording.rates().numpy() * DURATION / 1000
    expected = case.rate * DURATION / 1000
    # 5 standard errors: the mean of 50 Poisson counts, and their variance over mean, sqrt(2/49)
    c = case.correlation
    assert abs(counts.mean() - expected) <= 5 * (case.fano * expected * (1 + (SIZE - 1) * c) / SIZE) ** 0.5
    assert abs(counts.var(ddof=1) / expected - case.fano * (1 - c)) <= 5 * case.fano * (2 / (SIZE - 1)) ** 0.5
    within = recording.fano(100.0).numpy()  # the same of windows within a train, 50 neurons · 20 windows
    if case.fano:
        assert abs(within.mean() - case.fano) < 5 * (2 / (19 * SIZE)) ** 0.5


@each
@engines
def test_seeds_decide_what_is_left_to_chance(case, engine):
    net = network(case.source)
    one, again, other = (run(net, 64.0, engine=engine, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.times, again.times) and torch.equal(one.neurons, again.neurons)
    assert torch.equal(one.times, other.times) == (not case.chance)


@each
def test_what_is_outside_its_domain_is_refused(case):
    for bad in case.bad:
        with pytest.raises((ValueError, TypeError), match="expected"):
            type(case.source)(**bad)


@each
def test_a_file_gives_the_same_spikes(case, tmp_path):
    net = network(case.source)
    write_network(net, tmp_path / "net")
    one, other = run(net, 200.0), run(read_network(tmp_path / "net"), 200.0)
    assert len(one.times) and torch.equal(one.times, other.times) and torch.equal(one.neurons, other.neurons)


@each
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_engines_and_interruptions_change_no_spike(case, tmp_path):
    """The source's own spikes and those of cells that it drives."""
    net = network(case.source)
    cells = net.add(rv.LIF(), 20, drive=14.0)
    net.connect("sources", cells, weight=4.0, delay=0.8, in_degree=10)
    runs = {}
    for engine in ENGINES:
        options = {"dt": DT, "seed": 3, "engine": engine, "dtype": torch.float64}
        runs[engine] = require_same_when_interrupted(net, 250 * DT, tmp_path / engine, **options)
        own = runs[engine].neurons < SIZE
        assert own.any() and not own.all()
        if not case.drawn_by_engine:
            require_same(runs[engine], runs["compiled"])
