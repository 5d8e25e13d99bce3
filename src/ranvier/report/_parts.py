"""What sections are made of, and numbers and names as they are written there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure and what one sees in it, in which units. `heavy` ones are stored as PNG, others as SVG."""

    figure: Figure
    caption: str
    heavy: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a head; cells are text already."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, paragraphs, then pictures and tables in order."""

    title: str
    text: Sequence[str] = ()
    parts: Sequence[Picture | Table] = ()


def number(value: float | np.floating[Any], digits: int) -> str:
    """A number with a true minus sign, and none before a zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def count(value: int) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def short(name: str, length: int = 22) -> str:
    """A name cut to fit a panel's title."""
    return name if len(name) <= length else name[: length - 1] + "…"
