"""What the page says is what the wiring and the recording hold, by plain re-derivation."""

from __future__ import annotations

import numpy as np
import pytest

from ranvier.networks import Network
from ranvier.neurons import EIF
from ranvier.report._activity import activity_of, lagged, population_spectrum, standing_out, strongest, threshold
from ranvier.report._pair_sections import distance_groups, path
from ranvier.report._parts import count, number
from ranvier.report._sections import groups_of
from ranvier.report._wiring import distances, wiring_of
from ranvier.report.blocks import block_means, image_of
from ranvier.report.figures import _apart
from ranvier.synapses import Electrical, Exponential, ExponentialConductance, Sigmoidal


@pytest.fixture
def chain():
    """a → b → c → d, b inhibitory, e alone; two populations."""
    net = Network()
    first = net.add(EIF(), 3, name="first", names=["a", "b", "c"])
    second = net.add(EIF(), 2, name="second", names=["d", "e"], classes=["late", "lone"])
    net.connect(first, first, weight=[2.0, -3.0], synapse=Exponential(tau=5.0), edges=([0, 1], [1, 2]))
    net.connect(first, second, weight=4.0, synapse=Exponential(tau=5.0), edges=([2], [0]))
    return net


def test_wiring_is_read_across_populations(chain):
    wiring = wiring_of(chain)
    dense = np.zeros((5, 5))
    dense[1, 0], dense[2, 1], dense[3, 2] = 2.0, -3.0, 4.0
    assert np.array_equal(wiring.weights.toarray(), dense)
    assert wiring.signs.tolist() == [1, -1, 1, 0, 0]
    assert wiring.classes == ("first", "late", "lone")
    assert wiring.bounds.tolist() == [0, 3, 4, 5]
    assert wiring.unit == "mV ms"
    assert [wiring.class_sign(k) for k in range(3)] == [0, 0, 0]


def test_distances_count_synapses_along_their_direction(chain):
    steps = distances(wiring_of(chain))
    assert steps[:4, 0].tolist() == [0, 1, 2, 3]
    assert steps[0, 1:].tolist() == [-1, -1, -1, -1]
    assert (steps[4, :4] == -1).all()
    groups = distance_groups(wiring_of(chain), np.arange(25.0).reshape(5, 5), steps)
    assert {name: len(values) for name, values in groups.items()} == {
        "1, excitatory": 2, "1, inhibitory": 1, "2": 2, "3": 1, "no path": 4,
    }  # fmt: skip
    assert groups["1, inhibitory"].tolist() == [7.0]


def test_path_in_words(chain):
    wiring = wiring_of(chain)
    steps = distances(wiring)
    assert path(wiring, steps, 1, 2) == "−3\u00a0mV\u00a0ms"
    assert path(wiring, steps, 0, 3) == "3 synapses"
    assert path(wiring, steps, 3, 0) == "no path"


def test_reversal_potentials_give_the_sign():
    net = Network()
    cells = net.add(EIF(E_L=-60.0), 3, name="cells")
    net.connect(cells, cells, weight=1.0, synapse=Sigmoidal(E_rev=0.0), edges=([0], [1]))
    net.connect(cells, cells, weight=1.0, synapse=ExponentialConductance(E_rev=-70.0), edges=([1], [2]))
    net.connect(cells, cells, weight=0.5, synapse=Electrical(), edges=([0, 2], [2, 0]))
    wiring = wiring_of(net)
    assert wiring.weights[1, 0] == 1.0 and wiring.weights[2, 1] == -1.0
    assert wiring.junctions[2, 0] == 0.5 and wiring.weights.nnz == 2
    assert wiring.signs.tolist() == [1, -1, 0]
    assert wiring.unit == "nS"
    assert distances(wiring)[2, 0] == 1


