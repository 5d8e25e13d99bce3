"""What is drawn is what was measured: values are read back from the axes."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

import ranvier as rv


@pytest.fixture(scope="module")
def net() -> rv.Network:
    net = rv.Network(seed=1)
    a = net.add(rv.LIF(), 6, "a", drive=14.0, noise=4.0)
    b = net.add(rv.LIF(), 3, "b", drive=18.0, noise=2.0)
    net.connect(a, b, weight=1.5, in_degree=2)
    return net


@pytest.fixture(scope="module")
def recording(net) -> rv.Recording:
    return rv.simulate(net, 2500.0, record="V")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def points(ax) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.concatenate([line.get_data()[k] for line in ax.lines]) for k in (0, 1))


def test_a_raster_has_every_spike_once(recording):
    ax = rv.plot.raster(recording)
    t, n = points(ax)
    order = np.lexsort((n, t))
    assert np.array_equal(t[order], recording.times) and np.array_equal(n[order], recording.neurons)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"] and len(t) > 20
    t, n = points(rv.plot.raster(recording, neurons=[7, 8], start=100.0, stop=500.0))
    assert t.min() >= 100 and t.max() <= 500 and set(n) == {7.0, 8.0}


def test_neurons_are_chosen_by_name_index_or_mask_and_others_refused(recording):
    mask = np.zeros(9, bool)
    mask[[0, 2]] = True
    for neurons, expected in ((mask, [0, 2]), (mask.tolist(), [0, 2]), ("b", [6, 7, 8]), ([1, 5], [1, 5])):
        drawn = {int(y) for line in rv.plot.raster(recording, neurons=neurons).lines for y in line.get_ydata()}
        levels = {int(x) for box in rv.plot.rates(recording, neurons=neurons).containers for x in box[0].get_xdata()}
        assert sorted(drawn) == sorted(levels) == expected
        plt.close("all")
    for draw in (rv.plot.raster, rv.plot.rates):
        for neurons in (99, -1, [0, 9]):
            with pytest.raises(ValueError, match="expected indices from 0 to 8"):
                draw(recording, neurons=neurons)


def test_traces_rates_and_matrices_are_the_results(net, recording):
    ax = rv.plot.trace(recording.states["V"])
    assert np.allclose(ax.lines[3].get_ydata(), recording.states["V"].values[:, 3])
    prediction = rv.predict(net)
    for result in (recording, prediction):
        n, r = points(rv.plot.rates(result))
        assert np.allclose(r[np.argsort(n)], result.rates())
        shown = rv.plot.correlation(result, 50.0).images[0].get_array()
        off = ~np.eye(net.size, dtype=bool)
        assert np.allclose(np.ma.filled(shown, 0.0)[off], np.asarray(result.correlation(50.0))[off])
        f = torch.linspace(1, 100, 7)
        ax = rv.plot.spectrum(result, f, neurons=[0, 1])
        power = np.real(np.asarray(result.spectrum(f, neurons=[0, 1])))
        assert np.allclose(ax.lines[-1].get_ydata(), (power[:, 0, 0] + power[:, 1, 1]) / 2)
        lags = torch.arange(-5.0, 6.0)
        ax = rv.plot.cross_correlation(result, [[0, 6], [1, 7]], lags)
        own = np.asarray(result.cross_correlation(lags, pairs=[[0, 6], [1, 7]]))
        assert np.allclose(ax.lines[1].get_ydata(), own[:, 1])


def test_wiring_is_the_weights(net):
    matrix = rv.plot.wiring(net).images[0].get_array()
    assert matrix.shape == (9, 9) and np.allclose(matrix[6:, :6], net.projections[0].matrix().toarray())
    assert matrix[:6].max() == 0
    large = rv.Network()
    c = large.add(rv.LIF(), 400, "c")
    large.connect(c, c, weight=2.0, in_degree=5)
    large.connect(c, large.add(rv.LIF(), 10, "d"), weight=1.0, in_degree=3, synapse=rv.Exponential(tau=5.0))
    assert np.allclose(rv.plot.wiring(large).images[0].get_array(), [[5.0, 0.0], [3.0, 0.0]])


def test_a_comparison_has_both_sides(net, recording):
    compared = rv.compare(recording, rv.predict(net))
    ax = rv.plot.comparison(compared)
    assert np.allclose(ax.lines[1].get_xdata(), compared.predicted_levels)
    assert np.allclose(ax.lines[1].get_ydata(), compared.simulated_levels)
    assert len(rv.plot.comparison(compared, what="pairs").lines) >= 1
    with pytest.raises(ValueError, match="what is 'all'"):
        rv.plot.comparison(compared, what="all")


def test_weights_show_their_quantiles():
    net = rv.Network()
    a, b = net.add(rv.Poisson(rate=100.0), 20), net.add(rv.LIF(), 5, drive=20.0)
    p = net.connect(a, b, weight=0.5, probability=1.0, plasticity=rv.rules.STDP())
    recording = rv.simulate(net, 200.0, record=rv.WeightProbe(p, 20.0))
    course = recording.weights.trace(p)
    ax = rv.plot.weights(course)
    assert np.allclose(ax.lines[0].get_ydata(), np.median(course.values, 1))


def test_models_in_training():
    ax = rv.plot.training([{"loss": 3.0, "accuracy": 0.1}, {"loss": 1.0}, {"loss": 0.5, "accuracy": 0.9}])
    assert ax.lines[1].get_xdata().tolist() == [1, 3] and ax.lines[0].get_ydata().tolist() == [3.0, 1.0, 0.5]
    with pytest.raises(ValueError, match="names has 'loss'"):
        rv.plot.training([], names=["loss"])
    spikes = torch.zeros(4, 2, 3)
    spikes[1, 1, 2] = spikes[3, 1, 0] = 1
    assert sorted(zip(*points(rv.plot.layer_raster(spikes, sample=1)), strict=True)) == [(1, 2), (3, 0)]
    for bad in (torch.zeros(3), torch.zeros(1, 2, 3, 4)):
        with pytest.raises(ValueError, match="expected"):
            rv.plot.layer_raster(bad)
    model = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        rv.plot.gradients(model)
    (model(torch.ones(1, 3)).sum() + 0 * model.bias.sum()).backward()
    ax = rv.plot.gradients(model)
    assert [patch.get_height() for patch in ax.patches] == pytest.approx([1.0, 1.0])


def test_axes_are_reused_and_refused(recording):
    figure, axes = plt.subplots(1, 2)
    assert rv.plot.raster(recording, ax=axes[0]) is axes[0] and len(figure.axes) == 2
    with pytest.raises(TypeError, match="ax is ndarray"):
        rv.plot.raster(recording, ax=axes)


def test_silence_and_one_neuron_are_drawn():
    net = rv.Network()
    net.add(rv.LIF(), 1, "a")
    silent = rv.simulate(net, 50.0)
    rv.plot.raster(silent)
    rv.plot.rates(silent)
    rv.plot.correlation(silent, 10.0)
    rv.plot.wiring(net)


def test_an_overview_draws_what_there_is(net, recording):
    figure = rv.plot.overview(recording)
    labels = [ax.get_ylabel() for ax in figure.axes if ax.get_visible()]
    assert labels[:5] == ["neuron", "rate (Hz)", "V", "neuron", "power (Hz)"]
    prediction = rv.predict(net)
    assert [ax.get_ylabel() for ax in rv.plot.overview(prediction).axes][:3] == ["rate (Hz)", "neuron", "power (Hz)"]
    comparison = rv.compare(recording, prediction)
    shown = [ax.get_xlabel() for ax in rv.plot.overview(comparison).axes]
    assert shown == ["predicted rate (Hz)", "predicted correlation"]
    assert rv.plot.overview(net).axes[0].get_xlabel() == "source"
    assert rv.plot.overview([{"loss": 1.0}]).axes[0].get_ylabel() == "loss"
    for other in (3, "loss", [], np.zeros(3)):
        with pytest.raises(TypeError, match="expected a Recording"):
            rv.plot.overview(other)
    frames = prediction.to_pandas(), comparison.to_pandas(), comparison.to_pandas("pairs")
    assert np.allclose(frames[0]["rate"], prediction.rates()) and frames[0]["name"].tolist() == net.names
    assert np.array_equal(frames[1]["simulated"], comparison.simulated_levels)
    assert len(frames[2]) == len(comparison.simulated) and (frames[2]["first"] < frames[2]["second"]).all()
    assert "rate (Hz), mean" in prediction._repr_html_() and "mean rate, simulated" in comparison._repr_html_()


@pytest.mark.parametrize("duration", [0.1, 1.0, 150.0])
def test_an_overview_of_a_short_recording_leaves_statistics_out(net, duration):
    labels = [ax.get_ylabel() for ax in rv.plot.overview(rv.simulate(net, duration, record="V")).axes]
    assert labels[:3] == ["neuron", "rate (Hz)", "V"] and "power (Hz)" not in labels


def test_voltages_of_graded_networks_are_the_predictions():
    net = rv.Network(seed=2)
    cells = net.add(rv.Graded(), 4, "cells", noise=2.0)
    net.connect(cells, cells, weight=0.5, in_degree=1, synapse=rv.Sigmoidal())
    prediction = rv.predict(net)
    (ax,) = rv.plot.overview(prediction).axes
    assert np.allclose(ax.lines[0].get_ydata(), prediction.mean())
    assert np.allclose(prediction.to_pandas()["mean_voltage"], prediction.mean())


def test_a_graph_has_every_edge(net):
    graph = net.to_networkx()
    assert graph.number_of_nodes() == net.size and graph.nodes[6] == {"name": "b[0]", "population": "b", "class": "b"}
    matrix = np.zeros((net.size, net.size))
    for source, target, data in graph.edges(data=True):
        matrix[target, source] += data["weight"]
        assert data["synapse"] == "Delta" and data["projection"] == 0
    (p,) = net.projections
    expected = np.zeros_like(matrix)
    expected[p.target.slice, p.source.slice] = p.matrix().toarray()
    assert np.array_equal(matrix, expected) and graph.number_of_edges() == 6


ODD = ("_hidden", r"$\bad{$", r"\$", "a$b$", "100 %")


@pytest.fixture(scope="module")
def odd() -> rv.Recording:
    net = rv.Network()
    for name in ODD:
        net.add(rv.SpikeTimes([5.0], [0]), 3, name)
    return rv.simulate(net, 50.0, dt=1.0, engine="torch")


def written(text) -> str:
    """What matplotlib draws of a text, in which no mathematics is."""
    shown, mathematics = text._preprocess_math(text.get_text())
    assert not mathematics
    return shown.removeprefix(" ")


def test_names_are_drawn_as_they_are(odd):
    pictures = [rv.plot.raster(odd), rv.plot.rates(odd), odd.raster().axes[0]]
    history = [dict.fromkeys(ODD, 1.0)]
    pictures += [rv.plot.training(history)]
    net = rv.Network()
    for name in ODD:
        net.add(rv.LIF(), 100, name)
    wide = rv.plot.wiring(net)
    net = rv.Network()
    cells = net.add(rv.LIF(), len(ODD), drive=1.0)
    trace = rv.simulate(net, 2.0, engine="torch", record=rv.Probe("V", cells)).states["V"]
    pictures += [rv.plot.trace(trace, names=ODD)]
    for ax in pictures:
        assert [written(text) for text in ax.get_legend().get_texts()] == list(ODD)
    for labels in (wide.get_xticklabels(), wide.get_yticklabels()):
        assert [written(text) for text in labels] == list(ODD)
    assert written(rv.plot.training([{ODD[1]: 1.0}]).yaxis.label) == ODD[1]


def test_silent_neurons_keep_their_rows(odd):
    assert rv.plot.raster(odd).get_ylim() == (-0.5, 14.5)
    assert rv.plot.raster(odd, ODD[1]).get_ylim() == (2.5, 5.5)
    assert rv.plot.raster(odd, [4, 10], start=20.0).get_ylim() == (3.5, 10.5)


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda r: rv.plot.raster(r, start=float("nan")), ValueError, "start is nan; expected"),
        (lambda r: rv.plot.raster(r, stop="2 s"), TypeError, "stop is '2 s'; expected"),
        (lambda r: rv.plot.raster(r, start=9.0, stop=3.0), ValueError, "start < stop"),
        (lambda r: rv.plot.raster(r.network), TypeError, "recording is Network; expected a Recording"),
        (lambda r: rv.plot.rates(r.network), TypeError, "result is Network, which has no rates"),
        (lambda r: rv.plot.correlation(3), TypeError, "result is int, which has no correlation"),
        (lambda r: rv.plot.spectrum(rv.Recording, [1.0]), TypeError, "result is Recording; |which has no spectrum"),
        (lambda r: rv.plot.cross_correlation(r, "ab", [0.0, 1.0]), TypeError, "pairs is <U2 'ab'; expected whole"),
        (lambda r: rv.plot.cross_correlation(r, [(0, 1.5)], [0.0, 1.0]), TypeError, "pairs is float64"),
        (lambda r: rv.plot.cross_correlation(r, [(0, 1, 2)], [0.0, 1.0]), ValueError, r"shape \(1, 3\); expected"),
        (lambda r: rv.plot.trace(r), TypeError, "of is Recording; expected a StateTrace"),
        (lambda r: rv.plot.weights(r), TypeError, "of is Recording; expected a WeightTrace"),
        (lambda r: rv.plot.wiring(r), TypeError, "net is Recording; expected a Network"),
        (lambda r: rv.plot.comparison(r), TypeError, "of is Recording; expected a Comparison"),
        (lambda r: rv.plot.voltages(r), TypeError, "prediction is Recording; expected"),
        (lambda r: rv.plot.training({"loss": [1.0]}), TypeError, "history is dict .*; expected a list"),
        (lambda r: rv.plot.training([{"loss": "a"}]), TypeError, "history is list .*; expected a list"),
        (lambda r: rv.plot.training([{"loss": 1.0}], names=3), TypeError, "names is 3; expected"),
        (lambda r: rv.plot.layer_raster("spikes"), TypeError, "spikes is str 'spikes'; expected"),
        (lambda r: rv.plot.layer_raster(torch.ones(2, 1, 1), sample=None), TypeError, "sample is None; expected"),
        (lambda r: rv.plot.layer_raster(torch.ones(2, 1, 1), dt=0.0), ValueError, "dt is 0.0; expected"),
        (lambda r: r.raster(between=3.0), TypeError, r"between is 3.0; expected \(from, to\)"),
        (lambda r: r.raster(between=(float("nan"), 3.0)), ValueError, "is nan; expected"),
        (lambda r: r.raster(size=0), ValueError, "size is 0.0; expected"),
        (lambda r: r.raster(ax=3), TypeError, "ax is int; expected matplotlib Axes"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(odd, draw, error, words):
    figures = plt.get_fignums()
    with pytest.raises(error, match=words):
        draw(odd)
    assert plt.get_fignums() == figures  # no empty one is left behind
