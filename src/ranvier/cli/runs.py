"""`ranvier run`: build the network, simulate it into a resumable folder, write the page beside it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier._progress import Progress, listening
from ranvier._steps import nearest_steps
from ranvier._text import plural
from ranvier.brains import Job, celegans, from_edges, larva, read_signs
from ranvier.cli.advice import as_typed
from ranvier.cli.exports import write_numbers
from ranvier.files.atomic import require_writable, write_json
from ranvier.files.manifest import manifest
from ranvier.files.run_folder import RESULTS, run_folder

if TYPE_CHECKING:
    from ranvier.report import Comparison

BUILT_IN: dict[str, Callable[..., Job]] = {"larva": larva, "celegans": celegans}
DT, DT_GRADED = 0.05, 1.0  # ms; graded neurons and synapses change within 10 ms and more
SHORTEST = 2500.0  # ms, that the report needs


@dataclass(frozen=True)
class RunSettings:
    """What determines a run, as typed; quantities may carry units."""

    wiring: str = "larva"
    neuron: str | None = None
    gain: float | None = None
    seconds: str = "300"
    seed: int = 0
    signs: str | None = None
    drive: str | None = None
    noise: str | None = None
    delay: str | None = None
    dt: str | None = None
    engine: str = "compiled"
    columns: str | None = None
    header: bool | None = None
    delimiter: str | None = None
    nodes: str | None = None
    rows: str | None = None
    sheet: str | None = None

    @property
    def name(self) -> str:
        """Of the folder: the built-in wiring's, or the file's without its endings."""
        return self.wiring if self.wiring in BUILT_IN else Path(self.wiring).name.split(".")[0] or "network"

    @property
    def command(self) -> str:
        """What is typed for the same run."""
        words = ["ranvier", "run", self.wiring]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if isinstance(value, bool):
                words.append("--header" if value else "--no-header")
            elif value != field.default:
                words += [f"--{field.name}", str(value)]
        return shlex.join(words)


def execute(
    settings: RunSettings,
    out: Path,
    *,
    threads: int | None = None,
    again: bool = False,
    formats: Sequence[str] = (),
    say: Callable[[str], Any] = print,
) -> Path:
    """Do what is not yet done of a run and return the path of its report; beside it lie the numbers, in `formats`.

    The folder is held from before the first change until the report is written. The run lies in out/run, segment by
    segment; the same settings go on with it, others are refused unless `again`, which discards it. Raises
    ValueError, TypeError or FileNotFoundError for what cannot be run, FolderInUseError for a folder in which another
    process runs, each before anything is written.
    """
    began = time.perf_counter()
    from ranvier.networks.store import fingerprint

    job = build(settings)
    dt = milliseconds(settings.dt, DT_GRADED if job.record else DT, "--dt")
    # what is recorded, at the nearest whole number of steps
    record = [replace(probe, interval=nearest_steps(probe.interval, dt) * dt) for probe in job.record]
    duration = round(in_milliseconds(settings.seconds, SHORTEST, 1e11) / dt) * dt
    requested = {**asdict(settings), "network": fingerprint(job.network)}
    threads = threads or _cores()
    with run_folder(out, requested, again) as folder:
        require_writable(*(out / name for name in RESULTS if "." in name))
        size, edges = job.network.size, sum(projection.size for projection in job.network.projections)
        what = f"{plural(size, job.what.removesuffix('s'), job.what)}, {plural(edges, 'connection')}"
        say(f"{job.title}: {what}, {duration / 1000:g} s, dt {dt:g} ms")
        notes = [as_typed(note) for note in job.notes]
        for note in notes:
            say(note)
        if (out / "manifest.json").is_file():
            say("this run is finished already: its page and numbers are written again; --again simulates again")

        from ranvier import report
        from ranvier.engines import simulate

        built = time.perf_counter()
        recording = simulate(
            job.network,
            duration,
            dt=dt,
            seed=settings.seed,
            engine=settings.engine,
            threads=threads,
            record=record,
            path=folder,
            progress=True,
        )
        simulated = time.perf_counter()
        comparison, refusal, facts = _predicted(job, recording, threads, say)
        predicted = time.perf_counter()
        say("writing the report")
        measured = report.measure(job.network, recording, comparison, classes=job.classes)
        results = manifest(
            command=settings.command,
            **requested,
            duration_ms=duration,
            dt_ms=dt,
            threads=threads,
            wall_seconds={
                "build": round(built - began, 2),
                "simulate": round(simulated - built, 2),
                "predict": round(predicted - simulated, 2),
            },
            prediction=refusal if comparison is None else dict(comparison.table()),
        )
        page = report.write(
            out / "report.html",
            job.network,
            recording,
            title=job.title,
            summary=f"{job.what[0].upper()}{job.what[1:]} on its wiring, simulated for {duration / 1000:g} s of "
            f"biological time in steps of {dt:g} ms.",
            notes=notes,
            assumptions=job.assumptions,
            cautions=job.cautions,
            citations=job.citations,
            facts=facts,
            measured=measured,
            sections=[] if comparison else [report.Section("Predicted beside simulated", [refusal])],
            classes=job.classes,
            glossary=job.glossary,
            manifest=results,
        )
        write_numbers(
            out, formats, measured, recording, title=job.title, citations=job.citations, say=say
        )
        write_json(out / "manifest.json", results)
    return page


def _predicted(
    job: Job, recording: Any, threads: int, say: Callable[[str], Any]
) -> tuple[Comparison | None, str, Callable[[Any], Any] | None]:
    """What theory says of the network, beside the recording, or why it says nothing: (comparison, refusal, facts).

    Where the theory does not hold, the page says why, and the job's own estimate of the coupling stays.
    """
    from ranvier import report
    from ranvier.theory import Prediction, predict

    say("predicting, from the wiring alone")
    try:
        with Progress("predicting", 2, unit="stages") as bar, listening(bar.note):
            prediction = predict(job.network, threads=threads)
            bar.advance(note="at the simulation's step")
            comparison = report.compare(recording, prediction)
            bar.advance()
    except (ValueError, NotImplementedError, ArithmeticError, MemoryError) as error:
        why = as_typed(str(error) or type(error).__name__)
        say(f"no prediction: {why}")
        return None, f"The theory does not reach here: {why}.", job.facts
    return comparison, "", None if isinstance(prediction, Prediction) else job.facts


def build(settings: RunSettings) -> Job:
    """The network that the settings describe; a file is read by `ranvier.networks.read_edges`."""
    options: dict[str, Any] = {
        "gain": settings.gain,
        "signs": read_signs(settings.signs) if settings.signs else {},
    }
    for name, unit in (("drive", "mV"), ("noise", "mV"), ("delay", "ms")):
        options[name] = _quantity(getattr(settings, name), unit, f"--{name}")
    if settings.neuron:
        options["neuron"] = settings.neuron
    if settings.wiring in BUILT_IN:
        for option in ("columns", "header", "delimiter", "nodes", "rows", "sheet"):
            if getattr(settings, option) is not None:
                raise ValueError(
                    f"--{option} is for a file; {settings.wiring} comes with the package; expected it absent: "
                    "leave it out"
                )
        return BUILT_IN[settings.wiring](**options)
    path = Path(settings.wiring)
    if not settings.wiring or not os.path.lexists(path):
        raise FileNotFoundError(
            f"there is no file {settings.wiring!r}; expected {', '.join(BUILT_IN)}, flybrain, or the path of a wiring: "
            "an edge list, a matrix or a graph"
        )
    from ranvier.networks import read_edges

    edges = read_edges(
        path,
        columns=_columns(settings.columns),
        header=settings.header,
        delimiter=_delimiter(settings.delimiter),
        nodes=settings.nodes,
        rows=settings.rows,
        sheet=settings.sheet,
    )
    return from_edges(edges, title=path.name, **options)


def _columns(text: str | None) -> dict[str, str | int] | tuple[str, ...] | None:
    """"source=pre,target=3" as names and places, or "source,target,weight" as roles in order."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not any("=" in part for part in parts):
        return tuple(parts)
    pairs = [part.partition("=")[::2] for part in parts]
    return {role.strip(): int(name) if name.strip().isdecimal() else name.strip() for role, name in pairs}


