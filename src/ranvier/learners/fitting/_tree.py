"""Nested state dicts to tensors by name and JSON, and back: what safetensors and JSON can hold between them."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor


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
        f"found a {type(value).__name__} at {path}, expected tensors, numbers, strings, lists and dicts: "
        "a checkpoint holds nothing else"
    )


def pack_key(key: Any, path: str) -> str | int:
    """A dict's key."""
    if isinstance(key, str | int):
        return key
    raise TypeError(f"found a key of {type(key).__name__} in {path}, expected a string or whole number")


def unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `pack`; KeyError for a tensor that is missing."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {k: unpack(v, tensors) for k, v in inner}
    items = [unpack(v, tensors) for v in inner]
    return items if kind == "list" else tuple(items)


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
