"""Where the user's data lie."""

from pathlib import Path

import pytest

from ranvier.atlas import dataset


def test_what_is_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "laser.npy").touch()
    monkeypatch.setenv("RANVIER_DATA", str(tmp_path))
    assert dataset("mnist") == tmp_path / "mnist" and dataset("series/laser.npy") == tmp_path / "series/laser.npy"
    assert dataset("nmnist") is None
    for unset in ("", None):
        monkeypatch.setenv("RANVIER_DATA", "") if unset == "" else monkeypatch.delenv("RANVIER_DATA")
        assert dataset("mnist") is None


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(FileNotFoundError, match="expected RANVIER_DATA to name one with mnist"):
        dataset("mnist")
