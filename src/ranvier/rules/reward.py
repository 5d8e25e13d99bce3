"""Three-factor plasticity: pairs of spikes mark a synapse, a modulator changes it."""

from __future__ import annotations

import math

from ranvier.equations import parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Eligibility, Trace


class RewardSTDP(Rule):
    """Reward-modulated STDP (Izhikevich 2007, Cereb. Cortex 17:2443; Frémaux & Gerstner 2016, eqs. 5 and 6).

    Pairs of spikes mark a synapse: they add to its eligibility c, which forgets with tau_c; dw/dt = c d. The modulator
    (the third factor) is filtered to d by tau_d, dd/dt = −d/tau_d + modulator, above `baseline`; tau_d = 0 takes it
    as it is. The weight is brought up to date every `interval`.

    Examples
    --------
    >>> import ranvier as rv
    >>> [trace.name for trace in rv.rules.RewardSTDP().traces]
    ['x', 'y', 'd']
    """

    tau_plus: float = parameter(20.0, "ms", "potentiation", above=0)
    tau_minus: float = parameter(20.0, "ms", "depression", above=0)
    tau_c: float = parameter(1000.0, "ms", "eligibility", above=0)
    tau_d: float = parameter(200.0, "ms", "modulator; 0 takes it as it is", at_least=0)
    A_plus: float = parameter(1.0, "1", "eligibility a pair, post after pre")
    A_minus: float = parameter(1.5, "1", "eligibility a pair, pre after post")
    baseline: float = parameter(0.0, "weight/ms", "of the modulator")
    interval: float = parameter(10.0, "ms", "between two changes", above=0)
    w_min: float = parameter(0.0, "weight", "lower bound", finite=False)
    w_max: float = parameter(math.inf, "weight", "upper bound", finite=False)

    eligibilities = (Eligibility("c", "tau_c", on_pre="-A_minus*y", on_post="A_plus*x"),)

    @property
    def traces(self) -> tuple[Trace, ...]:
        pair = Trace("x", "pre", "tau_plus"), Trace("y", "post", "tau_minus")
        return (*pair, Trace("d", "modulator", "tau_d")) if self.tau_d > 0 else pair

    @property
    def drift(self) -> str:
        return "c*(d + baseline)" if self.tau_d > 0 else "c*(modulator + baseline)"


__all__ = ["RewardSTDP"]
