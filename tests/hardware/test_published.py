"""Golden traces: the published VHDL under GHDL.

Made from github.com/ORNL/NeuroCoreX (BSD-3) with GHDL 2.0 (Debian package ghdl): all its files as they are, but for the
vendor's parts, which were replaced: FIFOs (one with first word fall-through, two without), clock and buffer; the serial
receiver and senders by ones that read bytes from a file and print them; and addresses of memories taken modulo 9216, as
the VHDL reads beyond their ends. Bytes were those of the wire: 90 neurons, 94 inputs, one input spike a step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ranvier.hardware import ChipProgram, from_word, run, run_published

GOLDEN = Path(__file__).parent / "golden" / "neurocorex_ghdl.npz"


def golden(name: str) -> tuple[ChipProgram, np.ndarray, np.ndarray, np.ndarray]:
    """Program, inputs, membranes in words, spikes."""
    with np.load(GOLDEN) as stored:
        part = {key.split(".")[1]: stored[key] for key in stored if key.startswith(name)}
    program = ChipProgram(
        part["feed_forward"], part["recurrent"], threshold=from_word(part["threshold"]), leak=from_word(part["leak"]),
        refractory=part["refractory"], scale=int(part["scale"]),
    )  # fmt: skip
    inputs = np.zeros((len(part["inputs"]), 94), bool)
    inputs[np.arange(len(inputs)), part["inputs"]] = True
    spikes = np.unpackbits(part["spikes"], count=len(inputs) * 90).reshape(-1, 90).astype(bool)
    return program, inputs, part["V"], spikes


@pytest.mark.parametrize("name", ["plain", "wraps"])
def test_golden_traces(name):
    program, inputs, V, spikes = golden(name)
    result = run_published(program, inputs)
    assert spikes.mean() > 0.1 and result.overflows > 0  # sums wrap round, too
    np.testing.assert_array_equal(result.spikes, spikes)
    np.testing.assert_array_equal(result.V, from_word(V))
    assert not np.array_equal(run(program, inputs).spikes, spikes)  # what the description says is something else


def test_where_the_deviations_cannot_show_the_description_holds():
    """Without recurrence, and with even neurons only, one step late."""
    rng = np.random.default_rng(0)
    w = rng.integers(-3, 12, (20, 6))
    w[1::2] = 0
    program = ChipProgram(w, threshold=rng.integers(5, 30, 20), leak=0.0, refractory=rng.integers(1, 5, 20))
    inputs = np.eye(6, dtype=bool)[rng.integers(6, size=80)]
    late = np.concatenate([np.zeros((1, 6), bool), inputs[:-1]])
    published, described = run_published(program, inputs), run(program, late)
    assert described.spikes.any()
    np.testing.assert_array_equal(published.spikes, described.spikes)
    np.testing.assert_array_equal(published.V, described.V)


def test_what_the_wire_does_not_bring():
    program = ChipProgram(np.ones((2, 3), int))
    with pytest.raises(ValueError, match="2 inputs spike in step 1"):
        run_published(program, np.array([[0, 0, 1], [1, 0, 1]]))
    with pytest.raises(ValueError, match="learns"):
        run_published(ChipProgram(np.ones((2, 3), int), learn_recurrent=True), np.zeros((4, 3)))
