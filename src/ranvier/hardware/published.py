"""NeuroCoreX as its published VHDL runs, deviations from its description included."""

from __future__ import annotations

import numpy as np

from ranvier._checks import instance
from ranvier.hardware.emulator import ChipRun, input_spikes
from ranvier.hardware.program import FRACTION, ChipProgram, from_word


def run_published(program: ChipProgram, inputs: np.ndarray) -> ChipRun:
    """The answer to input spikes (T, inputs) of the VHDL of github.com/ORNL/NeuroCoreX as of 2025, to the bit: golden
    traces of it under GHDL 2.0, with the vendor's FIFOs replaced, are part of the tests.

    It differs from what is described, and from `run`, in five ways: an input acts one step late; the recurrent current
    is added up and never decays; neuron k + 1 has no effect on neuron k; where neuron k spikes, neuron k + 1 loses that
    step's feed-forward input; the wire brings one input spike a step at most. Without learning (whose addresses the
    VHDL mixes up). ValueError for programs that learn, and for more than one input spike a step.

    >>> from ranvier.hardware import ChipProgram, run_published
    >>> program = ChipProgram(feed_forward=np.array([[2]]), threshold=5.0)
    >>> run_published(program, np.ones((8, 1))).spikes[:, 0].nonzero()[0].tolist()
    [4]
    """
    instance(program, ChipProgram, "program", "a ChipProgram")
    if np.any(program.learn_feed_forward) or np.any(program.learn_recurrent):
        raise ValueError("the program learns; expected one that does not: use `run`")
    spikes = input_spikes(program, inputs)
    if len(spikes) and int(spikes.sum(1).max()) > 1:
        step = int(spikes.sum(1).argmax())
        raise ValueError(
            f"{int(spikes[step].sum())} inputs spike in step {step}; expected one at most: the wire brings no more"
        )
    n = program.neurons
    forward, recurrent = program.feed_forward * program.scale, np.array(program.recurrent)
    recurrent[np.arange(n - 1), np.arange(1, n)] = 0
    V, current, clock, before = (np.zeros(n, np.int64) for _ in range(4))
    arriving = np.zeros(spikes.shape[1], bool)
    trace, fired, overflows = [], [], 0
    for row in spikes:
        current = _wrapped(current + (recurrent @ before << FRACTION))
        now = (V + program.bias >= program.threshold) & (clock == 0)
        external = np.where(np.concatenate([[False], now[:-1]]), 0, forward @ arriving << FRACTION)
        total = np.where(now, 0, V + program.bias - program.leak + current + external)
        V = _wrapped(total)
        overflows += int((total != V).sum())
        waiting = (clock >= 1) & (clock < program.refractory)
        clock = np.where(now, 1, np.where(waiting, clock + 1, 0))
        before, arriving = now.astype(np.int64), row
        trace.append(V)
        fired.append(now)
    shape = (len(spikes), n)
    values = np.array(trace, np.int64).reshape(shape)
    return ChipRun(np.array(fired, bool).reshape(shape), from_word(values), overflows, program)


def _wrapped(value: np.ndarray) -> np.ndarray:
    """In 18-bit two's complement."""
    low: np.ndarray = ((value + 131072) & 262143) - 131072
    return low


__all__ = ["run_published"]
