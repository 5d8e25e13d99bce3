"""Modules that layers hold or stand beside: an nn.Linear that is nothing but that goes by the layers' own products
with spikes, every other is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_modules
from torch.nn.utils import parametrize

from ranvier.codegen.calls import addressable, transformed
from ranvier.nn.spiking.products import SMALL, linear

_WEIGHTED = {kind: kind.forward for kind in (nn.Linear, nn.Conv1d, nn.Conv2d)}
_FORWARD, _CALL = nn.Linear.forward, nn.Linear.__call__
#: what, set on an instance, changes what calling it does
_OWN_CALL = ("forward", "_call_impl", "_wrapped_call_impl", "_slow_forward")


class Observer:
    """A forward hook (module, args, kwargs, y), or one before (without y), that only looks: an nn.Linear that has no
    others is called as one without."""

    def __init__(self, look: Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]) -> None:
        self.look = look

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any = None) -> None:
        self.look(module, args, kwargs, y)


class MaskedLinear(nn.Linear):
    """An nn.Linear of which only the weights that `mask` (out_features, in_features) marks by 1 exist."""

    mask: Tensor

    def __init__(self, mask: Tensor, **like: Any) -> None:
        super().__init__(mask.shape[1], mask.shape[0], **like)
        self.register_buffer("mask", mask.to(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) -> (..., out_features)."""
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


_MASKED_FORWARD = MaskedLinear.forward


def is_plain(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether calling this module does what nn.Linear.forward (or MaskedLinear's) says, and nothing else: it is no
    subclass, as parametrisations and adapters make it, has no hooks, as pruning and old weight_norm set them, no
    forward of its own, and no hooks of all modules are set."""
    kind = type(module)
    if kind is nn.Linear:
        plain = kind.forward is _FORWARD
    else:
        plain = kind is MaskedLinear and kind.forward is _MASKED_FORWARD
    return (
        plain
        and kind.__call__ is _CALL
        and not any(name in module.__dict__ for name in _OWN_CALL)
        and module._compiled_call_impl is None
        and not (module._forward_pre_hooks or module._backward_pre_hooks or module._backward_hooks)
        and all(type(hook) is Observer for hook in module._forward_hooks.values())
        and not torch_modules._has_any_global_hook()
    )


def are_plain(modules: Iterable[nn.Module]) -> bool:
    """Whether all are plain, and nothing looks at them: their weights may be used in their stead."""
    return all(is_plain(module) and not module._forward_hooks for module in modules)


def uses_its_weight(module: nn.Module) -> bool:
    """Whether calling an nn.Linear or convolution takes `module.weight` and `module.bias` as they are: parametrised
    ones do; a subclass (an adapter), a forward of its own and hooks (pruning, old weight_norm) may take others."""
    kind: type = type(module)
    if parametrize.is_parametrized(module):
        kind = kind.__bases__[0]
    return (
        kind in _WEIGHTED
        and kind.forward is _WEIGHTED[kind]
        and not any(name in module.__dict__ for name in _OWN_CALL)
        and not (module._backward_pre_hooks or module._backward_hooks)
        and all(type(h) is Observer for h in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()))
    )


def call(module: nn.Module, x: Tensor) -> Tensor:
    """module(x), for x (B, ...)."""
    if (
        type(module) is not nn.Linear
        or torch.compiler.is_compiling()  # which takes for a fact what is compared of a size
        or x.numel() * module.out_features < SMALL
        or transformed()
        or not (is_plain(module) and _fits(module, x))
    ):
        return module(x)
    y = linear(x, module.weight, module.bias)
    for hook in module._forward_hooks.values():
        hook(module, (x,), {}, y)  # type: ignore[call-arg]
    return y


def at_every_step(module: nn.Module, x: Tensor) -> Tensor:
    """A module on each step of x (T, B, ...), in one call: it sees the batch (T·B, ...)."""
    rows = x.shape[0] * x.shape[1]
    y = call(module, x.flatten(0, 1))
    if not isinstance(y, Tensor) or y.ndim == 0 or y.shape[0] != rows:
        answer = f"a tensor of shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise ValueError(
            f"there is {answer} from {type(module).__name__} for a batch of {rows}; expected a tensor of one row each; "
            "what needs the sequence as a whole is no layer of a step"
        )
    return y.unflatten(0, x.shape[:2])


def _fits(module: Any, x: Tensor) -> bool:
    """Whether the product is one of plain CPU tensors; what does not fit is left to torch's words."""
    weight, bias = module.weight, module.bias
    return (
        addressable(x, weight)
        and x.device.type == weight.device.type == "cpu"
        and x.ndim > 1
        and weight.shape == (module.out_features, x.shape[-1])
        and x.numel() > 0
        and weight.numel() > 0
        and (bias is None or (bias.shape == weight.shape[:1] and bias.dtype == x.dtype and bias.device == x.device))
        and not torch.is_autocast_enabled("cpu")
    )


__all__ = ["MaskedLinear", "Observer", "are_plain", "at_every_step", "call", "is_plain", "uses_its_weight"]
