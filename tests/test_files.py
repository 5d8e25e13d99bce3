"""Files appear whole or not at all, whoever writes them."""

from pathlib import Path

import pytest

from ranvier._files import atomic_folder, atomic_path, write_atomic


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
