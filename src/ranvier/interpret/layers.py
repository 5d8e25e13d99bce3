"""Where units are read and written: what a module receives or returns, with one axis of units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ranvier._checks import nearest


@dataclass(frozen=True)
class UnitLayer:
    """The units of one layer of a network.

    Parameters
    ----------
    name
        How it is called in results and errors: the module's dotted name for a string given by the user.
    module
        The module at which it is read.
    side
        Whether the units are what the module returns ("output") or its first argument ("input").
    axis
        The axis of units. None: axis 1 of images (B, units, H, W) and volumes, the last axis of anything else.

    Examples
    --------
    >>> from torch import nn
    >>> from ranvier.interpret import layer
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    >>> relu = layer(model, "1")
    >>> relu.name
    '1'
    """

    name: str
    module: nn.Module
    side: Literal["output", "input"] = "output"
    axis: int | None = None

    @property
    def width(self) -> int | None:
        """The number of units where the module states it, else None."""
        names = ("in_features",) if self.side == "input" else ("out_features", "out_channels", "num_features")
        if type(self.module).__name__ == "Conv1D" and self.side == "output":  # transformers' transposed Linear
            names = ("nf",)
        elif type(self.module).__name__ == "Conv1D":
            return int(self.module.weight.shape[0])  # type: ignore[index]
        values = [getattr(self.module, name, None) for name in names]
        return next((value for value in values if isinstance(value, int)), None)

    def units_axis(self, x: Tensor) -> int:
        """The axis of units in `x`, counted from the front; ValueError where `x` has none."""
        axis = self.axis if self.axis is not None else (1 if x.ndim >= 4 else -1)
        if x.ndim < 2 or not -x.ndim <= axis < x.ndim or axis % x.ndim == 0:
            raise ValueError(
                f"layer {self.name} gives values of shape {tuple(x.shape)}; expected (batch, ..., units): choose a "
                "layer before the reduction, or give UnitLayer(..., axis=)."
            )
        return axis % x.ndim

    def attach(self, function: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `function` with the layer's values in every forward pass; a tensor that it returns replaces them."""
        if self.side == "input":

            def before(module: nn.Module, args: tuple[Any, ...]) -> Any:
                if not args or not isinstance(args[0], Tensor):
                    raise TypeError(self._no_tensor(args[0] if args else None, "receives as first argument"))
                value = function(args[0])
                return None if value is None else (value, *args[1:])

            return self.module.register_forward_pre_hook(before)

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            tensor = output[0] if isinstance(output, tuple | list) and output else output
            if not isinstance(tensor, Tensor):
                raise TypeError(self._no_tensor(tensor, "returns"))
            value = function(tensor)
            if value is None:
                return None
            return type(output)((value, *output[1:])) if isinstance(output, tuple | list) else value

        return self.module.register_forward_hook(after)

    def _no_tensor(self, value: Any, verb: str) -> str:
        return f"layer {self.name} {verb} {type(value).__name__}; expected a tensor: choose a layer within it."


def layer(model: nn.Module, which: str | UnitLayer) -> UnitLayer:
    """The layer of that name: a module's dotted name, or an MLP's with ":neurons", ":gate" or ":up" after it.

    A `UnitLayer` comes back as it is where its module belongs to `model`.

    Raises
    ------
    ValueError
        for a name that the model does not have (with the nearest), and a Layer of another model.
    TypeError
        for anything else.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> rv.interpret.layer(model, "0").module is model[0]
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module: load or build one.")
    if isinstance(which, UnitLayer):
        if not any(module is which.module for module in model.modules()):
            raise ValueError(
                f"layer {which.name} belongs to another model; expected one of this {type(model).__name__}: "
                "look it up again, by its name."
            )
        return which
    if not isinstance(which, str):
        raise TypeError(f"layer is {type(which).__name__} {which!r:.60}; expected a name or a UnitLayer.")
    if ":" in which:
        from ranvier.interpret.mlp_blocks import mlps

        known = {one.name: one for mlp in mlps(model) for one in mlp.layers}
        if which not in known:
            raise ValueError(f"layer is {which!r}; {nearest(which, known)}")
        return known[which]
    modules = dict(model.named_modules())
    if not which or which not in modules:
        raise ValueError(f"layer is {which!r}; {nearest(which, filter(None, modules))}")
    return UnitLayer(which, modules[which])


def layers(model: nn.Module, which: str | UnitLayer | Iterable[str | UnitLayer]) -> tuple[UnitLayer, ...]:
    """Several layers, each once; a single one may stand alone. ValueError for none and for one that comes twice."""
    chosen = tuple(layer(model, one) for one in ([which] if isinstance(which, str | UnitLayer) else which))
    names = [one.name for one in chosen]
    if not names or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        what = f"name {twice} twice" if twice else "are none"
        raise ValueError(f"layers {what}; expected different layers, at least one: name each once.")
    return chosen


def require_finite_weights(model: nn.Module) -> None:
    """ValueError that names the first parameter or buffer with a NaN or an infinity."""
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        # masks of attention hold -inf by design; a parameter never does
        bad = torch.isfinite(value).logical_not() if isinstance(value, nn.Parameter) else torch.isnan(value)
        if value.numel() and bool(bad.any()):
            raise ValueError(
                f"weights {name} have {int(bad.sum())} values that are not finite; expected finite ones: "
                "load the checkpoint again, or look where training diverged."
            )


__all__ = ["UnitLayer", "layer", "layers", "require_finite_weights"]
