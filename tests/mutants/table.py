"""The results of a mutation run as Markdown."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

GOAL = 0.95


def text(rows: list[dict[str, Any]], drawn: int, equivalent: dict[str, dict[str, str]]) -> str:
    """Shares caught by folder, then what survived; `drawn`: how many mutants the sample has."""
    hours = sum(row["seconds"] for row in rows) / 3600
    lines = [
        "# Breaks that the nearest tests notice",
        "",
        f"`make mutants` on {time.strftime('%-d %B %Y')} at {_commit()}: {len(rows)} of a sample of {drawn} small "
        f"breaks of the numerical source, each against the nearest tests until one failed, {hours:.1f} h. Operators: "
        "`tests/mutants/operators.py`; breaks that an audit found unnoticed: `planted.toml`; those that change no "
        f"result: `equivalent.toml`, {len(equivalent)}. The goal is {GOAL:.0%} of every folder.",
        "",
        "| folder | breaks | caught | share | survived | tests too long to say |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault("planted" if row["operator"] == "planted" else row["file"].split("/")[0], []).append(row)
    for name, members in sorted(groups.items(), key=lambda item: (item[0] != "planted", item[0])):
        lines.append(_row(name, members))
    lines += [_row("together", rows), "", "## Survivors", ""]
    survivors = [row for row in rows if row["verdict"] != "caught"]
    for row in sorted(survivors, key=lambda row: (row["file"], row["line"])):
        note = "" if row["verdict"] == "survived" else ", tests too long"
        lines.append(
            f"- `{row['file']}:{row['line']}` {row['operator']} in {row['function'] or 'the module'}: "
            f"`{_short(row['before'])}` → `{_short(row['after'])}` ({row['key']}; {row['passed']} tests passed{note})"
        )
    return "\n".join(lines if survivors else [*lines, "None."])


def _row(name: str, rows: list[dict[str, Any]]) -> str:
    caught, survived, undecided = (sum(r["verdict"] == v for r in rows) for v in ("caught", "survived", "undecided"))
    share = caught / len(rows) if rows else 0.0
    return f"| {name} | {len(rows)} | {caught} | {share:.0%} | {survived} | {undecided} |"


def _short(text: str) -> str:
    line = " ".join(text.split()).replace("`", "'")
    return line if len(line) <= 90 else line[:87] + "..."


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
