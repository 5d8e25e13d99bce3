"""A case for every synapse of the package: with parameters, a weight, and what one spike gives (mV), by hand."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import ranvier as rv


@dataclass(frozen=True)
class Case:
    """model and weight; input(t, V): what a spike at t = 0 of that weight gives, in mV, for a leak of 10 nS and an
    array t > 0; None where the synapse is no kernel (a jump, or one that follows the source's voltage)."""

    model: rv.Synapse
    weight: float
    input: Callable | None


def rise_and_fall(t, rise, decay):
    """A difference of exponentials over its peak, where its slope is 0."""
    top = np.log(decay / rise) / (1 / rise - 1 / decay)
    return (np.exp(-t / decay) - np.exp(-t / rise)) / (np.exp(-top / decay) - np.exp(-top / rise))


CASES = {
    type(case.model): case
    for case in (
        Case(rv.Delta(), 3.0, None),
        Case(rv.synapses.Jump(), 3.0, None),
        Case(rv.Exponential(tau=4.0), 30.0, lambda t, V: 30 / 4 * np.exp(-t / 4)),
        Case(rv.Alpha(tau=3.0), 30.0, lambda t, V: 30 * t / 9 * np.exp(-t / 3)),
        Case(rv.BiExponential(tau_rise=1.0, tau_decay=6.0), 30.0,
             lambda t, V: 30 * (np.exp(-t / 6) - np.exp(-t)) / 5),
        Case(rv.ExponentialConductance(tau=4.0, E_rev=-80.0), 5.0, lambda t, V: 5 * np.exp(-t / 4) * (-80 - V) / 10),
        Case(rv.AlphaConductance(tau=3.0, E_rev=0.0), 2.0, lambda t, V: 2 * math.e * t / 3 * np.exp(-t / 3) * -V / 10),
        Case(rv.synapses.BiExponentialConductance(tau_rise=1.0, tau_decay=4.0, E_rev=-80.0), 5.0,
             lambda t, V: 5 * rise_and_fall(t, 1.0, 4.0) * (-80 - V) / 10),
        Case(rv.synapses.NMDA(tau_rise=2.0, tau_decay=20.0), 3.0,
             lambda t, V: 3 * rise_and_fall(t, 2.0, 20.0) * -V / 10 / (1 + np.exp(-0.062 * V) / 3.57)),
        Case(rv.Electrical(), 2.0, None),
        Case(rv.synapses.Proportional(), 0.3, None),
        Case(rv.Sigmoidal(), 2.0, None),
    )
}  # fmt: skip
