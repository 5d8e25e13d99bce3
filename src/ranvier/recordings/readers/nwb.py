"""Neurodata Without Borders: units or regions of interest, behaviour, stimuli and trials of an NWB file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import nearest
from ranvier.analysis import Spikes
from ranvier.files.reading import refusing
from ranvier.networks.hdf5.reading import require_sound
from ranvier.recordings.epochs import Epochs
from ranvier.recordings.neurons import Neurons
from ranvier.recordings.readers._tools import Lazy, tool
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal

#: columns of units and regions that name them, in order of preference
NAMES = ("neuron_name", "unit_name", "name", "label", "ID", "cell_name")
_TABLES = (
    "spike_times", "obs_intervals", "electrodes", "electrode_group", "waveform_mean", "waveform_sd", "waveforms",
    "pixel_mask", "image_mask", "voxel_mask", "timeseries", "tags", "spike_times_index",
)  # fmt: skip


def read_nwb(path: str | Path, *, series: str | None = None, dt: float = 0.1, name: str | None = None) -> Session:
    """A session from an NWB file: its units if they have spikes, else the activity of regions of interest.

    series: name of the activity (a `RoiResponseSeries` or `TimeSeries`) to take instead. dt: step of the spikes' clock,
    ms. Activity stays in the file and is read when it is cut; spikes are read at every pass. Series whose timestamps do
    not increase are left out, and `notes` say so. Raises ValueError for a file that is none, or without activity.

    >>> net = rv.Network()
    >>> cells = net.add(rv.SpikeTimes([1.0, 2.0], [0, 1]), 2)
    >>> path = rv.simulate(net, 10.0, dt=1.0, engine="torch").to_nwb("activity.nwb")
    >>> session = rv.recordings.read_nwb("activity.nwb", dt=1.0)
    >>> session.spikes.n_neurons
    2
    """
    tool("pynwb")
    path = Path(path)
    require_sound(path, "NWB")
    with refusing(path, "an NWB file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of namespaces in other versions than the installed ones
        return _session(path, series, dt, path.stem if name is None else name)


def _session(path: Path, series: str | None, dt: float, name: str) -> Session:
    io = tool("pynwb").NWBHDF5IO(str(path), "r")
    file = io.read()
    notes: list[str] = []
    responses = dict(_responses(file))
    behaviour: dict[str, Signal] = {}
    for key, item in _behaviour(file):
        signal = _signal(item, io, notes)
        if signal is not None:
            behaviour[key if key not in behaviour else f"{key} {len(behaviour)}"] = signal
    stimuli: dict[str, Signal | Epochs] = {}
    for key, item in file.stimulus.items():
        if (signal := _signal(item, io, notes)) is not None:
            stimuli[key] = signal
    for key, table in (file.intervals or {}).items():
        if key not in ("trials", "epochs"):
            stimuli[key] = _epochs(table)
    options: dict[str, Any] = {
        "behaviour": behaviour, "stimuli": stimuli, "trials": None if file.trials is None else _epochs(file.trials),
        "name": name,
    }  # fmt: skip
    if series is not None and series not in responses:
        raise ValueError(f"{path} has no activity {series!r}; {nearest(series, responses)}")
    units = file.units if file.units is not None and "spike_times" in file.units.colnames else None
    silent = units is not None and responses and not len(units["spike_times"].target.data)
    if series is None and units is not None and not silent:
        spikes, neurons = _units(units, path, io, dt, [s for s in behaviour.values() if len(s)])
        return Session(spikes=spikes, neurons=neurons, notes=notes, **options)
    if not responses:
        raise ValueError(f"{path} holds neither units nor responses of regions; expected activity of neurons")
    chosen = series or min(responses, key=_rank)
    if len(responses) > 1:
        notes.append(f"read {chosen}; there are also {', '.join(sorted(set(responses) - {chosen}))}")
    item = responses[chosen]
    signal = _signal(item, io, notes)
    if signal is None:
        raise ValueError(f"{chosen} of {path} has no increasing times for its rows; expected one time a row")
    rois = getattr(item, "rois", None)
    regions = None if rois is None else _names(rois.table, np.asarray(rois.data[:]))
    if regions is not None and len(regions) != signal.width:
        notes.append(f"{len(regions)} regions are described, {signal.width} recorded: names left out")
        regions = None
    if regions is None and silent and units is not None and len(units) == signal.width:  # of graded neurons
        regions = _names(units, np.arange(signal.width))
    return Session(activity=signal, neurons=regions, notes=notes, **options)


def _rank(name: str) -> tuple[int, str]:
    low = name.lower()
    return (0 if "df" in low or "dff" in low else 1 if "fluo" in low or "roi" in low else 2, low)


def _responses(file: Any) -> Iterator[tuple[str, Any]]:
    from pynwb.ophys import DfOverF, Fluorescence, RoiResponseSeries

    for module in file.processing.values():
        for item in module.data_interfaces.values():
            if isinstance(item, RoiResponseSeries):
                yield item.name, item
            elif isinstance(item, DfOverF | Fluorescence):
                for series in item.roi_response_series.values():
                    name = series.name if series.name != "RoiResponseSeries" else f"{item.name}/{series.name}"
                    yield name, series
    for item in file.acquisition.values():
        if type(item).__name__ in ("RoiResponseSeries", "TimeSeries") and item.data is not None:
            yield item.name, item


def _behaviour(file: Any) -> Iterator[tuple[str, Any]]:
    from pynwb import TimeSeries
    from pynwb.ophys import RoiResponseSeries

    for module in file.processing.values():
        for item in module.data_interfaces.values():
            inner: Any = getattr(item, "spatial_series", None) or getattr(item, "time_series", None)
            for series in inner.values() if hasattr(inner, "values") else [item]:
                if isinstance(series, TimeSeries) and not isinstance(series, RoiResponseSeries):
                    yield series.name, series


def _signal(item: Any, io: Any, notes: list[str]) -> Signal | None:
    data = getattr(item, "data", None)
    if data is None or not hasattr(data, "shape") or len(data.shape) not in (1, 2) or data.dtype.kind not in "fiub":
        return None
    if item.timestamps is not None:
        times = np.asarray(item.timestamps[:], np.float64) * 1000.0
    elif item.rate:
        times = (float(item.starting_time or 0.0) + np.arange(data.shape[0]) / float(item.rate)) * 1000.0
    else:
        return None
    if len(times) != data.shape[0] or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        notes.append(f"{item.name} left out: its {len(times)} times do not increase, or are not one a row")
        return None
    scale, offset = float(item.conversion or 1.0), float(getattr(item, "offset", 0.0) or 0.0)
    period = 2 * np.pi if "radian" in str(item.unit) and "irection" in type(item.parent).__name__ else None

    def read(key: Any, _open: Any = io) -> NDArray[Any]:  # `_open` keeps the file open as long as it is read
        values = np.asarray(data[key])
        return values if scale == 1.0 and offset == 0.0 else values * scale + offset

    kind = data.dtype if scale == 1.0 and offset == 0.0 else np.float64
    return Signal(times, Lazy(data.shape, kind, read), str(item.unit or ""), period)


def _units(units: Any, path: Path, io: Any, dt: float, others: list[Signal]) -> tuple[Spikes, Neurons]:
    index, count = units["spike_times"], len(units)

    def source() -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        steps = [_steps(np.asarray(index[k], np.float64) * 1000.0, dt, k, path) for k in range(count)]
        owners = np.repeat(np.arange(count, dtype=np.int32), [len(s) for s in steps])
        joined = np.concatenate(steps) if steps else np.empty(0, np.int64)
        order = np.lexsort((owners, joined))
        yield joined[order], owners[order]

    _ = io
    steps, _owners = next(source())
    ends = [(s.times[0], s.times[-1]) for s in others]
    if "obs_intervals" in units.colnames:
        spans = [np.asarray(units["obs_intervals"][k], np.float64).reshape(-1, 2) * 1000.0 for k in range(count)]
        spans = [s for s in spans if len(s)]
        ends = [(float(s.min()), float(s.max())) for s in spans] or ends
    low = min([*((first - 1) * dt for first in steps[:1].tolist()), *(a for a, _ in ends)], default=0.0)
    high = max([*(last * dt for last in steps[-1:].tolist()), *(b for _, b in ends)], default=dt)
    start = int(np.floor(min(low, 0.0 if low < 1000.0 else low) / dt + 1e-6))
    stop = max(int(np.ceil(high / dt - 1e-6)), start + 1)
    return Spikes(source, count, dt, stop, start), _names(units, np.arange(count))


def _steps(times: NDArray[np.float64], dt: float, unit: int, path: Path) -> NDArray[np.int64]:
    if not np.isfinite(times).all():
        raise ValueError(f"unit {unit} of {path} has spike times that are not finite; expected seconds")
    return np.ceil(times / dt - 1e-6).astype(np.int64)


def _names(table: Any, rows: NDArray[Any]) -> Neurons:
    columns, names = {}, None
    for key in table.colnames:
        if key in _TABLES:
            continue
        try:
            values = np.asarray(table[key][:])
        except (TypeError, ValueError):
            continue
        if values.ndim == 1 and len(values) == len(table) and values.dtype.kind in "fiubUSO":
            columns[key] = np.array([str(v) for v in values[rows]]) if values.dtype.kind in "USO" else values[rows]
    for key in NAMES:
        if key in columns and columns[key].dtype.kind == "U":
            names = tuple(columns[key].tolist())
            break
    confidence = columns.get("confidence")
    numeric = confidence is not None and confidence.dtype.kind in "fiu"
    return Neurons(names or ("",) * len(rows), confidence if numeric else None, columns)


def _epochs(table: Any) -> Epochs:
    columns = {}
    for key in table.colnames:
        if key in ("start_time", "stop_time", *_TABLES):
            continue
        values = np.asarray(table[key][:])
        if values.ndim == 1 and len(values) == len(table):
            columns[key] = np.array([str(v) for v in values]) if values.dtype.kind in "USO" else values
    start, stop = (np.asarray(table[key][:], np.float64) * 1000.0 for key in ("start_time", "stop_time"))
    return Epochs(start, stop, columns)


__all__ = ["NAMES", "read_nwb"]
