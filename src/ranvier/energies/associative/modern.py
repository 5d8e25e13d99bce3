"""The modern Hopfield network, of graded patterns (Ramsauer et al. 2021): one step of its descent is attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ranvier.codegen.arithmetic.products import matmul
from ranvier.energies._arrays import as_tensor
from ranvier.energies._energy import Energy


class ModernHopfield(Energy):
    """E(ξ) = −log(Σ_μ exp(β x_μ·ξ))/β + ½ |ξ|² + log(P)/β + ½ max|x|² (eq. 1, 2), stored patterns x (P, N).

    A step of width 1 along its force is the paper's update, ξ ← Xᵀ softmax(β X ξ), which never raises the energy and
    is attention with β = 1/√d: `Descent(memory, Fixed(1.0))`, or `update`. At large β one step finds a pattern;
    at small β the states in between are averages of several (metastable).

    patterns: (P, N). beta: β > 0; 1/√N if none is given. learn: the patterns are a parameter.
    Raises ValueError for patterns of another shape or type, or not finite, and for β that is not positive.

    >>> memory = rv.energies.ModernHopfield(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), beta=1.0)
    >>> x = torch.tensor([[1.0, 0.0]])
    >>> bool(torch.allclose(memory.update(x), torch.softmax(x, 1)))  # attention over the patterns
    True
    """

    patterns: Tensor

    def __init__(self, patterns: Tensor, beta: float | None = None, *, learn: bool = False) -> None:
        super().__init__()
        patterns = as_tensor("the patterns", patterns)
        if patterns.ndim != 2 or 0 in patterns.shape or not patterns.is_floating_point():
            raise ValueError(f"there are {patterns.dtype} patterns {tuple(patterns.shape)}; expected floats (P, N)")
        if not bool(torch.isfinite(patterns).all()):
            raise ValueError("patterns are not finite; expected finite ones")
        self.units = patterns.shape[1]
        self.beta = 1 / math.sqrt(self.units) if beta is None else beta
        if learn:
            self.patterns = torch.nn.Parameter(patterns.detach().clone())
        else:
            self.register_buffer("patterns", patterns.detach().clone())

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "beta" and not (isinstance(value, float | int | Tensor) and 0 < value < math.inf):
            raise ValueError(f"beta is {value!r}; expected a positive number")
        if name == "units" and self.__dict__.get(name, value) != value:
            raise AttributeError(f"units is fixed at {self.units}, not {value!r}; expected no change: make another")
        super().__setattr__(name, value)

    def update(self, x: Tensor, steps: int = 1) -> Tensor:
        """`steps` of the paper's update, from states x (B, N)."""
        x = self.place(x)
        for _ in range(steps):
            x = matmul(torch.softmax(self.beta * matmul(x, self.patterns.T), 1), self.patterns)
        return x

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        aligned = self.beta * matmul(x, self.patterns.T)
        constant = math.log(len(self.patterns)) / self.beta + 0.5 * self.patterns.square().sum(1).amax()
        value = 0.5 * x.square().sum(1) - torch.logsumexp(aligned, 1) / self.beta + constant
        return value, matmul(torch.softmax(aligned, 1), self.patterns) - x

    def _value(self, x: Tensor) -> Tensor:
        return self._both(x)[0]


__all__ = ["ModernHopfield"]
