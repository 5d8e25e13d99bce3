"""What is written comes back; what cannot be read is named."""

import contextlib
from datetime import UTC, datetime

import numpy as np
import pytest

import ranvier as rv
from ranvier.recordings import Session, from_neo, from_pynapple, read_session

rng = np.random.default_rng(5)
TRACES = rng.standard_normal((30, 4)).astype(np.float32)
TRACES[3:6, 1] = np.nan
TIME = np.cumsum(rng.uniform(0.4, 0.6, 30))
NAMES = ["AVAL", "", "AVAR", "RIM?"]
SPEED = rng.standard_normal(30)
SPIKES = np.sort(rng.uniform(0, 2, 200)), rng.integers(0, 3, 200)


def npz(path):
    arrays = {"traces": TRACES, "names": np.array(NAMES), "confidence": [4.0, 0, 3, 2], "time_s": TIME, "speed": SPEED}
    np.savez(path / "worm.npz", **arrays)
    return path / "worm.npz", {}


def mat(path):
    from scipy.io import savemat

    cells = np.array([[1, 2], "a", 3.0], object)
    savemat(path / "worm.mat", {"F": TRACES.T, "t": TIME, "speed": SPEED, "cells": cells})
    return path / "worm.mat", {"transpose": True}


def mat73(path):
    import h5py

    with h5py.File(path / "worm.mat", "w", userblock_size=512) as file:
        file["F"], file["t"], file["speed"] = TRACES.T, TIME[:, None], SPEED[:, None]
    with open(path / "worm.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path / "worm.mat", {}


def table(path):
    rows = [",".join(["time_s", "AVAL", "x1", "AVAR", "RIM?", "speed"])]
    rows += [",".join(["" if np.isnan(v) else repr(float(v)) for v in (t, *row, s)])
             for t, row, s in zip(TIME, TRACES, SPEED)]  # fmt: skip
    (path / "worm.csv").write_text("\n".join(rows))
    return path / "worm.csv", {"behaviour": ["speed"]}


def nwb(path):
    import pynwb
    from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel

    file = pynwb.NWBFile("s", "id", datetime(2020, 1, 1, tzinfo=UTC))
    device = file.create_device("scope")
    plane = file.create_imaging_plane(
        name="plane", optical_channel=OpticalChannel(name="c", description="", emission_lambda=1.0), description="",
        device=device, excitation_lambda=1.0, indicator="g", location="head",
    )  # fmt: skip
    module = file.create_processing_module("ophys", "o")
    segmentation = ImageSegmentation()
    module.add(segmentation)
    rois = segmentation.create_plane_segmentation("rois", plane, "rois")
    rois.add_column("neuron_name", "canonical")
    for name in NAMES:
        rois.add_roi(image_mask=np.ones((2, 2)), neuron_name=name)
    fluorescence = Fluorescence()
    module.add(fluorescence)
    fluorescence.create_roi_response_series(
        name="RoiResponseSeries", data=TRACES, rois=rois.create_roi_table_region("all", region=[0, 1, 2, 3]),
        unit="a.u.", timestamps=TIME,
    )  # fmt: skip
    behaviour = file.create_processing_module("behavior", "b")
    behaviour.add(pynwb.TimeSeries(name="speed", data=SPEED * 10, unit="mm/s", timestamps=TIME, conversion=0.1))
    behaviour.add(pynwb.TimeSeries(name="broken", data=SPEED, unit="mm/s", timestamps=TIME[::-1]))
    file.add_trial_column("which", "w")
    file.add_trial(start_time=2.0, stop_time=3.0, which="b")
    file.add_trial(start_time=1.0, stop_time=2.0, which="a")
    with pynwb.NWBHDF5IO(str(path / "worm.nwb"), "w") as io:
        io.write(file)
    return path / "worm.nwb", {}


@pytest.mark.parametrize("write", [npz, mat, mat73, table, nwb])
def test_continuous_activity_comes_back(write, tmp_path):
    path, options = write(tmp_path)
    session = read_session(path, **options)
    assert session.kind == "continuous" and session.n_neurons == 4
    np.testing.assert_allclose(session.activity.times, TIME * 1000, rtol=1e-9)
    np.testing.assert_allclose(session.activity.read(), TRACES, rtol=1e-6, equal_nan=True)
    np.testing.assert_allclose(session.activity.read(slice(2, 5), [3, 1]), TRACES[2:5][:, [3, 1]], rtol=1e-6)
    np.testing.assert_allclose(session.signal("speed").read().ravel(), SPEED, rtol=1e-9)
    if write in (npz, nwb):
        assert session.neurons.names == tuple(NAMES) and session.neurons.labelled.tolist() == [True, False, True, True]
    if write is npz:
        assert session.neurons.confidence.tolist() == [4.0, 0.0, 3.0, 2.0]
    if write is nwb:
        assert session.trials["which"].tolist() == ["a", "b"] and session.trials.start.tolist() == [1000.0, 2000.0]
        assert any("broken left out" in note for note in session.notes)


def spikes_nwb(path):
    import pynwb

    file = pynwb.NWBFile("s", "id", datetime(2020, 1, 1, tzinfo=UTC))
    file.add_unit_column("area", "a")
    for k in range(3):
        file.add_unit(spike_times=SPIKES[0][SPIKES[1] == k], area="V1", obs_intervals=[[0.0, 2.0]])
    with pynwb.NWBHDF5IO(str(path / "units.nwb"), "w") as io:
        io.write(file)
    return read_session(path / "units.nwb")


def spikes_csv(path):
    rows = [f"{t!r},{k}" for t, k in zip(SPIKES[0].tolist(), SPIKES[1])]
    (path / "s.csv").write_text("\n".join(["time_s,unit", *rows]))
    return read_session(path / "s.csv")


def spikes_npz(path):
    np.savez(path / "s.npz", spike_times=SPIKES[0] * 1000, spike_neurons=SPIKES[1])
    return read_session(path / "s.npz", unit="ms")


def group():
    import pynapple as nap

    support = nap.IntervalSet(0.0, 2.0)
    trains = {k: nap.Ts(SPIKES[0][SPIKES[1] == k]) for k in range(3)}
    return nap.TsGroup(trains, time_support=support, metadata={"area": np.array(["a", "b", "c"])})


def spikes_pynapple(path):
    return from_pynapple(group())


def spikes_pynapple_file(path):
    group().save(str(path / "g.npz"))
    return read_session(path / "g.npz")


def neo_segment():
    import neo
    import quantities as pq

    segment = neo.Segment()
    for k in range(3):
        segment.spiketrains.append(
            neo.SpikeTrain(SPIKES[0][SPIKES[1] == k], t_start=0 * pq.s, t_stop=2.0 * pq.s, units="s", name=f"u{k}")
        )
    segment.epochs.append(neo.Epoch([0.5, 1.0] * pq.s, [0.25, 0.5] * pq.s, labels=np.array(["x", "y"])))
    return segment


def spikes_neo(path):
    session = from_neo(neo_segment())
    assert session.neurons.names == ("u0", "u1", "u2") and session.trials["label"].tolist() == ["x", "y"]
    return session


@pytest.mark.parametrize(
    "read", [spikes_nwb, spikes_csv, spikes_npz, spikes_pynapple, spikes_pynapple_file, spikes_neo]
)
def test_spikes_come_back_as_pynapple_counts_them(read, tmp_path):
    session = read(tmp_path)
    expected = np.asarray(group().count(0.1).values)
    got = np.asarray(session.binned(100.0).values)
    assert len(got) >= 19 and np.array_equal(got[:19], expected[:19])


@pytest.mark.parametrize("read", [spikes_nwb, spikes_pynapple, spikes_pynapple_file, spikes_neo])
def test_a_session_is_as_long_as_its_file_says(read, tmp_path):
    session = read(tmp_path)
    assert (session.start, session.stop) == (0.0, 2000.0)
    assert session.rates().numpy() == pytest.approx(np.bincount(SPIKES[1]) / 2.0, rel=1e-12)


def test_units_of_a_saved_group_keep_their_keys(tmp_path):
    import pynapple as nap

    support = nap.IntervalSet(0.0, 1.0)
    trains = {key: nap.Ts(t, time_support=support) for key, t in {2: [0.1, 0.5], 7: [0.2], 9: []}.items()}
    nap.TsGroup(trains, time_support=support).save(str(tmp_path / "g.npz"))
    session = read_session(tmp_path / "g.npz")
    assert session.neurons.names == ("2", "7", "9") and session.rates().tolist() == [2.0, 1.0, 0.0]
    with np.load(tmp_path / "g.npz", allow_pickle=True) as file:
        held = {key: file[key] for key in file.files if key != "_metadata"}
    for key, value in {"keys": [2, 7, 7], "index": [2, 8, 2], "end": [0.0], "start": [np.nan]}.items():
        np.savez(tmp_path / "odd.npz", **held | {key: np.array(value)})
        with pytest.raises(ValueError, match="expected"):
            read_session(tmp_path / "odd.npz")


def test_a_file_of_silent_neurons_is_read(tmp_path):
    net = rv.Network()
    net.add(rv.Graded(), 3)
    rv.simulate(net, 200.0, dt=1.0, engine="torch").to_nwb(tmp_path / "silent.nwb")
    session = read_session(tmp_path / "silent.nwb")
    assert session.rates().tolist() == [0.0] * 3 and session.duration == pytest.approx(200.0)


def test_an_end_between_two_steps_keeps_the_last_spike():
    session = Session.from_times([0.04, 10.03], [0, 0], duration=10.05)
    assert session.stop == pytest.approx(10.1) and float(session.rates()) == pytest.approx(2 / 0.0101)


def test_a_saved_simulation_is_a_session(tmp_path):
    net = rv.Network()
    net.add(rv.Poisson(20.0), 3, name="p")
    recording = rv.simulate(net, 500.0, seed=1)
    recording.save(tmp_path / "run")
    assert (read_session(tmp_path / "run").rates() == recording.rates()).all()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "time_s,x\n1,2\n0,3\n", "expected increasing times"),
        ("a.csv", "time_s,x,y\n1,2\n", "row 2 of .* has 2 cells; expected 3"),
        ("a.csv", "time_s,x\n1,fast\n", "x in row 2 .* is 'fast'; expected a number"),
        ("a.csv", "x,y\n1,2\n", "expected one of times: say time=NAME"),
        ("a.csv", "time_s\n1\n", "no column of activity"),
        ("a.csv", "", "0 rows; expected a header"),
        ("a.csv", "time_s,unit\n1,a\n,b\n", "a spike without a time"),
        ("a.bin", "hello", "of no known kind"),
        ("a.npz", b"PK\x03\x04broken", "an .npz file"),
        ("a.nwb", b"\x89HDF\r\n\x1a\n" + b"0" * 200, "is no NWB file"),
        ("a.mat", b"MATLAB 5.0 MAT-file" + b" " * 300, "broken .mat|holds nothing"),
        ("a.npy", b"\x93NUMPY\x01\x00", "."),
    ],
)
def test_broken_files_are_named(name, content, words, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=words):
        read_session(path)


