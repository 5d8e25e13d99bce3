"""Linear and convolutional layers whose errors go back by another way than their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.learners._chains import weight_gradient
from ranvier.learners.counting import meet, rows_of

#: (name, layer, x, g) -> the error that x is to get, g being the layer's output's
Way = Callable[[str, Any, Tensor, Tensor], Tensor]


@contextmanager
def other_way(layers: dict[str, Any], way: Way) -> Iterator[None]:
    """Within the block, errors of these layers' inputs are what `way` says; weights' own gradients stay exact."""
    hooks = [layer.register_forward_hook(_hook(name, way)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(name: str, way: Way) -> Any:
    def replace(layer: Any, args: tuple[Tensor, ...], y: Tensor) -> Tensor:
        (x,) = args
        return _Detour.apply(x, layer.weight, layer.bias, y.detach(), name, layer, way)  # type: ignore[no-untyped-call]

    return replace


class _Detour(torch.autograd.Function):
    """y as it is; on the way back x gets what `way` gives."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor, name: str, layer: nn.Module, way: Way
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.name, ctx.layer, ctx.way = name, layer, way
        return y.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        back = ctx.way(ctx.name, ctx.layer, x, g) if ctx.needs_input_grad[0] else None
        weight, bias = weight_gradient(ctx.layer, x, g) if ctx.needs_input_grad[1] else (None, None)
        if weight is not None and (counted := rows_of(ctx.layer)) is not None:
            meet(counted.gradients, ctx.layer, x)
        return back, weight, bias, None, None, None, None


__all__ = ["Way", "other_way"]
