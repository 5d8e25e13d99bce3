"""Objects of Pynapple and Neo as sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.recordings.epochs import Epochs
from ranvier.recordings.neurons import Neurons
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal


def from_pynapple(
    activity: Any, *, behaviour: Mapping[str, Any] | None = None, trials: Any = None, dt: float = 0.1, name: str = ""
) -> Session:
    """A session from Pynapple's objects, whose times are in seconds.

    activity: a TsGroup (spikes), or a TsdFrame or Tsd (continuous). behaviour: name -> Tsd or TsdFrame. trials: an
    IntervalSet. Metadata become the neurons' columns, and "name" or "label" among them their names, else the columns
    of a TsdFrame where they are text. Spikes lie in the time support, from its first start to its last end. Raises
    TypeError for other objects.

    >>> import pynapple
    >>> frame = pynapple.TsdFrame(t=np.arange(3) / 10, d=np.eye(3)[:, :2])  # s
    >>> session = rv.recordings.from_pynapple(frame)
    >>> session.activity.times.round(6).tolist(), session.activity.read()[:, 0].tolist()  # ms
    ([0.0, 100.0, 200.0], [1.0, 0.0, 0.0])
    """
    kind = type(activity).__name__
    options: dict[str, Any] = {
        "behaviour": {key: _tsd(value, key) for key, value in (behaviour or {}).items()},
        "trials": None if trials is None else _intervals(trials),
        "name": name,
    }
    if kind == "TsGroup":
        keys = list(activity.keys())
        times = [np.asarray(activity[key].index, np.float64) * 1000.0 for key in keys]
        support = np.asarray(activity.time_support.values, np.float64) * 1000.0
        low, high = float(support[:, 0].min()), float(support[:, 1].max())
        low = min([low, *(float(t[0]) - dt for t in times if len(t) and t[0] <= low)])
        owners = np.repeat(np.arange(len(keys)), [len(t) for t in times])
        joined = np.concatenate(times) if times else np.empty(0)
        return Session.from_times(joined, owners, duration=high - low, start=low, size=len(keys), dt=dt,
                                  neurons=_described(activity, keys), **options)  # fmt: skip
    if kind in ("TsdFrame", "Tsd"):
        signal = _tsd(activity, "activity")
        names = list(getattr(activity, "columns", []))
        text = len(names) == signal.width and all(isinstance(c, str) for c in names)
        return Session(activity=signal, neurons=Neurons(tuple(names)) if text else None, **options)
    raise TypeError(f"activity is a {kind}; expected a TsGroup, TsdFrame or Tsd of Pynapple")


def from_neo(block: Any, *, segment: int = 0, dt: float = 0.1, name: str | None = None) -> Session:
    """A session from a segment of a Neo block (or a segment itself): its spike trains, else its first analog signal.

    Further signals become behaviour, epochs trials with a column `label`. Annotations "name" or "label" of a spike
    train name its neuron. Raises ValueError for a segment without either, TypeError for other objects.

    >>> import neo
    >>> segment = neo.Segment()
    >>> segment.spiketrains.append(neo.SpikeTrain([0.01, 0.02], units="s", t_stop=0.1))
    >>> session = rv.recordings.from_neo(segment)
    >>> session.rates().item()  # two spikes in 0.1 s
    20.0
    """
    part = block.segments[segment] if hasattr(block, "segments") else block
    if not all(hasattr(part, name) for name in ("analogsignals", "irregularlysampledsignals", "spiketrains", "epochs")):
        raise TypeError(f"block is a {type(block).__name__}; expected a Block or a Segment of Neo")
    title = str(name if name is not None else getattr(block, "name", "") or "")
    signals = [*part.analogsignals, *part.irregularlysampledsignals]
    trials = None
    if part.epochs:
        start = np.concatenate([_ms(e.times) for e in part.epochs])
        length = np.concatenate([np.broadcast_to(_ms(e.durations), e.times.shape) for e in part.epochs])
        label = [str(x) for e in part.epochs for x in (e.labels if len(e.labels) else [e.name or ""] * len(e.times))]
        trials = Epochs(start, start + length, {"label": np.array(label)})
    if part.spiketrains:
        trains = list(part.spiketrains)
        times = [_ms(train.times) for train in trains]
        low = min(float(_ms(train.t_start)) for train in trains)
        low = min([low, *(float(t.min()) - dt for t in times if len(t) and t.min() <= low)])
        high = max(float(_ms(train.t_stop)) for train in trains)
        names = tuple(str(t.annotations.get("name", t.annotations.get("label", t.name or ""))) for t in trains)
        owners = np.repeat(np.arange(len(trains)), [len(t) for t in times])
        return Session.from_times(
            np.concatenate(times), owners, duration=high - low, start=low, size=len(trains), dt=dt,
            neurons=Neurons(names), behaviour=_named(signals), trials=trials, name=title,
        )  # fmt: skip
    if not signals:
        raise ValueError("the segment holds neither spike trains nor signals; expected activity")
    return Session(activity=_neo_signal(signals[0]), behaviour=_named(signals[1:]), trials=trials, name=title)


def _named(signals: list[Any]) -> dict[str, Signal]:
    return {str(s.name or f"signal {k}"): _neo_signal(s) for k, s in enumerate(signals)}


def _neo_signal(signal: Any) -> Signal:
    return Signal(_ms(signal.times), np.asarray(signal.magnitude), str(signal.dimensionality))


def _ms(quantity: Any) -> NDArray[np.float64]:
    return np.asarray(quantity.rescale("ms").magnitude, np.float64)


def _tsd(value: Any, name: str) -> Signal:
    if type(value).__name__ not in ("Tsd", "TsdFrame"):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a Tsd or TsdFrame of Pynapple")
    return Signal(np.asarray(value.index, np.float64) * 1000.0, np.asarray(value.values))


def _intervals(value: Any) -> Epochs:
    spans = np.asarray(value.values, np.float64) * 1000.0
    columns = {str(c): np.asarray(value.metadata[c]) for c in getattr(value, "metadata_columns", [])}
    return Epochs(spans[:, 0], spans[:, 1], {k: np.array([str(x) for x in v]) if v.dtype.kind == "O" else v
                                             for k, v in columns.items()})  # fmt: skip


def _described(group: Any, keys: list[Any]) -> Neurons:
    columns = {}
    for column in getattr(group, "metadata_columns", []):
        values = np.asarray(group[column])
        columns[str(column)] = np.array([str(v) for v in values]) if values.dtype.kind in "OUS" else values
    text = next((columns[c] for c in ("name", "label") if c in columns and columns[c].dtype.kind == "U"), None)
    return Neurons(tuple(text.tolist()) if text is not None else tuple(str(k) for k in keys), None, columns)


__all__ = ["from_neo", "from_pynapple"]
