"""NumPy's and MATLAB's files: arrays by name, recognised by usual names, or named by the caller."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import LARGEST, nearest, positive
from ranvier.files.reading import library_fault, read_start, refusing, require_ratio
from ranvier.networks.hdf5.reading import require_sound
from ranvier.recordings.neurons import MOST_NEURONS, Neurons
from ranvier.recordings.readers._tools import Lazy, milliseconds, once
from ranvier.recordings.readers.matlab import read_matlab
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal

#: usual names of arrays, in order of preference
USUAL = {
    "activity": ("traces", "activity", "calcium", "dff", "dF_F", "fluorescence", "F", "data"),
    "counts": ("counts", "spike_counts", "binned"),
    "spike_times": ("spike_times",),
    "spike_neurons": ("spike_neurons", "spike_clusters", "units"),
    "times": ("time_ms", "time_s", "times", "time", "t", "timestamps"),
    "names": ("names", "labels", "neuron_names"),
    "confidence": ("confidence", "confidences"),
}

#: arrays of a TsGroup that Pynapple has saved: times in seconds, the key of each, all keys, and the time support
TSGROUP = {"t", "index", "keys", "start", "end"}


def read_arrays(
    path: str | Path,
    *,
    bin: float | None = None,
    unit: str = "s",
    behaviour: Mapping[str, str | tuple[str, int]] | Sequence[str] | None = None,
    transpose: bool = False,
    periods: Mapping[str, float] | None = None,
    name: str | None = None,
    **roles: str,
) -> Session:
    """A session from .npz, .npy or .mat (also of version 7.3).

    Parameters
    ----------
    roles
        which array is what, by name: activity (T, N), counts (T, N) with `bin`, or spike_times (n,) with
        spike_neurons (n,); times (T,), names (N,), confidence (N,). What is not said is looked for under usual names
        (`traces`, `time_s`, ...).
    bin
        ms, of counts, and of activity without times
    unit
        of times without a suffix _ms or _s: "s", "ms" ...
    behaviour
        arrays (T,) or (T, K) on the same samples, by name, or new name -> array, or -> (array, column); None: all
        others of that length
    transpose
        where neurons come first, (N, T)
    periods
        behaviour -> its period, where it goes round

    Raises ValueError for a file without activity, and for arrays that do not fit one another.

    >>> np.savez("worm.npz", traces=np.zeros((3, 2)), time_s=[0.0, 0.5, 1.0])
    >>> session = rv.recordings.read_arrays("worm.npz")
    >>> session.activity.times.tolist(), len(session.neurons)  # ms
    ([0.0, 500.0, 1000.0], 2)
    """
    path = Path(path)
    table = _table(path)
    role = {key: _chosen(table, key, roles) for key in USUAL}
    if unknown := set(roles) - set(USUAL):
        raise ValueError(f"{unknown.pop()!r} is no role of an array; expected {', '.join(USUAL)}")
    neurons = {key: role[key] for key in ("names", "confidence")}
    title = path.stem if name is None else name
    if table.keys() >= TSGROUP and not roles:
        return _tsgroup(path, table, title)
    if role["spike_times"]:
        return _spikes(path, table, role, unit, title)
    source = role["activity"] if roles.get("activity") or not role["counts"] else None
    source = source or role["counts"]
    if source is None:
        held = [key if _is_real(array) else f"{key} ({array.dtype})" for key, array in table.items()]
        raise ValueError(f"{path} holds {', '.join(held) or 'nothing'}; expected activity under a usual name: say "
                         "which array it is, activity=NAME or counts=NAME")  # fmt: skip
    values = _turned(table[source]) if transpose else table[source]
    _require_real(values, source, path)
    if len(values.shape) != 2:
        raise ValueError(f"{source} of {path} has shape {values.shape}; expected (T, N)")
    if not all(values.shape):
        raise ValueError(f"{source} of {path} has shape {values.shape}; expected at least one sample of one neuron")
    require_ratio(8 * max(values.shape), path.stat().st_size, path)  # before anything is made to that size
    described = _neurons(table, neurons, values.shape[1], path)
    counted = source == role["counts"]
    times = _times(table, role["times"], len(values), unit, bin, counted, path)
    taken = {source, *filter(None, role.values())}
    behaviours = _behaviours(table, behaviour, taken, len(values), path)
    signals = {
        key: Signal(times, array, period=(periods or {}).get(key)) for key, array in behaviours.items()
    }
    if counted:
        return Session.from_counts(np.asarray(values), bin=positive(bin, "bin", "ms"), neurons=described,
                                   behaviour=signals, name=title)  # fmt: skip
    return Session(activity=Signal(times, values), neurons=described, behaviour=signals, name=title)


def _tsgroup(path: Path, table: dict[str, Any], title: str) -> Session:
    """Its metadata, pickled, are not read."""
    times, start, end = (_milliseconds(table, key, 1000.0, path) for key in ("t", "start", "end"))
    keys, owners = (np.asarray(table[key]).ravel() for key in ("keys", "index"))
    for key, array in (("keys", keys), ("index", owners)):
        if array.dtype.kind not in "iu":
            raise ValueError(f"{key} of {path} is {array.dtype}; expected whole numbers, as Pynapple writes them")
    names, each = np.unique(keys, return_counts=True)
    if (each > 1).any() or not np.isin(owners, names).all():
        odd = names[each > 1][0] if (each > 1).any() else owners[~np.isin(owners, names)][0]
        raise ValueError(f"keys of {path} hold {odd} {'twice' if (each > 1).any() else 'not at all'}; expected each "
                         "unit's once")  # fmt: skip
    if not len(start) or not len(end) or not start.min() < end.max():
        raise ValueError(f"start and end of {path} hold no time; expected the time support, in seconds")
    low = min(float(start.min()), float(times.min(initial=math.inf, where=times <= start.min())) - 0.1)
    return Session.from_times(times, np.searchsorted(names, owners), duration=float(end.max()) - low, start=low,
                              size=len(names), neurons=Neurons(tuple(map(str, names))), name=title)  # fmt: skip


def _spikes(path: Path, table: dict[str, Any], role: dict[str, str | None], unit: str, title: str) -> Session:
    if role["spike_neurons"] is None:
        raise ValueError(f"{path} holds spike times in {role['spike_times']}; expected the neuron of each too: say "
                         "spike_neurons=NAME")  # fmt: skip
    times = _milliseconds(table, role["spike_times"], milliseconds(unit), path)  # type: ignore[arg-type]
    owners = np.asarray(table[role["spike_neurons"]]).ravel()
    if owners.dtype.kind not in "iu":
        raise ValueError(f"{role['spike_neurons']} of {path} is {owners.dtype}; expected indices of neurons")
    stop = float(times.max(initial=0.0)) + 0.1
    start = min(0.0, float(times.min(initial=0.0)) - 0.1)
    size = int(owners.max(initial=-1)) + 1
    described = _neurons(table, {key: role[key] for key in ("names", "confidence")}, size, path)
    return Session.from_times(times, owners, duration=stop - start, start=start, size=len(described),
                              neurons=described, name=title)  # fmt: skip


def _chosen(table: dict[str, Any], key: str, roles: Mapping[str, str]) -> str | None:
    if key in roles:
        if roles[key] not in table:
            raise ValueError(f"there is no array {roles[key]!r} for {key}; {nearest(roles[key], table)}")
        return roles[key]
    lower = {name.lower(): name for name in table}
    return next((lower[usual.lower()] for usual in USUAL[key] if usual.lower() in lower), None)


def _times(
    table: dict[str, Any], key: str | None, size: int, unit: str, bin: float | None, counted: bool, path: Path
) -> NDArray[np.float64]:
    if bin is not None and (counted or key is None):
        return np.asarray((np.arange(size) + 0.5) * positive(bin, "bin", "ms"), np.float64)
    if key is None or counted:
        raise ValueError(f"{path} says nothing of times; expected bin=, the ms from sample to sample"
                         + ("" if counted else ", or times=NAME"))  # fmt: skip
    suffix = key.rpartition("_")[2]
    return _milliseconds(table, key, milliseconds(suffix if suffix in ("s", "ms") else unit), path)


def _milliseconds(table: dict[str, Any], key: str, factor: float, path: Path) -> NDArray[np.float64]:
    """An array of times; ValueError for such that no clock has."""
    _require_real(table[key], key, path)
    times = np.asarray(table[key], np.float64).ravel()
    longest = float(np.abs(times, where=np.isfinite(times), out=np.zeros_like(times)).max(initial=0.0))
    if longest > LARGEST / factor:
        raise ValueError(f"{key} of {path} reaches {longest:g}; expected times below {LARGEST / factor:g}: look at "
                         "their unit, and leave marks of what was not measured out")  # fmt: skip
    return times * factor


def _is_real(values: Any) -> bool:
    return values.dtype.kind in "fiub"


def _require_real(values: Any, key: str, path: Path) -> None:
    if not _is_real(values):
        raise ValueError(f"{key} of {path} holds {values.dtype}; expected real numbers")


def _neurons(table: dict[str, Any], roles: Mapping[str, str | None], size: int, path: Path) -> Neurons:
    key = roles["names"]
    if size > MOST_NEURONS:
        raise ValueError(f"{path} holds neurons up to number {size - 1}; expected at most {MOST_NEURONS}: number "
                         "them from 0")  # fmt: skip
    if not key:
        return Neurons.unnamed(size)
    names = np.asarray(table[key]).ravel()
    if names.dtype.kind not in "US":
        raise ValueError(f"{roles['names']} of {path} is {names.dtype}; expected text, one name a neuron")
    if len(names) < size:
        raise ValueError(f"{roles['names']} of {path} has {len(names)} names; expected one for each of {size} neurons")
    scale = roles["confidence"]
    confidence = np.asarray(table[scale], np.float64).ravel() if scale else None
    return Neurons(tuple(str(x).strip() for x in names), confidence)


def _behaviours(
    table: dict[str, Any], behaviour: Any, taken: set[str], size: int, path: Path
) -> dict[str, NDArray[np.float64]]:
    if behaviour is None:
        chosen = {key: key for key, array in table.items()
                        if key not in taken and len(_flat(array)) == size and array.dtype.kind in "fiub"}  # fmt: skip
    else:
        chosen = dict(behaviour) if isinstance(behaviour, Mapping) else {key: key for key in behaviour}
    result = {}
    for name, source in chosen.items():
        key, column = source if isinstance(source, tuple) else (source, None)
        if key not in table:
            raise ValueError(f"there is no array {key!r} for behaviour {name!r}; {nearest(key, table)}")
        _require_real(table[key], key, path)
        array = np.asarray(table[key])
        array = array.reshape(-1) if 1 in array.shape else array
        if len(array) != size:
            raise ValueError(f"{key} of {path} has shape {array.shape}; expected one row for each of {size} samples")
        if column is not None:
            if array.ndim != 2 or not 0 <= column < array.shape[1]:
                raise ValueError(f"{key} of {path} has shape {array.shape}; expected a column {column}")
            array = array[:, column]
        result[name] = array.astype(np.float64)
    return result


def _flat(array: Any) -> range:
    """A range as long as the array has rows; of a vector lying down, as many as it has entries."""
    shape = array.shape
    return range(shape[1] if len(shape) == 2 and shape[0] == 1 else shape[0] if len(shape) in (1, 2) else 0)


def _turned(values: Any) -> Lazy:
    return Lazy(values.shape[::-1], values.dtype, lambda key: np.asarray(values[:]).T[key])


def _table(path: Path) -> dict[str, Any]:
    start = read_start(path, 128, "a recording (.npz, .npy or .mat)")
    if start[:4] == b"PK\x03\x04":
        return _npz(path)
    if start[:6] == b"\x93NUMPY":
        try:
            return {"activity": np.load(path, mmap_mode="r", allow_pickle=False)}
        except Exception as error:  # NumPy's parser of headers raises many kinds
            fault = library_fault(error)
            raise ValueError(f"{path} is a broken .npy file ({fault}); expected an array of numpy.save") from error
    if start[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3" in start:
        return _hdf5(path)
    if b"MATLAB" in start[:20]:
        return dict(read_matlab(path))
    raise ValueError(f"{path} begins with {start[:8]!r}; expected a file of NumPy (.npz, .npy) or MATLAB (.mat)")


def _npz(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = {}
    with refusing(path, "an .npz file of numpy.savez", (zipfile.BadZipFile,)), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            require_ratio(info.file_size, info.compress_size, path)
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                          else np.lib.format.read_array_header_2_0)  # fmt: skip
                shape, _, dtype = header(member)
            key = info.filename.removesuffix(".npy")
            if math.prod(shape) * dtype.itemsize > info.file_size:
                raise ValueError(
                    f"{key} of {path} says that it has shape {shape} and holds {info.file_size} bytes; expected as "
                    "many as its shape says"
                )
            if dtype.kind in "fiubUSc" and shape:
                table[key] = once(shape, dtype, partial(_member, path, key))
    return table


def _member(path: Path, key: str) -> NDArray[Any]:
    what = f"an .npz file with an array {key!r:.80}"
    with refusing(path, what, (zipfile.BadZipFile, zlib.error)), np.load(path, allow_pickle=False) as archive:
        return archive[key]


def _hdf5(path: Path) -> dict[str, Any]:
    """A .mat file of version 7.3, in which arrays lie transposed."""
    import h5py

    require_sound(path, "MATLAB 7.3")
    with refusing(path, "a .mat file of version 7.3"):
        file = h5py.File(path, "r")
        return {
            key: Lazy(item.shape[::-1], item.dtype, partial(_cut, item, path))
            for key, item in file.items()
            if isinstance(item, h5py.Dataset) and item.shape is not None and item.dtype.kind in "fiub"
        }


def _cut(item: Any, path: Path, key: Any) -> NDArray[Any]:
    with refusing(path, "a .mat file of version 7.3"):
        return item[()].T[key]


__all__ = ["USUAL", "read_arrays"]
