"""The command line. Nothing heavy is imported before a command needs it: `ranvier --help` stays quick."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ranvier._progress import Progress
from ranvier._text import one_line, printable, spell_out_on_terminals

# Plain help: rich would take as long to import as all the rest.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
atlas_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(atlas_app, name="atlas", help="Published systems as claims: list, run, build the site.")

MISTAKE, FAULT, INTERRUPTED = 2, 1, 130
_MISTAKES = (ValueError, TypeError, OSError, RuntimeError, FloatingPointError, ImportError, MemoryError)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GOES_ON = "the same command goes on from here"


@app.callback()
def ranvier() -> None:
    """Networks of neurons, described once: simulated, predicted, trained, read."""


@app.command()
def run(
    wiring: Annotated[
        str, typer.Argument(help="larva, celegans, or a file: edge list, matrix or graph.")
    ] = "larva",
    neuron: Annotated[
        str | None, typer.Option(help="EIF (default), LIF, QIF, AdEx, Izhikevich, or Graded (the worm's).")
    ] = None,
    gain: Annotated[
        float | None, typer.Option(help="Strength: input fractions times this (mV ms; graded: of the leak).")
    ] = None,
    seconds: Annotated[str, typer.Option(help="Biological time, at least 2.5; '5 min' and the like too.")] = "300",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    signs: Annotated[
        str | None, typer.Option(help="'class=-1,...' or a file of lines 'class,sign'; a neuron's name too.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Of a table: 'source=pre,target=3,...', or roles in order: 'source,target'.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether a table's first line names its columns.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a table: a character, tab, comma, space ...")] = None,
    nodes: Annotated[
        str | None, typer.Option(help="File with one node a line: id, and perhaps class, transmitter, sign.")
    ] = None,
    rows: Annotated[str | None, typer.Option(help="Of a matrix: targets (default) or sources.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Of an Excel workbook with several.")] = None,
    drive: Annotated[str | None, typer.Option(help="Constant input, mV.")] = None,
    noise: Annotated[str | None, typer.Option(help="SD of the free membrane, mV.")] = None,
    delay: Annotated[str | None, typer.Option(help="Of all synapses, ms; 1 (graded neurons have none).")] = None,
    dt: Annotated[str | None, typer.Option(help="Step, ms; 0.05, or 0.5 for graded neurons.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="All cores by default.")] = None,
    engine: Annotated[str, typer.Option(help="compiled or torch.")] = "compiled",
    out: Annotated[Path | None, typer.Option(help="Folder; out/NAME by default.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Start anew; discards the folder's run.")] = False,
) -> None:
    """Simulate a brain from its wiring and write a page about it: by default the fruit-fly larva's."""
    with _resumable() as beginnings:
        from ranvier._runs import RunSettings, execute

        settings = RunSettings(
            wiring=wiring,
            neuron=neuron,
            gain=gain,
            seconds=seconds,
            seed=seed,
            signs=signs,
            drive=drive,
            noise=noise,
            delay=delay,
            dt=dt,
            engine=engine,
            columns=columns,
            header=header,
            delimiter=delimiter,
            nodes=nodes,
            rows=rows,
            sheet=sheet,
        )
        say = _say()
        out = Path("out") / settings.name if out is None else out
        beginnings.append(out / "run" / "manifest.json")
        report = execute(settings, out, threads=threads, again=again, say=say)
        say(f"report: {report}")


@app.command()
def read(
    model: Annotated[str, typer.Argument(help="A folder of safetensors, or a name in the cache (make models).")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="Texts, one a line: FILE, or LANGUAGE=FILE for two languages and more; once each."),
    ] = None,
    texts: Annotated[int, typer.Option(min=4, help="Lines read of each file.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Folder; out/NAME by default.")] = None,
) -> None:
    """Read a language model's neurons and write a page about them."""
    with _resumable():
        from ranvier._reads import read as write_page

        say = _say()
        say(f"report: {write_page(model, data or (), out, texts=texts, say=say)}")


