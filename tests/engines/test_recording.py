"""`Recording` in memory: what it keeps, whom it asks, and how it is cut, shown and exported."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ranvier import analysis
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.traces import StateTrace
from tests.engines.recorded import INH, NETWORK, random_spikes, recorded


@pytest.fixture
def events(rng):
    return random_spikes(rng)


@pytest.fixture
def recording(events, rng):
    return recorded(events, rng, seed=3)


def test_spikes_come_back_as_times_and_neurons(recording, events):
    assert torch.equal(recording.times, torch.from_numpy(events[0] * 0.5))
    assert recording.times.dtype == torch.float64 and recording.neurons.dtype == torch.int64
    assert recording.neurons.tolist() == events[1].tolist()
    assert (recording.duration, recording.dt, recording.n_spikes) == (2000.0, 0.5, len(events[0]))
    assert recording.manifest == {"seed": 3} and recording.network is NETWORK


def test_answers_are_those_of_analysis_as_float64_tensors(recording, events):
    spikes = analysis.Spikes.from_steps(*events, n_neurons=5, dt=0.5, stop=4000)
    lags, f = np.arange(-20.0, 21.0, 5.0), np.array([5.0, 10.0])
    for run, expected in (
        (recording.rates(), analysis.rates(spikes)),
        (recording.cv(), analysis.cv(spikes)),
        (recording.covariance(50.0), analysis.covariance(spikes, 50.0)),
        (recording.correlation(50.0), analysis.correlation(spikes, 50.0)),
        (recording.cross_correlation(torch.from_numpy(lags)), analysis.cross_correlation(spikes, lags)),
        (recording.fano(50.0), analysis.fano(spikes, 50.0)),
        (recording.population_rate(10.0), analysis.population_rate(spikes, 10.0)),
    ):
        assert run.dtype == torch.float64 and np.array_equal(run.numpy(), expected)
    run = recording.spectrum(f, pairs=torch.tensor([[0, 3]]))
    assert run.dtype == torch.complex128
    assert np.array_equal(run.numpy(), analysis.spectrum(spikes, f, pairs=[[0, 3]]))
    value, error = recording.covariance(20.0, return_error=True, blocks=5)
    assert np.array_equal(error.numpy(), analysis.covariance(spikes, 20.0, return_error=True, blocks=5)[1])
    assert torch.equal(value, recording.covariance(20.0)) or torch.allclose(value, recording.covariance(20.0))


@pytest.mark.parametrize(
    "chosen",
    [
        INH,
        "inh",
        [3, 4],
        np.array([3, 4]),
        torch.tensor([3, 4]),
        range(3, 5),
        slice(3, None),
        ["inh"],
        (INH,),
    ],
)
def test_neurons_may_be_named_in_every_way(recording, chosen):
    assert torch.equal(recording.rates(neurons=chosen), recording.rates()[3:])
    assert torch.allclose(recording.covariance(50.0, neurons=chosen), recording.covariance(50.0)[3:, 3:])


def test_a_list_of_populations_keeps_its_order_and_a_mask_chooses(recording):
    rates = recording.rates()
    assert torch.equal(recording.rates(neurons=[INH, "exc"]), rates[[3, 4, 0, 1, 2]])
    assert torch.equal(recording.rates(neurons=rates > rates.median()), rates[rates > rates.median()])


def test_unknown_neurons_are_refused(recording):
    with pytest.raises(ValueError, match=r"no population 'inb'; expected one of exc, inh"):
        recording.rates(neurons="inb")
    with pytest.raises(ValueError, match="neuron 5; expected indices from 0 to 4"):
        recording.rates(neurons=[5])
    with pytest.raises(TypeError, match="expected a population"):
        recording.rates(neurons=[0.5])
    with pytest.raises(ValueError, match="expected one: pairs"):
        recording.spectrum([5.0], neurons="inh", pairs=[[0, 1]])


def test_a_cut_keeps_the_clock(recording):
    later = recording.after(500.0)
    assert (later.start, later.duration) == (500.0, 1500.0)
    assert torch.equal(later.times, recording.times[recording.times > 500.0])
    run = recording.times > 500.0
    expected = torch.bincount(recording.neurons[run], minlength=5) / 1.5
    assert torch.allclose(later.rates(), expected.double())
    assert later.states["V"].times[0] == 501.0 and len(later.states["V"].values) == 1499
    assert torch.equal(later.after(700.0).times, recording.after(700.0).times)
    with pytest.raises(ValueError, match="500 ≤ t < 2000"):
        later.after(400.0)


def test_repr_tells_the_populations(recording):
    rate = recording.rates()[3:].mean()
    assert f"inh 2 at {rate:.3g} Hz" in repr(recording) and "states V, w" in repr(recording)
    assert f"<td>inh</td><td>2</td><td>{rate:.3g}</td>" in recording._repr_html_()
    bare = Recording([1], [0], n_neurons=2, dt=0.1, duration=1000.0)
    assert repr(bare) == "Recording(1 s; 2 neurons; 1 spike; neurons 2 at 0.5 Hz)"


def test_repr_html_escapes_names():
    network = SimpleNamespace(populations=[SimpleNamespace(name="<b>", start=0, size=1)])
    html = Recording([], [], n_neurons=1, dt=0.1, duration=10.0, network=network)._repr_html_()
    assert "&lt;b&gt;" in html


def test_traces_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(3, 2\)"):
        StateTrace([0.0, 1.0, 2.0], [0, 1], np.zeros((2, 3)))


def test_raster_draws_every_spike_once_by_population(recording):
    (ax,) = recording.raster().axes
    drawn = np.concatenate([line.get_xydata() for line in ax.get_lines()])
    expected = np.column_stack([recording.times, recording.neurons])
    assert np.array_equal(drawn[np.lexsort(drawn.T[::-1])], expected[np.lexsort(expected.T[::-1])])
    assert [line.get_label() for line in ax.get_lines()] == ["exc", "inh"]


def test_raster_of_a_part(recording):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert recording.raster(neurons="inh", between=(100.0, 300.0), ax=ax) is ax.figure
    drawn = ax.get_lines()[1].get_xydata()
    t, n = recording.times, recording.neurons
    saved = (t >= 100.0) & (t <= 300.0) & (n >= 3)
    assert np.array_equal(drawn, np.column_stack([t[saved], n[saved] - 3]))
    assert ax.get_xlim() == (100.0, 300.0)
    with pytest.raises(ValueError, match="from < to"):
        recording.raster(between=(3.0, 1.0))
