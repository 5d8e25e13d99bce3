"""Layers whose variables remember for more steps than float32 allows: each kind warns, with a number that holds."""

import re
import warnings

import numpy as np
import pytest
import torch

import ranvier as rv
from tests.nn.cases import OWNERS, SYNAPSES, cells_of_nn, spikes

F32, F64 = torch.float32, torch.float64
N = rv.nn
SLOW = 1 - 1e-5


def liquid(dtype):
    layer = N.LTC(6, N.AutoNCP(9, 2), dtype=dtype)
    with torch.no_grad():
        layer.gleak.fill_(-9.8)  # softplus: 6e-5
    return layer


#: a layer with a memory of some 1e5 steps, by its kind, and what sets it
LONG = {
    "LIF": [
        ("beta", lambda dtype: N.LIF(6, 5, beta=SLOW, dtype=dtype)),
        ("alpha", lambda dtype: N.LIF(6, 5, alpha=SLOW, dtype=dtype)),
        ("rho", lambda dtype: N.LIF(6, 5, adaptation=(SLOW, 0.1), learn="rho", dtype=dtype)),
    ],
    "LI": [("beta", lambda dtype: N.LI(6, 5, beta=torch.tensor([0.5, 0.5, 0.5, 0.5, SLOW]), dtype=dtype))],
    "NeuronLayer": [
        ("decay of V", lambda dtype: N.from_neuron(rv.LIF(tau_m=1e5), 6, dt=1.0, dtype=dtype)),
        ("decay of w", lambda dtype: N.from_neuron(rv.AdEx(tau_w=1e5), 6, dt=1.0, dtype=dtype)),
        ("decay of s_p0", lambda dtype: N.from_neuron(
            rv.LIF(), 6, dt=0.1, synapse=rv.Exponential(tau=1e4), dtype=dtype)),
    ],
    "LTC": [("cm/gleak", liquid)],
    "ELM": [
        ("tau_m", lambda dtype: N.ELM(6, 4, tau_m=(1.0, 1e5), dtype=dtype)),
        ("tau_s", lambda dtype: N.ELM(6, 4, tau_s=1e5, dtype=dtype)),
    ],
    "AstrocyteLIF": [
        ("beta", lambda dtype: N.AstrocyteLIF(6, 8, beta=SLOW, dtype=dtype)),
        ("tau", lambda dtype: N.AstrocyteLIF(6, 8, tau=(20.0, 1e5), dtype=dtype)),
    ],
    "ActiveDendrites": [
        ("decay", lambda dtype: N.ActiveDendrites(6, 3, SYNAPSES, OWNERS, threshold=1.5, decay=SLOW, dtype=dtype)),
    ],
}  # fmt: skip
#: kinds without a factor by which a variable is kept
WITHOUT = {
    "CfC": "its state is computed again from the input and itself",
    "SpikingLSTM": "its gates set what it keeps, again in each step",
    "SpikingConvLSTM": "its gates set what it keeps, again in each step",
    "PSN": "holds what it was given",
    "SlidingPSN": "weighs a window of its last inputs",
    "ThresholdBatchNorm": "has no state",
    "BatchNormThroughTime": "counts steps",
    "Delay": "holds what it was given",
    "DelayedLinear": "holds what it was given",
    "Graph": "holds other layers",
    "Sequential": "holds other layers",
    "TimeDistributed": "has no state",
    "SequenceRecall": "its states are 0 and 1",
}
CASES = [(kind, name, make) for kind, row in LONG.items() for name, make in row]


def warnings_of(act):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(w.message) for w in caught if "a memory of" in str(w.message)]


def test_every_cell_has_a_case_or_a_reason():
    kinds = {kind.__name__ for kind in cells_of_nn()}
    assert kinds - LONG.keys() - WITHOUT.keys() == set()


@pytest.mark.parametrize(("kind", "name", "make"), CASES, ids=[f"{k}, {n}" for k, n, _ in CASES])
def test_a_long_memory_is_warned_of_once_with_a_number(kind, name, make):
    def use(dtype):
        layer, x = make(dtype), spikes(4, 2).to(dtype)
        assert type(layer).__name__ == kind
        layer(x)
        layer.step(layer.init_state(2), x[0])

    (text,) = warnings_of(lambda: use(F32))
    assert name in text and "float32" in text and "float64" in text
    steps, loss = (float(v) for v in re.search(r"memory of (\S+) steps.* up to (\S+) of", text).groups())
    assert 5e4 < steps < 2e5 and loss == pytest.approx(1.25 * 2.0**-23 * steps, rel=0.5)
    assert warnings_of(lambda: use(F64)) == []


def test_a_reservoir_warns():
    x = np.random.default_rng(0).normal(size=(50, 1))
    fitted = rv.reservoirs.ESN(20, leak=1e-5, random_state=0).fit(x, np.zeros(50))
    assert len(warnings_of(lambda: rv.reservoirs.Reservoir(fitted, dtype=F32)(torch.zeros(2, 1, 1)))) == 1


def test_an_integrator_warns_by_the_length_of_its_run():
    layer = N.LI(1, beta=1.0, dtype=F32)
    assert warnings_of(lambda: layer(torch.ones(30_000, 1, 1))) == []
    assert len(warnings_of(lambda: layer(torch.ones(40_000, 1, 1)))) == 1


@pytest.mark.parametrize("steps", [3e3, 3e4, 1e5, 1e6])
@pytest.mark.parametrize("kind", ["LI", "from_neuron"])
def test_what_is_lost_is_no_more_than_is_said_and_little_without_a_warning(kind, steps):
    """Under constant input, over three time constants; the share is of the largest |V|."""
    T, ends = int(min(3 * steps, 300_000)), []
    for dtype in (F32, F64):
        if kind == "LI":
            layer, drive = N.LI(1, beta=1 - 1 / steps, dtype=dtype), 0.91 / steps
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                layer, drive = N.from_neuron(rv.LIF(tau_m=steps, V_th=1e9), 1, dt=1.0, dtype=dtype), 15.3
        layer.__dict__["_known_memories"] = set()
        said = []
        with torch.no_grad():
            said += warnings_of(lambda layer=layer, drive=drive, dtype=dtype: ends.append(
                layer(torch.full((T, 1, 1), drive, dtype=dtype))[1]["v" if kind == "LI" else "V"].double()))
        if dtype == F32:
            loss = 1.25 * 2.0**-23 * steps
            assert kind != "LI" or bool(said) == (loss > 5e-3)
    error = float((ends[0] - ends[1]).abs().max() / ends[1].abs().max())
    assert error <= min(loss, 1e-3 if loss <= 5e-3 else 1.0)
