"""A page about a network and a run of it that a biologist wants to look at.

`page` and `write` make it; `figures` holds its pictures, each a function of plain arrays.
"""

from ._comparison import Comparison, compare
from ._page import page, write
from ._parts import Picture, Section, Table

__all__ = ["Comparison", "Picture", "Section", "Table", "compare", "page", "write"]
