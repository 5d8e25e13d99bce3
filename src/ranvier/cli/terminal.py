"""Terminals on which text is text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ranvier._text import one_line

if TYPE_CHECKING:
    from rich.console import Console


def plain_console() -> Console:
    """A terminal on which text is text: brackets are no markup, colons no pictures."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def printer(console: Console | None = None) -> Callable[[str], None]:
    """A function that prints one line, whatever it holds."""
    terminal = console or plain_console()
    return lambda text: terminal.print(one_line(text), markup=False, emoji=False, highlight=False, soft_wrap=True)


__all__ = ["plain_console", "printer"]
