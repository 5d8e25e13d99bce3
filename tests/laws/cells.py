"""What every `Cell` must keep; import `check_cell` and give it a cell and an input that makes it active."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def tensors(state: Any) -> Iterator[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from tensors(value)


def check_cell(cell: Any, x: Tensor, parameters: list[Tensor]) -> None:
    """All laws. x (T, B, N) with T >= 4, B >= 2 must drive the cell; `parameters` must all receive gradients."""
    with torch.no_grad():
        whole, end = cell(x)
        if not whole.any():
            raise ValueError("the cell stays silent: give it more drive, or its laws say nothing")
        input_state_is_untouched(cell, x)
        batch_entries_are_independent(cell, x, whole)
        runs_may_be_cut_and_joined(cell, x, whole, end)
        interleaved_runs_do_not_meet(cell, x, whole)
    gradients_reach_every_parameter(cell, x, parameters)


def input_state_is_untouched(cell: Any, x: Tensor) -> None:
    state = cell.init_state(x.shape[1])
    before = [t.clone() for t in tensors(state)]
    cell.step(state, x[0])
    cell(x, state)
    for old, new in zip(before, tensors(state), strict=True):
        assert torch.equal(old, new)


def batch_entries_are_independent(cell: Any, x: Tensor, whole: Tensor) -> None:
    changed = x.clone()
    changed[:, 1:] = changed[:, 1:] * 0.5 + 0.1
    y, _ = cell(changed)
    torch.testing.assert_close(y[:, 0], whole[:, 0], rtol=1e-9, atol=1e-9)


def runs_may_be_cut_and_joined(cell: Any, x: Tensor, whole: Tensor, end: Any) -> None:
    cut = len(x) // 3
    first, middle = cell(x[:cut])
    second, last = cell(x[cut:], middle)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    for a, b in zip(tensors(last), tensors(end), strict=True):
        torch.testing.assert_close(a, b)


def interleaved_runs_do_not_meet(cell: Any, x: Tensor, whole: Tensor) -> None:
    ours, other = cell.init_state(x.shape[1]), cell.init_state(x.shape[1])
    for row, y in zip(x, whole, strict=True):
        other, _ = cell.step(other, row * 2 + 1)
        ours, got = cell.step(ours, row)
        torch.testing.assert_close(got, y)


def gradients_reach_every_parameter(cell: Any, x: Tensor, parameters: list[Tensor]) -> None:
    for p in parameters:
        p.grad = None
    y, _ = cell(x)
    y.square().sum().backward()
    for p in parameters:
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0


def step_and_forward_agree_on_input(cell: Any, x: Tensor, refusals: tuple[type, ...]) -> None:
    """What `forward` refuses, `step` refuses in the same words, but for the axis of time in shapes; and both keep the
    cell's precision under autocast. x (T, B, ...) is in the cell's precision, float32; refusals are the errors that
    count as such."""
    spoilt = x.clone()
    spoilt[0].view(-1)[0] = float("nan")
    for bad in (spoilt, x.double(), x.to("meta"), x.to_sparse(), (x,), x.numpy(), None):
        sequence, single = (bad, bad[0]) if isinstance(bad, Tensor) else (bad, bad)
        state = cell.init_state(x.shape[1])
        words = _refusal(cell, (sequence,), refusals), _refusal(cell.step, (state, single), refusals)
        assert words[0] == words[1], words
        if bad is not spoilt or not _passes_through(cell):
            assert words[0] is not None, f"{bad!r:.80} was taken"
    state = cell.init_state(x.shape[1])
    if list(tensors(state)):
        assert _refusal(cell.step, (state, x), refusals) is not None  # a sequence is no step
    for bad_state in (cell.init_state(x.shape[1] + 1), _map(state, Tensor.double)):
        if list(tensors(state)):
            words = _refusal(cell, (x, bad_state), refusals), _refusal(cell.step, (bad_state, x[0]), refusals)
            assert words[0] == words[1] and words[0] is not None, words
    after, y = cell.step(state, x[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same, z = cell.step(state, x[0])
        low, _ = cell.step(state, x[0].bfloat16())
    own = RuntimeError not in refusals  # torch's modules compute in autocast's precision
    assert not own or torch.equal(y, z)
    for a, b, c in zip(tensors(after), tensors(same), tensors(low), strict=True):
        assert b.dtype == c.dtype == a.dtype and (not own or torch.equal(a, b))


def _refusal(act: Any, arguments: tuple[Any, ...], refusals: tuple[type, ...]) -> tuple[type, str] | None:
    try:
        act(*arguments)
    except refusals as error:
        return type(error), str(error)
    return None


def _map(state: Any, function: Any) -> Any:
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, dict):
        return {name: _map(value, function) for name, value in state.items()}
    return type(state)(_map(value, function) for value in state)


def _passes_through(cell: Any) -> bool:
    """Ordinary modules alone: they have torch's own manners."""
    return not list(tensors(cell.init_state(1)))
