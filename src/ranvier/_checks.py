"""Checks of a user's values: what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ranvier import _text

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 2**31 - 1
#: of data: products of three are numbers still
LARGEST = 1e100
#: control characters, line and paragraph separators, marks that turn the direction of writing, lone surrogates
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
_LONGEST = 1000
_SHOWN = 30  # of the names that are known


class ParameterDomain(Protocol):
    """What a value may be, as `ranvier.equations.Parameter` says it."""

    @property
    def unit(self) -> str: ...

    def require(self, x: Any, what: str, each: str = "neuron") -> None:
        """Raise ValueError where a number, array or tensor lies outside."""


def nearest(name: object, known: Iterable[str]) -> str:
    """What an error expects in place of an unknown name: one of the known ones, and which is nearest."""
    known = list(known)
    if not known:
        return "expected none, as there is none."
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    names = f"{', '.join(known[:_SHOWN])}{' ...' if len(known) > _SHOWN else ''}"
    count = "" if len(known) <= _SHOWN else f"{len(known)}: "
    return f"expected one of {count}{names}{f': did you mean {close[0]!r}?' if close else '.'}"


def number(value: Any, name: str, unit: str = "") -> float:
    """`value` as a finite float; TypeError for text, ValueError for NaN or an infinity."""
    what = f"a number{f' in {unit}' if unit else ''}"
    if isinstance(value, bool | str | bytes) or value is None:
        raise TypeError(f"{name} is {value!r}; expected {what}. Give a plain number, without a unit.")
    try:
        result = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {type(value).__name__} {value!r:.60}; expected {what}.") from error
    if not math.isfinite(result):
        raise ValueError(f"{name} is {result}; expected {what} that is finite. Look where it was computed.")
    return result


def chance(value: Any, name: str) -> float:
    """`value` as a probability."""
    result = number(value, name)
    if not 0.0 <= result <= 1.0:
        raise ValueError(
            f"{name} is {result}; expected a probability from 0 to 1. A number of partners is a degree "
            "(in_degree, out_degree)."
        )
    return result


def positive(value: Any, name: str, unit: str = "") -> float:
    """`value` as a number above zero."""
    result = number(value, name, unit)
    if result <= 0.0:
        raise ValueError(f"{name} is {result}; expected a number above 0{f' {unit}' if unit else ''}.")
    return result


def count(value: Any, name: str, low: int = 0) -> int:
    """`value` as a whole number from `low` to 2**31 - 1."""
    result = number(value, name)
    if result != int(result):
        raise ValueError(f"{name} is {result}; expected a whole number.")
    if not low <= result <= LIMIT:
        raise ValueError(f"{name} is {result:.0f}; expected a whole number from {low} to {LIMIT}.")
    return int(result)


def period(value: Any) -> float | tuple[float, ...] | None:
    """`value` as one length or one a dimension, each 0 or above."""
    if value is None:
        return None
    lengths = tuple(number(x, "periodic") for x in (value if np.iterable(value) else (value,)))
    if any(x < 0.0 for x in lengths):
        raise ValueError(f"periodic is {value!r}; expected lengths of 0 (not periodic) or above.")
    return lengths if np.iterable(value) else lengths[0]


def periods(value: float | tuple[float, ...] | None, dimensions: int) -> np.ndarray:
    """What `period` returned, as (dimensions,): 0 where not periodic. Raises ValueError for another number of them."""
    if isinstance(value, tuple) and len(value) != dimensions:
        raise ValueError(
            f"periodic has {len(value)} lengths for {dimensions} dimensions; expected one number, or one a dimension"
        )
    return np.full(dimensions, value or 0.0) if not isinstance(value, tuple) else np.array(value)


def edge_indices(value: Any, name: str) -> np.ndarray:
    """`value` as a flat int64 array of indices; TypeError where it is not whole numbers."""
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.ndim != 1:
        raise ValueError(f"The edges' {name} have shape {array.shape}; expected one flat list (edges,).")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all():
        if np.abs(array).max() > 2**53:
            raise ValueError(f"The edges' {name} go beyond 2**53 as {array.dtype}; expected whole numbers.")
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"The edges' {name} are {array.dtype}; expected whole numbers, indices from 0.")
    if array.dtype.kind == "u" and int(array.max()) > LIMIT:
        raise ValueError(f"The edges' {name} reach {array.max()}; expected indices up to {LIMIT}.")
    return array.astype(np.int64)  # always a copy: the caller's array may change


def index_pairs(value: Any) -> np.ndarray:
    """`value` as int64 (P, 2); ValueError for another shape, TypeError for what are no whole numbers."""
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"pairs is {array.dtype} {value!r:.60}; expected whole numbers (P, 2): neurons' indices")
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"pairs has shape {array.shape}; expected (P, 2), two neurons a row")
    return array.astype(np.int64)


def values(value: Any, name: str, size: int | None, domain: ParameterDomain, *, each: str = "neuron") -> float | Tensor:
    """A float, or a tensor (a number for each), checked for its length and against its domain.

    A tensor comes back as it is, so that whoever trains it may go on; an array is copied.
    `size` None: the length is checked elsewhere.
    """
    import torch

    unit = domain.unit or "the model's unit"
    scalar = isinstance(value, str | bytes | bool) or value is None or np.ndim(value) == 0
    if scalar and not (isinstance(value, torch.Tensor) and value.requires_grad):
        result = number(value, name, unit)
        domain.require(result, name, each)
        return result
    try:
        tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value, np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} is {type(value).__name__}; expected a number in {unit}, or one a {each}."
        ) from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} is a tensor of {tensor.dtype}; expected real numbers in {unit}.")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float64)
    if tensor.ndim > 1 or (tensor.ndim == 1 and size is not None and len(tensor) != size):
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}; expected one number in {unit}, or one a {each}: "
            f"({'…' if size is None else size},)."
        )
    domain.require(tensor, name, each)
    return tensor


def printable(text: str, what: str) -> str:
    """`text` itself, where it can be shown in one line; ValueError for control characters and endless names."""
    if odd := _UNPRINTABLE.search(text):
        raise ValueError(
            f"{what} is '{_text.printable(text[:60])}', with the character U+{ord(odd[0]):04X} at {odd.start()}; "
            "expected text that can be shown, in one line. Rename it."
        )
    if len(text) > _LONGEST:
        raise ValueError(f"{what} is {text[:40]!r}..., of {len(text)} characters; expected at most {_LONGEST}.")
    return text


def array(value: Any, name: str, shape: str) -> Tensor:
    """`value` as a float64 tensor, a copy unless it is a tensor; TypeError where it is not numbers."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.dtype == torch.bool:
            raise TypeError(f"{name} is a tensor of {value.dtype}; expected real numbers, {shape}.")
        return value
    try:
        return torch.from_numpy(np.array(value, np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {type(value).__name__} {value!r:.60}; expected numbers, {shape}.") from error


def reals(value: Any, name: str) -> np.ndarray:
    """`value` as float64: an array, tensor, list or table of real numbers up to `LARGEST` in size, NaN and infinities
    as they are. TypeError for text and complex numbers, ValueError for larger ones, whose products overflow."""
    value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    try:
        array = np.asarray(value)
        if array.dtype.kind in "cUSmMV":
            raise TypeError
        array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        kind = getattr(value, "dtype", None) or f"{type(value).__name__} {value!r:.60}"
        raise TypeError(f"{name} is {kind}; expected real numbers in an array of equal rows.") from error
    beyond = np.abs(array) > LARGEST
    if beyond.any() and np.isfinite(array[beyond]).any():
        finite = array[beyond & np.isfinite(array)]
        raise ValueError(
            f"{name} reaches {finite[np.argmax(np.abs(finite))]:g}; expected at most {LARGEST:g} in size, as "
            "statistics multiply them: take another unit, and NaN where nothing was measured."
        )
    return array


def labels(value: Any, name: str, size: int) -> tuple[str, ...] | None:
    """One string a neuron, or None."""
    if value is None:
        return None
    if isinstance(value, str):
        raise TypeError(f"{name} is the text {value!r:.40}; expected one label a neuron: {size} of them.")
    result = tuple(printable(str(x), f"a label among {name}") for x in value)
    if len(result) != size:
        raise ValueError(f"{name} has {len(result)} labels; expected one a neuron: {size}.")
    return result


def unique(names: Iterable[str], what: str) -> None:
    """Raise ValueError at the first name that appears twice."""
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            raise ValueError(f"{what} {name!r} appears twice; expected different ones. Rename one of them.")
        earlier.add(name)


def floating(value: Any, name: str, shape: str, axes: int | None = None, *, last: int | None = None) -> Tensor:
    """`value`, a finite floating tensor with entries, of that many axes, the last of that size: TypeError for anything
    else than a floating tensor, ValueError for another shape and for values that are not finite."""
    import torch

    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        what = f"a tensor of {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"{name} is {what}; expected a floating tensor {shape}: torch.as_tensor(x).float() makes one")
    own = value.shape
    if (axes is not None and len(own) != axes) or 0 in own or (last is not None and own[-1:] != (last,)):
        raise ValueError(f"{name} has shape {tuple(own)}; expected {shape}, with entries")
    if not bool(value.isfinite().all()):
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers: leave such rows out")
    return value


def whole(value: Any, name: str, shape: str, axes: int, below: int | None = None) -> Tensor:
    """`value`, an int64 tensor with entries of that many axes, from 0 and `below` a limit; errors as of `floating`."""
    import torch

    if not isinstance(value, torch.Tensor) or value.dtype != torch.int64:
        what = f"a tensor of {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"{name} is {what}; expected a tensor of int64 {shape}: .long() turns whole numbers into one")
    if value.ndim != axes or 0 in value.shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}; expected {shape}, with entries")
    low, high = int(value.min()), int(value.max())
    if low < 0 or (below is not None and high >= below):
        limit = "0 or more" if below is None else f"0 to {below - 1}"
        raise ValueError(f"{name} holds {low if low < 0 else high}; expected {limit}")
    return value


def instance(value: Any, kind: type | tuple[type, ...], name: str, example: str) -> None:
    """TypeError where `value` is of another kind than `example` shows."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {type(value).__name__}; expected {example}")


def function(value: Any, name: str, example: str) -> None:
    """TypeError for what cannot be called."""
    if not callable(value):
        raise TypeError(f"{name} is {type(value).__name__}; expected a function: {example}")


def returned(value: Any, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """What a user's function returned: TypeError for no floating tensor, ValueError for another shape."""
    import torch

    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        what = f"a tensor of {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"{name} returns {what}; expected a floating tensor, made by operations of torch")
    if shape is not None and tuple(value.shape) != shape:
        raise ValueError(f"{name} returns shape {tuple(value.shape)}; expected {shape}")
    return value
