"""Whole connectomes from the files that their projects publish: integer ids, signed numbers of synapses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._results import Fields
from ranvier._text import plural
from ranvier.brains._labels import labels_of

#: columns of one meaning, as FlyWire, Codex, neuPrint, the male CNS and BANC name them
SOURCE = ("Presynaptic_ID", "pre_root_id", "pre_pt_root_id", "bodyId_pre", "body_pre", ":START_ID(Body-ID)", "pre")
TARGET = ("Postsynaptic_ID", "post_root_id", "post_pt_root_id", "bodyId_post", "body_post", ":END_ID(Body-ID)", "post")
COUNT = ("syn_count", "weight", "weight:int", "count", "n_syn", "Connectivity")
TRANSMITTER = ("nt_type", "predictedNt", "predicted_nt", "consensusNt", "consensus_nt", "top_nt", "neurotransmitter")
IDS = ("root_id", "bodyId", "body", "pt_root_id", "id", ":ID(Body-ID)")
INDICES = ("Presynaptic_Index", "Postsynaptic_Index", "Excitatory x Connectivity")
#: by the first letters of a transmitter's name; Shiu et al. (2024) take all others for excitatory
SIGNS = {"ach": 1, "acetylcholine": 1, "gaba": -1, "glut": -1, "glutamate": -1}


@dataclass(frozen=True, eq=False)
class BrainWiring(Fields):
    """ids (neurons,) int64; sources, targets (connections,) int32, each pair once; counts:
    synapses, negative where the source inhibits; notes: what was left out or assumed, with its number; labels: names,
    types and classes (neurons,), by column of the table of neurons.

    >>> brain = rv.brains.fly_wiring(neurons=100, connections=500)
    >>> len(brain.ids), len(brain.sources), brain.places(brain.ids[[7]]).tolist()
    (100, 500, [7])
    """

    ids: NDArray[np.int64]
    sources: NDArray[np.int32]
    targets: NDArray[np.int32]
    counts: NDArray[np.int32]
    notes: tuple[str, ...] = ()
    labels: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def places(self, ids: Any) -> NDArray[np.int64]:
        """Where neurons stand. Raises ValueError for ids that are not there."""
        named = np.asarray(ids, np.int64).reshape(-1)
        order = np.argsort(self.ids, kind="stable")
        at = np.searchsorted(self.ids[order], named)
        known = at < len(order)
        known[known] = self.ids[order][at[known]] == named[known]
        if not known.all():
            raise ValueError(
                f"{(~known).sum()} of {len(known)} ids are not in the connectome, {named[~known][0]} first; "
                "expected ids of its own table: are they of another version?"
            )
        return order[at]


def read_connectome(connections: str | Path, nodes: str | Path | None = None) -> BrainWiring:
    """Read a connectome's connections (Parquet, Feather, CSV) and, if given, the table of its neurons.

    Layouts are known by their columns: FlyWire's Parquet of Shiu et al. with its completeness CSV as `nodes`; Codex's
    CSV (a row a neuropil, which are summed); neuPrint, hemibrain, male CNS and BANC tables. Signs come from a column
    of transmitters: of `nodes`, else of the connections. Columns of names, types and classes become `labels`.
    Connections of neurons that `nodes` lacks are left out, and counted. Raises ValueError for columns that are missing
    and ids that are no whole numbers, ImportError without pyarrow.

    >>> head = "bodyId_pre,bodyId_post,weight"
    >>> np.savetxt("connections.csv", [[11, 12, 5], [12, 11, 3]], "%d", ",", header=head, comments="")
    >>> brain = rv.brains.read_connectome("connections.csv")
    >>> brain.ids.tolist(), brain.counts.tolist()
    ([11, 12], [5, 3])
    """
    table = _table(Path(connections))
    names = set(table.column_names)
    notes: list[str] = []
    listed = None if nodes is None else _table(Path(nodes))
    if set(INDICES) <= names:
        return _flywire(table, listed, connections, nodes, notes)
    source, target, count = (_column(names, known, connections) for known in (SOURCE, TARGET, COUNT))
    pre, post = (_whole(table, name, connections) for name in (source, target))
    synapses = _whole(table, count, connections)
    if listed is None:
        ids = np.unique(np.concatenate([np.unique(pre), np.unique(post)]))
    else:
        ids = _node_ids(listed, nodes)
        order = np.sort(ids)
        if twice := int((order[1:] == order[:-1]).sum()):
            notes.append(f"Listed twice in the table of neurons (the first row counts): {plural(twice, 'neuron')}")
        ids, rows = np.unique(ids, return_index=True)
    i, j = np.searchsorted(ids, pre), np.searchsorted(ids, post)
    known = (i < len(ids)) & (j < len(ids))
    known[known] = (ids[i[known]] == pre[known]) & (ids[j[known]] == post[known])
    if lost := int((~known).sum()):
        notes.append(f"Left out: {plural(lost, 'row')} with a neuron that the table of neurons lacks")
        i, j, synapses = i[known], j[known], synapses[known]
    if bad := int((synapses <= 0).sum()):
        notes.append(f"Left out: {plural(bad, 'row')} without a synapse")
        chosen = synapses > 0
        i, j, synapses = i[chosen], j[chosen], synapses[chosen]
        known[np.flatnonzero(known)[~chosen]] = False
    signs = np.ones(len(ids), np.int32)
    own = [name for name in TRANSMITTER if listed is not None and name in listed.column_names]
    if own and listed is not None:
        signs = _signs(listed.column(own[0]), notes)[rows]
    elif theirs := [name for name in TRANSMITTER if name in names]:
        each = _signs(table.column(theirs[0]), notes)[known]
        signs = np.where(np.bincount(i, each * synapses, len(ids)) < 0, -1, 1).astype(np.int32)
    else:
        notes.append("no column of transmitters: all neurons excite")
    brain = _joined(ids, i, j, synapses, signs, notes)
    return brain if listed is None else replace(brain, labels=labels_of(listed, rows))


def _flywire(table: Any, listed: Any, connections: Any, nodes: Any, notes: list[str]) -> BrainWiring:
    if listed is None:
        raise ValueError(f"{connections} has indices of neurons, no ids; expected the completeness CSV as nodes")
    ids = _whole(listed, listed.column_names[0], nodes)
    i, j, signed = (_whole(table, name, connections) for name in INDICES)
    inside = (np.minimum(i, j) >= 0) & (np.maximum(i, j) < len(ids))
    if lost := int((~inside).sum()):
        notes.append(f"Left out: {plural(lost, 'connection')} with an index beyond the {plural(len(ids), 'neuron')}")
        i, j, signed = i[inside], j[inside], signed[inside]
    negative = np.bincount(i, signed < 0, len(ids)) > 0
    if mixed := int((negative & (np.bincount(i, signed > 0, len(ids)) > 0)).sum()):
        notes.append(f"With synapses of both signs: {plural(mixed, 'neuron')}")
    brain = _joined(ids, i, j, signed, np.ones(len(ids), np.int32), notes)
    return replace(brain, labels=labels_of(listed, np.arange(len(ids))))


def _joined(ids: Any, i: Any, j: Any, synapses: Any, signs: Any, notes: list[str]) -> BrainWiring:
    """Each pair once, in order."""
    key = i.astype(np.int64) * len(ids) + j
    if len(key) and not (key[1:] > key[:-1]).all():
        order = np.argsort(key, kind="stable")
        key, synapses = key[order], synapses[order]
        first = np.concatenate([[True], key[1:] != key[:-1]])
        if not first.all():
            notes.append(f"Summed: {plural(int((~first).sum()), 'row')} of the same pair, as of several neuropils")
            synapses = np.add.reduceat(synapses, np.flatnonzero(first))
            key = key[first]
    sources = (key // len(ids)).astype(np.int32) if len(ids) else np.zeros(0, np.int32)
    targets = (key % len(ids)).astype(np.int32) if len(ids) else np.zeros(0, np.int32)
    if own := int((sources == targets).sum()):
        notes.append(f"From a neuron to itself: {plural(own, 'connection')}")
    counts = (synapses * signs[sources]).astype(np.int32)
    return BrainWiring(np.asarray(ids, np.int64), sources, targets, counts, tuple(notes))


def _table(path: Path) -> Any:
    try:
        from pyarrow import csv, feather, parquet
    except ImportError:
        raise ImportError(
            f"{path} is a table, which pyarrow reads; expected that package: pip install 'ranvier[tables]'"
        ) from None
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a table: Parquet, Feather or CSV")
    with path.open("rb") as file:
        head = file.read(6)
    try:
        if head[:4] == b"PAR1":
            return parquet.read_table(path)
        if head in (b"ARROW1",) or head[:4] == b"FEA1":
            return feather.read_table(path)
        return csv.read_csv(path)
    except Exception as error:  # whatever pyarrow raises for what is no table
        raise ValueError(f"{path} is no table that pyarrow reads ({error}); expected Parquet, Feather or CSV") from None


def _column(names: set[str], known: tuple[str, ...], path: Any) -> str:
    for name in known:
        if name in names:
            return name
    raise ValueError(f"{path} has the columns {', '.join(sorted(names))[:200]}; expected one of {', '.join(known)}")


def _whole(table: Any, name: str, path: Any) -> NDArray[np.int64]:
    """A column as int64. Ids of 18 digits do not fit a float, so floats beyond 2^53 are refused."""
    import pyarrow as pa

    column = table.column(name)
    if column.null_count:
        raise ValueError(f"column {name!r} of {path} lacks {column.null_count} values; expected a number in each row")
    kind = column.type
    if pa.types.is_floating(kind) and len(column) and abs(column.to_numpy()).max() >= 2.0**53:
        raise ValueError(f"column {name!r} of {path} is {kind}, which rounds ids; expected 64-bit whole numbers")
    try:
        return column.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"column {name!r} of {path} is no column of whole numbers; expected one: {str(error)[:120]}"
        ) from None


def _node_ids(table: Any, path: Any) -> NDArray[np.int64]:
    return _whole(table, _column(set(table.column_names), IDS, path), path)


def _signs(column: Any, notes: list[str]) -> NDArray[np.int32]:
    """One a row; every transmitter that is not known counts as excitatory."""
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    coded = column.dictionary_encode()
    coded = coded if not hasattr(coded, "chunks") else coded.combine_chunks()
    words = [str(w).strip().lower() for w in coded.dictionary.to_pylist()]
    table = np.array([SIGNS.get(w, 0) for w in words] + [0], np.int32)
    codes = coded.indices.fill_null(len(words)).to_numpy()
    signs = table[codes]
    if unknown := int((signs == 0).sum()):
        others = ", ".join(sorted({w for w in words if w not in SIGNS})[:6])
        notes.append(f"Taken as excitatory: {plural(unknown, 'row')} with another transmitter or none ({others})")
    return np.where(signs == 0, 1, signs).astype(np.int32)


__all__ = ["BrainWiring", "read_connectome"]
