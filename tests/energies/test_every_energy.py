"""The laws on every kind of energy in the package, drawn at random: no rise, no drift of what is held, no silence."""

import warnings

import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from ranvier.energies import Backtracking, Clamp, Conjugate, ConvergenceWarning, Descent, Ending, Energy, Fixed
from ranvier.energies.steps import begin
from tests.energies.drawn import DRAWN, Case, clamped, graphs
from tests.laws.discovery import require_cases, subclasses
from tests.laws.energies import force_is_minus_the_gradient

pytestmark = pytest.mark.usefixtures("float64")
ROUNDING = 1e-12  # of the largest energy on the way
NO_DESCENT = {
    "FixedPredictions": "the gradient of no energy",
    "Complexified": "its energy is complex",
    "PairwiseEnergy": "what Ising and Boltzmann, which are drawn, have in common",
}
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def test_no_energy_of_the_package_is_left_out():
    cases = {name.split(",")[0] for name in DRAWN}
    require_cases(Energy, [kind for kind in subclasses(Energy) if kind.__name__ in cases], NO_DESCENT)


def energy_of(case: Case, x):
    """With the field's part, as `Descent` has it."""
    value = case.energy.energy(x, case.clamp)
    return value if case.field is None else value - (case.field * case.energy.activations(x)).sum(1)


RULES = st.sampled_from([Backtracking(0.3), Conjugate(0.3)])


def never_rises(case: Case, rule):
    """Step by step, from any state, whatever is held: the energy falls or stays, and held units are what they are."""
    descent = Descent(case.energy, rule)
    state = begin(rule, case.x)
    with torch.no_grad():
        state = descent.relax(state, 0, case.clamp, case.field)
        before, size = energy_of(case, state["x"]), 1.0
        first = before
        for _ in range(15):
            state = descent.relax(state, 1, case.clamp, case.field)
            after = energy_of(case, state["x"])
            size = max(size, float(before.abs().max()))
            assert (after <= before + ROUNDING * size).all(), (after - before).max()
            if case.clamp is not None:
                held = case.clamp.mask.expand_as(state["x"])
                assert torch.equal(state["x"][held], case.clamp.values.expand_as(state["x"])[held])
            before = after
            if float(state["x"].abs().max()) > 1e3:
                return  # without a lower bound
        force = descent.energy.force(state["x"], case.clamp)
        assert (before < first).any() or float(force.abs().max()) < 1e3


def ends_at_rest_or_says_that_it_did_not(case: Case, rule):
    """Converged entries rest: their force is small, no step moves them. The others are counted in a warning."""
    descent = Descent(case.energy, rule, tol=1e-5, max_steps=150)
    with torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            end = descent.settle(case.x, case.clamp, case.field, trace=True)
        except ValueError as error:
            assert not case.bounded and "force of" in str(error)
            return
        words = [str(w.message) for w in said if w.category is ConvergenceWarning]
        moving, fallen = end.count(Ending.MOVING), end.count(Ending.UNBOUNDED)
        expected = [f"{moving} of {len(end.x)} states still move"] * (moving > 0)
        expected += [f"the energy of {fallen} of {len(end.x)} states falls without bound"] * (fallen > 0)
        assert [word[: len(start)] for word, start in zip(words, expected, strict=True)] == expected
        assert not fallen or not case.bounded
        assert torch.equal(end.ending == Ending.REST, end.residual <= 1e-5)
        assert not moving or end.steps == 150
        torch.testing.assert_close(end.energy, energy_of(case, end.x))
        if (end.ending == Ending.REST).all():
            again = descent.settle(end.x, case.clamp, case.field)
            assert again.steps == 0
            torch.testing.assert_close(again.x, end.x, rtol=1e-15, atol=0)  # the sphere's projection rounds


def forces_are_gradients(case: Case):
    if not case.energy.force(case.energy.project(case.x)).any():
        return
    force_is_minus_the_gradient(case.energy, case.energy.project(case.x))


@pytest.mark.parametrize("kind", DRAWN)
@given(data=st.data())
@settings(max_examples=12, suppress_health_check=QUIET)
def test_the_energy_never_rises(kind, data):
    never_rises(data.draw(clamped(DRAWN[kind])), data.draw(RULES))


@pytest.mark.parametrize("kind", DRAWN)
@given(data=st.data())
@settings(max_examples=6, suppress_health_check=QUIET)
def test_it_ends_at_rest_or_says_that_it_did_not(kind, data):
    ends_at_rest_or_says_that_it_did_not(data.draw(clamped(DRAWN[kind])), data.draw(RULES))


@pytest.mark.parametrize("kind", [k for k in DRAWN if k != "SparseCode, hard"])  # which jumps
@given(data=st.data())
@settings(max_examples=8, suppress_health_check=QUIET)
def test_forces_are_gradients(kind, data):
    forces_are_gradients(data.draw(DRAWN[kind]))


@given(clamped(graphs()), RULES)
@settings(max_examples=40, suppress_health_check=QUIET)
def test_the_energy_never_rises_in_any_graph(case, rule):
    never_rises(case, rule)


@given(graphs())
@settings(max_examples=30, suppress_health_check=QUIET)
def test_forces_are_gradients_in_any_graph(case):
    forces_are_gradients(case)


