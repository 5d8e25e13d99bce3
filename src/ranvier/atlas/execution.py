"""Run experiments and their mutants, in parallel, into folders that a later call takes up again.

out/NAME/ holds the pictures, manifest.json and, written last, result.json: its presence means finished.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import numbers
import time
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier._jobs import each
from ranvier.atlas._canvas import SETTINGS
from ranvier.atlas._film import Film
from ranvier.atlas._record import AtLeast, AtMost, Claim, Experiment, Size
from ranvier.files.atomic import folder_at, write_atomic, write_json
from ranvier.files.locks import folder_lock
from ranvier.files.manifest import manifest
from ranvier.files.reading import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SVG_BYTES = 400_000


def judge(experiment: Experiment, seed: int = 0, size: Size = "small") -> dict[str, Any]:
    """Measure an experiment and each of its mutants; returns the result as it is written, with "material".

    "material" is all that `measure` returned, for the pictures, and never written.

    >>> claim = rv.atlas.judge(rv.atlas.get("chain_rule"))["claims"][0]
    >>> claim["verdict"], claim["mutant_verdict"]
    ('reproduced', 'refuted')
    """
    began = time.perf_counter()
    material = experiment.measure(seed, size)
    metrics = _metrics(material, experiment)
    mutants: dict[str, dict[str, Any]] = {}
    claims = []
    for claim in experiment.claims:
        changed = describe(claim.mutant)
        if claim.verdict(metrics) == "untested":  # and so is its mutant, without being measured
            claims.append(_judged(claim, changed, metrics, {claim.metric: None}))
            continue
        if changed not in mutants:
            mutants[changed] = _numbers(experiment.measure(seed, size, **claim.mutant))
        claims.append(_judged(claim, changed, metrics, mutants[changed]))
    return {
        "name": experiment.name,
        "seed": seed,
        "size": size,
        "source": fingerprint(experiment),
        "seconds": round(time.perf_counter() - began, 3),
        "claims": claims,
        "metrics": metrics,
        "material": material,
    }


def run(
    chosen: Sequence[Experiment],
    out: str | Path,
    *,
    seed: int = 0,
    size: Size = "small",
    jobs: int | str = 1,
    again: bool = False,
) -> Iterator[dict[str, Any]]:
    """Run experiments and yield each result as it is done; those already finished are yielded first.

    Finished means: `out` holds a result of the same seed, size and source file. `again` runs these too.
    An experiment that raises yields {"name", "error"} and does not stop the others. `jobs` run at the same time, or on
    the workers of the dask scheduler at that address, which see the same folder.

    >>> (result,) = rv.atlas.run([rv.atlas.get("chain_rule")], "results")
    >>> {claim["verdict"] for claim in result["claims"]}
    {'reproduced'}
    """
    out = folder_at(out)
    waiting = []
    for experiment in chosen:
        done = None if again else finished(experiment, out, seed, size)
        if done is None:
            waiting.append(experiment)
        else:
            yield {**done, "skipped": True}
    yield from each(_run_one, [(experiment, out, seed, size) for experiment in waiting], jobs)


def finished(experiment: Experiment, out: Path, seed: int, size: Size) -> dict[str, Any] | None:
    """The stored result if it is of this seed, size and source file, else None."""
    result = read_result(out, experiment.name)
    if result is None:
        return None
    same = {"seed": seed, "size": size, "source": fingerprint(experiment)}
    return result if all(result.get(key) == value for key, value in same.items()) else None


def read_result(out: Path, name: str) -> dict[str, Any] | None:
    """The stored result of an experiment, or None where there is none."""
    file = out / name / "result.json"
    try:
        value = read_json(file, "the result of an experiment")
    except FileNotFoundError:
        return None
    claims = value.get("claims", []) if isinstance(value, dict) else None
    whole = isinstance(claims, list) and all(isinstance(c, dict) and isinstance(c.get("verdict"), str) for c in claims)
    if not whole or not ("error" in value or "claims" in value):
        raise ValueError(f"{file} is no result of an experiment; expected claims with verdicts. Run it again: --again.")
    return value


def standing(claim: Mapping[str, Any]) -> str:
    """A judged claim's verdict as it is counted: one that holds to a value of our own is "ours", not reproduced."""
    return "ours" if claim["ours"] and claim["verdict"] == "reproduced" else str(claim["verdict"])


