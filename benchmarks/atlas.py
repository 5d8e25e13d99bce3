"""The atlas's stored results as one table: prints Markdown, kept as benchmarks/results/atlas.md.

ranvier atlas run --all --size full; python -m benchmarks.atlas [out/atlas]

A result whose source has changed since it was made is marked, one that was not made is named at the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ranvier.atlas import experiments
from ranvier.atlas.execution import fingerprint, read_result


def number(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:.4g}"


def row(claim: dict[str, Any]) -> str:
    expected = f"{claim['relation']} {number(claim['expected'])}"
    if claim["tolerance"]:
        expected += f" ± {number(claim['tolerance'])}"
    unit = f" {claim['unit']}" if claim["unit"] else ""
    verdict = claim["verdict"] if claim["mutant_verdict"] != "reproduced" else f"{claim['verdict']}, mutant survives"
    text = claim["text"].replace("|", "\\|")
    mutant = claim["mutant"].replace("|", "\\|")
    return (
        f"| {text} | {expected}{unit} | {number(claim['measured'])} | {number(claim['mutant_measured'])} ({mutant}) "
        f"| {verdict} |"
    )


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/atlas")
    actual = {name: (e, read_result(out, name)) for name, e in experiments().items()}
    known = {name: (e, r) for name, (e, r) in actual.items() if r is not None and "claims" in r}
    verdicts = Counter(claim["verdict"] for _, r in known.values() for claim in r["claims"])
    survivors = sum(c["mutant_verdict"] == "reproduced" for _, r in known.values() for c in r["claims"])
    lines = [
        "# The atlas, run",
        "",
        f"{len(known)} of {len(actual)} systems; {sum(verdicts.values())} claims: "
        + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        + f"; {survivors} mutants survive. Made by `ranvier atlas run NAME --size full` and "
        "`python -m benchmarks.atlas`; sources, origins of tolerances and pictures: `ranvier atlas site`.",
    ]
    for name, (experiment, result) in known.items():
        stale = "" if result["source"] == fingerprint(experiment) else "; its source has changed since"
        lines += [
            "",
            f"## {experiment.title}",
            "",
            f"`{name}`, size {result['size']}, seed {result['seed']}, {result['seconds']:.0f} s with mutants{stale}.",
            "",
            "| claim | expected | measured | under the mutant | verdict |",
            "|---|---|---|---|---|",
            *map(row, result["claims"]),
        ]
    if missing := [name for name in actual if name not in known]:
        lines += ["", f"Not run: {', '.join(missing)}."]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
