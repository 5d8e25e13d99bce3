"""Sources of spikes: populations without equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier._checks import array
from ranvier.equations import parameter
from ranvier.equations.declarations import settle
from ranvier.neurons._base import Value


class Source:
    """A population that emits spikes and receives none.

    Examples
    --------
    >>> import ranvier as rv
    >>> isinstance(rv.Poisson(), rv.neurons.Source), rv.Poisson().parameters
    (True, {'rate': 10.0})
    """

    @property
    def parameters(self) -> dict[str, Any]:
        """By name; none, unless a source says otherwise."""
        return {}


@dataclass(frozen=True, eq=False)
class Poisson(Source):
    """Independent Poisson trains: the spikes of a neuron in a step are a Poisson number of mean rate·dt, mostly 0 or 1.

    rate: Hz, 0 or above, one for all or one a neuron, up to 128 spikes a step. Several spikes in a step stand in the
    recording several times, and are delivered together. Raises ValueError for other rates.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs = net.add(rv.Poisson(rate=50.0), 100)
    >>> abs(float(rv.simulate(net, 1000.0, dt=1.0, engine="torch", seed=1).rates().mean()) - 50.0) < 3
    True
    """

    rate: Value = parameter(10.0, "Hz", "expected spikes per second", at_least=0)

    def __post_init__(self) -> None:
        settle(self)

    @property
    def parameters(self) -> dict[str, Any]:
        """`rate`, in Hz."""
        return {"rate": self.rate}


@dataclass(frozen=True, eq=False)
class SpikeTimes(Source):
    """Spikes at these times.

    times: (spikes,) ms, in any order; neurons: (spikes,) indices within the population. Times are rounded
    to the nearest step, halves up; several of a neuron in one step are all emitted. Times nearest to 0 are not,
    since the first step ends at dt: `simulate` warns of their number. Raises ValueError for arrays of different
    lengths, times that are negative or not finite, and neurons that are no indices.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs = net.add(rv.SpikeTimes([3.0, 1.0], [0, 1]), 2)
    >>> recording = rv.simulate(net, 5.0, engine="torch")
    >>> recording.times.tolist(), recording.neurons.tolist()
    ([1.0, 3.0], [1, 0])
    """

    times: Tensor
    neurons: Tensor

    def __post_init__(self) -> None:
        times = array(self.times, "times of SpikeTimes", "(spikes,) in ms").to(torch.float64)
        neurons = array(self.neurons, "neurons of SpikeTimes", "(spikes,) indices")
        if times.ndim != 1 or times.shape != neurons.shape:
            raise ValueError(
                f"times have shape {tuple(times.shape)} and neurons of shape {tuple(neurons.shape)}; "
                "expected two arrays of the same length, one entry a spike"
            )
        if not torch.isfinite(times).all() or (times < 0).any():
            raise ValueError("spike times are negative or not finite; expected ms from 0 on")
        if (neurons != neurons.round()).any() or (neurons < 0).any():
            raise ValueError("neurons are negative or no integers; expected indices from 0 on")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "neurons", neurons.to(torch.int64))
