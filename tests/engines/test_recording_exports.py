"""Recordings in other tools: the same spikes and states come out again, in their units."""

from types import SimpleNamespace

import numpy as np
import pytest

import ranvier as rv
from ranvier.engines.recording import _exports
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.traces import StateTrace

NETWORK = SimpleNamespace(
    populations=[
        SimpleNamespace(name="exc", start=0, size=2, names=("AVAL", "AVAR")),
        SimpleNamespace(name="inh", start=2, size=2),
    ]
)
NAMES = ["AVAL", "AVAR", "inh[0]", "inh[1]"]
V = np.arange(12.0).reshape(4, 3)


@pytest.fixture
def recording():
    """Neuron 3 is silent."""
    states = {
        "V": StateTrace([30.0, 40.0, 50.0, 60.0], [0, 2, 3], V),
        "w": StateTrace([30.0, 40.0, 50.0, 60.0], [1], V[:, :1] + 0.5),
    }
    whole = Recording(
        [10, 250, 300, 300, 700],
        [1, 2, 0, 2, 1],
        n_neurons=4,
        dt=0.1,
        duration=100.0,
        states=states,
        network=NETWORK,
        manifest={"written": "2020-02-29T12:00:00+00:00"},
    )
    return whole.after(20.0)


TRAINS = [[30.0], [70.0], [25.0, 30.0], []]


def tool(name):
    """The package, whose own warnings while it is imported are not ours."""
    return pytest.importorskip(name)


def test_numpy_and_pandas(recording):
    times, neurons = recording.to_numpy()
    assert np.allclose(times, [25.0, 30.0, 30.0, 70.0], atol=1e-12) and neurons.tolist() == [2, 0, 2, 1]
    tool("pandas")
    frame = recording.to_pandas()
    assert list(frame.columns) == ["time", "neuron", "name", "population"] and len(frame) == 4
    assert frame["name"].tolist() == [NAMES[k] for k in neurons]
    assert frame.groupby("population", observed=False).size().to_dict() == {"exc": 2, "inh": 2}
    assert np.array_equal(frame["time"], times)


def test_xarray(recording):
    tool("xarray")
    data = recording.to_xarray()
    assert data["V"].dims == ("time", "neuron") and data["w"].dims == ("time", "neuron_w")
    assert data["V"].sel(time=50.0, neuron=2).item() == V[2, 1]
    assert data["w"].sel(time=60.0, neuron_w=1).item() == V[3, 0] + 0.5
    assert data["time"].attrs["units"] == "ms"


@pytest.mark.filterwarnings("ignore")
def test_neo(recording):
    tool("neo")
    (segment,) = recording.to_neo().segments
    assert len(segment.spiketrains) == 4
    for neuron, (train, expected) in enumerate(zip(segment.spiketrains, TRAINS, strict=True)):
        assert np.allclose(train.rescale("s").magnitude, np.array(expected) / 1000.0)
        assert train.annotations == {"neuron": neuron, "population": "exc" if neuron < 2 else "inh"}
        assert train.name == NAMES[neuron]
        assert (train.t_start.rescale("ms").item(), train.t_stop.rescale("ms").item()) == (20.0, 100.0)
    signal = segment.analogsignals[0]
    assert signal.name == "V" and np.array_equal(signal.magnitude, V)
    assert str(signal.units.dimensionality) == "mV" and signal.sampling_period.rescale("ms").item() == 10.0
    assert signal.times.rescale("ms").magnitude.tolist() == [30.0, 40.0, 50.0, 60.0]


@pytest.mark.filterwarnings("ignore")
def test_pynapple(recording):
    tool("pynapple")
    group = recording.to_pynapple()
    for neuron, expected in enumerate(TRAINS):
        assert np.allclose(group[neuron].t, np.array(expected) / 1000.0)
    assert list(group["population"]) == ["exc", "exc", "inh", "inh"] and list(group["name"]) == NAMES
    assert np.allclose(group.rates, recording.rates())
    frame = recording.to_pynapple("V")
    assert np.array_equal(frame.d, V) and np.allclose(frame.t, [0.03, 0.04, 0.05, 0.06])
    assert list(frame.columns) == [0, 2, 3]


