"""What all results share: as HTML in notebooks, as tables of pandas, as curves."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ranvier._html import MOST, paragraph, table
from ranvier._text import plural

if TYPE_CHECKING:
    import pandas

_WIDEST = 12  # columns of a table in a notebook
_LARGEST = 10_000_000  # values up to which their range is given


class Curves(NamedTuple):
    """What a result's picture shows: lines `y` over `x`, with the words on the axes."""

    x: Any
    y: Mapping[str, Any]
    xlabel: str
    ylabel: str


class Fields:
    """Base of dataclasses of results: a notebook shows each field, of arrays their shape and range."""

    def _repr_html_(self) -> str:
        named = [f.name for f in dataclasses.fields(self) if f.repr]  # type: ignore[arg-type]
        return paragraph(type(self).__name__, "") + table(
            ("", "value"), [(name, in_brief(getattr(self, name))) for name in named]
        )


class Columns:
    """Base of results that are a table, `_columns`: a notebook shows its first rows."""

    @abstractmethod
    def _columns(self) -> Mapping[str, Any]:
        """Name -> one value a row."""

    def _repr_html_(self) -> str:
        columns = self._columns()
        total = len(next(iter(columns.values()), ()))
        return as_html(type(self).__name__, f"of {plural(total, 'row')}", columns, total)

    def to_pandas(self) -> pandas.DataFrame:
        """The result as a table. Raises ImportError without pandas."""
        return frame(self._columns())


def as_html(name: str, words: str, columns: Mapping[str, Any], total: int) -> str:
    """The first rows of the first columns, and how many more there are."""
    shown = {key: plain(values[:MOST]) for key, values in islice(columns.items(), _WIDEST)}
    more = f"; {plural(len(columns) - _WIDEST, 'more column')}" if len(columns) > _WIDEST else ""
    return paragraph(name, words + more) + table(tuple(shown), zip(*shown.values()), total=total)


def frame(columns: Mapping[str, Any], index: str = "") -> pandas.DataFrame:
    """A pandas table of columns (tensors too), one of them as its index. Raises ImportError without pandas."""
    try:
        pandas: Any = import_module("pandas")
    except ImportError as error:
        raise ImportError('pandas is not installed; expected it for a table: pip install "ranvier[brain]"') from error
    result = pandas.DataFrame({name: as_array(values) for name, values in columns.items()})
    return result.set_index(index) if index else result


def as_array(values: Any) -> Any:
    """Tensors as NumPy's arrays, anything else unchanged."""
    return values.detach().cpu().resolve_conj().numpy() if isinstance(values, torch.Tensor) else values


def spread(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of one value a row: those of several, (n, k), as k columns."""
    flat: dict[str, Any] = {}
    for name, values in columns.items():
        wide = values.reshape(len(values), -1) if values.ndim > 1 else values[:, None]
        for k, column in enumerate(wide.T):
            flat[name if values.ndim == 1 else f"{name}_{k}"] = column
    return flat


def plain(values: Any) -> list[Any]:
    """A column as Python's own numbers and texts."""
    values = as_array(values)
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def in_brief(value: Any) -> str:
    """A field's value in words: of an array its shape and range, of a collection how much it holds."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return _array_in_brief(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int | bool) or value is None:
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {in_brief(one)}" for key, one in islice(value.items(), 8)) or "none"
    if isinstance(value, Sequence):
        parts = [in_brief(one) for one in value[:8]]
        return (", ".join(parts) + (f", … ({len(value)})" if len(value) > 8 else "")) or "none"
    text = repr(value)
    return text if "\n" not in text and len(text) <= 200 else type(value).__name__


def _array_in_brief(value: Any) -> str:
    array = as_array(value) if not isinstance(value, torch.Tensor) or value.layout == torch.strided else None
    if array is None:
        return f"{' × '.join(map(str, value.shape))}, sparse"
    if array.ndim == 0:
        return f"{array.item():.6g}" if array.dtype.kind in "fc" else str(array.item())
    shape = " × ".join(map(str, array.shape))
    if array.dtype.kind == "b":
        return f"{shape}, {int(array.sum())} true"
    finite = array[np.isfinite(array)] if array.dtype.kind in "iuf" and array.size <= _LARGEST else array[:0]
    return f"{shape}, {finite.min():.4g} to {finite.max():.4g}" if finite.size else shape


__all__ = ["Columns", "Curves", "Fields", "as_array", "as_html", "frame", "in_brief", "plain", "spread"]
