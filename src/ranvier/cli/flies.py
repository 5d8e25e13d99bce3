"""`ranvier run flybrain`: drive and silence neurons of a whole connectome, drawn or the user's, at several rates."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ranvier.files.atomic import require_writable, write_atomic
from ranvier.files.locks import folder_lock
from ranvier.files.reading import read_text


def run_fly(
    out: Path,
    *,
    connections: str | None,
    nodes: str | None,
    drive_neurons: str | None,
    silence: str | None,
    rates: str,
    seconds: str,
    seed: int,
    threads: int | None,
    jobs: str,
    again: bool,
    say: Callable[[str], Any],
) -> Path:
    """Run every rate that is not there yet, intact and silenced; write `rates.csv` and the page; return the page's
    path. Raises ValueError for ids that are not in the connectome, and numbers that are none."""
    import numpy as np

    from ranvier.brains import dose_response, find, fly_wiring, followers, read_connectome, shown
    from ranvier.cli.runs import in_milliseconds
    from ranvier.report.dose_page import write_dose_page

    require_writable(out / "rates.csv", out / "report.html")
    doses = [_number(text, "--rates", 0.0, 5000.0) for text in rates.split(",")]
    duration = round(10 * in_milliseconds(seconds, 1.0, 1e9)) / 10
    brain = fly_wiring() if connections is None else read_connectome(connections, nodes)
    for note in brain.notes:
        say(note)
    if drive_neurons is not None:
        driven = find(brain, _words(drive_neurons), "--drive-neurons")
    else:
        output = np.bincount(brain.sources, np.clip(brain.counts, 0, None), len(brain.ids))
        order = np.argsort(output, kind="stable")[np.sort(output) > 0]
        band = order[int(0.97 * len(order)) : max(int(0.99 * len(order)), int(0.97 * len(order)) + 1)]
        driven = np.sort(np.random.default_rng(seed).choice(band, min(20, len(band)), replace=False))
        say(f"no --drive-neurons: {len(driven)} excitatory neurons of strong output are driven")
    silent = None if silence is None else find(brain, _words(silence), "--silence")
    with folder_lock(out, "run"):
        if again:
            _discard_doses(out)
        options: dict[str, Any] = {
            "duration": duration, "seed": seed, "threads": threads or 1, "jobs": jobs, "say": say
        }  # fmt: skip
        intact = dose_response(brain, driven, doses, out / "doses", **options)
        without = None
        if silent is not None:
            without = dose_response(brain, driven, doses, out / "silenced", silenced=silent, **options)
        names = shown(brain)
        active = sorted({int(i) for x in intact.values() for i in x["rates"]})
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(["neuron", *(f"{rate:g} Hz" for rate in doses)])
        for i in active:
            table.writerow([names[i], *(intact[rate]["rates"].get(str(i), 0.0) for rate in doses)])
        write_atomic(out / "rates.csv", text.getvalue())
        top = max(doses)
        measured = np.zeros(len(names))
        for i, value in intact[top]["rates"].items():
            measured[int(i)] = value
        prediction = followers(brain, driven, top)
        return write_dose_page(
            out / "report.html", title="The brain of an adult fruit fly", names=names, doses=intact, silenced=without,
            notes=brain.notes, duration=duration, predicted=prediction.rates, agreement=prediction.agreement(measured),
        )  # fmt: skip


def _discard_doses(out: Path) -> None:
    """Remove the doses of an earlier run, and nothing else: ValueError for a file that no run has written."""
    known = [entry for name in ("doses", "silenced") if (out / name).is_dir() for entry in (out / name).iterdir()]
    for entry in known:
        if not (entry.is_file() and re.fullmatch(r"\.?rate-.*\.json.*", entry.name)):
            raise ValueError(f"{entry} was written by no run; expected doses alone: move it, or take another --out")
    for entry in known:
        entry.unlink()


def _words(text: str) -> list[str]:
    """What stands between commas, or the lines of a file."""
    path = Path(text)
    return read_text(path, "neurons, one a line").splitlines() if path.is_file() else text.split(",")


def _number(text: str, option: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ValueError(f"{option} is {text!r:.40}; expected a number from {low:g} to {high:g}")
    return value
