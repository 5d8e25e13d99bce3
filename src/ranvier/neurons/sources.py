"""Sources of spikes: populations without equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier._checks import array, number
from ranvier.equations import parameter
from ranvier.equations.declarations import declared, settle
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
class GammaProcess(Source):
    """Independent renewal trains: intervals are the dead time plus a gamma-distributed time, the whole of mean 1/rate.

    rate: Hz, 0 or above; shape: order of the gamma distribution, 1 for a Poisson process with dead time, above 1 for
    more regular trains; t_ref: dead time, ms. Each one for all or one a neuron. The intervals' coefficient of variation
    is (1 - rate t_ref)/sqrt(shape). Trains are in equilibrium from the start. A rate given to the population may be a
    `TimeSeries`: the hazard outside dead times follows it (rescaled time; Brown et al. 2002). Every engine emits the
    same spikes; `predict` refuses. Raises ValueError for values outside their domains; a run, where rate t_ref is 1 or
    above, or more than 16 spikes a step are expected of a neuron.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs = net.add(rv.neurons.GammaProcess(rate=50.0, shape=4.0, t_ref=2.0), 100)
    >>> recording = rv.simulate(net, 1000.0)
    >>> abs(float(recording.rates().mean()) - 50.0) < 1.5, abs(float(recording.cv().mean()) - 0.9 / 2) < 0.03
    (True, True)
    """

    rate: Value = parameter(10.0, "Hz", "expected spikes per second", at_least=0)
    shape: Value = parameter(1.0, "1", "order of the gamma distribution", above=0)
    t_ref: Value = parameter(0.0, "ms", "dead time after a spike", at_least=0)

    def __post_init__(self) -> None:
        settle(self)

    @property
    def parameters(self) -> dict[str, Any]:
        """`rate` in Hz, `shape`, `t_ref` in ms."""
        return {"rate": self.rate, "shape": self.shape, "t_ref": self.t_ref}


@dataclass(frozen=True, eq=False)
class CorrelatedPoisson(Source):
    """Poisson trains that share spikes: each neuron copies every event of one Poisson process of rate rate/correlation
    with the chance `correlation` (multiple interaction process; Kuhn, Aertsen & Rotter 2003).

    rate: Hz, 0 or above, one for all; given to the population, it may be a `TimeSeries`. correlation: of the spike
    counts of two neurons in any window, above 0 (`Poisson` has 0) and at most 1, where all neurons spike together.
    Every engine emits the same spikes; `predict` refuses. Raises ValueError for values outside their domains; a run,
    for rates that differ between neurons, and where more than 16 common events a step are expected.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs = net.add(rv.neurons.CorrelatedPoisson(rate=50.0, correlation=0.3), 40)
    >>> counts = rv.simulate(net, 20_000.0, dt=0.5).correlation(50.0)
    >>> abs(float(counts.sum() - 40) / (40 * 39) - 0.3) < 0.1
    True
    """

    rate: Value = parameter(10.0, "Hz", "expected spikes per second", at_least=0)
    correlation: Value = parameter(0.1, "1", "correlation of the counts of two neurons", above=0, at_most=1)

    def __post_init__(self) -> None:
        settle(self)

    @property
    def parameters(self) -> dict[str, Any]:
        """`rate` in Hz, and `correlation`."""
        return {"rate": self.rate, "correlation": self.correlation}


@dataclass(frozen=True, eq=False)
class PulsePackets(Source):
    """Volleys of spikes (pulse packets; Diesmann, Gewaltig & Aertsen 1999): at each time `activity` spikes a neuron,
    displaced by independent normal times.

    times: (packets,) centres, ms; activity: spikes of a packet over the size of the population, 0 or above: of the
    rounded total, every neuron emits the whole part of its share, and a random subset one more; sd: standard deviation
    of the displacements, ms. Spikes go to the nearest step, as of `SpikeTimes`. Every engine emits the same spikes;
    `predict` refuses. Raises ValueError for times that are negative or not finite, and values outside their domains.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> inputs = net.add(rv.neurons.PulsePackets([20.0, 60.0], activity=0.5, sd=2.0), 100)
    >>> len(rv.simulate(net, 100.0, engine="torch").times)
    100
    """

    times: Tensor
    activity: float = parameter(1.0, "1", "spikes of a packet over the population's size", at_least=0, at_most=64)
    sd: float = parameter(1.0, "ms", "standard deviation of the spikes' times", at_least=0)

    def __post_init__(self) -> None:
        times = array(self.times, "times of PulsePackets", "(packets,) in ms").to(torch.float64)
        if times.ndim != 1 or not torch.isfinite(times).all() or (times < 0).any():
            raise ValueError(
                f"times of PulsePackets have shape {tuple(times.shape)} or are negative or not finite; expected "
                "(packets,) ms from 0 on"
            )
        object.__setattr__(self, "times", times)
        for name in ("activity", "sd"):
            value = number(getattr(self, name), f"{name} of PulsePackets")
            declared(PulsePackets)[name].require(value, f"{name} of PulsePackets")
            object.__setattr__(self, name, value)


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
