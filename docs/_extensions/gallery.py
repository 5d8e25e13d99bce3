"""The atlas as a gallery: some systems are run at their small size while the pages are built; all are listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ranvier as rv
from ranvier.atlas.execution import read_result
from ranvier.files.atomic import write_atomic
from ranvier.files.pages import significant

FOLDER = Path(__file__).parents[1] / "gallery"
#: results of earlier builds: a system that did not change is not run again
RESULTS = Path(__file__).parents[1] / "_build" / "atlas"
#: systems that are run for the pages: some seconds each
RUN = (
    "adex", "bistability", "first_integrals", "hamux", "hopfield", "least_squares", "liquid", "ngrc", "oja",
    "pair_stdp",
)  # fmt: skip


def _number(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else significant(value, 4)


def entry(experiment: Any, result: dict[str, Any]) -> str:
    """Picture, claims with their verdicts, code."""
    lines = [f"# {experiment.title}", ""]
    for picture in result["pictures"]:
        file = f"{experiment.name}-{picture['file']}"
        write_atomic(FOLDER / "pictures" / file, (RESULTS / experiment.name / picture["file"]).read_bytes())
        lines += [f":::{{figure}} pictures/{file}", f":alt: {picture['caption']}", "", picture["caption"], ":::", ""]
    source = f"[doi](https://doi.org/{experiment.doi})" if experiment.doi else ""
    lines += [f"{experiment.paper} {source}", "", experiment.summary, "", "## Claims", ""]
    lines += [":::{table}", ":class: claims", ""]
    lines += ["| claim | expected | measured | with the mutant | verdict |", "| --- | --- | --- | --- | --- |"]
    for claim in result["claims"]:
        expected = f"{claim['relation']} {_number(claim['expected'])}"
        if claim["tolerance"]:
            expected += f" ± {_number(claim['tolerance'])}"
        cells = (
            claim["text"], f"{expected} {claim['unit']}".strip(), _number(claim["measured"]),
            f"{_number(claim['mutant_measured'])} ({claim['mutant']})", claim["verdict"],
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("_", "\\_") for cell in cells) + " |")
    module = experiment.measure.__module__
    lines += [":::", ""]
    lines += [f"Run at size {result['size']}, seed {result['seed']}: `ranvier atlas run {experiment.name}`.", ""]
    path = Path(rv.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    relative = Path("..", "..", path.relative_to(path.parents[4]))
    lines += ["## Code", "", f"`{module}`", "", f"```{{literalinclude}} {relative}", ":language: python", "```", ""]
    return "\n".join(lines)


def index(results: dict[str, dict[str, Any]]) -> str:
    """Pictures first, then a table of every system."""
    systems = rv.atlas.experiments()
    lines = [
        "# Gallery: the atlas", "",
        "The atlas reproduces published systems as claims. Each claim has an expected value with its source, a",
        "tolerance with its origin, and a mutant: a change under which it must fail. The systems below were run at",
        "their small size when these pages were built; `ranvier atlas run NAME` and `ranvier atlas site` do it for",
        "all.", "",
    ]  # fmt: skip
    for name, result in results.items():
        if result["pictures"]:
            first = result["pictures"][0]
            counts = [claim["verdict"] for claim in result["claims"]]
            verdicts = ", ".join(f"{counts.count(v)} {v}" for v in dict.fromkeys(counts))
            lines += [
                f"## [{systems[name].title}]({name}.md)", "",
                f":::{{figure}} pictures/{name}-{first['file']}", f":alt: {first['caption']}", ":width: 420px", "",
                f"{first['caption'].removesuffix('.')}. Claims: {verdicts}.", ":::", "",
            ]  # fmt: skip
    lines += ["## All systems", "", "| group | system | claims | paper |", "| --- | --- | --- | --- |"]
    for name, system in sorted(systems.items(), key=lambda item: (item[1].group, item[1].title)):
        title = f"[{system.title}]({name}.md)" if name in results else f"{system.title} (`{name}`)"
        lines.append(f"| {system.group} | {title} | {len(system.claims)} | {system.paper.replace('|', '/')} |")
    lines += ["", "```{toctree}", ":hidden:", "", *results, "```", ""]
    return "\n".join(lines)


def _generate(app: Any) -> None:
    chosen = [rv.atlas.get(name) for name in RUN]
    for result in rv.atlas.run(chosen, RESULTS, size="small"):
        if "error" in result:
            raise RuntimeError(f"the system {result['name']} did not run: {result['error']}; expected a result")
    results = {name: read_result(RESULTS, name) for name in RUN}
    FOLDER.mkdir(exist_ok=True)
    pages = {name: entry(rv.atlas.get(name), result) for name, result in results.items() if result}
    pages["index"] = index({name: result for name, result in results.items() if result})
    for name, text in pages.items():
        path = FOLDER / f"{name}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            write_atomic(path, text)


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", _generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


__all__ = ["RUN", "entry", "index", "setup"]
