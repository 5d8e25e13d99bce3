"""What layers share as cells: the precision they keep, single steps, and attributes that are fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from itertools import chain
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_modules

from ranvier.nn.checks import require_tensor
from ranvier.nn.domains import Domain, Whole

#: tensors by name, each with the batch as an axis
CellState = dict[str, Tensor]
_Cell = TypeVar("_Cell", bound=nn.Module)
_More = ParamSpec("_More")
_Result = TypeVar("_Result")


def in_own_precision(
    forward: Callable[Concatenate[_Cell, Tensor, _More], _Result],
) -> Callable[Concatenate[_Cell, Tensor, _More], _Result]:
    """A cell's forward, under autocast in the precision of its parameters: states are sums over many steps."""

    @wraps(forward)
    def inner(self: _Cell, x: Tensor, *rest: _More.args, **named: _More.kwargs) -> _Result:
        if not (isinstance(x, Tensor) and autocast_on(x)):
            return forward(self, x, *rest, **named)
        with torch.autocast(x.device.type, enabled=False):
            return forward(self, x.to(_precision(self, x)), *rest, **named)

    return inner  # type: ignore[return-value]  # `wraps` hides the generic parameters


def autocast_on(x: Tensor) -> bool:
    """Whether autocast changes the precision of operations on x."""
    kind = x.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _precision(module: nn.Module, x: Tensor) -> torch.dtype:
    tensors = chain(module.parameters(), module.buffers())
    return next((t.dtype for t in tensors if t.is_floating_point()), x.dtype)


def is_hooked(module: nn.Module) -> bool:
    """Whether calling a module does more than its forward: its own hooks, hooks of all modules, or a compiled call."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or module._compiled_call_impl is not None
        or torch_modules._has_any_global_hook()
    )


class FixedAttributes(nn.Module):
    """A module whose attributes in `FIXED` say what it is made of, and are refused another value afterwards; those in
    `NUMBERS` may be set again within their domains, None where they were None or began so."""

    FIXED: ClassVar[frozenset[str]] = frozenset()
    NUMBERS: ClassVar[Mapping[str, Domain | Whole]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.NUMBERS and not (value is None and self.__dict__.get(name) is None):
            self.NUMBERS[name].require(f"{name} of {type(self).__name__}", value)
        if name in self.FIXED and name in self.__dict__ and self.__dict__[name] != value:
            kind = type(self).__name__
            raise AttributeError(
                f"{name} of a {kind} is fixed at {self.__dict__[name]!r}, not {value!r}; expected no change after "
                f"construction: make another {kind}({name}=...) and load this one's weights that fit"
            )
        super().__setattr__(name, value)


class SequenceCell(FixedAttributes):
    """A `Cell` whose step is its `forward` of a sequence of one; `in_features` are its inputs'."""

    in_features: int

    def step(self, state: CellState, x: Tensor) -> tuple[CellState, Tensor]:
        """One step: x (B, in_features) -> (state, y (B, ...)). Raises what `forward` raises."""
        require_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, {self.in_features})")
        y, state = self(x[None], state)
        return state, y[0]

    def _require_sequence(self, x: Tensor, like: Tensor) -> None:
        require_tensor(x, like)
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self.in_features:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, {self.in_features}) with T > 0")


__all__ = ["CellState", "FixedAttributes", "SequenceCell", "autocast_on", "in_own_precision", "is_hooked"]
