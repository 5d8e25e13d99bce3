"""Chaotic systems to forecast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

#: Lyapunov times as Gauthier et al. (2021) use them
LYAPUNOV = {"lorenz63": 1.1, "double_scroll": 7.8125}


def lorenz63(
    n: int, dt: float = 0.025, *, warm_up: float = 5.0, seed: int | None = None, rough: bool = False
) -> np.ndarray:
    """Lorenz (1963), sigma 10, rho 28, beta 8/3: (n, 3), `dt` apart, after `warm_up`; its Lyapunov time is 1.1.

    seed: moves the initial point. rough: integrate as Gauthier et al. (2021) do, RK23 to a relative error of 1e-3
    a step: such a series is slightly irregular, which some forecasts need.

    >>> series = rv.reservoirs.lorenz63(2000, dt=0.025)
    >>> bool(abs(series[:, 2].mean() - 23.5) < 1.0)  # the attractor's mean height
    True
    """

    def field(t: float, v: np.ndarray) -> list[float]:
        x, y, z = v
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    return _series(field, [17.7, 12.9, 43.9], 1.0, n, dt, warm_up, seed, rough)


def double_scroll(
    n: int, dt: float = 0.25, *, warm_up: float = 50.0, seed: int | None = None, rough: bool = False
) -> np.ndarray:
    """The double-scroll circuit (Gauthier et al. 2021, eq. 10): (n, 3) of V1, V2, I; its Lyapunov time is 7.8.

    >>> rv.reservoirs.double_scroll(100, dt=0.25).shape, bool(abs(rv.reservoirs.double_scroll(100)[:, 0]).max() < 3)
    ((100, 3), True)
    """

    def field(t: float, v: np.ndarray) -> list[float]:
        v1, v2, current = v
        g = (v1 - v2) / 3.44 + 2 * 2.25e-5 * np.sinh(11.6 * (v1 - v2))
        return [v1 / 1.2 - g, g - current, v2 - 0.193 * current]

    return _series(field, [0.38, 0.058, -0.082], 0.05, n, dt, warm_up, seed, rough)


def _series(
    field: Callable[[float, np.ndarray], list[float]], start: list[float], spread: float, n: int, dt: float,
    warm_up: float, seed: int | None, rough: bool,
) -> np.ndarray:  # fmt: skip
    if n < 1 or dt <= 0:
        raise ValueError(f"n is {n}, dt is {dt}; expected n >= 1 and dt > 0")
    point = np.array(start)
    if seed is not None:
        point = point + np.random.default_rng(seed).uniform(-spread, spread, 3)
    times = warm_up + dt * np.arange(n)
    # chaos multiplies errors: a tolerance makes the trajectory smooth, not true
    how = {"method": "RK23"} if rough else {"method": "DOP853", "rtol": 1e-9, "atol": 1e-9}
    return solve_ivp(field, (0, times[-1]), point, t_eval=times, **how).y.T
