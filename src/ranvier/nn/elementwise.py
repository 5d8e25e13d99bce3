"""What is done to every neuron's value by itself, at every step: scaled, shifted, compared with a threshold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.checks import require_tensor
from ranvier.nn.domains import REAL


class _Elementwise(nn.Module):
    """One number, or one a neuron, of the shape that x ends in."""

    def __init__(self, name: str, value: float | Tensor, dtype: torch.dtype | None) -> None:
        super().__init__()
        REAL.require(name, value)
        tensor = torch.as_tensor(value, dtype=dtype or torch.get_default_dtype()).detach().clone()
        self.register_parameter(name, nn.Parameter(tensor))
        self._name = name

    @property
    def _value(self) -> Tensor:
        return self.get_parameter(self._name)

    def _require(self, x: Tensor) -> None:
        require_tensor(x)
        shape = tuple(self._value.shape)
        if x.shape[x.ndim - len(shape) :] != shape and self._value.numel() > 1:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected it to end in {shape} as {self._name} does")

    def extra_repr(self) -> str:
        value = self._value
        return f"{self._name}={float(value.detach()):g}" if value.numel() == 1 else f"{self._name} {tuple(value.shape)}"


class Scale(_Elementwise):
    """y = scale · x; `scale`: a number or a tensor of the shape that x (..., *shape) ends in; a parameter.

    >>> rv.nn.Scale(2.0)(torch.ones(3, 1, 4)).sum().item()
    24.0
    """

    scale: nn.Parameter

    def __init__(self, scale: float | Tensor, dtype: torch.dtype | None = None) -> None:
        super().__init__("scale", scale, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *shape) -> y of the same shape. ValueError for another shape."""
        self._require(x)
        return x * self._value


class Shift(_Elementwise):
    """y = x + offset; `offset`: a number or a tensor of the shape that x (..., *shape) ends in; a parameter.

    >>> rv.nn.Shift(torch.tensor([1.0, -1.0]))(torch.zeros(3, 2))[0].tolist()
    [1.0, -1.0]
    """

    offset: nn.Parameter

    def __init__(self, offset: float | Tensor, dtype: torch.dtype | None = None) -> None:
        super().__init__("offset", offset, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *shape) -> y of the same shape. ValueError for another shape."""
        self._require(x)
        return x + self._value


class Threshold(_Elementwise):
    """y = 1 where x ≥ threshold, else 0: a spike without a membrane, with the surrogate's slope.

    `threshold`: a number or a tensor of the shape that x (..., *shape) ends in; a parameter.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.nn.Threshold(1.0)(torch.tensor([0.5, 1.0])).tolist()
    [0.0, 1.0]
    """

    threshold: nn.Parameter

    def __init__(
        self, threshold: float | Tensor, surrogate: Surrogate | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__("threshold", threshold, dtype)
        self.surrogate: Any = surrogate or ArcTan()

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *shape) -> y of the same shape, 0 or 1. ValueError for another shape."""
        self._require(x)
        return self.surrogate(x - self._value)


__all__ = ["Scale", "Shift", "Threshold"]