def test_options_that_do_not_fit_are_named(tmp_path):
    path, _ = npz(tmp_path)
    for options, words in (
        ({"activity": "trace"}, "did you mean 'traces'"),
        ({"times": "speed"}, "expected increasing times"),
        ({"unit": "hours", "times": "time_s", "activity": "names"}, "expected real numbers"),
        ({"behaviour": ["names"]}, "names"),
        ({"behaviour": {"v": ("traces", 9)}}, "expected a column 9"),
        ({"colour": "x"}, "'colour' is no role of an array"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            read_session(path, **options)
    with pytest.raises(FileNotFoundError):
        read_session(tmp_path / "absent.npz")


@pytest.mark.parametrize("write", [npz, mat])
def test_damaged_bytes_raise_nothing_but_value_errors(write, tmp_path):
    path, options = write(tmp_path)
    whole = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for _ in range(150):
        damaged = whole.copy()
        for at in noise.integers(0, len(whole), 6):
            damaged[at] = noise.integers(256)
        path.write_bytes(damaged[: noise.integers(20, len(whole))] if noise.random() < 0.3 else damaged)
        with contextlib.suppress(ValueError, TypeError):
            read_session(path, **options).activity.read()


@pytest.mark.parametrize("packed", [False, True])
def test_matlab_arrays_are_those_of_scipy(packed, tmp_path):
    from scipy.io import loadmat, savemat

    from ranvier.recordings.readers.matlab import read_matlab

    arrays = {
        "f8": rng.standard_normal((3, 4)), "f4": np.ones((2, 2, 3), np.float32), "u1": np.arange(5, dtype=np.uint8),
        "i2": np.array([[-300, 4]], np.int16), "flag": np.array([True, False]), "one": 3.0, "text": "abc",
        "words": np.array(["ab", "cde"]), "c": np.ones(3) * 1j, "cell": np.array([1, "a"], object),
        "void": np.ones((0, 3)),
    }  # fmt: skip
    savemat(tmp_path / "a.mat", arrays, do_compression=packed)
    table, other = read_matlab(tmp_path / "a.mat"), loadmat(tmp_path / "a.mat")
    assert set(table) == set(arrays) - {"c", "cell"}
    for name, lazy in table.items():
        assert lazy.shape == lazy[:].shape
        expected = [w.strip() for w in other[name]] if lazy.dtype.kind == "U" else other[name]
        got = [w.strip() for w in lazy[:]] if lazy.dtype.kind == "U" else lazy[:]
        assert np.array_equal(got, expected), name


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_values_whose_products_overflow_are_refused(tmp_path, suffix):
    """Two of 1e308 have no variance that is a number; up to 1e100 all of a page's statistics are."""
    path, rng = tmp_path / f"large{suffix}", np.random.default_rng(0)
    for scale, fine in ((1e99, True), (1e102, False)):
        values = rng.uniform(0.5, 1.0, (50, 3)) * scale
        if suffix == ".npz":
            np.savez(path, activity=values, time_s=np.arange(50.0))
        else:
            rows = [",".join(f"{x!r}" for x in map(float, (t, *row))) for t, row in enumerate(values)]
            path.write_text("\n".join(["time_s,a,b,c", *rows]))
        session = rv.recordings.read_session(path)
        if fine:
            assert np.isfinite(np.var(session.activity.read()))
        else:
            with pytest.raises(ValueError, match=rf"activity of .*large{suffix} reaches (1e\+102|9\..*e\+101)"):
                session.activity.read()


def test_complex_arrays_are_named(tmp_path):
    path = tmp_path / "odd.npz"
    np.savez(path, foo=np.ones((5, 3)) + 1j, bar=np.arange(5.0))
    with pytest.raises(ValueError, match=r"foo \(complex128\), bar"):
        rv.recordings.read_session(path)
    with pytest.raises(ValueError, match=r"foo of .* holds complex128; expected real numbers"):
        rv.recordings.read_session(path, activity="foo", times="bar")
    np.savez(path, activity=np.ones((5, 3)), t=np.arange(5.0) + 1j)
    with pytest.raises(ValueError, match=r"t of .* holds complex128"):
        rv.recordings.read_session(path)


def test_times_that_no_clock_has_are_refused(tmp_path):
    path = tmp_path / "late.npz"
    np.savez(path, spike_times=np.array([0.1, 1e307]), spike_neurons=np.array([0, 1]))
    with pytest.raises(ValueError, match=r"spike_times of .* reaches 1e\+307; expected times below"):
        rv.recordings.read_session(path)
