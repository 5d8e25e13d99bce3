"""How far some work has come, on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress


_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Within the block `listener` is called with what long computations say by `reached`."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def reached(what: str, done: int | None = None, total: int | None = None) -> None:
    """Say to whoever listens where a long computation is: "spectra, 3 of 20"."""
    listener = _LISTENER.get()
    if listener is not None:
        part = "" if done is None else f", {done}" if total is None else f", {done} of {total}"
        listener(f"{what}{part}")


class Progress:
    """A line on the terminal for each stage of some work, or nothing where `show` is false: title, amount, time, note.

    title, total: of the first stage, which begins at once; without a title stages begin by `begin`. total: its amount,
    None where it is not known. unit, digits: of amounts. transient: whether the lines vanish at the end. console: a
    terminal other than the standard output.

    >>> with Progress("simulating", 60.0, unit="s", digits=1, show=False) as bar:
    ...     bar.to(30.0)
    """

    def __init__(
        self, title: str = "", total: float | None = None, *, unit: str = "", digits: int = 0, show: bool = True,
        transient: bool = False, console: Console | None = None,
    ) -> None:  # fmt: skip
        self._unit, self._digits = unit, digits
        self._display: RichProgress | None = None
        if not show:
            return
        from rich import progress

        names = "description", "fields[amount]", "fields[note]"
        title_column, amount, note = (progress.TextColumn(f"{{task.{name}}}", markup=False) for name in names)
        remaining = progress.TimeRemainingColumn(elapsed_when_finished=True)
        clock = progress.TimeElapsedColumn() if total is None else remaining
        columns = title_column, progress.BarColumn(), amount, clock, note
        self._display = progress.Progress(*columns, transient=transient, console=console)
        if title:
            self.begin(title, total)

    def __enter__(self) -> Progress:
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._display is not None:
            self._display.stop()

    def begin(self, title: str, total: float | None = None, done: float = 0.0) -> None:
        """Add a line for another stage, of which some may be done."""
        if self._display is not None:
            self._total, self._done = total, done
            self._task = self._display.add_task(title, total=total, amount="", note="")
            self.to(done)

    def to(self, done: float, note: str = "") -> None:
        """Show how much of the stage is done, and what else there is to say."""
        if self._display is not None:
            self._done = done
            self._display.update(self._task, completed=done, amount=self._amount(), note=note)

    def advance(self, more: float = 1.0, note: str = "") -> None:
        """Show that more of the stage is done."""
        if self._display is not None:
            self.to(self._done + more, note)

    def note(self, text: str) -> None:
        """Show what the stage is at, of the amount that was done before."""
        if self._display is not None:
            self.to(self._done, text)

    def _amount(self) -> str:
        parts = [self._done] if self._total is None else [self._done, self._total]
        return "/".join(f"{x:.{self._digits}f}" for x in parts) + f" {self._unit}".rstrip()


__all__ = ["Progress", "listening", "reached"]
