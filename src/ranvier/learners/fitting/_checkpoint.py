"""A folder that always holds one whole checkpoint: tensors in a file named by their digest, and checkpoint.json,
which names it and is replaced last."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ranvier.files.atomic import folder_at, write_atomic, write_json
from ranvier.files.entries import Entry, shown
from ranvier.files.locks import FolderLock
from ranvier.files.manifest import manifest
from ranvier.files.reading import read_bytes, read_json
from ranvier.learners.fitting._tree import pack, unpack

_FORMAT = "ranvier checkpoint 2"
_TENSORS = r"checkpoint-[0-9a-f]{16}\.safetensors"
_OURS = re.compile(rf"{_TENSORS}|\.({_TENSORS}|checkpoint\.json|log\.jsonl)\.\w{{8}}")  # as `atomic_path` names them


class Checkpoint:
    """Of one run of `fit`; `learner` describes what the state belongs to and must be the same on resuming."""

    def __init__(self, folder: str | Path, learner: dict[str, Any]) -> None:
        self.folder = folder_at(folder)
        self.index = self.folder / "checkpoint.json"
        self.learner = json.loads(json.dumps(learner))
        self.lock: FolderLock | None = None

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Replace what is there; a kill at any moment leaves the old one or the new one."""
        from safetensors.torch import save

        tensors: dict[str, Any] = {}
        packed = pack(state, tensors)
        data = save(tensors)
        file = _name(data)  # never that of a file in use, even if a step is saved twice
        write_atomic(self.folder / file, data)
        about = {"format": _FORMAT, "step": step, "tensors": file, "learner": self.learner}
        write_json(self.index, {**about, "state": packed, "manifest": manifest()})
        self._tidy(file)

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none. ValueError for a file that is damaged or of another learner."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"there is a file at {self.folder}; expected a folder for checkpoints")
        if not self.index.exists():
            return None
        try:
            value = read_json(self.index, "a checkpoint")
            if not isinstance(value, dict) or value.get("format") != _FORMAT:
                kind = value.get("format") if isinstance(value, dict) else value
                old = ", of before the package took that name" if str(kind).startswith("ganglion") else ""
                raise ValueError(f"its format is {shown(kind)}{old}; expected {_FORMAT}")
            stored = Entry(value, "it").mapping("format", "step", "tensors", "learner", "state", optional=("manifest",))
            stored["step"].whole()
            learner, name = stored["learner"].value, stored["tensors"].text()
            if not re.fullmatch(_TENSORS, name):
                raise ValueError(f"its tensors lie in {shown(name)}; expected checkpoint-….safetensors")
            data = read_bytes(self.folder / name, "a checkpoint's tensors")
            if _name(data) != name:
                raise ValueError(
                    f"{name} is not the file that was written; expected its digest to be that of the index"
                )
            state = unpack(stored["state"].value, load(data))
        except (ValueError, OSError, RecursionError, SafetensorError) as error:
            raise ValueError(
                f"{self.index} cannot be read as a checkpoint: {error}; nothing was changed: remove the folder to "
                "begin again, or give another"
            ) from None
        self._require_same(learner)
        self._tidy(name)
        return state

    def _tidy(self, file: str) -> None:
        """Remove older tensors, and what a kill in the midst of a write left; nothing that others put there."""
        for old in self.folder.iterdir():
            if _OURS.fullmatch(old.name) and old.name != file:
                old.unlink(missing_ok=True)

    def _require_same(self, stored: dict[str, Any]) -> None:
        if stored != self.learner:
            where, there, here = _difference(stored, self.learner)
            raise ValueError(
                f"{self.index} is of another learner: {where} is {there!r} there; "
                f"expected {here!r}; nothing was changed: give another folder"
            )


def _name(data: bytes) -> str:
    return f"checkpoint-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"


def _difference(stored: Any, expected: Any, where: str = "") -> tuple[str, Any, Any]:
    """The innermost place that differs, and what is there."""
    if isinstance(stored, dict) and isinstance(expected, dict):
        absent = object()
        key = next(k for k in {**expected, **stored} if stored.get(k, absent) != expected.get(k, absent))
        return _difference(stored.get(key), expected.get(key), f"{where}.{key}" if where else key)
    if isinstance(stored, list) and isinstance(expected, list) and len(stored) == len(expected):
        k = next(k for k, (a, b) in enumerate(zip(stored, expected, strict=True)) if a != b)
        return _difference(stored[k], expected[k], f"{where}[{k}]")
    if isinstance(stored, str) and isinstance(expected, str):
        lines = zip(stored.splitlines(), expected.splitlines(), strict=False)
        return next(((where, a.strip(), b.strip()) for a, b in lines if a != b), (where, stored, expected))
    return where, stored, expected
