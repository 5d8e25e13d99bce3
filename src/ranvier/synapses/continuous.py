"""Synapses that follow the source's voltage: no spikes, no delay beyond the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.equations import parameter
from ranvier.synapses._base import Continuous

if TYPE_CHECKING:
    from ranvier.synapses._base import Value


class Electrical(Continuous):
    """Gap junction: I = w (V_source − V)/g_L, w in nS.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Electrical().continuous, rv.Electrical().weight_unit
    (True, 'nS')
    """

    weight_unit = "nS"


class Proportional(Continuous):
    """A graded synapse that is linear in the source's voltage, however large: I = w V_source, w without unit.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.synapses.Proportional().continuous
    True
    """

    weight_unit = "1"


class Sigmoidal(Continuous):
    """Graded chemical synapse: I = w s, s = σ((V_source − V_half)/slope), low-passed by tau if tau > 0.

    With a reversal potential, I = w s (E_rev − V)/g_L and w is in nS (Wicks et al. 1996).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Sigmoidal(V_half=-30.0).weight_unit, rv.Sigmoidal(E_rev=0.0).weight_unit
    ('mV', 'nS')
    """

    V_half: Value = parameter(-35.0, "mV", "potential of half activation")
    slope: Value = parameter(5.0, "mV", "width of the activation", above=0)
    tau: Value = parameter(0.0, "ms", "low-pass time, 0 for none", at_least=0)
    E_rev: Value | None = parameter(None, "mV", "reversal potential, or None")

    @property
    def weight_unit(self) -> str:  # type: ignore[override]
        """mV, or nS with a reversal potential."""
        return "mV" if self.E_rev is None else "nS"
