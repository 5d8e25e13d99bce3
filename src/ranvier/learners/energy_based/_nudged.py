"""Energies with a cost added: what a nudged network descends."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.energies import Energy
from ranvier.energies.graphs.layered import Layered


class Nudged(Energy):
    """E + β |y_out − target|²/2; β may be complex where states are."""

    def __init__(self, energy: Layered, target: Tensor, beta: complex) -> None:
        super().__init__()
        self.energy_, self.target, self.beta, self.units = energy, target, beta, energy.units

    def activations(self, x: Tensor) -> Tensor:
        return self.energy_.activations(x)

    def project(self, x: Tensor) -> Tensor:
        return self.energy_.project(x)

    def _value(self, x: Tensor) -> Tensor:
        return self.energy_._value(x) + 0.5 * self.beta * (self.energy_.output(x) - self.target).square().sum(1)

    def _force(self, x: Tensor) -> Tensor:
        force, out = self.energy_._force(x), self.energy_.outputs
        force[:, out] -= self.beta * (self.energy_.output(x) - self.target)
        return force


class Complexified(Energy):
    """An energy at complex states, as real ones (B, 2N): each number's real part, then its imaginary part.

    The force −∂E/∂y is a complex derivative; its real and imaginary parts are the gradient of no real function, so
    there is no value to descend, and only `Fixed` steps lead to a zero of it.
    """

    def __init__(self, energy: Energy) -> None:
        super().__init__()
        self.energy_, self.units = energy, 2 * energy.units

    def activations(self, x: Tensor) -> Tensor:
        return to_real(self.energy_.activations(to_complex(x)))

    def _force(self, x: Tensor) -> Tensor:
        return to_real(self.energy_._force(to_complex(x)))


def to_complex(x: Tensor) -> Tensor:
    """(B, 2N) real -> (B, N) complex."""
    return torch.view_as_complex(x.unflatten(1, (-1, 2)).contiguous())


def to_real(z: Tensor) -> Tensor:
    """(B, N), real or complex -> (B, 2N) real."""
    z = z if z.is_complex() else torch.complex(z, torch.zeros_like(z))
    return torch.view_as_real(z.resolve_conj()).flatten(1)


__all__ = ["Complexified", "Nudged", "to_complex", "to_real"]
