"""A circuit like motor cortex: stability-optimised, with strong transients (Hennequin, Vogels & Gerstner 2014)."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.linalg import solve_continuous_lyapunov


@cache
def circuit(seed: int, size: int, radius: float = 1.2, abscissa: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Weights (size, size), [target, source], three quarters of the sources excitatory, whose inhibitory weights
    descend the smoothed spectral abscissa until it is below `abscissa`; and the two initial states (size, 2), of norm
    1, of most energy to come."""
    rng = np.random.default_rng(seed)
    excitatory, p = size * 3 // 4, max(0.1, 8 / size)
    base = radius / np.sqrt(p * (1 - p) * size)
    w = (rng.random((size, size)) < p) * base * np.exp(0.5 * rng.standard_normal((size, size)) - 0.125)
    w[:, excitatory:] *= -3.0
    np.fill_diagonal(w, 0.0)
    w[:, excitatory:] -= (w.sum(1) / (size - excitatory))[:, None]  # rows sum to zero
    w[:, excitatory:] = np.minimum(w[:, excitatory:], 0.0)
    for _ in range(5000):
        largest = float(np.linalg.eigvals(w).real.max())
        if largest < abscissa:
            break
        stable = w - max(1.5 * largest, largest + 0.2) * np.eye(size)
        q = solve_continuous_lyapunov(stable.T, -2 * np.eye(size))
        pp = solve_continuous_lyapunov(stable, -2 * np.eye(size))
        step = q @ pp
        w[:, excitatory:] = np.minimum(w[:, excitatory:] - 10 * step[:, excitatory:] / np.trace(step), 0.0)
        np.fill_diagonal(w, 0.0)
    energy = solve_continuous_lyapunov((w - np.eye(size)).T, -2 * np.eye(size))
    return w, np.linalg.eigh(energy)[1][:, -2:]
