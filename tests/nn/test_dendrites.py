"""Active dendrites: laws, the equations synapse by synapse, how often they err; and sequences they remember."""

import numpy as np
import pytest
import torch

from ranvier.analysis import matching
from ranvier.nn import ActiveDendrites, SequenceMemory
from tests.laws.cells import check_cell

F64 = torch.float64


def cell(**options):
    g = torch.Generator().manual_seed(0)
    return ActiveDendrites.random(
        30, 6, segments=3, synapses=8, generator=g, **{"threshold": 4, "decay": 0.7, "dtype": F64, **options}
    )


def patterns(steps=12, batch=3, inputs=30, chance=0.4):
    return (torch.rand(steps, batch, inputs, generator=torch.Generator().manual_seed(1)) < chance).to(F64)


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_laws(decay):
    layer = cell(decay=decay)
    check_cell(layer, patterns(), list(layer.parameters()))


def test_equations_synapse_by_synapse():
    layer, x = cell(), patterns()
    with torch.no_grad():
        layer.weight.copy_(0.5 + torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(2)))
        layer.synapses[::2, 5:] = -1
    y, state = layer(x)
    for b in range(x.shape[1]):
        v = [0.0] * 6
        for t in range(len(x)):
            v = [0.7 * value for value in v]
            for d, owner in enumerate(layer.owner.tolist()):
                active = sum(
                    layer.weight[d, k].item() * x[t, b, j].item()
                    for k, j in enumerate(layer.synapses[d].tolist())
                    if j >= 0
                )
                if active >= 4:
                    v[owner] = 1.0
            np.testing.assert_allclose(y[t, b].detach(), v, rtol=1e-12)
        np.testing.assert_allclose(state["v"][b].detach(), v, rtol=1e-12)
    assert 0.2 < (y == 1).double().mean() < 0.8


def test_gradient_is_the_surrogate_at_the_best_segment():
    layer = ActiveDendrites(4, 1, torch.tensor([[0, 1, 2], [1, 3, -1]]), torch.tensor([0, 0]), threshold=2, dtype=F64)
    y, _ = layer(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]], dtype=F64))
    y.sum().backward()
    slope = layer.surrogate.slope(torch.zeros((), dtype=F64)).item()
    np.testing.assert_allclose(layer.weight.grad, [[slope, slope, 0], [0, 0, 0]])


def test_a_neuron_without_segments_stays():
    layer = ActiveDendrites(3, 4, torch.tensor([[0, 1]]), torch.tensor([2]), threshold=2)
    assert layer(torch.ones(1, 1, 3))[0].tolist() == [[[0, 0, 1, 0]]]


def test_false_matches_come_as_often_as_predicted():
    n, a, s, theta, g = 200, 40, 20, 8, torch.Generator().manual_seed(3)
    layer = ActiveDendrites.random(n, 400, segments=1, synapses=s, threshold=theta, generator=g)
    x = torch.zeros(500, n).scatter_(1, torch.rand(500, n, generator=g).topk(a).indices, 1.0)
    with torch.no_grad():
        observed = layer.recognised(x).mean().item()
    p = matching.false_match(n, a, s, theta)
    # pairs share segments and patterns, but are independent in pairs
    assert abs(observed - p) < 4 * (p * (1 - p) / 200_000) ** 0.5


@pytest.mark.parametrize(
    ("synapses", "owner", "options", "message"),
    [
        ([[0, 5]], [0], {}, "inputs 0 to 4"),
        ([[0, 0]], [0], {}, "twice"),
        ([[0, 1]], [3], {}, "owners from 3"),
        ([[0, 1]], [0, 1], {}, "owners"),
        ([[0, 1]], [0], {"threshold": 0}, "threshold"),
        ([[0, 1]], [0], {"decay": 1.0}, "decay"),
    ],
    ids=["range", "twice", "owner", "owners", "threshold", "decay"],
)
def test_refusals(synapses, owner, options, message):
    with pytest.raises(ValueError, match=message):
        ActiveDendrites(5, 3, torch.tensor(synapses), torch.tensor(owner), **{"threshold": 1, **options})


def test_refuses_what_is_not_finite():
    x = patterns()
    x[2, 1, 4] = torch.nan
    with pytest.raises(ValueError, match="nan in x at step 2, batch 1, feature 4"):
        cell()(x)


def letters(count, columns=512, active=20, seed=0):
    rng = np.random.default_rng(seed)
    return [np.sort(rng.choice(columns, active, replace=False)) for _ in range(count)]


