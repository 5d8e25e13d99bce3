"""Atomic writes: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomic(path: str | Path, data: str | bytes) -> Path:
    """Write `data` to `path` through a temporary file in the same folder and a rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Write `value` as indented JSON, atomically."""
    return write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_tensors(path: str | Path, tensors: dict[str, Any]) -> Path:
    """Write a dict of NumPy arrays as one safetensors file, atomically."""
    from safetensors.numpy import save

    return write_atomic(path, save(tensors))


def read_tensors(path: str | Path) -> dict[str, Any]:
    """Read a safetensors file into a dict of NumPy arrays."""
    from safetensors.numpy import load_file

    return load_file(str(path))
