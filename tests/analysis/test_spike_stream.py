"""The stream of spikes: cuts at any place, whatever chunks the source comes in."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.analysis import Spikes

STOP = 60


@st.composite
def trains(draw):
    spikes = sorted(draw(st.lists(st.tuples(st.integers(1, STOP), st.integers(0, 4)), max_size=40)))
    borders = sorted(draw(st.lists(st.integers(0, len(spikes)), max_size=6)))
    edges = sorted(draw(st.sets(st.integers(0, STOP), min_size=2, max_size=8)))
    return np.array(spikes, dtype=np.int64).reshape(-1, 2), [0, *borders, len(spikes)], edges


@given(trains(), st.integers(0, STOP - 1))
def test_cut_yields_exactly_what_lies_between_the_edges(drawn, start):
    spikes, borders, edges = drawn
    edges = [e for e in edges if e <= STOP - start]
    if len(edges) < 2:
        return

    def source():
        for a, b in itertools.pairwise(borders):
            yield spikes[a:b, 0], spikes[a:b, 1].astype(np.int32)

    stream = Spikes(source, 5, 0.1, STOP).after(start)
    pieces = list(stream.cut(edges))
    assert len(pieces) == len(edges) - 1
    for (a, b), (steps, neurons) in zip(itertools.pairwise(edges), pieces, strict=True):
        expected = [(s - start - 1, n) for s, n in spikes.tolist() if start + a < s <= start + b]
        assert list(zip(steps.tolist(), neurons.tolist(), strict=True)) == expected


def test_select_renumbers_and_group_pools():
    spikes = Spikes.from_steps([1, 2, 2, 3], [0, 1, 3, 2], n_neurons=4, dt=1.0, stop=4)
    ((steps, neurons),) = spikes.select([3, 0]).cut([0, 4])
    assert steps.tolist() == [0, 1] and neurons.tolist() == [1, 0]
    ((steps, neurons),) = spikes.group([0, 1, 1, -1]).cut([0, 4])
    assert steps.tolist() == [0, 1, 2] and neurons.tolist() == [0, 1, 1]


def test_times_become_the_steps_they_were_made_from():
    steps = np.arange(1, 100_001)
    spikes = Spikes.from_times(steps * 0.1, np.zeros(len(steps)), n_neurons=1, duration=10_000.0, dt=0.1)
    ((result, _),) = spikes.cut([0, spikes.n_steps])
    assert np.array_equal(result, steps - 1)
    mixed = Spikes.from_times([0.35, 0.05, 0.3], [1, 0, 0], n_neurons=2, duration=1.0, dt=0.1)
    ((result, neurons),) = mixed.cut([0, 10])
    assert result.tolist() == [0, 2, 3] and neurons.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("steps", "neurons", "message"),
    [
        ([1, 2], [0], "one length"),
        ([2, 1], [0, 0], "sorted"),
        ([0], [0], "step 0; expected 0 < step"),
        ([11], [0], "step 11"),
        ([1], [3], "neuron 3; expected 0 to 2"),
        ([1], [-1], "neuron -1"),
    ],
)
def test_impossible_spikes_are_refused(steps, neurons, message):
    with pytest.raises(ValueError, match=message):
        Spikes.from_steps(steps, neurons, n_neurons=3, dt=0.1, stop=10)


def test_impossible_questions_are_refused():
    spikes = Spikes.from_steps([1], [0], n_neurons=2, dt=0.1, stop=10)
    with pytest.raises(ValueError, match="multiple of the step dt"):
        spikes.steps_of(0.25)
    with pytest.raises(ValueError, match="at most the record"):
        spikes.steps_of(2.0)
    with pytest.raises(ValueError, match="neuron twice"):
        spikes.select([1, 1])
    with pytest.raises(ValueError, match="neuron -1"):
        spikes.select([-1])
    with pytest.raises(ValueError, match="finite"):
        Spikes.from_times([np.nan], [0], n_neurons=1, duration=1.0)
