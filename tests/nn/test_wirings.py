"""Wirings: what each kind promises, whatever its seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.nn import NCP, AutoNCP, FullyConnected


def matrix(synapses, units, sources):
    dense = np.zeros((units, sources))
    dense[synapses.targets, synapses.sources] = synapses.signs
    return dense


@given(
    units=st.integers(8, 40), outputs=st.integers(1, 4), sparsity=st.floats(0.1, 0.95), inputs=st.integers(1, 12),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_policy_runs_from_inputs_to_motors(units, outputs, sparsity, inputs, seed):
    ncp = AutoNCP(units, outputs, sparsity=sparsity, seed=seed)
    drawn = ncp.draw(inputs)
    inter, command, motor = (np.array(layer) for layer in drawn.layers)
    assert drawn.units == units and drawn.outputs == outputs and list(motor) == list(range(outputs))
    sensory, recurrent = matrix(drawn.sensory, units, inputs), matrix(drawn.recurrent, units, units)
    assert (np.count_nonzero(sensory[inter], 0) >= ncp.sensory_fanout).all() and not sensory[command].any()
    assert (np.count_nonzero(recurrent[command][:, inter], 0) >= ncp.inter_fanout).all()
    assert (np.count_nonzero(recurrent[motor][:, command], 1) >= ncp.motor_fanin).all()
    assert np.count_nonzero(recurrent[command][:, command]) <= ncp.recurrent_command
    allowed = np.zeros_like(recurrent, bool)
    for rows, columns in ((command, inter), (command, command), (motor, command)):
        allowed[np.ix_(rows, columns)] = True
    assert not recurrent[~allowed].any()
    assert sensory[inter].any(1).all() and recurrent[command].any(1).all() and recurrent[motor][:, command].any(0).all()


def test_synapses_are_by_target_then_source_and_the_seed_draws_them():
    drawn = AutoNCP(30, 4).draw(6)
    for synapses in (drawn.sensory, drawn.recurrent):
        order = np.lexsort((synapses.sources, synapses.targets))
        assert (order == np.arange(len(synapses))).all() and set(synapses.signs) == {-1.0, 1.0}
        first = synapses.first(30)
        assert first[0] == 0 and first[-1] == len(synapses)
        assert all((synapses.targets[first[j] : first[j + 1]] == j).all() for j in range(30))
    again, other = AutoNCP(30, 4).draw(6), AutoNCP(30, 4, seed=1).draw(6)
    assert (again.recurrent.sources == drawn.recurrent.sources).all()
    assert len(other.recurrent) != len(drawn.recurrent) or (other.recurrent.sources != drawn.recurrent.sources).any()


def test_full_means_full():
    drawn = FullyConnected(7, 2).draw(3)
    assert len(drawn.recurrent) == 49 and len(drawn.sensory) == 21 and drawn.outputs == 2
    assert len(FullyConnected(7, self_connections=False).draw(3).recurrent) == 42
    share = FullyConnected(60).draw(1).recurrent.signs
    assert abs((share > 0).mean() - 2 / 3) < 5 * np.sqrt(2 / 9 / len(share))


@pytest.mark.parametrize(
    "make",
    [
        lambda: FullyConnected(0), lambda: FullyConnected(4, 5), lambda: FullyConnected(4).draw(0),
        lambda: AutoNCP(6, 4), lambda: AutoNCP(12, 3, sparsity=1.0), lambda: AutoNCP(12, 3, sparsity=0.0),
        lambda: NCP(4, 3, 2, 5, 1, 1, 1), lambda: NCP(4, 3, 2, 1, 4, 1, 1), lambda: NCP(4, 3, 2, 1, 1, -1, 1),
        lambda: NCP(4, 3, 2, 1, 1, 1, 4), lambda: NCP(0, 3, 2, 1, 1, 1, 1),
    ],
)  # fmt: skip
def test_impossible_wirings_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
