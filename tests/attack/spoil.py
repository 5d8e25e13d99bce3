"""One damaged copy of a file: noise, an adversary's text in some place, or another value in a JSON structure."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

from tests.attack.payloads import replaced
from tests.laws.readers import mutations

#: what stands in place of a value, or within its place, whatever was expected there
VALUES = (None, True, False, [], {}, "", "a", 0, -1, 1, 2, 0.5, 1e300, -1e-300, 2**31, 2**63, 10**400, float("nan"),
          float("inf"), [[]], [None], [1, "a"], {"a": None}, {"tensor": "t0"}, {"tensor": ["t0"]}, {"tensor": {}},
          {"distribution": "Uniform"},
          {"distribution": 1, "low": [1]}, {"series": [1.0], "interval": None}, {"dict": [[[], 1]]})  # fmt: skip


def structure(data: bytes) -> tuple[bytes, Any, bytes] | None:
    """(before, the JSON value, after) of a JSON file or of a safetensors file's header; None for anything else."""
    try:
        return b"", json.loads(data), b""
    except (ValueError, RecursionError):
        pass
    try:
        (length,) = struct.unpack_from("<Q", data)
        return b"safetensors", json.loads(data[8 : 8 + length]), data[8 + length :]
    except (ValueError, struct.error):
        return None


def joined(before: bytes, value: Any, after: bytes) -> bytes:
    """The bytes of the parts that `structure` gives."""
    text = json.dumps(value).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + after if before else text


def nodes(value: Any, path: tuple = ()) -> Any:
    """The paths of all values within a JSON value, containers included."""
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from nodes(item, (*path, key))


def without(value: Any, path: tuple) -> Any:
    """A copy of a JSON value without the entry at `path`."""
    head, *rest = path
    if isinstance(value, dict):
        return {k: without(v, tuple(rest)) if k == head else v for k, v in value.items() if rest or k != head}
    return [without(v, tuple(rest)) if k == head else v for k, v in enumerate(value) if rest or k != head]


def spoilt(data: bytes, parts: tuple[bytes, Any, bytes] | None, texts: list[str], rng: random.Random) -> bytes:
    """One damaged copy of `data`, whose `structure` is `parts`."""
    if parts is not None and isinstance(parts[1], dict | list) and rng.random() < 0.6:
        return _restructured(*parts, texts, rng)
    if rng.random() < 0.5:
        return mutations(data, 4, rng.randrange(2**31))[rng.randrange(4)]
    text, at = rng.choice(texts).encode("utf-8", "surrogatepass"), rng.randrange(len(data) + 1)
    marks = [k for k in range(len(data)) if data[k : k + 1] in b'",;\t \n'] if rng.random() < 0.7 else []
    if len(marks) > 1:
        k = rng.randrange(len(marks) - 1)
        return data[: marks[k] + 1] + text + data[marks[k + 1] :]
    return data[:at] + text + data[at + rng.randrange(0, 40) :]


def _restructured(before: bytes, value: Any, after: bytes, texts: list[str], rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 1, 2])):
        paths = list(nodes(value)) if isinstance(value, dict | list) else []
        if not paths:
            break
        path = rng.choice(paths)
        match rng.randrange(8):
            case 0:
                value = without(value, path)
            case 1 | 2:
                value = replaced(value, path, rng.choice(texts), False)
            case 3 if isinstance(path[-1], str):
                value = replaced(value, path, rng.choice(texts), True)
            case _:
                value = replaced(value, path, rng.choice(VALUES), False)
    return joined(before, value, after)
