"""The manifest of a run on disk: what must be the same on resuming, and what is only recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ranvier.files.entries import Entry, shown
from ranvier.files.reading import read_json

LARGEST_INDEX = 2**31 - 1

# A run may be resumed with another one of these: its result does not depend on it, or it is recorded.
ENVIRONMENT = {
    "ranvier", "python", "packages", "platform", "cores", "threads", "ranks", "method", "timings", "written", "resumed",
    "populations",  # which the network's digest stands for
}  # fmt: skip


def plain(value: Any) -> Any:
    """`value` as JSON gives it back: tuples become lists, arrays and NumPy scalars lists and numbers."""
    return json.loads(json.dumps(value, default=lambda other: other.tolist()))


def stored_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest in the folder `path`, None where there is none; ValueError where it cannot be one."""
    file = path / "manifest.json"
    if not file.is_file():
        return None
    value = read_json(file, "a run's manifest")
    if not isinstance(value, dict):
        raise ValueError(f"{file} holds {type(value).__name__}; expected a JSON object")
    return value


def clock_of(path: Path, manifest: dict[str, Any]) -> tuple[int, float, float, int]:
    """The number of neurons, dt and duration (ms), and the first step. ValueError for what they cannot be."""
    file = path / "manifest.json"
    entries = Entry(manifest, str(file)).mapping()
    for key in ("n_neurons", "dt", "duration"):
        if key not in entries:
            raise ValueError(f"{file} has no entry {key!r}; expected a run's manifest")
    size = entries["n_neurons"].whole(0, LARGEST_INDEX)
    first = entries["first_step"].whole() if "first_step" in manifest else 0
    dt, duration = entries["dt"].number(), entries["duration"].number()
    if not (0.0 < dt < math.inf and 0.0 <= duration < math.inf and first + duration / dt <= 2**53):
        raise ValueError(
            f"{file} has dt {dt:g} ms, duration {duration:g} ms, first step {first}; expected times above 0 ms, and at "
            "most 2^53 steps"
        )
    groups = entries.get("populations")
    for group in groups.listed() if groups is not None and not groups.absent else ():
        part = group.mapping("name", "start", "size", optional=("names",))
        part["name"].text()
        start = part["start"].whole(0, size)
        members = part["size"].whole(0, size - start)
        if "names" in part and len(part["names"].texts()) != members:
            raise part["names"].refusal(f"a list of {members} names, one a neuron")
    return size, dt, duration, first


def require_integers(array: Any, low: int, high: int, what: str) -> None:
    """Raise ValueError unless `array` is a vector of signed whole numbers from `low` to below `high`."""
    if array.ndim != 1 or array.dtype.kind != "i":
        raise ValueError(f"{what} is {array.dtype} of shape {array.shape}; expected whole numbers in a row")
    if array.size and not low <= array.min() <= array.max() < high:
        raise ValueError(f"{what} reaches from {array.min()} to {array.max()}; expected {low} to {high - 1}")


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
    if "ganglion" in known and "ranvier" not in known:
        raise ValueError(
            f"{path} holds a run from before the package took the name Ranvier; expected one that was written "
            "since: it can be read (Recording.open), but not gone on with; take another folder."
        )
    there, here = (
        dict(_flat({key: value for key, value in m.items() if key not in ENVIRONMENT})) for m in (known, manifest)
    )
    if _steps(path, manifest) >= _steps(path, known):
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
            + "\nexpected the same, and at least its duration: take another folder."
        )


def _steps(path: Path, manifest: dict[str, Any]) -> int:
    """The run's length in steps; ValueError where the manifest is none."""
    _, dt, duration, _ = clock_of(path, manifest)
    return round(duration / dt)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Entries of nested dictionaries and lists as ('network.populations.0.size', '80')."""
    if isinstance(value, dict | list) and value:
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, shown(value)


def note_environment(known: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """The stored manifest with the software that the run is resumed with added, where that is new."""
    software = {key: manifest[key] for key in sorted(ENVIRONMENT & manifest.keys())}
    latest = [known, *known.get("resumed", [])][-1]
    if all(latest.get(key) == value for key, value in software.items() if key not in ("written", "timings")):
        return known
    return {**known, "resumed": [*known.get("resumed", []), software]}
