"""`ranvier atlas`: list, run, site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ranvier._progress import Progress
from ranvier._text import printable
from ranvier.cli.completion import among, atlas_names
from ranvier.cli.errors import resumable
from ranvier.cli.terminal import plain_console, printer
from ranvier.files.atomic import require_writable

atlas_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@atlas_app.command("list")
def atlas_list(
    results: Annotated[Path, typer.Option(help="Folder of results.")] = Path("out/atlas"),
) -> None:
    """Name every system, its claims and, where it was run, their verdicts; in a pipe a line a system, parted by tabs.

    \b
    Examples:
      ranvier atlas list
      ranvier atlas list | grep refuted
    """
    from collections import Counter

    from rich.table import Table

    from ranvier.atlas import listing
    from ranvier.atlas.execution import read_result, standing

    console, rows = plain_console(), []
    table = Table(box=None, pad_edge=False)
    for column in ("name", "title", "claims", "verdicts"):
        table.add_column(column, no_wrap=column == "name")
    for name, title, claims in listing():
        result = read_result(results, name)
        verdicts = Counter(map(standing, result.get("claims", ()) if result else ()))
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "not run"
        size = str(verdicts.total() or claims or "several")
        rows.append([printable(x) for x in (name, title, size, counted)])
        table.add_row(*rows[-1])
    if console.is_terminal:
        console.print(table)
    for row in rows if not console.is_terminal else ():
        print("\t".join(row))


@atlas_app.command("run")
def atlas_run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", show_default=False, autocompletion=atlas_names)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every system.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    size: Annotated[
        str, typer.Option(help="small (seconds) or full.", autocompletion=among("small", "full"))
    ] = "small",
    jobs: Annotated[
        str, typer.Option(help="Systems run at the same time; or a dask scheduler's address, tcp://host:8786.")
    ] = "1",
    results: Annotated[Path, typer.Option(help="Folder of results.")] = Path("out/atlas"),
    again: Annotated[bool, typer.Option("--again", help="Run finished ones again.")] = False,
) -> None:
    """Run systems, each with its mutants; finished ones are skipped, so a stopped run goes on.

    \b
    Examples:
      ranvier atlas run hopfield --size full
      ranvier atlas run --all --jobs 4
    """
    with resumable() as beginnings:
        from ranvier.atlas import experiments, get, run

        if bool(names) == everything:
            count = "both" if names else "neither"
            raise ValueError(
                f"there is {count} of NAME and --all; expected one of them: name the "
                "systems to run, or give --all alone"
            )
        if size not in ("small", "full"):
            raise ValueError(f"--size is {size!r}; expected small or full")
        chosen = list(experiments().values()) if everything else [get(name) for name in dict.fromkeys(names or [])]
        beginnings += [results / experiment.name / "result.json" for experiment in chosen]
        require_writable(*beginnings)
        done = []
        console = plain_console()
        with Progress("atlas", len(chosen), transient=True, console=console) as bar:
            say = printer(console)
            for result in run(chosen, results, seed=seed, size=size, jobs=jobs, again=again):  # type: ignore[arg-type]
                done.append(result)
                bar.advance()
                say(_line(result))
    say = printer()
    say(f"results: {results}")
    broken = [result["name"] for result in done if "error" in result]
    survivors = [
        f"{result['name']}: {claim['text']}"
        for result in done
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
    """Build static pages of all systems from the results there are.

    \b
    Example:
      ranvier atlas site --results out/atlas --out out/site
    """
    with resumable("the pages are not all written"):
        require_writable(out / "index.html")
        from ranvier.atlas import experiments
        from ranvier.atlas.site import build

        printer()(str(build(experiments().values(), results, out)))


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"failed      {result['name']}: {result['error']}"
    from ranvier.atlas.execution import standing

    verdicts = [standing(claim) for claim in result["claims"]]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    when = "already run" if result.get("skipped") else f"{result['seconds']:.1f} s"
    return f"{result['name']}: {counted} ({when})"


__all__ = ["atlas_app"]
