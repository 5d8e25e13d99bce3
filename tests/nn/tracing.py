"""What compilers, exporters and tracers make of every layer: `python -m tests.nn.tracing WAY`, in a separate process,
for a tracer that meets an address ends it. Prints a line a layer, and fails at the end if one differs from the layer
itself in values or gradients."""

from __future__ import annotations

import importlib.util
import io
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

import ranvier as rv
from tests.nn.cases import CELLS, OTHERS

Way = Callable[[nn.Module, Tensor], Callable[[Tensor], Any]]
#: whose inner operations torch has no forward-mode gradients for
WITHOUT_FORWARD_MODE = ("ActiveDendrites", "SequenceRecall", "Hopfield", "HopfieldLookup", "HopfieldPooling")

#: ways that take long, and are the same for all where a shorter one works for all
ONLY = {"inductor": ["LIF"], "export": ["LIF, all", "CfC", "Sequential"]}


def layers(fused: bool, others: bool = True) -> Iterator[tuple[str, Callable[[], nn.Module], Tensor]]:
    """(name, a way to make it, short input) of every layer, in float32."""
    for name, case in CELLS.items():
        if case.fused or not fused:
            x = case.drive()[:3].float()
            # a spike within the first steps
            yield name, lambda case=case: case.layer(torch.float32, fused), 20 * x if name == "from_neuron" else x
    torch.manual_seed(5)
    for name, (make, shape) in OTHERS.items() if others else ():
        yield name, lambda make=make: (torch.manual_seed(0), make())[1], torch.randn(*shape)


def outcome(call: Callable[[Tensor], Any], module: nn.Module, x: Tensor, gradients: bool) -> list[Tensor]:
    x = x.clone().requires_grad_(gradients)
    learned = [p for p in module.parameters() if p.requires_grad]
    y = first(call(x))
    if not gradients:
        return [y.detach()]
    grads = torch.autograd.grad(y.square().sum() + y.sum(), [x, *learned], allow_unused=True)
    return [y.detach(), *(torch.zeros(()) if g is None else g for g in grads)]


def first(out: Any) -> Tensor:
    return out[0] if isinstance(out, tuple) else out


def compiled(backend: str) -> Way:
    def way(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
        torch._dynamo.reset()
        return torch.compile(module, backend=backend, fullgraph=True)

    return way


def exported(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    return torch.export.export(module, (x,), strict=True).module()


def exported_for_any_batch(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    """Of an input of twice the batch, which is the second axis of sequences."""
    axis = 1 if hasattr(module, "step") else 0
    twice = torch.cat([x, x], axis).detach().requires_grad_(x.requires_grad)
    shapes = ({axis: torch.export.Dim("batch", min=2, max=1000)},)
    return torch.export.export(module, (twice,), dynamic_shapes=shapes, strict=False).module()


def scripted(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    return torch.jit.trace(module, (x,), check_trace=False, strict=False)


def to_graph(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    from torch.fx.experimental.proxy_tensor import make_fx

    with torch.no_grad():
        return make_fx(lambda x: first(module(x)))(x)


def forward_mode(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    return lambda x: torch.func.jvp(lambda z: first(module(z)), (x,), (torch.ones_like(x),))[0]


def exports_to_onnx() -> bool:
    """Whether what torch.onnx needs to go by torch.export is installed."""
    return all(importlib.util.find_spec(name) for name in ("onnxscript", "onnxruntime"))


def in_onnx(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    """By torch.export and onnxruntime where they are installed, else traced, by the standard's own reference."""
    if exports_to_onnx():
        import onnxruntime

        with torch.no_grad():
            program = torch.onnx.export(module.eval(), (x,), dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
        return lambda x: torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.detach().numpy()})[0])
    import onnx
    from onnx.reference import ReferenceEvaluator

    file = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(module.eval(), (x,), file, dynamo=False)
    model = onnx.load_from_string(file.getvalue())
    session = ReferenceEvaluator(model)
    return lambda x: torch.from_numpy(session.run(None, {model.graph.input[0].name: x.detach().numpy()})[0])


def fake(module: nn.Module, x: Tensor) -> Callable[[Tensor], Any]:
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        shape = first(module(mode.from_tensor(x))).shape
    assert shape == first(module(x)).shape
    return module


#: way -> (function, fused ways through time, whether gradients pass)
WAYS: dict[str, tuple[Way, tuple[bool, ...], bool]] = {
    "compile": (compiled("eager"), (False,), True),
    "operators": (compiled("aot_eager"), (True,), True),
    "inductor": (compiled("inductor"), (True,), True),
    "export": (exported, (False,), True),
    "export for any batch": (exported_for_any_batch, (True,), True),
    "jit": (scripted, (True,), True),
    "make_fx": (to_graph, (True,), False),
    "jvp": (forward_mode, (True,), False),
    "fake": (fake, (True,), True),
    "onnx": (in_onnx, (False,), False),
}


def main(name: str) -> None:
    way, kinds, gradients = WAYS[name]
    failures = 0
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for fused in kinds:
        for layer, make, x in layers(fused):
            if layer not in ONLY.get(name, [layer]) or (name == "jvp" and layer in WITHOUT_FORWARD_MODE):
                continue
            if name == "onnx" and layer == "from_neuron" and exports_to_onnx():
                continue  # by torch.export its constants are computed in the graph, and ONNX has no matrix exponential
            try:
                module, twin = make(), make()
                ours = outcome(way(twin, x.clone().requires_grad_(gradients)), twin, x, gradients)
                expected = outcome(module, module, x, gradients)
                assert float(expected[0].abs().sum()) > 0
                for a, b in zip(ours, expected, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, float(b.abs().max())))
                print(f"{layer} (fused={fused}): as it is")
            except Exception:
                failures += 1
                print(f"{layer} (fused={fused}): {traceback.format_exc()[-1500:]}")
    sys.exit(failures)


if __name__ == "__main__":
    assert rv.nn
    main(sys.argv[1])
