"""Files appear whole or not at all, whoever writes them."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from ranvier.files.atomic import atomic_folder, atomic_path, read_tensors, require_writable, write_atomic, write_tensors


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.txt"
    write_atomic(path, "old")
    assert write_atomic(path, b"new") == path
    assert path.read_bytes() == b"new" and left(path.parent) == ["x.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "x.txt", "old")
    with pytest.raises(KeyError), atomic_path(path, suffix=".txt") as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == tmp_path
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and left(tmp_path) == ["x.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyError), atomic_folder(path) as folder:
        (folder / "half").write_text("half")
        raise KeyError
    assert left(tmp_path) == []
    with atomic_folder(path) as folder:
        (folder / "whole").write_text("whole")
        assert not path.exists()
    assert left(path) == ["whole"]
    with pytest.raises(FileExistsError, match="not yet taken"), atomic_folder(path):
        pass


def test_tensors_of_any_strides_are_written_as_they_are(tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    tensors = {
        "transposed": a.T, "sliced": a[::2, 1::2], "expanded": np.broadcast_to(np.float32(3.5), (2, 5)),
        "reversed": a[::-1], "scalar": np.array(7), "empty": a[:0], "fortran": np.asfortranarray(a),
    }  # fmt: skip
    written = read_tensors(write_tensors(tmp_path / "x.safetensors", tensors))
    for name, value in tensors.items():
        assert written[name].dtype == value.dtype and written[name].shape == value.shape
        assert np.array_equal(written[name], value), name


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    """A rename onto /dev/null, as root, takes it from the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (lambda: write_atomic(pipe, "x"), lambda: require_writable(pipe)):
        with pytest.raises(FileExistsError, match=r"device, a pipe or a socket; expected a file's name.*pipe"):
            write()
    assert stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]
