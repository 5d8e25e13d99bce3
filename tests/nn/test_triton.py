"""The Triton kernels against plain autograd: the compiled loops' tests, on a GPU and in Triton's interpreter.

`make triton` runs them in the interpreter, on any machine; with a GPU they are part of `make test`.
"""

import importlib.util
import os

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines import surrogates
from ranvier.nn.spiking import _sequence
from ranvier.nn.spiking.triton import launch
from tests.laws.cells import check_cell
from tests.nn.layers import F64, VARIANTS, drive, layer
from tests.nn.test_fused import SLOPES, outcome
from tests.nn.test_neuron_layers import CASES, build, current

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed; make triton installs it", allow_module_level=True)
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("no GPU, and TRITON_INTERPRET=1 asks for the interpreter: make triton", allow_module_level=True)


@pytest.fixture(params=["interpreter" if INTERPRETED else "cuda"])
def device(request, monkeypatch) -> str:
    """Where tensors are, with the layers' loops in Triton."""
    if request.param == "cuda":
        yield "cuda"
        return
    monkeypatch.setattr(_sequence, "_on_gpu", lambda x: True)
    with np.errstate(all="ignore"):  # its numbers are NumPy's
        yield "cpu"


def both(cell, x, device, **more):
    """Values and gradients through the kernels and in plain torch."""
    cell, x = cell.to(device), x.to(device)
    constants = cell._constants()
    assert _sequence.applies(cell.surrogate, x, constants)
    assert isinstance(_sequence._loops_of(cell.equations, cell.surrogate, (), x, False, False), launch.Loops)
    return outcome(cell, x, True, **more), outcome(cell, x, False, **more)


def assert_agree(result, expected, tolerance=1e-10):
    for a, b in zip(result, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * max(1.0, float(b.detach().abs().max())))


@pytest.mark.parametrize("outputs", [None, 5])
@pytest.mark.parametrize("name", VARIANTS)
def test_kernels_and_plain_torch_agree(name, outputs, device):
    inputs = 5 if outputs is None else 7
    (ours, our_grads), (plain, plain_grads) = both(
        layer(name, inputs, outputs), drive(41, 3, inputs, 2.0 if outputs else 0.5), device
    )
    assert 20 < ours[0].sum() < 0.9 * ours[0].numel()
    assert torch.equal(ours[0], plain[0])
    # products may round otherwise: the GPU's than in a graph, torch's of what is fed back than the CPU's sums of spikes
    rounded = device == "cuda" or "recurrent" in VARIANTS[name]
    for a, b in zip(ours, plain, strict=True):
        assert torch.equal(a, b) or (rounded and torch.allclose(a, b, rtol=1e-12, atol=1e-12))
    for b in plain_grads:
        assert b.abs().max() > 0
    assert_agree(our_grads, plain_grads)


@pytest.mark.parametrize("name", ["leaky", "adaptive"])
@pytest.mark.parametrize("slope", SLOPES)
def test_every_surrogate_has_its_slope_in_the_kernel(slope, name, device):
    cell = layer(name, surrogate=getattr(surrogates, slope)(width=0.7))
    (_, ours), (_, plain) = both(cell, drive(20, 2, 7), device)
    assert_agree(ours, plain)


def test_a_formula_of_the_users_runs_in_the_kernel(device):
    cell = layer("leaky", surrogate=surrogates.Formula("exp(-abs(x))*cos(x)**2", 0.3))
    (_, ours), (_, plain) = both(cell, drive(20, 2, 7), device)
    assert_agree(ours, plain)


def test_a_slope_of_the_users_runs_in_plain_torch(device):
    class Cauchy(surrogates.Surrogate):
        def slope(self, distance):
            return 1 / (1 + distance**2)

    cell, x = layer("leaky", surrogate=Cauchy()).to(device), drive(10, 2, 7).to(device)
    assert not _sequence.applies(cell.surrogate, x, cell._constants())
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True), outcome(cell, x, False)
    for a, b in zip([*ours, *our_grads], [*plain, *plain_grads], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["leaky", "zero", "filtered", "adaptive"])
def test_float32_has_the_same_values_and_close_gradients(name, device):
    cell, x = layer(name, 40, 30).float(), drive(50, 6, 40).float()
    (ours, our_grads), (plain, plain_grads) = both(cell, x, device)
    for a, b in zip(ours, plain, strict=True):
        assert a.dtype == torch.float32 and torch.equal(a, b)
    for a, b in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.detach().abs().max()))


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 17])
@pytest.mark.parametrize(("batch", "size"), [(1, 1), (3, 21), (2, 32), (5, 13), (3, 70)])
def test_programs_and_segments_cover_any_size(batch, size, steps, device):
    beta = torch.linspace(0.5, 0.95, size, dtype=F64)
    cell = rv.nn.LIF(size, beta=beta, learn=("beta", "threshold"), dtype=F64)
    (ours, our_grads), (plain, plain_grads) = both(cell, drive(steps, batch, size, 1.5), device)
    for a, b in zip(ours, plain, strict=True):
        assert torch.equal(a, b)
    assert_agree(our_grads, plain_grads)


