"""torch's functions while a model is evaluated on another grid."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ranvier.operators._sums import GridRatio, average, convolution, maximum, patterned, transposed_convolution
from ranvier.operators._taps import Axis

Handler = Callable[..., Any]


class FunctionSpace(TorchFunctionMode):
    """Within it, torch's sums over a grid are integrals.

    scale : how the grid compares with the one the model was made for; None: as it is.
    weights : quadrature weights of attention's tokens, (tokens,) or (batch, tokens).
    """

    def __init__(self, scale: GridRatio | None, weights: Tensor | None) -> None:
        super().__init__()
        self.scale, self.weights = scale, weights
        self._padded: tuple[Tensor, Tensor, list[int], str] | None = None  # result, field, widths, mode of the last pad

    def __torch_function__(
        self, func: Handler, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        handler = _HANDLERS.get(func)
        if handler is not None:
            with torch._C.DisableTorchFunction():  # what a handler calls means what it says
                answer = handler(self, func, *args, **kwargs)
            if answer is not NotImplemented:
                return answer
        return func(*args, **kwargs)

    def unpadded(self, u: Tensor) -> tuple[Tensor, list[int] | None, str]:
        """A field that has just been padded, as it was before, with the widths and the mode; others as they are."""
        if self._padded is not None and self._padded[0] is u:
            _, field, widths, mode = self._padded
            return field, widths, mode
        return u, None, "constant"


def _pad(
    space: FunctionSpace, func: Handler, input: Tensor, pad: Any, mode: str = "constant", value: Any = None
) -> Any:
    result = F.pad(input, pad, mode=mode, value=value)
    if space.scale is not None and not value and all(w >= 0 for w in pad):
        space._padded = result, input, list(pad), mode
    return result


def _axes(space: FunctionSpace, u: Tensor, dims: int, kernel: Sequence[int], stride: Any, padding: Any, dilation: Any,
          name: str) -> tuple[Tensor, list[Axis], str]:  # fmt: skip
    """The field before padding, the kernel's axes and what lies beyond the grid."""
    if space.scale is None or dims != len(space.scale.ratio):
        raise ValueError(
            f"{name} acts on {dims} axes; expected {len(space.scale.ratio) if space.scale else 0}, as size has: give a "
            "size of that many numbers, or keep this layer out of the model"
        )
    stride, dilation = _each(stride, dims), _each(dilation, dims)
    field, widths, mode = space.unpadded(u)
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel)]
        sides = [(t // 2, t - t // 2) for t in totals]
    else:
        sides = [(p, p) for p in _each(padding, dims)]
    if widths is not None and len(widths) == 2 * dims and not any(a for pair in sides for a in pair):
        sides = [(widths[2 * (dims - 1 - k)], widths[2 * (dims - 1 - k) + 1]) for k in range(dims)]
    else:
        field, mode = u, "constant"
    return field, [Axis(k, s, a, b, d) for k, s, (a, b), d in zip(kernel, stride, sides, dilation)], mode


def _each(value: Any, dims: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * dims
    return tuple(value) * dims if len(value) == 1 else tuple(value)


def _convolution(dims: int) -> Handler:
    def handle(space: FunctionSpace, func: Handler, input: Tensor, weight: Tensor, bias: Tensor | None = None,
               stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
        if space.scale is None or (math.prod(weight.shape[2:]) == 1 and math.prod(_each(stride, dims)) == 1):
            return NotImplemented
        u, axes, mode = _axes(space, input, dims, weight.shape[2:], stride, padding, dilation, f"conv{dims}d")
        return convolution(u, weight, bias, axes, groups, mode, space.scale)

    return handle


def _transposed(dims: int) -> Handler:
    def handle(space: FunctionSpace, func: Handler, input: Tensor, weight: Tensor, bias: Tensor | None = None,
               stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1,
               dilation: Any = 1) -> Any:  # fmt: skip
        if space.scale is None:
            return NotImplemented
        _, axes, _ = _axes(space, input, dims, weight.shape[2:], stride, padding, dilation, f"conv_transpose{dims}d")
        return transposed_convolution(input, weight, bias, axes, _each(output_padding, dims), groups, space.scale)

    return handle


def _maximum(dims: int) -> Handler:
    def handle(space: FunctionSpace, func: Handler, input: Tensor, kernel_size: Any, stride: Any = None,
               padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:  # fmt: skip
        if space.scale is None:
            return NotImplemented
        kernel = _each(kernel_size, dims)
        _, axes, _ = _axes(space, input, dims, kernel, stride or kernel_size, padding, dilation, f"max_pool{dims}d")
        return maximum(input, axes, space.scale)

    return handle


def _average(dims: int) -> Handler:
    def handle(space: FunctionSpace, func: Handler, input: Tensor, kernel_size: Any, stride: Any = None,
               padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
               divisor_override: int | None = None) -> Any:  # fmt: skip
        if space.scale is None:
            return NotImplemented
        kernel = _each(kernel_size, dims)
        _, axes, _ = _axes(space, input, dims, kernel, stride or kernel_size, padding, 1, f"avg_pool{dims}d")
        y = average(input, axes, count_include_pad, space.scale)
        return y if divisor_override is None else y * (math.prod(kernel) / divisor_override)

    return handle


def _interpolate(space: FunctionSpace, func: Handler, input: Tensor, size: Any = None, scale_factor: Any = None,
                 mode: str = "nearest", align_corners: bool | None = None, **other: Any) -> Any:  # fmt: skip
    """By a factor: as the transposed convolution that it is; kernels that are functions leave cells to torch."""
    scale = space.scale
    if scale is None or (scale.wide and scale.cells) or size is not None or scale_factor is None:
        return NotImplemented
    if input.ndim != len(scale.ratio) + 2:
        return NotImplemented
    factors = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,) * len(scale.ratio)
    linear = mode in ("linear", "bilinear", "trilinear") and not align_corners
    if any(f != int(f) or f < 1 for f in factors) or not (mode == "nearest" or linear):
        return NotImplemented
    kernel, axes = input.new_ones(1, 1), []
    for f in map(int, factors):
        row = torch.ones(f)
        if linear:
            width = 2 * f - f % 2
            row = (1 - (torch.arange(width) - (width - 1) / 2).abs() / f).clamp_min(0)
        kernel = kernel[..., None] * row.to(input)
        axes.append(Axis(len(row), f, (len(row) - f) // 2, (len(row) - f) // 2))
    rows = input.reshape(-1, 1, *input.shape[2:])
    y = patterned(rows, kernel, axes, [0] * len(axes), 1, scale, repeat=True)
    return y.reshape(*input.shape[:2], *y.shape[2:])


def _attention(space: FunctionSpace, func: Handler, query: Tensor, key: Tensor, value: Tensor,
               attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
               scale: float | None = None, **other: Any) -> Any:  # fmt: skip
    if space.weights is None or key.shape[-2] != space.weights.shape[-1]:
        return NotImplemented
    log = space.weights.to(query).log()
    log = log[None] if log.ndim == 1 else log.reshape(len(log), *[1] * (query.ndim - 2), -1)
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None:
        log = log.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else log + attn_mask
    elif log.ndim == 2:
        log = log.expand(query.shape[-2], -1)
    return func(query, key, value, attn_mask=log, dropout_p=dropout_p, scale=scale, **other)


_PARAMETERS = list(inspect.signature(F.multi_head_attention_forward).parameters)


def _heads(space: FunctionSpace, func: Handler, *args: Any, **kwargs: Any) -> Any:
    """torch's own heads, (tokens, batch, channels) or (tokens, channels): the weights join the mask."""
    arguments = dict(zip(_PARAMETERS, args)) | kwargs
    key = arguments["key"]
    if space.weights is None or len(key) != space.weights.shape[-1]:
        return NotImplemented
    log = space.weights.to(key).log()
    targets, batch = len(arguments["query"]), key.shape[1] if key.ndim == 3 else 1
    log = log.expand(batch, -1) if log.ndim == 1 else log
    mask = log.repeat_interleave(arguments["num_heads"], 0)[:, None].expand(-1, targets, -1)
    other = arguments.get("attn_mask")
    if other is not None:
        other = torch.zeros_like(other, dtype=mask.dtype).masked_fill(other, -math.inf) if other.dtype == torch.bool \
            else other  # fmt: skip
        mask = mask + other
    padding = arguments.get("key_padding_mask")
    if padding is not None and padding.dtype == torch.bool:
        arguments["key_padding_mask"] = torch.zeros_like(padding, dtype=mask.dtype).masked_fill(padding, -math.inf)
    return func(**(arguments | {"attn_mask": mask, "is_causal": False}))


def _linear(space: FunctionSpace, func: Handler, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if input.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"a linear layer of {weight.shape[-1]} inputs meets {input.shape[-1]} on this grid; expected a layer of "
            "the channels: one across all pixels fits one grid. Pool the field before it (nn.AdaptiveAvgPool2d(1))"
        )
    return NotImplemented


def _refuse(space: FunctionSpace, func: Handler, *args: Any, **kwargs: Any) -> Any:
    if space.scale is None:
        return NotImplemented
    name = getattr(func, "__name__", str(func))
    raise ValueError(
        f"the model calls {name}, which is bound to the pixels of one grid; expected layers that act on fields: use "
        "transposed convolutions or interpolation"
    )


_HANDLERS: dict[Any, Handler] = {
    F.pad: _pad,
    torch.conv1d: _convolution(1), torch.conv2d: _convolution(2), torch.conv3d: _convolution(3),
    torch.conv_transpose1d: _transposed(1), torch.conv_transpose2d: _transposed(2),
    torch.conv_transpose3d: _transposed(3),
    F.max_pool1d: _maximum(1), F.max_pool2d: _maximum(2), F.max_pool3d: _maximum(3),
    torch.max_pool1d: _maximum(1), torch.max_pool2d: _maximum(2), torch.max_pool3d: _maximum(3),
    F.avg_pool1d: _average(1), F.avg_pool2d: _average(2), F.avg_pool3d: _average(3),
    F.interpolate: _interpolate, F.upsample: _interpolate,
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _heads,
    F.linear: _linear,
    F.max_pool1d_with_indices: _refuse, F.max_pool2d_with_indices: _refuse, F.max_pool3d_with_indices: _refuse,
    F.max_unpool1d: _refuse, F.max_unpool2d: _refuse, F.max_unpool3d: _refuse,
    F.pixel_shuffle: _refuse, F.pixel_unshuffle: _refuse, torch.pixel_shuffle: _refuse,
    torch.pixel_unshuffle: _refuse,
}  # fmt: skip
