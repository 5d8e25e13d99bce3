"""The description keeps what it is given, refuses what does not fit, and leaves nothing behind."""

import gc
import math
import tracemalloc
import weakref

import pytest
import torch

from ranvier.networks import Network, Normal, TimeSeries, Uniform
from ranvier.networks import wiring as w
from ranvier.neurons import EIF, LIF, Graded, Poisson, SpikeTimes
from ranvier.synapses import Delta, Electrical, Exponential, ExponentialConductance


@pytest.fixture
def net():
    net = Network(seed=4)
    net.add(EIF(), 8, name="exc", drive=10.0, noise=9.0)
    net.add(LIF(), 4, name="inh")
    return net


def test_populations_lie_one_behind_the_other(net):
    exc, inh = net.populations
    assert (exc.start, inh.start, exc.index, inh.index, net.size) == (0, 8, 0, 1, 12)
    assert exc.parameters["drive"] == 10.0 and exc.parameters["noise"] == 9.0
    assert inh.parameters["drive"] == 0.0 and inh.parameters["tau_m"] == LIF().tau_m
    assert exc.parameters["Delta_T"] == EIF().Delta_T
    assert net["inh"] is inh
    assert net.names[8] == "inh[0]" and net.classes[7:9] == ["exc", "inh"]


def test_parameters_may_be_one_value_a_neuron_and_stay_in_their_graph():
    net = Network()
    tau = torch.linspace(5, 20, 6, requires_grad=True)  # float32
    drive = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    p = net.add(EIF(tau_m=tau), 6, drive=drive, noise=[1, 2, 3, 4, 5, 6], E_L=-60)
    assert p.parameters["tau_m"] is tau and p.parameters["drive"] is drive  # or their training would go unseen
    assert p.parameters["E_L"] == -60.0
    assert p.parameters["noise"].dtype == torch.float64
    assert p.parameters["noise"].tolist() == [1, 2, 3, 4, 5, 6]


def test_weights_and_delays_are_kept_as_given(net):
    weight = torch.randn(3, requires_grad=True)
    delay = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    p = net.connect("exc", "inh", weight=weight, delay=delay, edges=([7, 0, 1], [3, 0, 0]))
    assert p.weight is weight and p.delay is delay
    sources, targets = p.edges()
    assert sources.tolist() == [7, 0, 1] and targets.tolist() == [3, 0, 0]
    assert p.order().tolist() == [1, 2, 0]
    one = torch.tensor(2.0, requires_grad=True)
    q = net.connect("exc", "inh", weight=one, in_degree=2)
    assert q.weight is one and q.delay == 1.0


def test_several_targets_give_one_projection_each(net):
    exc, inh = net.populations
    new = net.connect(exc, [exc, inh], weight=1.0, in_degree=3, synapse=Exponential(tau=5.0))
    assert [p.target for p in new] == [exc, inh] and net.projections == new
    assert new[0].size == 24 and new[1].size == 12
    assert new[0].key != new[1].key
    for p in new:
        sources, targets = p.edges()
        assert torch.bincount(targets).tolist() == [3] * p.target.size
        _, drawn = p.draw(1, 3)
        assert drawn.tolist() == sources[(targets >= 1) & (targets < 3)].tolist()
    sources, targets = new[0].edges()
    assert not (sources == targets).any()  # no neuron reaches itself unless asked


def test_wiring_is_a_function_of_the_seed():
    def wired(seed):
        net = Network(seed=seed)
        p = net.add(LIF(), 200)
        return net.connect(p, p, weight=1.0, probability=0.1).edges()[0].tolist()

    assert wired(1) == wired(1) != wired(2)


def test_background_and_inputs(net):
    exc = net["exc"]
    b = net.background(exc, rate=torch.full((8,), 100.0), weight=0.1)
    assert b.synapse == Delta() and b.rate.tolist() == [100.0] * 8 and net.backgrounds == [b]
    series = TimeSeries([1.0, 2.0], 5.0)
    other = net.add(LIF(), 2, drive=series, initial={"V": Uniform(-65, -50)}, positions=[0.0, 1.0])
    assert other.parameters["drive"] is series and other.initial["V"] == Uniform(-65.0, -50.0)
    assert other.positions.shape == (2, 1)
    assert net.add(Poisson(rate=5.0), 3).parameters == {"rate": 5.0}


