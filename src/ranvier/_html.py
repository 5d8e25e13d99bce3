"""Results as HTML for notebooks: text escaped, tables of a bounded number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Any

from ranvier._text import printable

MOST = 40  # rows of a table


def paragraph(name: str, text: str) -> str:
    """What it is in bold, and what to say of it."""
    return f"<p><b>{escape(printable(name))}</b> {escape(brief(text))}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], total: int | None = None) -> str:
    """A table of the first MOST rows, which says how many more there are of `total`, by default of all."""
    rows = list(islice(rows, MOST)) if total is not None else list(rows)
    total = len(rows) if total is None else total
    top = "".join(f"<th>{escape(x)}</th>" for x in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(brief(x))}</td>' for x in row)}</tr>" for row in rows[:MOST])
    more = f"<p>… and {total - MOST} more</p>" if total > MOST else ""
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}"


def brief(value: Any) -> str:
    """As text of at most 200 characters."""
    text = printable(f"{value:.4g}" if isinstance(value, float) else str(value))
    return text if len(text) <= 200 else text[:197] + "…"


__all__ = ["MOST", "brief", "paragraph", "table"]
