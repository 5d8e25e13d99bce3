"""The mutation run is itself tested: what it changes, which tests it takes, and whether a break is told from none."""

import ast
import functools

import pytest

from tests.mutants.nearest import Nearest
from tests.mutants.operators import mutants
from tests.mutants.run import ROOT, changes, equivalent, planted, sample

SOURCE = '''
def rate(x, tau, n=3):
    """x*y + 1."""
    if x < 0:
        raise ValueError(f"x is {x - 1}; expected more")
    total = math.sqrt(x / tau) - 2.5 * x[1:]
    total += round(x)
    return total if x <= tau and not n else f(x, tau)
'''
EXPECTED = {
    ("sign of a term", "total", "(math.sqrt(x / tau) + 2.5 * x[1:])"),
    ("term or factor dropped", "total", "math.sqrt(x / tau)"),
    ("function dropped", "total", "(x / tau)"),
    ("product for quotient", "total", "(x * tau)"),
    ("constant", "total", "2.75"),
    ("off by one", "total", "2"),
    ("term or factor dropped", "+=", "pass"),
    ("rounded down", "+=", "int(x)"),
    ("strictness", "return", "(x < tau)"),
    ("and for or", "return", "(x <= tau or not n)"),
    ("negation dropped", "return", "n"),
    ("arguments swapped", "return", "f(tau, x)"),
}


def test_every_operator_makes_a_change_that_compiles():
    drawn = mutants("toy.py", SOURCE)
    lines = SOURCE.splitlines()
    result = {(m.operator, m.after) for m in drawn}
    assert {(operator, after) for operator, _, after in EXPECTED} <= result
    for m in drawn:
        assert ast.dump(ast.parse(m.apply(SOURCE))) != ast.dump(ast.parse(SOURCE))
        assert "raise" not in lines[m.line - 1] and '"""' not in lines[m.line - 1]
    assert len({m.key for m in drawn}) == len(drawn)
    assert {m.key for m in mutants("toy.py", "\n\n" + SOURCE)} == {m.key for m in drawn}  # lines are no names


def test_equations_in_strings_are_changed():
    text = 'E = Equations("dV/dt = (E_L - V)/tau_m + noise*sqrt(2/tau_m)*xi : mV")'
    after = [m.after for m in mutants("toy.py", text, equations=True)]
    assert "'dV/dt = (E_L + V) / tau_m + noise * sqrt(2 / tau_m) * xi : mV'" in after
    assert "'dV/dt = (E_L - V) / tau_m + noise * (2 / tau_m) * xi : mV'" in after
    assert "'dV/dt = (E_L - V) / tau_m - noise * sqrt(2 / tau_m) * xi : mV'" not in after  # the same law


def test_samples_stay_and_planted_breaks_are_up_to_date():
    assert [m.key for m in sample("rules", 5)] == [m.key for m in sample("rules", 12)][:5]
    for mutant in planted():
        text = (ROOT / "src" / "ranvier" / mutant.file).read_text("utf-8")
        ast.parse(mutant.apply(text))


def test_equivalent_mutants_are_still_there():
    marked = equivalent()
    there = {m.key for file in {entry["file"] for entry in marked.values()} for m in changes(file)}
    assert set(marked) <= there, f"marks of mutants that are none any longer: {set(marked) - there}"
    assert all(len(entry["reason"]) > 20 for entry in marked.values())


@functools.cache
def nearness() -> Nearest:
    return Nearest(ROOT)


@pytest.mark.parametrize(
    ("file", "test"),
    [
        ("nn/spiking/lif.py", "tests/nn/test_lif.py"),
        ("theory/time/fokker_planck.py", "tests/theory/test_fokker_planck.py"),
        ("energies/predictive/active_inference.py", "tests/energies/test_active_inference.py"),
        ("learners/local/tess.py", "tests/learners/test_tess.py"),
        ("equations/integrators.py", "tests/equations/test_integrators.py"),
        ("neurons/adex.py", "tests/neurons/test_every_neuron.py"),
    ],
)
def test_the_nearest_tests_come_first(file: str, test: str):
    nearest = nearness().of(file)[:5]
    assert test in nearest, nearest
