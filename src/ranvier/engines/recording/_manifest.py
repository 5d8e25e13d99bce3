"""The manifest of a run on disk: what must be the same on resuming, and what is only recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A run may be resumed with another one of these: its result does not depend on it, or it is recorded.
ENVIRONMENT = {
    "ranvier", "python", "packages", "platform", "cores", "threads", "timings", "written", "resumed"
}  # fmt: skip


def plain(value: Any) -> Any:
    """`value` as JSON gives it back: tuples become lists, arrays and NumPy scalars lists and numbers."""
    return json.loads(json.dumps(value, default=lambda other: other.tolist()))


def stored_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest in the folder `path`, None where there is none; ValueError where it cannot be one."""
    file = path / "manifest.json"
    if not file.is_file():
        return None
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); expected a run's manifest") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file} holds {type(value).__name__}; expected a JSON object")
    return value


def require_unused(path: Path) -> None:
    """Raise ValueError if `path` is a folder of something that is no run."""
    ours = ("traces.safetensors", ".lock", ".traces.", ".manifest.")
    others = sorted(p.name for p in path.iterdir() if not p.name.startswith(ours)) if path.is_dir() else []
    if others:
        raise ValueError(
            f"{path} holds {', '.join(others[:3])}{' ...' if len(others) > 3 else ''} but no manifest.json; "
            "expected a run to resume, an empty folder or a name not yet taken"
        )


def require_same(path: Path, known: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Raise ValueError naming the entries by which two manifests are of different runs. One that only goes on
    for longer is the same."""
    there, here = (
        dict(_flat({key: value for key, value in m.items() if key not in ENVIRONMENT})) for m in (known, manifest)
    )
    if _steps(manifest) >= _steps(known):
        there["duration"] = here["duration"]
    differing = [
        f"{key}: {there.get(key, 'nothing')} there, {here.get(key, 'nothing')} here"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    if differing:
        more = f"\n  and {len(differing) - 10} more" if len(differing) > 10 else ""
        raise ValueError(
            f"{path} holds another run; these entries of its manifest differ:\n  "
            + "\n  ".join(differing[:10])
            + more
            + "\nResume with the same ones and at least its duration, or take another folder."
        )


def _steps(manifest: dict[str, Any]) -> int:
    """The run's length in steps, -1 where the manifest does not say."""
    dt, duration = manifest.get("dt"), manifest.get("duration")
    if isinstance(dt, int | float) and isinstance(duration, int | float) and dt > 0:
        return round(duration / dt)
    return -1


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Entries of nested dictionaries and lists as ('network.populations.0.size', '80')."""
    if isinstance(value, dict | list) and value:
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, json.dumps(value)


def note_environment(known: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """The stored manifest with the software that the run is resumed with added, where that is new."""
    software = {key: manifest[key] for key in sorted(ENVIRONMENT & manifest.keys())}
    latest = [known, *known.get("resumed", [])][-1]
    if all(latest.get(key) == value for key, value in software.items() if key not in ("written", "timings")):
        return known
    return {**known, "resumed": [*known.get("resumed", []), software]}
