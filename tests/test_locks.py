"""A folder has one writer: among threads, processes, forks; stale locks, links, odd disks."""

import errno
import gc
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ranvier.files.locks import FolderInUseError, folder_lock

HOLD = """
import os, sys
from ranvier.files.locks import folder_lock
lock = folder_lock(sys.argv[1], "training")
print("held", flush=True)
sys.stdin.read()
os._exit(0)
"""


class Holder:
    """Another process that holds a folder until it is told to end, or killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> subprocess.Popen:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "held\n"
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def refuse_locks(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOLCK) -> None:
    """As on a disk without locks, such as some NFS and Lustre mounts."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)


@pytest.mark.parametrize("locks", [True, False])
def test_a_folder_has_one_holder_and_is_free_again(tmp_path, monkeypatch, locks):
    if not locks:
        refuse_locks(monkeypatch)
    with folder_lock(tmp_path, "run"):
        with pytest.raises(FolderInUseError, match=rf"in use by another run of this process \({os.getpid()}\)"):
            folder_lock(tmp_path)
        (tmp_path / "x").write_text("x")
    assert names(tmp_path) == ["x"]
    with folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("locks", [True, False])
def test_of_many_threads_one_has_it(tmp_path, monkeypatch, locks):
    if not locks:
        refuse_locks(monkeypatch)
    inside, refused, most, count = [], [], [], 8
    start, tried = threading.Barrier(count), threading.Barrier(count)

    def work():
        start.wait()
        try:
            with folder_lock(tmp_path / "run"):
                inside.append(1)
                most.append(len(inside))
                tried.wait()  # nobody lets go before everybody has tried
                inside.pop()
        except FolderInUseError:
            refused.append(1)
            tried.wait()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most == [1] and len(refused) == count - 1


def test_threads_that_take_turns_are_never_two(tmp_path):
    """The file and the folder are removed at release and made again: no thread holds one that is gone."""
    inside, problems, turns = [], [], []

    def work():
        for _ in range(200):
            try:
                with folder_lock(tmp_path / "run") as lock:
                    inside.append(1)
                    if len(inside) != 1:
                        problems.append("two inside")
                    lock.check()
                    turns.append(1)
                    inside.pop()
            except FolderInUseError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems and len(turns) > 20 and not (tmp_path / "run").exists()


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path):
    with Holder(tmp_path) as process:
        expected = rf"another training \(process {process.pid} on '{platform.node()}'\); expected a folder"
        with pytest.raises(FolderInUseError, match=expected) as raised:
            folder_lock(tmp_path)
        assert "wait for it to end, or take another folder" in str(raised.value)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / ".lock").exists()  # stale
        with folder_lock(tmp_path) as lock:
            lock.check()
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert names(tmp_path) == []


def test_without_locks_on_the_disk_a_dead_process_frees_the_folder_and_a_foreign_host_does_not(tmp_path, monkeypatch):
    refuse_locks(monkeypatch)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    owner = tmp_path / ".lock-owner"
    holder = {"what": "run", "pid": done.pid, "host": platform.node()}
    owner.write_text(json.dumps(holder))
    with folder_lock(tmp_path):
        assert json.loads(owner.read_text())["pid"] == os.getpid()
    assert names(tmp_path) == []
    for foreign in (holder | {"host": "elsewhere"}, holder | {"pid": os.getppid()}, {"pid": "1"}, []):
        owner.write_text(json.dumps(foreign))
        with pytest.raises(FolderInUseError, match=f"if that process is gone, delete {owner}"):
            folder_lock(tmp_path)
        assert json.loads(owner.read_text()) == foreign


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_neither_holds_nor_frees_the_folder(tmp_path):
    def answer_of_child(work) -> str:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, work().encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read) as pipe:
            return pipe.read()

    lock = folder_lock(tmp_path)

    def child() -> str:
        lock.release()  # as the end of a block that both run through
        gc.collect()
        try:
            folder_lock(tmp_path)
        except FolderInUseError as error:
            return str(error)
        return "taken"

    assert f"(process {os.getpid()} on" in answer_of_child(child)
    lock.check()
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:  # a child that outlives the block
        os.read(reader, 1)
        os._exit(0)
    lock.release()
    folder_lock(tmp_path).release()
    os.write(writer, b"x")
    os.waitpid(pid, 0)


