"""The laws that every rule of the package keeps; each needs a case in `cases.py`."""


import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.equations.declarations import declared
from tests.engines import plain_plastic, plastic
from tests.laws.discovery import require_cases
from tests.rules.cases import CASES

STEPS = 400
each = pytest.mark.parametrize("rule", CASES.values(), ids=[kind.__name__ for kind in CASES])


def network(rule):
    return plastic.network(rule, modulator=plastic.series(), size=12)


def run(net, **options):
    return rv.simulate(net, STEPS * plastic.DT, **{"dt": plastic.DT, "dtype": torch.float64} | options)


def test_no_rule_is_left_out():
    require_cases(rv.rules.Rule, CASES, {"StochasticRelease": "it draws: tests/rules/test_release.py, by the binomial"})


@each
def test_every_parameter_has_a_unit_and_a_meaning(rule):
    if not type(rule).__module__.startswith("ranvier.rules"):
        pytest.skip("a rule of one study; those of the library declare all")
    for name, record in declared(type(rule)).items():
        assert record.unit and record.doc, name
        assert f"{name} : default" in type(rule).__doc__


@each
def test_values_outside_a_domain_are_refused(rule):
    kind = type(rule)
    for name, record in declared(kind).items():
        for bound, past in ((record.above, 0.0), (record.at_least, -1.0)):
            if bound is not None:
                with pytest.raises(ValueError, match=f"{name} of {kind.__name__} is {bound + past:g}"):
                    kind(**{name: bound + past})
        for bad in (float("nan"), "20 ms", [1.0, 2.0]):
            with pytest.raises((ValueError, TypeError), match=f"{name} of {kind.__name__}"):
                kind(**{name: bad})
    if {"w_min", "w_max"} <= set(declared(kind)):
        with pytest.raises(ValueError, match="w_min"):
            kind(w_min=2.0, w_max=1.0)


@each
def test_engines_and_layers_do_what_the_texts_say(rule):
    net = network(rule)
    series = plastic.series()
    now = lambda k, _past: series.values[min((k - 1) // 25, len(series.values) - 1)].item()  # noqa: E731
    modulator = {q.index: now for q in net.projections} if rule.law.uses_modulator else None
    steps, neurons, expected = plain_plastic.simulate(net, plastic.DT, STEPS, modulator)
    for options in ({}, {"engine": "torch"}):
        recording = run(net, **options)
        assert np.array_equal(recording.neurons, neurons) and np.allclose(recording.times, steps * plastic.DT)
        weights = recording.weights
        for q in net.projections[:2]:
            before = np.broadcast_to(np.asarray(q.weight), expected[q.index].shape)
            assert (np.abs(expected[q.index] - before).max() > 1e-3) == rule.law.learns, "nothing is learned"
            assert np.abs(weights[q].numpy() - expected[q.index]).max() < 1e-9


@each
def test_single_precision_is_close(rule):
    net = network(rule)
    one, two = run(net).weights, run(net, dtype=torch.float32).weights
    for q in net.projections[:2]:
        assert (one[q] - two[q]).abs().median() < 1e-4


@each
def test_without_spikes_nothing_is_learned(rule):
    weight = torch.full((3, 4), 0.5, dtype=torch.float64)
    state, silent = rule.init_state(weight, 1), torch.zeros(1, 4, dtype=torch.float64)
    modulator = torch.ones(1, dtype=torch.float64) if rule.law.uses_modulator else None
    target = {name: torch.full((1, 3), -50.0, dtype=torch.float64) for name in rule.law.reads}
    forgotten = getattr(rule, "decay", 0.0)
    for _ in range(30):
        state, change = rule.step(state, weight, silent, silent[:, :3], modulator, dt=plastic.DT, target=target)
        weight = weight + change
    steps = int(30 * plastic.DT / rule.interval + 1e-9)
    assert torch.allclose(weight, torch.full_like(weight, 0.5 * (1 - forgotten * rule.interval) ** steps))


@each
def test_it_comes_back_from_a_file(rule, tmp_path):
    net = network(rule)
    back = rv.read_network(rv.write_network(net, tmp_path / "net"))
    for again in back.projections[:2]:
        assert again.plasticity.parameters == rule.parameters
        assert declared(type(again.plasticity)) == declared(type(rule))
    assert all(torch.equal(run(net).weights[q], run(back).weights[p]) for q, p in
               zip(net.projections[:2], back.projections[:2], strict=True))  # fmt: skip
