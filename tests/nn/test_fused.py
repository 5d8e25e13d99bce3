"""The compiled loops against plain autograd: values to the bit, gradients to 1e-10; buffers; threads."""

import gc
import math
import statistics

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.codegen import buffers
from ranvier.engines import surrogates
from ranvier.nn.spiking._sequence import applies
from tests.nn.layers import F64, VARIANTS, drive, layer

SLOPES = [
    "ArcTan", "FastSigmoid", "Triangle", "Gaussian", "StraightThrough", "MultiGaussian", "SigmoidSlope",
    "ExponentialSlope",
]  # fmt: skip


def outcome(cell, x, fused, *, state=None):
    """Output, state, and gradients by input, initial state and parameters of a loss that sees everything."""
    cell.fused = fused
    x = x.clone().requires_grad_()
    torch.manual_seed(5)
    if state is None:
        state = {k: torch.randn_like(v).abs() for k, v in cell.init_state(x.shape[1]).items()}
    state = {k: v.clone().requires_grad_() for k, v in state.items()}
    y, after = cell(x, state)
    loss = (y * torch.randn_like(y)).sum()
    for name in sorted(after):
        loss = loss + (after[name] * torch.randn_like(after[name])).sum()
    expected = [x, *(state[k] for k in sorted(state)), *cell.parameters()]
    grads = torch.autograd.grad(loss, expected, materialize_grads=True)
    return [y, *(after[k] for k in sorted(after))], grads


