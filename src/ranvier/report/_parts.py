"""What sections are made of, and numbers and names as they are written there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._text import plural as _plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: what stands in the place of a statistic of silent, constant or missing activity
NOTHING = "no variance to compare"


@dataclass(frozen=True)
class Picture:
    """A figure and what one sees in it, in which units. `heavy` ones are stored as PNG, others as SVG.

    `panels` (`ranvier.report.explore.charts`) are drawn in its place where scripts run, side by side where there is
    room, or `stacked`.

    >>> from matplotlib.figure import Figure
    >>> picture = rv.report.Picture(Figure(), "Nothing yet.")
    >>> picture.caption, picture.heavy
    ('Nothing yet.', False)
    """

    figure: Figure
    caption: str
    heavy: bool = False
    panels: Sequence[Mapping[str, Any]] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a head; cells are text already.

    >>> rv.report.Table(["neuron", "rate"], [["a", "1.5 Hz"]]).head
    ['neuron', 'rate']
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, paragraphs, then pictures, tables and `DataTable`s in order.

    >>> rv.report.Section("Rates", ["All neurons fire."]).title
    'Rates'
    """

    title: str
    text: Sequence[str] = ()
    parts: Sequence[Picture | Table | Any] = ()


def of_finite(statistic: Callable[[NDArray[np.float64]], Any], values: NDArray[Any]) -> float | None:
    """A statistic of the finite values; None where there are none."""
    finite = values[np.isfinite(values)]
    return float(statistic(finite)) if finite.size else None


def number(value: float | np.floating[Any] | None, digits: int) -> str:
    """A number with a true minus sign, and none before a zero; `NOTHING` for None and what is not finite."""
    if value is None or not np.isfinite(value):
        return NOTHING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def count(value: int) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def plural(value: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 pair", "2 pairs".

    >>> rv.report.plural(1, "pair"), rv.report.plural(2, "pair"), rv.report.plural(2, "class", "classes")
    ('1 pair', '2 pairs', '2 classes')
    """
    return _plural(value, one, many, count)


def short(name: str, length: int = 22) -> str:
    """A name cut to fit a panel's title."""
    return name if len(name) <= length else name[: length - 1] + "…"
