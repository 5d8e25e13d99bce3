"""A page about a network and a run of it, for biologists.

`page` and `write` make it; `figures` holds its pictures, each a function of plain arrays.
"""

from ranvier.report._compare import compare
from ranvier.report._comparison import Comparison
from ranvier.report._page import OWN_CITATION, page, write, write_sections
from ranvier.report._parts import Picture, Section, Table, plural
from ranvier.report.explore import Column, DataTable, write_csv
from ranvier.report.explore.measured import Measured, measure

__all__ = [
    "OWN_CITATION", "Column", "Comparison", "DataTable", "Measured", "Picture", "Section", "Table", "compare",
    "measure", "page", "plural", "write", "write_csv", "write_sections",
]  # fmt: skip
