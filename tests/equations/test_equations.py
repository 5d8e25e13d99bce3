"""Equations as data: variables, helpers, noise, reset, Jacobian, LaTeX."""

import numpy as np
import pytest
import sympy as sp
import torch

import ranvier as rv
from ranvier.equations import Equations, parse, symbol
from ranvier.equations.printing import torch_function

NEURONS = [rv.LIF(), rv.QIF(), rv.EIF(), rv.AdEx(), rv.Izhikevich(), rv.HodgkinHuxley(), rv.Graded()]


def test_variables_units_and_order():
    e = Equations("dV/dt = -V/tau : mV\ndw/dt = V - w : pA")
    assert e.names == ("V", "w") and [s.unit for s in e.states] == ["mV", "pA"]
    assert e.drift("w") == symbol("V") - symbol("w")
    assert e.parameters == ("tau",)


def test_helpers_may_use_helpers_in_any_order_and_anywhere():
    e = Equations("dV/dt = f + g\nf = g*2\ng = a - V", threshold="g > b", reset="V = f")
    V, a, b = map(symbol, "Vab")
    assert sp.expand(e.drift("V") - 3 * (a - V)) == 0
    assert e.threshold == (a - V > b) and e.reset == {"V": 2 * (a - V)}
    assert e.parameters == ("a", "b")


@pytest.mark.parametrize(
    "text, options, message",
    [
        ("dV/dt = f\nf = g\ng = f", {}, "circle"),
        ("dV/dt = f\nf = f + 1", {}, "circle"),
        ("V = 3", {}, "no line 'dV/dt"),
        ("", {}, "no line 'dV/dt"),
        ("hello", {}, "the line is 'hello'"),
        ("dV/dt = -V\ndV/dt = 2", {}, "'V' is defined twice or reserved"),
        ("dV/dt = -V\nV = 2", {}, "'V' is defined twice or reserved"),
        ("dV/dt = -V + f\nf = 2\nf = 3", {}, "'f' is defined twice or reserved"),
        ("dI/dt = -I", {}, "'I' is defined twice or reserved"),
        ("dV/dt = I\nI = 3", {}, "'I' is defined twice or reserved"),
        ("dV/dt = t\nt = 3", {}, "'t' is defined twice or reserved"),
        ("dV/dt = exp(V)\nexp = 3", {}, "'exp' is defined twice or reserved"),
        ("dV/dt = xi**2", {}, "non-linearly"),
        ("dV/dt = exp(xi)", {}, "non-linearly"),
        ("dV/dt = xi_a*xi_b", {}, "non-linearly"),
        ("dN_0/dt = -N_0", {}, "'N_0' is one that the engines use"),
        ("dV/dt = -V*c_1", {}, "'c_1' is one that the engines use"),
        ("dV/dt = -V", {"threshold": "V > s_p0"}, "'s_p0' is one that the engines use"),
        ("dV/dt = -V", {"threshold": "V"}, "expected a condition"),
        ("dV/dt = -V", {"threshold": "V +"}, "expected an arithmetic expression"),
        ("dV/dt = -V", {"reset": "w = 1"}, "'w' is no variable"),
        ("dV/dt = -V", {"reset": "V == 1"}, "expected"),
    ],
)
def test_what_is_no_equation_is_refused(text, options, message):
    with pytest.raises(ValueError, match=message):
        Equations(text, **options)


def test_noise_is_split_from_the_drift():
    e = Equations("dV/dt = -V + s*xi - 2*xi_b/tau\ndw/dt = w*xi_b")
    s, tau, w = symbol("s"), symbol("tau"), symbol("w")
    assert e.states[0].diffusion == {"xi": s, "xi_b": -2 / tau} and e.states[1].diffusion == {"xi_b": w}
    assert e.states[1].drift == 0 and e.noises == ("xi", "xi_b")
    assert e.parameters == ("s", "tau")


