"""`read_session`: a recording from whatever file holds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ranvier._checks import nearest
from ranvier.files.reading import read_start
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal


def read_session(path: str | Path, **options: Any) -> Session:
    """A session from an NWB file, NumPy's (.npz, .npy), MATLAB's (.mat), a table (.csv, .tsv, .txt, also gzipped), or
    the folder of a saved simulation, known by content and name.

    options: of the reader: `read_nwb`, `read_arrays`, `read_table`. Raises FileNotFoundError where there is none,
    ValueError for other files.

    >>> np.savetxt("worm.csv", [[0.0, 1.0, 2.0], [0.5, 3.0, 4.0]], "%g", ",", header="time_s,AVAL,AVAR", comments="")
    >>> session = rv.recordings.read_session("worm.csv")
    >>> session.neurons.names, session.activity.read().tolist()
    (('AVAL', 'AVAR'), [[1.0, 2.0], [3.0, 4.0]])
    """
    path = Path(path)
    try:
        session = _read(path, options)
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error
    for key, signal in {"activity": session.activity, **session.behaviour, **session.stimuli}.items():
        if isinstance(signal, Signal):  # values that are read later, and then refused, are named
            object.__setattr__(signal, "source", f"{key} of {path}")
    return session


def _read(path: Path, options: dict[str, Any]) -> Session:
    if path.is_dir():
        from ranvier.engines import Recording

        _require(options, Session.__init__, ("behaviour", "stimuli", "trials", "notes"))
        return Session.of_simulation(Recording.open(path), name=path.name, **options)
    start = read_start(path, 128, "a recording")
    if start[:8] == b"\x89HDF\r\n\x1a\n" and path.suffix.lower() != ".mat":
        from ranvier.recordings.readers.nwb import read_nwb

        _require(options, read_nwb)
        return read_nwb(path, **options)
    arrays = (b"PK\x03\x04", b"\x93NUMPY", b"MATLAB", b"\x89HDF")
    if start.startswith(arrays):
        from ranvier.recordings.readers.arrays import read_arrays

        return read_arrays(path, **options)
    if {".csv", ".tsv", ".txt"} & {s.lower() for s in path.suffixes}:
        from ranvier.recordings.readers.tables import read_table

        _require(options, read_table)
        return read_table(path, **options)
    raise ValueError(f"{path} is of no known kind (it begins with {start[:8]!r}); expected NWB, .npz, .npy, .mat, .csv "
                     "or the folder of a saved simulation")  # fmt: skip


def _require(options: Mapping[str, Any], reader: Callable[..., Any], known: Iterable[str] | None = None) -> None:
    """ValueError for an option that a reader has not."""
    parameters = inspect.signature(reader).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] if known is None else known
    for name in options:
        if name not in known:
            raise ValueError(f"{name} is an option that recordings of this kind have not; {nearest(name, known)}")


__all__ = ["read_session"]