def _delimiter(text: str | None) -> str | None:
    """One character, or a word for one."""
    named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|"}
    delimiter = named.get(text or "", text)
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(f"--delimiter is {text!r}; expected one character, or one of {', '.join(named)}")
    return delimiter


def milliseconds(text: str | None, default: float, option: str) -> float:
    """A time in ms from text such as "0.1" or "100 us"; positive."""
    value = _quantity(text, "ms", option)
    if value is not None and not value > 0:
        raise ValueError(f"{option} is {text!r}; expected a time above 0 ms")
    return default if value is None else value


def _quantity(text: str | None, unit: str, option: str) -> float | None:
    from ranvier.equations import quantity

    if text is None:
        return None
    try:
        return quantity(text, unit)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def in_milliseconds(text: str, low: float, high: float) -> float:
    """--seconds in ms, from `low` to `high`: a bare number means seconds, others carry their unit."""
    from ranvier.equations import quantity

    try:
        value = float(text) * 1000.0
    except ValueError:
        try:
            value = quantity(text, "ms")
        except ValueError:
            value = float("nan")
    if not low <= value <= high:
        raise ValueError(
            f"--seconds is {text!r:.60}; expected a number of seconds, {low / 1000:g} to {high / 1000:g}, such as 300, "
            "or a time with its unit, such as '5 min'"
        )
    return value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