def test_only_the_planted_pair_stands_out(spiking):
    _, recording = spiking
    activity = activity_of(recording)
    assert strongest(activity, 6, 3) == [(0, 1)]
    assert standing_out(activity).sum() == 1
    # half of neuron 0's spikes are copied 20 ms later; windows of 100 ms catch four fifths of them
    assert activity.correlation[0, 1] == pytest.approx(0.4, abs=5 * activity.error[0, 1])
    assert (activity.error >= 1 / np.sqrt(activity.recording.duration // 100.0)).all()
    assert activity.level.mean() == pytest.approx(8.0, rel=0.05)


def test_threshold_is_bonferroni():
    from scipy.special import ndtr

    class Of:
        correlation = np.zeros((2952, 1))

    pairs = 2952 * 2951 / 2
    assert 2 * pairs * ndtr(-threshold(Of)) == pytest.approx(0.05)


def test_lags_put_the_leader_first(spiking):
    _, recording = spiking
    activity = activity_of(recording)
    lags = np.arange(-100.0, 101.0, 5.0)
    values, errors = lagged(activity, [(0, 1)], lags)
    peak = int(np.argmax(values[:, 0]))
    assert lags[peak] == 20.0
    # half of the leader's spikes are followed within one bin of 5 ms, triangular: ½ / 5 ms = 100 Hz
    assert values[peak, 0] == pytest.approx(100.0, rel=0.15)
    rest = np.abs(lags - 20.0) > 10.0
    assert np.mean(np.abs(values[rest, 0]) < 3 * errors[rest, 0]) > 0.9


def test_poisson_population_has_a_flat_spectrum_of_one(spiking):
    _, recording = spiking
    activity = activity_of(recording)
    f, curves = population_spectrum(activity, {"others": np.arange(2, 60)})
    assert curves["others"].mean() == pytest.approx(1.0, abs=0.03)
    assert f[0] > 0 and f[-1] < 500.0


def test_graded_activity(graded):
    _, recording = graded
    activity = activity_of(recording)
    assert activity.kind == "voltages"
    assert activity.level.mean() == pytest.approx(-35.0, abs=0.1)
    assert np.allclose(np.diag(activity.correlation), 1.0)
    # an AR(1) process with factor 0.95 a ms, shifted by 20 ms: 0.95**20 at lag 0
    assert activity.correlation[0, 1] == pytest.approx(0.95**20, abs=4 * activity.error[0, 1])
    values, _ = lagged(activity, [(0, 1)], np.arange(-100.0, 101.0, 5.0))
    assert values[24, 0] == pytest.approx(1.0, abs=0.01)
    f, curves = population_spectrum(activity, {"one": np.array([5])})
    assert 2 * np.trapezoid(curves["one"], f) == pytest.approx(1.0, rel=0.2)  # its variance, both signs of f


def test_block_means_and_images():
    from scipy.sparse import csr_array

    matrix = np.arange(16.0).reshape(4, 4)
    place = np.array([0, 1, 0, 1])
    groups = ([0, 2], [1, 3])
    expected = [[matrix[np.ix_(rows, columns)].mean() for columns in groups] for rows in groups]
    assert np.allclose(block_means(matrix, place, 2), expected)
    assert np.allclose(block_means(csr_array(matrix), place, 2), expected)
    order = np.array([3, 1, 0, 2])
    assert np.allclose(image_of(matrix, order), matrix[np.ix_(order, order)])
    assert np.allclose(image_of(matrix, order, pixels=1), matrix.mean())
    matrix[0, 0] = np.nan
    assert np.nanmean(matrix) == pytest.approx(image_of(matrix, order, pixels=1)[0, 0])


def test_labels_keep_their_order_and_distance():
    centres = np.array([1.0, 1.1, 1.2, 50.0, 98.9, 99.0])
    at = _apart(centres, 5.0, 100.0)
    assert (np.diff(at) >= 5.0 - 1e-9).all()
    assert at.min() >= 2.5 - 1e-9 and at.max() <= 97.5 + 1e-9
    assert at[3] == pytest.approx(50.0)


def test_groups_by_sign(spiking):
    groups = groups_of(wiring_of(spiking[0]))
    assert groups["all"].tolist() == list(range(60))
    assert 35 < len(groups["excitatory"]) <= 40 and groups["excitatory"].max() < 40
    assert 15 < len(groups["inhibitory"]) <= 20 and groups["inhibitory"].min() >= 40


def test_numbers_in_words():
    assert number(-1.25, 1) == "−1.2"
    assert number(-0.0001, 2) == "0.00"
    assert count(4355676) == "4\u202f355\u202f676"


def test_a_sample_of_neurons_keeps_names_distances_and_correlations(spiking):
    net, recording = spiking
    wiring = wiring_of(net)
    few = wiring.sample(20)
    assert len(set(few)) == 20 and np.bincount(wiring.of[few]).tolist() == [7, 6, 7]
    few = np.unique(np.append(few, [0, 1]))
    part, whole = wiring.part(few), activity_of(recording)
    assert part.names[1] == wiring.names[few[1]]
    assert np.array_equal(part.weights.toarray(), wiring.weights.toarray()[np.ix_(few, few)])
    assert np.array_equal(distances(wiring, few), distances(wiring)[np.ix_(few, few)])
    activity = activity_of(recording, neurons=few).among()
    assert np.allclose(activity.correlation, whole.correlation[np.ix_(few, few)])
    assert np.array_equal(activity.level, whole.level[few])
    lags = np.arange(-40.0, 41.0, 5.0)
    there = lagged(whole, [(int(few[3]), int(few[7]))], lags)[0]
    assert np.allclose(lagged(activity, [(3, 7)], lags)[0], there)
