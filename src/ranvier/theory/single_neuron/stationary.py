"""Stationary density, rate and CV of one-variable neurons."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.single_neuron.dispersion import corrected_cv, missing_time
from ranvier.theory.single_neuron.functions import StationaryFunction
from ranvier.theory.single_neuron.membrane import Membrane


@dataclass(frozen=True, repr=False)
class Stationary(Brief):
    """`rate` (M,) Hz; `cv` (M,); `density` (N, M) 1/mV at the grid's nodes, whose sum times the step is
    1 - rate t_ref.

    Examples
    --------
    >>> import ranvier as rv
    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0, N=1000)
    >>> solution = rv.theory.stationary(neurons)
    >>> step = (neurons.grid.V_th - neurons.grid.V_lb) / 1000
    >>> round(float((solution.density * step).sum()), 6)  # without a refractory period
    1.0
    """

    rate: Tensor
    cv: Tensor
    density: Tensor


def stationary(neurons: Membrane, threads: int = 1) -> Stationary:
    """Threshold integration (Richardson 2007, PRE 76:021919), with the CV from the backward recursion.

    Differentiable in everything the membrane was made of. Second order in the grid's step; of
    neurons that drift carries the grid's own dispersion is taken away.

    Examples
    --------
    >>> import ranvier as rv
    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> stationary = rv.theory.stationary(neurons)
    >>> bool(0 < stationary.cv < 1)
    True
    """
    rate, cv, probability = StationaryFunction.apply(*neurons.integration(), threads)
    cv = corrected_cv(neurons, rate, cv, missing_time(neurons))
    return Stationary(1000 * rate, cv, probability.T / neurons.grid.step)


def rate_alone(neurons: Membrane, threads: int = 1) -> Tensor:
    """(M,) 1/ms: of `stationary` the rate, at a small part of the time."""
    return StationaryFunction.apply(*neurons.integration(), threads)[0]
