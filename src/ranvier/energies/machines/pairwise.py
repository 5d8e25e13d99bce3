"""What energies of pairs share: symmetric weights, a pull on each unit, states within an interval."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ranvier.energies._energy import Energy, check_symmetric


class Pairwise(Energy):
    """E(x) = −½ Σ w_ij x_i x_j − Σ b_i x_i of x within [`_lowest`, 1]; b is a buffer of the name `_pull`.

    weight: (N, N), symmetric, with a diagonal of zeros; no copy is made. b: (N,), or a number.
    """

    _pull: ClassVar[str]
    _lowest: ClassVar[float]
    weight: Tensor

    def __init__(self, weight: Tensor, b: Tensor | float) -> None:
        super().__init__()
        check_symmetric(weight)
        self.units = len(weight)
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer(self._pull, per_unit(self._pull, b, weight).contiguous())

    def project(self, x: Tensor) -> Tensor:
        """x (B, N), each unit within its interval: [0, 1] of `Boltzmann`, [−1, 1] of `Ising`."""
        return x.clamp(self._lowest, 1)

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        others, b = x @ self.weight, getattr(self, self._pull)
        return -(x * (0.5 * others + b)).sum(1), others + b

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]


def per_unit(name: str, value: Tensor | float, weight: Tensor) -> Tensor:
    """One number a unit (N,), like the weight (N, N), without a graph. Raises ValueError for another shape, and for
    what is not finite."""
    value = torch.as_tensor(value, dtype=weight.dtype, device=weight.device).detach()
    if value.shape not in ((), (len(weight),)) or not bool(torch.isfinite(value).all()):
        raise ValueError(f"found a {name} of shape {tuple(value.shape)}, expected ({len(weight)},), finite")
    return value.expand(len(weight))


__all__ = ["Pairwise", "per_unit"]
