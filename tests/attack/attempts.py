"""Open files in another process and say what came of it: read, refused, another error, crashed or hung."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """`kind`: read, refused (ValueError or OSError), error (anything else), crashed, or hung; `cpu` in seconds."""

    kind: str
    type: str = ""
    message: str = ""
    cpu: float = 0.0
    wall: float = 0.0


def attempts(jobs: list[tuple[str, Path]]) -> list[Outcome]:
    """One outcome for each (reader, path); after a crash or a hang the next process goes on with the rest."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(jobs):
        rest = [[name, str(path)] for name, path in jobs[len(outcomes) :]]
        done = subprocess.run(
            [sys.executable, "-m", "tests.attack.victim"],
            input=json.dumps(rest),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        outcomes += [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]
        if done.returncode == 0:
            break
        how = "hung" if done.returncode == -signal.SIGALRM else "crashed"
        outcomes.append(Outcome(how, f"code {done.returncode}", done.stderr[-500:]))
    assert len(outcomes) == len(jobs), (len(outcomes), len(jobs))
    return outcomes
