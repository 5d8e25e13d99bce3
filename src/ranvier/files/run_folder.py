"""The folder of one `ranvier run`: held by one process at a time, going on with one run or starting it again.

    run/            the recording, segment by segment (`simulate(path=...)`)
    settings.json   the requested settings, written before the run begins
    report.html, neurons.csv, pairs.csv, activity.nwb, citations.txt
    manifest.json   written last: the run is finished
    .discarded/     what --again replaces, until the new run has begun
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ranvier.files.atomic import write_json
from ranvier.files.entries import shown
from ranvier.files.locks import FolderLock, folder_lock
from ranvier.files.reading import read_json

RESULTS = (
    "run", "settings.json", "manifest.json", "report.html", "neurons.csv", "pairs.csv", "activity.nwb", "citations.txt",
)  # fmt: skip
_DISCARDED = ".discarded"
#: what a run's folder may hold: files of `simulate(path=...)`, temporary ones of a writer that was killed, locks
_OURS = re.compile(r"\.?(manifest\.json|(traces|weights|(segment|state)-\d+)\.safetensors).*|\.lock.*")


@contextmanager
def run_folder(out: Path, settings: Mapping[str, Any], again: bool) -> Iterator[Path]:
    """Hold `out` to the end of the block and give the path of its recording.

    Nothing is changed before the folder is held. What is there must be a run of the same settings, or is discarded
    `again`; it comes back where the new run is refused before it begins, and what was new is taken away.

    Raises FolderInUseError where another process holds it, FileNotFoundError where it was deleted in the meantime,
    ValueError where it holds another run, or something that no run has written.
    """
    with folder_lock(out, "run") as lock:
        run, discarded = out / "run", out / _DISCARDED
        _require_own(out)
        if discarded.is_symlink():
            discarded.unlink()
        elif discarded.exists():  # of a run that was killed
            shutil.rmtree(discarded)
        if again:
            _set_aside(out, discarded)
        else:
            _require_same(out, settings)
        if not _begun(run):
            write_json(out / "settings.json", dict(settings))
        try:
            yield run
            lock.check()
        except BaseException as error:
            if not _begun(run):
                _restore(out, discarded)
            if isinstance(error, OSError):
                _name_the_cause(lock, error)
            raise
        finally:
            shutil.rmtree(discarded, ignore_errors=True)


def _require_own(out: Path) -> None:
    """Refuse a folder in which files lie under the names of ours that no run has written."""
    path, discarded = out / "settings.json", out / _DISCARDED
    if discarded.is_file() and not discarded.is_symlink():
        raise ValueError(f"{discarded} is a file; expected a folder, or none: move it away, or take another --out")
    if discarded.is_dir() and not discarded.is_symlink():
        if foreign := sorted(entry.name for entry in discarded.iterdir() if entry.name not in RESULTS):
            raise ValueError(
                f"{discarded} holds {foreign[0]!r}, which no run sets aside; expected a run's files alone: move it "
                "away, or take another --out"
            )
        if (discarded / "settings.json").exists():  # of a run that was killed
            return
    if path.exists() or path.is_symlink():
        try:
            known = read_json(path, "a run's settings")
        except (ValueError, OSError):
            known = None
        own = isinstance(known, dict) and {"seed", "wiring"} <= known.keys()
        if own or _begun(out / "run"):  # broken settings beside a run are said by `_require_same`
            return
        raise ValueError(f"{path} is not of `ranvier run`; expected a folder of its own: take another --out")
    for name in RESULTS[2:]:
        if (out / name).exists() and not _begun(out / "run"):
            raise ValueError(
                f"{out} holds {name} but no settings.json, so that no run has written it; expected a folder of a "
                "run, an empty or a new one: take another --out"
            )


def _begun(run: Path) -> bool:
    return (run / "manifest.json").is_file()


def _require_same(out: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder that holds a run of other settings, or the rest of one."""
    run, path = out / "run", out / "settings.json"
    remedy = "--again discards it, --out takes another folder"
    if not _begun(run):
        if run.is_dir() and any(entry.name.startswith(("segment-", "state-")) for entry in run.iterdir()):
            raise ValueError(f"{run} holds parts of a run but no manifest.json; expected a whole run: {remedy}")
        return
    if not path.is_file():
        raise ValueError(f"{out} holds a run but no settings.json; expected what `ranvier run` writes: {remedy}")
    known = read_json(path, f"a run's settings: {remedy}")
    if not isinstance(known, dict):
        raise ValueError(f"{path} holds {shown(known)}; expected a run's settings: {remedy}")
    here = json.loads(json.dumps(dict(settings)))
    differing = [key for key in here if known.get(key) != here[key]]
    options = [_difference(key, known.get(key), here[key]) for key in differing if key != "network"]
    if differing:
        what = "; ".join(options[:4]) or "the wiring's file, or what is made of it, has changed since"
        raise ValueError(f"{run} holds another run ({what}); expected the options that it was begun with: {remedy}")


def _difference(key: str, there: Any, here: Any) -> str:
    """An option by which two runs differ, as it is typed."""
    name = "WIRING" if key == "wiring" else f"--{key}"
    first = f"no {name}" if there is None else f"{name} {there!s:.60}"
    return f"{first} there, {'none' if here is None else f'{here!s:.60}'} here"


def _set_aside(out: Path, discarded: Path) -> None:
    run = out / "run"
    if run.is_symlink() or run.is_file():
        raise ValueError(f"{run} is a file or a link; expected a run's folder: move it away, or take another --out")
    for entry in sorted(run.iterdir()) if run.is_dir() else ():
        if entry.is_dir() or not _OURS.fullmatch(entry.name):
            raise ValueError(
                f"{run} holds {entry.name!r}, which no run writes; expected a run's files alone: move it away, or "
                "take another --out"
            )
    if run.is_dir():
        with folder_lock(run, "run"):  # of whoever simulates into it without this command
            pass
    discarded.mkdir()
    for name in RESULTS:
        if (out / name).exists():
            (out / name).rename(discarded / name)


def _restore(out: Path, discarded: Path) -> None:
    """Take back what a refused run left, and put back what it would have replaced; never hides the refusal."""
    with suppress(OSError):
        (out / "settings.json").unlink(missing_ok=True)
        with suppress(OSError):
            (out / "run").rmdir()
        for name in RESULTS:
            if (discarded / name).exists():
                (discarded / name).rename(out / name)


def _name_the_cause(lock: FolderLock, error: OSError) -> None:
    """Raise for a folder that was deleted while it was written to, whatever failed in consequence."""
    try:
        lock.check()
    except FileNotFoundError as cause:
        raise cause from error


__all__ = ["RESULTS", "run_folder"]
