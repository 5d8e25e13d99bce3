"""What users call neurons: ids, names, types, classes; and what a table of neurons says of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ranvier.brains._connectomes import BrainWiring

#: columns of a table of neurons, as FlyWire, Codex, neuPrint and BANC name them: a name of one neuron first, then its
#: type, then classes, from small to large
LABELS = (
    "name", "instance", "primary_type", "cell_type", "type", "hemibrain_type", "additional_type(s)", "group",
    "sub_class", "cell_sub_class", "class", "cell_class", "super_class", "superclass",
)  # fmt: skip


def labels_of(table: Any, rows: NDArray[np.int64]) -> dict[str, NDArray[np.str_]]:
    """The columns of labels of a table, (neurons,) each: "" for none."""
    out = {}
    for name in LABELS:
        if name in table.column_names:
            words = ["" if w is None else str(w).strip() for w in table.column(name).to_pylist()]
            out[name] = np.array(words, np.str_)[rows]
    return out


def shown(brain: BrainWiring) -> list[str]:
    """A text a neuron, for tables: its id, and before it the first label that it has.

    >>> brain = rv.brains.BrainWiring(
    ...     np.array([11, 12]), *(np.zeros(0, np.int32) for _ in range(3)), labels={"type": np.array(["MN9", ""])}
    ... )
    >>> rv.brains.shown(brain)
    ['MN9 11', '12']
    """
    ids = [str(i) for i in brain.ids.tolist()]
    if not brain.labels:
        return ids
    best = np.full(len(ids), "", object)
    for words in reversed(list(brain.labels.values())):
        best = np.where(words != "", words, best)
    return [f"{word} {i}" if word else i for word, i in zip(best.tolist(), ids, strict=True)]


def find(brain: BrainWiring, words: Iterable[str], what: str) -> NDArray[np.int64]:
    """The places of all neurons that words mean: an id, or a name, type or class of the table of neurons, whatever its
    case. Raises ValueError, which begins with `what`, for words that mean none.

    >>> brain = rv.brains.BrainWiring(
    ...     np.array([11, 12]), *(np.zeros(0, np.int32) for _ in range(3)), labels={"type": np.array(["MN9", "GRN"])}
    ... )
    >>> rv.brains.find(brain, ["mn9", "12"], "driven").tolist()
    [0, 1]
    """
    words = [word.strip() for word in words if word.strip()]
    numbers = [int(word) for word in words if _is_id(word)]
    places, unknown = [brain.places(numbers)] if numbers else [], []
    lower: Mapping[str, NDArray[Any]] = {name: np.char.lower(x) for name, x in brain.labels.items()}
    for word in words:
        if _is_id(word):
            continue
        hits = [np.flatnonzero(x == word.lower()) for x in lower.values()]
        hit = next((h for h in hits if len(h)), np.zeros(0, np.int64))
        places.append(hit)
        if not len(hit):
            unknown.append(word)
    if unknown:
        known = f"its columns {', '.join(lower)}" if lower else "it has no such column: give ids, or --nodes with names"
        raise ValueError(
            f"{what} names {unknown[0]!r:.60}, which is no id and no label of the table of neurons; expected one of "
            f"either ({known})"
        )
    return np.unique(np.concatenate(places)) if places else np.zeros(0, np.int64)


def _is_id(word: str) -> bool:
    return word.removeprefix("-").isdigit() and word.isascii()


__all__ = ["LABELS", "find", "labels_of", "shown"]
