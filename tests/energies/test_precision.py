"""Descents in float32 and float64: saturated units, states and energies of any size, many entries, no lower bound."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from ranvier.energies import (
    Backtracking,
    Clamp,
    Conjugate,
    ConvergenceWarning,
    DenseMemory,
    Descent,
    Ending,
    Energy,
    EnergyGraph,
    Fixed,
    Hopfield,
    Layer,
    ModernHopfield,
)
from ranvier.energies.graphs.lagrangians import Identity, LayerNorm, ReLU, Sigmoid, Softmax, Spherical, Tanh
from ranvier.energies.graphs.synapses import Dense
from tests.energies.drawn import DRAWN, clamped

DTYPES = [torch.float32, torch.float64]
RULES = [Backtracking(), Conjugate()]
PAIRS = [
    (Identity(), Softmax(5.0)), (Softmax(20.0), Softmax(20.0)), (Tanh(50.0), Tanh(50.0)), (Identity(), Tanh(4.0)),
    (Sigmoid(), Sigmoid(30.0)), (LayerNorm(), Softmax(2.0)), (Spherical(), Softmax(8.0)), (LayerNorm(), LayerNorm()),
    (Identity(), LayerNorm()), (Tanh(), ReLU()),
]  # fmt: skip
BY_NAME = {"ids": lambda each: type(each).__name__ if not isinstance(each, tuple) else "-".join(map(str, each))}


def pair(first, second, dtype, scale=1.0):
    g = torch.Generator().manual_seed(0)
    W = scale * torch.randn(20, 30, generator=g)
    if isinstance(second, ReLU):
        W = 0.3 * W / torch.linalg.matrix_norm(W, 2)  # else it has no minimum
    graph = EnergyGraph({"a": Layer(first, (20,)), "b": Layer(second, (30,))}, [(("a", "b"), Dense(20, 30, W))])
    return graph.to(dtype).requires_grad_(False)


def starts(batch, units, dtype, seed=1):
    return torch.randn(batch, units, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def steps_and_rise(end):
    """The largest rise of an energy on the way, in roundings of the largest."""
    if len(end.trace) < 2:
        return 0.0
    return float(end.trace.diff(dim=0).max() / (end.trace.abs().max() * torch.finfo(end.trace.dtype).eps))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rule", RULES, **BY_NAME)
@pytest.mark.parametrize("layers", PAIRS, **BY_NAME)
def test_graphs_come_to_rest_saturated_or_not(layers, rule, dtype):
    graph = pair(*layers, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        end = Descent(graph, rule).settle(starts(50, 50, dtype), trace=True)
    assert end.converged.all() and steps_and_rise(end) < 100
    # the fixed point x = pull of the activations, by float64: as near as the force's terms allow
    exact = pair(*layers, torch.float64)
    size = 1 + float(end.x.abs().max())
    assert float(exact.force(end.x.double()).abs().max()) < 2e3 * torch.finfo(dtype).eps * size + 1e-5 * size
    again = Descent(graph, rule).settle(end.x)
    assert again.converged.all() and (again.x - end.x).abs().max() < 1e-3 * size


class Quadratic(Energy):
    """½ xᵀA x − b·x: at rest at A⁻¹ b."""

    def __init__(self, A, b):
        super().__init__()
        self.units, self.A, self.b = len(b), nn.Parameter(A), nn.Parameter(b)

    def _value(self, x):
        return 0.5 * ((x @ self.A) * x).sum(1) - x @ self.b

    def _force(self, x):
        return self.b - x @ self.A


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rule", RULES, **BY_NAME)
@pytest.mark.parametrize("energy", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("state", [1e-6, 1.0, 1e6])
def test_scales_of_energies_and_states_do_not_matter(energy, state, rule, dtype):
    """The relative error of a minimum, κ = 10 times the default tolerance; states begin at 1 or at their scale."""
    g = torch.Generator().manual_seed(0)
    U, _ = torch.linalg.qr(torch.randn(20, 20, generator=g, dtype=torch.float64))
    A = U @ torch.logspace(0, -1, 20, dtype=torch.float64).diag() @ U.T
    A, b = energy * (A + A.T) / 2, energy * state * torch.randn(20, generator=g, dtype=torch.float64)
    expected = torch.linalg.solve(A, b)
    model = Quadratic(A, b).to(dtype).requires_grad_(False)
    for size in (1.0, state):
        end = Descent(model, rule).settle(size * starts(8, 20, dtype))
        assert (end.ending == Ending.REST).all()
        error = (end.x.double() - expected).abs().max() / expected.abs().max()
        assert error < 20 * max(1e-7, 100 * torch.finfo(dtype).eps)
        assert Descent(model, rule).settle(end.x).steps == 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rule", RULES, **BY_NAME)
def test_a_tolerance_below_rounding_ends_stationary(rule, dtype):
    """Nothing observable moves: said as such, long before max_steps, and within rounding of the rest."""
    graph = pair(Tanh(), Tanh(), dtype)
    end = Descent(graph, rule, tol=1e-30, max_steps=5000).settle(starts(20, 50, dtype))
    assert end.converged.all() and end.steps < 1500
    assert end.count(Ending.STATIONARY) + int((end.residual == 0).sum()) == 20
    assert float(end.residual.max()) < 1e3 * torch.finfo(dtype).eps * float(end.x.abs().max())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_entries_of_a_large_batch_end_as_alone(dtype):
    graph, x = pair(Identity(), Softmax(5.0), dtype), starts(2000, 50, dtype)
    end = Descent(graph).settle(x)
    assert end.converged.all() and len(set(end.entry_steps.tolist())) > 3
    alone = Descent(graph).settle(x[7:8])
    torch.testing.assert_close(end.x[7:8], alone.x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rule", RULES, **BY_NAME)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", [Identity(), ReLU(), ReLU(3.0)], ids=str)
def test_an_energy_without_a_minimum_is_named(kind, dtype, rule):
    """Entries of the batch that have one, as layer b is held at 0 by its own clamp, still come to rest."""
    W = torch.full((2, 3), 2.0)
    graph = EnergyGraph({"a": Layer(kind, (2,)), "memory": Layer(kind, (3,))}, [(("a", "memory"), Dense(2, 3, W))])
    graph = graph.to(dtype).requires_grad_(False)
    x = torch.ones(2, 5, dtype=dtype)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[1, 2:] = True
    with pytest.warns(ConvergenceWarning, match=r"1 of 2 states falls without bound.*unit \d \(layer '(a|memory)', "):
        end = Descent(graph, rule).settle(x, Clamp(mask, torch.zeros(2, 5, dtype=dtype)))
    assert end.ending.tolist() == [Ending.UNBOUNDED, Ending.REST] and end.converged.tolist() == [False, True]
    fixed = Descent(graph, Fixed(0.1), max_steps=2000)
    if kind == ReLU(3.0):  # too quick for a look on the way
        with pytest.raises(ValueError, match="an energy without a minimum"):
            fixed.settle(x)
    else:
        with pytest.warns(ConvergenceWarning, match="2 of 2 states falls without bound"):
            fixed.settle(x)


@pytest.mark.parametrize("kind", [k for k in DRAWN if k not in ("SphericalGlass", "SparseCode, hard")])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(data=st.data())
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_energy_in_both_precisions(kind, dtype, data, float64):
    """Never a rise beyond rounding, no silence about the end, held units as they were."""
    case = data.draw(clamped(DRAWN[kind]))
    energy, x = case.energy.to(dtype), case.x.to(dtype)
    for name, value in list(vars(energy).items()):
        if isinstance(value, torch.Tensor):
            setattr(energy, name, value.to(dtype))
        elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            setattr(energy, name, [v.to(dtype) for v in value])
    clamp, field = case.clamp, case.field  # both in float64, whatever the states
    rule = data.draw(st.sampled_from(RULES))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = Descent(energy, rule, max_steps=400).settle(x, clamp, field, trace=True)
    words = [str(w.message) for w in caught if w.category is ConvergenceWarning]
    assert len(words) == (end.count(Ending.MOVING) > 0) + (end.count(Ending.UNBOUNDED) > 0)
    assert not end.count(Ending.UNBOUNDED) or not case.bounded
    if not end.count(Ending.UNBOUNDED):
        assert steps_and_rise(end) < 5000
    if clamp is not None:
        held = clamp.mask.expand_as(end.x)
        assert torch.equal(end.x[held], clamp.values.to(dtype).expand_as(end.x)[held])
        assert end.x.dtype == dtype


def test_arrays_stand_for_tensors():
    """Of NumPy, or lists, wherever a tensor is due; and what is neither is refused by name."""
    rng = np.random.default_rng(0)
    xi = np.sign(rng.normal(size=(3, 12)))
    W = xi.T @ xi / 12
    np.fill_diagonal(W, 0)
    network = Hopfield(W, np.zeros(12))
    assert torch.equal(network.settle(xi).x, torch.tensor(xi))
    assert torch.equal(Hopfield.store(xi).weight, Hopfield.store(torch.tensor(xi)).weight)
    for energy in (network, DenseMemory(xi), ModernHopfield(xi)):
        array, tensor = Descent(energy).settle(xi[:2]), Descent(energy).settle(torch.tensor(xi[:2]))
        assert torch.equal(array.x, tensor.x)
        field = rng.normal(size=12)
        assert torch.equal(
            Descent(energy).settle(xi, Clamp.at([0], xi[:, :1], 12), field).x,
            Descent(energy).settle(
                torch.tensor(xi), Clamp.at([0], torch.tensor(xi[:, :1]), 12), torch.tensor(field)
            ).x,
        )  # fmt: skip
        for wrong in ("words", None, object(), ["a"]):
            with pytest.raises(TypeError, match="expected"):
                energy.energy(wrong)
            with pytest.raises(TypeError, match="expected"):
                Descent(energy).settle(wrong)
        with pytest.raises(TypeError, match=r"the states are torch.float32; expected torch.float64"):
            energy.energy(torch.tensor(xi, dtype=torch.float32))
    for wrong in ("words", None, object()):
        for make in (Hopfield, DenseMemory, ModernHopfield, Hopfield.store):
            with pytest.raises(TypeError, match="expected"):
                make(wrong)
        with pytest.raises(TypeError, match="expected"):
            Dense(2, 2, wrong) if wrong is not None else Clamp(wrong, wrong)
