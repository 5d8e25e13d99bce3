"""Cells of many compartments against the cable's closed forms, SciPy's matrices, and published axons."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.integrate import solve_ivp

import ranvier as rv
from ranvier import cables
from tests.cables.shapes import SQUID, conductances, tree

R_A, G_M, E = 100.0, 0.05, -70.0  # Ohm cm, mS/cm^2 (20 kOhm cm^2), mV
LEAK = cables.Leak(g=G_M, E=E)


def input_resistance(length: float, diameter: float) -> float:
    """MOhm, of a sealed cable at its end (Rall 1959; Koch 1999, eq. 2.21): R∞ coth(L)."""
    d, r_m = diameter * 1e-4, 1e3 / G_M
    infinite = 2 / math.pi * math.sqrt(r_m * R_A) / d**1.5 * 1e-6
    return infinite / math.tanh(length / length_constant(diameter))


def length_constant(diameter: float) -> float:
    return 1e4 * math.sqrt(diameter * 1e-4 / 4 * 1e3 / G_M / R_A)  # um


def settled(cell: cables.CableCell, current: float = 10.0) -> np.ndarray:
    """mV above rest under a constant current into the root."""
    run = cables.simulate(
        cell, 600.0, dt=2.0, V=E, currents=[cables.Current(0, current)], record={"V": np.arange(len(cell))},
        every=600.0, method="backward_euler",
    )  # fmt: skip
    return run.traces["V"][-1, :, 0].numpy() - E


def test_a_sealed_cable_has_ralls_profile_with_an_error_of_second_order():
    errors = []
    for piece in (100.0, 50.0, 25.0):
        shape = cables.Morphology()
        shape.add(1000.0, 2.0)
        cell = cables.CableCell(shape, [LEAK], R_a=R_A, max_length=piece)
        L, x = 1000.0 / length_constant(2.0), cell.distance / length_constant(2.0)
        exact = 10e-3 * input_resistance(1000.0, 2.0) * np.cosh(L - x) / np.cosh(L)
        errors.append(np.abs(settled(cell) - exact).max() / exact.max())
    assert errors[-1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.3) and errors[1] / errors[2] == pytest.approx(4, abs=0.3)


def test_a_tree_that_obeys_the_three_halves_law_is_one_cylinder():
    """Rall 1962: children with Σ d^(3/2) of the parent's, of equal electrotonic length."""
    shape = cables.Morphology()
    stem = shape.add(0.5 * length_constant(4.0), 4.0)
    for share in (0.3, 0.7):
        d = 4.0 * share ** (2 / 3)
        shape.add(0.8 * length_constant(d), d, after=stem)
    cell = cables.CableCell(shape, [LEAK], R_a=R_A, max_length=5.0)
    measured = settled(cell)
    assert measured[0] == pytest.approx(10e-3 * input_resistance(1.3 * length_constant(4.0), 4.0), rel=1e-4)
    ends = [cell.at(k, 1.0) for k in (1, 2)]
    assert measured[ends[0]] == pytest.approx(measured[ends[1]], rel=1e-4)
    wrong = cables.Morphology()
    stem = wrong.add(0.5 * length_constant(4.0), 4.0)
    for share in (0.3, 0.7):  # equal cross-sections instead
        wrong.add(0.8 * length_constant(4.0 * share**0.5), 4.0 * share**0.5, after=stem)
    other = settled(cables.CableCell(wrong, [LEAK], R_a=R_A, max_length=5.0))
    assert abs(other[0] / measured[0] - 1) > 0.05


@pytest.mark.parametrize(("method", "order"), [("midpoint", 2), ("backward_euler", 1)])
def test_a_tree_follows_the_exponential_of_its_matrix(method, order):
    """With an exact start: a current that sets in would leave the midpoint rule first-order ringing."""
    cell = cables.CableCell(tree(), {"soma": [cables.Leak(g=0.2, E=-60.0)], "dendrite": [LEAK]}, max_length=40.0)
    area = cell.compartments.areas
    leak = 0.01 * (0.2 * area["soma"] + G_M * area["dendrite"])
    drive = 0.01 * (0.2 * area["soma"] * -60.0 + G_M * area["dendrite"] * E)
    A = -(conductances(cell) + np.diag(leak)) / cell.capacitance[:, None]
    rest = -np.linalg.solve(A, drive / cell.capacitance)
    exact = rest + scipy.linalg.expm(A * 8.0) @ (-50.0 - rest)
    errors = []
    for dt in (0.4, 0.2, 0.1):
        run = cables.simulate(cell, 8.0, dt=dt, V=-50.0, record={"V": np.arange(len(cell))}, every=8.0, method=method)
        errors.append(np.abs(run.traces["V"][-1, :, 0].numpy() - exact).max())
    assert errors[-1] < (1e-4 if order == 2 else 5e-2)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.15)


def test_gates_and_voltage_are_of_second_order():
    """One compartment of Traub and Miles's channels: SciPy's solution of the same equations, written out."""
    area = 20_000.0
    channels = [cables.TraubSodium(), cables.TraubPotassium(), cables.Leak(g=0.05, E=-60.0)]
    cell = cables.CableCell(cables.Morphology.with_soma_area(area), channels)
    errors = []
    for dt in (0.04, 0.02, 0.01):
        run = cables.simulate(cell, 8.0, dt=dt, V=-60.0, currents=[cables.Current(0, 150.0)], every=0.04)
        errors.append(np.abs(run.traces["V"][:, 0, 0].numpy() - traub_miles(area, 150.0, -60.0, 8.0)).max())
    assert errors[-1] < 1.0  # mV, on an upstroke of 400 mV/ms: a 400th of a ms
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.5)


