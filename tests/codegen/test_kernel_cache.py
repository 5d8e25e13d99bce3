"""Machine code on disk: found again, where the user wants it, believed only where nobody else can have written it."""

import ast
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from numba import types

from ranvier.codegen import compilation
from ranvier.codegen.cache import folder as cache_folder
from tests.codegen import two_kernels
from tests.codegen.two_kernels import write_seven

ADDRESS = types.void(types.int64)
SIMULATION = """
import ranvier as rv, torch
net = rv.Network()
net.add(rv.LIF(E_L=-60.0), 2, drive=20.0)
print(len(rv.simulate(net, 50.0, dtype=torch.float64).times))
"""
LAYER = """
import ranvier as rv, torch
print(rv.nn.LIF(3, 4)(torch.ones(5, 2, 3))[0].shape)
"""


def python(*arguments, **env):
    env = {**os.environ, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in env.items()}}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done


def listing(folder):
    return {p.name: (p.stat().st_ino, p.stat().st_size) for p in folder.iterdir()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(cache_folder, "_reported", set())
    compilation.address.cache_clear()
    yield tmp_path / "kernels"
    compilation.address.cache_clear()


def run():
    """Compile or load `write_seven`, and run it."""
    import ctypes

    out = ctypes.c_int64(0)
    compilation.address.cache_clear()
    write_seven.__qualname__ = "write_seven"
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(compilation.address(write_seven, ADDRESS))(ctypes.addressof(out))
    return out.value


@pytest.mark.long
def test_a_second_process_compiles_nothing(tmp_path):
    script = SIMULATION + LAYER
    first = python("-c", script, RANVIER_CACHE_DIR=tmp_path)
    before = listing(tmp_path)
    assert {name.partition(".")[2] for name in before} == {"bin"}
    assert python("-c", script, RANVIER_CACHE_DIR=tmp_path).stdout == first.stdout
    assert listing(tmp_path) == before  # nothing was written: a compilation would have been


def test_flipped_bytes_are_noticed(folder):
    assert run() == 7
    (path,) = folder.iterdir()
    data, key = path.read_bytes(), path.stem
    assert cache_folder.read(key) is not None
    for at in (*range(80), *range(80, len(data), 29)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert cache_folder.read(key) is None, at
    for part in (b"", data[:40], data[:-1], data + b"\0"):
        path.write_bytes(part)
        assert cache_folder.read(key) is None
    path.write_bytes(data)
    assert cache_folder.read(key) is not None
    path.rename(path.with_stem("0" * 40))  # another function's code
    assert cache_folder.read("0" * 40) is None


@pytest.mark.parametrize("part", [0.001, 0.3, 0.6, 0.999])
def test_damaged_files_are_compiled_anew(part, folder):
    assert run() == 7
    (path,) = folder.iterdir()
    data = path.read_bytes()
    at = int(part * len(data))
    path.write_bytes(data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :])
    assert run() == 7
    assert cache_folder.read(path.stem) is not None  # mended


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_no_entry(plant, monkeypatch, tmp_path):
    """Opening a pipe would wait for a writer for ever."""
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(tmp_path / "kernels"))
    cache_folder.write("key", b"body")
    assert cache_folder.read("key") == b"body"
    (tmp_path / "kernels" / "key.bin").unlink()
    plant(tmp_path / "kernels" / "key.bin")
    assert cache_folder.read("key") is None


def test_planted_files_do_not_run(tmp_path):
    """Pickles as numba keeps them, Python files of kernels' names, and bytes that the digest does not cover."""
    folder, target = tmp_path / "kernels", tmp_path / "executed"
    assert python(two_kernels.__file__, RANVIER_CACHE_DIR=folder).stdout == "14\n"
    payload = pickle.dumps(Payload(target), protocol=2)
    assert not target.exists()
    names = [p.stem for p in folder.iterdir()]
    for name in names:
        (folder / f"{name}.bin").write_bytes(payload)
        (folder / f"kernel_{name}.py").write_text(f"import os\nos.mkdir({str(target)!r})\n")
        for pattern in ("kernel_{}-1.py311.nbi", "kernel_{}.kernel-1.py311.1.nbc"):
            (folder / "__pycache__").mkdir(exist_ok=True)
            (folder / "__pycache__" / pattern.format(name)).write_bytes(payload)
    assert python(two_kernels.__file__, RANVIER_CACHE_DIR=folder).stdout == "14\n"
    assert not target.exists() and all((folder / f"{name}.bin").read_bytes() != payload for name in names)


def test_a_header_names_nothing_outside_the_package(folder):
    """Even with a right digest, which only the user can have written, names are no way to other code."""
    from ranvier.codegen.cache import machine_code

    assert run() == 7
    (path,) = folder.iterdir()
    parts = machine_code.Parts.of(cache_folder.read(path.stem))
    header = json.loads(json.dumps(parts.header))
    header["result"] = {"record": ["os", "system"], "items": [None]}
    with pytest.raises(ValueError, match="no module of this package"):
        machine_code.unpack(machine_code.Parts(header, parts.objects, parts.bitcode).bytes(), (types.int64,), None)


def refused(folder, caplog, words):
    """The folder is neither read nor written; one line says so; the code runs."""
    before = listing(folder)
    for _ in range(2):
        assert run() == 7
    assert listing(folder) == before
    assert len(caplog.messages) == 1
    assert words in caplog.text and str(folder) in caplog.text and "RANVIER_CACHE_DIR" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX's owners and modes")