def describe(mutant: Mapping[str, Any]) -> str:
    """A mutant in words: "noise = 12.7, rule = shuffled"."""
    return ", ".join(f"{key} = {getattr(value, '__name__', value)}" for key, value in mutant.items())


def statement(claim: Claim) -> dict[str, Any]:
    """What a claim says before anything is measured, as JSON; the expected value is a relation and a number."""
    match claim.expected:
        case AtLeast(bound):
            relation, expected = "≥", bound
        case AtMost(bound):
            relation, expected = "≤", bound
        case value:
            relation, expected = "=", float(value)
    return {
        "text": claim.text,
        "source": claim.source,
        "metric": claim.metric,
        "unit": claim.unit,
        "ours": claim.ours,
        "only": claim.only,
        "relation": relation,
        "expected": expected,
        "origin": claim.origin,
    }


def _run_one(experiment: Experiment, out: Path, seed: int, size: Size) -> dict[str, Any]:
    try:
        folder = out / experiment.name
        with folder_lock(folder, "run") as lock:
            result = judge(experiment, seed, size)
            lock.check()
            material = result.pop("material")
            result["pictures"] = _draw(experiment, material, folder)
            write_json(folder / "manifest.json", manifest(experiment=experiment.name, seed=seed, size=size))
            write_json(folder / "result.json", result)
        return result
    except Exception as error:  # one broken experiment must not take the others' results along
        return {"name": experiment.name, "error": f"{type(error).__name__}: {error}"}


def _judged(
    claim: Claim, changed: str, metrics: Mapping[str, Any], mutated: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **statement(claim),
        "tolerance": claim.tolerance_in(metrics),
        "measured": metrics[claim.metric],
        "verdict": claim.verdict(metrics),
        "mutant": changed,
        "mutant_measured": mutated[claim.metric] if _finite(mutated[claim.metric]) else "not finite",
        "mutant_verdict": claim.verdict(mutated),
    }


def _metrics(material: Mapping[str, Any], experiment: Experiment) -> dict[str, float | None]:
    metrics = _numbers(material)
    bad = [key for key, value in metrics.items() if not _finite(value)]
    if bad:
        raise ValueError(
            f"{experiment.name}: measure() returned {bad[0]} = {metrics[bad[0]]}; expected a finite number, "
            f"or None where it is not measured"
        )
    return metrics


def _numbers(material: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        key: None if value is None else float(value)
        for key, value in material.items()
        if value is None or isinstance(value, numbers.Real)
    }


def _finite(value: float | None) -> bool:
    return value is None or math.isfinite(value)


def _draw(experiment: Experiment, material: dict[str, Any], folder: Path) -> list[dict[str, str]]:
    from matplotlib import rc_context

    pictures = []
    for number, (caption, draw) in enumerate(experiment.pictures.items(), start=1):
        with rc_context(SETTINGS):
            data, suffix = _image(draw(material))
        name = f"{number}.{suffix}"
        write_atomic(folder / name, data)
        pictures.append({"file": name, "caption": caption})
    return pictures


def _image(figure: Figure | Film) -> tuple[bytes, str]:
    """SVG, or PNG where the SVG would be heavy; GIF of a film."""
    if isinstance(figure, Film):
        return figure.gif(), "gif"
    for suffix in ("svg", "png"):
        buffer = BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150, bbox_inches="tight")
        if buffer.tell() <= MAX_SVG_BYTES:
            break
    return buffer.getvalue(), suffix


def fingerprint(experiment: Experiment) -> str:
    """Of the file that measures."""
    source = inspect.getsourcefile(experiment.measure)
    return hashlib.sha256(Path(source).read_bytes() if source else b"").hexdigest()[:16]
