"""Modules without neurons, to NIR and from it: products, convolutions, pools, delays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier.networks.nir.files import MS
from ranvier.nn.delays import Delay, DelayedLinear
from ranvier.nn.elementwise import Scale, Threshold
from ranvier.nn.nir._graph import refuse_from, refuse_to
from ranvier.nn.nir._time import Array, Clock
from ranvier.nn.plain_modules import uses_its_weight


def array(tensor: Tensor) -> NDArray[Any]:
    """A copy, in the tensor's precision."""
    return tensor.detach().cpu().numpy().copy()


def whole(delay: Delay) -> Tensor:
    """Its steps, learned ones as they are used."""
    steps = delay._used().detach()
    if bool((steps != steps.round()).any()):
        refuse_to(f"the learned delays of {delay!r}, not all of which are whole steps", "Round delay.steps first.")
    return steps.double()


def write_linear(module: nn.Linear, shape: tuple[int, ...]) -> Any:
    """`Linear` or `Affine`, for inputs of that shape."""
    import nir

    _require_own_weight(module)
    if len(shape) != 1:
        refuse_to(f"{module!r} on the last axis of the shape {shape}", "Flatten it first.")
    weight = array(module.weight)
    return nir.Linear(weight=weight) if module.bias is None else nir.Affine(weight=weight, bias=array(module.bias))


def write_module(part: nn.Module, shape: tuple[int, ...]) -> Any:
    """The node of an ordinary module, for inputs of that shape."""
    import nir

    known = (nn.Linear, nn.Flatten, nn.Conv1d, nn.Conv2d, nn.AvgPool2d, DelayedLinear, nn.BatchNorm1d, nn.BatchNorm2d,
             Scale, Threshold)  # fmt: skip
    if type(part) not in known:  # a subclass may do anything
        refuse_to(f"the module {part!r}")
    match part:
        case nn.Linear():
            return write_linear(part, shape)
        case Scale():
            return nir.Scale(scale=np.broadcast_to(array(part.scale.detach()), shape).copy())
        case Threshold():
            return nir.Threshold(threshold=np.broadcast_to(array(part.threshold.detach()), shape).copy())
        case nn.Flatten() if part.start_dim % (len(shape) + 1) != 0:
            start, end = (axis % (len(shape) + 1) - 1 for axis in (part.start_dim, part.end_dim))
            return nir.Flatten(input_type={"input": np.array(shape)}, start_dim=start, end_dim=end)
        case nn.Conv1d() | nn.Conv2d():
            return _convolution(part, shape)
        case nn.AvgPool2d():
            padding, divisor = _pair(part.padding), part.divisor_override
            if part.ceil_mode or (any(padding) and not part.count_include_pad) or divisor not in (None, 1):
                refuse_to(f"{part!r} with ceil_mode, divisor_override or count_include_pad=False")
            kind = nir.SumPool2d if divisor == 1 else nir.AvgPool2d
            kernel, stride = _pair(part.kernel_size), _pair(part.stride)
            return kind(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(padding))
        case DelayedLinear():
            refuse_to(f"{part!r}, whose synapses have individual delays", "Use rv.nn.Delay before nn.Linear.")
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            refuse_to(repr(part), "Fold it into the weights: torch.nn.utils.fusion.")
    refuse_to(f"the module {part!r}")


def _require_own_weight(module: nn.Module) -> None:
    if not uses_its_weight(module):
        refuse_to(f"{module!r}, a subclass or one with hooks, whose call need not take its weight as it is",
                  "Merge adapters into the weight; prune.remove or parametrize.remove_parametrizations.")  # fmt: skip


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _convolution(part: nn.Conv1d | nn.Conv2d, shape: tuple[int, ...]) -> Any:
    import nir

    _require_own_weight(part)
    if part.groups != 1 or part.padding_mode != "zeros" or len(set(part.kernel_size)) > 1:
        refuse_to(f"{part!r}: groups, padding other than with zeros, or a kernel that is not square")
    weight, flat = array(part.weight), isinstance(part, nn.Conv1d)
    bias = np.zeros(len(weight), weight.dtype) if part.bias is None else array(part.bias)
    sizes = {n: getattr(part, n) for n in ("stride", "padding", "dilation")}
    sizes = {n: v if isinstance(v, str) else (v[0] if flat else tuple(v)) for n, v in sizes.items()}
    kind, space = (nir.Conv1d, shape[1]) if flat else (nir.Conv2d, tuple(shape[1:]))
    return kind(input_shape=space, weight=weight, groups=1, bias=bias, **sizes)


