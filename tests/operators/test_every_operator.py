"""Laws of all operators on grids, found by discovery."""

from __future__ import annotations

import pytest
import torch

from ranvier.operators import problems, relative_l2, spectral_resample
from tests.operators.cases import CASES, OTHERS, classes
from tests.operators.models import waves

every = pytest.mark.parametrize("case", [pytest.param(c, id=k.__name__) for k, c in CASES.items()])


def field(size: tuple[int, ...], dtype: torch.dtype = torch.float64, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 2, *size, dtype=torch.float64).to(dtype)


def test_every_operator_has_a_case():
    missing = {kind.__name__ for kind in classes() - set(CASES) - OTHERS}
    assert not missing, f"give a Case in tests/operators/cases.py to: {', '.join(sorted(missing))}"


@every
@pytest.mark.parametrize("size", [(7,), (32,), (5, 8), (9, 9), (16, 12), (2, 3), (4, 6, 5)])
def test_any_grid(case, size):
    """Odd, not square, small, of one to three axes."""
    torch.manual_seed(0)
    x = field(size)
    y = case.make(len(size), torch.float64)(x)
    assert y.shape == (2, 3, *size)
    assert torch.isfinite(y).all()


@every
def test_an_empty_batch(case):
    assert case.make(2, torch.float64)(field((8, 12), batch=0)).shape == (0, 3, 8, 12)
    assert spectral_resample(field((8, 12), batch=0), (5, 6)).shape == (0, 2, 5, 6)
    assert problems.burgers_examples(0, 16)[1].shape == (0, 1, 16)


@every
def test_examples_of_a_batch_are_independent_and_inputs_untouched(case):
    torch.manual_seed(0)
    model, x = case.make(2, torch.float64), field((9, 12), batch=3)
    before = x.clone()
    y = model(x)
    torch.testing.assert_close(y[1:2], model(x[1:2]))
    assert torch.equal(x, before)


@every
def test_precisions_agree(case):
    torch.manual_seed(0)
    model, x = case.make(2, torch.float64), field((12, 16))
    expected = model(x)
    for dtype, factor in ((torch.float32, 50), (torch.bfloat16, 10), (torch.float16, 10)):
        y = model.to(dtype)(x.to(dtype))
        assert y.dtype == dtype
        assert relative_l2(y.double(), expected) < factor * torch.finfo(dtype).eps
        model.to(torch.float64)


@every
def test_memory_layout_does_not_matter(case):
    torch.manual_seed(0)
    model, x = case.make(2, torch.float64), field((8, 10))
    torch.testing.assert_close(model(x.to(memory_format=torch.channels_last)), model(x))
    torch.testing.assert_close(model(x.transpose(2, 3).contiguous().transpose(2, 3)), model(x))


@every
@pytest.mark.parametrize("dims", [1, 2])
def test_gradients(case, dims):
    """One reaches every parameter, and they are right."""
    torch.manual_seed(0)
    model, x = case.make(dims, torch.float64), field((6,) * dims, batch=1).requires_grad_()
    model(x).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not [name for name in silent if "levels" not in name and not unused(model, name)]
    assert torch.autograd.gradcheck(model, (x,), fast_mode=True)


def unused(model: torch.nn.Module, name: str) -> bool:
    """Whether a parameter belongs to a grid for which there is no room, here the third."""
    return any(part.isdigit() and int(part) >= 2 for part in name.split("."))


@every
def test_shifts(case):
    """A shifted field's answer is the answer, shifted."""
    torch.manual_seed(0)
    model, x = case.make(2, torch.float64), field((16, 16))
    y, shift = model(x), (case.shifts, -2 * case.shifts)
    torch.testing.assert_close(model(x.roll(shift, (2, 3))), y.roll(shift, (2, 3)))


@every
def test_resolution(case):
    """Of a smooth field, the answer on a finer grid is the same function; where it is not meant to be, it is not."""
    torch.manual_seed(0)
    model = case.make(2, torch.float64)
    answers = [model(waves((n, n), "cells").expand(1, 2, n, n)) for n in (16, 32, 64)]
    with torch.no_grad():
        coarse = [spectral_resample(y, (16, 16)) for y in answers]
    error = max(float(relative_l2(y.detach(), coarse[0].detach())) for y in coarse[1:])
    assert error < 0.06 if case.grids else error > 0.1


@every
@pytest.mark.parametrize("bad", [(2, 3, 8, 8), (2, 8, 8), (2, 2, 0, 8)])
def test_wrong_fields_are_refused(case, bad):
    model = case.make(2, torch.float64)
    with pytest.raises((ValueError, RuntimeError), match="expected"):
        model(torch.zeros(bad, dtype=torch.float64))


@pytest.mark.parametrize("kind", [k for k in CASES if k.__name__ != "Operator"])
def test_another_precision_is_refused(kind):
    with pytest.raises(ValueError, match=r"the field is torch.float32; expected torch.float64"):
        CASES[kind].make(2, torch.float64)(torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("kind", [k for k in CASES if k.__name__ != "Operator"])
def test_a_state_goes_through_a_file(kind, tmp_path):
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    one, other, x = CASES[kind].make(2, torch.float32), CASES[kind].make(2, torch.float32), field((8, 8), torch.float32)
    save_file(one.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(one(x), other(x))
