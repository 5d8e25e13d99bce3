"""Recordings of event cameras: N-MNIST's files, tonic's arrays, and frames of counts.

A recording is a NumPy structured array with the fields x, y (pixels), t (µs) and p (0 off, 1 on), an event each, in
order of time: what the data sets of `tonic` give too, which reads AEDAT and some twenty others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier._checks import count as whole_count
from ranvier._steps import frame_of
from ranvier.files.reading import read_bytes, read_text

Recording = NDArray[np.void]

EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.int8)])
_NEVER = 2.0**62  # µs
_WIDEST = 1 << 15  # pixels that int16 counts
_OVERFLOW_Y, _OVERFLOW = 240, 1 << 13  # an event at this y is no event: later times are so much later (µs)


def read_bs2(path: str | Path, *, size: tuple[int, int] = (34, 34)) -> Recording:
    """The events in a .bs2 or .bin file of N-MNIST (Orchard et al. 2015): five bytes each, namely x, y, a bit of
    polarity (1 on) and 23 bits of time in µs, big-endian.

    size: (height, width) of the sensor. Raises FileNotFoundError, or ValueError for a file that is empty, ends
    within an event, or has events beyond the sensor or out of order, as any other format would. (A file cut
    between two events cannot be distinguished from a shorter recording.)

    >>> from pathlib import Path
    >>> _ = Path("sample.bs2").write_bytes(bytes([3, 5, 0x80, 0x03, 0xE8]))  # x 3, y 5, on, at 1000 µs
    >>> rv.learners.read_bs2("sample.bs2")[0].item()
    (3, 5, 1000, 1)
    """
    height, width = sensor_size(size)
    path = Path(path)
    data = np.frombuffer(read_bytes(path, "an N-MNIST recording (.bs2 or .bin)"), np.uint8)
    if len(data) == 0 or len(data) % 5 or bool((data[1::5] == _OVERFLOW_Y).all()):
        raise ValueError(f"{path} has {len(data)} bytes; expected a whole number of events of 5 bytes, at least one")
    x, y, high, middle, low = data.reshape(-1, 5).T.astype(np.int64)
    marker = y == _OVERFLOW_Y
    events = np.empty(int((~marker).sum()), EVENT)
    time = ((high & 0x7F) << 16 | middle << 8 | low) + _OVERFLOW * np.cumsum(marker)
    for name, values in (("x", x), ("y", y), ("t", time), ("p", high >> 7)):
        events[name] = values[~marker]
    try:
        return as_events(events, (height, width))
    except ValueError as error:
        sensor = f"{height} × {width}"
        raise ValueError(f"{path} is no N-MNIST recording of a {sensor} sensor: {error}") from None


def read_nmnist(folder: str | Path, *, train: bool = True) -> tuple[list[Recording], Tensor]:
    """Recordings and labels (n,) from a folder with train1K.txt and test100.txt (lines: sample, class; # comments)
    and a file SAMPLE.bs2 for each sample. FileNotFoundError where one is missing, ValueError for another format.

    >>> from pathlib import Path
    >>> _ = Path("train1K.txt").write_text("1 7")
    >>> _ = Path("1.bs2").write_bytes(bytes([3, 5, 0x80, 0x03, 0xE8]))  # x 3, y 5, on, at 1000 µs
    >>> recordings, labels = rv.learners.read_nmnist(".")
    >>> len(recordings[0]), labels.tolist()
    (1, [7])
    """
    folder = Path(folder)
    index = folder / ("train1K.txt" if train else "test100.txt")
    text = read_text(index, "a list with lines of sample and class")
    recordings, labels = [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words) or int(words[1]) > 9:
            raise ValueError(
                f"there is {line!r:.80} in line {number} of {index}; expected a sample's number and its digit"
            )
        recordings.append(read_bs2(folder / f"{words[0]}.bs2"))
        labels.append(int(words[1]))
    if not labels:
        raise ValueError(f"there is no sample in {index}; expected lines of sample and class")
    return recordings, torch.tensor(labels)


def sensor_size(size: object) -> tuple[int, int]:
    """(height, width); TypeError, or ValueError, for what is none."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise TypeError(f"size is {size!r:.40}; expected (height, width) of the sensor: (1, width) for one without y")
    height, width = (whole_count(number, "height or width of the sensor", 1) for number in size)
    if max(height, width) > _WIDEST:
        raise ValueError(f"the sensor is {height} × {width}; expected at most {_WIDEST} pixels a side")
    return height, width


def as_events(array: NDArray[np.void], size: tuple[int, int]) -> Recording:
    """A structured array with fields x, t and, where the sensor has them, y and p, checked and in one layout.

    size: (height, width), (1, width) for a sensor without y. Any whole or floating-point t in µs is taken; a
    missing p is on. Raises ValueError for other fields, events beyond the sensor, and times that are negative
    or run backwards.
    """
    height, width = sensor_size(size)
    names = getattr(getattr(array, "dtype", None), "names", None) or ()
    if getattr(array, "ndim", 1) != 1 or not {"x", "t"} <= set(names):
        raise ValueError(f"there is an array with fields {names}; expected one axis with x, y, t and p")
    events = np.empty(len(array), EVENT)
    rows = array["y"] if "y" in names else np.zeros(len(array), np.int64)
    polarity = np.asarray(array["p"] if "p" in names else np.ones(len(array), bool))
    time = np.asarray(array["t"])
    for name, values, end in (("x", array["x"], width), ("y", rows, height), ("p", polarity, 2)):
        bad = ~((values >= 0) & (values < end))
        if values.dtype.kind == "f":
            bad |= values != np.floor(values)
        if bad.any():
            k = int(bad.argmax())
            raise ValueError(f"{name} is {values[k]} at event {k}; expected a whole number, 0 to {end - 1}")
    bad = ~((time >= 0) & (time < _NEVER))
    bad[1:] |= time[1:] < time[:-1]
    if bad.any():
        k = int(bad.argmax())
        raise ValueError(f"t is {time[k]} µs at event {k}; expected times from 0 on that do not fall")
    events["x"], events["y"], events["t"], events["p"] = array["x"], rows, time, polarity
    return events


def bin_events(
    recordings: Sequence[NDArray[np.void]],
    steps: int,
    interval: float,
    *,
    size: tuple[int, int] = (34, 34),
    binary: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Events counted in frames (T, B, 2, height, width): first those that switched off, then those that switched on.

    Frame k takes the times from k · interval up to (k + 1) · interval (ms); later ones are left out. `binary`: 1
    where there is any event. One pass over the events, whatever the size of the frames; with a DataLoader bin a
    batch at a time, in its collate_fn, and the data set stays as sparse as it is.

    Raises ValueError for no recording, no steps, and events that lie outside `size`.

    >>> from ranvier.learners.datasets.events import EVENT
    >>> events = np.array([(3, 5, 500, 1), (3, 5, 700, 1), (0, 0, 2500, 0)], dtype=EVENT)  # x, y, µs, polarity
    >>> frames = rv.learners.bin_events([events], steps=3, interval=1.0)
    >>> frames[0, 0, 1, 5, 3].item(), frames[2, 0, 0, 0, 0].item(), frames.sum().item()
    (2.0, 1.0, 3.0)
    """
    if not isinstance(steps, int) or steps < 1 or not interval > 0:
        raise ValueError(f"steps is {steps!r}, interval is {interval}; expected a whole number >= 1, and ms > 0")
    if not len(recordings):
        raise ValueError("there is no recording; expected at least one")
    height, width = sensor_size(size)
    frames = torch.zeros(steps, len(recordings), 2, height, width, dtype=dtype)
    flat = frames.view(-1)
    for b, recording in enumerate(recordings):
        try:
            events = as_events(recording, size)
        except ValueError as error:
            raise ValueError(f"in recording {b}: {error}") from None
        frame = frame_of(events["t"], 1000.0 * interval)
        events, frame = events[frame < steps], frame[frame < steps]
        place = ((frame * len(recordings) + b) * 2 + events["p"]) * height + events["y"]
        place = torch.from_numpy(place * width + events["x"])
        if binary:
            flat[place] = 1
        else:
            flat.index_add_(0, place, torch.ones(len(place), dtype=dtype))
    return frames


@dataclass(frozen=True)
class EventFrames:
    """A DataLoader's `collate_fn`: pairs of events and label, as the data sets of `tonic` give, to (frames, labels).

    Each recording goes through `augment` in turn, with a generator that torch's seed of the process starts, then all
    are binned; `flat`: frames (T, B, 2 · height · width), (T, B, width) where the sensor has one row and no polarity
    off, such as a cochlea. Labels are (B,). Raises what `bin_events` raises.

    steps, interval, size, binary : as of `bin_events`. augment : records such as `TimeJitter`, for training.

    >>> from ranvier.learners import EVENT
    >>> pairs = [(np.zeros(3, EVENT), 7), (np.zeros(2, EVENT), 1)]  # or tonic.datasets.NMNIST("folder")
    >>> frames, labels = rv.learners.EventFrames(5, 10.0, size=(34, 34), flat=True)(pairs)
    >>> frames.shape, labels.tolist()
    (torch.Size([5, 2, 2312]), [7, 1])
    """

    steps: int
    interval: float
    size: tuple[int, int] = (34, 34)
    binary: bool = False
    flat: bool = False
    augment: Sequence[Callable[[Recording, np.random.Generator], Recording]] = ()

    def __call__(self, pairs: Sequence[tuple[NDArray[np.void], Any]]) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**62, ()))) if self.augment else None
        recordings = []
        for array, _ in pairs:
            events = as_events(array, self.size)
            for change in self.augment:
                events = change(events, rng)  # type: ignore[arg-type]
            recordings.append(events)
        frames = bin_events(recordings, self.steps, self.interval, size=self.size, binary=self.binary)
        if self.flat:
            one_row = self.size[0] == 1 and not any((events["p"] == 0).any() for events in recordings)
            frames = frames[:, :, 1, 0] if one_row else frames.flatten(2)
        return frames, torch.tensor([int(label) for _, label in pairs])


__all__ = ["EVENT", "EventFrames", "Recording", "as_events", "bin_events", "read_bs2", "read_nmnist"]
