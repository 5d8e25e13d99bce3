"""What energies of pairs share: symmetric weights, a pull on each unit, states within an interval."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ranvier.energies._arrays import as_tensor
from ranvier.energies._energy import Energy, check_symmetric


class PairwiseEnergy(Energy):
    """E(x) = −½ Σ w_ij x_i x_j − Σ bias_i x_i of x within [`lowest`, 1].

    weight: (N, N), symmetric, with a diagonal of zeros; no copy is made. bias: (N,), or a number.
    Raises ValueError for weights of another kind, and says where.
    """

    lowest: ClassVar[float]
    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | float = 0.0) -> None:
        super().__init__()
        weight = check_symmetric(weight)
        self.units = len(weight)
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", per_unit("bias", bias, weight).contiguous())

    def project(self, x: Tensor) -> Tensor:
        """x (B, N), each unit within its interval: [0, 1] of `Boltzmann`, [−1, 1] of `Ising`."""
        return x.clamp(self.lowest, 1)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        others = x @ self.weight
        return -(x * (0.5 * others + self.bias)).sum(1), others + self.bias

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]


def per_unit(name: str, value: Tensor | float, weight: Tensor) -> Tensor:
    """One number a unit (N,), like the weight (N, N), without a graph. Raises ValueError for another shape, and for
    what is not finite."""
    value = as_tensor(name, value, weight).to(weight).detach()
    if value.shape not in ((), (len(weight),)) or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} has shape {tuple(value.shape)}; expected ({len(weight)},), finite")
    return value.expand(len(weight))


__all__ = ["PairwiseEnergy", "per_unit"]
