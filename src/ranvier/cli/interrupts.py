"""Ctrl-C: the first is raised where a command can say what it keeps; no other ends the process by the signal."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any, NoReturn

INTERRUPTED = 130
PATIENCE = 2.0  # s in which what was begun is put in order, and another Ctrl-C (`timeout` sends two) changes nothing


def take_over() -> None:
    """Let the first Ctrl-C raise KeyboardInterrupt, and one that comes later than PATIENCE after it end the process at
    once, with 130. Where others handle the signal, or ignore it, nothing changes."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _first)
        # the last function at exit, being the first registered; Python then puts handlers back, but not this one
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def leave(code: int) -> NoReturn:
    """End with an exit status; a Ctrl-C while Python is taken down ends it with the same."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    if signal.getsignal(signal.SIGINT) in (_first, _later):
        signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    # CPython notes an interruption that has passed through the execution of a text, as in `dataclass`: `python -m`
    # would end by the signal for it, though it was caught; the next text takes the note away
    exec("")
    raise SystemExit(code)


def _first(*_: Any) -> NoReturn:
    global _began
    _began = time.monotonic()
    signal.signal(signal.SIGINT, _later)
    raise KeyboardInterrupt


def _later(*_: Any) -> None:
    if time.monotonic() - _began > PATIENCE:
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"stopped\n")
        os._exit(INTERRUPTED)


_began = 0.0

__all__ = ["INTERRUPTED", "leave", "take_over"]
