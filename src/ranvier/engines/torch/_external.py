"""What comes from outside in a step of a network in torch: parameters that change, Poisson and listed spikes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier._steps import whole_steps
from ranvier.engines.sources import drawn
from ranvier.engines.sources.listed import spike_events
from ranvier.engines.sources.poisson import MOST_MEAN, rate_samples
from ranvier.networks import Network, Population, TimeSeries
from ranvier.neurons import Poisson, SpikeTimes


class ExternalInputs:
    """Of a network, by steps of dt (ms); spikes and counts are of `dtype`."""

    def __init__(self, net: Network, dt: float, dtype: torch.dtype) -> None:
        self.dt, self.dtype = dt, dtype
        self.events = {
            p.index: tuple(torch.from_numpy(a) for a in spike_events(p, dt))
            for p in net.populations
            if isinstance(p.neuron, SpikeTimes)
        }
        processes = {p.index: drawn.process(p, dt) for p in net.populations}
        self.processes = {k: process for k, process in processes.items() if process is not None}

    def begin(self, seed: int, batch: int) -> tuple[Tensor, ...]:
        """What the drawn sources go on from at time 0, (B, words, processes) each."""
        return tuple(
            torch.stack([torch.from_numpy(drawn.begin(p, seed, k, copy).view(np.int64)) for copy in range(batch)])
            for k, p in self.processes.items()
        )

    def draw(self, state: tuple[Tensor, ...], step: int) -> tuple[tuple[Tensor, ...], dict[int, list[Tensor]]]:
        """What they go on from after a step; and the neurons that spike in it, of each copy, by population."""
        after, fired = [], {}
        for (k, process), before in zip(self.processes.items(), state, strict=True):
            now = before.clone()
            fired[k] = [
                torch.from_numpy(process.draw(row.numpy().view(np.uint64), step, step + 1)[1]) for row in now
            ]
            after.append(now)
        return tuple(after), fired

    def parameters(self, p: Population, step: int, dtype: torch.dtype) -> dict[str, Tensor]:
        """The time t (ms) and the population's parameters that change with it."""
        out = {"t": torch.tensor(step * self.dt, dtype=dtype)}
        for name, series in p.parameters.items():
            if isinstance(series, TimeSeries):
                what = f"the {name} of population {p.name!r} changes every {series.interval} ms"
                at = min(step // whole_steps(series.interval, self.dt, what), len(series.values) - 1)
                out[name] = series.values[at].to(dtype)
        return out

    def mean(self, rate: Any, step: int, what: str, most: float = math.inf) -> Tensor:
        """The mean count of a Poisson process in a step, (1 or neurons,)."""
        if isinstance(rate, TimeSeries):
            steps = whole_steps(rate.interval, self.dt, f"the rate of {what} changes every {rate.interval} ms")
            rate = rate.values[min(step // steps, len(rate.values) - 1)]
        return torch.from_numpy(rate_samples(rate, self.dt, what, most)[0][0]) * self.dt / 1000

    def spikes(
        self, p: Population, step: int, batch: int, own: Tensor | None, generator: torch.Generator,
        fired: dict[int, list[Tensor]],
    ) -> Tensor:
        """(B, n) spikes of a population without equations, `own` among them; fired: by `draw`."""
        spikes = torch.zeros(batch, p.size, dtype=self.dtype)
        if isinstance(p.neuron, Poisson):
            rate = p.parameters["rate"]
            mean = self.mean(rate, step, f"population {p.name!r}", MOST_MEAN).expand(batch, p.size)
            spikes = torch.poisson(mean, generator=generator).to(self.dtype)
        elif p.index in self.events:
            steps, neurons = self.events[p.index]
            a, b = torch.searchsorted(steps, torch.tensor([step, step + 1])).tolist()
            spikes.index_add_(1, neurons[a:b], torch.ones(batch, b - a, dtype=self.dtype))
        elif p.index in fired:
            for row, neurons in zip(spikes, fired[p.index], strict=True):
                row.index_add_(0, neurons, torch.ones(len(neurons), dtype=self.dtype))
        return spikes if own is None else spikes + own
