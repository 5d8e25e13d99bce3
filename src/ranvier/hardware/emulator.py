"""A NeuroCoreX chip, step by step and to the bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ranvier._checks import instance
from ranvier._results import Fields
from ranvier.codegen.compilation import compiled
from ranvier.hardware.program import FRACTION, ChipProgram, from_word


@dataclass(frozen=True)
class ChipRun(Fields):
    """spikes (T, neurons), bool; V (T, neurons), the membrane after each step; overflows: sums that wrapped round;
    program: with the weights as learned.
    Returned by `run`.
    """

    spikes: np.ndarray
    V: np.ndarray
    overflows: int
    program: ChipProgram


def run(program: ChipProgram, inputs: np.ndarray) -> ChipRun:
    """The chip's answer to input spikes (T, inputs) of 0 and 1, from rest, in whole numbers as the chip has them.

    >>> from ranvier.hardware import ChipProgram, run
    >>> program = ChipProgram(feed_forward=np.array([[2]]), threshold=5.0)
    >>> run(program, np.ones((8, 1))).spikes[:, 0].nonzero()[0].tolist()
    [3, 7]
    """
    spikes = input_spikes(program, inputs)
    forward, recurrent = program.feed_forward.copy(), np.array(program.recurrent)
    V = np.zeros((len(spikes), program.neurons), np.int64)
    fired = np.zeros((len(spikes), program.neurons), np.bool_)
    overflows = _run(
        forward, recurrent, program.threshold, program.bias, program.leak, program.refractory, program.scale,
        program.learn_feed_forward, program.learn_recurrent, np.array(program.windows), program.potentiation,
        program.depression, spikes, V, fired,
    )  # fmt: skip
    return ChipRun(fired, from_word(V), int(overflows), with_weights(program, forward, recurrent))


def run_float(program: ChipProgram, inputs: np.ndarray) -> ChipRun:
    """The same equations in real numbers, which do not wrap, without learning: how far the chip's range would have to
    go. `overflows` counts the values of V that the chip could not hold.

    >>> from ranvier.hardware import ChipProgram, run_float
    >>> program = ChipProgram(np.array([[100]]), threshold=120.0)
    >>> result = run_float(program, np.ones((3, 1)))  # V reaches 200, where the chip's wraps at 128
    >>> result.spikes[:, 0].tolist(), result.overflows
    ([False, False, True], 1)
    """
    spikes = input_spikes(program, inputs).astype(np.float64)
    words = (program.threshold, program.bias, program.leak)
    threshold, bias, leak = (from_word(np.asarray(w)) for w in words)
    V, wait = np.zeros(program.neurons), np.zeros(program.neurons, np.int64)
    before, trace, fired = np.zeros(program.neurons), [], []
    forward, recurrent = program.feed_forward * program.scale, np.asarray(program.recurrent)
    for row in spikes:
        now = (V + bias >= threshold) & (wait == 0)
        V = np.where(now, 0.0, V + bias - leak + recurrent @ before + forward @ row)
        wait = np.where(now, program.refractory, np.maximum(wait - 1, 0))
        before = now.astype(np.float64)
        trace.append(V)
        fired.append(now)
    shape = (len(spikes), program.neurons)
    values = np.array(trace).reshape(shape)
    return ChipRun(
        np.array(fired, bool).reshape(shape), values, int(((values < -128) | (values >= 128)).sum()), program
    )


def with_weights(program: ChipProgram, forward: np.ndarray, recurrent: np.ndarray) -> ChipProgram:
    """The program with other weights."""
    numbers = {name: from_word(np.asarray(getattr(program, name))) for name in ("threshold", "bias", "leak")}
    return replace(program, feed_forward=forward, recurrent=recurrent, **numbers)  # type: ignore[arg-type]


def input_spikes(program: ChipProgram, inputs: np.ndarray) -> np.ndarray:
    """Spikes (T, inputs) as bool; ValueError for another shape or values but 0 and 1."""
    instance(program, ChipProgram, "program", "a ChipProgram")
    x = np.asarray(inputs)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"the inputs are {x.dtype}; expected an array of 0 and 1, (steps, {program.inputs})")
    if x.ndim != 2 or x.shape[1] != program.inputs:
        raise ValueError(f"the inputs have shape {x.shape}; expected (steps, {program.inputs})")
    if x.dtype != bool and not ((x == 0) | (x == 1)).all():
        raise ValueError("the inputs hold values other than 0 and 1; expected spikes: encode them (rv.learners.rate)")
    return np.ascontiguousarray(x, np.bool_)


@compiled(error_model="numpy")
def _run(
    forward, recurrent, threshold, bias, leak, refractory, scale, learn_forward, learn_recurrent, windows,
    potentiation, depression, spikes, V_out, fired,
):  # fmt: skip
    steps, m = spikes.shape
    n = len(threshold)
    V, wait = np.zeros(n, np.int64), np.zeros(n, np.int64)
    traces_in, traces_out_forward = np.full(m, -1), np.full(n, -1)
    traces_source, traces_target = np.full(n, -1), np.full(n, -1)
    learns = learn_forward.any() or learn_recurrent.any()
    overflows = 0
    for t in range(steps):
        current = np.zeros(n, np.int64)
        for j in range(m):
            if spikes[t, j]:
                for i in range(n):
                    current[i] += (forward[i, j] * scale) << FRACTION
        if t > 0:
            for j in range(n):
                if fired[t - 1, j]:
                    for i in range(n):
                        current[i] += recurrent[i, j] << FRACTION
        for i in range(n):
            if V[i] + bias[i] >= threshold[i] and wait[i] == 0:
                fired[t, i] = True
                V[i], wait[i] = 0, refractory[i]
            else:
                total = V[i] + bias[i] - leak + current[i]
                V[i] = ((total + 131072) & 262143) - 131072
                if V[i] != total:
                    overflows += 1
                if wait[i] > 0:
                    wait[i] -= 1
            V_out[t, i] = V[i]
        if learns:
            _learn(forward, learn_forward, spikes[t], fired[t], traces_in, traces_out_forward, potentiation, depression)
            _learn(
                recurrent, learn_recurrent, fired[t], fired[t], traces_source, traces_target, potentiation, depression
            )
            _advance(traces_in, spikes[t], windows[0])
            _advance(traces_out_forward, fired[t], windows[1])
            _advance(traces_source, fired[t], windows[2])
            _advance(traces_target, fired[t], windows[3])
    return overflows


@compiled(error_model="numpy")
def _learn(weight, learn, source, target, source_trace, target_trace, potentiation, depression):
    """Traces are as before this step's spikes."""
    for i in range(len(target)):
        if target[i]:
            for j in range(len(source)):
                if learn[i, j] and source_trace[j] >= 0:
                    weight[i, j] = min(weight[i, j] + potentiation, 127)
    for j in range(len(source)):
        if source[j]:
            for i in range(len(target)):
                if learn[i, j] and target_trace[i] >= 0 and weight[i, j] > -1:
                    weight[i, j] = max(weight[i, j] - depression, -1)


@compiled(error_model="numpy")
def _advance(trace, spikes, window):
    """Steps since the last spike; −1 after the window."""
    for j in range(len(trace)):
        if spikes[j]:
            trace[j] = 0
        elif trace[j] >= 0:
            trace[j] = trace[j] + 1 if trace[j] < window else -1
