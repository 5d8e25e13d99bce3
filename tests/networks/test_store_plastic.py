"""Plastic projections on disk: rules, bounds and modulators come back as they were."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import rules
from ranvier.networks.store import fingerprint


class Own(rules.Rule):
    """A rule of the user's."""

    traces = (rules.Trace("x", "pre", "tau"), rules.Trace("h", "post", "tau", follows="2*y"),
              rules.Trace("y", "post", "tau", nearest=True))  # fmt: skip
    on_post = "A*(x - h)"
    tau: float = 12.0
    A: float = 0.1


def network():
    net = rv.Network(seed=2)
    a = net.add(rv.LIF(), 5, name="a", drive=20.0)
    b = net.add(rv.LIF(), 3, name="b", drive=18.0)
    net.connect(a, b, weight=0.5, in_degree=2, plasticity=rules.STDP(pairs="nearest", mu_plus=0.5))
    net.connect(a, a, weight=0.5, in_degree=2, plasticity=rules.RewardSTDP(tau_d=0.0), modulator=b)
    series = rv.TimeSeries(np.linspace(0.0, 1.0, 4), 5.0)
    net.connect(b, a, weight=0.5, in_degree=2, plasticity=rules.RewardSTDP(), modulator=series)
    net.connect(b, a, weight=0.5, in_degree=2, plasticity=Own(A=0.3))
    net.connect(b, a, weight=0.5, in_degree=2)
    return net


def test_nothing_is_lost(tmp_path):
    net = network()
    back = rv.read_network(rv.write_network(net, tmp_path / "net"))
    rule = [p.plasticity for p in back.projections]
    assert rule[:3] == [p.plasticity for p in net.projections[:3]] and rule[4] is None
    assert rule[1].w_max == np.inf and rule[3].parameters == Own(A=0.3).parameters
    assert rule[3].law.follows == Own().law.follows and rule[3].law.pre == Own().law.pre
    assert back.projections[1].modulator is back["b"]
    assert np.array_equal(back.projections[2].modulator.values, net.projections[2].modulator.values)
    assert fingerprint(back) == fingerprint(net)
    ours, theirs = (rv.simulate(n, 60.0).weights for n in (net, back))
    assert all((ours[k] == theirs[k]).all() for k in ours)


def test_the_rule_is_part_of_the_network():
    one, other = network(), rv.Network(seed=2)
    assert fingerprint(one) != fingerprint(other)
    changed = network()
    object.__setattr__(changed.projections[0].plasticity, "A_plus", 0.02)
    assert fingerprint(one) != fingerprint(changed)


def test_other_formats_say_that_they_hold_no_plasticity():
    with pytest.raises(ValueError, match="plasticity"):
        rv.networks.to_nir(network())
