"""Reading files that others wrote: only regular ones, of bounded size, and errors that name the file."""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LARGEST = 4 * 2**30  # bytes of one file, packed or unpacked
ALWAYS = 64 * 2**20  # bytes that a packed file may always unpack to, whatever its own size
RATIO = 200  # beyond that, unpacked over packed; text packs some 10 times, all zeros 1000 times
_BLOCK = 2**20


def require_file(path: str | Path, what: str = "a file") -> int:
    """The size in bytes of a regular file.

    Raises FileNotFoundError where there is none, ValueError for a folder, a pipe, a device or a socket, and for a file
    of more than 4 GiB.
    """
    path = Path(path)
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"There is no file {path}; expected {what}. Look at the path's spelling.") from None
    except OSError as error:  # a folder above it is closed, the name is too long
        raise _unreadable(error, path, what) from None
    except ValueError as error:  # a NUL in the path
        raise ValueError(f"The path {str(path)!r:.200} is none ({error}); expected that of {what}.") from None
    return _size(status, path, what)


def read_bytes(path: str | Path, what: str = "a file") -> bytes:
    """The bytes of a regular file; errors as of `require_file`. A pipe or a device is refused, not waited for."""
    path = Path(path)
    require_file(path, what)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:  # what the path names may have changed in between: look at what is open
            size = _size(os.fstat(file.fileno()), path, what)
            data = file.read(size + 1)  # not more: the buffer is made as large as is requested
            while data and size < len(data) <= LARGEST and (more := file.read(_BLOCK)):  # it says too little, or grows
                data += more
    except OSError as error:  # the kernel's own files fail in other ways
        raise _unreadable(error, path, what) from None
    if data is None:
        raise ValueError(f"{path} has nothing to read now, as a terminal or a log; expected {what}.")
    if len(data) > LARGEST:
        _too_large(path, f"more than {LARGEST >> 30} GiB")
    return data


def read_start(path: str | Path, size: int, what: str = "a file") -> bytes:
    """The first bytes of a regular file; errors as of `require_file`."""
    path = Path(path)
    require_file(path, what)
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise _unreadable(error, path, what) from None


def read_unpacked(path: str | Path, what: str = "a file") -> bytes:
    """As `read_bytes`; what is gzipped, by its first two bytes, is unpacked as it is read.

    Raises ValueError for a broken gzip file, and where so little unpacks to so much that it can only be a trap: beyond
    64 MiB more than 200 times its size, or beyond 4 GiB.
    """
    data = read_bytes(path, what)
    if data[:2] != b"\x1f\x8b":
        return data
    out: list[bytes] = []
    total, at = 0, 0
    while at < len(data):  # one member after the other
        member = zlib.decompressobj(wbits=31)
        rest = b""
        while not member.eof:
            piece = rest or data[at : at + _BLOCK]
            if not rest:
                at += len(piece)
            if not piece:
                raise ValueError(f"{path} is a gzip file that ends too early; expected a whole one: fetch it again.")
            try:
                out.append(member.decompress(piece, _BLOCK))
            except zlib.error as error:
                raise ValueError(f"{path} is a broken gzip file ({error}); expected a whole one.") from error
            total += len(out[-1])
            rest = member.unconsumed_tail
            require_ratio(total, at - len(rest), path)
        at -= len(member.unused_data)
        if not data[at:].strip(b"\0"):  # padding
            break
    return b"".join(out)


def require_ratio(unpacked: int, packed: int, path: str | Path) -> None:
    """Refuse contents that are far larger than the file that holds them."""
    if unpacked > ALWAYS and unpacked > RATIO * max(packed, 1):
        _too_large(path, f"{unpacked >> 20} MiB from {max(packed, 1) >> 10} KiB, more than {RATIO} times as much")
    if unpacked > LARGEST:
        _too_large(path, f"more than {LARGEST >> 30} GiB")


def read_text(path: str | Path, what: str = "text") -> str:
    """The text, in UTF-8, of a regular file, gzipped or not; ValueError for what is no text, NUL included."""
    return decode(read_unpacked(path, what), path, what)


def decode(data: bytes, path: str | Path, what: str = "text") -> str:
    """Bytes of a file as text."""
    if (at := data.find(b"\0")) >= 0:
        raise ValueError(f"{path} is no text in UTF-8 (byte {at} is 0); expected {what}. Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 (byte {error.start} is {data[error.start]:#x}); expected {what}. "
            "Save it as UTF-8."
        ) from error


def read_json(path: str | Path, what: str = "JSON") -> Any:
    """The value that a JSON file holds. ValueError for what is no JSON, or nested beyond Python's depth."""
    data = read_bytes(path, what)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({_json_fault(error)}); expected {what}.") from error


def _json_fault(error: Exception) -> str:
    """What Python's parser found, without the words that are meant for programs."""
    if "digits" in str(error):
        return "it holds a number of thousands of digits"
    return library_fault(error, (json.JSONDecodeError,))


def _unreadable(error: OSError, path: Path, what: str) -> OSError:
    """The same kind of error, with the file's name."""
    shown = str(path) if len(str(path)) <= 300 else f"{str(path)[:297]}..."
    return type(error)(error.errno, f"{shown} cannot be read ({error.strerror}); expected {what}")


def library_fault(error: BaseException, malformed: tuple[type[BaseException], ...] = ()) -> str:
    """What a library found wrong with a file, in words for whoever has the file.

    An error of the kinds `malformed` says so itself; of any other (KeyError, TypeError ...) the text is about the
    library's own program, not about the file.
    """
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} of a text in it is {error.object[error.start]:#x}, which is no UTF-8"
    text = " ".join(str(error).split())[:200]
    return text if isinstance(error, malformed) and text else "something in it is not of the form that it must have"


@contextmanager
def refusing(path: str | Path, what: str, malformed: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Whatever a library raises at a file within the block, as a ValueError that names the file.

    Errors in our own words ("expected ...") keep them; a package that is not installed is said as it is.
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        own = isinstance(error, ValueError | OSError | TypeError) and "expected" in str(error)
        if own and isinstance(error, ValueError | OSError) and str(path) in str(error):
            raise
        if own:
            raise ValueError(f"{path}: {error}") from error
        fault = library_fault(error, malformed)
        raise ValueError(f"{path} cannot be read as {what} ({fault}); expected a whole one: fetch it again.") from error


def _size(status: os.stat_result, path: Path, what: str) -> int:
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "socket or the like")
        raise ValueError(f"{path} is a {kind}; expected a file: {what}.")
    if status.st_size > LARGEST:
        _too_large(path, f"{status.st_size / 2**30:.1f} GiB")
    return status.st_size


def _too_large(path: str | Path, size: str) -> None:
    raise ValueError(f"{path} holds {size}; expected at most {LARGEST >> 30} GiB. Split it, or read a part of it.")


__all__ = [
    "decode", "library_fault", "read_bytes", "read_json", "read_start", "read_text", "read_unpacked", "refusing",
    "require_file", "require_ratio",
]  # fmt: skip
