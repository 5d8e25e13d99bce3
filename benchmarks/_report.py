"""The rows of a benchmark as a table to read and as JSON to compute with."""

import math
import os
import platform
import time
from typing import Any

from ._harness import Row
from .cases import Case

NAMES = {"ranvier": "Ranvier", "brian2": "Brian2 C++ standalone", "nest": "NEST"}
HEADER = [
    "| case | simulator | threads | run s | against ours | goal | build s | peak MB | rate Hz | CV |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


def ours(rows: list[Row], threads: int) -> Row | None:
    return next((r for r in rows if r.side == "ranvier" and r.threads == threads and r.rounds), None)


def ratio(peer: Row, mine: Row) -> tuple[float, float, float]:
    """How many times faster we are: ratio of the medians, and the least and the greatest of single rounds."""
    single = [p["run_s"] / m["run_s"] for p, m in zip(peer.rounds, mine.rounds)]
    return peer.median("run_s") / mine.median("run_s"), min(single), max(single)


def goal(case: Case, row: Row, rows: list[Row], full: bool) -> str:
    """The factor requested on one thread and, of a full run, whether it was met."""
    if row.side == "ranvier" or row.threads != 1 or row.side not in case.goals:
        return ""
    mine = ours(rows, 1)
    if mine is None or not row.rounds:
        return ""
    expected = case.goals[row.side]
    verdict = ("met" if ratio(row, mine)[0] >= expected else "MISSED") if full else ""
    return f"≥ {expected:g} {verdict}".strip()


def against(row: Row, rows: list[Row]) -> str:
    """A peer's time over ours with as many threads; our own two threads against our one."""
    if row.side == "ranvier":
        one = ours(rows, 1)
        if row.threads == 1 or one is None:
            return ""
        return f"{ratio(one, row)[0]:.2f} × one thread"
    mine = ours(rows, row.threads)
    if mine is None:
        return ""
    middle, low, high = ratio(row, mine)
    return f"**{middle:.1f} ×** ({low:.1f}–{high:.1f})"


def lines(case: Case, rows: list[Row], full: bool) -> list[str]:
    """The case's rows of the Markdown table."""
    model = []
    for row in rows:
        name = NAMES[row.side]
        if not row.rounds:
            model.append(f"| {case.title} | {name} | {row.threads} | missing: {row.failure} | | | | | | |")
            continue
        cv = f"{row.median('cv'):.3f}" if not math.isnan(row.median("cv")) else "–"
        model.append(
            f"| {case.title} | {name} | {row.threads} | {row.median('run_s'):.3f} | {against(row, rows)} "
            f"| {goal(case, row, rows, full)} | {row.median('build_s'):.2f} | {row.median('peak_mb'):.0f} "
            f"| {row.rate:.2f} | {cv} |"
        )
    return model


def heading(command: str, started: float, about: dict[str, Any], versions: list[str], rounds: int, quick: bool) -> str:
    """What was run where, and how to read the table."""
    return (
        f"`{command}` on {time.strftime('%Y-%m-%d', time.gmtime(started))}: {about['processor']}, "
        f"{about['cores']} cores, {about['simd']}, {about['system']}, Python {about['python']}; "
        f"load at the start {about['load_at_start']}; {', '.join(versions)}.\n\n"
        f"Run: median wall seconds of the run phase over {rounds} rounds, in turn, after a warm-up. "
        "Against ours: how many times longer the peer takes on as many threads (least and greatest round)."
        + (" Shortened runs, not held to the goals." if quick else "")
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor()
    flags: set[str] = set()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as info:
            for line in info:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    model = value.strip()
                elif key.strip() == "flags":
                    flags = set(value.split())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "simd": next((s for s in ("avx512f", "avx2", "avx") if s in flags), "unknown"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
