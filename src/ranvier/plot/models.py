"""Models in training: layers' spikes, metrics over epochs, gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ranvier._checks import count, positive, reals
from ranvier._text import as_label
from ranvier.plot._axes import axes_of, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import nn


def training(history: Sequence[Mapping[str, float]], *, names: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Metrics over epochs, as `rv.fit` returns them; `names`: which, by default all. Raises ValueError for an unknown
    one, TypeError for what is no list of metrics.

    Examples
    --------
    >>> import ranvier as rv
    >>> ax = rv.plot.training([{"loss": 2.0}, {"loss": 1.0}])
    >>> ax.get_ylabel()
    'loss'
    """
    if not is_history(history):
        raise TypeError(
            f"history is {type(history).__name__} {history!r:.60}; expected a list with the metrics of each epoch, as "
            "rv.fit returns it: [{'loss': 0.5}]"
        )
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Iterable):
        raise TypeError(f"names is {names!r:.60}; expected a list of metrics' names")
    names = list(names)
    known = list(dict.fromkeys(name for epoch in history for name in epoch))
    for name in names:
        if name not in known:
            raise ValueError(f"names has {name!r}; expected metrics of the history: {', '.join(known) or 'none'}")
    ax = axes_of(ax)
    chosen = names or known
    for k, name in enumerate(chosen):
        at = [i for i, epoch in enumerate(history, 1) if name in epoch]
        ax.plot(at, [history[i - 1][name] for i in at], ".-", color=colour(k), label=as_label(name))
    ax.set(xlabel="epoch", ylabel=as_label(chosen[0]) if len(chosen) == 1 else "")
    if len(chosen) > 1:
        ax.legend(fontsize="small", frameon=False)
    return ax


def is_history(of: object) -> TypeGuard[Sequence[Mapping[str, float]]]:
    """Whether `of` is a sequence of mappings from names to numbers."""
    return (
        isinstance(of, Sequence)
        and not isinstance(of, str)
        and all(isinstance(x, Mapping) for x in of)
        and all(isinstance(n, str) and isinstance(v, Real) for x in of for n, v in x.items())
    )


def layer_raster(spikes: Any, *, sample: int = 0, dt: float = 1.0, ax: Axes | None = None) -> Axes:
    """Spikes (T, B, N) or (T, N) of a layer, of one sample, a row a neuron. Raises ValueError for other shapes.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.plot.layer_raster(torch.ones(5, 1, 3)).get_xlabel()
    'step'
    """
    values, dt = reals(spikes, "spikes"), positive(dt, "dt", "ms")
    if values.ndim == 3:
        sample = count(sample, "sample", -values.shape[1])
        if not -values.shape[1] <= sample < values.shape[1]:
            raise ValueError(f"sample is {sample}; expected one of {values.shape[1]}")
        values = values[:, sample]
    if values.ndim != 2:
        raise ValueError(f"spikes have shape {np.shape(spikes)}; expected (T, B, N) or (T, N)")
    ax = axes_of(ax)
    at, neuron = np.nonzero(values)
    ax.plot(dt * at, neuron, "|", ms=4, color=colour(0))
    ax.set(xlabel="step" if dt == 1.0 else "time (ms)", ylabel="neuron", xlim=(-dt, dt * len(values)))
    ax.set_ylim(-0.5, values.shape[1] - 0.5)
    return ax


def gradients(model: nn.Module, *, ax: Axes | None = None) -> Axes:
    """Root-mean-square gradient of each parameter after a backward pass, on a logarithmic axis; a zero one, which
    learns nothing, has a cross at the bottom, one that is not finite is named in red at the top. Raises ValueError
    where no parameter has a gradient.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = torch.nn.Linear(2, 1)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> axes = rv.plot.gradients(model)
    """
    known = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
    if not known:
        raise ValueError("no parameter has a gradient; expected a model after loss.backward()")
    ax = axes_of(ax)
    sizes = np.array([float(g.double().pow(2).mean().sqrt()) for _, g in known])
    places, drawn = np.arange(len(sizes)), sizes[np.isfinite(sizes) & (sizes > 0)]
    least, most = (drawn.min(), drawn.max()) if len(drawn) else (1.0, 1.0)
    heights = np.where(np.isfinite(sizes) & (sizes > 0), sizes, least)
    ax.bar(places, heights, color=[colour(0) if height == size else "none" for height, size in zip(heights, sizes)])
    for k, size in enumerate(sizes):
        if size == 0:
            ax.plot(k, least, "x", color=colour(3))
        elif not np.isfinite(size):
            ax.plot(k, most, "x", color=colour(3))
            ax.annotate(f"{size}", (k, most), color=colour(3), ha="center", va="bottom", fontsize="small")
    ax.set_xticks(places, [name for name, _ in known], rotation=90, fontsize="small")
    ax.set(yscale="log", ylabel="RMS gradient")
    return ax