GAP = Electrical()
REFUSED = [
    (lambda n: n.add(LIF(), 0), "size is 0"),
    (lambda n: n.add(LIF(), 2.5), "whole number"),
    (lambda n: n.add(LIF(), 3, name="exc"), "already"),
    (lambda n: n.add(LIF(), 3, drvie=1.0), "did you mean 'drive'"),
    (lambda n: n.add(LIF(), 3, Delta_T=1.0), "no parameter 'Delta_T'"),
    (lambda n: n.add(LIF(), 3, drive=[1.0, 2.0]), r"expected one number in mV, or one a neuron: \(3,\)"),
    (lambda n: n.add(LIF(tau_m=torch.ones(2)), 3), "tau_m"),
    (lambda n: n.add(LIF(), 3, drive=math.nan), "finite"),
    (lambda n: n.add(LIF(), 3, noise=-1.0), "0 mV or above"),
    (lambda n: n.add(LIF(), 3, drive=[0.0, math.inf, 0.0]), "inf at neuron 1"),
    (lambda n: n.add(LIF(), 3, drive=TimeSeries(torch.ones(5, 2), 1.0)), "2 columns"),
    (lambda n: n.add(LIF(), 3, initial={"v": 0.0}), "no variable 'v'"),
    (lambda n: n.add(LIF(), 3, names=["a", "b", "a"]), "'a' appears twice"),
    (lambda n: n.add(LIF(), 3, classes=["a"]), "one a neuron: 3"),
    (lambda n: n.add(LIF(), 3, positions=[[0.0, math.nan]] * 3), "no finite position"),
    (lambda n: n.add(SpikeTimes([1.0], [3]), 3), "from 0 to 2"),
    (lambda n: n["ecx"], "did you mean 'exc'"),
    (lambda n: n.connect("exc", "nowhere", weight=1.0, probability=0.1), "there is no population"),
    (lambda n: n.connect("exc", Network().add(LIF(), 3), weight=1.0, probability=0.1), "another network"),
    (lambda n: n.connect("exc", "inh", weight=1.0), "no rule"),
    (lambda n: n.connect("exc", "inh", weight=1.0, probability=0.1, in_degree=2), "exactly one"),
    (lambda n: n.connect("exc", "inh", weight=1.0, probability=20), "degree"),
    (lambda n: n.connect("exc", "inh", weight=1.0, in_degree=9), "only 8"),
    (lambda n: n.connect("exc", "exc", weight=1.0, in_degree=8), "itself left out"),
    (lambda n: n.connect("exc", "inh", weight=1.0, edges=([8], [0])), "Edge 0 has source 8"),
    (lambda n: n.connect("exc", "inh", weight=[1.0, 2.0], in_degree=3), "2 values for 12 edges"),
    (lambda n: n.connect("exc", "inh", weight=[1.0, math.nan], edges=([0, 1], [0, 0])), "nan at edge 1"),
    (lambda n: n.connect("exc", "inh", weight=1.0, delay=-1.0, in_degree=3), "above 0 ms"),
    (lambda n: n.connect("exc", "inh", weight=1.0, delay=0.0, in_degree=3), "one step"),
    (lambda n: n.connect("exc", "inh", weight=1.0, wiring=w.Distance()), "positions"),
    (lambda n: n.connect("exc", "inh", weight=1.0, wiring=w.OneToOne()), "one size"),
    (lambda n: n.connect(n.add(Graded(), 2), "inh", weight=1.0, probability=0.1), "never spikes"),
    (lambda n: n.connect("inh", n.add(Poisson(), 2), weight=1.0, probability=0.1), "takes no input"),
    (lambda n: n.connect(n.add(Poisson(), 2), "inh", weight=1.0, synapse=GAP, in_degree=1), "voltage"),
    (lambda n: n.connect("exc", "inh", weight=1.0, delay=1.0, synapse=GAP, in_degree=1), "leave delay"),
    (lambda n: n.background("exc", rate=-1.0, weight=0.1), "0 Hz or above"),
    (lambda n: n.background("exc", rate=1.0, weight=0.1, synapse=Electrical()), "takes spikes"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_added(net, act, message):
    with pytest.raises(ValueError, match=message):
        act(net)
    assert net.projections == [] and net.backgrounds == []


@pytest.mark.parametrize(
    "act",
    [
        lambda n: n.add(LIF, 3),
        lambda n: n.add("LIF", 3),
        lambda n: n.add(LIF(), 3, drive="10 mV"),
        lambda n: n.add(LIF(), 3, classes="abc"),
        lambda n: n.add(LIF(), 3, t_ref=TimeSeries([1.0], 1.0)),
        lambda n: n.connect("exc", "inh", weight="0.1 mV", probability=0.1),
        lambda n: n.connect("exc", "inh", weight=1.0, probability=0.1, synapse=Delta),
        lambda n: n.connect("exc", "inh", weight=1.0, wiring=w.AllToAll),
        lambda n: n.connect(3, "inh", weight=1.0, probability=0.1),
        lambda n: Network(seed=0.5),
    ],
)
def test_what_is_of_another_kind_is_a_type_error(net, act):
    with pytest.raises(TypeError, match="expected"):
        act(net)


def test_a_conductance_needs_a_leak_conductance(net):
    from ranvier.equations import Equations
    from ranvier.neurons import Neuron

    class PIF(Neuron):
        equations = Equations("dV/dt = I/tau_m", threshold="V >= 1", reset="V = 0")
        tau_m: float = 10.0

    with pytest.raises(ValueError, match="g_L"):
        net.connect("exc", net.add(PIF(), 2), weight=1.0, synapse=ExponentialConductance(), in_degree=1)


def test_html_escapes_and_tells_the_numbers(net):
    net.add(LIF(), 2, name="<b>&", drive=torch.tensor([1.0, 2.0]))
    net.connect("exc", "<b>&", weight=-2.5, in_degree=1)
    net.background("exc", rate=100.0, weight=0.1)
    html = net._repr_html_()
    assert "<b>&</td>" not in html and "&lt;b&gt;&amp;" in html
    assert "-2.5" in html and "1 … 2 (2 values)" in html and "14 neurons" in html


def test_building_in_a_loop_keeps_no_memory():
    def build():
        net = Network()
        a = net.add(EIF(), 100, names=[f"n{i}" for i in range(100)], initial={"V": Normal(-60.0, 1.0)})
        b = net.add(LIF(), 100)
        net.connect(a, [a, b], weight=torch.ones(1000), in_degree=10)
        net.background(a, rate=10.0, weight=0.1)
        net._repr_html_()
        return net

    build()
    gc.collect()
    gc.disable()  # plain reference counts must free a network: it holds no cycles
    try:
        gone = weakref.ref(build())
        assert gone() is None
    finally:
        gc.enable()
    tracemalloc.start()
    try:
        build()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(30):
            build()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 10_000  # one network alone is more


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_that_would_be_cut_is_refused(seed):
    with pytest.raises(ValueError, match="expected a whole number from 0 to"):
        Network(seed=seed)