def test_equality_hash_and_describe():
    one = Equations("dV/dt = -V/tau", threshold="V > 1", reset="V = 0", refractory="t_ref")
    assert one == Equations(**one.describe()) and hash(one) == hash(Equations(**one.describe()))
    assert one != Equations("dV/dt = -V/tau", threshold="V > 2", reset="V = 0", refractory="t_ref")


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: type(n).__name__)
def test_jacobian_against_finite_differences(neuron, rng):
    equations = neuron.equations
    n = len(equations.names)
    jacobian = torch_function({f"{i},{j}": equations.jacobian()[i, j] for i in range(n) for j in range(n)})
    f = equations.torch()
    parameters = {k: torch.tensor(float(v), dtype=torch.float64) for k, v in neuron.parameters.items()}
    parameters |= {"drive": torch.tensor(3.0), "noise": torch.tensor(2.0), "I": torch.tensor(-1.5)}
    for _ in range(5):
        at = {name: torch.tensor(rng.uniform(0.1, 0.9), dtype=torch.float64) for name in equations.names}
        at["V"] = torch.tensor(rng.uniform(-75.0, -40.0), dtype=torch.float64)
        exact = jacobian(**parameters, **at)
        for j, name in enumerate(equations.names):
            step = 1e-5
            up, down = (f(**parameters, **(at | {name: at[name] + s * step})) for s in (1, -1))
            for i, of in enumerate(equations.names):
                slope = float(up[of] - down[of]) / (2 * step)
                assert float(exact[f"{i},{j}"]) == pytest.approx(slope, rel=1e-6, abs=1e-7)


def test_the_right_hand_side_is_differentiable():
    f = rv.EIF().equations.torch()
    p = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in rv.EIF().parameters.items()}
    V = torch.linspace(-70, -45, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda V, E_L, Delta_T, V_T: f(**(p | {"V": V, "I": 0.5, "drive": 1.0, "noise": 0.0, "E_L": E_L,
                                               "Delta_T": Delta_T, "V_T": V_T}))["V"],
        (V, p["E_L"], p["Delta_T"], p["V_T"]),
    )  # fmt: skip


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: type(n).__name__)
def test_latex_has_a_line_a_variable(neuron):
    latex = neuron.equations.latex()
    lines = latex.split("\\\\\n")
    assert len(lines) == len(neuron.equations.names) + (neuron.equations.threshold is not None)
    for name, line in zip(neuron.equations.names, lines, strict=False):
        assert line.startswith(rf"\dot{{{sp.latex(symbol(name))}}} &= ")
    assert latex.count("{") == latex.count("}") and latex.count(r"\left(") == latex.count(r"\right)")
    assert neuron._repr_latex_() == f"$$\\begin{{aligned}}{latex}\\end{{aligned}}$$"


def test_latex_by_hand():
    e = Equations("dV/dt = -V/tau + s*xi : mV", threshold="V >= V_th", reset="V = 0")
    assert e.latex() == ("\\dot{V} &= - \\frac{V}{\\tau} + \\xi s \\\\\nV \\geq V_{th} &: \\quad V \\to 0")


def test_parse_and_equations_share_their_symbols():
    assert parse("V") in Equations("dV/dt = -V").drift("V").free_symbols
    assert np.isclose(float(Equations("dV/dt = 2^3 + 0*V").torch()()["V"]), 8.0)


@pytest.mark.parametrize("flag", ["(unless refractory)", "(constant)", "(event-driven)", "(unless refractory, shared)"])
@pytest.mark.parametrize("unit", ["mV", "1", ""])
def test_flags_after_a_unit_are_refused_with_the_remedy(flag, unit):
    """Taken as part of a unit they would be ignored: V would move while refractory."""
    for line in ("dV/dt = -V/tau", "x = V/tau"):
        text = f"dV/dt = -V/tau : mV\n{line.replace('dV', 'dU')} : {unit} {flag}"
        with pytest.raises(ValueError, match=r"expected a unit alone: flags are Brian2's.*`refractory=` and `holds=`"):
            rv.Equations(text)


@pytest.mark.parametrize("unit", ["mVolt", "mV unless refractory", "mV; w", "mV mV_", "/ms", "mV^", "mV^x"])
def test_words_that_are_no_units_are_refused(unit):
    with pytest.raises(ValueError, match="has no unit that is known"):
        rv.Equations(f"dV/dt = -V/tau : {unit}")


