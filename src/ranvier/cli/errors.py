"""What the command line makes of errors and interruptions: one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ranvier._text import one_line
from ranvier.cli.advice import as_typed
from ranvier.cli.interrupts import INTERRUPTED
from ranvier.files.disk import FULL

MISTAKE, FAULT = 2, 1
_MISTAKES = (ValueError, TypeError, OSError, RuntimeError, FloatingPointError, ImportError, MemoryError)
_GOES_ON = "the same command goes on from here"


@contextmanager
def resumable(afterwards: str = "") -> Iterator[list[Path]]:
    """Turn Ctrl-C into one line and exit code 130; say of a full disk that the work so far is kept.

    Gives a list for the files of which one is enough to go on from; `afterwards` is what else is to be said.
    """
    beginnings: list[Path] = []
    try:
        yield beginnings
    except KeyboardInterrupt:
        begun = any(os.path.exists(path) for path in beginnings)
        then = afterwards or (_GOES_ON if begun else "nothing is there yet to go on from")
        print(f"stopped; {then}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        if error.errno in FULL:
            cause = described(error).partition("; make room")[0]
            raise OSError(error.errno, f"{cause}; make room, and {_GOES_ON}") from error
        raise


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Begin what is wrong with a file's content with the file's name, where nothing else has."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if path.name in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


def described(error: BaseException) -> str:
    """An error in one line: what it says, with the file that it is about."""
    if isinstance(error, OSError) and error.errno is not None:
        strerror = str(error.strerror)
        return f"{error.filename}: {strerror}" if error.filename and str(error.filename) not in strerror else strerror
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({error})' if str(error) else ''}; expected a machine with more, or a smaller network"
    return str(error) or type(error).__name__


def _complain(message: str) -> None:
    print(f"ranvier: {one_line(as_typed(message))}", file=sys.stderr)


def _typed(app: typer.Typer) -> str:
    """The command that was typed, as far as there is one of that name: the parser of options does not say it."""
    words = ["ranvier"]
    group: Any = typer.main.get_command(app)
    for word in sys.argv[1:]:
        group = getattr(group, "commands", {}).get(word)
        if group is None:
            break
        words.append(word)
    return " ".join(words)


def guarded(app: typer.Typer) -> int:
    """Run the command; an error becomes a line on stderr and an exit code."""
    try:
        code = app(standalone_mode=False)
        if code != INTERRUPTED:
            return code if isinstance(code, int) else 0
        print("stopped", file=sys.stderr)  # typer makes this number of Ctrl-C, without a word
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as end:  # of `resumable`, which has said so
        return INTERRUPTED if end.code == INTERRUPTED else FAULT
    except BrokenPipeError:  # whoever read the output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # of the parser of arguments
            context: Any = getattr(error, "ctx", None)
            usage = context.command_path if context else _typed(app)
            if "Usage:" in error.format_message():
                print(error.format_message(), file=sys.stderr)
            else:
                _complain(f"{error.format_message().rstrip('.')}; see {usage} --help")
            return MISTAKE
        if os.environ.get("RANVIER_TRACEBACK"):
            raise
        if isinstance(error, _MISTAKES):
            _complain(described(error))
            return MISTAKE
        _complain(
            f"{type(error).__name__}: {error}; this is a fault of Ranvier: please report it with what "
            "RANVIER_TRACEBACK=1 shows"
        )
        return FAULT


__all__ = ["FAULT", "MISTAKE", "guarded", "resumable"]
