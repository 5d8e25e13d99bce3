"""The edges of a projection as edges between two nodes: their sums by delay, and what a plane wave makes of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ranvier._text import plural
from ranvier.networks import Population, Projection

DELAYS = 64  # more different ones are taken in as many intervals, each by its mean
BOTH = 0.1  # of the weights' sum that those of the other sign may take away, twice
LEAST = 0.02  # of the neurons' summed weights: a spread that is none


class Lane(NamedTuple):
    """Edges of about one delay: `weight` (1,), what a neuron of the target has of them in all; `square` (1,), the sum
    of their squares; `delay` (1,) ms."""

    weight: Tensor
    square: Tensor
    delay: Tensor


def lanes(projection: Projection, in_degree: float) -> list[Lane]:
    """A neuron's edges by delay. Raises ValueError where neurons of the target differ, and for weights of both signs.

    Edges that all have one weight and delay are not drawn.
    """
    one_weight, one_delay = (_same(x) for x in (projection.weight, projection.delay))
    if one_weight is not None and one_delay is not None:
        return [Lane(in_degree * one_weight, in_degree * one_weight**2, one_delay)]
    if projection.size == 0:
        return []
    weight, delay = _per_edge(projection)
    if one_weight is None:
        _require_alike(projection, weight.detach())
    place, delays = _grouped(delay)
    each = weight / projection.target.size

    def by_delay(x: Tensor) -> Tensor:
        return torch.zeros(len(delays), dtype=torch.float64).index_add(0, place, x)

    columns = by_delay(each), by_delay(each * weight), delays
    return [Lane(*(x[k : k + 1] for x in columns)) for k in range(len(delays))]


def wave_lanes(projection: Projection, wave: Tensor) -> list[Lane]:
    """`lanes` with a phase e^{-i k (x_target - x_source)} an edge, k = `wave` (dimensions,) in 1 per unit of length:
    how edges pass on activity that varies as e^{i k x}. Complex weights, and no squares."""
    start, end = (_positions(population, len(wave)) for population in (projection.source, projection.target))
    if projection.size == 0:
        return lanes(projection, 0.0)
    weight, delay = _per_edge(projection)
    sources, targets = projection.edges()
    phase = torch.exp(-1j * ((end[targets] - start[sources]) @ wave))
    place, delays = _grouped(delay)
    each = weight / projection.target.size * phase
    total = torch.zeros(len(delays), dtype=torch.complex128).index_add(0, place, each)
    return [Lane(total[k : k + 1], torch.zeros(1), delays[k : k + 1]) for k in range(len(delays))]


def _positions(population: Population, dimensions: int) -> Tensor:
    """(neurons, dimensions)."""
    if population.positions is None or population.positions.shape[1] != dimensions:
        raise ValueError(
            f"population {population.name!r} has no positions of {plural(dimensions, 'dimension')}; expected them, one "
            "a number of the wave: give positions=(neurons, dimensions) to Network.add"
        )
    return population.positions


def _same(value: float | Tensor) -> Tensor | None:
    """The value (1,) that all edges have; None where they differ, or there are none."""
    x = torch.as_tensor(value, dtype=torch.float64).reshape(-1)
    if len(x) == 0:
        return None
    return x[:1] if len(x) == 1 or bool((x.detach() == x.detach()[0]).all()) else None


def _per_edge(projection: Projection) -> tuple[Tensor, Tensor]:
    """Weights and delays (edges,), float64, in the order of `edges()`."""
    size = projection.size
    weight, delay = (torch.as_tensor(x, dtype=torch.float64) for x in (projection.weight, projection.delay))
    return weight.expand(size), delay.expand(size)


def _grouped(delay: Tensor) -> tuple[Tensor, Tensor]:
    """(edges,) groups of about one delay, and their means in ms."""
    values, place = torch.unique(delay.detach(), return_inverse=True)
    if len(values) > DELAYS:
        low, high = float(values[0]), float(values[-1])
        place = ((delay.detach() - low) * (DELAYS / (high - low))).long().clamp(max=DELAYS - 1)
        _, place = torch.unique(place, return_inverse=True)
    count = torch.bincount(place).double()
    return place, torch.zeros_like(count).index_add(0, place, delay) / count


def _require_alike(projection: Projection, weight: Tensor) -> None:
    where = f"projection from {projection.source.name!r} to {projection.target.name!r}"
    if abs(float(weight.sum())) < (1 - BOTH) * float(weight.abs().sum()):
        share = float((weight.sign() != weight.sum().sign()).double().mean())
        raise ValueError(
            f"the {where} has weights of both signs, {share:.0%} of them against the rest; expected hardly any: make "
            "it two projections"
        )
    targets, w = projection.edges()[1].numpy(), weight.numpy()
    number = np.bincount(targets, minlength=projection.target.size)
    spread = float(np.bincount(targets, w, len(number)).std())
    chance = math.sqrt(w.var() * number.mean() + w.mean() ** 2 * number.var())
    if not spread <= 2 * chance + LEAST * abs(w.mean()) * number.mean():
        raise ValueError(
            f"the weight of the {where} differs between neurons of the target: their sums spread by {spread:.3g}, "
            f"{spread / chance:.3g} times what chance explains; expected at most 2 times: use rv.predict, or several "
            "populations"
        )
