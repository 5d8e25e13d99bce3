"""Spoken digits as spikes: the files of the Heidelberg data sets (SHD, SSC)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ranvier.files.reading import refusing, require_file, require_ratio
from ranvier.learners.datasets.events import EVENT, Recording
from ranvier.networks.hdf5.reading import require_sound

_LATEST = 1e6  # s


def read_shd(path: str | Path, *, channels: int = 700) -> tuple[list[Recording], Tensor]:
    """Recordings and labels (n,) of an HDF5 file of SHD or SSC (Cramer et al. 2022), such as shd_train.h5.

    The file holds `spikes/times` in s, `spikes/units` and `labels`; a recording has a unit as x, y 0, polarity on, and
    times in µs: frames of it are `bin_events(..., size=(1, channels))`. It is gone through in a process apart first.

    Raises FileNotFoundError, or ValueError for another format, times and units of different number, units beyond
    `channels`, and times that are negative, not finite or later than a million seconds.

    >>> import h5py
    >>> with h5py.File("shd.h5", "w") as file:
    ...     for name, kind, values in (("times", "f2", [0.5, 0.25]), ("units", "u2", [3, 699])):
    ...         data = file.create_dataset(f"spikes/{name}", (1,), h5py.vlen_dtype(np.dtype(kind)))
    ...         data[0] = np.array(values, kind)
    ...     file["labels"] = [7]
    >>> recordings, labels = rv.learners.read_shd("shd.h5")
    >>> recordings[0].tolist(), labels.tolist()
    ([(699, 0, 250000, 1), (3, 0, 500000, 1)], [7])
    """
    require_sound(path, "SHD")
    import h5py

    with refusing(path, "an HDF5 file of SHD", (OSError, KeyError)), h5py.File(path, "r") as file:
        for name in ("spikes/times", "spikes/units", "labels"):
            if not isinstance(file.get(name), h5py.Dataset) or file[name].ndim != 1:
                raise ValueError(f"there is no row {name!r}; expected spikes/times, spikes/units and labels")
        times, units, labels = file["spikes/times"], file["spikes/units"], file["labels"]
        if not len(times) == len(units) == len(labels) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"there are {len(times)} rows of times, {len(units)} of units and {len(labels)} labels of "
                f"{labels.dtype}; expected as many of each, and whole labels"
            )
        recordings, held, packed = [], 0, require_file(path, "an HDF5 file of SHD")
        for k in range(len(times)):
            recordings.append(_events(np.asarray(times[k]), np.asarray(units[k]), channels, k))
            held += recordings[-1].nbytes
            require_ratio(held, packed, path)
        if labels.dtype.kind == "u" and len(labels) and labels[()].max() > np.iinfo(np.int64).max:
            raise ValueError(f"there is a label {labels[()].max()}; expected whole numbers below 2**63")
        return recordings, torch.from_numpy(labels[()].astype(np.int64))


def _events(times: np.ndarray, units: np.ndarray, channels: int, k: int) -> Recording:
    """One recording, in order of time."""
    if times.shape != units.shape or times.ndim != 1 or times.dtype.kind != "f" or units.dtype.kind not in "iu":
        raise ValueError(
            f"recording {k} has times {times.dtype} {times.shape} and units {units.dtype} {units.shape}; expected as "
            "many numbers of each"
        )
    seconds = times.astype(np.float64)
    if not ((seconds >= 0) & (seconds < _LATEST)).all():
        raise ValueError(f"recording {k} has a time outside 0 to {_LATEST:g} s; expected seconds")
    wide = units.astype(np.int64)
    outside = wide[(wide < 0) | (wide >= channels)]
    if len(outside):
        raise ValueError(f"recording {k} has unit {int(outside[0])}; expected 0 to {channels - 1}")
    order = np.argsort(seconds, kind="stable")
    events = np.zeros(len(wide), EVENT)
    events["x"], events["t"], events["p"] = wide[order], np.rint(1e6 * seconds[order]), 1
    return events


__all__ = ["read_shd"]
