"""Inhibition that holds its targets at a rate."""

from __future__ import annotations

from ranvier.rules._base import Rule
from ranvier.rules._law import Trace


class InhibitorySTDP(Rule):
    """Inhibitory plasticity (Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, Science 334:1569).

    Near-coincident spikes strengthen an inhibitory synapse, each spike that arrives alone weakens it: on_pre
    eta (y − 2 target tau), on_post eta x; at equilibrium the target fires at `target` Hz. For synapses whose
    inhibitory weights are negative give eta < 0, w_max = 0 and w_min < 0.
    """

    traces = (Trace("x", "pre", "tau"), Trace("y", "post", "tau"))
    on_pre = "eta*(y - 2*target*tau/1000)"
    on_post = "eta*x"
    tau: float = 20.0  # ms
    eta: float = 0.01  # unit of the weight
    target: float = 5.0  # Hz
    w_min: float = 0.0
    w_max: float = 10.0


__all__ = ["InhibitorySTDP"]