@pytest.mark.filterwarnings("ignore")
def test_nwb(recording, tmp_path):
    pynwb = tool("pynwb")
    path = recording.to_nwb(tmp_path / "run.nwb", description="four neurons")
    assert [p.name for p in tmp_path.iterdir()] == ["run.nwb"]
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        assert file.session_description == "four neurons"
        assert file.session_start_time.isoformat() == "2020-02-29T12:00:00+00:00"
        for neuron, expected in enumerate(TRAINS):
            assert np.allclose(file.units["spike_times"][neuron], np.array(expected) / 1000.0)
            assert np.allclose(file.units["obs_intervals"][neuron], [[0.02, 0.1]])
        assert list(file.units["population"][:]) == ["exc", "exc", "inh", "inh"]
        series = file.acquisition["V"]
        assert np.array_equal(series.data[:], V) and series.timestamps is None
        assert (series.starting_time, series.rate) == (0.03, 100.0)
        assert (series.unit, series.conversion) == ("volts", 1e-3)
        assert series.description == "columns are neurons AVAL, inh[0], inh[1]"
    session = rv.recordings.read_nwb(path)
    assert list(session.neurons.names) == NAMES and session.n_neurons == 4
    recording.to_nwb(path, description="another")  # takes its place
    assert rv.recordings.read_nwb(path).n_neurons == 4 and [p.name for p in tmp_path.iterdir()] == ["run.nwb"]
    for nothing in ("", ".", tmp_path / ".."):
        with pytest.raises((ValueError, IsADirectoryError), match="expected a file's name"):
            recording.to_nwb(nothing)


@pytest.mark.filterwarnings("ignore")
def test_names_and_activity_of_neurons_without_spikes_come_back(tmp_path):
    tool("pynwb")
    net = rv.Network()
    net.add(rv.Graded(), 2, "cells", names=["AVAL", "AVAR"])
    trace = StateTrace([10.0, 20.0, 30.0], [0, 1], V[:3, :2])
    run = Recording([], [], n_neurons=2, dt=1.0, duration=30.0, states={"V": trace}, network=net)
    stored = Recording.open(run.save(tmp_path / "run"))
    assert stored.names == run.names == ["AVAL", "AVAR"] and stored.populations[0][:3] == ("cells", 0, 2)
    read = rv.recordings.read_session(run.to_nwb(tmp_path / "run.nwb"))
    for session, scale in ((rv.recordings.read_session(tmp_path / "run"), 1.0), (read, 1e-3)):
        assert session.kind == "continuous" and list(session.neurons.names) == ["AVAL", "AVAR"]
        assert np.allclose(session.activity.read(), scale * V[:3, :2])
    file = tmp_path / "run" / "manifest.json"
    file.write_text(file.read_text().replace('"AVAR"', '"AVAR", "more"'))
    with pytest.raises(ValueError, match="a list of 2 names"):
        Recording.open(tmp_path / "run")


@pytest.mark.filterwarnings("ignore")
def test_a_failed_nwb_file_leaves_nothing(recording, tmp_path, monkeypatch):
    pynwb = tool("pynwb")

    def failing(self, *arguments, **named):
        raise OSError("no space left")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", failing)
    with pytest.raises(OSError, match="no space"):
        recording.to_nwb(tmp_path / "run.nwb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("export", ["pandas", "xarray", "neo", "pynapple"])
def test_a_missing_package_is_named_with_its_remedy(recording, monkeypatch, export):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(_exports, "import_module", absent)
    with pytest.raises(ImportError, match=rf'^{export} is not.*pip install "ranvier\[brain\]"'):
        getattr(recording, f"to_{export}")()


@pytest.mark.filterwarnings("ignore")
def test_units_are_those_of_the_equations_and_uneven_times_stay(tmp_path):
    neo, pynwb = tool("neo"), tool("pynwb")
    net = rv.Network()
    net.add(rv.AdEx(), 2, "cells")
    values = np.arange(6.0).reshape(3, 2)
    states = {"w": StateTrace([1.0, 2.0, 4.0], [0, 1], values), "V": StateTrace([1.0, 2.0, 3.0], [0, 1], values)}
    run = Recording([], [], n_neurons=2, dt=0.1, duration=10.0, states=states, network=net)
    (segment,) = run.to_neo().segments
    assert isinstance(segment.irregularlysampledsignals[0], neo.IrregularlySampledSignal)
    unit = next(state.unit for state in rv.AdEx().equations.states if state.name == "w")
    assert str(segment.irregularlysampledsignals[0].units.dimensionality) == unit
    with pynwb.NWBHDF5IO(run.to_nwb(tmp_path / "run.nwb"), "r") as io:
        acquired = io.read().acquisition
        assert acquired["w"].timestamps[:].tolist() == [0.001, 0.002, 0.004] and acquired["w"].rate is None
        assert acquired["V"].rate == 1000.0
    frame = states["w"].to_pandas()
    assert frame.index.tolist() == [1.0, 2.0, 4.0] and frame[1].tolist() == [1.0, 3.0, 5.0]


def test_pages_of_results_are_escaped_and_bounded():
    net = rv.Network()
    for k in range(60):
        net.add(rv.LIF(), 1, f"p{k}")
    object.__setattr__(net.populations[0], "name", "<script>x</script>")
    trace = StateTrace([1.0, 2.0], list(range(60)), np.zeros((2, 60)))
    run = Recording([], [], n_neurons=60, dt=0.1, duration=10.0, states={"V": trace}, network=net)
    for result in (run, trace, net):
        html = result._repr_html_()
        assert "<script" not in html and html.count("<tr>") <= 41 and "more</p>" in html
    assert "&lt;script&gt;" in run._repr_html_() and "&lt;script&gt;" in net._repr_html_()
