"""How a layer's steps represent NIR's equations in continuous time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import positive
from ranvier.networks.nir.files import MS

Array = NDArray[np.float64]
DECAYS = ("euler", "exponential")


@dataclass(frozen=True)
class Clock:
    """Steps of `dt` (s), by Euler's method or with exact decay; a spike is a pulse of height 1 that lasts `pulse` (s).

    What is called a gain is the factor between a weight, or a bias, in NIR and what it adds in one step to u of a
    layer whose threshold and potentials are NIR's, at r = w_in = 1.
    """

    dt: float
    euler: bool
    pulse: float

    @classmethod
    def of(cls, dt: float, decay: str, pulse: float | None = None) -> Clock:
        """From the keywords, dt and pulse in ms (a step by default). ValueError for what they cannot be."""
        if decay not in DECAYS:
            raise ValueError(f"decay is {decay!r}; expected one of {', '.join(DECAYS)}")
        step = positive(dt, "dt", "ms") * MS
        return cls(step, decay == "euler", step if pulse is None else positive(pulse, "pulse", "ms") * MS)

    def tau(self, decay: Array) -> Array:
        """The time constant (s) of a decay per step below 1, and above 0 if it is exponential."""
        return self.dt / (1.0 - decay) if self.euler else -self.dt / np.log(decay)

    def decay(self, tau: Array) -> Array:
        """A step's decay; negative where Euler's method cannot follow a time constant below dt."""
        return 1.0 - self.dt / tau if self.euler else np.exp(-self.dt / tau)

    def membrane(self, tau: Array) -> Array:
        """Gain of a spike in a `LIF`; with exact decay it is an impulse at the step's beginning, and decays, too."""
        return self.pulse / tau if self.euler else self.pulse / tau * self.decay(tau)

    def current(self, tau_mem: Array, tau_syn: Array) -> Array:
        """Gain of a spike in a `CubaLIF`, whose current charges the membrane for the first time in that step."""
        from scipy.special import exprel

        charge = self.dt / tau_mem
        if not self.euler:
            # ∫ exp(−(dt − s)/tau_mem) exp(−s/tau_syn) ds/tau_mem over the step, also where the two are the same
            fast, slow = self.dt / np.minimum(tau_mem, tau_syn), self.dt / np.maximum(tau_mem, tau_syn)
            charge = charge * np.exp(-slow) * exprel(slow - fast)
        return charge * self.pulse / tau_syn

    def bias(self, node: Any) -> Array | None:
        """NIR's bias, constant in time, is a layer's times this; None: no number makes them the same."""
        import nir

        if self.euler or isinstance(node, nir.IF | nir.I):
            return np.full((), self.pulse / self.dt)
        if isinstance(node, nir.CubaLIF | nir.CubaLI):
            return None
        tau = np.asarray(node.tau, np.float64)
        return self.membrane(tau) / -np.expm1(-self.dt / tau)


def neurons() -> tuple[type, ...]:
    """The kinds of NIR's nodes that keep a potential."""
    import nir

    return nir.LIF, nir.CubaLIF, nir.IF, nir.LI, nir.CubaLI, nir.I


def rescale_biases(
    clock: Clock, chain: list[tuple[str, Any]], way: str, refuse: Callable[..., NoReturn]
) -> dict[str, Array]:
    """The biases of a chain of (name, node) as NIR has them, if `way` is "to", or as layers do; by name."""
    import nir

    rescaled = {}
    for k, (name, node) in enumerate(chain):
        if (bias := getattr(node, "bias", None)) is None:
            continue
        rescaled[name] = np.asarray(bias)
        at = next((at for at in range(k + 1, len(chain)) if isinstance(chain[at][1], neurons())), None)
        if at is None or (clock.euler and clock.pulse == clock.dt) or not np.any(bias):
            continue
        if (factor := clock.bias(chain[at][1])) is None:
            refuse(f"the bias of {name!r} into the synaptic current of {chain[at][0]!r} with exact decay")
        if (factor == factor.flat[0]).all():
            factor = factor.flat[:1]
        elif at > k + 1 or not isinstance(node, nir.Affine):
            refuse(f"the bias of {name!r} for neurons of different time constants in {chain[at][0]!r} with exact decay")
        rescaled[name] = rescaled[name] * factor if way == "to" else rescaled[name] / factor
    return rescaled


__all__ = ["Array", "Clock", "neurons", "rescale_biases"]
