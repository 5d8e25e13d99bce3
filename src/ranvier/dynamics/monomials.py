"""Libraries of functions among which invariants are looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from ranvier._checks import count, floating, unique

_MOST = 5000  # functions


@dataclass(frozen=True)
class Library:
    """Functions of a state: names (F,), and function, states (B, d) -> (B, F), the constant not among them.

    The order is that of preference: what can be written by the first ones is.

    >>> library = rv.dynamics.monomials(["q", "p"], 2)
    >>> library.names
    ('q', 'p', 'q^2', 'q p', 'p^2')
    >>> library(torch.tensor([[2.0, 3.0]])).tolist()
    [[2.0, 3.0, 4.0, 6.0, 9.0]]
    """

    names: tuple[str, ...]
    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        values = self.function(x)
        if values.shape != (len(x), len(self.names)):
            raise ValueError(
                f"the library's values have shape {tuple(values.shape)}; expected {(len(x), len(self.names))}, a "
                "column a name"
            )
        return values


def monomials(
    names: Sequence[str], degree: int, extra: Mapping[str, Callable[[Tensor], Tensor]] | None = None
) -> Library:
    """All products of up to `degree` of the coordinates `names` (d,) and of further functions of the state.

    extra: name -> function (B, d) -> (B,), such as {"1/r": lambda x: 1 / x[:, :2].norm(dim=1)}.
    Raises ValueError for a name that appears twice, and for more than 5000 products.

    >>> from ranvier.dynamics import monomials
    >>> monomials(("q", "p"), 2).names
    ('q', 'p', 'q^2', 'q p', 'p^2')
    """
    further = dict(extra or {})
    variables = (*names, *further)
    unique(variables, "a coordinate")
    d, degree = len(names), count(degree, "degree", 1)
    exponents: list[tuple[int, ...]] = []
    for order in range(1, degree + 1):
        for chosen in combinations_with_replacement(range(len(variables)), order):
            exponents.append(tuple(chosen.count(k) for k in range(len(variables))))
            if len(exponents) > _MOST:
                raise ValueError(f"degree is {degree}; expected at most {_MOST} products: take a lower one")

    def function(x: Tensor) -> Tensor:
        floating(x, "x", f"(B, {d}): {', '.join(names)}", 2, last=d)
        columns = torch.cat([x, *(f(x)[:, None] for f in further.values())], 1)
        powers = [torch.ones_like(columns)]
        for _ in range(degree):
            powers.append(powers[-1] * columns)
        values = []
        for row in exponents:
            product = torch.ones_like(columns[:, 0])
            for k, power in enumerate(row):
                if power:
                    product = product * powers[power][:, k]
            values.append(product)
        return torch.stack(values, 1)

    return Library(tuple(_name(variables, row) for row in exponents), function)


def functions(**named: Callable[[Tensor], Tensor]) -> Library:
    """The functions (B, d) -> (B,) themselves, under their names.

    >>> library = rv.dynamics.functions(square=lambda x: x[:, 0] ** 2, product=lambda x: x[:, 0] * x[:, 1])
    >>> library.names, library(torch.tensor([[2.0, 3.0]])).tolist()
    (('square', 'product'), [[4.0, 6.0]])
    """
    if not named:
        raise ValueError("functions() is empty; expected at least one name=function")
    return Library(tuple(named), lambda x: torch.stack([f(x) for f in named.values()], 1))


def _name(variables: Sequence[str], exponents: Sequence[int]) -> str:
    factors = [f"{v}^{e}" if e > 1 else v for v, e in zip(variables, exponents, strict=True) if e]
    return " ".join(factors)
