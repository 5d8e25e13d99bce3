"""Cells on sequences of different lengths: padded, or packed as torch packs them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ranvier.nn.checks import require_tensor


def run_padded(
    cell: nn.Module,
    x: Tensor,
    lengths: Tensor | list[int] | None = None,
    state: Any = None,
    *,
    batch_first: bool = False,
) -> tuple[Tensor, Any]:
    """A cell on padded sequences: x (T, B, ...) -> y (T, B, ...) with zeros from each length on, and the state that
    each example has at its own end.

    Examples that have ended are left out of what follows: nothing in the padding counts, not even NaN, nor do their
    silent steps enter a batch's statistics. The cell is called once for every distinct length.

    Parameters
    ----------
    cell : any `Cell`, `rv.nn.Sequential` among them, whose state has the batch as first axis (all but `Delay`,
        `DelayedLinear`, `SlidingPSN` and layers with `recurrent_delay` above 1, whose first axis is time, the second
        the batch; both are known by name).
    lengths : (B,) whole numbers from 1 to T; None: all are T, which with `batch_first` runs any cell on (B, T, ...).
    state : as of the cell's forward.
    batch_first : x and y are (B, T, ...).

    Raises ValueError for lengths of another number or outside 1 to T, and what the cell raises.

    >>> x, layer = torch.rand(4, 2, 3), rv.nn.LI(3, 1)
    >>> y, state = rv.nn.run_padded(layer, x, [4, 2])
    >>> y[2:, 1].sum().item(), bool(torch.equal(state["v"][1], layer(x[:2])[1]["v"][1]))
    (0.0, True)
    """
    require_tensor(x)
    if not hasattr(cell, "init_state"):
        raise TypeError(f"cell is {type(cell).__name__}; expected a cell of rv.nn, or a Sequential of cells")
    if x.ndim < 3 or 0 in x.shape[:2]:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, ...), or (B, T, ...) with batch_first=True")
    x = x.transpose(0, 1) if batch_first else x
    if lengths is None:
        y, state = cell(x, state)
        return (y.transpose(0, 1) if batch_first else y), state
    ends = _checked_lengths(lengths, x)
    state = cell.init_state(x.shape[1]) if state is None else state  # type: ignore[operator]
    order = torch.argsort(ends, descending=True, stable=True)
    back, descending = torch.argsort(order), ends[order].tolist()
    x, running, first = x[:, order.to(x.device)], select_examples(state, order), 0
    pieces, finished = [], []
    for end in sorted(set(descending)):
        alive = sum(e >= end for e in descending)
        y, running = cell(x[first:end, :alive], running)
        pieces.append(torch.cat([y, y.new_zeros(len(y), x.shape[1] - alive, *y.shape[2:])], 1))
        staying = sum(e > end for e in descending)
        finished.append(select_examples(running, torch.arange(staying, alive)))
        running, first = select_examples(running, torch.arange(staying)), end
    if first < len(x):
        pieces.append(pieces[0].new_zeros(len(x) - first, *pieces[0].shape[1:]))
    y = torch.cat(pieces)[:, back.to(x.device)]
    return (y.transpose(0, 1) if batch_first else y), select_examples(_join(finished[::-1]), back)


def run_packed(cell: nn.Module, x: PackedSequence, state: Any = None) -> tuple[PackedSequence, Any]:
    """As `run_padded`, from and to torch's packed sequences. Raises TypeError for what is none.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])
    >>> y, state = rv.nn.run_packed(rv.nn.LIF(3, 2), packed)
    >>> y.batch_sizes.tolist()
    [2, 2, 1, 1]
    """
    if not isinstance(x, PackedSequence):
        raise TypeError(
            f"x is {type(x).__name__}; expected a PackedSequence, as torch.nn.utils.rnn.pack_padded_sequence makes it"
        )
    padded, lengths = pad_packed_sequence(x)
    y, state = run_padded(cell, padded, lengths, state)
    return pack_padded_sequence(y, lengths, enforce_sorted=False), state


def _checked_lengths(lengths: Any, x: Tensor) -> Tensor:
    values = torch.as_tensor(lengths, device="cpu")
    whole = values.dtype.is_floating_point is False and values.dtype != torch.bool and not values.dtype.is_complex
    if values.shape != x.shape[1:2] or not whole:
        raise ValueError(
            f"lengths has shape {tuple(values.shape)} and type {values.dtype}; expected {x.shape[1]} whole numbers, "
            "one an example"
        )
    if int(values.min()) < 1 or int(values.max()) > len(x):
        raise ValueError(
            f"lengths go from {int(values.min())} to {int(values.max())}; expected 1 to {len(x)}, the steps of x: "
            "leave out empty sequences"
        )
    return values


#: entries of a state that have time as first axis, the batch as second
_TIME_FIRST = ("past", "history")


def _axis(name: str) -> int:
    return 1 if name in _TIME_FIRST else 0


def select_examples(state: Any, rows: Tensor, name: str = "") -> Any:
    """Some examples' part of a state."""
    if isinstance(state, Tensor):
        return state.index_select(_axis(name), rows.to(state.device))
    if isinstance(state, dict):
        return {key: select_examples(value, rows, key) for key, value in state.items()}
    return tuple(select_examples(value, rows) for value in state)


def _join(states: list[Any], name: str = "") -> Any:
    head = states[0]
    if isinstance(head, Tensor):
        return torch.cat(states, _axis(name))
    if isinstance(head, dict):
        return {key: _join([s[key] for s in states], key) for key in head}
    return tuple(_join([s[k] for s in states]) for k in range(len(head)))


__all__ = ["run_packed", "run_padded", "select_examples"]
