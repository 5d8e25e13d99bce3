"""Domains of layers' numbers: declared once with the number, checked when a layer is made and after it learned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Domain:
    """Finite numbers from `low` to `high`; `open_low`, `open_high`: without the ends themselves."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __str__(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return "a finite number"
        if self.high == math.inf:
            return f"a number {'above' if self.open_low else 'of at least'} {self.low:g}"
        return f"a number in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"

    def holds(self, value: Tensor) -> Tensor:
        """Which entries lie within."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above & below & torch.isfinite(value)

    def require(self, name: str, value: Any, remedy: str = "") -> None:
        """Raise ValueError, with the first value outside and its place, TypeError for what is no number."""
        if isinstance(value, bool | str) or value is None:
            raise TypeError(f"{name} is {value!r}; expected {self}: give a plain number or a tensor.")
        tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value, device="cpu")
        if tensor.device.type == "meta" or bool((good := self.holds(tensor)).all()):
            return
        at = (~good).nonzero()[0].tolist()
        where = f" at {at[0] if len(at) == 1 else tuple(at)}" if at else ""
        bad = tensor[tuple(at)].item()
        raise ValueError(f"{name} is {bad:g}{where}; expected {self}: {remedy or 'give one in its domain'}.")


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` on."""

    low: int = 1

    def require(self, name: str, value: Any, remedy: str = "") -> None:
        """Raise ValueError for any other value."""
        if not isinstance(value, int) or isinstance(value, bool) or value < self.low:
            raise ValueError(
                f"{name} is {value!r}; expected a whole number of at least {self.low}: {remedy or 'give one'}."
            )


REAL = Domain()
#: decay factors of a step
DECAY = Domain(0.0, 1.0)
#: those of what is kept for ever at 1
LEAKY = Domain(0.0, 1.0, open_high=True)
POSITIVE = Domain(0.0, open_low=True)
NOT_NEGATIVE = Domain(0.0)
SHARE = Domain(0.0, 1.0, open_high=True)


def require_sizes(**sizes: Any) -> None:
    """Raise ValueError for what is no positive whole number."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} is {size!r}; expected a positive whole number")


__all__ = ["DECAY", "LEAKY", "NOT_NEGATIVE", "POSITIVE", "REAL", "SHARE", "Domain", "Whole", "require_sizes"]
