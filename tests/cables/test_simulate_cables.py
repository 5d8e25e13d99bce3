"""Many cells at once, both precisions, what is recorded, and refusals."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

import ranvier as rv
from ranvier import cables
from ranvier.cables import group
from tests.cables.shapes import SQUID, tree

CELL = cables.CableCell(tree(), SQUID)


def drive(cells: int) -> list[cables.Current]:
    return [
        cables.Current(0, 100.0 + 20.0 * np.arange(cells), 1.0, 4.0),
        cables.Current(5, np.linspace(20.0, 40.0, 200)[:, None]),
    ]


def test_cells_beside_each_other_are_as_they_are_alone(monkeypatch):
    options = {"dt": 0.025, "detect": [0, 4], "record": {"V": [0, 9], "SquidSodium.m": [2]}, "every": 0.5}
    spike = lambda c: [cables.SynapticInput(3, rv.ExponentialConductance(tau=2.0), [6.0, 7.0], [1.0, 2.0], c)]  # noqa: E731
    together = cables.simulate(CELL, 12.0, cells=11, currents=drive(11), synapses=spike([2, 9]), **options)
    # pieces of steps, and room for spikes, that a run outgrows
    monkeypatch.setattr(group, "_SEGMENT", 37)
    monkeypatch.setattr(group, "_SPIKES", 3)
    shared = cables.simulate(CELL, 12.0, cells=11, currents=drive(11), synapses=spike([2, 9]), threads=2, **options)
    assert torch.equal(together.times, shared.times) and torch.equal(together.traces["V"], shared.traces["V"])
    assert together.traces["V"].shape == (24, 2, 11) and len(together.times) > 15
    for k in (2, 9):
        own = [cables.Current(0, 100.0 + 20.0 * k, 1.0, 4.0), drive(11)[1]]
        only = [cables.SynapticInput(3, rv.ExponentialConductance(tau=2.0), [6.0 + (k == 9)], 1.0 + (k == 9))]
        alone = cables.simulate(CELL, 12.0, currents=own, synapses=only, **options)
        for name, trace in together.traces.items():
            assert (alone.traces[name][:, :, 0] - trace[:, :, k]).abs().max() < 1e-9
        assert alone.times.tolist() == pytest.approx(together.times[together.cells == k].tolist(), abs=1e-9)


def test_cells_may_differ_in_their_channels():
    g = np.linspace(0.1, 0.9, 11).tolist()
    shape = cables.Morphology.with_soma_area(1000.0)
    run = cables.simulate(
        cables.CableCell(shape, [cables.Leak(g=g, E=-70.0)]), 100.0, cells=11, V=-70.0, dt=0.5,
        currents=[cables.Current(0, 10.0)], every=100.0,
    )  # fmt: skip
    assert (run.traces["V"][-1, 0] + 70.0).tolist() == pytest.approx([10.0 / (0.01 * 1000.0 * x) for x in g], rel=1e-3)


def test_float32_follows_float64():
    runs = [
        cables.simulate(CELL, 12.0, cells=2, currents=drive(2), detect=0, dtype=dtype, every=0.5)
        for dtype in (torch.float32, torch.float64)
    ]
    assert len(runs[0].times) == len(runs[1].times) > 1
    assert (runs[0].times - runs[1].times).abs().max() < 2e-3
    assert (runs[0].traces["V"] - runs[1].traces["V"]).abs().max() < 0.3


def test_compartments_have_the_area_of_the_shape():
    for longest in (500.0, 33.0, 4.0):
        cell = cables.CableCell(tree(), [], max_length=longest)
        assert cell.area.sum() == pytest.approx(CELL.morphology.area, rel=1e-12)
        assert cell.capacitance.sum() == pytest.approx(0.01 * CELL.morphology.area, rel=1e-12)
    assert CELL.distance[CELL.at(5)] == pytest.approx(120.0 + 60.0 + 90.0) and CELL.at(5, 0.9) > CELL.at(5, 0.6)
    assert (np.arange(len(CELL)) > CELL.parent).all() and CELL.at(1, 0.0) == CELL.at(0, 1.0)


def test_axial_conductances_are_those_of_the_tapering_inside():
    shape = cables.Morphology()
    shape.add(100.0, 4.0, end_diameter=1.0)
    resistance = 150.0 * 1e4 * quad(lambda s: 1 / (math.pi * (2.0 - 1.5 * s / 100) ** 2), 0, 100)[0]  # Ohm cm um/cm /um
    assert cables.CableCell(shape, [], R_a=150.0, max_length=1e3).axial[1] == pytest.approx(1e9 / resistance, rel=1e-9)
    assert cables.CableCell(shape, [], R_a=150.0, max_length=7.0).axial[1:] ** -1.0 @ np.ones(15) == pytest.approx(
        resistance / 1e9, rel=1e-9
    )


def test_pieces_are_a_tenth_of_the_length_constant_at_100_hertz():
    """sqrt(d/(4 pi f R_a C_m)) in SI units: 282 um for 1 um, 1 Ohm m and 0.01 F/m^2."""
    shape = cables.Morphology()
    shape.add(1000.0, 1.0)
    tenth = 0.1 * math.sqrt(1e-6 / (4 * math.pi * 100.0 * 1.0 * 0.01))
    assert len(cables.CableCell(shape, [])) == 1 + math.ceil(1e-3 / tenth) == 37


class Persistent(cables.Channel):
    """Sodium that does not inactivate: a channel in a few lines."""

    equations = rv.Equations("dp/dt = (1/(1 + exp(-(V + 48)/5)) - p)/tau : 1")
    current = "g*p*(V - E)"
    g: float = rv.parameter(0.1, "mS/cm^2", "largest conductance", at_least=0)
    E: float = rv.parameter(50.0, "mV", "reversal potential")
    tau: float = rv.parameter(1.0, "ms", "of the gate", above=0)


def test_a_user_writes_a_channel():
    cell = cables.CableCell(cables.Morphology(soma_diameter=20.0), [Persistent(), cables.Leak(g=0.1, E=-70.0)])
    V = float(cables.simulate(cell, 400.0, dt=0.1).traces["V"][-1, 0, 0])
    p = 1 / (1 + np.exp(-(V + 48) / 5))
    assert p * (V - 50.0) + (V + 70.0) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": {"Vm": 0}}, "record has 'Vm'; expected one of V, SquidSodium"),
        ({"record": {"V": 9999}}, r"record\['V'\] holds 9999; expected compartments from 0"),
        ({"detect": 0.5}, "detect is 0.5; expected a compartment"),
        ({"method": "heun"}, "method is 'heun'; expected one of 'midpoint'"),
        ({"currents": [cables.Current(0, [1.0, 2.0])]}, r"shape \(2,\); expected a number, \(1,\)"),
        ({"currents": [cables.Current(0, float("nan"))]}, "hold NaN or infinity; expected finite"),
        ({"synapses": [cables.SynapticInput(0, rv.Delta(), [1.0], 1.0)]}, "Delta, which has no equations; expected"),
        ({"synapses": [cables.SynapticInput(0, rv.Alpha(), [-1.0], 1.0)]}, "negative or not finite; expected times"),
        ({"synapses": [cables.SynapticInput(0, rv.AlphaConductance(), [1.0], -1.0)]}, "expected 0 nS or above"),
        ({"synapses": [cables.SynapticInput(0, rv.Alpha(), [1.0], 1.0, 3)]}, "reach 3; expected cells from 0 to 0"),
        ({"synapses": [cables.SynapticInput(0, rv.Alpha(), [[1.0]], 1.0)]}, r"shape \(1, 1\); expected a flat list"),
        ({"synapses": [cables.SynapticInput(0, rv.Alpha(), [1.0, 2.0], [1.0] * 3)]}, "one for each of 2 spikes"),
        ({"synapses": [cables.SynapticInput(0, rv.Alpha(), [1.0], 1.0, 0.5)]}, r"holds .*; expected whole numbers"),
        ({"record": {"V": []}}, r"record\['V'\] holds no compartment; expected"),
        ({"dtype": torch.float16}, "dtype is torch.float16; expected torch.float32"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        cables.simulate(CELL, 1.0, **change)


def many() -> cables.Morphology:
    shape = cables.Morphology()
    for _ in range(11):
        shape.add(1000.0, 1.0)
    return shape


@pytest.mark.parametrize(("leaks", "cells"), [([0.1, 0.2], 3), ([0.1] * 17, 20), ([[0.1]], 1)])
def test_parameters_of_another_number_of_cells_are_refused(leaks, cells):
    cell = cables.CableCell(cables.Morphology(soma_diameter=9.0), [cables.Leak(g=leaks)])
    with pytest.raises(ValueError, match=rf"g of Leak has shape .*; expected one number, or \({cells},\)"):
        cables.simulate(cell, 1.0, cells=cells)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cables.CableCell(cables.Morphology(), []), "has no membrane; expected"),
        (lambda: cables.Current(0, 1.0, start=5.0, stop=2.0), "from 5.0 to 2.0 ms; expected 0 <= start <= stop"),
        (lambda: cables.CableCell(tree(), {"axon": SQUID}), "region 'axon'; expected one of soma, dendrite"),
        (lambda: cables.CableCell(tree(), [], R_a={"soma": 1.0}), "no value for the region 'dendrite'; expected"),
        (lambda: cables.CableCell(tree(), [], C_m=-1.0), "C_m is -1.0; expected a number above 0"),
        (lambda: cables.CableCell(many(), [], max_length=1e-3), "would have 11000001 compartments; expected at most"),
        (lambda: CELL.at(0, 1.5), "x is 1.5; expected a fraction"),
        (lambda: CELL.at(99), "branch is 99; expected one of the morphology's 7"),
        (lambda: cables.Morphology().add(1.0, 0.0), "diameter is 0.0; expected a number above 0 um"),
        (lambda: cables.Morphology().add(1.0, 1.0, after=0), "after is 0; expected None"),
        (lambda: cables.Morphology().add_samples([0.0, 2.0, 1.0], [1.0] * 3), "expected two samples or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": ["V"]}, "record is list; expected a dictionary"),
        ({"currents": cables.Current(0, 1.0)}, "currents is Current; expected a list"),
        ({"synapses": [3]}, "an entry of synapses is int; expected a SynapticInput"),
        ({"synapses": [cables.SynapticInput(0, rv.Alpha(), "soon", 1.0)]}, "times of a SynapticInput is"),
        ({"currents": [cables.Current(0, "large")]}, "values of a Current is"),
    ],
)
def test_other_classes_are_refused(change, message):
    with pytest.raises(TypeError, match=message):
        cables.simulate(CELL, 1.0, **change)
    with pytest.raises(TypeError, match="start of a current"):
        cables.Current(0, 1.0, start="now")


def test_a_gate_that_is_not_linear_is_refused():
    with pytest.raises(TypeError, match="expected it to be linear in p"):
        type("Square", (cables.Channel,), {"equations": rv.Equations("dp/dt = V - p**2 : 1")})
