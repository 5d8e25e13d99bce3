"""Evolution strategies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np

from ranvier._checks import count, function, number, positive, reals


def evolve(
    fitness: Callable[[np.ndarray, int], float],
    start: np.ndarray,
    generations: int,
    *,
    population: int = 8,
    sigma: float = 0.02,
    lr: float = 0.01,
    decay: float = 0.005,
    seed: int = 0,
    executor: Executor | None = None,
) -> tuple[np.ndarray, list[float]]:
    """Parameters after `generations` generations, and the mean fitness of each (Salimans et al. 2017).

    Each generation tries pairs of parameters x ± sigma · noise, ranks them from −1/2 to 1/2, and follows the gradient
    that the ranks estimate with Adam, less decay · x, clipped to ±1 an entry. fitness(x, seed) is called with a seed of
    each generation's; with an `executor` (of processes, say) in parallel, with the same result to the bit.

    Raises ValueError for an odd population and for a fitness that is not finite.

    >>> from ranvier.bodies import evolve
    >>> x, log = evolve(lambda x, seed: -float(((x - 1) ** 2).sum()), np.zeros(3), 200, lr=0.05, decay=0.0)
    >>> bool(abs(x - 1).max() < 0.2)
    True
    """
    if count(population, "population", 2) % 2:
        raise ValueError(f"population is {population}; expected an even number from 2: trials come in pairs")
    sigma, lr = positive(sigma, "sigma"), positive(lr, "lr")
    if number(decay, "decay") < 0:
        raise ValueError(f"decay is {decay}; expected 0 or more")
    generations = count(generations, "generations")
    function(fitness, "fitness", "(parameters, seed) -> number")
    x = reals(start, "start").ravel().copy()
    if not x.size or not np.isfinite(x).all():
        raise ValueError(f"start has shape {np.shape(start)} or is not finite; expected finite numbers, one at least")
    m, v, log = np.zeros_like(x), np.zeros_like(x), []
    rng = np.random.default_rng(seed)
    for k in range(1, generations + 1):
        half = rng.standard_normal((population // 2, x.size))
        noise = np.concatenate([half, -half])
        trials, seeds = list(x + sigma * noise), [int(rng.integers(2**31))] * population
        scores = reals(
            list(executor.map(fitness, trials, seeds) if executor else map(fitness, trials, seeds)), "fitness"
        )
        if not np.isfinite(scores).all():
            raise ValueError(f"fitness is {scores[~np.isfinite(scores)][0]} in generation {k}; expected finite numbers")
        ranks = np.empty(population)
        ranks[np.argsort(scores, kind="stable")] = np.arange(population) / (population - 1) - 0.5
        gradient = np.clip(ranks @ noise / (population * sigma) - decay * x, -1, 1)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x = x + lr * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        log.append(float(scores.mean()))
    return x, log
