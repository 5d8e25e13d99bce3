"""Laws of all layers, found by themselves: each `Cell` has a case beside it, and goes through all of this."""

import numpy as np
import pytest
import torch
from torch import nn

import ranvier as rv
from tests.laws.cells import check_cell, step_and_forward_agree_on_input, tensors
from tests.nn.cases import CELLS, F64, OTHERS, cells_of_nn

F32 = torch.float32


def test_every_cell_has_a_case():
    missing = {kind.__name__ for kind in cells_of_nn()} - {case.kind.__name__ for case in CELLS.values()}
    assert not missing, f"cells without a Case in tests/nn/cases.py: {sorted(missing)}"


def test_every_public_layer_has_a_case():
    public = {n for n in rv.nn.__all__ if isinstance(v := getattr(rv.nn, n), type) and issubclass(v, nn.Module)}
    missing = public - {case.kind.__name__ for case in CELLS.values()} - set(OTHERS)
    assert not missing, f"layers without a case in tests/nn/cases.py: {sorted(missing)}"


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_cells_keep_the_laws(name, fused):
    case = CELLS[name]
    if not (fused or case.fused):
        pytest.skip("has one way through time")
    cell = case.layer(fused=fused)
    learned = [p for n, p in cell.named_parameters() if p.requires_grad and n not in case.still]
    x = case.drive()
    check_cell(cell, x if learned else x.requires_grad_(), learned)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_cells_answer_as_their_equations_do(name, fused):
    """Both sides in float64: 1e-9 is a thousand roundings and more for every sum here."""
    case = CELLS[name]
    if not (fused or case.fused):
        pytest.skip("has one way through time")
    cell, x = case.layer(fused=fused), case.drive()
    expected = case.oracle(cell, x.numpy())
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(cell(x)[0].detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", [n for n, case in CELLS.items() if case.fused])
def test_both_ways_through_time_agree(name, dtype):
    """Values, states and gradients. float32: a few hundred roundings of 6e-8; spikes of these cases keep their sides
    of the threshold, as float64 shows."""
    case, outcomes = CELLS[name], []
    for fused in (True, False):
        cell, x = case.layer(dtype, fused), case.drive().to(dtype).requires_grad_()
        y, state = cell(x)
        learned = [p for p in cell.parameters() if p.requires_grad]
        ends = [t for t in tensors(state) if t.requires_grad]
        loss = y.square().sum() + y.sum() + sum(0.1 * t.sum() for t in ends)
        outcomes.append([y.detach(), *(t.detach() for t in tensors(state)), *torch.autograd.grad(loss, [x, *learned])])
    exact = case.layer(F64, False)(case.drive())[0].detach()
    tolerance = 1e-9 if dtype == F64 else 1e-4
    torch.testing.assert_close(outcomes[0][0].double(), exact, rtol=tolerance, atol=tolerance)
    for ours, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, plain, rtol=tolerance, atol=tolerance * max(1.0, float(plain.abs().max())))


@pytest.mark.parametrize("name", CELLS)
def test_step_and_forward_accept_and_refuse_the_same(name):
    case = CELLS[name]
    refusals = (ValueError, TypeError) + ((RuntimeError,) if case.torch_first else ())
    step_and_forward_agree_on_input(case.layer(F32), case.drive().to(F32), refusals)


@pytest.mark.parametrize("name", CELLS)
def test_a_meta_device_gives_shapes(name):
    """Made there, or brought there; large models are laid out so before their weights are read."""
    case = CELLS[name]
    x, y = case.drive().to(F32), case.layer(F32)(case.drive().to(F32))[0]
    if name not in ("ActiveDendrites", "SequenceRecall"):  # their synapses are given, with values to check
        with torch.device("meta"):
            layer = case.make(dtype=F32, **({"fused": True} if case.fused else {}))
        assert {p.device.type for p in layer.parameters()} <= {"meta"}
    moved = case.layer(F32).to("meta")
    for cell in (moved,):
        there, state = cell(x.to("meta"))
        assert there.shape == y.shape and there.device.type == "meta"
        _, single = cell.step(cell.init_state(x.shape[1]), x[0].to("meta"))
        assert single.shape == y.shape[1:] and all(t.device.type == "meta" for t in tensors(state))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("wrong", [np.zeros((3, 4, 6)), None, [1.0], "x"], ids=["array", "None", "list", "text"])
def test_layers_that_are_no_cells_refuse_what_is_no_tensor(name, wrong):
    layer = OTHERS[name][0]()
    with pytest.raises(TypeError, match="expected a tensor"):
        layer(wrong)
