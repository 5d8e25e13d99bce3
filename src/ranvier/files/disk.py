"""What is said of a disk that is full, or an open file that fails: which file it is, and that nothing is lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GOES_ON = "make room, and the same call goes on from here"


@contextmanager
def naming(path: str | Path, *aliases: str | Path) -> Iterator[None]:
    """OSErrors of the block name `path`: those without a file, and those of a temporary one that stands for it."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None and not any(str(error.filename).startswith(str(alias)) for alias in aliases)
        if error.errno is None or named or str(path) in str(error.strerror):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


def goes_on(error: OSError, path: str | Path) -> OSError:
    """The error of a full disk, with what to do about it where work is kept step by step; any other as it is."""
    if error.errno not in FULL or _GOES_ON in str(error.strerror):
        return error
    return type(error)(error.errno, f"{error.strerror}; {_GOES_ON}", str(error.filename or path))


__all__ = ["FULL", "goes_on", "naming"]
