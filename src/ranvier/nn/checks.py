"""What cells refuse, in the same words, and the cells that are written for whole sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import wraps
from itertools import chain
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from ranvier.codegen.calls import transformed

State = dict[str, Tensor]
_Cell = TypeVar("_Cell", bound=nn.Module)
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")


def in_own_precision(
    forward: Callable[Concatenate[_Cell, Tensor, _Rest], _Result],
) -> Callable[Concatenate[_Cell, Tensor, _Rest], _Result]:
    """A cell's forward, under autocast in the precision of its own parameters: states are sums over many steps."""

    @wraps(forward)
    def inner(self: _Cell, x: Tensor, *rest: _Rest.args, **named: _Rest.kwargs) -> _Result:
        kind = x.device.type if isinstance(x, Tensor) else "meta"
        if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
            return forward(self, x, *rest, **named)
        with torch.autocast(kind, enabled=False):
            own = next((t.dtype for t in chain(self.parameters(), self.buffers()) if t.is_floating_point()), x.dtype)
            return forward(self, x.to(own), *rest, **named)

    return inner


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward in compiled loops, which no graph follows: refuses where gradients of gradients are asked for.

    torch's once_differentiable would leave them out without a word where torch.autograd.grad asks for some.
    """

    @wraps(backward)
    def inner(ctx: Any, *gradients: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "found create_graph=True, but compiled loops give no gradients of gradients; make the layers with "
                "fused=False for them"
            )
        return backward(ctx, *gradients)

    return inner


def require_tensor(x: Any) -> None:
    """Raise TypeError for what a layer that is no `Cell`'s neighbour passes on."""
    if isinstance(x, tuple):
        raise TypeError(
            "found a tuple, expected a tensor: layers return (y, state); put them into rv.nn.Sequential, or pass on y"
        )
    if not isinstance(x, Tensor):
        raise TypeError(f"found {type(x).__name__}, expected a tensor")


def require_finite(x: Tensor) -> None:
    """Raise ValueError, with step, batch and feature, where x (T, B, ...) is not finite."""
    if x.device.type == "meta" or not x.is_floating_point() or transformed():
        return
    # a sum is quicker, but may overflow where no entry did
    if math.isfinite(x.detach().sum().item()):
        return
    bad = (~torch.isfinite(x)).nonzero()
    if len(bad):
        t, b, *n = bad[0].tolist()
        raise ValueError(
            f"found {x[tuple(bad[0])].item()} in x at step {t}, batch {b}, feature {neuron(n)}; expected finite input"
        )


def neuron(index: list[int]) -> int | tuple[int, ...]:
    """One axis of neurons is counted, several are a position."""
    return index[0] if len(index) == 1 else tuple(index)


def require_state(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], like: Tensor) -> None:
    """Raise ValueError for a state that has not these names and shapes, or is not of the layer's type and device."""
    if sorted(state) != sorted(expected):
        raise ValueError(f"found a state with {sorted(state)}, expected {sorted(expected)}: of another layer?")
    for name, value in state.items():
        if value.shape != expected[name]:
            raise ValueError(f"found the state {name} of shape {tuple(value.shape)}, expected {expected[name]}")
        if value.dtype != like.dtype or value.device != like.device:
            raise ValueError(
                f"found the state {name} of {value.dtype} on {value.device}, expected {like.dtype} on {like.device}; "
                "convert it by .to()"
            )


class SequenceCell(nn.Module):
    """A `Cell` whose step is its `forward` of a sequence of one; `in_features` are its inputs'."""

    in_features: int

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step: x (B, in_features) -> (state, y (B, ...)). Raises ValueError for another shape."""
        if x.ndim != 2:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (B, {self.in_features})")
        y, state = self(x[None], state)
        return state, y[0]

    def _require_sequence(self, x: Tensor) -> None:
        require_tensor(x)
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self.in_features:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (T, B, {self.in_features}) with T > 0")


__all__ = ["SequenceCell", "State", "first_order", "in_own_precision", "neuron", "require_finite", "require_state",
           "require_tensor"]  # fmt: skip
