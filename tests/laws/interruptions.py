"""A run is the same to the bit however it is interrupted: killed, stored and restored, or cut in pieces."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import ranvier as rv
from ranvier.engines import _run
from ranvier.engines.recording.segments import RunFolder

SPAN = 23  # steps of a segment: two of them are written when the run is killed


def require_same_when_interrupted(net: rv.Network, duration: float, folder: Path, **options: Any) -> rv.Recording:
    """The whole run; a run that is killed (SIGKILL) before its third segment and gone on with from its folder, one in
    two pieces, and one that was restored after its end must be the same."""
    whole = rv.simulate(net, duration, **options)
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            _killed(net, duration, folder / "run", options)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, "the run ended before it was killed"
        assert 0 < rv.Recording.open(folder / "run").duration < duration
        require_same(rv.simulate(net, duration, path=folder / "run", **options), whole)
    dt = options["dt"]
    first = round(duration / dt / 2.3)
    with rv.Simulation(net, **options) as simulation:
        one = simulation.run(first * dt)
        there = simulation.store()
        rest = duration - first * dt
        two = simulation.run(rest)
        simulation.restore(there)
        again = simulation.run(rest)
    for piece in (two, again):
        assert torch.equal(torch.cat([one.times, piece.times]), whole.times)
        assert torch.equal(torch.cat([one.neurons, piece.neurons]), whole.neurons)
    return whole


def require_same(one: rv.Recording, other: rv.Recording) -> None:
    assert torch.equal(one.times, other.times) and torch.equal(one.neurons, other.neurons)


def _killed(net: rv.Network, duration: float, path: Path, options: dict[str, Any]) -> None:
    """What the child process does; it does not return."""
    write = RunFolder.write

    def short(runner: Any, steps: int) -> Any:
        while runner.step < steps:
            yield min(steps, runner.step + SPAN)

    def kill(self: RunFolder, last_step: int, *arguments: Any) -> Any:
        if last_step >= 3 * SPAN:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(self, last_step, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run, "_spans", short)
        patch.setattr(RunFolder, "write", kill)
        try:
            rv.simulate(net, duration, path=path, **options)
        finally:
            os._exit(1)
