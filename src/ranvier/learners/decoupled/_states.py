"""States of any recurrent model as rows of numbers, one row an example, and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def leaves(state: Any) -> list[Tensor]:
    """Tensors of floats in a nested state, in order."""
    if isinstance(state, Tensor):
        return [state] if state.is_floating_point() else []
    if isinstance(state, dict):
        state = list(state.values())
    return [t for value in state for t in leaves(value)] if isinstance(state, list | tuple) else []


def begun_anew(state: Any) -> Any:
    """The same values without their past, ready to collect gradients."""
    if isinstance(state, Tensor):
        return state.detach().requires_grad_(state.is_floating_point())
    if isinstance(state, dict):
        return {key: begun_anew(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(begun_anew(value) for value in state)
    return state


def rows(tensors: list[Tensor], batch: int) -> Tensor:
    """(batch, values) of all together."""
    return torch.cat([t.movedim(_axis(t, batch), 0).flatten(1) for t in tensors], 1)


def like(values: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """The inverse of `rows`: values (batch, ...) in the shapes of these tensors."""
    out, start = [], 0
    for t in tensors:
        axis = _axis(t, len(values))
        size = t.numel() // len(values)
        part = values[:, start : start + size]
        out.append(part.reshape(t.movedim(axis, 0).shape).movedim(0, axis))
        start += size
    return out


def joined(states: list[Any], batch: int) -> Any:
    """States of as many batches as those of one larger batch. ValueError where a part has no axis for the batch."""
    first = states[0]
    if isinstance(first, Tensor):
        return torch.cat(states, _axis(first, batch))
    if isinstance(first, dict):
        return {key: joined([state[key] for state in states], batch) for key in first}
    if isinstance(first, list | tuple):
        return type(first)(joined(list(parts), batch) for parts in zip(*states, strict=True))
    raise ValueError(f"a state has a {type(first).__name__}; expected tensors alone")


def _axis(t: Tensor, batch: int) -> int:
    """Of the batch: the first, or the second of three, as in torch's own recurrent layers."""
    axes = [k for k in (0, 1) if k < t.ndim and t.shape[k] == batch and (k == 0 or t.ndim == 3)]
    if len(axes) != 1:
        raise ValueError(
            f"a state has shape {tuple(t.shape)} for a batch of {batch}; expected the batch as its first axis, or as "
            "the second of three, and no other axis of that size: take another batch size"
        )
    return axes[0]


__all__ = ["begun_anew", "joined", "leaves", "like", "rows"]
