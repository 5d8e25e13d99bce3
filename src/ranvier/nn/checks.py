"""What layers refuse, in the same words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ranvier.codegen.calls import transformed


def require_tensor(x: Any, like: Tensor | None = None) -> None:
    """Raise TypeError for what is no dense tensor, ValueError for one of another type than `like`, the layer's."""
    if isinstance(x, tuple):
        raise TypeError(
            "there is a tuple; expected a tensor: layers return (y, state); put them into "
            "rv.nn.Sequential, or pass on y"
        )
    if isinstance(x, torch.fx.Proxy):
        raise TypeError(
            "there is a torch.fx.Proxy; expected a tensor: layers loop over time, which "
            "symbolic_trace cannot follow; use "
            "torch.export.export of layers made with fused=False"
        )
    if not isinstance(x, Tensor):
        raise TypeError(f"the value is {type(x).__name__}; expected a tensor: convert it by torch.as_tensor")
    if x.layout is not torch.strided:
        raise TypeError(f"x is a tensor of layout {x.layout}; expected a dense one: convert it by x.to_dense()")
    if like is not None and x.dtype != like.dtype:
        raise ValueError(f"x is {x.dtype}; expected {like.dtype}; convert x, or the layer by .to()")
    if like is not None and x.device != like.device:
        raise ValueError(f"x is on {x.device}; expected {like.device}; move x, or the layer, by .to()")


def holds_values(x: Tensor) -> bool:
    """Whether x has values to look at: none are there on a meta device, under transforms of torch.func and tracers."""
    return x.device.type != "meta" and not transformed()


def require_values(name: str, value: Any) -> None:
    """Raise ValueError for a tensor on a meta device where the layer's structure depends on its values."""
    if isinstance(value, Tensor) and value.device.type == "meta":
        raise ValueError(
            f"{name} is on the meta device, where tensors have no values; expected it on the CPU: make it with "
            'device="cpu"'
        )


def require_finite(x: Tensor) -> None:
    """Raise ValueError, with step, batch and feature, where x (T, B, ...) is not finite."""
    if not x.is_floating_point() or not holds_values(x):
        return
    # a sum is quicker, but may overflow where no entry did
    if math.isfinite(x.detach().sum().item()):
        return
    bad = (~torch.isfinite(x)).nonzero()
    if len(bad):
        t, b, *n = bad[0].tolist()
        raise ValueError(
            f"there is {x[tuple(bad[0])].item()} in x at step {t}, batch {b}, feature {neuron(n)}; "
            "expected finite input: "
            "look where it was computed"
        )


def require_steps(at: Tensor, steps: int, reached: Tensor) -> bool:
    """Raise ValueError for steps (T, B) or (B, T) beyond a layer's, and for a state whose precision counts no further
    than `reached`, (B,). Returns whether there are values to look at."""
    if not holds_values(at) or torch.compiler.is_compiling() or not at.numel():
        return False
    low, high, most = int(at.min()), int(at.max()), round(2 / torch.finfo(reached.dtype).eps)
    if low < 0 or high >= steps:
        raise ValueError(
            f"x goes from step {low} to {high}; expected steps 0 to {steps - 1}: begin with init_state(batch), or make "
            "the layer with more steps"
        )
    if bool((reached >= most).any()):
        raise ValueError(
            f"the state is at step {int(reached.max())} in {reached.dtype}; expected one below {most}, from which on "
            "this precision skips whole numbers: use float32, or run the sequence in one piece"
        )
    return True


def neuron(index: list[int]) -> int | tuple[int, ...]:
    """One axis of neurons is counted, several are a position."""
    return index[0] if len(index) == 1 else tuple(index)


def require_state(state: Any, expected: Mapping[str, tuple[int, ...]], like: Tensor) -> None:
    """Raise TypeError for a state that is no dict, ValueError for one that has not these names and shapes, or is not of
    the layer's type and device."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"state is a {type(state).__name__}; expected a dict of {sorted(expected)}: begin with "
            "init_state(batch), and call step(state, x)"
        )
    if state.keys() != expected.keys():
        raise ValueError(f"there is a state with {sorted(state)}; expected {sorted(expected)}: of another layer?")
    for name, value in state.items():
        if value.shape != expected[name]:
            raise ValueError(f"the state {name} has shape {tuple(value.shape)}; expected {expected[name]}")
        if value.dtype != like.dtype or value.device != like.device:
            raise ValueError(
                f"the state {name} is {value.dtype} on {value.device}; "
                f"expected {like.dtype} on {like.device}; convert it by .to()"
            )


__all__ = [
    "holds_values", "neuron", "require_finite", "require_state", "require_steps", "require_tensor", "require_values",
]  # fmt: skip