@pytest.mark.parametrize("outputs", [None, 5])
@pytest.mark.parametrize("name", VARIANTS)
def test_both_paths_agree(name, outputs):
    inputs = 5 if outputs is None else 7
    cell = layer(name, inputs, outputs)
    x = drive(40, 3, inputs, 2.0 if outputs else 0.5)
    assert applies(cell.surrogate, x, cell._constants())
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True), outcome(cell, x, False)
    assert 20 < ours[0].sum() < 0.9 * ours[0].numel()
    for a, b in zip(ours, plain, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(our_grads, plain_grads, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["leaky", "all"])
@pytest.mark.parametrize("slope", SLOPES)
def test_every_surrogate_has_its_slope_in_the_compiled_loop(slope, name):
    cell = layer(name, surrogate=getattr(surrogates, slope)(width=0.7))
    x = drive(30, 2, 7)
    for a, b in zip(outcome(cell, x, True)[1], outcome(cell, x, False)[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_a_surrogate_of_the_users_runs_in_torch():
    class Cauchy(surrogates.Surrogate):
        def slope(self, distance):
            return 1 / (1 + distance**2)

    class ArcTan(surrogates.Surrogate):  # named like the library's
        def slope(self, distance):
            return 0 * distance + 3.0

    x = drive(10, 2, 7)
    for kind in (Cauchy, ArcTan):
        cell = layer("leaky", surrogate=kind())
        assert not applies(cell.surrogate, x, cell._constants())
        for a, b in zip(outcome(cell, x, True)[1], outcome(cell, x, False)[1], strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["leaky", "all"])
def test_a_formula_of_the_users_runs_compiled(name):
    class Cauchy(surrogates.Surrogate):
        formula = "1/(1 + x**2)"

    class Plain(surrogates.Surrogate):
        def slope(self, distance):
            return 1 / (1 + (distance / self.width) ** 2) / self.width

    x = drive(10, 2, 7)
    expected = outcome(layer(name, surrogate=Plain(0.3)), x, False)
    for kind in (Cauchy(0.3), surrogates.Formula("1/(1 + x^2)", 0.3)):
        cell = layer(name, surrogate=kind)
        assert applies(cell.surrogate, x, cell._constants())
        for fused in (True, False):
            values, grads = outcome(cell, x, fused)
            assert torch.equal(values[0], expected[0][0])
            for a, b in zip(grads, expected[1], strict=True):
                torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("text", ["1/(1 + u)", "x > 1", "import os", ""])
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(ValueError):
        surrogates.Formula(text)


def test_formulas_differ():
    assert surrogates.Formula("exp(-abs(x))") != surrogates.Formula("1/(1 + x**2)")
    assert surrogates.Formula("exp(-abs(x))") == surrogates.Formula("exp(-abs(x))")


def lobes(x):
    """Yin et al. 2021 with s = 1, h = 0.15, of normal densities."""
    density = statistics.NormalDist
    return 1.15 * density(0, 1).pdf(x) - 0.15 * (density(1, 6).pdf(x) + density(-1, 6).pdf(x))


SLOPES_AT = {  # the papers' formulas by hand, at x = 0.6 and width 1
    "ArcTan": 1 / (1 + (math.pi / 2 * 0.6) ** 2), "FastSigmoid": 1 / 1.6**2, "Triangle": 0.4,
    "Gaussian": math.exp(-0.18), "StraightThrough": 1.0, "ExponentialSlope": math.exp(-0.6),
    "SigmoidSlope": 4 * math.exp(-1.2) / (1 + math.exp(-1.2)) ** 2, "MultiGaussian": lobes(0.6) / lobes(0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("width", [1.0, 2.5])
def test_slopes_are_the_papers(name, width):
    slope = getattr(surrogates, name)(width).slope
    near = torch.tensor([0.6, -0.6, 0.0], dtype=F64) * width
    expected = torch.tensor([SLOPES_AT[name], SLOPES_AT[name], 1.0], dtype=F64) / width
    torch.testing.assert_close(slope(near), expected)
    far = slope(torch.tensor([1.5 * width], dtype=F64))
    assert (far == 0) == (name in ("Triangle", "StraightThrough"))


def test_float32_has_the_same_values_and_close_gradients():
    cell, x = layer("all", 40, 30).float(), drive(50, 6, 40).float()
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True), outcome(cell, x, False)
    assert torch.equal(ours[0], plain[0])
    for a, b in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@pytest.mark.parametrize("size", [1, 3, 511, 2049])
def test_blocks_cover_any_size(size):
    cell = rv.nn.LIF(size, learn=("beta", "threshold"), dtype=F64)
    x = drive(6, 11, size, 1.0)
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True), outcome(cell, x, False)
    assert torch.equal(ours[0], plain[0])
    for a, b in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_integrators_agree():
    cell = rv.nn.LI(7, 4, alpha=0.6, learn=("alpha", "beta"), dtype=F64)
    x = drive(20, 3, 7)
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True), outcome(cell, x, False)
    for a, b in zip([*ours, *our_grads], [*plain, *plain_grads], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_any_number_of_threads_gives_the_same_bits():
    x = drive(40, 32, 600, 0.5)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            cell = rv.nn.LIF(600, learn=("beta", "threshold"), dtype=F64)
            results.append(outcome(cell, x, True))
        finally:
            torch.set_num_threads(1)
    for values, grads in results[1:]:
        assert torch.equal(values[0], results[0][0][0])
        assert all(torch.equal(a, b) for a, b in zip(grads, results[0][1], strict=True))


def test_the_way_back_may_have_other_threads_than_the_way_there():
    x = drive(40, 32, 600, 0.5)
    grads = []
    for there, back in ((1, 1), (3, 2), (1, 4)):
        cell = rv.nn.LIF(600, learn=("beta", "threshold"), dtype=F64)
        try:
            torch.set_num_threads(there)
            y, _ = cell(x)
            torch.set_num_threads(back)
            grads.append(torch.autograd.grad(y.square().sum(), list(cell.parameters())))
        finally:
            torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in grads[1:] for a, b in zip(other, grads[0], strict=True))


@pytest.mark.long
def test_hundreds_of_steps_keep_no_memory():
    """Training steps of a network with every kind of layer: as many live tensors, and no more memory."""
    torch.manual_seed(0)
    model = rv.nn.Sequential(
        rv.nn.LIF(20, 16, recurrent=True), torch.nn.Linear(16, 12), rv.nn.LIF(alpha=0.5, adaptation=(0.9, 0.1)),
        rv.nn.from_neuron(rv.LIF(), 12, dt=1.0, drive=20.0, learn="V_th"), rv.nn.Delay(12, 2), rv.nn.LI(12, 3),
    )  # fmt: skip
    optimizer, x, state = torch.optim.SGD(model.parameters(), 1e-3), torch.rand(5, 4, 20), None

    def live() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    counts = []
    for k in range(300):
        optimizer.zero_grad()
        y, state = model(x, state)
        y.square().mean().backward()
        optimizer.step()
        state = _detached(state)  # truncated backpropagation: the state goes on, its graph does not
        if k in (20, 299):
            counts.append((live(), buffers.idle_bytes()))
    # what earlier tests left may go in between: never more
    assert counts[1][0] <= counts[0][0] and counts[0][1] == counts[1][1]


def _detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: _detached(value) for name, value in state.items()}
    return tuple(_detached(value) for value in state)


def test_a_cut_state_gives_the_gradient_of_its_own_window():
    """Truncated backpropagation through time: `state.detach()` between windows, and nothing else."""
    for fused in (True, False):
        cell = layer("all", fused=fused)
        x = drive(24, 3, 7)
        _, state = cell(x[:12])
        start = {name: value.detach().clone() for name, value in state.items()}
        y, _ = cell(x[12:], _detached(state))
        cut = torch.autograd.grad(y.square().sum(), list(cell.parameters()))
        y, _ = cell(x[12:], start)
        alone = torch.autograd.grad(y.square().sum(), list(cell.parameters()))
        _, state = cell(x[:12])
        y, _ = cell(x[12:], state)
        whole = torch.autograd.grad(y.square().sum(), list(cell.parameters()))
        assert all(torch.equal(a, b) for a, b in zip(cut, alone, strict=True))
        assert any(not torch.allclose(a, b) for a, b in zip(cut, whole, strict=True))


@pytest.mark.parametrize("only", ["y", "state"])
def test_a_loss_may_see_the_spikes_or_the_state_alone(only):
    grads = []
    for fused in (True, False):
        cell = layer("adaptive", fused=fused)
        y, state = cell(drive(20, 2, 7))
        loss = y.sum() if only == "y" else state["v"].square().sum()
        grads.append(torch.autograd.grad(loss, list(cell.parameters()), materialize_grads=True))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_input_and_its_gradient_may_be_strided():
    x = drive(12, 8, 20).transpose(0, 1)[:, ::2, ::2]
    a = outcome(rv.nn.LIF(10, dtype=F64), x, True)
    b = outcome(rv.nn.LIF(10, dtype=F64), x.contiguous(), False)
    assert torch.equal(a[0][0], b[0][0])
    torch.testing.assert_close(a[1][0], b[1][0], rtol=1e-10, atol=1e-10)


# -- buffers ---------------------------------------------------------------------------------------------------

BIG = (50, 16, 512)  # above the size from which memory is used again


def test_input_is_never_written_over():
    x = torch.rand(BIG)
    before = x.clone()
    x.requires_grad_()
    rv.nn.LIF(512)(x)[0].sum().backward()
    assert torch.equal(x.detach(), before)


def test_live_graphs_keep_their_buffers():
    """Several layers and passes alive at once, backward in any order, twice: each as if alone."""
    layers = [rv.nn.LIF(512, beta=b) for b in (0.5, 0.7, 0.9)]
    inputs = [torch.rand(BIG, generator=torch.Generator().manual_seed(k)) for k in range(3)]

    def alone(k):
        layers[k].fused = False
        x = inputs[k].clone().requires_grad_()
        y, _ = layers[k](x)
        y.square().sum().backward()
        layers[k].fused = True
        return y.detach(), x.grad

    expected = [alone(k) for k in range(3)]
    xs = [x.clone().requires_grad_() for x in inputs]
    ys = [cell(x)[0] for cell, x in zip(layers, xs, strict=True)]
    losses = [y.square().sum() for y in ys]
    for k in (1, 2, 0):
        for other in range(3):
            layers[other](inputs[other])  # takes and gives back buffers in between
        (first,) = torch.autograd.grad(losses[k], xs[k], retain_graph=True)
        (second,) = torch.autograd.grad(losses[k], xs[k])
        assert torch.equal(first, second)
        torch.testing.assert_close(first, expected[k][1], rtol=1e-4, atol=1e-5)
        assert torch.equal(ys[k].detach(), expected[k][0])


def test_a_view_keeps_its_memory():
    y = rv.nn.LIF(512)(torch.rand(BIG))[0]
    row, array = y[3], y.numpy()
    copies = row.clone(), array.copy()
    del y
    for _ in range(4):
        rv.nn.LIF(512)(torch.zeros(BIG))
    assert torch.equal(row, copies[0]) and (array == copies[1]).all()


def test_memory_is_used_again_and_does_not_grow():
    def train():
        x = torch.rand(BIG).requires_grad_()
        rv.nn.LIF(512)(x)[0].sum().backward()

    gc.collect()
    buffers.release_buffers()
    train()
    train()
    held = buffers.idle_bytes()
    assert held >= 2 * 4 * 50 * 16 * 512
    for _ in range(20):
        train()
    assert buffers.idle_bytes() == held
    rv.nn.release_buffers()
    assert buffers.idle_bytes() == 0


def test_idle_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(buffers, "_MOST_IDLE", 3 << 20)
    tensors = [buffers.empty((1 << 17,), torch.float32) for _ in range(12)]
    tensors[0].sum()
    del tensors
    assert 0 < buffers.idle_bytes() <= 3 << 20


@pytest.mark.parametrize(("shape", "kind"), [(5, np.float32), ((3, 7), np.float64), ((2, 256), np.uint8)])
def test_arrays_for_loops_begin_with_a_cache_line(shape, kind):
    for _ in range(5):
        array = buffers.zeros(shape, kind)
        assert array.ctypes.data % 64 == 0 and array.shape == np.zeros(shape).shape
        assert array.dtype == kind and array.flags.writeable and not array.any()