def play(memory, sequence, learn=True):
    """The columns predicted after each element, and whether each burst."""
    state, prediction, burst = memory.init_state(), [], []
    for element in sequence:
        unseen = np.setdiff1d(element, memory.predicted_columns(state))
        state = memory.step(state, element, learn=learn)
        prediction.append(memory.predicted_columns(state))
        burst.append(len(unseen) / len(element))
    return prediction, burst, state


def test_context_tells_what_comes_next():
    a, b, c, d, x, y = letters(6)
    memory = SequenceMemory(512, 8, wrong=0.1)  # what bursts in the first runs mistaught must fade
    for _ in range(5):
        play(memory, [a, b, c, d])
        play(memory, [x, b, c, y])
    prediction, burst, _ = play(memory, [a, b, c], learn=False)
    assert set(prediction[2]) == set(d) and burst == [1, 0, 0]
    assert set(play(memory, [x, b, c], learn=False)[0][2]) == set(y)
    # with no context the common part bursts, and both ends are predicted
    assert set(play(memory, [b, c], learn=False)[0][1]) >= set(d) | set(y)


def test_one_cell_a_column_knows_no_context():
    a, b, c, d, x, y = letters(6)
    memory = SequenceMemory(512, 1, wrong=0.0)
    for _ in range(5):
        play(memory, [a, b, c, d])
        play(memory, [x, b, c, y])
    for start in (a, x):
        assert set(play(memory, [start, b, c], learn=False)[0][2]) >= set(d) | set(y)


def test_slow_learning_needs_repeats():
    sequence = letters(4)
    memory = SequenceMemory(512, 8, permanence=(0.3, 0.5), gain=0.1)
    bursts = []
    for _ in range(5):
        bursts.append(play(memory, sequence)[1][1:])
    assert bursts[0] == bursts[1] == bursts[2] == [1, 1, 1] and bursts[4] == [0, 0, 0]


def test_learned_segments_are_a_cell():
    sequence = letters(5)
    memory = SequenceMemory(512, 4)
    for _ in range(2):
        play(memory, sequence)
    state, cells = memory.init_state(), memory.dendrites()
    for element in sequence:
        state = memory.step(state, element, learn=False)
        observed, _ = cells(torch.from_numpy(state.active)[None, None].float())
        assert (observed[0, 0].detach().numpy() == state.predicted).all()
    assert memory.segments == len(cells.owner) == 80


def test_a_batch_is_read_as_each_sequence_alone():
    songs = [letters(5, seed=seed) for seed in range(6)]
    memory = SequenceMemory(512, 8)
    for _ in range(3):
        for song in songs[:4]:  # two are unknown
            play(memory, song)
    x = torch.zeros(5, 6, 512)
    for b, song in enumerate(songs):
        for t, element in enumerate(song):
            x[t, b, element[2:] if b == 1 else element] = 1  # one with columns missing
    y, state = memory.recall()(x)
    for b in range(6):
        prediction, _, last = play(memory, [x[t, b].nonzero()[:, 0].numpy() for t in range(5)], learn=False)
        for t in range(5):
            assert set(y[t, b].nonzero()[:, 0].tolist()) == set(prediction[t].tolist())
        assert (state["predicted"][b].detach().numpy() == last.predicted).all()
    assert y[:4, :4].any(2).all() and not y[:, 4:].any()
    cell = memory.recall().double()
    check_cell(cell, x.double(), list(cell.parameters()))


def test_sequences_that_take_turns_do_not_meet():
    a, b, c, d, e, f = letters(6)
    memory = SequenceMemory(512, 8)
    for _ in range(3):
        states = [memory.init_state(), memory.init_state()]
        for pair in ((a, b), (c, d), (e, f)):
            states = [memory.step(state, element) for state, element in zip(states, pair, strict=True)]
    assert set(play(memory, [a, c], learn=False)[0][1]) == set(e)
    assert set(play(memory, [b, d], learn=False)[0][1]) == set(f)


def test_wrong_predictions_fade():
    a, b, c = letters(3)
    memory = SequenceMemory(512, 4, wrong=0.05)
    play(memory, [a, b])
    assert set(play(memory, [a], learn=False)[0][0]) == set(b)
    for _ in range(3):
        play(memory, [a, c])
    assert set(play(memory, [a], learn=False)[0][0]) == set(c)


def test_memory_refuses():
    with pytest.raises(ValueError, match="rising order"):
        SequenceMemory(10, threshold=30)
    memory = SequenceMemory(10, 2)
    with pytest.raises(ValueError, match="columns 3 to 10"):
        memory.step(memory.init_state(), np.array([3, 10]))
