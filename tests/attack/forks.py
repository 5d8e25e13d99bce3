"""Work in a fork of this process, which may die: it begins with all that is imported here, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def forked(work: Callable[[], Any], kill_after: float | None = None) -> tuple[int, Any]:
    """Exit status, and what `work` returns, as JSON; where it dies or raises, the end of what it said.

    kill_after: seconds until it, and the processes that it started, get SIGKILL; None: never.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer, words = Path(folder) / "answer.json", Path(folder) / "words"
        process = os.fork()
        if process == 0:
            _child(work, answer, words)
        status = _wait(process, kill_after)
        if status == 0:
            return 0, json.loads(answer.read_text())
        return status, words.read_text(errors="replace")[-500:] if words.exists() else ""


def _child(work: Callable[[], Any], answer: Path, words: Path) -> None:
    status = 1
    try:
        os.setpgid(0, 0)  # with those that it starts it is a group, which can be killed
        output = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        answer.write_text(json.dumps(work()))
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _wait(process: int, kill_after: float | None) -> int:
    end = None if kill_after is None else time.monotonic() + kill_after
    while end is not None and time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    if end is not None:
        os.killpg(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


__all__ = ["forked"]
