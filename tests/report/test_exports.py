"""Files beside the page of `ranvier run`: an interruption leaves each whole, or as it was."""

from __future__ import annotations

import os

import pytest

from ranvier.cli.exports import chosen_formats, write_numbers
from ranvier.files import atomic
from ranvier.report import measure

NAMES = "neurons.csv", "pairs.csv", "activity.nwb", "citations.txt"


@pytest.fixture(scope="module")
def write(graded):
    pytest.importorskip("pynwb")
    measured = measure(*graded)

    def write(folder):
        folder.mkdir(exist_ok=True)
        write_numbers(
            folder, ("csv", "nwb"), measured, graded[1], title="worm", citations=["Nobody (2000)."], say=str
        )

    return write


@pytest.fixture(scope="module")
def whole(write, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write(folder)
    return {name: (folder / name).stat().st_size for name in NAMES}


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("stop", range(4))
def test_an_interruption_leaves_whole_files(write, whole, tmp_path, monkeypatch, call, stop):
    """At the end of each file's writing, before its name is taken: those before it are whole, it has its former
    content, and nothing else is left."""
    for name in NAMES:
        (tmp_path / name).write_text("former")
    calls = 0

    def interrupted(*arguments):
        nonlocal calls
        calls += 1
        if calls > stop:
            raise KeyboardInterrupt
        return original(*arguments)

    original = getattr(os, call)
    monkeypatch.setattr(atomic.os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)
    for k, name in enumerate(NAMES):
        size = (tmp_path / name).stat().st_size
        assert size == (whole[name] if k < stop else len("former")), name


def test_empty_words_are_no_formats():
    assert chosen_formats("CSV") == ("csv",) and chosen_formats("none") == ()
    for text in ("", "csv,"):
        with pytest.raises(ValueError, match="expected csv and nwb"):
            chosen_formats(text)
