"""What is to be shown of a network: that over boxes of inputs no output is unsafe."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Unsafe:
    """Outputs y with C y <= d in every row (< in `strict` ones): a conjunction; C (R, outputs), d (R,).

    >>> unsafe = rv.verify.Unsafe(torch.tensor([[1.0]]), torch.tensor([3.0]), torch.tensor([False]))
    >>> unsafe.holds(torch.tensor([[2.0], [4.0]])).tolist()  # y <= 3
    [True, False]
    """

    C: Tensor
    d: Tensor
    strict: Tensor

    def holds(self, y: Tensor) -> Tensor:
        """(B,): whether outputs y (B, outputs) are unsafe."""
        margin = y @ self.C.T - self.d
        return torch.where(self.strict, margin < 0, margin <= 0).all(1)


@dataclass(frozen=True, eq=False)
class Case:
    """A box of inputs (size,), and alternatives, each of which is unsafe.

    >>> prop = rv.verify.Property.robust(torch.tensor([1.0, 2.0]), 0.5, label=0, classes=3)
    >>> (case,) = prop.cases
    >>> case.lower.tolist(), case.upper.tolist(), len(case.unsafe)  # either other class is unsafe
    ([0.5, 1.5], [1.5, 2.5], 2)
    """

    lower: Tensor
    upper: Tensor
    unsafe: tuple[Unsafe, ...]


@dataclass(frozen=True, eq=False)
class Property:
    """Verified if in no case an unsafe output is reached, falsified by one input that reaches one.

    `Property.robust(x, radius, label, classes)`: the class of inputs within `radius` of x stays `label`.
    `Property.within(lower, upper, C, d)`: C y > d in every row, for all inputs in the box.

    >>> low, high, rows = torch.tensor([-1.0]), torch.tensor([1.0]), torch.tensor([[-1.0]])
    >>> prop = rv.verify.Property.within(low, high, rows, -3.0)  # y < 3 for x within [−1, 1]
    >>> double = torch.nn.Linear(1, 1)
    >>> _ = torch.nn.init.constant_(double.weight, 2.0), torch.nn.init.zeros_(double.bias)
    >>> rv.verify.verify(double, prop, example=torch.zeros(1)).verdict
    'verified'
    """

    cases: tuple[Case, ...]

    @classmethod
    def robust(
        cls, x: Tensor, radius: float, label: int, classes: int, *, low: float = -torch.inf, high: float = torch.inf
    ) -> Property:
        """x any shape, cut to [low, high]; unsafe is any class whose output is at least the label's."""
        if not 0 <= label < classes:
            raise ValueError(f"label is {label}; expected one of {classes} classes, from 0")
        if not radius >= 0:
            raise ValueError(f"radius is {radius}; expected at least 0")
        x = x.detach().double().reshape(-1)
        eye = torch.eye(classes, dtype=torch.float64)
        C = torch.stack([eye[label] - eye[k] for k in range(classes) if k != label])
        return cls.within((x - radius).clamp(low, high), (x + radius).clamp(low, high), C)

    @classmethod
    def within(cls, lower: Tensor, upper: Tensor, C: Tensor, d: Tensor | float = 0.0) -> Property:
        """Boxes of any shape; C (R, outputs), d (R,) or a number: each row C y > d must hold."""
        lower, upper = (torch.as_tensor(v).detach().double().reshape(-1) for v in (lower, upper))
        C = torch.as_tensor(C).detach().double()
        if lower.shape != upper.shape or not bool((lower <= upper).all()):
            raise ValueError(
                f"lower and upper have {lower.numel()} and {upper.numel()} numbers, and lower exceeds upper somewhere "
                "or they do not match; expected lower <= upper, of one shape"
            )
        if C.ndim != 2 or not bool(torch.isfinite(C).all()):
            raise ValueError(f"C has the shape {tuple(C.shape)}; expected finite numbers of (rows, outputs)")
        bound = torch.as_tensor(d).detach().double().expand(len(C))
        strict = torch.zeros(1, dtype=torch.bool)
        unsafe = tuple(Unsafe(c[None], v[None], strict) for c, v in zip(C, bound, strict=True))
        return cls((Case(lower, upper, unsafe),))


__all__ = ["Case", "Property", "Unsafe"]