def traub_miles(area: float, current: float, V0: float, duration: float) -> np.ndarray:
    def rates(v: float) -> tuple[float, ...]:
        return (0.32 * (13 - v) / (math.exp((13 - v) / 4) - 1), 0.28 * (v - 40) / (math.exp((v - 40) / 5) - 1),
                0.128 * math.exp((17 - v) / 18), 4 / (1 + math.exp((40 - v) / 5)),
                0.032 * (15 - v) / (math.exp((15 - v) / 5) - 1), 0.5 * math.exp((10 - v) / 40))  # fmt: skip

    def slope(t: float, y: np.ndarray) -> list[float]:
        V, m, h, n = y
        am, bm, ah, bh, an, bn = rates(V + 63.0)
        out = 100.0 * m**3 * h * (V - 50.0) + 30.0 * n**4 * (V + 90.0) + 0.05 * (V + 60.0)
        return [current / (0.01 * area) - out, am * (1 - m) - bm * m, ah * (1 - h) - bh * h, an * (1 - n) - bn * n]

    am, bm, ah, bh, an, bn = rates(V0 + 63.0)
    start = [V0, am / (am + bm), ah / (ah + bh), an / (an + bn)]
    times = 0.04 * np.arange(1, round(duration / 0.04) + 1)
    return solve_ivp(slope, (0, duration + 1e-9), start, t_eval=times, rtol=1e-9, atol=1e-9, method="LSODA").y[0]


def speed(diameter: float, celsius: float = 18.5) -> float:
    """m/s, of a squid axon between 0.3 and 0.7 of its length."""
    scale = math.sqrt(diameter / 476.0)
    shape = cables.Morphology()
    axon = shape.add(50_000.0 * scale, diameter, region="axon")
    squid = [cables.SquidSodium(celsius=celsius), cables.SquidPotassium(celsius=celsius), SQUID[2]]
    cell = cables.CableCell(shape, squid, R_a=35.4, max_length=200.0 * scale)
    places = [cell.at(axon, x) for x in (0.3, 0.7)]
    pulse = cables.Current(0, 3e7 * scale**3, 0.0, 0.2)
    run = cables.simulate(cell, 4.0, dt=0.005, currents=[pulse], detect=places)
    assert run.compartments.tolist() == places
    return 0.4 * 50.0 * scale / float(run.times[1] - run.times[0])


def test_the_squid_axon_conducts_at_hodgkin_and_huxleys_speed():
    """18.8 m/s for a radius of 238 um, 35.4 Ohm cm and 18.5 degrees (Hodgkin & Huxley 1952, part II, "Propagated
    action potential"): their K of 10.47/ms, to 1 %, is found by trial."""
    assert speed(476.0) == pytest.approx(18.8, abs=0.1)
    assert speed(119.0) == pytest.approx(speed(476.0) / 2, rel=1e-4)
    assert abs(speed(476.0, celsius=6.3) - 18.8) > 4


def test_charge_is_conserved():
    """What is injected charges membranes or leaves through channels and synapses, to rounding."""
    cell = cables.CableCell(tree(), SQUID)
    everywhere = np.arange(len(cell))
    synapse = rv.AlphaConductance(tau=1.0)
    names = ("SquidSodium", "SquidPotassium", "Leak", "AlphaConductance")
    run = cables.simulate(
        cell, 5.0, dt=0.02, V=-65.0, currents=[cables.Current(3, 200.0, 1.0, 3.0)],
        synapses=[cables.SynapticInput(7, synapse, [0.5], 4.0)], record=dict.fromkeys(("V", *names), everywhere),
    )  # fmt: skip
    out = sum(float(run.traces[name].sum()) for name in names) * 0.02
    stored = float(((run.traces["V"][-1, :, 0] + 65.0) * torch.from_numpy(cell.capacitance)).sum())
    assert abs(out) > 50.0 and stored == pytest.approx(200.0 * 2.0 - out, abs=1e-9 * abs(out))


def test_a_synapse_on_a_compartment_is_that_of_its_equations():
    cell = cables.CableCell(tree(), [LEAK], max_length=100.0)
    at = cell.at(1, 1.0)
    run = cables.simulate(
        cell, 20.0, dt=0.05, V=E, synapses=[cables.SynapticInput(at, rv.ExponentialConductance(tau=3.0), [2.0], 2.0)],
        record={"V": [0, at], "ExponentialConductance": [at, 0]},
    )  # fmt: skip
    A = -(conductances(cell) + np.diag(0.01 * G_M * cell.area)) / cell.capacitance[:, None]

    def slope(t, V):
        out = A @ (V - E)
        out[at] += (2.0 * math.exp(-t / 3.0) * (0.0 - V[at])) / cell.capacitance[at]
        return out

    times = 0.05 * np.arange(1, 361)
    exact = solve_ivp(slope, (0, 18.01), np.full(len(cell), E), t_eval=times, method="LSODA", rtol=1e-9, atol=1e-9).y
    measured = run.traces["V"][40:, :, 0].numpy()
    error = np.abs(measured - exact[[0, at]].T).max(1)
    assert error.max() < 0.1 and error[20:].max() < 2e-3 and np.abs(exact[at] - E).max() > 5  # it sets in within a step
    assert not run.traces["ExponentialConductance"][:, 1].any() and run.traces["ExponentialConductance"].min() < -50