def fill(name: str, parameter: torch.Tensor, values: Array) -> None:
    """Give a parameter the values of the node of that name. ValueError for other shapes and what is not finite."""
    if np.size(values) == parameter.numel() and parameter.ndim == 1:
        values = np.reshape(values, -1)  # a bias as a row
    if np.shape(values) != tuple(parameter.shape):
        actual = np.shape(values)
        raise ValueError(f"The weights or biases of {name!r} have shape {actual}; expected {tuple(parameter.shape)}.")
    if not np.isfinite(values).all():
        refuse_from(f"the weights or biases of {name!r}, not all of which are finite")
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values))


def filled(name: str, module: nn.Linear | nn.Conv1d | nn.Conv2d, weight: Array, bias: Array | None) -> Any:
    """The module with that weight and, if it has one, bias."""
    fill(name, module.weight, weight)
    if module.bias is not None and bias is not None:
        fill(name, module.bias, bias)
    return module


def read_module(name: str, node: Any, bias: Array | None, clock: Clock, dtype: torch.dtype) -> nn.Module:
    """What a node without potential becomes, but for `Linear` and `Affine`."""
    import nir

    match node:
        case nir.Delay():
            steps = read_steps(name, node, clock)
            uniform = bool((steps == steps.reshape(-1)[0]).all())
            return Delay(tuple(steps.shape), int(steps.reshape(-1)[0]) if uniform else steps, dtype=dtype)
        case nir.Scale():
            return Scale(torch.as_tensor(read_finite(name, "scale", node.scale)), dtype=dtype)
        case nir.Threshold():
            return Threshold(torch.as_tensor(read_finite(name, "threshold", node.threshold)), dtype=dtype)
        case nir.Flatten():
            start, end = int(node.start_dim), int(node.end_dim)
            return nn.Flatten(start + 1 if start >= 0 else start, end + 1 if end >= 0 else end)
        case nir.AvgPool2d() | nir.SumPool2d():
            divisor = 1 if isinstance(node, nir.SumPool2d) else None
            kernel, stride, padding = (_sizes(v, 2) for v in (node.kernel_size, node.stride, node.padding))
            return nn.AvgPool2d(kernel, stride, padding, divisor_override=divisor)
        case nir.Conv1d() | nir.Conv2d():
            weight, groups = np.asarray(node.weight), int(node.groups)
            axes = 1 if isinstance(node, nir.Conv1d) else 2
            if weight.ndim != axes + 2 or 0 in weight.shape:
                raise ValueError(
                    f"The weights of {name!r} have shape {weight.shape}; expected {axes + 2} axes, channels out, "
                    f"channels in and the kernel's {axes}: mend the node."
                )
            sizes = {n: _sizes(getattr(node, n), axes) for n in ("stride", "padding", "dilation")}
            kind = nn.Conv1d if axes == 1 else nn.Conv2d
            has = bias is not None and bool(np.any(bias))
            convolution = kind(weight.shape[1] * groups, weight.shape[0], weight.shape[2:], groups=groups, bias=has,
                        dtype=dtype, **sizes)  # fmt: skip
            return filled(name, convolution, weight, bias)
    refuse_from(f"the node {name!r} of kind {type(node).__name__}")


def read_finite(name: str, key: str, values: Any) -> Array:
    """Numbers of a node. ValueError for what is not finite."""
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        refuse_from(f"{key} of {name!r}, not all of which is finite")
    return numbers


def _sizes(value: Any, axes: int) -> Any:
    if isinstance(value, str | bytes):
        return value.decode() if isinstance(value, bytes) else value
    return tuple(np.broadcast_to(np.asarray(value, int), axes).tolist())


def read_steps(name: str, node: Any, clock: Clock) -> torch.Tensor:
    """A `Delay` in steps."""
    steps = np.asarray(node.delay, np.float64) / clock.dt
    if not np.isfinite(steps).all() or (steps < 0.0).any():
        refuse_from(f"the delay {name!r}, not all of which is finite and positive")
    whole = np.round(steps)
    if not np.allclose(steps, whole, rtol=1e-7, atol=1e-6):  # written in float32 as they may be
        worst = steps.flat[int(np.abs(steps - whole).argmax())]
        refuse_from(f"the delay {name!r} of {worst:g} steps of {clock.dt / MS:g} ms", "Choose a dt that divides it.")
    return torch.as_tensor(whole.astype(np.int64))


__all__ = ["array", "fill", "filled", "read_module", "read_steps", "whole", "write_linear", "write_module"]
