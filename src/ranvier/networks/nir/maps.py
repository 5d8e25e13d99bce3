"""NIR's nodes without state as sparse matrices between flattened values: [value behind, value before]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

Shape = tuple[int, ...]

#: weights of one matrix, some 0.5 GB
MOST_WEIGHTS = 2**25


def shape_behind(name: str, node: Any, shape: Shape) -> Shape:
    """The shape of what a node gives for inputs of that shape. ValueError, by name, where they do not fit."""
    import nir

    match node:
        case nir.Linear() | nir.Affine():
            weight = np.shape(node.weight)
            if math.prod(shape) != math.prod(weight[:-2]) * weight[-1]:
                _misfit(name, "weights", weight, shape)
            return (*weight[:-2], weight[-2])
        case nir.Delay() | nir.Scale() | nir.Threshold():
            own = np.shape(_elementwise(node))
            if math.prod(own) not in (1, math.prod(shape)):
                _misfit(name, type(node).__name__, own, shape)
            return shape
        case nir.Flatten():
            start, end = (int(axis) % len(shape) for axis in (node.start_dim, node.end_dim))
            if start > end:
                _misfit(name, "Flatten", (node.start_dim, node.end_dim), shape)
            return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
        case nir.Conv1d() | nir.Conv2d():
            weight = np.shape(node.weight)
            if len(shape) != len(weight) - 1 or shape[0] != weight[1] * int(node.groups):
                _misfit(name, "weights", weight, shape)
            return (weight[0], *(len(first) for first, _ in _windows(name, node, shape)))
        case nir.AvgPool2d() | nir.SumPool2d():
            if len(shape) != 3:
                _misfit(name, type(node).__name__, ("channels", "height", "width"), shape)
            return (shape[0], *(len(first) for first, _ in _windows(name, node, shape)))
        case nir.Output():
            own = tuple(np.atleast_1d(node.output_type["output"]).tolist())
            if math.prod(own) != math.prod(shape):
                _misfit(name, "Output", own, shape)
            return shape
    raise TypeError(f"{name!r} is {type(node).__name__}; expected a node without state.")


def matrix_of(name: str, node: Any, shape: Shape) -> csr_array | None:
    """The node's matrix for inputs of that shape; None where it changes no value."""
    import nir
    from scipy import sparse

    match node:
        case nir.Linear() | nir.Affine():
            weight = np.asarray(node.weight, np.float64)
            if weight.ndim == 2:
                return sparse.csr_array(weight)
            return sparse.csr_array(sparse.block_diag([*weight.reshape(-1, *weight.shape[-2:])]))
        case nir.Scale():
            size = math.prod(shape)
            return sparse.csr_array(sparse.diags_array(np.broadcast_to(np.asarray(node.scale).reshape(-1), size)))
        case nir.Conv1d() | nir.Conv2d():
            return _kernel_matrix(name, node, shape, np.asarray(node.weight, np.float64), groups=int(node.groups))
        case nir.AvgPool2d() | nir.SumPool2d():
            kernel = _whole(name, "kernel_size", node.kernel_size, 2)
            value = 1.0 if isinstance(node, nir.SumPool2d) else 1.0 / math.prod(kernel)
            return _kernel_matrix(name, node, shape, np.full((shape[0], 1, *kernel), value), groups=shape[0])
    return None


def bias_of(node: Any, behind: Shape) -> NDArray[np.float64] | None:
    """What the node adds to every value behind it, flattened; None for nothing."""
    own = getattr(node, "bias", None)
    if own is None or not np.any(own):
        return None
    own = np.asarray(own, np.float64)
    if hasattr(node, "groups"):  # one a channel
        own = own.reshape(-1, *(1,) * (len(behind) - 1))
    return np.broadcast_to(own, behind).reshape(-1)


def _elementwise(node: Any) -> Any:
    return next(getattr(node, key) for key in ("delay", "scale", "threshold") if hasattr(node, key))


