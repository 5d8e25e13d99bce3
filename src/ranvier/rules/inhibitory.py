"""Inhibition that holds its targets at a rate."""

from __future__ import annotations

from ranvier.equations import parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Trace


class InhibitorySTDP(Rule):
    """Inhibitory plasticity (Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, Science 334:1569).

    Near-coincident spikes strengthen an inhibitory synapse, each spike that arrives alone weakens it: on_pre
    eta (y − 2 target tau), on_post eta x; at equilibrium the target fires at `target` Hz. For synapses whose
    inhibitory weights are negative give eta < 0, w_max = 0 and w_min < 0.

    Examples
    --------
    >>> import ranvier as rv
    >>> rule = rv.rules.InhibitorySTDP(target=5.0)  # Hz
    >>> rule.parameters["tau"]
    20.0
    """

    traces = (Trace("x", "pre", "tau"), Trace("y", "post", "tau"))
    on_pre = "eta*(y - 2*target*tau/1000)"
    on_post = "eta*x"
    tau: float = parameter(20.0, "ms", "width of the window", above=0)
    eta: float = parameter(0.01, "weight", "change a pair")
    target: float = parameter(5.0, "Hz", "rate of the target at equilibrium", at_least=0)
    w_min: float = parameter(0.0, "weight", "lower bound", finite=False)
    w_max: float = parameter(10.0, "weight", "upper bound", finite=False)


__all__ = ["InhibitorySTDP"]
