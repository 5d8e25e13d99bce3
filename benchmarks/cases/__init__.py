"""The networks that are measured: each file states one in Ranvier's words and in the peers'.

A case module has `ranvier(n, seed)`, `brian2(b2, n)` and `nest(nest, n)`; it imports no simulator itself,
because every side is measured in its own process and environment.
"""

from ._case import CASES, Case

__all__ = ["CASES", "Case"]
