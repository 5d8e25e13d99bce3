"""One writer at a time in a folder, among the threads of a process, processes and, where the disk allows, hosts."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ranvier.files.atomic import folder_at
from ranvier.files.disk import goes_on

_NAME = ".lock"  # in the folder; holds who has it, as JSON
_OWNER = ".lock-owner"  # where the disk has no locks: whoever creates this file has the folder
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF}
_FILE = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)

# Folders held by this process, by (device, inode). The system's lock would do on local disks, but NFS
# turns `flock` into a lock of the whole process.
_held: WeakValueDictionary[tuple[int, int], FolderLock] = WeakValueDictionary()
_guard = threading.RLock()  # the garbage collector may release one lock while another is taken


class FolderInUseError(RuntimeError):
    """Another thread or process writes to the folder."""


def folder_lock(path: str | Path, what: str = "run") -> FolderLock:
    """Take a folder for this thread alone, or raise; created if it does not exist.

    `with folder_lock(path): ...` holds it to the end of the block. The system lets go of it when the process ends,
    however it ends. A child made by `os.fork` does not hold it. A lock is taken once: its holder, too, is refused a
    second one. A folder that the lock created is removed at release if nothing was written to it.

    Parameters
    ----------
    path
        The folder; links to it are the same folder.
    what
        A noun for what is being done there, for the error that others see ("run", "training").

    Raises
    ------
    FolderInUseError
        if it is in use; names the holder's process, host and time.
    ValueError
        if there is a file of that name.
    OSError
        if the folder cannot be created or written to.

    Examples
    --------
    >>> import tempfile
    >>> with folder_lock(tempfile.mkdtemp(), "run") as lock:
    ...     lock.check()
    """
    return FolderLock(folder_at(path), what)


class FolderLock:
    """A folder held by this process, as `folder_lock` gives it."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self._handle, self._owner, self._key = -1, False, (-1, -1)
        self._new: list[Path] = []  # folders made by the lock, innermost first
        try:
            self._take()
        except OSError as error:
            self.release()
            if error.errno == errno.ELOOP:
                raise type(error)(error.errno, f"{path / _NAME} is a link; expected a file: delete it") from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise type(error)(
                    error.errno, f"{path} cannot be written to ({error.strerror}); expected a folder of yours: "
                    "take another one, or change its permissions"
                ) from error  # fmt: skip
            if (full := goes_on(error, path / _NAME)) is not error:
                raise full from error
            raise
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Raise FileNotFoundError if the folder was deleted, moved or replaced since it was taken."""
        try:
            there = os.stat(self.path)
            same = (there.st_dev, there.st_ino) == self._key and self._is_mine()
        except OSError:
            same = False
        if not same:
            raise FileNotFoundError(
                errno.ENOENT, f"{self.path} was deleted or moved while this {self.what} wrote to it; expected it to "
                "stay until the end: start again, in this folder or another"
            )  # fmt: skip

    def clear(self) -> None:
        """Remove everything in the folder but the lock."""
        self.check()
        for entry in os.scandir(self.path):
            if entry.name in (_NAME, _OWNER):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def release(self) -> None:
        """Let others write here; never raises, so that an error on its way is not hidden."""
        with _guard:
            if _held.get(self._key) is self:
                del _held[self._key]
            handle, self._handle = self._handle, -1
            try:
                if handle >= 0:
                    if not _same_file(handle, self.path / _NAME):
                        return  # the folder is gone, or another one
                    if self._owner:
                        os.unlink(self.path / _OWNER)
                    os.unlink(self.path / _NAME)
                for folder in self._new:
                    os.rmdir(folder)
            except OSError:
                pass  # the folder is not empty, or no longer there
            finally:
                if handle >= 0:
                    os.close(handle)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.release()
        if isinstance(error, OSError) and (full := goes_on(error, self.path)) is not error:
            raise full from error

    def __del__(self) -> None:
        if self._handle >= 0:
            self.release()

    def _take(self) -> None:
        with _guard:
            while True:
                self._make_folder()
                try:
                    key = _identity(self.path)
                    if (other := _held.get(key)) is not None:
                        raise _in_use(self.path, _signature(other.what))
                    handle = os.open(self.path / _NAME, _FILE, 0o644)
                except FileNotFoundError:
                    continue  # its last holder, who had made the folder, has just removed it
                try:
                    owner = not _lock(handle, self.path, self.what)
                except BaseException:
                    os.close(handle)
                    raise
                if _same_file(handle, self.path / _NAME):
                    break
                os.close(handle)  # its last holder has just removed the file
            self._handle, self._key, self._owner = handle, key, owner
            _held[key] = self
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps(_signature(self.what)).encode())

    def _make_folder(self) -> None:
        try:
            mode = os.stat(self.path).st_mode
        except FileNotFoundError:
            mode = 0
        if not stat.S_ISDIR(mode) if mode else self.path.is_symlink():
            raise ValueError(f"{self.path} is a file, or a link to nothing; expected a folder, or a name not yet taken")
        if not mode:
            self._new = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)

    def _is_mine(self) -> bool:
        return self._handle >= 0 and _same_file(self._handle, self.path / _NAME)

    def _forget(self) -> None:
        """In a forked child: the lock stays with the parent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _lock(handle: int, path: Path, what: str) -> bool:
    """Take the system's lock of an open file, or raise; False where the disk has none and the owner file is taken."""
    try:
        import fcntl
    except ImportError:
        _own(path, what)
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _in_use(path, _holder(path / _NAME)) from None
        if error.errno not in _UNSUPPORTED:
            raise
        _own(path, what)
        return False
    return True


