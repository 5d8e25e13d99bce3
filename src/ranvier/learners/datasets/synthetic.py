"""Event recordings with known statistics, for tests and first trials: spoken digits and moving gratings."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ranvier._checks import count, positive
from ranvier.learners.datasets.events import EVENT, Recording, sensor_size

_LARGEST = 1e8  # pixels by frames, or events
_RIDGES = 4  # of each class: harmonics and formants that rise and fall


def spiking_digits(
    n: int, *, classes: int = 20, channels: int = 700, duration: float = 700.0, spikes: float = 8000.0, seed: int = 0
) -> tuple[list[Recording], Tensor]:
    """Recordings like those of SHD, `read_shd`: n utterances of `classes` words, and their labels (n,).

    A word is four ridges: bands of channels whose centre moves along a line, with Gaussian width, of its own
    onset and length. An utterance shifts all ridges along the channels and stretches time, both by a tenth at most, as
    speakers do, and draws inhomogeneous Poisson spikes of `spikes` expected in all. Words depend on `classes`,
    `channels` and not on `seed`, so that training and test sets have different seeds.

    Parameters
    ----------
    duration : ms, about that of an utterance. spikes : an utterance; SHD has about 8000.

    >>> recordings, labels = rv.learners.spiking_digits(2)
    >>> bool(recordings[0]["x"].max() < 700), labels.shape
    (True, torch.Size([2]))
    """
    for value, name, low in ((n, "n", 1), (classes, "classes", 1), (channels, "channels", 10)):
        count(value, name, low)
    duration, spikes = positive(duration, "duration", "ms"), positive(spikes, "spikes")
    words = np.random.default_rng((classes, channels)).random((classes, _RIDGES, 6))
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    recordings = []
    for label in labels:
        ridges, shift, stretch = words[label], rng.uniform(-0.1, 0.1), rng.uniform(0.9, 1.1)
        share = 0.3 + ridges[:, 5]
        numbers = rng.poisson(spikes * share / share.sum())
        which = np.repeat(np.arange(_RIDGES), numbers)
        start, end, low, high, width = ridges[which, :5].T
        at = rng.random(len(which)) * (0.3 + 0.3 * end) + 0.4 * start  # within its ridge's time, of the word's
        centre = 0.1 + 0.8 * (low + (high - low) * at) + shift
        place = rng.normal(centre, 0.01 + 0.03 * width)
        unit, time = np.floor(channels * place), np.rint(1000.0 * duration * stretch * at)
        within = (unit >= 0) & (unit < channels)
        order = np.argsort(time[within], kind="stable")
        events = np.zeros(int(within.sum()), EVENT)
        events["x"], events["t"], events["p"] = unit[within][order], time[within][order], 1
        recordings.append(events)
    return recordings, torch.from_numpy(labels)


def moving_grating(
    velocity: tuple[float, float],
    *,
    wavelength: float = 12.0,
    contrast: float = 1.0,
    threshold: float = 0.25,
    size: tuple[int, int] = (34, 34),
    duration: float = 300.0,
    step: float = 0.5,
) -> Recording:
    """What an ideal event camera records of a grating that drifts along its own normal with `velocity` (vx, vy) in
    pixels a ms: the flow is known.

    The log-intensity is contrast · sin(2π (u − |v| t)/wavelength), u the position along v. A pixel emits an event, on
    or off, each time its log-intensity passes a multiple of `threshold` shifted by half of it; its time is interpolated
    within steps of `step` ms. It goes up and down once a period wavelength/|v|, so that every pixel emits twice the
    multiples passed in a period, as many on as off.

    Raises ValueError for a grating that does not move, moves more than a quarter of its wavelength a step, or is too
    faint to pass a threshold.

    >>> events = rv.learners.moving_grating((0.1, 0.0))
    >>> bool(abs(events["p"].mean() - 0.5) < 0.05)
    True
    """
    height, width = sensor_size(size)
    numbers = {"wavelength": wavelength, "contrast": contrast, "duration": duration, "step": step}
    for name, value in numbers.items():
        positive(value, name)
    speed = math.hypot(*velocity)
    if not 0 < speed * step <= wavelength / 4:
        raise ValueError(
            f"the grating moves {speed * step:g} pixels a step of {step:g} ms; expected more than 0 and at most a "
            f"quarter of its wavelength, {wavelength / 4:g}"
        )
    if not 0 < threshold < 2 * contrast:
        raise ValueError(f"threshold is {threshold} at contrast {contrast}; expected one from 0 to twice the contrast")
    y, x = np.mgrid[:height, :width]
    frames, passes = math.ceil(duration / step) + 1, 4 * contrast / threshold * (speed * duration / wavelength + 1)
    if height * width * max(frames, passes) > _LARGEST:
        raise ValueError(
            f"the grating has {height * width * max(frames, passes):.3g} values of pixels or events; expected at most "
            f"{_LARGEST:g}: a shorter duration, longer steps, a larger threshold or fewer pixels"
        )
    phase = 2 * math.pi / wavelength * (velocity[0] * x + velocity[1] * y) / speed
    times = step * np.arange(math.ceil(duration / step) + 1)
    turn = 2 * math.pi * speed / wavelength
    level = contrast * np.sin(phase[None] - turn * times[:, None, None]) / threshold + 0.5
    pieces = []
    for before, after, t in zip(level[:-1], level[1:], times[:-1], strict=True):
        low, high = np.minimum(before, after), np.maximum(before, after)
        first, number = np.floor(low) + 1, (np.floor(high) - np.floor(low)).astype(int)
        rows, columns = np.nonzero(number)
        many = number[rows, columns]
        which = np.repeat(np.arange(len(rows)), many)
        passed = first[rows, columns][which] + np.arange(len(which)) - np.repeat(np.cumsum(many) - many, many)
        row, column = rows[which], columns[which]
        rise = (after - before)[row, column]
        events = np.empty(len(which), EVENT)
        events["x"], events["y"], events["p"] = column, row, rise > 0
        events["t"] = np.rint(1000.0 * (t + step * (passed - before[row, column]) / rise))
        pieces.append(events)
    joined = np.concatenate(pieces)
    return joined[np.argsort(joined["t"], kind="stable")]


__all__ = ["moving_grating", "spiking_digits"]