def poisoned(case: Case) -> bool:
    """Whether a force is no number once an entry of the last parameter, or buffer, is none."""
    saved = [t for t in vars(case.energy).values() if isinstance(t, torch.Tensor)]
    tensors = [t for t in (*saved, *case.energy.buffers(), *case.energy.parameters()) if t.is_floating_point()]
    with torch.no_grad():
        tensors[-1].view(-1)[-1] = float("nan")
        return not bool(torch.isfinite(case.energy.force(case.energy.project(case.x))).all())


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("rule", [Fixed(0.1), Backtracking(), Conjugate()], ids=lambda r: type(r).__name__)
@given(data=st.data())
@settings(max_examples=4, suppress_health_check=QUIET)
def test_what_is_not_a_number_is_named(kind, rule, data):
    """In a state, in a weight: `settle` and `relax` say so, and neither goes on in silence."""
    case = data.draw(DRAWN[kind])
    x, descent = case.x.clone(), Descent(case.energy, rule)
    x[-1, -1] = float("nan")
    for wrong in (False, True):
        if wrong and not poisoned(case):  # a bias of the input's way, say
            return
        start = case.x if wrong else x
        with torch.no_grad():
            with pytest.raises(ValueError, match=r"\w+ of nan on unit \d+ of entry \d"):
                descent.settle(start, field=case.field)
            with pytest.raises(ValueError, match=r"\w+ of nan on unit \d+ of entry \d"):
                descent.relax(begin(rule, start), 3, field=case.field)


@pytest.mark.parametrize("kind", DRAWN)
@given(data=st.data())
@settings(max_examples=2, suppress_health_check=QUIET)
def test_shapes_and_types_are_checked(kind, data):
    case = data.draw(DRAWN[kind])
    energy, x, n = case.energy, case.x, case.energy.units
    for wrong in (x[0], x[:, :-1], torch.cat([x, x], 1), x[None]):
        with pytest.raises(ValueError, match=rf"states have shape .* expected \(B, {n}\)"):
            energy.energy(wrong)
        with pytest.raises(ValueError, match="states have shape"):
            Descent(energy).settle(wrong)
    with pytest.raises(TypeError, match="int64"):
        energy.force(x.long())
    with pytest.raises(ValueError, match=rf"clamp of {n + 1} units; expected {n}"):
        Descent(energy).settle(x, Clamp.at([0], x[:, :1], n + 1))
    for start, stop in case.rows:
        if stop - start > 1:
            with pytest.raises(ValueError, match="part of a row"):
                Descent(energy).settle(x, Clamp.at([start], x[:, start : start + 1], n))


def slope_of(value, at, way):
    (slope,) = torch.autograd.grad(value(at).sum(), at)
    return float((slope * way).sum())


def difference(value, at, way, width=1e-5):
    with torch.no_grad():
        return float((value(at + width * way).sum() - value(at - width * way).sum()) / (2 * width))


@pytest.mark.parametrize("kind", DRAWN)
@given(data=st.data())
@settings(max_examples=4, suppress_health_check=QUIET)
def test_unrolled_gradients_are_differences(kind, data):
    """Of a few steps from anywhere, in the states they began from and the field."""
    case = data.draw(clamped(DRAWN[kind]))
    g = torch.Generator().manual_seed(0)
    weights, field, *ways = (torch.randn(case.x.shape, generator=g) for _ in range(4))
    descent = Descent(case.energy, Backtracking(0.2))

    def from_start(x):
        return descent.relax(begin(descent.rule, x), 4, case.clamp, field)["x"] * weights

    def by_field(f):
        return descent.relax(begin(descent.rule, case.x), 4, case.clamp, f)["x"] * weights

    for value, at, way in ((from_start, case.x, ways[0]), (by_field, field, ways[1])):
        at = at.clone().requires_grad_()
        assert slope_of(value, at, way) == pytest.approx(difference(value, at, way), rel=1e-4, abs=1e-5)


CORNERS = ("Ising", "Hopfield", "Boltzmann", "DenseMemory", "SparseCode, hard", "SphericalGlass")  # or a curved set


@pytest.mark.parametrize("kind", [k for k in DRAWN if k not in CORNERS])
@given(data=st.data())
@settings(max_examples=3, suppress_health_check=[*QUIET, HealthCheck.filter_too_much])
def test_implicit_gradients_are_differences(kind, data):
    """Of where a descent ends, in the field; from close by, so that it ends in the same place."""
    case = data.draw(clamped(DRAWN[kind]))
    g = torch.Generator().manual_seed(0)
    weights, way = (torch.randn(case.x.shape, generator=g) for _ in range(2))
    field = torch.zeros_like(case.x) if case.field is None else case.field.clone()
    descent = Descent(case.energy, Conjugate(0.3), tol=1e-10, max_steps=100, gradient="implicit")

    def value(f):
        return descent.settle(rest, case.clamp, f).y * weights

    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        rest = case.x
        try:
            with torch.no_grad():
                rest = descent.settle(case.x, case.clamp, field).x
            result, expected = slope_of(value, field.requires_grad_(), way), difference(value, field, way)
        except (ConvergenceWarning, ValueError):  # it said so: no minimum, or one that is flat
            reject()
    assert result == pytest.approx(expected, rel=1e-3, abs=1e-5)
