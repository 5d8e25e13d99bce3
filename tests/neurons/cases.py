"""A case for every neuron of the package: what drives it, and what it then does. A new neuron needs one line here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import ranvier as rv
from ranvier.atlas.plasticity.unsupervised_stdp import Adaptive
from ranvier.energies.sparse_coding import SpikingLCA


@dataclass(frozen=True)
class Case:
    """model: with parameters at which it spikes at least `spikes` times in 120 ms under `drive` (mV; None: it has no
    drive), or never where that is 0; at `rest` it is silent. rate: the theory's, Hz, of a constant drive, within
    `tolerance`. bare_numbers: its equations' numbers carry units (as in its paper), which no check can know."""

    model: rv.Neuron
    drive: float | None
    spikes: int = 2
    rest: float = 0.0
    rate: Callable[[], float] | None = None
    tolerance: float = 0.01
    bare_numbers: bool = False


def _lif() -> float:
    return 1000 / (2.0 + 20.0 * math.log(25.0 / 10.0))


def _qif() -> float:
    """The passage from reset to threshold above rheobase, an arctangent."""
    depth = math.sqrt(15.0 * 20.0 - 15.0**2 / 4)
    return 1000 / (20.0 * 15.0 / depth * (math.atan(87.5 / depth) - math.atan(-22.5 / depth)))


CASES = {
    type(case.model): case
    for case in (
        Case(rv.LIF(), 25.0, 4, rate=_lif),
        Case(rv.EIF(), 10.0),
        Case(rv.QIF(), 20.0, rate=_qif),
        Case(rv.AdEx(), 40.0),
        Case(rv.neurons.ClopathAdEx(), 40.0),
        Case(rv.neurons.GrowingLIF(), 25.0, 4, rate=_lif),
        Case(rv.Izhikevich(), 10.0, 2, bare_numbers=True),
        Case(rv.HodgkinHuxley(), 30.0, rest=-5.0, bare_numbers=True),
        Case(rv.Graded(), 20.0, 0),
        Case(rv.neurons.SynapticLIF(), 12.0, rate=lambda: 1000 / (2.2 + 20.0 * math.log(12.0 / 5.0))),
        Case(SpikingLCA(), 0.2, rate=lambda: 1000 / (20.0 * math.log(0.2 / 0.15))),
        Case(Adaptive(theta_plus=1.0, tau_theta=50.0), None, 0),
    )
}