def test_integrators_agree(device):
    cell = rv.nn.LI(7, 4, alpha=0.6, learn=("alpha", "beta"), dtype=F64)
    (ours, our_grads), (plain, plain_grads) = both(cell, drive(20, 3, 7), device)
    assert_agree([*ours, *our_grads], [*plain, *plain_grads])


SYNAPSES = {"current": (None, 1.0), "filtered": (rv.Exponential(tau=5.0), 4.0), "jump": (rv.Delta(), 0.15)}


@pytest.mark.parametrize("synapse", SYNAPSES)
@pytest.mark.parametrize("name", CASES)
def test_any_neuron_of_the_library(name, synapse, device):
    if device == "cpu" and synapse != "current" and name not in ("LIF", "AdEx"):
        pytest.skip("slow in the interpreter; its equations are seen with a current, the synapse with LIF and AdEx")
    model, factor = SYNAPSES[synapse]
    cell, scale = build(name, synapse=model)
    x = current(factor * scale)
    state = {k: v.to(device) for k, v in cell.init_state(3).items()}
    (ours, our_grads), (plain, plain_grads) = both(cell, x, device, state=state)
    assert name == "Graded" or 3 <= plain[0].sum() < 0.9 * plain[0].numel()
    assert_agree(ours, plain, 1e-9)
    for a, b in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9 * float(b.detach().abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_neurons_in_float32(name, device):
    neuron, dt, scale, method = CASES[name]
    cell = rv.nn.from_neuron(neuron, 20, dt=dt, method=method, dtype=torch.float32)
    (ours, _), (plain, _) = both(cell, current(scale, 20, 20).float(), device)
    assert ours[0].dtype == torch.float32 and (ours[0].round() != plain[0].round()).float().mean() < 1e-2


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_lawful_cell(name, device):
    cell = layer(name).to(device)
    check_cell(cell, drive(24, 3, 7).to(device), list(cell.parameters()))


@pytest.mark.parametrize("name", CASES)
def test_every_neuron_is_a_lawful_cell(name, device):
    if device == "cpu" and name in ("HodgkinHuxley", "Odd", "EIF", "QIF"):
        pytest.skip("slow in the interpreter; its values and gradients are seen above")
    cell, scale = build(name)
    cell = cell.to(device)
    check_cell(cell, current(scale).to(device), list(cell.parameters()))


@pytest.mark.parametrize("only", ["y", "state"])
def test_a_loss_may_see_the_spikes_or_the_state_alone(only, device):
    grads = []
    for fused in (True, False):
        cell = layer("adaptive", fused=fused).to(device)
        y, state = cell(drive(20, 2, 7).to(device))
        loss = y.sum() if only == "y" else state["v"].square().sum()
        grads.append(torch.autograd.grad(loss, list(cell.parameters()), materialize_grads=True))
    assert_agree(*grads)


def test_input_may_be_strided_and_neurons_of_many_axes(device):
    x = drive(12, 8, 20).transpose(0, 1)[:, ::2, ::2]
    (ours, _), (plain, _) = both(rv.nn.LIF(10, dtype=F64), x, device)
    assert torch.equal(ours[0], plain[0])
    threshold = torch.tensor([0.5, 1.0, 2.0], dtype=F64)[:, None, None]
    cell = rv.nn.LIF((3, 2, 4), threshold=threshold, learn=("threshold",), dtype=F64)
    x = drive(12, 2, 24).unflatten(2, (3, 2, 4))
    (ours, our_grads), (plain, plain_grads) = both(cell, x, device)
    assert torch.equal(ours[0], plain[0])
    assert_agree(our_grads, plain_grads)


def test_without_a_graph_values_are_the_same(device):
    cell, x = layer("adaptive").to(device), drive(20, 2, 7).to(device)
    y, state = cell(x)
    with torch.no_grad():
        again, after = cell(x)
    assert y.requires_grad and not again.requires_grad and torch.equal(y, again)
    assert all(torch.equal(state[name], after[name]) for name in state)


def test_input_and_states_are_never_written_over(device):
    cell, x = layer("filtered", 5, None).to(device), drive(20, 2, 5).to(device)
    state = {name: torch.rand_like(value) for name, value in cell.init_state(2).items()}
    before = [x.clone(), *(value.clone() for value in state.values())]
    g = torch.ones_like(x)
    cell(x, state)[0].backward(g)
    assert all(torch.equal(a, b) for a, b in zip(before, [x, *state.values()], strict=True))
    assert torch.equal(g, torch.ones_like(x))


def test_gradients_are_the_same_bits_in_any_run_and_for_any_size_of_programs(device, monkeypatch):
    result = []
    for block in (64, 64, 32, 128):
        monkeypatch.setattr(launch, "BLOCK", block)
        cell = rv.nn.LIF(70, learn=("beta", "threshold"), dtype=torch.float32).to(device)
        result.append(outcome(cell, drive(30, 3, 70).float().to(device), True))
    for values, grads in result[1:]:
        assert all(torch.equal(a, b) for a, b in zip(values, result[0][0], strict=True))
        assert all(torch.equal(a, b) for a, b in zip(grads, result[0][1], strict=True))
