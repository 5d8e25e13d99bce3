"""The kernels through Triton's compiler to machine code for two GPUs, on a machine without one.

Layers run as they would on a GPU, but each launch ends when its kernel is compiled: with the arguments, sizes and
options of the real one.
"""

import importlib.util
import os
import re
import subprocess
import tempfile
from types import SimpleNamespace

import pytest
import torch

import ranvier as rv
from ranvier.nn.spiking import _sequence
from tests.nn.layers import drive, layer
from tests.nn.test_neuron_layers import build, current

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed; make triton installs it", allow_module_level=True)
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("Triton is interpreted", allow_module_level=True)

import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction


@pytest.fixture(params=[80, 90], ids=["sm_80", "sm_90"])
def compiled(request, monkeypatch):
    """The kernels that a test compiles, in order."""
    result = []
    run = JITFunction.run

    def compile_only(self, *args, grid, warmup, **kwargs):
        result.append(run(self, *args, grid=grid, warmup=True, **kwargs))

    monkeypatch.setattr(JITFunction, "run", compile_only)
    monkeypatch.setattr(_sequence, "_on_gpu", lambda x: True)
    target = GPUTarget("cuda", request.param, 32)
    monkeypatch.setattr(driver, "_active", SimpleNamespace(
        get_current_target=lambda: target, get_current_device=lambda: request.param, get_current_stream=lambda _: 0,
    ))  # fmt: skip
    return result


def train(cell, x):
    """One pass there and back; what comes out is not computed."""
    y, _ = cell(x.to(cell._reference.dtype))
    y.sum().backward()


def usage(kernel) -> tuple[int, int]:
    """32-bit registers a thread, and bytes that did not fit and go to memory."""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(kernel.asm["ptx"])
        file.flush()
        arch = re.search(r"\.target (\w+)", kernel.asm["ptx"])[1]
        done = subprocess.run(
            [triton.knobs.nvidia.ptxas.path, "-v", "--fmad=false", f"-arch={arch}", file.name, "-o", os.devnull],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    registers, spilled = re.search(r"Used (\d+) registers", done.stderr), re.search(r"(\d+) bytes spill", done.stderr)
    return int(registers[1]), int(spilled[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ["leaky", "zero", "delayed", "filtered", "adaptive", "fixed", "integrator"])
def test_layers_compile_without_spills_and_fused_multiply_adds(name, dtype, compiled):
    if name == "integrator":
        cell = rv.nn.LI(9, alpha=0.5, learn=("alpha", "beta"), dtype=dtype)
    elif name == "fixed":
        cell = rv.nn.LIF(9, dtype=dtype)
    else:
        cell = layer(name, 9, None, dtype=dtype)
    train(cell, drive(20, 2, 9).requires_grad_())
    ahead, back = compiled
    for kernel in compiled:
        ptx = kernel.asm["ptx"]
        assert kernel.asm["cubin"] and "fma." not in ptx and re.search(r"mul(\.rn)?\.f", ptx)
        assert (".f64" in ptx) == (dtype == torch.float64)
    # a segment's rows are requested before the first is used: loads stand together
    kinds = re.findall(r"(ld|st)\.global", ahead.asm["ptx"])
    assert "ld" * 6 in "".join(kinds)
    registers, spilled = usage(ahead)
    assert registers <= 80 and spilled == 0
    registers, spilled = usage(back)
    assert registers <= 168 and spilled == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ["LIF", "EIF", "AdEx", "Odd"])
def test_neurons_compile(name, dtype, compiled):
    cell, scale = build(name, dtype=dtype)
    train(cell, current(scale, 20).requires_grad_())
    assert len(compiled) == 2 and all(kernel.asm["cubin"] for kernel in compiled)


def test_recurrent_layers_launch_two_kernels_each_step(compiled):
    cell = layer("recurrent", 7, 9, dtype=torch.float32)
    train(cell, drive(5, 2, 7))
    assert len(compiled) == 10 and len({kernel.asm["ptx"] for kernel in compiled}) == 2


@pytest.mark.parametrize("size", [1, 16, 4096])
def test_one_kernel_serves_all_sizes(size, compiled):
    """None is compiled for one size, or one alignment."""
    cell = rv.nn.LIF(9)
    for shape in ((8, 1, 9), (16, 3, 9), (9, 16, 9)):
        train(cell, torch.rand(shape).requires_grad_())
    train(rv.nn.LIF(size), torch.rand(8, 1, size + 1)[..., 1:].requires_grad_())
    assert len({kernel.asm["ptx"] for kernel in compiled}) == 2