@pytest.mark.parametrize(
    ("holds", "held"), [(True, ("V",)), (False, ()), ("V, g", ("V", "g")), ("g,V", ("V", "g")), ("g", ("g",))]
)
def test_what_is_held_is_said_by_name(holds, held):
    equations = Equations("dV/dt = g - V\ndg/dt = -g", threshold="V > 1", refractory="t_ref", holds=holds)
    assert equations.held == held
    again = Equations(**equations.describe())
    assert again == equations and again.held == held


@pytest.mark.parametrize(("holds", "error"), [("V, h", ValueError), ("", ValueError), (1, TypeError)])
def test_unknown_names_to_hold_are_refused(holds, error):
    with pytest.raises(error, match="holds"):
        Equations("dV/dt = -V", holds=holds)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [({"text": ["dV/dt = -V"]}, "text"), ({"text": None}, "text"), ({"threshold": 1.0}, "threshold"),
     ({"reset": None}, "reset"), ({"reset": {"V": 0}}, "reset"), ({"refractory": 2.0}, "refractory")],
)  # fmt: skip
def test_what_is_no_text_is_refused_with_an_example(wrong, name):
    with pytest.raises(TypeError, match=f"^{name} is .*; expected .* string.*:|^{name} is .*; expected .*name"):
        Equations(**{"text": "dV/dt = -V", "threshold": "V > 1", "reset": "V = 0"} | wrong)


class Switched(rv.Neuron):
    """Grows by 1/ms while x is from 1 to 3 or below 0.5, by 0.5/ms elsewhere; spikes at 4, and not before 10 ms."""

    equations = rv.Equations(
        "dx/dt = 0.5 + 0.5*int(1 <= x <= 3 or not x >= 0.5) + 0*I", threshold="x >= 4 and not t < 10", reset="x = 0"
    )


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_conditions_count_as_numbers(engine):
    """x by hand: 0.5 at 0.5 ms, 1 at 1.5 ms, 3 at 3.5 ms, 4 at 5.5 ms; the threshold holds from 10 ms on, where x is
    6.25; from then on it is crossed 5.5 ms after every reset. Steps may be late by one at each corner."""
    net = rv.Network()
    net.add(Switched(), 1)
    recording = rv.simulate(net, 30.0, dt=0.01, engine=engine, dtype=torch.float64, record=rv.Probe("x", interval=0.5))
    x = recording.states["x"].values[:, 0].numpy()
    assert np.allclose(x[[0, 2, 6, 10, 18]], [0.5, 1.0, 3.0, 4.0, 6.0], atol=0.03)
    assert np.allclose(recording.times.numpy(), [10.0, 15.5, 21.0, 26.5], atol=0.15)


class Plain(rv.Neuron):
    equations = rv.Equations("dV/dt = (I - V)/tau", threshold="V >= 1", reset="V = 0")
    tau: float = 5.0


class Joined(rv.Neuron):
    """The same: the other conditions always hold, by more than the first one."""

    equations = rv.Equations("dV/dt = (I - V)/tau", threshold="V >= 1 and t > -9 and V < 9", reset="V = 0")
    tau: float = 5.0


def test_a_joined_threshold_has_the_gradient_of_the_condition_that_decides():
    spikes, gradients = [], []
    for neuron in (Plain(), Joined()):
        net = rv.Network()
        net.add(neuron, 3)
        cell, x = rv.as_cell(net, dt=0.5, dtype=torch.float64), torch.full((20, 1, 3), 1.5, dtype=torch.float64)
        x[:, 0, 1] = 2.5
        x.requires_grad_(True)
        y, _ = cell(x)
        y.sum().backward()
        spikes.append(y.detach())
        gradients.append(x.grad)
    assert spikes[0].sum() > 4 and torch.equal(*spikes)
    assert gradients[0].abs().max() > 0.01 and torch.allclose(*gradients, rtol=1e-12)