def _own(path: Path, what: str) -> None:
    """Take a folder by creating the owner file; one of a process of this host that is gone is removed."""
    file, aside = path / _OWNER, path / f"{_OWNER}.{os.getpid()}"
    for _ in range(2):
        try:
            handle = os.open(file, _FILE | os.O_EXCL, 0o644)
        except FileExistsError:
            holder = _holder(file)
            if holder.get("host") != platform.node() or _alive(holder.get("pid")):
                break
            os.replace(file, aside)
            if _holder(aside) != holder:  # someone else has removed the old one and is quicker
                os.link(aside, file)
            os.unlink(aside)
            continue
        os.write(handle, json.dumps(_signature(what)).encode())
        os.close(handle)
        return
    raise _in_use(path, _holder(file), file)


def _signature(what: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"what": what, "pid": os.getpid(), "host": platform.node(), "since": now}


def _holder(file: Path) -> dict[str, Any]:
    """What the lock's file says of who has it; empty if it says nothing that can be read."""
    try:
        value = json.loads(file.read_bytes()[:4096])
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _in_use(path: Path, holder: dict[str, Any], file: Path | None = None) -> FolderInUseError:
    what = f"another {holder['what']}" if str(holder.get("what", "")).isidentifier() else "another process"
    if not isinstance(holder.get("pid"), int):
        where = ""  # it has only just taken the folder, or the file is not ours
    elif holder["pid"] == os.getpid() and holder.get("host") == platform.node():
        where = f" of this process ({os.getpid()})"
    else:
        where = f" (process {holder['pid']} on {str(holder.get('host', 'this host'))[:64]!r})"
    remedy = "wait for it to end, or take another folder"
    if file is not None:
        remedy += f"; if that process is gone, delete {file}"
    return FolderInUseError(f"{path} is in use by {what}{where}; expected a folder that nothing writes to: {remedy}")


def _alive(pid: Any) -> bool:
    """Whether a process of this host runs; True where that cannot be known."""
    if not isinstance(pid, int) or pid <= 0 or os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _identity(path: Path) -> tuple[int, int]:
    there = os.stat(path)
    return there.st_dev, there.st_ino


def _same_file(handle: int, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def _in_child() -> None:
    global _guard
    _guard = threading.RLock()
    for lock in list(_held.values()):
        lock._forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


__all__ = ["FolderInUseError", "FolderLock", "folder_lock"]
