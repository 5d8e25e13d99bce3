"""Spike-timing-dependent plasticity by pairs of spikes."""

from __future__ import annotations

import math
from typing import Literal

from ranvier.equations import option, parameter
from ranvier.rules._base import Rule
from ranvier.rules._law import Trace


class STDP(Rule):
    """Pairs of spikes (Song, Miller & Abbott 2000; Morrison, Diesmann & Gerstner 2008, eqs. 5 to 9).

    A target's spike adds A_plus f₊(w) x, a spike that arrives adds −A_minus f₋(w) y; x and y are traces of
    either side's past spikes, of all of them (`pairs="all"`) or of the nearest (`"nearest"`). With u = (w − w_min)
    /(w_max − w_min), f₊ = (1 − u)^mu_plus and f₋ = u^mu_minus: 0 is additive, 1 multiplicative (soft bounds,
    Rubin, Lee & Sompolinsky 2001), between them the power law (Gütig et al. 2003); mu_plus = 0 with
    mu_minus = 1 is van Rossum, Bi & Turrigiano (2000). mu above 0 needs finite bounds.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rule, weight = rv.rules.STDP(A_plus=0.01, tau_plus=20.0), torch.zeros(1, 1)
    >>> spike, none = torch.ones(1, 1), torch.zeros(1, 1)
    >>> state, _ = rule.step(rule.init_state(weight, 1), weight, spike, none)
    >>> state, change = rule.step(state, weight, none, spike)  # the target's spike, 1 ms later
    >>> round(float(change), 6)  # 0.01 exp(-1/20)
    0.009512
    """

    tau_plus: float = parameter(20.0, "ms", "potentiation", above=0)
    tau_minus: float = parameter(20.0, "ms", "depression", above=0)
    A_plus: float = parameter(0.01, "weight", "potentiation a pair")
    A_minus: float = parameter(0.012, "weight", "depression a pair")
    mu_plus: float = parameter(0.0, "1", "exponent of potentiation", at_least=0)
    mu_minus: float = parameter(0.0, "1", "exponent of depression", at_least=0)
    w_min: float = parameter(0.0, "weight", "lower bound", finite=False)
    w_max: float = parameter(1.0, "weight", "upper bound", finite=False)
    pairs: Literal["all", "nearest"] = option("all", "nearest")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mu_plus or self.mu_minus) and math.isinf(self.w_max - self.w_min):
            raise ValueError(
                f"STDP: weights from {self.w_min} to {self.w_max} with mu_plus = {self.mu_plus}, mu_minus = "
                f"{self.mu_minus}; expected finite w_min and w_max, between which they scale changes"
            )

    @property
    def traces(self) -> tuple[Trace, ...]:
        near = self.pairs == "nearest"
        return Trace("x", "pre", "tau_plus", near), Trace("y", "post", "tau_minus", near)

    @property
    def on_pre(self) -> str:
        return "-A_minus*y" + power("(w - w_min)/(w_max - w_min)", "mu_minus", self.mu_minus)

    @property
    def on_post(self) -> str:
        return "A_plus*x" + power("(w_max - w)/(w_max - w_min)", "mu_plus", self.mu_plus)


def power(base: str, exponent: str, value: float) -> str:
    """The factor base^exponent as text: powers of 0 and 1 need no function."""
    if value == 0.0:
        return ""
    return f"*({base})" if value == 1.0 else f"*max({base}, 0)**{exponent}"


__all__ = ["STDP"]
