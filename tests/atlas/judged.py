"""Which entries of the atlas are as they were when all their mutants were refuted; `python -m tests.atlas.judged`
judges those that changed, and keeps it in judged.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ranvier.atlas import Experiment, experiments, judge
from ranvier.atlas.execution import fingerprint

RECORD = Path(__file__).with_name("judged.json")


def changed() -> dict[str, Experiment]:
    """Entries whose file is another one than when their mutants were judged."""
    record: dict[str, str] = json.loads(RECORD.read_text())
    return {name: e for name, e in experiments().items() if record.get(name) != fingerprint(e)}


def survivors(experiment: Experiment) -> list[dict[str, Any]]:
    """Claims, of those that the small size measures, that hold under their mutants, too."""
    claims = judge(experiment, seed=0, size="small")["claims"]
    return [c for c in claims if c["verdict"] != "untested" and c["mutant_verdict"] != "refuted"]


def main() -> int:
    record, left = json.loads(RECORD.read_text()), 0
    for name, experiment in changed().items():
        alive = survivors(experiment)
        left += len(alive)
        print(f"{name}: {alive or 'every mutant is refuted'}", flush=True)
        if not alive:
            record[name] = fingerprint(experiment)
    known = {name: record[name] for name in sorted(record) if name in experiments()}
    RECORD.write_text(json.dumps(known, indent=1) + "\n")
    return left > 0


if __name__ == "__main__":
    sys.exit(main())
