"""Atomic writes: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ranvier.files.disk import naming

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def atomic_path(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """A temporary file beside `path`, ending in `suffix`, that becomes `path` where the block ends without an error.

    For what a library writes to a path by itself; `write_atomic` takes what is at hand. An OSError names `path`, of
    which a full disk says nothing. Only the user may write the file, and others may read it where the user's
    umask lets them.
    """
    with _atomic(file_at(path), suffix) as (temporary, _):
        yield temporary


@contextmanager
def _atomic(path: Path, suffix: str = "") -> Iterator[tuple[Path, int]]:
    """As `atomic_path`, with the open file's number: in a folder of somebody else's a name may be put in the place of
    another at any moment, and lead elsewhere."""
    temporary = path.with_name(_name_beside(path) + suffix)
    with naming(path, temporary), _renamed(path, temporary) as handle:
        yield temporary, handle


@contextmanager
def _renamed(path: Path, temporary: Path) -> Iterator[int]:
    handle = -1
    try:
        _require_place(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, _NEW, 0o644)
        yield handle
        os.fsync(handle)
        if not os.path.samestat(os.fstat(handle), os.lstat(temporary)):
            raise FileNotFoundError(
                errno.ENOENT, f"{temporary} was replaced by somebody while {path.name} was written to it; expected a "
                "folder that only you write to: take another one"
            )  # fmt: skip
        if sys.platform == "win32":
            os.close(handle)  # an open file is not renamed there
            handle = -1
        os.replace(temporary, path)
    except BaseException:
        if handle >= 0:
            with suppress(OSError):
                temporary.unlink()
        raise
    finally:
        if handle >= 0:
            os.close(handle)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that becomes `path` where the block ends without an error. Raises FileExistsError where
    `path` is taken."""
    path = file_at(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; expected a name not yet taken")
    temporary = path.with_name(_name_beside(path))
    with naming(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(mode=0o755)
        try:
            yield temporary
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def require_writable(*paths: str | Path) -> None:
    """OSError, before the work that is to be written to `paths`, where no file can be written there."""
    for path in map(file_at, paths):
        temporary = path.with_name(_name_beside(path))
        with naming(path, temporary):
            _require_place(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, _NEW, 0o644))
            os.unlink(temporary)


def file_at(path: str | Path) -> Path:
    """`path` as a Path that ends in a name; ValueError where it does not, TypeError for no path at all."""
    _require_path(path, "a file's name")
    if not Path(path).name or "\0" in str(path):
        raise ValueError(f"path is {str(path)!r:.60}; expected a file's name, such as 'results.html'")
    return Path(path)


def folder_at(path: str | Path) -> Path:
    """`path` as the Path of a folder; ValueError for an empty text, which would be the current folder, TypeError for no
    path at all."""
    _require_path(path, "a folder's name")
    if not str(path) or "\0" in str(path):
        raise ValueError(f"path is {str(path)!r:.60}; expected a folder's name: '.' is the current one")
    return Path(path)


def _require_path(path: object, expected: str) -> None:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path is {type(path).__name__} {path!r:.60}; expected {expected}")


def _require_place(path: Path) -> None:
    """A rename would put a file where a device, a pipe or a socket was; /dev/null, too."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a folder; expected a file's name", str(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "Is a device, a pipe or a socket; expected a file's name", str(path))


def _name_beside(path: Path) -> str:
    """A hidden, random name; those of killed writers are recognised by its form, and removed."""
    return f".{path.name}.{secrets.token_hex(4)}"


def write_atomic(path: str | Path, data: str | bytes) -> Path:
    """Write `data` to `path` through a temporary file in the same folder and a rename."""
    path = file_at(path)
    with _atomic(path) as (_, handle), open(handle, "wb", closefd=False) as file:
        file.write(data.encode() if isinstance(data, str) else data)
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

    from ranvier.files.reading import require_file

    require_file(path, "a safetensors file")
    try:
        return load_file(str(path))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no whole safetensors file ({error}); expected one: fetch or write it again."
        ) from error
