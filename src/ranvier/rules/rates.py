"""Rules of rates: on dense layers of rates directly (tau = 0), in networks of spikes on their traces.

A trace of spikes of rate r has the mean r·tau; `tau` is the width of what counts as simultaneous.
"""

from __future__ import annotations

import math

from ranvier.rules._base import Rule
from ranvier.rules._law import Trace

_SIDES = (Trace("x", "pre", "tau"), Trace("y", "post", "tau"))


class Hebb(Rule):
    """Hebb's rule with forgetting: dw/dt = eta x y − decay w."""

    traces = _SIDES
    drift = "eta*x*y - decay*w"
    eta: float = 0.01  # unit of the weight per ms
    decay: float = 0.0  # 1/ms
    tau: float = 0.0  # ms; 0: x and y are the rates themselves
    interval: float = 1.0  # ms
    w_min: float = -math.inf
    w_max: float = math.inf


class Oja(Rule):
    """Oja's rule, dw/dt = eta y (x − y w) (Oja 1982, J. Math. Biol. 15:267): finds the first principal component."""

    traces = _SIDES
    drift = "eta*y*(x - y*w)"
    eta: float = 0.01  # per ms
    tau: float = 0.0  # ms
    interval: float = 1.0  # ms
    w_min: float = -math.inf
    w_max: float = math.inf


class BCM(Rule):
    """Bienenstock, Cooper & Munro (1982), with the threshold of Intrator & Cooper (1992).

    dw/dt = eta x y (y − theta); theta follows y²/y_0 with tau_theta.
    """

    traces = (*_SIDES, Trace("theta", "post", "tau_theta", follows="y**2/y_0"))
    drift = "eta*x*y*(y - theta)"
    eta: float = 0.01  # per ms
    y_0: float = 1.0  # the activity at which the threshold equals it
    tau: float = 0.0  # ms
    tau_theta: float = 100.0  # ms
    interval: float = 1.0  # ms
    w_min: float = 0.0
    w_max: float = math.inf


__all__ = ["BCM", "Hebb", "Oja"]
