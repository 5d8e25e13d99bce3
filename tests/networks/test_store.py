"""What is written comes back whole: values, types, gradients, rules; and nothing else is let in."""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier.files.atomic
from ranvier.equations import Equations
from ranvier.networks import Network, Normal, TimeSeries, Uniform, read_network, write_network
from ranvier.networks import wiring as w
from ranvier.neurons import EIF, LIF, Graded, Neuron, Poisson, SpikeTimes
from ranvier.synapses import Alpha, Delta, Electrical, Exponential, ExponentialConductance, Jump, Sigmoidal, Synapse


class PIF(Neuron):
    """A user's own neuron."""

    equations = Equations("dV/dt = (drive + I)/tau_m : mV", threshold="V >= V_th", reset="V = V_reset")
    initial = {"V": "V_reset"}
    tau_m: float = 10.0
    V_th: float = 1.0
    V_reset: float = 0.0


class Holding(Neuron):
    """A user's own, which holds more than V."""

    equations = Equations(
        "dV/dt = g - V\ndg/dt = -g", threshold="V > 1", reset="g = 0", refractory="t_ref", holds="V, g"
    )
    t_ref: float = 1.0


class Slow(Synapse):
    """A user's own synapse."""

    equations = Equations("ds/dt = -s/tau : mV")
    jumps = {"s": "1/tau"}
    current = "2*s"
    tau: float = 50.0


def everything():
    net = Network(seed=9)
    tau = torch.linspace(5.0, 20.0, 6, dtype=torch.float64, requires_grad=True)
    a = net.add(EIF(tau_m=tau), 6, "a", drive=TimeSeries([0.1, 0.2, 0.3], 0.5), noise=1 / 3,
                names=[f"n{i}" for i in range(6)], classes=list("xxyyzz"),
                positions=np.random.default_rng(0).random((6, 2)))  # fmt: skip
    b = net.add(PIF(V_th=0.1), 4, "b", drive=[0.1, 0.2, 0.3, 0.4], initial={"V": Uniform(-1.0, 0.5)})
    c = net.add(Graded(), 3, "ünï", initial={"V": Normal(-30.0, 0.1)})
    s = net.add(SpikeTimes([0.5, 1.5], [1, 0]), 2, "s")
    weight = torch.tensor([0.1, np.pi, -1e-30], dtype=torch.float32, requires_grad=True)
    net.connect(a, b, weight=weight, delay=torch.tensor([1.0, 0.1, 2.0]), edges=([5, 0, 3], [0, 3, 0]))
    net.connect(a, [a, b], weight=0.1, in_degree=2, synapse=Exponential(tau=0.3, normalise="peak"))
    net.connect(b, a, weight=0.1, probability=1 / 3, synapse=Slow())
    net.connect(a, a, weight=2.0, wiring=w.Distance("disc", 0.7, 0.5, periodic=(1.0, 0.0)), synapse=Alpha())
    net.connect(s, a, weight=2.0, wiring=w.OutDegree(3, multapses=True), synapse=ExponentialConductance())
    net.connect(c, c, weight=1.0, wiring=w.AllToAll(), synapse=Electrical())
    net.connect(c, c, weight=1.0, wiring=w.OneToOne(), synapse=Sigmoidal(E_rev=-48.0))
    net.background(a, rate=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], weight=0.1, synapse=Delta())
    net.add(Poisson(rate=torch.tensor([1.0, 2.0])), 2, "p")
    h = net.add(Holding(), 2, "h")
    net.connect(a, h, weight=1.0, in_degree=1, synapse=Jump(onto="g"))
    return net


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b) and a.requires_grad == b.requires_grad
    if isinstance(a, TimeSeries):
        return same(a.values, b.values) and a.interval == b.interval
    return type(a) is type(b) and a == b


def assert_equal(one, two):
    assert one.seed == two.seed and len(one.populations) == len(two.populations)
    for p, q in zip(one.populations, two.populations, strict=True):
        assert (p.name, p.size, p.start, p.names, p.classes) == (q.name, q.size, q.start, q.names, q.classes)
        assert type(p.neuron).__name__ == type(q.neuron).__name__
        assert getattr(p.neuron, "equations", None) == getattr(q.neuron, "equations", None)
        assert dict(getattr(p.neuron, "initial", {})) == dict(getattr(q.neuron, "initial", {}))
        assert p.parameters.keys() == q.parameters.keys() and p.initial == q.initial
        assert all(same(p.parameters[k], q.parameters[k]) for k in p.parameters)
        assert (p.positions is None) == (q.positions is None)
        assert p.positions is None or same(p.positions, q.positions)
    assert len(one.projections) == len(two.projections) and len(one.backgrounds) == len(two.backgrounds)
    for p, q in zip(one.projections, two.projections, strict=True):
        assert (p.source.name, p.target.name, p.key) == (q.source.name, q.target.name, q.key)
        assert type(p.wiring) is type(q.wiring) and same(p.weight, q.weight) and same(p.delay, q.delay)
        assert isinstance(p.wiring, w.Edges) or p.wiring == q.wiring
        assert all(torch.equal(x, y) for x, y in zip(p.edges(), q.edges(), strict=True))
        assert p.synapse.parameters == q.synapse.parameters and p.synapse.equations == q.synapse.equations
        assert (p.synapse.jumps, p.synapse.current) == (q.synapse.jumps, q.synapse.current)
        assert repr(p.synapse) == repr(q.synapse)
    for b, c in zip(one.backgrounds, two.backgrounds, strict=True):
        assert b.target.name == c.target.name and same(b.rate, c.rate) and same(b.weight, c.weight)


