"""Whether neurons that were read can spike at all: weights of another unit than pulses of 1 s may let none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ranvier.networks._network import Network
    from ranvier.networks._population import Population

SPIKES = 100.0  # of each source, into an integrator without leak


def require_reach(net: Network, interval: float) -> None:
    """ValueError for a population of which no neuron reaches its threshold, whatever spikes come in.

    Sources are taken to spike every `interval` ms, the excitatory ones all at once: a bound, not an estimate.
    Populations without excitation, or with continuous inputs, are left out: no unit of pulses changes them.
    """
    for p in net.populations:
        incoming = [c for c in net.projections if c.target is p]
        if "V_th" not in p.parameters or any(c.synapse.continuous for c in incoming):
            continue
        leaky = "E_L" in p.parameters
        most = _values(p, "drive") + (_values(p, "E_L") if leaky else 0.0)
        excitation = np.zeros(p.size)
        for c in incoming:
            tau = c.synapse.numbers.get("tau")
            height = _positive_sums(c.matrix())
            if tau is not None:
                height = height / tau / -np.expm1(-interval / tau)
            elif leaky:
                height = height / -np.expm1(-interval / _values(p, "tau_m"))
            else:
                height = height * SPIKES
            excitation += height
        threshold = _values(p, "V_th")
        if not (excitation > 0.0).any() or (not leaky and (most > 0.0).any()) or (most + excitation >= threshold).any():
            continue
        raise ValueError(
            f"No neuron of {p.name!r} can spike: with every excitatory source at a spike in {interval:g} ms, V stays "
            f"below {(most + excitation).max():.3g} mV, and the least threshold is {threshold.min():.3g} mV; expected "
            "weights that are meant for spikes of 1 s: give pulse= (ms) as the file's writer means it, its step for "
            "files of frameworks, or pulse=1000.0 to read it as it is."
        )


def _values(p: Population, key: str) -> Any:
    value = p.parameters[key]
    return np.broadcast_to(value if isinstance(value, float) else value.numpy(), p.size)  # type: ignore[union-attr]


def _positive_sums(matrix: Any) -> Any:
    """(targets,) the sums of positive weights."""
    return np.asarray(matrix.maximum(0).sum(axis=1)).reshape(-1)


__all__ = ["require_reach"]
