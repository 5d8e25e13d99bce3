"""The laws that every synapse of the package keeps; each needs a case in `cases.py`."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import ranvier as rv
from ranvier.equations.declarations import declared
from tests.laws.discovery import require_cases
from tests.laws.interpreter import Written, value
from tests.laws.units import UNIT_FUNCTIONS, Unit
from tests.synapses.cases import CASES

DT, DURATION = 0.05, 30.0
each = pytest.mark.parametrize("case", CASES.values(), ids=[kind.__name__ for kind in CASES])


def network(case):
    net = rv.Network()
    cells = net.add(rv.LIF(V_th=1e9), 1, "cells")
    if case.model.continuous:
        source = net.add(rv.Graded(), 1, "source", drive=5.0)
    else:
        source = net.add(rv.SpikeTimes([1.0], [0]), 1, "source")
    net.connect(source, cells, weight=case.weight, delay=None if case.model.continuous else 1.0,
                synapse=case.model, edges=([0], [0]))  # fmt: skip
    return net


def run(net, **options):
    record = rv.Probe("V", neurons="cells")
    return rv.simulate(net, DURATION, **{"dt": DT, "dtype": torch.float64, "record": record} | options)


def test_no_synapse_is_left_out():
    require_cases(rv.Synapse, CASES, {"Continuous": "the base of Electrical, Proportional and Sigmoidal"})


@each
def test_every_parameter_has_a_unit_and_a_meaning(case):
    kind = type(case.model)
    for name, record in declared(kind).items():
        assert record.unit and record.doc and f"{name} : default" in kind.__doc__
    assert case.model.weight_parameter.unit == case.model.weight_unit


@each
def test_units_agree(case):
    """Jumps of the weight's unit times the text's are the variable's; what reaches the neuron is in mV."""
    if case.model.equations is None:
        pytest.skip("without equations")
    written, states = Written(case.model.equations), case.model.equations.states
    values = {name: Unit(record.unit) for name, record in declared(type(case.model)).items()}
    values |= {"V": Unit("mV"), "g_L": Unit("nS")} | {s.name: Unit(s.unit) for s in states}
    slopes = written.slopes(values, UNIT_FUNCTIONS)
    for state in states:
        assert slopes[state.name] == Unit(state.unit) / Unit("ms")
    for name, text in case.model.jumps.items():
        jump = Unit(case.model.weight_unit) * value(text, values, UNIT_FUNCTIONS)
        assert jump == values[name], name
    assert value(case.model.current, values, UNIT_FUNCTIONS) == Unit("mV")


@each
def test_values_outside_a_domain_are_refused(case):
    kind = type(case.model)
    for name, record in declared(kind).items():
        for bound, past in ((record.above, 0.0), (record.at_least, -1.0)):
            if bound is not None:
                with pytest.raises(ValueError, match=f"{name} of {kind.__name__} is {bound + past:g}"):
                    kind(**{name: bound + past})
    net = network(case)
    conducts = case.model.weight_unit == "nS"
    if not conducts:
        net.connect("source", "cells", weight=-1.0, synapse=case.model, edges=([0], [0]))
        return
    for weight in (-1.0, torch.tensor([-1.0])):
        with pytest.raises(ValueError, match=r"The weight .* is -1 nS.*expected 0 nS or above"):
            net.connect("source", "cells", weight=weight, synapse=case.model, edges=([0], [0]))
    if not case.model.continuous:
        with pytest.raises(ValueError, match=r"The weight .* is -1 nS"):
            net.background("cells", 10.0, -1.0, case.model)
        with pytest.raises(ValueError, match="w_min of Hebb"):
            net.connect("source", "cells", weight=1.0, synapse=case.model, probability=1.0, plasticity=rv.rules.Hebb())


@each
def test_the_potential_is_that_of_the_kernel(case):
    """SciPy's solution of the membrane under the hand-written input; conductances are taken at the step's start."""
    if case.input is None:
        pytest.skip("no kernel")
    slope = lambda t, V: (-65.0 - V + case.input(t, V)) / 20.0  # noqa: E731
    t = np.arange(DT, DURATION - 2.0, DT)
    exact = solve_ivp(slope, (0, t[-1]), [-65.0], t_eval=t, rtol=1e-9, atol=1e-9).y[0]
    V = run(network(case)).states["V"]
    result = np.interp(t, V.times.numpy() - 2.0, V.values[:, 0].numpy())
    moved = np.abs(exact + 65.0).max()
    assert moved > 0.3 and np.abs(result - exact).max() < 0.02 * moved


@each
def test_engines_precisions_and_pieces_agree(case):
    net = network(case)
    V = run(net).states["V"].values
    assert (V - V[0]).abs().max() > 0.1
    assert (run(net, engine="torch").states["V"].values - V).abs().max() < 1e-9
    assert (run(net, dtype=torch.float32).states["V"].values - V).abs().max() < 1e-3
    simulation = rv.Simulation(net, dt=DT, dtype=torch.float64, record=rv.Probe("V", neurons="cells"))
    parts = [simulation.run(2.5).states["V"].values, simulation.run(DURATION - 2.5).states["V"].values]
    assert torch.equal(torch.cat(parts), V)


@each
def test_it_comes_back_from_a_file(case, tmp_path):
    net = network(case)
    back = rv.read_network(rv.write_network(net, tmp_path / "net"))
    assert back.projections[0].synapse == case.model
    assert torch.equal(run(back).states["V"].values, run(net).states["V"].values)
