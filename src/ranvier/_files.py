"""Atomic writes: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """A temporary file beside `path`, ending in `suffix`, that becomes `path` where the block ends without an error.

    For what a library writes to a path by itself; `write_atomic` takes what is at hand. An OSError names `path`, of
    which a full disk says nothing.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` where the block ends without an error. Raises FileExistsError where
    `path` is taken."""
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; expected a name not yet taken")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_atomic(path: str | Path, data: str | bytes) -> Path:
    """Write `data` to `path` through a temporary file in the same folder and a rename."""
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Write `value` as indented JSON, atomically; a lone surrogate, as of a file's name that is no text, is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return write_atomic(path, text.encode("utf-8", "backslashreplace"))


def write_tensors(path: str | Path, tensors: dict[str, Any]) -> Path:
    """Write a dict of NumPy arrays as one safetensors file, atomically."""
    import numpy as np
    from safetensors.numpy import save

    # safetensors writes the memory behind an array, whatever its strides
    return write_atomic(path, save({name: np.asarray(value, order="C") for name, value in tensors.items()}))


def read_tensors(path: str | Path) -> dict[str, Any]:
    """Read a safetensors file into a dict of NumPy arrays.

    Raises FileNotFoundError without one, ValueError for what is no whole safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from ranvier._reading import require_file

    require_file(path, "a safetensors file")
    try:
        return load_file(str(path))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); fetch or write it anew.") from error
