"""Where the user's data lie."""

from pathlib import Path

import pytest

from ganglion.atlas import dataset


def test_what_is_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "laser.npy").touch()
    monkeypatch.setenv("GANGLION_DATA", str(tmp_path))
    assert dataset("mnist") == tmp_path / "mnist" and dataset("series/laser.npy") == tmp_path / "series/laser.npy"
    assert dataset("nmnist") is None
    for unset in ("", None):
        monkeypatch.setenv("GANGLION_DATA", "") if unset == "" else monkeypatch.delenv("GANGLION_DATA")
        assert dataset("mnist") is None


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGLION_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(FileNotFoundError, match="expected GANGLION_DATA to name one with mnist"):
        dataset("mnist")
