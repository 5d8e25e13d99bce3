"""The atlas's stored results as one table: prints Markdown, kept as benchmarks/results/atlas.md.

`make atlas` runs every system from three seeds, each in a folder of its own, and then

python -m benchmarks.atlas [out/atlas-0 out/atlas-1 out/atlas-2]

which prints each claim's verdict from every seed, the mean and spread of what was measured, and how many spreads the
mean lies within its bound. A result whose source has changed since it was made is marked, one that was not made is
named at the end.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ranvier.atlas import experiments
from ranvier.atlas.execution import fingerprint, read_result, standing
from ranvier.atlas.site import provenance

CLOSE = 3.0  # spreads: where a claim lies nearer to its bound, chance refutes it in more than one run of a thousand


def number(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.4g}"


def measured(claims: list[dict[str, Any]]) -> tuple[float | None, float]:
    """Mean and spread over seeds of what a claim measures."""
    values = [claim["measured"] for claim in claims if claim["measured"] is not None]
    if not values:
        return None, 0.0
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def margin(claims: list[dict[str, Any]]) -> float | None:
    """How many spreads the mean lies within the bound; None where nothing varies or nothing was measured."""
    mean, spread = measured(claims)
    if mean is None or spread == 0:
        return None
    tolerance = statistics.fmean(claim["tolerance"] or 0.0 for claim in claims)
    distance = {"≥": mean - claims[0]["expected"], "≤": claims[0]["expected"] - mean}.get(
        claims[0]["relation"], -abs(mean - claims[0]["expected"])
    )
    return (distance + tolerance) / spread


def false_alarm(claims: list[dict[str, Any]]) -> float | None:
    """The chance that a further seed refutes a claim, were what it measures normal with this mean and spread."""
    spreads = margin(claims)
    return None if spreads is None else 0.5 * math.erfc(spreads / math.sqrt(2))


def verdict(claims: list[dict[str, Any]]) -> str:
    """In words: "reproduced", or "reproduced in 2 of 3"; what else is to be known of it."""
    counts = Counter(map(standing, claims))
    name, count = counts.most_common(1)[0]
    text = name if count == len(claims) else f"{name} in {count} of {len(claims)}"
    if any(claim["mutant_verdict"] == "reproduced" for claim in claims):
        text += ", mutant survives"
    spreads = margin(claims)
    if spreads is not None and spreads < CLOSE and "refuted" not in counts:
        text += f", close ({spreads:.1f} spreads)"
    return f"{text}; not in the tests: {claims[0]['only']}" if claims[0]["only"] else text


def row(claims: list[dict[str, Any]]) -> str:
    """One claim's line of the table, from the results of all seeds."""
    claim = claims[0]
    expected = f"{claim['relation']} {number(claim['expected'])}"
    if claim["tolerance"]:
        expected += f" ± {number(claim['tolerance'])}"
    unit = f" {claim['unit']}" if claim["unit"] else ""
    mean, spread = measured(claims)
    value = number(mean) + (f" ± {number(spread)}" if spread else "")
    text, mutant = (claim[key].replace("|", "\\|") for key in ("text", "mutant"))
    changed = f"{number(claim['mutant_measured'])} ({mutant})"
    return f"| {text} | {expected}{unit} | {value} | {changed} | {verdict(claims)} |"


def summary(known: dict[str, list[dict[str, Any]]], count: int) -> str:
    """The counts above the table."""
    rows = [claims for results in known.values() for claims in zip(*(r["claims"] for r in results), strict=True)]
    standings = Counter(Counter(map(standing, claims)).most_common(1)[0][0] for claims in rows)
    survivors = sum(any(c["mutant_verdict"] == "reproduced" for c in claims) for claims in rows)
    alarms = [alarm for claims in rows if "refuted" not in map(standing, claims)
              if (alarm := false_alarm(list(claims))) is not None]  # fmt: skip
    seeds = max((len(results) for results in known.values()), default=0)
    return (
        f"{len(known)} of {count} systems, {seeds} seeds; {len(rows)} claims: "
        + ", ".join(f"{n} {name}" for name, n in standings.most_common())
        + f"; {survivors} mutants survive. \"Ours\" are claims that hold to values of our own earlier runs: they "
        "reproduce nothing. A further seed would refute "
        + f"{sum(alarms):.2g} of the {len(alarms)} claims that vary and hold, by a normal law of these seeds' means "
        "and spreads. Sources, origins of tolerances and pictures: `ranvier atlas site`."
    )


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or [Path("out/atlas")]
    actual = experiments()
    known: dict[str, list[dict[str, Any]]] = {}
    for name in actual:
        results = [r for folder in folders if (r := read_result(folder, name)) is not None and "claims" in r]
        if results and all([c["metric"] for c in r["claims"]] == [c["metric"] for c in results[0]["claims"]]
                           for r in results):  # fmt: skip
            known[name] = results
    lines = ["# The atlas, run", "", summary(known, len(actual))]
    for name, results in known.items():
        experiment, first = actual[name], results[0]
        stale = "" if first["source"] == fingerprint(experiment) else "; its source has changed since"
        seconds = sum(result["seconds"] for result in results)
        when = provenance(folders[0], name)
        lines += [
            "",
            f"## {experiment.title}",
            "",
            f"`{name}`, size {first['size']}, seeds {', '.join(str(r['seed']) for r in results)}, {seconds:.0f} s with "
            f"mutants, {when['day']}, Ranvier {when['version']}, {when['processor']}{stale}.",
            "",
            "| claim | expected | measured | under the mutant | verdict |",
            "|---|---|---|---|---|",
            *(row(list(claims)) for claims in zip(*(r["claims"] for r in results), strict=True)),
        ]
    if missing := [name for name in actual if name not in known]:
        lines += ["", f"Not run: {', '.join(missing)}."]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
