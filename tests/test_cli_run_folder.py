"""What a run's folder may hold, and what --again does to it: in this process, without a simulation."""

from __future__ import annotations

import json

import pytest

from ranvier.files.run_folder import run_folder

SETTINGS = {"wiring": "a.csv", "seed": 1}


@pytest.fixture
def out(tmp_path):
    """A finished run."""
    out = tmp_path / "out"
    (out / "run").mkdir(parents=True)
    (out / "settings.json").write_text(json.dumps(SETTINGS))
    for name in ("run/manifest.json", "run/segment-000000.safetensors", "run/.lock", "manifest.json", "report.html"):
        (out / name).write_text("old")
    return out


def contents(out):
    return {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}


def begin(run):
    run.mkdir(exist_ok=True)
    (run / "manifest.json").write_text("new")


def test_the_same_settings_go_on(out):
    before = contents(out)
    with run_folder(out, SETTINGS, again=False) as run:
        assert run == out / "run"
    assert contents(out) == before


def test_others_are_refused_and_again_discards_all(out):
    with pytest.raises(ValueError, match=r"seed 1 there, 2 here.*--again discards it"), \
            run_folder(out, {**SETTINGS, "seed": 2}, again=False):  # fmt: skip
        pass
    with run_folder(out, {**SETTINGS, "seed": 2}, again=True) as run:
        begin(run)
    assert contents(out) == {"run/manifest.json": "new", "settings.json": (out / "settings.json").read_text()}
    assert json.loads((out / "settings.json").read_text())["seed"] == 2 and not (out / ".discarded").exists()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(28, "full"), ZeroDivisionError()])
def test_a_run_refused_before_it_begins_brings_the_old_one_back(out, error):
    before = contents(out)
    with pytest.raises(type(error)) as caught, run_folder(out, {"seed": 3}, again=True):
        raise error
    named = isinstance(error, OSError) and caught.value.__cause__ is error  # a full disk says what to do
    assert (caught.value is error or named) and contents(out) == before and not (out / ".discarded").exists()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_run_refused_in_a_new_folder_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), run_folder(tmp_path / "a" / "b", SETTINGS, again=False):
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"', "{", "", "\x00\xff"])
def test_settings_that_are_none(out, text):
    (out / "settings.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"settings\.json .*expected a run's settings: --again"), \
            run_folder(out, SETTINGS, again=False):  # fmt: skip
        pass
    (out / "settings.json").unlink()
    with pytest.raises(ValueError, match=r"no settings\.json"), run_folder(out, SETTINGS, again=False):
        pass


def test_again_clears_what_has_no_manifest(out):
    (out / "run" / "manifest.json").unlink()
    with pytest.raises(ValueError, match="parts of a run but no manifest"), run_folder(out, SETTINGS, again=False):
        pass
    with run_folder(out, SETTINGS, again=True) as run:
        assert not run.exists()
        begin(run)
    assert set(contents(out)) == {"run/manifest.json", "settings.json"}


@pytest.mark.parametrize("name", ["thesis.txt", "segment-1.txt", "data/a.csv"])
def test_again_never_deletes_what_no_run_writes(out, name):
    (out / "run" / name).parent.mkdir(exist_ok=True)
    (out / "run" / name).write_text("precious")
    before = contents(out)
    with pytest.raises(ValueError, match="which no run writes"), run_folder(out, SETTINGS, again=True):
        pass
    assert contents(out) == before


def test_again_does_not_follow_links(out, tmp_path):
    (out / "run").rename(tmp_path / "elsewhere")
    (out / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="a file or a link"), run_folder(out, SETTINGS, again=True):
        pass
    assert (tmp_path / "elsewhere" / "manifest.json").exists()


def test_a_killed_again_is_cleaned_up_by_the_next(out):
    (out / ".discarded").mkdir()
    (out / ".discarded" / "report.html").write_text("older")
    with run_folder(out, SETTINGS, again=False):
        assert not (out / ".discarded").exists()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    "name", ["settings.json", "report.html", "manifest.json", ".discarded/thesis.txt", ".discarded"]
)
def test_files_of_others_are_refused_and_stay(tmp_path, name, again):
    """A user's own files may have the names of ours."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(ValueError, match="take another --out"), run_folder(tmp_path, SETTINGS, again):
        pass
    assert contents(tmp_path) == {name: '{"mine": 1}'}


def test_a_run_killed_while_it_set_another_aside_goes_on(tmp_path):
    (tmp_path / ".discarded" / "run").mkdir(parents=True)
    (tmp_path / ".discarded" / "settings.json").write_text(json.dumps(SETTINGS))
    with run_folder(tmp_path, SETTINGS, True) as run:
        run.mkdir()
        (run / "manifest.json").write_text("new")
    assert not (tmp_path / ".discarded").exists()
