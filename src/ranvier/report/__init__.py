"""A page about a network and a run of it that a biologist wants to look at.

`page` and `write` make it; `figures` holds its pictures, each a function of plain arrays.
"""

from ranvier.report._compare import compare
from ranvier.report._comparison import Comparison
from ranvier.report._page import page, write, write_sections
from ranvier.report._parts import Picture, Section, Table

__all__ = ["Comparison", "Picture", "Section", "Table", "compare", "page", "write", "write_sections"]
