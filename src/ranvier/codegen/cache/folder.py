"""The folder in which machine code is kept between processes, and its files.

What is read here is executed, so it is read from nowhere else: a folder and files that belong to this user and that
nobody else may write, each file with a SHA-256 over its name and contents. A folder that cannot be used costs the
compilation in every process, and one line that says so; nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import sys
from pathlib import Path

from ranvier.files.atomic import write_atomic

_MAGIC = b"ranvier machine code 1\n"
_DIGEST = 32
_OURS = re.compile(r"\.?([0-9a-f]{40}|adjoint_[0-9a-f]{24})\.bin(\.\w{8})?")  # `write`'s, and what a killed one left
_MOST = 1 << 29  # bytes of a folder; the files unused for longest go first

_log = logging.getLogger("ranvier")
_reported: set[Path] = set()


def cache_folder() -> Path:
    """$RANVIER_CACHE_DIR, or `ranvier/kernels` in the user's cache folder."""
    if folder := os.environ.get("RANVIER_CACHE_DIR"):
        return Path(folder)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)) / "ranvier" / "kernels"


def read(key: str) -> bytes | None:
    """What was written under this key; None where there is nothing, or nothing to be trusted."""
    folder = cache_folder()
    try:
        path = folder / f"{key}.bin"
        if not path.exists() or (objection(folder) is not None):
            return None
        # a pipe in a file's place must not make a run wait
        flags = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_BINARY"))
        handle = os.open(path, os.O_RDONLY | sum(flags))
        with open(handle, "rb") as file:
            entry = os.fstat(handle)
            if not stat.S_ISREG(entry.st_mode) or _objection(entry, "file") is not None:
                return None
            data = file.read()
        os.utime(path)
    except OSError:
        return None
    head, body = data[: len(_MAGIC) + _DIGEST], data[len(_MAGIC) + _DIGEST :]
    return body if head == _MAGIC + _digest(key, body) else None


def write(key: str, body: bytes) -> None:
    """Keep `body` under `key`; where that cannot be, one line in the log of "ranvier" says so, once a process."""
    folder, remedy = cache_folder(), "set RANVIER_CACHE_DIR to a folder that only you can write"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        reason = objection(folder)
        if reason is None:
            _make_room(folder, len(body))
            write_atomic(folder / f"{key}.bin", _MAGIC + _digest(key, body) + body)
    except FileExistsError as error:
        reason = f"{error.filename} is no folder"
    except IsADirectoryError as error:
        reason, remedy = f"{error.filename2 or error.filename} is a folder", "delete that folder"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason is not None and folder not in _reported:
        _reported.add(folder)
        _log.warning(
            "compiled code is not kept in %s (%s), so every process compiles it again: %s", folder, reason, remedy
        )  # fmt: skip


def objection(folder: Path) -> str | None:
    """Why the folder is not to be trusted; None where it is. Raises OSError where there is none."""
    # a symbolic link must be this user's as well
    for status in (os.lstat(folder), os.stat(folder)):
        if stat.S_ISLNK(status.st_mode):
            if status.st_uid != os.geteuid():
                return f"a link that belongs to user {status.st_uid}"
        elif not stat.S_ISDIR(status.st_mode):
            return "not a folder"
        elif reason := _objection(status, "folder"):
            return reason
    return None


def _objection(status: os.stat_result, kind: str) -> str | None:
    if sys.platform == "win32":
        return None  # the user's own folder is closed to others there
    if status.st_uid != os.geteuid():
        return f"the {kind} belongs to user {status.st_uid}"
    if status.st_mode & 0o022:
        return f"others may write the {kind}, mode {stat.S_IMODE(status.st_mode):o}"
    return None


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + body).digest()


def _make_room(folder: Path, size: int) -> None:
    sizes = {}
    with os.scandir(folder) as files:
        for file in files:
            status = file.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or not _OURS.fullmatch(file.name):
                continue  # whatever the folder is, nothing else in it is to be deleted
            sizes[file.path] = (status.st_mtime, status.st_size)
    total = size + sum(s for _, s in sizes.values())
    for path, (_, s) in sorted(sizes.items(), key=lambda item: item[1]):
        if total <= _MOST:
            return
        os.unlink(path)
        total -= s
