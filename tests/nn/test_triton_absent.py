"""What is known of the Triton kernels where Triton is absent: their text, and the way back to plain torch."""

import ast
import builtins
import warnings

import pytest
import torch

from ranvier.nn.spiking.triton import launch
from ranvier.nn.spiking.triton._kernels import backward_source, forward_source
from tests.nn.layers import VARIANTS, layer


@pytest.mark.parametrize("name", ["leaky", "adaptive"])
def test_the_text_is_python_and_reads_every_array_it_is_given(name):
    step, learned = layer(name).equations, ("beta", "threshold")
    for source in (forward_source(step, False, 3, True), backward_source(step, True, 3, learned, "1/(1 + abs(x))")):
        (function,) = [node for node in ast.parse(source.text).body if isinstance(node, ast.FunctionDef)]
        arguments = [argument.arg for argument in function.args.args]
        assert arguments[: len(source.arrays)] == [f"_at_{array}" for array in source.arrays]
        used = {node.id for statement in function.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
        assert set(arguments) <= used


@pytest.mark.parametrize("name", VARIANTS)
def test_the_text_uses_no_name_that_it_does_not_bind(name):
    cell = layer(name)
    slope = "1/(1 + x*x)"  # a product within a sum, as many surrogates have
    for source in (forward_source(cell.equations, False, 3, True), backward_source(cell.equations, True, 3, (), slope)):
        nodes = list(ast.walk(ast.parse(source.text)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
        bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        bound |= {alias.asname or alias.name for node in imports for alias in node.names}
        assert not {node.id for node in names} - bound


def test_a_gpu_without_working_kernels_is_told_of_and_runs_in_plain_torch(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(launch.torch, "ones", fails)
    with pytest.warns(RuntimeWarning, match=r"no C compiler.*plain torch"):
        assert not launch.applies.__wrapped__(torch.device("cuda:0"))
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    with warnings.catch_warnings():
        assert not launch.applies.__wrapped__(torch.device("cuda:0"))
        assert not launch.applies.__wrapped__(torch.device("mps"))