class TestFolders:
    def test_a_new_folder_is_the_users_alone(self, folder):
        run()
        assert folder.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
    def test_others_may_write(self, mode, folder, caplog):
        run()
        folder.chmod(mode)
        refused(folder, caplog, f"others may write the folder, mode {mode:o}")

    def test_another_users(self, folder, caplog, monkeypatch):
        run()
        owner = folder.stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        refused(folder, caplog, f"belongs to user {owner}")

    def test_files_of_others(self, folder, monkeypatch):
        run()
        (path,) = folder.iterdir()
        assert cache_folder.read(path.stem) is not None
        path.chmod(0o666)
        assert cache_folder.read(path.stem) is None
        path.chmod(0o600)
        outside = folder.parent / "outside.bin"
        path.rename(outside)
        path.symlink_to(outside)
        assert cache_folder.read(path.stem) is None

    def test_the_users_own_link(self, folder):
        """To a separate folder: as a cache on another disk is set up."""
        run()
        folder.rename(folder.parent / "elsewhere")
        folder.symlink_to(folder.parent / "elsewhere")
        (path,) = folder.iterdir()
        assert cache_folder.read(path.stem) is not None

    def test_another_users_link(self, folder, caplog, monkeypatch):
        run()
        folder.rename(folder.parent / "elsewhere")
        folder.symlink_to(folder.parent / "elsewhere")
        lstat = os.lstat

        def of_another(path, *rest, **named):
            status = lstat(path, *rest, **named)
            if Path(path) == folder:
                status = os.stat_result((*status[:4], status.st_uid + 1, *status[5:10]))
            return status

        monkeypatch.setattr(os, "lstat", of_another)
        refused(folder, caplog, "a link that belongs to user")


@pytest.mark.parametrize(
    "variable", ["HOME", "RANVIER_CACHE_DIR"], ids=["no home", "no folder"]
)
def test_without_a_writable_folder(variable, tmp_path):
    """As in a container: no home, nothing to write to. Not even root can make a folder below a file."""
    (tmp_path / "file").write_text("")
    nowhere = tmp_path / "file" / "below"
    unset = dict.fromkeys(("RANVIER_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), "")
    done = python(two_kernels.__file__, **unset | {variable: nowhere})
    assert done.stdout == "14\n"
    (line,) = done.stderr.splitlines()
    assert "compiles it again" in line and "RANVIER_CACHE_DIR" in line and str(nowhere) in line


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RANVIER_CACHE_DIR", str(tmp_path / "here"))
    assert cache_folder.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("RANVIER_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    if sys.platform == "linux":
        assert cache_folder.cache_folder() == tmp_path / "there" / "ranvier" / "kernels"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache_folder.cache_folder() == tmp_path / ".cache" / "ranvier" / "kernels"
    assert isinstance(cache_folder.cache_folder(), Path)


def test_a_full_folder_loses_what_was_unused_for_longest(folder, monkeypatch):
    """Nothing else is deleted, were the folder the user's home."""
    monkeypatch.setattr(cache_folder, "_MOST", 3000)
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "thesis.bin").write_bytes(bytes(10_000))
    (folder / f"{0:040x}.bin").mkdir()
    for k in range(1, 5):
        cache_folder.write(f"{k:040x}", bytes(800))
        os.utime(folder / f"{k:040x}.bin", (k, k))
        if k == 3:
            assert cache_folder.read(f"{1:040x}") == bytes(800)  # used: the youngest now
    assert {p.stem for p in folder.iterdir()} == {"thesis", *(f"{k:040x}" for k in (0, 1, 3, 4))}


def test_a_folder_in_a_files_place_is_named(folder, caplog):
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "a.bin").mkdir()
    cache_folder.write("a", b"code")
    assert "a.bin is a folder" in caplog.text and "delete that folder" in caplog.text


def test_nothing_is_left_to_numbas_own_cache():
    """A pickle, beside the sources or in a folder that anyone may write."""
    package = Path(cache_folder.__file__).parents[1]
    calls = [
        (path.name, node.lineno)
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and any(k.arg == "cache" for k in node.keywords)
        and "jit" in ast.unparse(node.func)
    ]  # fmt: skip
    assert calls == []


def test_an_interrupt_is_heard_at_the_end_of_a_compilation(folder):
    """LLVM calls back into Python, where an exception would be swallowed, or leave code half made."""
    reached = []

    def compile():
        signal.raise_signal(signal.SIGINT)
        reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        compilation._uninterrupted(compile)()
    assert reached
    assert run() == 7


def test_a_change_of_anything_that_code_is_made_of_changes_its_name(monkeypatch):
    """Inner functions, their modules' sources, constants: the folder outlives an upgrade of the package."""
    from ranvier.codegen.cache import fingerprint as f
    from ranvier.engines.compiled import driver, loops

    advance = driver.advance
    before = f.fingerprint(advance)
    assert before is not None and f.fingerprint(advance) == before
    monkeypatch.setattr(loops, "TILE", loops.TILE * 2)
    monkeypatch.setattr(driver, "TILE", loops.TILE)
    assert f.fingerprint(advance) != before
    monkeypatch.undo()
    for module in ("records", "pointers", "driver"):
        source = f._source

        def changed(path, name=module, source=source):
            return source(path) + ("changed" if path.endswith(f"{name}.py") else "")

        monkeypatch.setattr(f, "_source", changed)
        assert f.fingerprint(advance) != before, module
        monkeypatch.undo()
    assert f.fingerprint(advance) == before
