"""The laws that every channel of the package keeps; each needs a case: its current when its gates have settled, and its
gates' time constants, by the papers' formulas."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import cables
from ranvier.equations.declarations import declared
from tests.laws.discovery import require_cases


@dataclass(frozen=True)
class Case:
    """model; rates(V) -> gate: (alpha, beta) in 1/ms; current(V, gates) in uA/cm^2."""

    model: cables.Channel
    rates: Callable[[float], dict[str, tuple[float, float]]]
    current: Callable[..., float]


def squid_m_h(V: float) -> dict[str, tuple[float, float]]:
    """Hodgkin & Huxley's eqs. 20-24 in their v, the depolarisation from -65 mV with the sign turned."""
    v = -(V + 65)
    return {"m": (0.1 * (v + 25) / (math.exp((v + 25) / 10) - 1), 4 * math.exp(v / 18)),
            "h": (0.07 * math.exp(v / 20), 1 / (math.exp((v + 30) / 10) + 1))}  # fmt: skip


def squid_n(V: float) -> dict[str, tuple[float, float]]:
    v = -(V + 65)
    fast = 3.0 ** ((16.3 - 6.3) / 10)
    return {"n": (fast * 0.01 * (v + 10) / (math.exp((v + 10) / 10) - 1), fast * 0.125 * math.exp(v / 80))}


def traub_m_h(V: float) -> dict[str, tuple[float, float]]:
    v = V + 63
    return {"m": (0.32 * (13 - v) / (math.exp((13 - v) / 4) - 1), 0.28 * (v - 40) / (math.exp((v - 40) / 5) - 1)),
            "h": (0.128 * math.exp((17 - v) / 18), 4 / (1 + math.exp((40 - v) / 5)))}  # fmt: skip


def traub_n(V: float) -> dict[str, tuple[float, float]]:
    v = V + 63
    return {"n": (0.032 * (15 - v) / (math.exp((15 - v) / 5) - 1), 0.5 * math.exp((10 - v) / 40))}


CASES = {
    type(case.model): case
    for case in (
        Case(cables.Leak(g=0.2, E=-70.0), lambda V: {}, lambda V: 0.2 * (V + 70)),
        Case(cables.SquidSodium(), squid_m_h, lambda V, m, h: 120 * m**3 * h * (V - 50)),
        Case(cables.SquidPotassium(celsius=16.3), squid_n, lambda V, n: 36 * n**4 * (V + 77)),
        Case(cables.TraubSodium(), traub_m_h, lambda V, m, h: 100 * m**3 * h * (V - 50)),
        Case(cables.TraubPotassium(), traub_n, lambda V, n: 30 * n**4 * (V + 90)),
    )
}
each = pytest.mark.parametrize("case", CASES.values(), ids=[kind.__name__ for kind in CASES])


def test_no_channel_is_left_out():
    require_cases(cables.Channel, CASES)


@each
def test_every_parameter_has_a_unit_and_a_meaning_and_bounds_hold(case):
    kind = type(case.model)
    for name, record in declared(kind).items():
        assert record.unit and record.doc and f"{name} : default" in kind.__doc__
        if record.at_least is not None or record.above is not None:
            with pytest.raises(ValueError, match=f"{name} of {kind.__name__} is -1"):
                kind(**{name: -1.0})


@each
@pytest.mark.parametrize("V", [-80.3, -51.2, -12.7])
def test_currents_and_gates_are_those_of_the_paper(case, V):
    """A membrane so large that its voltage stays: 1 uA/cm^2 on 1e8 um^2 is 1e6 pA. It begins in steady state."""
    cell = cables.CableCell(cables.Morphology.with_soma_area(1e8), [case.model], C_m=1e9)
    name = type(case.model).__name__
    record = {name: 0} | {f"{name}.{gate}": 0 for gate in case.model.gates}
    run = cables.simulate(cell, 0.025, V=V, record=record)
    rates = case.rates(V)
    gates = {gate: a / (a + b) for gate, (a, b) in rates.items()}
    for gate, value in gates.items():
        assert float(run.traces[f"{name}.{gate}"]) == pytest.approx(value, rel=1e-9)
    assert float(run.traces[name]) == pytest.approx(1e6 * case.current(V, **gates), rel=1e-6)


@each
def test_gates_approach_their_steady_states_exponentially(case):
    """After a current that carries V to another value within a step."""
    if not case.model.gates:
        pytest.skip("no gates")
    cell = cables.CableCell(cables.Morphology.with_soma_area(1e8), [case.model], C_m=1e6)
    name, (before, after), dt = type(case.model).__name__, (-70.0, -30.0), 0.05
    jump = cables.Current(0, (after - before) * 1e12 / dt, 0.0, dt)
    record = {f"{name}.{gate}": 0 for gate in case.model.gates}
    run = cables.simulate(cell, 4.0, dt=dt, V=before, currents=[jump], record=record)
    for gate in case.model.gates:
        a, b = case.rates(after)[gate]
        begin = np.divide(*(lambda a, b: (a, a + b))(*case.rates(before)[gate]))
        # the first step's middle lies before the jump, that of the k-th (k - 1) dt after the place where it has come
        exact = a / (a + b) + (begin - a / (a + b)) * np.exp(-(a + b) * dt * np.arange(80))
        assert np.abs(run.traces[f"{name}.{gate}"][:, 0, 0].numpy() - exact).max() < 1e-4


@pytest.mark.parametrize("name", ["out", "slope", "size", "range"])
def test_gates_and_parameters_may_have_any_name(name):
    """Those that text for kernels, torch and networks uses too."""
    body = {"equations": rv.Equations(f"d{name}/dt = (1/(1 + exp(-(V + 48)/kernel)) - {name})/2 : 1"), "kernel": 5.0,
            "__annotations__": {"kernel": float, "E": float}, "E": -70.0, "current": f"{name}*(V - E)"}  # fmt: skip
    cell = cables.CableCell(cables.Morphology(soma_diameter=20.0), [type("Odd", (cables.Channel,), body)()])
    one = cables.simulate(cell, 1.0, dt=0.1, V=-50.0).traces["V"][-1]
    layer = cables.CableLayer(cell, [0], [0], dt=0.1, V=-50.0, dtype=torch.float64)
    assert one < -50.5 and layer(torch.zeros(10, 1, 1, dtype=torch.float64))[0][-1] == pytest.approx(one, abs=1e-9)
    cables.add_cells(rv.Network(), cell)
