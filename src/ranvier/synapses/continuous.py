"""Synapses that follow the source's voltage: no spikes, no delay beyond the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ranvier.synapses._base import Continuous

if TYPE_CHECKING:
    from ranvier.synapses._base import Value


class Electrical(Continuous):
    """Gap junction: I = w (V_source − V)/g_L, w in nS."""

    weight_unit = "nS"


class Sigmoidal(Continuous):
    """Graded chemical synapse: I = w s, s = σ((V_source − V_half)/slope), low-passed by tau if tau > 0.

    With a reversal potential, I = w s (E_rev − V)/g_L and w is in nS (Wicks et al. 1996).
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("tau",)
    weight_unit = "mV"  # nS with a reversal potential
    V_half: Value = -35.0  # mV
    slope: Value = 5.0  # mV
    tau: Value = 0.0  # ms
    E_rev: Value | None = None  # mV

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.slope > 0:
            raise ValueError(f"Sigmoidal: found slope = {self.slope}, expected a positive number of mV")
