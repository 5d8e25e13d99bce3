"""Rules of rates: on dense layers of rates directly (tau = 0), in networks of spikes on their traces.

A trace of spikes of rate r has the mean r·tau; `tau` is the width of what counts as simultaneous.
"""

from __future__ import annotations

import math

from ranvier.equations import parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Trace

_SIDES = (Trace("x", "pre", "tau"), Trace("y", "post", "tau"))


class Hebb(Rule):
    """Hebb's rule with forgetting: dw/dt = eta x y − decay w.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rule, weight = rv.rules.Hebb(eta=0.1), torch.zeros(1, 1)
    >>> state, change = rule.step(rule.init_state(weight, 1), weight, torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    >>> round(float(change), 3)  # eta x y dt
    0.6
    """

    traces = _SIDES
    drift = "eta*x*y - decay*w"
    eta: float = parameter(0.01, "weight/ms", "rate of learning")
    decay: float = parameter(0.0, "1/ms", "rate of forgetting", at_least=0)
    tau: float = parameter(0.0, "ms", "0: x and y are the rates themselves", at_least=0)
    interval: float = parameter(1.0, "ms", "between two changes", above=0)
    w_min: float = parameter(-math.inf, "weight", "lower bound", finite=False)
    w_max: float = parameter(math.inf, "weight", "upper bound", finite=False)


class Oja(Rule):
    """Oja's rule, dw/dt = eta y (x − y w) (Oja 1982, J. Math. Biol. 15:267): finds the first principal component.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rule, weight = rv.rules.Oja(eta=0.1), torch.ones(1, 1)
    >>> state, change = rule.step(rule.init_state(weight, 1), weight, torch.tensor([[2.0]]), torch.tensor([[2.0]]))
    >>> float(change)  # y (x - y w) = 0 at w = 1
    0.0
    """

    traces = _SIDES
    drift = "eta*y*(x - y*w)"
    eta: float = parameter(0.01, "1/ms", "rate of learning")
    tau: float = parameter(0.0, "ms", "0: x and y are the rates themselves", at_least=0)
    interval: float = parameter(1.0, "ms", "between two changes", above=0)
    w_min: float = parameter(-math.inf, "weight", "lower bound", finite=False)
    w_max: float = parameter(math.inf, "weight", "upper bound", finite=False)


class BCM(Rule):
    """Bienenstock, Cooper & Munro (1982), with the threshold of Intrator & Cooper (1992).

    dw/dt = eta x y (y − theta); theta follows y²/y_0 with tau_theta.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rules.BCM(eta=0.001, tau_theta=50.0).parameters["tau_theta"]
    50.0
    """

    traces = (*_SIDES, Trace("theta", "post", "tau_theta", follows="y**2/y_0"))
    drift = "eta*x*y*(y - theta)"
    eta: float = parameter(0.01, "1/ms", "rate of learning")
    y_0: float = parameter(1.0, "1", "activity at which the threshold equals it", above=0)
    tau: float = parameter(0.0, "ms", "0: x and y are the rates themselves", at_least=0)
    tau_theta: float = parameter(100.0, "ms", "of the threshold", at_least=0)
    interval: float = parameter(1.0, "ms", "between two changes", above=0)
    w_min: float = parameter(0.0, "weight", "lower bound", finite=False)
    w_max: float = parameter(math.inf, "weight", "upper bound", finite=False)


__all__ = ["BCM", "Hebb", "Oja"]
