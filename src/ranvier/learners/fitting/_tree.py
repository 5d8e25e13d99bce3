"""Nested state dicts to tensors by name and JSON, and back: what safetensors and JSON can hold between them."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor

from ranvier.files.entries import Entry


def pack(value: Any, tensors: dict[str, Tensor], path: str = "state") -> Any:
    """JSON for `value`; its tensors go to `tensors`, copied, by their path. TypeError for what neither holds."""
    if isinstance(value, Tensor):
        while path in tensors:  # as of "a.b" and of "b" within "a"
            path += "'"
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"dict": [[pack_key(k, path), pack(v, tensors, f"{path}.{k}")] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(v, tensors, f"{path}.{k}") for k, v in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"there is a {type(value).__name__} at {path}; expected tensors, numbers, strings, lists and dicts: "
        "a checkpoint holds nothing else"
    )


def pack_key(key: Any, path: str) -> str | int:
    """A dict's key."""
    if isinstance(key, str | int):
        return key
    raise TypeError(f"there is a key of {type(key).__name__} in {path}; expected a string or whole number")


def unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `pack`; ValueError, which names the place, for what it does not write."""
    return _unpacked(Entry(value, "state"), tensors)


def _unpacked(entry: Entry, tensors: dict[str, Tensor]) -> Any:
    if isinstance(entry.value, list):
        raise entry.refusal("a number, text, or an object with one of tensor, dict, list, tuple")
    if not isinstance(entry.value, dict):
        return entry.value
    entries = entry.mapping(optional=("tensor", "dict", "list", "tuple"))
    if len(entries) != 1:
        raise entry.refusal("one of tensor, dict, list, tuple")
    ((kind, inner),) = entries.items()
    if kind == "tensor":
        return tensors[inner.one_of(tensors)]
    if kind == "dict":
        return dict(_pair(pair, tensors) for pair in inner.listed())
    items = [_unpacked(item, tensors) for item in inner.listed()]
    return items if kind == "list" else tuple(items)


def _pair(entry: Entry, tensors: dict[str, Tensor]) -> tuple[str | int, Any]:
    if not isinstance(entry.value, list) or len(entry.value) != 2:
        raise entry.refusal("a pair: [key, value]")
    key, value = entry.listed()
    if isinstance(key.value, bool) or not isinstance(key.value, str | int):
        raise key.refusal("text or a whole number")
    return key.value, _unpacked(value, tensors)


def to_bytes(value: Any) -> bytes:
    """A nested state as bytes: the length of its JSON, the JSON, the tensors as a safetensors file."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    text = json.dumps(pack(value, tensors)).encode()
    return len(text).to_bytes(8, "little") + text + save(tensors)


def from_bytes(data: bytes) -> Any:
    """The inverse of `to_bytes`."""
    from safetensors.torch import load

    end = 8 + int.from_bytes(data[:8], "little")
    return unpack(json.loads(data[8:end]), load(data[end:]))
