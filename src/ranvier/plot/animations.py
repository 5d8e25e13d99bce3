"""Spikes and weights as moving pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import number
from ranvier.files.atomic import atomic_path, write_atomic
from ranvier.plot._axes import array

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation


def animation(
    spikes: Any, *, shape: tuple[int, int] | None = None, weights: Any = None, decay: float = 0.7,
    interval: float = 50.0,
) -> FuncAnimation:  # fmt: skip
    """Neurons as pixels, a frame a step, that light up as they spike and fade; beside them, if any, weights as they
    change.

    Parameters
    ----------
    spikes : (T, N), such as `monitor.spikes["0"]`.
    shape : (rows, columns) of the picture, of N pixels; None: the squarest, with empty pixels at the end.
    weights : (F, targets, sources), or a list of F matrices such as `monitor.weights["0"]`, shown evenly over the T
        frames.
    decay : of the light, a step, from 0 to 1.
    interval : between frames, ms.

    Returns matplotlib's animation: `rv.plot.write_animation(it, "spikes.gif")`. Raises ValueError for other shapes.

    >>> moving = rv.plot.animation(np.eye(6), shape=(2, 3))
    >>> rv.plot.write_animation(moving, "spikes.gif")
    """
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation

    trains = array(spikes).astype(float)
    if trains.ndim != 2 or 0 in trains.shape:
        raise ValueError(f"spikes have shape {trains.shape}; expected (T, N)")
    if not 0 <= number(decay, "decay") <= 1 or not number(interval, "interval", "ms") > 0:
        raise ValueError(f"decay is {decay}, interval is {interval}; expected a number from 0 to 1, and ms above 0")
    matrices = None if weights is None else np.stack([array(w) for w in weights])
    if matrices is not None and (matrices.ndim != 3 or 0 in matrices.shape):
        raise ValueError(f"weights have shape {matrices.shape}; expected (F, targets, sources)")
    frames = _faded(trains, shape, decay)
    figure, axes = pyplot.subplots(1, 1 if matrices is None else 2, squeeze=False, layout="constrained")
    light = axes[0, 0].imshow(frames[0], cmap="magma", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes[0, 0].set(xticks=[], yticks=[])
    shown: Any = None
    if matrices is not None:
        bound = float(np.nanmax(np.abs(matrices))) or 1.0
        shown = axes[0, 1].imshow(matrices[0], cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
        axes[0, 1].set(xlabel="source", ylabel="target")

    def draw(t: int) -> tuple[Any, ...]:
        light.set_data(frames[t])
        axes[0, 0].set_title(f"step {t}", fontsize="small")
        if matrices is None:
            return (light,)
        shown.set_data(matrices[t * len(matrices) // len(frames)])
        return light, shown

    return FuncAnimation(figure, draw, frames=len(frames), interval=interval)


def _faded(trains: NDArray[np.float64], shape: tuple[int, int] | None, decay: float) -> NDArray[np.float64]:
    """(T, rows, columns): 1 at a spike, then less by `decay` a step."""
    T, n = trains.shape
    rows, columns = shape or ((side := max(1, math.isqrt(n))), -(-n // side))
    if rows * columns < n or (shape is not None and rows * columns != n):
        raise ValueError(f"shape is {shape} for {n} neurons; expected rows · columns = {n}")
    frames = np.full((T, rows * columns), np.nan)
    light = np.zeros(n)
    for t in range(T):
        light = np.maximum(decay * light, trains[t])
        frames[t, :n] = light
    return frames.reshape(T, rows, columns)


def write_animation(moving: FuncAnimation, path: str | Path) -> None:
    """Write an animation as .gif (by Pillow), or as .html with its own player, atomically. Raises ValueError for
    another suffix.

    >>> rv.plot.write_animation(rv.plot.animation(np.eye(2)), "spikes.gif")
    >>> from pathlib import Path
    >>> Path("spikes.gif").read_bytes()[:6]
    b'GIF89a'
    """
    path = Path(path)
    if path.suffix not in (".gif", ".html"):
        raise ValueError(f"path ends in {path.suffix!r}; expected .gif or .html")
    if path.suffix == ".html":
        write_atomic(path, moving.to_jshtml())
        return
    with atomic_path(path, ".gif") as temporary:
        moving.save(temporary, writer="pillow")


__all__ = ["animation", "write_animation"]
