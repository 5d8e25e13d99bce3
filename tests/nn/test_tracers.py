"""Compilers, exporters and tracers around layers: they work, or are refused; no address reaches them."""

import shutil

import pytest
import torch

import ranvier as rv
from tests.nn.cases import CELLS, OTHERS
from tests.nn.tracing import WAYS, main
from tests.processes import Child


@pytest.mark.slow
@pytest.mark.parametrize("way", [name for name in WAYS if name not in ("onnx", "inductor")])
def test_every_layer_is_itself(way):
    """In another process: what takes an address of a tensor without memory ends it (exit status −11)."""
    run(way)


def test_layers_compile_to_machine_code():
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile finds no C++ compiler")
    run("inductor")


def test_plain_layers_go_to_onnx():
    pytest.importorskip("onnx")
    run("onnx")


def run(way: str) -> None:
    child = Child(main, way)
    out, error = child.communicate(timeout=600)
    assert child.returncode == 0, f"exit status {child.returncode}\n{out[-6000:]}\n{error[-1500:]}"


@pytest.mark.parametrize("name", [*CELLS, *(n for n in OTHERS if n.startswith("Hopfield"))])
def test_symbolic_tracing_is_refused_in_our_words(name):
    """torch.fx.symbolic_trace has neither sizes nor values; it follows no loop over time."""
    layer = CELLS[name].layer() if name in CELLS else OTHERS[name][0]()
    if name == "HopfieldPooling":
        pytest.skip("its own input comes first: torch's words")
    with pytest.raises(TypeError, match=r"torch\.fx\.Proxy; expected a tensor"):
        torch.fx.symbolic_trace(layer)


@pytest.mark.parametrize("name", [n for n, case in CELLS.items() if case.fused and n != "Sequential"])
def test_several_gradients_at_once_are_refused_by_loops_and_given_without(name):
    """torch.autograd.grad(is_grads_batched=True), which torch.autograd.functional's vectorize takes."""
    case = CELLS[name]
    for fused in (True, False):
        cell, x = case.layer(fused=fused), case.drive()[:6].requires_grad_()
        y, _ = cell(x)
        weights = torch.randn(2, *y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))
        if fused:
            with pytest.raises(RuntimeError, match="fused=False"):
                torch.autograd.grad(y, x, weights, is_grads_batched=True)
            continue
        (result,) = torch.autograd.grad(y, x, weights, is_grads_batched=True, retain_graph=True)
        for g, w in zip(result, weights, strict=True):
            torch.testing.assert_close(g, torch.autograd.grad(y, x, w, retain_graph=True)[0])


def test_a_compiled_model_sees_what_changes():
    """Weights that are trained, a surrogate of another width, spikes where there were none."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    layer = rv.nn.LIF(4, 3, learn="beta")
    model = torch.compile(layer, backend="eager", fullgraph=True)
    for x in (torch.zeros(3, 2, 4), 3 * torch.rand(3, 2, 4)):
        for width in (1.0, 0.5):
            layer.surrogate = rv.nn.surrogates.FastSigmoid(width)
            outcomes = []
            for call in (model, layer):
                y, state = call(x)
                (state["v"].sum() + y.sum()).backward()
                outcomes.append([y.detach(), layer.linear.weight.grad.clone(), layer.beta.grad.clone()])
                layer.zero_grad()
            for a, b in zip(*outcomes, strict=True):
                torch.testing.assert_close(a, b)
        with torch.no_grad():
            layer.linear.weight.mul_(1.5)
            layer.beta.mul_(0.9)
    torch._dynamo.reset()


def test_tensors_of_other_kinds_take_the_plain_way():
    """A subclass may hold no memory at all, or want to see every operation."""

    class Watching(torch.Tensor):
        calls = 0

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            cls.calls += 1
            return super().__torch_function__(function, types, args, kwargs or {})

    layer = rv.nn.LIF(6, 5)
    x = 2 * torch.rand(7, 2, 6)
    y, _ = layer(x.as_subclass(Watching))
    assert type(y) is Watching and Watching.calls > 7
    assert torch.equal(y.as_subclass(torch.Tensor), layer(x)[0])
