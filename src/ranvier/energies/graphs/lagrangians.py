"""Lagrangians of neuron layers: convex functions whose gradients are the layer's activations.

Krotov & Hopfield (2021); Hoover et al. (2022). Each takes states x (B, ...) and returns L (B,); the Legendre transform
x·y − L(x), y = ∇L(x), is the layer's part of an energy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


class Lagrangian:
    """`lagrangian(x[B, ...]) -> (B,)`, and its gradient `activations(x)`, of the shape of x.

    A subclass writes both; the law tests hold one against the other, and check that L is convex. `rowwise` says that
    activations depend on all units of a row, along the last axis; else each depends on its own unit alone.

    >>> class Cubic(rv.energies.lagrangians.Lagrangian):
    ...     def __call__(self, x):
    ...         return x.pow(4).sum(1) / 4
    ...     def activations(self, x):
    ...         return x.pow(3)
    >>> x = torch.tensor([[2.0]])
    >>> Cubic().energy(x, Cubic().activations(x)).tolist()  # x y - L = 16 - 4
    [12.0]
    """

    rowwise = False

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def activations(self, x: Tensor) -> Tensor:
        """y = ∇L(x), of the shape of x (B, ...)."""
        raise NotImplementedError

    def energy(self, x: Tensor, y: Tensor) -> Tensor:
        """x·y − L(x), (B,), with y the activations."""
        return (x * y).flatten(1).sum(1) - self(x)


@dataclass(frozen=True)
class Identity(Lagrangian):
    """L = ½ Σ x²: linear neurons.

    >>> x = torch.tensor([[3.0, 4.0]])
    >>> linear = rv.energies.lagrangians.Identity()
    >>> linear(x).tolist(), linear.activations(x).tolist()
    ([12.5], [[3.0, 4.0]])
    """

    def __call__(self, x: Tensor) -> Tensor:
        return 0.5 * x.square().flatten(1).sum(1)

    def activations(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class ReLU(Lagrangian):
    """L = Σ [x]₊ⁿ/n: rectified power units [x]₊ⁿ⁻¹; n = 2 is the rectified linear unit.

    >>> rv.energies.lagrangians.ReLU().activations(torch.tensor([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    >>> rv.energies.lagrangians.ReLU(3.0).activations(torch.tensor([[-1.0, 2.0]])).tolist()
    [[0.0, 4.0]]
    """

    n: float = 2.0

    def __post_init__(self) -> None:
        if not self.n >= 2:
            raise ValueError(f"n is {self.n}; expected at least 2")

    def __call__(self, x: Tensor) -> Tensor:
        return x.relu().pow(self.n).flatten(1).sum(1) / self.n

    def activations(self, x: Tensor) -> Tensor:
        return x.relu() if self.n == 2 else x.relu().pow(self.n - 1)


class _Steep(Lagrangian):
    beta: float

    def __post_init__(self) -> None:
        if not (0 < self.beta < math.inf):
            raise ValueError(f"beta is {self.beta}; expected a positive number")


@dataclass(frozen=True)
class Tanh(_Steep):
    """L = Σ log cosh(βx)/β: tanh(βx).

    >>> y = rv.energies.lagrangians.Tanh(beta=2.0).activations(torch.tensor([[0.5]]))
    >>> round(y.item(), 4)  # tanh(1)
    0.7616
    """

    beta: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        z = (self.beta * x).abs()
        small = torch.log1p(2 * torch.sinh(z.clamp_max(1.0) / 2).square())  # its digits are kept near 0
        large = z + torch.nn.functional.softplus(-2 * z) - math.log(2)
        return torch.where(z < 1, small, large).flatten(1).sum(1) / self.beta

    def activations(self, x: Tensor) -> Tensor:
        return torch.tanh(self.beta * x)


@dataclass(frozen=True)
class Sigmoid(_Steep):
    """L = Σ log(1 + exp(βx))/β: σ(βx).

    >>> rv.energies.lagrangians.Sigmoid(beta=2.0).activations(torch.tensor([[0.0]])).tolist()
    [[0.5]]
    """

    beta: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        z = self.beta * x
        return (z.relu() + torch.log1p(torch.exp(-z.abs()))).flatten(1).sum(1) / self.beta

    def activations(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * x)


@dataclass(frozen=True)
class Softmax(_Steep):
    """L = Σ log Σ exp(βx)/β, the inner sum along the last axis: softmax(βx).

    >>> rv.energies.lagrangians.Softmax().activations(torch.zeros(1, 4)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    rowwise = True
    beta: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self.beta * x, -1).reshape(len(x), -1).sum(1) / self.beta

    def activations(self, x: Tensor) -> Tensor:
        return torch.softmax(self.beta * x, -1)


@dataclass(frozen=True)
class LayerNorm(Lagrangian):
    """L = Σ D γ √(var(x) + ε) + δ Σ x along the last axis, of D units: γ (x − mean)/√(var + ε) + δ.

    >>> y = rv.energies.lagrangians.LayerNorm().activations(torch.tensor([[1.0, 3.0]]))
    >>> [round(v, 3) for v in y[0].tolist()]
    [-1.0, 1.0]
    """

    rowwise = True
    gamma: float = 1.0
    delta: float = 0.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if not (self.gamma > 0 and self.eps > 0):
            raise ValueError(f"gamma is {self.gamma}, eps is {self.eps}; expected positive numbers")

    def __call__(self, x: Tensor) -> Tensor:
        size = x.shape[-1] * self.gamma * torch.sqrt(x.var(-1, correction=0) + self.eps) + self.delta * x.sum(-1)
        return size.reshape(len(x), -1).sum(1)

    def activations(self, x: Tensor) -> Tensor:
        away = x - x.mean(-1, keepdim=True)
        return self.gamma * away / torch.sqrt(away.square().mean(-1, keepdim=True) + self.eps) + self.delta


@dataclass(frozen=True)
class Spherical(Lagrangian):
    """L = Σ γ √(Σ x² + ε), the inner sum along the last axis: γ x/√(|x|² + ε).

    >>> y = rv.energies.lagrangians.Spherical().activations(torch.tensor([[3.0, 4.0]]))
    >>> [round(v, 3) for v in y[0].tolist()]
    [0.6, 0.8]
    """

    rowwise = True
    gamma: float = 1.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if not (self.gamma > 0 and self.eps > 0):
            raise ValueError(f"gamma is {self.gamma}, eps is {self.eps}; expected positive numbers")

    def __call__(self, x: Tensor) -> Tensor:
        return (self.gamma * torch.sqrt(x.square().sum(-1) + self.eps)).reshape(len(x), -1).sum(1)

    def activations(self, x: Tensor) -> Tensor:
        return self.gamma * x / torch.sqrt(x.square().sum(-1, keepdim=True) + self.eps)


__all__ = ["Identity", "Lagrangian", "LayerNorm", "ReLU", "Sigmoid", "Softmax", "Spherical", "Tanh"]