def test_everything_comes_back(tmp_path):
    net = everything()
    back = read_network(write_network(net, tmp_path / "net"))
    assert_equal(net, back)
    s = back["s"].neuron
    assert s.times.tolist() == [0.5, 1.5] and s.neurons.tolist() == [1, 0]
    assert back["b"].neuron.parameters == {"tau_m": 10.0, "V_th": 0.1, "V_reset": 0.0}
    assert_equal(back, read_network(write_network(back, tmp_path / "again")))


def test_a_shared_parameter_is_still_shared(tmp_path):
    net = Network()
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    a = net.add(LIF(), 2, "a")
    net.connect(a, a, weight=w, edges=([0, 1], [1, 0]))
    net.connect(a, a, weight=w, edges=([0, 1], [0, 1]))
    back = read_network(write_network(net, tmp_path))
    assert back.projections[0].weight is back.projections[1].weight
    assert back.projections[0].weight.requires_grad


def test_a_rule_is_stored_as_a_rule(tmp_path):
    net = Network(seed=1)
    a = net.add(LIF(), 1000)
    net.connect(a, a, weight=1.0, in_degree=100)
    write_network(net, tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 3000


def test_writing_over_leaves_one_whole_network(tmp_path, monkeypatch):
    net = everything()
    write_network(net, tmp_path)
    other = Network()
    other.add(LIF(tau_m=torch.ones(3)), 3)

    def broken(path, value):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr("ranvier.networks.store.write_json", broken)
        with pytest.raises(KeyboardInterrupt):
            write_network(other, tmp_path)
    assert_equal(net, read_network(tmp_path))  # interrupted: the old one, whole
    write_network(other, tmp_path)
    assert_equal(other, read_network(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_code_of_the_users_own_is_refused_by_name(tmp_path):
    class Odd(Exponential):
        def peak(self):
            return 1.0

    class Ring(w.Wiring):
        pass

    net = Network()
    a = net.add(LIF(), 2)
    net.connect(a, a, weight=1.0, in_degree=1, synapse=Odd())
    with pytest.raises(TypeError, match="Odd"):
        write_network(net, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    net = Network()
    a = net.add(LIF(), 2)
    net.connect(a, a, weight=1.0, wiring=Ring())
    with pytest.raises(TypeError, match="Ring"):
        write_network(net, tmp_path / "x")


def broken_by(change):
    def act(folder):
        value = json.loads((folder / "network.json").read_text())
        change(value)
        (folder / "network.json").write_text(json.dumps(value))

    return act


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda d: (d / "network.json").write_text("{"), "not JSON"),
        (lambda d: (d / "network.json").write_text("[]"), "not a ranvier network"),
        (broken_by(lambda v: v.update(version=3)), "version 3"),
        (broken_by(lambda v: v.pop("seed")), "has no 'seed'"),
        (broken_by(lambda v: v["populations"][0]["neuron"].update(model="EIFF")), "did you mean 'EIF'"),
        (broken_by(lambda v: v["populations"][0].update(size=-1)), "size is -1"),
        (broken_by(lambda v: v["populations"][0]["parameters"].update(taum=1.0)), "taum"),
        (broken_by(lambda v: v["projections"][0].update(delay=-1.0)), "above 0 ms"),
        (broken_by(lambda v: v["projections"][0].update(source="zz")), "there is no population"),
        (broken_by(lambda v: v["projections"][1]["wiring"].update(rule="eval")), "wiring.rule is .eval"),
        (broken_by(lambda v: v["projections"][1]["wiring"].update(k=99)), "at most"),
        (broken_by(lambda v: v["populations"][1]["neuron"]["equations"].update(text="dV/dt = a.b")), "numbers, names"),
        (lambda d: next(d.glob("tensors*")).write_bytes(b"broken"), "safetensors"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path, act, message):
    act(write_network(everything(), tmp_path))
    with pytest.raises(ValueError, match=message):
        read_network(tmp_path)


def test_missing_files_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="write_network"):
        read_network(tmp_path)
    write_network(everything(), tmp_path)
    next(tmp_path.glob("tensors*")).unlink()
    with pytest.raises(FileNotFoundError, match="tensors"):
        read_network(tmp_path)
    broken_by(lambda v: v.update(tensors="../../etc/passwd"))(tmp_path)
    with pytest.raises(FileNotFoundError, match="tensors"):
        read_network(tmp_path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.sampled_from(["a", "EIF", "t0"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["tensor", "rule", "k"]), inner)
    ),
    max_leaves=4,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), junk=JUNK)
def test_random_damage_gives_a_network_or_a_message(tmp_path, data, junk):
    folder = tmp_path / "net"
    if not (folder / "good.json").exists():
        write_network(everything(), folder)
        (folder / "good.json").write_bytes((folder / "network.json").read_bytes())
    value = json.loads((folder / "good.json").read_text())
    place = value
    while True:  # walk down a random path and put junk at its end
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(sorted(keys)))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            place[key] = junk
            break
        place = place[key]
    ranvier.files.atomic.write_json(folder / "network.json", value)
    try:
        net = read_network(folder)
    except (ValueError, FileNotFoundError) as error:
        assert len(str(error)) > 20
    else:
        assert isinstance(net, Network)


def test_values_of_a_file_are_not_echoed_whole(tmp_path):
    net = Network(seed=1)
    cells = net.add(LIF(), 3, "cells")
    net.connect(cells, cells, weight=1.0, in_degree=1)
    write_network(net, tmp_path / "net")
    file = tmp_path / "net" / "network.json"
    value = json.loads(file.read_text())
    value["projections"][0]["source"] = "(" * 5000
    file.write_text(json.dumps(value))
    with pytest.raises(ValueError, match="describes no valid network") as caught:
        read_network(tmp_path / "net")
    assert len(str(caught.value)) < 1000
