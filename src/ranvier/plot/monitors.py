"""Layers while they train, as `rv.nn.LayerMonitor` recorded them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranvier.plot._axes import array, axes_of, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ranvier.nn import LayerMonitor


def layer_rates(monitor: LayerMonitor, *, ax: Axes | None = None) -> Axes:
    """Spikes a step and neuron of each layer over recorded calls. Layers whose output is no spikes are left out; raises
    ValueError where none is left, and for an empty record.

    >>> with rv.nn.LayerMonitor(rv.nn.LIF(3, 4)) as monitor:
    ...     _ = monitor.layers["LIF"](torch.rand(5, 2, 3))
    >>> rv.plot.layer_rates(monitor).get_ylabel()
    'spikes a step and neuron'
    """
    _require(monitor)
    spiking = {name: values for name, values in monitor.rates.items() if np.isfinite(values).any()}
    if not spiking:
        raise ValueError(f"there are no spikes of {', '.join(monitor.rates)}; expected a layer of spiking neurons")
    ax = axes_of(ax)
    for k, (name, values) in enumerate(monitor.rates.items()):
        if name in spiking:
            ax.plot(monitor.calls[name], values, ".-", color=colour(k), label=name)
    ax.set(xlabel="call", ylabel="spikes a step and neuron")
    _whole_calls(ax)
    ax.legend(fontsize="small", frameon=False)
    return ax


def layer_gradients(monitor: LayerMonitor, *, ax: Axes | None = None) -> Axes:
    """Root mean square of the loss's gradient by each layer's output, over recorded calls, on a logarithmic axis; a
    call whose gradient is 0 has a dot below all others, one without a finite gradient a cross at the top. Raises
    ValueError for an empty record.

    >>> with rv.nn.LayerMonitor(rv.nn.LIF(3, 4)) as monitor:
    ...     monitor.layers["LIF"](torch.rand(5, 2, 3))[0].sum().backward()
    >>> rv.plot.layer_gradients(monitor).lines[0].get_ydata().tolist()
    [1.0]
    """
    _require(monitor)
    ax = axes_of(ax)
    every = np.concatenate([np.asarray(v) for v in monitor.gradients.values()])
    positive = every[np.isfinite(every) & (every > 0)]
    low, high = (positive.min() / 3, positive.max() * 3) if len(positive) else (0.1, 10.0)
    for k, (name, row) in enumerate(monitor.gradients.items()):
        calls, values = np.asarray(monitor.calls[name]), np.asarray(row)
        finite = np.isfinite(values)
        ax.plot(calls, np.where(finite & (values > 0), values, np.nan), ".-", color=colour(k), label=name)
        if (zero := values == 0).any():
            ax.plot(calls[zero], np.full(zero.sum(), low), "o", color=colour(k), mfc="none", label=f"{name}: 0")
        if not finite.all():
            ax.plot(calls[~finite], np.full((~finite).sum(), high), "x", color=colour(k), label=f"{name}: not finite")
    ax.set(yscale="log", xlabel="call", ylabel="RMS gradient by the output")
    _whole_calls(ax)
    ax.legend(fontsize="small", frameon=False)
    return ax


def membranes(
    monitor: LayerMonitor, layer: str, *, neurons: Sequence[int] = (0, 1, 2), ax: Axes | None = None
) -> Axes:
    """Membranes of some neurons of a layer after each step of the last recorded call, with dots at their spikes.

    Raises ValueError for a layer without membranes, and for neurons beyond it.

    >>> with rv.nn.LayerMonitor(rv.nn.LIF(3, 4), membranes=True) as monitor:
    ...     _ = monitor.layers["LIF"](torch.rand(5, 2, 3))
    >>> len(rv.plot.membranes(monitor, "LIF", neurons=[0, 3]).lines)
    4
    """
    if layer not in monitor.voltages:
        known = ", ".join(monitor.voltages) or "none"
        raise ValueError(f"layer is {layer!r}; expected one with membranes, {known}: LayerMonitor(membranes=True)")
    voltage = array(monitor.voltages[layer])
    spikes = array(monitor.spikes[layer]) if layer in monitor.spikes else np.zeros_like(voltage)
    if outside := [n for n in neurons if not 0 <= n < voltage.shape[1]]:
        raise ValueError(f"neurons has {outside[0]}; expected 0 to {voltage.shape[1] - 1}")
    ax = axes_of(ax)
    for k, n in enumerate(neurons):
        ax.plot(voltage[:, n], lw=0.8, color=colour(k), label=f"{n}")
        at = np.flatnonzero(spikes[:, n])
        ax.plot(at, voltage[at, n], ".", ms=5, color=colour(k))
    ax.set(xlabel="step", ylabel=f"membrane of {layer}")
    ax.legend(fontsize="small", frameon=False)
    return ax


def _whole_calls(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _require(monitor: LayerMonitor) -> None:
    if not any(monitor.rates.values()):
        raise ValueError("the monitor has recorded no call; expected one: use the model within `with monitor:`")


__all__ = ["layer_gradients", "layer_rates", "membranes"]
