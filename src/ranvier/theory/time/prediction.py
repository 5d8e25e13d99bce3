"""What theory says of a network whose inputs change in time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ranvier._html import paragraph, table
from ranvier._results import Curves, frame
from ranvier._text import plural
from ranvier.networks import Network, TimeSeries
from ranvier.networks.groups import groups_of, resolve
from ranvier.neurons import Poisson
from ranvier.theory.single_neuron.functions import numbers
from ranvier.theory.time.fokker_planck import evolve
from ranvier.theory.time.populations import at_first

if TYPE_CHECKING:
    import pandas

STEP = 0.1  # ms, of the Fokker-Planck equation


def changes_in_time(net: Network) -> bool:
    """Whether a drive, a rate or another parameter of spiking populations or backgrounds is a `TimeSeries`."""
    values = [v for p in net.populations for v in p.parameters.values()] + [b.rate for b in net.backgrounds]
    return any(isinstance(v, TimeSeries) for v in values)


class TimePrediction:
    """Rates in time, from the stationary state of the inputs' first values; made by `predict` for a network with
    `TimeSeries`. Populations are taken as large, and their neurons as alike (`theory.evolve`).

    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 10, drive=12.0, noise=5.0)
    >>> source = net.add(rv.Poisson(), 1, rate=rv.TimeSeries([5.0, 20.0], 10.0))
    >>> prediction = rv.predict(net)
    >>> prediction.rates([5.0, 15.0], neurons=source)[:, 0].tolist()
    [5.0, 20.0]
    """

    def __init__(self, network: Network, dt: float = 0.0) -> None:
        at_first(network)  # refuses by name what may not change in time
        self.network, self.dt = network, dt

    @property
    def n_neurons(self) -> int:
        """N, over all populations, sources of spikes included."""
        return self.network.size

    def rates(self, t: Any, *, neurons: Any = None) -> Tensor:
        """Rates in Hz at times `t` (T,) ms after the beginning, (T, N); of a source those it is given.

        `neurons`: a population, its name, global indices, or a list of populations. No gradients. Raises ValueError
        for times that are not above 0 or too far for memory, and what `theory.evolve` refuses, by name."""
        times = numbers(t, "t", "times in ms")
        if times.ndim != 1 or not len(times) or not bool((torch.isfinite(times) & (times > 0)).all()):
            raise ValueError("t is empty, not finite or not above 0; expected times in ms, (T,)")
        steps = torch.ceil(times / STEP - 1e-9).long()
        cells = [p for p in self.network.populations if not isinstance(p.neuron, Poisson)]
        course = evolve(self.network, STEP * int(steps.max()), STEP, step=self.dt).rate if cells else times
        columns, k = [], 0
        for p in self.network.populations:
            if isinstance(p.neuron, Poisson):
                columns.append(_rates_at(p.parameters["rate"], times).expand(-1, p.size))
            else:
                columns.append(course[steps - 1, k : k + 1].expand(-1, p.size))
                k += 1
        rates = torch.cat(columns, 1)
        if neurons is None:
            return rates
        return rates[:, torch.as_tensor(resolve(neurons, groups_of(self.network, {}, self.n_neurons), self.n_neurons))]

    def to_pandas(self, t: Any = None) -> pandas.DataFrame:
        """Columns time (ms), neuron, name, population and rate (Hz), a row a neuron and time.

        t: (T,) ms, by default 200 times over the longest of the inputs. Raises ImportError without pandas."""
        times = self._times() if t is None else numbers(t, "t", "times in ms")
        rates, network = self.rates(times), self.network
        each = [p.name for p in network.populations for _ in range(p.size)]
        columns: dict[str, Any] = {"time": times.repeat_interleave(self.n_neurons)}
        columns["neuron"] = torch.arange(self.n_neurons).repeat(len(times))
        for key, names in (("name", network.names), ("population", each)):
            columns[key] = np.tile(np.array(names, object), len(times))
        return frame({**columns, "rate": rates.reshape(-1)})

    def _curves(self) -> Curves:
        times = self._times()
        rates = self.rates(times)
        lines = {p.name: rates[:, p.slice].mean(1) for p in self.network.populations[:10] if p.size}
        return Curves(times, lines, "time (ms)", "rate (Hz)")

    def _times(self) -> Tensor:
        """200 of them over the longest of the inputs."""
        values = [v for p in self.network.populations for v in p.parameters.values()]
        values += [b.rate for b in self.network.backgrounds]
        series = [v for v in values if isinstance(v, TimeSeries)]
        longest = max((len(v.values) * v.interval for v in series), default=1000.0)
        return torch.linspace(longest / 200, longest, 200, dtype=torch.float64)

    def _repr_html_(self) -> str:
        curves = self._curves()
        rows = [(n, p.size, *(f"{float(x):.4g}" for x in (r.mean(), r.min(), r.max())))
                for (n, r), p in zip(curves.y.items(), (p for p in self.network.populations if p.size))]  # fmt: skip
        words = f"of {plural(self.n_neurons, 'neuron')} over {float(curves.x[-1]):g} ms"
        return paragraph("TimePrediction", words) + table(
            ("population", "neurons", "rate (Hz), mean", "least", "largest"), rows, len(self.network.populations)
        )

    def __repr__(self) -> str:
        return f"TimePrediction({plural(self.n_neurons, 'neuron')}: rates(t))"


def _rates_at(rate: Any, times: Tensor) -> Tensor:
    """(T, 1) or (T, size) Hz."""
    if not isinstance(rate, TimeSeries):
        return torch.as_tensor(rate, dtype=torch.float64).reshape(1, -1).expand(len(times), -1)
    at = torch.tensor([math.ceil(t / rate.interval - 1e-9) - 1 for t in times.tolist()])
    values = rate.values.detach().double()[at.clamp(max=len(rate.values) - 1)]
    return values.reshape(len(times), -1)
