"""How far a run has come, on the terminal."""

from __future__ import annotations

from typing import Any


class Progress:
    """A bar of biological time (ms) on the terminal, or nothing."""

    def __init__(self, total: float, show: bool) -> None:
        self._bar: Any = None
        if show:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("simulating"),
                BarColumn(),
                TextColumn("{task.fields[at]:.1f} of {task.fields[whole]:.1f} s"),
                TimeRemainingColumn(),
            )
            self._task = self._bar.add_task("", total=total, at=0.0, whole=total / 1000)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def to(self, ms: float) -> None:
        """Show that the run has come to `ms`."""
        if self._bar is not None:
            self._bar.update(self._task, completed=ms, at=ms / 1000)
