"""The laws that every neuron of the package keeps; each needs a case in `cases.py`."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.equations.declarations import declared
from tests.engines import plain
from tests.laws.discovery import require_cases
from tests.laws.draws import uneven
from tests.laws.interpreter import Written
from tests.laws.units import UNIT_FUNCTIONS, Unit
from tests.neurons.cases import CASES

DT, DURATION, SIZE = 0.16, 120.0, 3
each = pytest.mark.parametrize("case", CASES.values(), ids=[kind.__name__ for kind in CASES])


def network(case, drive=None):
    net = rv.Network()
    spread = np.linspace(1.0, 1.1, SIZE)
    inputs = {} if case.drive is None else {"drive": spread * (case.drive if drive is None else drive)}
    net.add(case.model, SIZE, "cells", **inputs)
    return net


def run(net, **options):
    return rv.simulate(net, DURATION, **{"dt": DT, "dtype": torch.float64, "record": "V"} | options)


def test_no_neuron_is_left_out():
    nodes = ("BiasedCurrentLI", "BiasedCurrentLIF", "IntegrateAndFire", "Integrator")
    require_cases(rv.Neuron, CASES, dict.fromkeys(nodes, "NIR's nodes: tests/networks/test_nir_values.py, by expm"))


@each
def test_every_parameter_has_a_unit_and_a_meaning(case):
    kind = type(case.model)
    if not kind.__module__.startswith("ranvier.neurons"):
        pytest.skip("a model of one study; those of the library declare all")
    for name, record in declared(kind).items():
        assert record.unit and record.doc, f"{kind.__name__}.{name} declares no unit or no meaning"
        assert f"{name} : default" in kind.__doc__ and record.domain in kind.__doc__
    for state in case.model.equations.states[:1]:
        assert state.unit


@each
def test_units_agree(case):
    """Each term of dx/dt has the unit of x per ms, threshold and reset that of what they meet."""
    records = declared(type(case.model))
    if case.bare_numbers or any(not r.unit for r in records.values()):
        pytest.skip("its numbers carry units")
    written, states = Written(case.model.equations), case.model.equations.states
    values = {name: Unit(record.unit) for name, record in records.items()}
    values |= {"drive": Unit("mV"), "noise": Unit("mV"), "I": Unit("mV"), "xi": Unit("ms^-0.5"), "t": Unit("ms")}
    values |= {state.name: Unit(state.unit) for state in states}
    for state in (s for s in states if s.name not in case.model.equations.events):  # these count
        slope = written.slopes(values, UNIT_FUNCTIONS)[state.name]
        assert slope == Unit(state.unit) / Unit("ms"), state.name


@each
def test_noise_is_the_standard_deviation_of_the_free_membrane(case):
    """docs/contracts.md: tau dV = ... dt + noise √(2 tau) dW, tau a neuron's tau_m, or C_m/g_L, or 1 ms without any."""
    soma = case.model.equations.states[0]
    if not soma.diffusion:
        pytest.skip("no noise")
    values = {"noise": 2.7, "tau_m": 13.7, "C_m": 217.3, "g_L": 11.9}
    names = set(declared(type(case.model)))
    tau = 13.7 if "tau_m" in names else 217.3 / 11.9 if "C_m" in names else 1.0
    power = sum(float(g.subs({s: values[s.name] for s in g.free_symbols})) ** 2 for g in soma.diffusion.values())
    assert power == pytest.approx(2 * 2.7**2 / tau, rel=1e-12)


@each
def test_values_outside_a_domain_are_refused_everywhere(case):
    kind, bounded = type(case.model), 0
    for name, record in declared(kind).items():
        for bound, past in ((record.above, 0.0), (record.at_least, -1.0)):
            if bound is None:
                continue
            bounded += 1
            bad = bound + past
            with pytest.raises(ValueError, match=f"{name} of {kind.__name__} is {bad:g}"):
                kind(**{name: bad})
            column = torch.tensor([1.0, bad, 1.0], dtype=torch.float64)
            with pytest.raises(ValueError, match=f"'{name}' of population 'cells' is {bad:g} .*neuron 1"):
                rv.Network().add(case.model, 3, "cells", **{name: column})
            assert record.domain in kind.__doc__ or not kind.__module__.startswith("ranvier.neurons")
        with pytest.raises(ValueError, match=f"{name} of {kind.__name__} is nan"):
            kind(**{name: float("nan")})
        with pytest.raises(TypeError, match=f"{name} of {kind.__name__}"):
            kind(**{name: "20 ms"})
    assert bounded or not kind.__module__.startswith("ranvier.neurons")


@each
def test_both_engines_do_what_the_text_says(case):
    case = replace(case, model=uneven(case.model))
    values = {k: x for k, x in case.model.parameters.items() if declared(type(case.model))[k].unit == "ms"}
    assert not any(float(x / DT).is_integer() or float(x).is_integer() for x in values.values() if x), values
    net = network(case)
    compiled, tensors = run(net), run(net, engine="torch")
    at, neurons, V = plain.simulate(net, DT, round(DURATION / DT), ["cells"])
    counts = np.bincount(neurons.astype(int), minlength=SIZE)
    assert counts.min() >= case.spikes and (case.spikes or not counts.any()), counts
    for recording in (compiled, tensors):
        assert np.array_equal(np.rint(recording.times.numpy() / DT), at)
        assert np.array_equal(recording.neurons.numpy(), neurons)
        assert np.abs(recording.states["V"].values.numpy() - V["cells"]).max() < 1e-5


@each
def test_single_precision_is_close(case):
    net = network(case)
    whole, single = run(net), run(net, dtype=torch.float32)
    difference = (whole.rates() - single.rates()).abs().max()
    assert difference <= 1000 / DURATION + 1e-9  # one spike at the end of the run


@each
def test_without_drive_it_is_silent(case):
    recording = run(network(case, drive=case.rest))
    assert len(recording.times) == 0
    V = recording.states["V"].values
    assert (V[-1] - V[-2]).abs().max() < 1e-2


@each
def test_a_run_may_be_cut_and_joined(case):
    net = network(case)
    whole, simulation = run(net), rv.Simulation(net, dt=DT, dtype=torch.float64, record="V")
    parts = [simulation.run(72.0), simulation.run(DURATION - 72.0)]
    assert torch.equal(torch.cat([p.times for p in parts]), whole.times)
    assert torch.equal(torch.cat([p.states["V"].values for p in parts]), whole.states["V"].values)


@each
def test_it_comes_back_from_a_file(case, tmp_path):
    net = network(case)
    back = rv.read_network(rv.write_network(net, tmp_path / "net"))
    kind, same = type(back["cells"].neuron), declared(type(case.model))
    assert back["cells"].neuron.parameters == case.model.parameters and declared(kind) == same
    assert kind.relations == type(case.model).relations
    again, first = run(back), run(net)
    assert torch.equal(again.times, first.times)
    assert torch.equal(again.states["V"].values, first.states["V"].values)


@each
def test_its_rate_is_the_theory_s(case):
    if case.rate is None:
        pytest.skip("no closed form")
    net = rv.Network()
    net.add(case.model, 1, drive=case.drive)
    times = rv.simulate(net, 1000.0, dt=0.01, dtype=torch.float64).times
    measured = 1000 / float(times.diff()[2:].mean())
    assert measured == pytest.approx(case.rate(), rel=case.tolerance)  # half a step late a spike: 0.005 ms
