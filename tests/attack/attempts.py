"""Open files in another process and say what came of it: read, refused, another error, crashed or hung."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.attack.victim import main
from tests.processes import Child


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
        child = Child(main, [(name, str(path)) for name, path in jobs[len(outcomes) :]])
        out, error = child.communicate(timeout=600)
        outcomes += [Outcome(**json.loads(line)) for line in out.splitlines()]
        if child.returncode == 0:
            break
        how = "hung" if child.returncode == -signal.SIGALRM else "crashed"
        outcomes.append(Outcome(how, f"code {child.returncode}", error[-500:]))
    assert len(outcomes) == len(jobs), (len(outcomes), len(jobs))
    return outcomes
