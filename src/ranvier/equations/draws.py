"""Random numbers of threshold, reset and events, as the normal numbers that every engine gives a step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy as sp

from ranvier.equations._parse import symbol
from ranvier.equations.integrators import Scheme, normal

#: the largest number below 1 in float32
_BELOW_ONE = sp.Float(1 - 2**-24, 17)


def with_draws(scheme: Scheme, draws: Iterable[str]) -> tuple[Scheme, dict[sp.Symbol, sp.Expr]]:
    """The scheme with more normal numbers a step, and the values of `rand()` and `randn()` by their symbols.

    Half the sum of two squared normal numbers is exponential of mean 1, so exp(-that) is uniform (Devroye 1986, V.4).
    """
    values: dict[sp.Symbol, sp.Expr] = {}
    k = scheme.normals
    for name in draws:
        values[symbol(name)] = normal(k)
        k += 1
        if not name.startswith("randn"):
            values[symbol(name)] = sp.Min(sp.exp(-(normal(k - 1) ** 2 + normal(k) ** 2) / 2), _BELOW_ONE)
            k += 1
    return replace(scheme, normals=k), values


__all__ = ["with_draws"]
