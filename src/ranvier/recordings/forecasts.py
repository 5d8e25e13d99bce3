"""Forecasts of activity by a graph: each neuron from itself and its neighbours, the same law for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import count
from ranvier._results import Fields

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GraphForecast(Fields):
    """x_i(t + steps) = x_i(t) + w · [x_i(t), x_i(t) − x_i(t − lag), and for each graph the neighbours' mean of both].

    graphs: matrices (N, N), [target, source]. weight: (features,), one law for all neurons, so that it holds for worms
    in which others were recorded.
    Returned by `fit_forecast`.
    """

    graphs: tuple[Array, ...]
    weight: Array
    steps: int
    lag: int

    def __call__(self, x: Array) -> Array:
        """Forecasts (T, N) of x (T, N) `steps` later; NaN where a neuron, or its past, was not measured."""
        return x + _features(x, self.graphs, self.lag) @ self.weight


def fit_forecast(
    worms: Sequence[Array], graphs: Sequence[Array], *, steps: int = 6, lag: int = 3, penalty: float = 1e-3
) -> GraphForecast:
    """Least squares over all worms' activity (T, N), neurons and times that were measured; NaN are left out.

    A neighbours' mean is over those that were measured, weighted by the graph. Raises ValueError without any sample.

    >>> x = np.exp(-0.05 * np.arange(60))[:, None]  # decays: x(t + 6) = x(t) exp(-0.3)
    >>> model = rv.recordings.fit_forecast([x], [])
    >>> bool(rv.recordings.skill(model(x), x, 6) > 0.99)
    True
    """
    count(steps, "steps", 1), count(lag, "lag", 1)
    graphs = tuple(np.asarray(g, np.float64) for g in graphs)
    square: Any = 0.0
    cross: Any = 0.0
    for x in worms:
        features = _features(x[:-steps], graphs, lag)
        change = x[steps:] - x[:-steps]
        known = np.isfinite(features).all(2) & np.isfinite(change)
        f, y = features[known], change[known]
        square, cross = square + f.T @ f, cross + f.T @ y
    if not isinstance(square, np.ndarray) or not square.any():
        raise ValueError("the worms hold no sample with its future; expected activity longer than steps + lag")
    scale = np.trace(square) / len(square)
    weight = np.linalg.solve(square + penalty * scale * np.eye(len(square)), cross)
    return GraphForecast(graphs, weight, steps, lag)


def skill(forecast: Array, x: Array, steps: int) -> float:
    """1 − Σ error²/Σ (x(t + steps) − x(t))²: 0 for persistence, 1 for a perfect forecast; over what was measured.

    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> rv.recordings.skill(x, x, 1), rv.recordings.skill(np.roll(x, -1, 0), x, 1)  # persistence; a perfect forecast
    (0.0, 1.0)
    """
    error = forecast[:-steps] - x[steps:]
    change = x[steps:] - x[:-steps]
    known = np.isfinite(error) & np.isfinite(change)
    return 1.0 - float((error[known] ** 2).sum() / (change[known] ** 2).sum())


def shuffled_graph(graph: Array, seed: int = 0, among: NDArray[np.bool_] | None = None) -> Array:
    """The graph with its neurons renamed at random, `among` those given: the same numbers of connections, other
    partners.

    >>> graph = np.triu(np.ones((4, 4)), 1)
    >>> shuffled = rv.recordings.shuffled_graph(graph, seed=0)
    >>> sorted(shuffled.sum(0).tolist()) == sorted(graph.sum(0).tolist())
    True
    """
    rng = np.random.default_rng(seed)
    order = np.arange(len(graph))
    chosen = np.arange(len(graph)) if among is None else np.flatnonzero(among)
    order[chosen] = rng.permutation(chosen)
    return graph[np.ix_(order, order)]


def _features(x: Array, graphs: Sequence[Array], lag: int) -> Array:
    """(T, N, features)."""
    past = np.full_like(x, np.nan)
    past[lag:] = x[:-lag]
    slope = x - past
    parts = [x, slope]
    there = np.isfinite(slope)
    for graph in graphs:
        weight = there @ graph.T
        with np.errstate(divide="ignore", invalid="ignore"):
            for part in (x, slope):
                mean = np.where(there, part, 0.0) @ graph.T / weight
                parts.append(np.where(weight > 0, mean, 0.0))
    return np.stack(parts, -1)


__all__ = ["GraphForecast", "fit_forecast", "shuffled_graph", "skill"]
