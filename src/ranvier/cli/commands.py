"""The commands: each reads its options and hands them to a module that does the work, imported only then."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ranvier._progress import Progress
from ranvier.cli.advice import as_typed
from ranvier.cli.atlas import atlas_app
from ranvier.cli.completion import among
from ranvier.cli.errors import about, resumable
from ranvier.cli.terminal import plain_console, printer

# Plain help: rich would take as long to import as all the rest.
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(atlas_app, name="atlas", help="Published systems as claims: list, run, build the site.")


def _say_version(requested: bool) -> None:
    if requested:
        from ranvier import __version__

        typer.echo(f"ranvier {__version__}")
        raise typer.Exit


@app.callback()
def ranvier(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Networks of neurons, described once: simulated, predicted, trained, read."""


@app.command()
def run(
    wiring: Annotated[
        str,
        typer.Argument(
            help="larva, celegans, flybrain, or a file: edge list, matrix or graph.",
            autocompletion=among("larva", "celegans", "flybrain"),
        ),
    ] = "larva",
    neuron: Annotated[
        str | None,
        typer.Option(
            help="EIF (default), LIF, QIF, AdEx, Izhikevich, or Graded (the worm's).",
            autocompletion=among("EIF", "LIF", "QIF", "AdEx", "Izhikevich", "Graded"),
        ),
    ] = None,
    gain: Annotated[
        float | None, typer.Option(help="Strength: input fractions times this (mV ms; graded: of the leak).")
    ] = None,
    seconds: Annotated[
        str | None,
        typer.Option(help="Biological time, 300 (flybrain: 1), at least 2.5; '5 min' and the like too."),
    ] = None,
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
    rows: Annotated[
        str | None,
        typer.Option(help="Of a matrix: targets (default) or sources.", autocompletion=among("targets", "sources")),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Of an Excel workbook with several.")] = None,
    drive: Annotated[str | None, typer.Option(help="Constant input, mV.")] = None,
    noise: Annotated[str | None, typer.Option(help="SD of the free membrane, mV.")] = None,
    delay: Annotated[str | None, typer.Option(help="Of all synapses, ms; 1 (graded neurons have none).")] = None,
    dt: Annotated[str | None, typer.Option(help="Step, ms; 0.05, or 1 for graded neurons.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="All cores by default.")] = None,
    engine: Annotated[
        str, typer.Option(help="compiled or torch.", autocompletion=among("compiled", "torch"))
    ] = "compiled",
    connections: Annotated[
        str | None, typer.Option(help="flybrain: a connectome's table, with --nodes; drawn by default.")
    ] = None,
    drive_neurons: Annotated[
        str | None, typer.Option(help="flybrain: ids, names, types or classes, 'A,B', or a file, one a line.")
    ] = None,
    silence: Annotated[
        str | None, typer.Option(help="flybrain: neurons to silence, run beside the intact brain.")
    ] = None,
    jobs: Annotated[
        str, typer.Option(help="flybrain: rates run at the same time; or a dask scheduler's address, tcp://host:8786.")
    ] = "1",
    rates: Annotated[str, typer.Option(help="flybrain: rates of the drive, Hz.")] = "50,100,150",
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of the numbers: csv, nwb, 'csv,nwb' (default) or none.",
            autocompletion=among("csv", "nwb", "csv,nwb", "none"),
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; out/NAME by default.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Start again; discards the folder's run.")] = False,
) -> None:
    """Simulate a brain from its wiring and write a page about it: by default the fruit-fly larva's.

    \b
    Examples:
      ranvier run                                     the larva, 5 minutes of its time
      ranvier run celegans --seconds 60               the worm
      ranvier run edges.csv --signs "LN=-1,GABA=-1"   your wiring, with inhibitory classes
      ranvier run table.csv --columns source=pre,target=post,weight=n
      ranvier run matrix.npy --rows sources --neuron LIF --out out/mine
      ranvier run flybrain --silence DNa02 --rates 100
    """
    with resumable() as beginnings:
        if wiring == "flybrain":
            from ranvier.cli.flies import run_fly

            page = run_fly(
                out or Path("out/flybrain"), connections=connections, nodes=nodes, drive_neurons=drive_neurons,
                silence=silence, rates=rates, seconds=seconds or "1", seed=seed, jobs=jobs,
                threads=threads, again=again, say=printer(),
            )  # fmt: skip
            printer()(f"report: {page}")
            return
        if connections or drive_neurons or silence or jobs != "1":
            raise ValueError(
                f"the wiring is {wiring!r} with options of flybrain; expected flybrain: `ranvier run flybrain`"
            )
        from ranvier.cli.exports import chosen_formats
        from ranvier.cli.runs import RunSettings, execute

        chosen = chosen_formats(formats)
        settings = RunSettings(
            wiring=wiring,
            neuron=neuron,
            gain=gain,
            seconds=seconds or "300",
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
        say = printer()
        out = Path("out") / settings.name if out is None else out
        beginnings.append(out / "run" / "manifest.json")
        report = execute(settings, out, threads=threads, again=again, formats=chosen, say=say)
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
    """Read a language model's neurons and write a page about them.

    \b
    Examples:
      ranvier read smollm2
      ranvier read path/to/model --data en=english.txt --data de=german.txt
    """
    with resumable() as beginnings:
        from ranvier.cli.reads import RECORDED, page_folder
        from ranvier.cli.reads import read as write_page

        say = printer()
        out = page_folder(model) if out is None else out
        beginnings.append(out / RECORDED)
        say(f"report: {write_page(model, data or (), out, texts=texts, say=say)}")


@app.command()
def look(
    recording: Annotated[Path, typer.Argument(help="NWB, .npz, .npy, .mat, a table, or a saved simulation's folder.")],
    activity: Annotated[str | None, typer.Option(help="Array of continuous activity, (time, neurons).")] = None,
    counts: Annotated[str | None, typer.Option(help="Array of spike counts, (time, neurons); with --bin.")] = None,
    bin: Annotated[float | None, typer.Option(help="ms from sample to sample of an array.")] = None,
    times: Annotated[str | None, typer.Option(help="Array of times.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="Of times: s (default), ms, min.", autocompletion=among("s", "ms", "min"))
    ] = None,
    behaviour: Annotated[
        list[str] | None, typer.Option(help="An array or column; NAME:2 is its column 2. May be repeated.")
    ] = None,
    circular: Annotated[list[str] | None, typer.Option(help="A behaviour in radians, round the circle.")] = None,
    transpose: Annotated[bool, typer.Option("--transpose", help="Where an array's rows are neurons.")] = False,
    out: Annotated[Path | None, typer.Option(help="The page; RECORDING.html here by default.")] = None,
) -> None:
    """Write a page about a recording: activity, behaviour, dimension, manifold, decoding, strongest pairs.

    \b
    Examples:
      ranvier look session.nwb --behaviour speed
      ranvier look traces.npy --bin 33.3 --out traces.html
      ranvier look out/larva/run
    """
    with resumable("no page was written"):
        from ranvier.cli.looks import read_for_look
        from ranvier.files.atomic import require_writable
        from ranvier.report.session_page import write_session_page

        page = out or Path(f"{recording.name.partition('.')[0] or recording.name}.html")
        require_writable(page)
        with about(recording):
            session = read_for_look(
                recording, activity=activity, counts=counts, bin=bin, times=times, unit=unit, behaviour=behaviour,
                circular=circular, transpose=transpose,
            )  # fmt: skip
            page = write_session_page(page, session)
        for note in session.notes:
            printer()(as_typed(note))
        printer()(f"{session!r}")
        printer()(f"page: {page}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Side by side with the peers that are installed; needs a checkout of the repository.

    \b
    Example:
      ranvier bench --quick
    """
    import subprocess

    root = Path(__file__).resolve().parents[3]
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
    with resumable("the search was not finished"):
        import torch

        from ranvier.verify.competition import run_instance

        torch.set_num_threads(threads)
        console = plain_console()
        with Progress("verifying", unit="domains", show=console.is_terminal, transient=True, console=console) as bar:
            result = run_instance(
                network, prop, timeout=timeout, out=out, branching=branching, seed=seed,  # type: ignore[arg-type]
                report=lambda domains, left, margin: bar.to(domains, f"{left} left, margin {margin:.4g}"),
            )  # fmt: skip
    say = printer()
    note = f": {result.note}" if result.note else ""
    say(f"{result.verdict} ({result.domains} domains, {result.seconds:.1f} s){note}")
    if result.counterexample is not None:
        say(f"counterexample: {result.counterexample.reshape(-1)[:10].tolist()}")


__all__ = ["app"]
