"""Where the user's data lie."""

from pathlib import Path

import pytest

import ranvier.atlas
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


def test_no_entry_splits_the_digits_itself() -> None:
    """Splits lie in one place, so that what one entry learns from none tests on."""
    atlas = Path(ranvier.atlas.__file__).parent
    own = [
        str(path.relative_to(atlas))
        for path in sorted(atlas.glob("*/*.py"))
        if any(word in path.read_text("utf-8") for word in ("load_digits", "train_test_split", "random_split"))
    ]
    assert not own, f"take ranvier.atlas.digits or tutorial_digits in {', '.join(own)}"