def test_a_folder_by_any_name_is_one_folder(tmp_path):
    folder, link = tmp_path / "run", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder, target_is_directory=True)
    with folder_lock(link), pytest.raises(FolderInUseError):
        folder_lock(folder)
    with folder_lock(folder), pytest.raises(FolderInUseError):
        folder_lock(folder / ".." / "run")


def test_a_planted_link_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"\.lock is a link; expected a file: delete it"):
        folder_lock(run)
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("what", ["{", "[]", '{"pid": "x", "what": "[/b]\\n"}', "\x00" * 100])
def test_whatever_the_file_says_the_error_is_plain(tmp_path, what):
    with Holder(tmp_path):
        (tmp_path / ".lock").write_text(what)
        with pytest.raises(FolderInUseError, match="is in use by another process; expected"):
            folder_lock(tmp_path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch, number):
    opened = os.open

    def closed(path, *args, **kwargs):
        if str(path).endswith(".lock"):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", closed)
    new = tmp_path / "a" / "b"
    with pytest.raises(OSError, match=r"b cannot be written to \(.*\); expected a folder of yours: take another"):
        folder_lock(new)
    assert names(tmp_path) == []


def test_a_disk_that_fails_is_not_taken_for_one_without_locks(tmp_path, monkeypatch):
    refuse_locks(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        folder_lock(tmp_path)
    assert not (tmp_path / ".lock-owner").exists()


def test_files_and_broken_links_are_no_folders(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for name in ("file", "link"):
        with pytest.raises(ValueError, match="expected a folder, or a name not yet taken"):
            folder_lock(tmp_path / name)
    assert names(tmp_path) == ["file", "link"]


def test_what_the_lock_made_goes_with_it_unless_something_was_written(tmp_path):
    with folder_lock(tmp_path / "a" / "b" / "c"):
        (tmp_path / "a" / "kept").write_text("x")
    assert names(tmp_path / "a") == ["kept"]
    with pytest.raises(KeyError), folder_lock(tmp_path / "new"):
        raise KeyError
    assert not (tmp_path / "new").exists()


def test_a_dropped_lock_is_released(tmp_path):
    lock = folder_lock(tmp_path)
    cycle = [lock]
    cycle.append(cycle)
    del lock, cycle
    gc.collect()
    folder_lock(tmp_path).release()


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced", "cleared"])
def test_a_folder_that_is_gone_is_noticed(tmp_path, how):
    folder = tmp_path / "run"
    with folder_lock(folder) as lock:
        lock.check()
        if how == "cleared":
            (folder / ".lock").unlink()
        else:
            folder.rename(tmp_path / "elsewhere")
        if how == "replaced":
            folder.mkdir()
        with pytest.raises(FileNotFoundError, match="was deleted or moved while this run wrote to it; expected"):
            lock.check()


def test_clear_empties_the_folder_and_keeps_it(tmp_path):
    (tmp_path / "precious").write_text("mine")
    run = tmp_path / "run"
    (run / "sub").mkdir(parents=True)
    (run / "sub" / "file").write_text("x")
    (run / "link").symlink_to(tmp_path / "precious")
    (run / "away").symlink_to(tmp_path, target_is_directory=True)
    with folder_lock(run) as lock:
        lock.clear()
        lock.check()
        assert names(run) == [".lock"]
        with pytest.raises(FolderInUseError):
            folder_lock(run)
    assert names(run) == [] and (tmp_path / "precious").read_text() == "mine"
