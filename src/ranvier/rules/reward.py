"""Three-factor plasticity: pairs of spikes mark a synapse, a modulator changes it."""

from __future__ import annotations

import math

from ranvier.rules._base import Rule
from ranvier.rules._law import Eligibility, Trace


class RewardSTDP(Rule):
    """Reward-modulated STDP (Izhikevich 2007, Cereb. Cortex 17:2443; Frémaux & Gerstner 2016, eqs. 5 and 6).

    Pairs of spikes mark a synapse: they add to its eligibility c, which forgets with tau_c; dw/dt = c d. The modulator
    (the third factor) is filtered to d by tau_d, dd/dt = −d/tau_d + modulator, above `baseline`; tau_d = 0 takes it
    as it is. The weight is brought up to date every `interval`.
    """

    tau_plus: float = 20.0  # ms
    tau_minus: float = 20.0  # ms
    tau_c: float = 1000.0  # ms, eligibility
    tau_d: float = 200.0  # ms, modulator
    A_plus: float = 1.0  # eligibility a pair
    A_minus: float = 1.5
    baseline: float = 0.0  # of the modulator
    interval: float = 10.0  # ms
    w_min: float = 0.0
    w_max: float = math.inf

    eligibilities = (Eligibility("c", "tau_c", on_pre="-A_minus*y", on_post="A_plus*x"),)

    @property
    def traces(self) -> tuple[Trace, ...]:
        pair = Trace("x", "pre", "tau_plus"), Trace("y", "post", "tau_minus")
        return (*pair, Trace("d", "modulator", "tau_d")) if self.tau_d > 0 else pair

    @property
    def drift(self) -> str:
        return "c*(d + baseline)" if self.tau_d > 0 else "c*(modulator + baseline)"


__all__ = ["RewardSTDP"]