@app.command()
def look(
    recording: Annotated[Path, typer.Argument(help="NWB, .npz, .npy, .mat, a table, or a saved simulation's folder.")],
    activity: Annotated[str | None, typer.Option(help="Array of continuous activity, (time, neurons).")] = None,
    counts: Annotated[str | None, typer.Option(help="Array of spike counts, (time, neurons); with --bin.")] = None,
    bin: Annotated[float | None, typer.Option(help="ms from sample to sample of an array.")] = None,
    times: Annotated[str | None, typer.Option(help="Array of times.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of times: s (default), ms, min.")] = None,
    behaviour: Annotated[
        list[str] | None, typer.Option(help="An array or column; NAME:2 is its column 2. May be repeated.")
    ] = None,
    circular: Annotated[list[str] | None, typer.Option(help="A behaviour in radians, round the circle.")] = None,
    transpose: Annotated[bool, typer.Option("--transpose", help="Where an array's rows are neurons.")] = False,
    out: Annotated[Path | None, typer.Option(help="The page; RECORDING.html here by default.")] = None,
) -> None:
    """Write a page about a recording: activity, behaviour, dimension, manifold, decoding, strongest pairs."""
    from ranvier._looks import read_for_look
    from ranvier.report.session_page import write_session_page

    session = read_for_look(
        recording, activity=activity, counts=counts, bin=bin, times=times, unit=unit, behaviour=behaviour,
        circular=circular, transpose=transpose,
    )  # fmt: skip
    page = write_session_page(out or Path(f"{recording.name.partition('.')[0] or recording.name}.html"), session)
    _say()(f"{session!r}")
    _say()(f"page: {page}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Side by side with the peers that are installed; needs a checkout of the repository."""
    import subprocess

    root = Path(__file__).resolve().parents[2]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise ValueError("benchmarks do not lie beside the package; expected a checkout: git clone, then make bench")
    process = subprocess.run([sys.executable, "-m", "benchmarks", *context.args], cwd=root, check=False)
    raise typer.Exit(process.returncode)


@app.command()
def verify(
    network: Annotated[Path, typer.Argument(help="A network in an ONNX file, gzipped or not.")],
    prop: Annotated[Path, typer.Argument(metavar="PROPERTY", help="What is unsafe, in a VNN-LIB file.")],
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds.")] = 60.0,
    branching: Annotated[str, typer.Option(help="auto, inputs, bbps, random or none.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="File for the result, as VNN-COMP writes it.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of matrix products.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the search for counterexamples.")] = 0,
) -> None:
    """Prove a property of a network, or find a counterexample: verified, falsified or unknown."""
    with _resumable("the search was not finished"):
        import torch

        from ranvier.verify.competition import run_instance

        torch.set_num_threads(threads)
        console = _console()
        with Progress("verifying", unit="domains", show=console.is_terminal, transient=True, console=console) as bar:
            result = run_instance(
                network, prop, timeout=timeout, out=out, branching=branching, seed=seed,  # type: ignore[arg-type]
                report=lambda domains, left, margin: bar.to(domains, f"{left} left, margin {margin:.4g}"),
            )  # fmt: skip
    say = _say()
    note = f": {result.note}" if result.note else ""
    say(f"{result.verdict} ({result.domains} domains, {result.seconds:.1f} s){note}")
    if result.counterexample is not None:
        say(f"counterexample: {result.counterexample.reshape(-1)[:10].tolist()}")


@atlas_app.command("list")
def atlas_list(
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("out/atlas"),
) -> None:
    """Name every system, its claims and, where it was run, their verdicts."""
    from collections import Counter

    from rich.table import Table

    from ranvier.atlas import experiments
    from ranvier.atlas.execution import read_result

    table = Table(box=None, pad_edge=False)
    for column in ("name", "title", "claims", "verdicts"):
        table.add_column(column, no_wrap=column == "name")
    for name, experiment in experiments().items():
        result = read_result(out, name)
        verdicts = Counter(claim["verdict"] for claim in result["claims"]) if result else {}
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "not run"
        table.add_row(*map(printable, (name, experiment.title, str(len(experiment.claims)), counted)))
    _console().print(table)


@atlas_app.command("run")
def atlas_run(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every system.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    size: Annotated[str, typer.Option(help="small (seconds) or full.")] = "small",
    jobs: Annotated[int, typer.Option(min=1, help="Systems run at the same time.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("out/atlas"),
    again: Annotated[bool, typer.Option("--again", help="Run finished ones anew.")] = False,
) -> None:
    """Run systems, each with its mutants; finished ones are skipped, so a stopped run goes on."""
    with _resumable() as beginnings:
        from ranvier.atlas import experiments, get, run

        if bool(names) == everything:
            count = "both" if names else "neither"
            raise ValueError(f"there is {count} of NAME and --all: name the systems to run, or give --all alone")
        if size not in ("small", "full"):
            raise ValueError(f"--size is {size!r}; expected small or full")
        chosen = (
            list(experiments().values()) if everything else [get(name) for name in dict.fromkeys(names or [])]
        )
        beginnings += [out / experiment.name / "result.json" for experiment in chosen]
        results = []
        console = _console()
        with Progress("atlas", len(chosen), transient=True, console=console) as bar:
            say = _say(console)
            for result in run(chosen, out, seed=seed, size=size, jobs=jobs, again=again):  # type: ignore[arg-type]
                results.append(result)
                bar.advance()
                say(_line(result))
    say = _say()
    say(f"results: {out}")
    broken = [result["name"] for result in results if "error" in result]
    survivors = [
        f"{result['name']}: {claim['text']}"
        for result in results
        for claim in result.get("claims", ())
        if claim["mutant_verdict"] != "refuted" and claim["verdict"] != "untested"
    ]
    for survivor in survivors:
        say(f"the mutant survives: {survivor}")
    if broken or survivors:
        raise typer.Exit(1)


@atlas_app.command("site")
def atlas_site(
    results: Annotated[Path, typer.Option("--results", help="Folder of results.")] = Path("out/atlas"),
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("out/site"),
) -> None:
    """Build static pages of all systems from the results there are."""
    from ranvier.atlas import experiments
    from ranvier.atlas.site import build

    _say()(str(build(experiments().values(), results, out)))


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"failed      {result['name']}: {result['error']}"
    verdicts = [claim["verdict"] for claim in result["claims"]]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    when = "already run" if result.get("skipped") else f"{result['seconds']:.1f} s"
    return f"{result['name']}: {counted} ({when})"


def _console() -> Any:
    """A terminal on which text is text: brackets are no markup, colons no pictures."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def _say(console: Any = None) -> Any:
    """A function that prints one line, whatever it holds."""
    console = console or _console()
    return lambda text: console.print(one_line(text), markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def _resumable(afterwards: str = "") -> Iterator[list[Path]]:
    """Turn Ctrl-C into one line and exit code 130; say of a full disk that the work so far is kept.

    Gives a list for the files of which one is enough to go on from; `afterwards` is what else is to be said.
    """
    beginnings: list[Path] = []
    try:
        yield beginnings
    except KeyboardInterrupt:
        begun = any(os.path.exists(path) for path in beginnings)
        then = afterwards or (_GOES_ON if begun else "nothing is there yet to go on from")
        print(f"stopped; {then}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(error.errno, f"{_described(error)}; make room, and {_GOES_ON}") from error
        raise


def _described(error: BaseException) -> str:
    """An error in one line: what it says, with the file that it is about."""
    if isinstance(error, OSError) and error.errno is not None:
        strerror = str(error.strerror)
        return f"{error.filename}: {strerror}" if error.filename and str(error.filename) not in strerror else strerror
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}; expected a machine with more, or a smaller network"
    return str(error) or type(error).__name__


def _complain(message: str) -> None:
    print(f"ranvier: {one_line(message)}", file=sys.stderr)


def _guarded() -> int:
    """Run the command; an error becomes a line on stderr and an exit code."""
    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # of the parser of arguments
            context: Any = getattr(error, "ctx", None)
            usage = context.command_path if context else "ranvier"
            if "Usage:" in error.format_message():
                print(error.format_message(), file=sys.stderr)
            else:
                _complain(f"{error.format_message().rstrip('.?')}; see {usage} --help")
            return MISTAKE
        if os.environ.get("RANVIER_TRACEBACK"):
            raise
        if isinstance(error, _MISTAKES):
            _complain(_described(error))
            return MISTAKE
        _complain(
            f"{type(error).__name__}: {error}; this is a fault of Ranvier: please report it with what "
            "RANVIER_TRACEBACK=1 shows"
        )
        return FAULT


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit code 2, Ctrl-C in 130.

    With the environment variable RANVIER_TRACEBACK set, the whole traceback is shown instead.
    """
    spell_out_on_terminals()
    raise SystemExit(_guarded())
