"""Changes to units while a block of code runs: ablated, clamped, scaled, steered, and undone exactly afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ranvier.interpret.layers import UnitLayer, layer

Units = int | Sequence[int] | Tensor | slice | None


def edit(model: nn.Module) -> Edit:
    """A context in which units of a model are changed, by hooks alone: no weight is ever written.

    On leaving it, by an exception too, every hook of it is removed, and the model is what it was, bit for bit.
    Contexts may be nested and may end in any order. Several changes to one layer act in the order in which they were
    made; what `activations` records within the block is what the edited model computes.

    Examples
    --------
    >>> from torch import nn
    >>> from ranvier.interpret import edit
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> x = torch.ones(1, 3)
    >>> y = model(x)
    >>> with edit(model) as change:
    ...     _ = change.ablate("1", [0, 2]).scale("1", 1, 2.0)
    ...     edited = model(x)
    >>> torch.equal(model(x), y)
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module: load or build one.")
    return Edit(model)


class Edit:
    """Changes to a model's units that last as long as its `with` block; made by `edit(model)`.

    Each method takes a layer (a module's name, an MLP's as "block:neurons", or a `UnitLayer`), units (an index,
    several, a slice, or None for all), and `tokens`: the positions along axis 1 of (B, T, units) that are changed, an
    index or a slice; all by default. Methods return the context, so that they can be chained. Wrong layers and units
    raise ValueError or TypeError at once, or in the forward pass where a module does not state its width.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> with rv.interpret.edit(model) as change:
    ...     y = change.clamp("1", [0, 2], 7.0) and model(torch.rand(2, 4))
    >>> y[:, [0, 2]].tolist()
    [[7.0, 7.0], [7.0, 7.0]]
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._handles: list[RemovableHandle] = []
        self._active = False

    def __enter__(self) -> Edit:
        if self._active:
            raise RuntimeError("edit is entered twice; expected one block each: call edit(model) again.")
        self._active = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        while self._handles:
            self._handles.pop().remove()

    def ablate(self, where: str | UnitLayer, units: Units = None, *, tokens: int | slice | None = None) -> Edit:
        """Set units to zero."""
        return self._change(where, units, tokens, torch.zeros_like)

    def clamp(
        self, where: str | UnitLayer, units: Units, value: float | Tensor, *, tokens: int | slice | None = None
    ) -> Edit:
        """Set units to `value`: a number, or one a unit."""
        value = _finite(value, "value")
        return self._change(where, units, tokens, lambda x: value.to(x).expand_as(x), value)

    def scale(
        self, where: str | UnitLayer, units: Units, factor: float | Tensor, *, tokens: int | slice | None = None
    ) -> Edit:
        """Multiply units by `factor`: a number, or one a unit."""
        factor = _finite(factor, "factor")
        return self._change(where, units, tokens, lambda x: x * factor.to(x), factor)

    def steer(
        self, where: str | UnitLayer, direction: Tensor, strength: float = 1.0, *, tokens: int | slice | None = None
    ) -> Edit:
        """Add `strength` times `direction`, (units,), to the layer."""
        step = _finite(direction, "direction") * _finite(strength, "strength")
        if step.ndim != 1:
            raise ValueError(f"direction has shape {tuple(step.shape)}; expected (units,): a vector over the layer.")
        return self._change(where, None, tokens, lambda x: x + step.to(x), step)

    def transform(
        self, where: str | UnitLayer, function: Callable[[Tensor], Tensor], *, tokens: int | slice | None = None
    ) -> Edit:
        """Put function(values) in the place of a layer's values, units last, (B, T, units) or (B, units); it must keep
        their shape."""

        def checked(x: Tensor) -> Tensor:
            result = function(x)
            if result.shape != x.shape:
                raise ValueError(
                    f"function gives {tuple(result.shape)} for {tuple(x.shape)}; expected the same shape: change "
                    "values alone."
                )
            return result

        return self._change(where, None, tokens, checked)

    def _change(
        self,
        where: str | UnitLayer,
        units: Units,
        tokens: int | slice | None,
        function: Callable[[Tensor], Tensor],
        amount: Tensor | None = None,
    ) -> Edit:
        if not self._active:
            raise RuntimeError("edit is not active; expected changes within its block: with edit(model) as change.")
        target = layer(self.model, where)
        index = _index(units)
        if target.width is not None:
            _require_units(index, target.width, target.name, amount)
        span = _span(tokens)

        def apply(x: Tensor) -> Tensor:
            axis = target.units_axis(x)
            _require_units(index, x.shape[axis], target.name, amount)
            changed = x.clone()
            part = changed.movedim(axis, -1)
            if span is not None:
                if x.ndim != 3:
                    raise ValueError(
                        f"tokens are given for layer {target.name}, of values {tuple(x.shape)}; expected (B, T, "
                        "units): leave tokens out."
                    )
                part = part[:, span]
                if not part.shape[1]:
                    raise ValueError(f"tokens select none of {x.shape[1]}; expected at least one: choose others.")
            part[..., index] = function(part[..., index])
            return changed

        self._handles.append(target.attach(apply))
        return self


def _index(units: Units) -> Any:
    if units is None:
        return slice(None)
    if isinstance(units, slice):
        return units
    index = torch.as_tensor([units] if isinstance(units, int) and not isinstance(units, bool) else units)
    if index.shape == (0,):
        return index.long()  # of an empty list, which torch takes for numbers
    if index.dtype == torch.bool or index.is_floating_point() or index.is_complex() or index.ndim != 1:
        raise TypeError(
            f"units are {index.dtype} of shape {tuple(index.shape)}; expected indices from 0, in one list: "
            "for a mask, give mask.nonzero()[:, 0]."
        )
    index = index.long()
    if len(index.unique()) < len(index):
        raise ValueError("units name one twice; expected each once: take their set.")
    return index


def _require_units(index: Any, width: int, name: str, amount: Tensor | None) -> None:
    if isinstance(index, slice):
        number = len(range(*index.indices(width)))
    else:
        number = len(index)
        outside = index[(index < 0) | (index >= width)]
        if len(outside):
            raise ValueError(f"unit {int(outside[0])} of layer {name} is outside; expected 0 to {width - 1}.")
    if amount is not None and amount.ndim and amount.shape != (number,):
        raise ValueError(
            f"values for layer {name} have shape {tuple(amount.shape)}; expected one number, or one a unit: "
            f"({number},)."
        )


def _span(tokens: int | slice | None) -> slice | None:
    if tokens is None or isinstance(tokens, slice):
        return tokens
    if isinstance(tokens, bool) or not isinstance(tokens, int):
        raise TypeError(f"tokens is {tokens!r:.60}; expected a position or a slice.")
    return slice(tokens, None if tokens == -1 else tokens + 1)


def _finite(value: float | Tensor, name: str) -> Tensor:
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is {type(value).__name__} {value!r:.60}; expected a number, or one a unit.") from error
    tensor = tensor.detach().clone() if tensor.is_floating_point() else tensor.double()
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} is not finite; expected finite numbers: look where it was computed.")
    return tensor


__all__ = ["Edit", "edit"]
