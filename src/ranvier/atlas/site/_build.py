"""Render stored results with jinja2; nothing is measured here and nothing is fetched from elsewhere."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ranvier.atlas._record import Experiment
from ranvier.atlas._registry import GROUPS
from ranvier.atlas.execution import describe, read_result, standing, statement
from ranvier.files.atomic import folder_at, write_atomic
from ranvier.files.entries import Entry
from ranvier.files.pages import page_environment, significant
from ranvier.files.reading import read_bytes, read_text

VERDICTS = ("reproduced", "refuted", "untested")
#: as claims are counted: those that hold to a value of our own apart
STANDINGS = ("reproduced", "ours", "refuted", "untested")
_TEXTS = ("text", "source", "metric", "unit", "relation", "origin", "mutant", "only")
_VALUES = ("expected", "tolerance", "measured", "mutant_measured")
_YEAR = re.compile(r"\((1[5-9][0-9]{2}|20[0-9]{2})\)")
_PICTURE = re.compile(r"[0-9]{1,3}\.(svg|png|gif)")


def build(chosen: Iterable[Experiment], results: str | Path, out: str | Path) -> Path:
    """Write the site of these experiments into `out` from the results stored in `results`.

    Returns the path of index.html.

    An experiment without a result is shown with every claim untested.
    """
    results, out = folder_at(results), folder_at(out)
    environment = page_environment("ranvier.atlas.site")
    environment.filters["figures"] = figures
    entries = [_entry(experiment, results) for experiment in chosen]
    for entry in entries:
        for picture in entry["pictures"]:
            name = f"{entry['name']}-{picture['file']}"
            write_atomic(out / "pictures" / name, read_bytes(results / entry["name"] / picture["file"], "a picture"))
            picture["path"] = f"pictures/{name}"
        if entry["source"]:
            entry["code"] = f"code/{entry['name']}.txt"
            write_atomic(out / entry["code"], entry["source"])
        page = environment.get_template("system.html").render(entry=entry, standings=STANDINGS)
        write_atomic(out / f"{entry['name']}.html", page)
    total: Counter[str] = sum((entry["counts"] for entry in entries), Counter())
    groups = {
        group: [entry for entry in entries if entry["group"] == group]
        for group in (*GROUPS, "other")
        if any(entry["group"] == group for entry in entries)
    }
    index = environment.get_template("index.html").render(
        groups=groups, count=len(entries), total=total, standings=STANDINGS
    )
    by_year = sorted(entries, key=lambda entry: (entry["year"] or 9999, entry["title"]))
    write_atomic(out / "timeline.html", environment.get_template("timeline.html").render(entries=by_year))
    return write_atomic(out / "index.html", index)


def year(paper: str) -> int | None:
    """The first year in brackets in a citation, "A. Author (1958). Title": that of the source it names first."""
    match = _YEAR.search(paper)
    return int(match[1]) if match else None


def _source(module: str) -> str:
    """A loaded module's text; "" where there is no file."""
    try:
        return inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return ""


def figures(value: float | str | None) -> str:
    """A number as people write it: four significant figures; a dash where there is none."""
    if value is None:
        return "–"
    return value.replace("-", "−") if isinstance(value, str) else significant(value, 4)


def _entry(experiment: Experiment, results: Path) -> dict[str, Any]:
    result = read_result(results, experiment.name)
    if result:
        _require_whole(result, results / experiment.name / "result.json")
    claims = result["claims"] if result else [_untested(claim) for claim in experiment.claims]
    for claim in claims:
        claim["standing"] = standing(claim)
    counts = Counter(claim["standing"] for claim in claims)
    text = _manifest(results, experiment.name) if result else json.dumps({})
    return {
        "name": experiment.name,
        "group": experiment.group,
        "title": experiment.title,
        "paper": experiment.paper,
        "doi": experiment.doi,
        "summary": experiment.summary,
        "module": experiment.measure.__module__,
        "source": _source(experiment.measure.__module__),
        "code": None,
        "year": year(experiment.paper),
        "claims": claims,
        "counts": counts,
        "verdict": next((v for v in ("refuted", "untested", "reproduced", "ours") if counts[v]), "untested"),
        "pictures": result["pictures"] if result else [],
        "ran": {key: result[key] for key in ("seed", "size", "seconds")} if result else None,
        "when": _when(text),
        "manifest": text,
    }


def provenance(results: Path, name: str) -> dict[str, str]:
    """The day on which a system was last run, the version and the processor; "unknown" for what was not kept."""
    return _when(_manifest(results, name))


def _manifest(results: Path, name: str) -> str:
    path = results / name / "manifest.json"
    return read_text(path, "a manifest") if path.exists() else json.dumps({})


def _when(text: str) -> dict[str, str]:
    """Of a manifest: the day it was written, the version and the processor; "unknown" for what it does not say."""
    try:
        values = json.loads(text)
    except ValueError:
        values = {}
    values = values if isinstance(values, dict) else {}
    written, version, processor = (str(values.get(key, "unknown")) for key in ("written", "ranvier", "processor"))
    return {"day": written[:10], "version": version, "processor": processor}


def _require_whole(result: dict[str, Any], file: Path) -> None:
    """ValueError for a result that `run` has not written: pages show it, and a picture's name leads to a file."""
    whole = Entry(result, str(file)).mapping()
    for key in ("seed", "size", "seconds", "claims", "pictures"):
        if key not in whole:
            raise ValueError(f"{file} has no {key!r}; expected a finished result. Run it again: --again.")
    whole["seed"].whole(high=2**63 - 1)
    whole["size"].one_of(("small", "full"))
    whole["seconds"].number()
    for each in whole["claims"].listed():
        claim = each.mapping(*_TEXTS, *_VALUES, "verdict", "mutant_verdict", "ours")
        claim["ours"].flag()
        for key in _TEXTS:
            claim[key].text()
        for key in ("verdict", "mutant_verdict"):
            claim[key].one_of(VERDICTS)
        for key in _VALUES:
            if not claim[key].absent and not isinstance(claim[key].value, str):
                claim[key].number()
    for each in whole["pictures"].listed():
        picture = each.mapping("file", "caption", optional=("path",))
        picture["caption"].text()
        if not _PICTURE.fullmatch(picture["file"].text()):
            raise picture["file"].refusal("a picture's name, such as '1.svg'")


def _untested(claim: Any) -> dict[str, Any]:
    tolerance = claim.tolerance if not isinstance(claim.tolerance, str) else None
    return {
        **statement(claim),
        "tolerance": tolerance,
        "measured": None,
        "verdict": "untested",
        "mutant": describe(claim.mutant),
        "mutant_measured": None,
        "mutant_verdict": "untested",
    }