def _kernel_matrix(
    name: str, node: Any, shape: Shape, weight: NDArray[np.float64], groups: int
) -> csr_array:
    """The matrix of a kernel [output channel, input channel within its group, *axes] that moves over an image."""
    from scipy import sparse

    windows = _windows(name, node, shape)
    axes, space, behind = len(windows), shape[1:], tuple(len(first) for first, _ in windows)
    if (entries := weight.size * math.prod(behind)) > MOST_WEIGHTS:
        raise ValueError(
            f"{name!r} has {entries} weights between single neurons; expected up to {MOST_WEIGHTS}: use smaller "
            "images, or rv.nn.from_nir, which convolves."
        )
    # [*taps, *places]: the pixel a tap lies on, and whether that is inside the image
    pixel, inside = np.zeros((1,) * (2 * axes), np.int64), np.ones((1,) * (2 * axes), bool)
    for k, (first, taps) in enumerate(windows):
        where = (taps[:, None] + first[None, :]).reshape([len(taps) if j == k else len(first) if j == axes + k else 1
                                                          for j in range(2 * axes)])  # fmt: skip
        pixel = pixel * space[k] + where
        inside = inside & (where >= 0) & (where < space[k])
    place = np.arange(math.prod(behind)).reshape(*(1,) * axes, *behind)
    outputs, inputs = np.arange(weight.shape[0]), np.arange(shape[0]).reshape(groups, -1)
    of_group = inputs[outputs // (weight.shape[0] // groups)]  # [output channel, input channel within its group]
    around = (1,) * (2 * axes)
    full = (*weight.shape[:2], *inside.shape)
    held = np.broadcast_to(inside, full)
    rows = np.broadcast_to(outputs.reshape(-1, 1, *around) * math.prod(behind) + place, full)[held]
    columns = np.broadcast_to(of_group.reshape(*of_group.shape, *around) * math.prod(space) + pixel, full)[held]
    values = np.broadcast_to(weight.reshape(*weight.shape, *(1,) * axes), full)[held]
    size = (weight.shape[0] * math.prod(behind), math.prod(shape))
    return sparse.coo_array((values, (rows, columns)), shape=size).tocsr()


def _windows(name: str, node: Any, shape: Shape) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """An axis at a time: where in the image windows begin, and where in a window its taps lie."""
    axes = len(shape) - 1
    kernel = np.shape(node.weight)[2:] if hasattr(node, "weight") else _whole(name, "kernel_size", node.kernel_size, 2)
    stride = _whole(name, "stride", node.stride, axes)
    dilation = _whole(name, "dilation", getattr(node, "dilation", 1), axes)
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    windows = []
    for k in range(axes):
        reach = dilation[k] * (kernel[k] - 1)
        if isinstance(padding, str) and padding == "same":  # as torch: what is odd goes to the end
            if stride[k] != 1:
                raise ValueError(f"{name!r} has the padding 'same' and the stride {stride[k]}; expected 1: set one.")
            before, count = reach // 2, shape[1 + k]
        else:
            before = 0 if isinstance(padding, str) else _whole(name, "padding", padding, axes, least=0)[k]
            count = (shape[1 + k] + 2 * before - reach - 1) // stride[k] + 1
        if count < 1:
            _misfit(name, "kernel", kernel, shape)
        windows.append((np.arange(count) * stride[k] - before, np.arange(kernel[k]) * dilation[k]))
    return windows


def _whole(name: str, what: str, value: Any, axes: int, least: int = 1) -> Shape:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size not in (1, axes) or (array < least).any():
        raise ValueError(f"{what} of {name!r} is {value!r:.40}; expected {axes} whole numbers from {least}: mend it.")
    return tuple(np.broadcast_to(array.reshape(-1), axes).tolist())


def _misfit(name: str, what: str, own: Any, shape: Shape) -> NoReturn:
    values = " x ".join(map(str, shape)) or "1"
    size = " x ".join(map(str, own)) or "1"
    raise ValueError(f"The {what} of {name!r} {'are' if what == 'weights' else 'is'} {size}, the values that reach it "
                     f"are {values}; expected what fits: mend the shapes.")  # fmt: skip


__all__ = ["MOST_WEIGHTS", "Shape", "bias_of", "matrix_of", "shape_behind"]
