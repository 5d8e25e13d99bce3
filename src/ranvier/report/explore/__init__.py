"""What a page holds to be explored: tables, charts and cards as data, which the page's script shows.

`tables` holds rows for pages and for CSV files; `charts` the panels that stand in the place of pictures where scripts
run; `measured` joins what was measured of a run; `findings` says it in sentences.
"""

from ranvier.report.explore.tables import Column, DataTable, write_csv

__all__ = ["Column", "DataTable", "write_csv"]
