"""Predictions as tables: HTML for notebooks, and pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from ranvier._html import paragraph, table
from ranvier._results import frame
from ranvier._text import plural
from ranvier.networks import Network

if TYPE_CHECKING:
    import pandas


def as_html(name: str, network: Network, what: str, values: Tensor) -> str:
    """A row a population: its neurons' values (N,), mean, least and largest; `what` names them with their unit."""
    values = values.detach()
    rows = []
    for p in network.populations:
        mine = values[p.slice]
        if len(mine):
            rows.append((p.name, p.size, float(mine.mean()), float(mine.min()), float(mine.max())))
    head = ("population", "neurons", f"{what}, mean", "least", "largest")
    return paragraph(name, f"of {plural(len(values), 'neuron')}") + table(head, rows)


def as_frame(network: Network, what: str, values: Tensor) -> pandas.DataFrame:
    """Columns neuron, name, population and `what`, a row a neuron. Raises ImportError without pandas."""
    populations: list[Any] = [p.name for p in network.populations for _ in range(p.size)]
    columns = {"neuron": range(len(values)), "name": network.names, "population": populations}
    return frame({**columns, what: values})
