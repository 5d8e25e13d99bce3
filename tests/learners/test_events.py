"""Event recordings: bytes written by hand, tonic's layouts, frames counted one event at a time, damage."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ranvier.learners import bin_events, read_bs2, read_nmnist
from ranvier.learners.datasets.events import EVENT, as_events

NMNIST = Path(__file__).parents[3] / "shared" / "data" / "nmnist"


def encoded(*events: tuple[int, int, int, int]) -> bytes:
    """x, y, t, p as the format says."""
    return b"".join(bytes([x, y]) + (p << 23 | t).to_bytes(3, "big") for x, y, t, p in events)


EVENTS = [(0, 33, 0, 1), (33, 0, 999, 0), (5, 6, 1000, 1), (5, 6, 0x7FFFFF, 1)]


def test_five_bytes_an_event(tmp_path):
    path = tmp_path / "1.bs2"
    path.write_bytes(encoded(*EVENTS))
    assert path.stat().st_size == 20
    assert [tuple(map(int, e)) for e in read_bs2(path)] == EVENTS


def test_markers_of_overflow_move_later_times(tmp_path):
    path = tmp_path / "1.bs2"
    path.write_bytes(encoded((1, 2, 8000, 0), (0, 240, 0, 0), (3, 4, 100, 1), (0, 240, 5, 0), (5, 6, 0, 1)))
    assert [tuple(map(int, e)) for e in read_bs2(path)] == [(1, 2, 8000, 0), (3, 4, 8292, 1), (5, 6, 16384, 1)]


@given(st.binary(max_size=80))
def test_foreign_bytes_give_events_or_a_value_error(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        try:
            result = read_bs2(path)
        except ValueError as error:
            assert str(path) in str(error)
            return
        assert len(data) % 5 == 0 and len(result) <= len(data) // 5
        assert ((result["x"] < 34) & (result["y"] < 34)).all() and (np.diff(result["t"]) >= 0).all()


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "x.bs2"
    for data, text in (
        (b"", "0 bytes"), (encoded(*EVENTS)[:-1], "19 bytes"), (encoded((34, 0, 0, 0)), "x is 34 at event 0"),
        (encoded((0, 0, 5, 0), (0, 0, 4, 0)), "t is 4 µs at event 1"),
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(ValueError, match=text):
            read_bs2(path)
    with pytest.raises(FileNotFoundError, match="expected an N-MNIST recording"):
        read_bs2(tmp_path / "none.bs2")


def test_lists_of_samples(tmp_path):
    (tmp_path / "train1K.txt").write_bytes(b"#sample #class\r\n7\t3\r\n\r\n9 0\r\n")
    for name in ("7", "9"):
        (tmp_path / f"{name}.bs2").write_bytes(encoded((int(name), 0, 1, 1)))
    recordings, labels = read_nmnist(tmp_path)
    assert [int(r["x"][0]) for r in recordings] == [7, 9] and labels.tolist() == [3, 0]
    for text in ("7 10\n", "seven 1\n", "7\n"):
        (tmp_path / "train1K.txt").write_text(text)
        with pytest.raises(ValueError, match="line 1"):
            read_nmnist(tmp_path)
    (tmp_path / "train1K.txt").write_text("#sample #class\n")
    with pytest.raises(ValueError, match="there is no sample"):
        read_nmnist(tmp_path)
    (tmp_path / "train1K.txt").write_text("8 1\n")
    with pytest.raises(FileNotFoundError, match=r"8\.bs2"):
        read_nmnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a list"):
        read_nmnist(tmp_path, train=False)


@pytest.mark.parametrize("binary", [False, True])
def test_frames_are_counts_of_one_event_after_the_other(binary):
    rng, steps, interval, size = np.random.default_rng(0), 4, 0.5, (3, 5)
    recordings = []
    for count in (40, 0, 25):
        events = np.empty(count, EVENT)
        for name, end in (("x", 5), ("y", 3), ("p", 2), ("t", 2600)):
            events[name] = rng.integers(0, end, count)
        events["t"].sort()
        recordings.append(events)
    expected = torch.zeros(steps, 3, 2, *size)
    for b, events in enumerate(recordings):
        for x, y, t, p in events.tolist():
            if t < 1000 * steps * interval:
                expected[t // 500, b, p, y, x] += 1
    assert expected.max() > 1
    recording = bin_events(recordings, steps, interval, size=size, binary=binary)
    assert recording.equal(expected.clamp(max=1) if binary else expected)


def test_layouts_of_tonics_data_sets():
    """NMNIST: whole numbers; DVSGesture: bool polarity; SHD: t first, no y, unsigned."""
    for dtype in ([("x", int), ("y", int), ("t", int), ("p", int)],
                  [("x", np.int16), ("y", np.int16), ("p", bool), ("t", np.int64)]):  # fmt: skip
        array = np.zeros(2, dtype)
        array["x"], array["t"], array["p"] = [1, 2], [10, 1500], [1, 0]
        frames = bin_events([array], 2, 1.0, size=(3, 4))
        assert frames.nonzero().tolist() == [[0, 0, 1, 0, 1], [1, 0, 0, 0, 2]]
    audio = np.zeros(1, [("t", np.uint32), ("x", np.uint16), ("p", np.int8)])
    audio["x"], audio["p"] = 699, 1
    assert bin_events([audio], 1, 1.0, size=(1, 700)).nonzero().tolist() == [[0, 0, 1, 0, 699]]


def test_arrays_that_are_no_events_are_refused():
    with pytest.raises(ValueError, match="expected one axis with x, y, t and p"):
        as_events(np.zeros(3), (3, 3))
    bad = np.zeros(2, EVENT)
    bad["p"][1] = -1
    with pytest.raises(ValueError, match="in recording 1: p is -1 at event 1"):
        bin_events([bad[:1], bad], 2, 1.0)
    floats = np.zeros(1, [("x", int), ("t", float)])
    floats["t"] = np.nan
    with pytest.raises(ValueError, match="t is nan"):
        as_events(floats, (1, 1))
    for arguments, text in (((0, 1.0), "steps is 0"), ((2, 0.0), "interval is 0")):
        with pytest.raises(ValueError, match=text):
            bin_events([bad[:1]], *arguments)
    with pytest.raises(ValueError, match="there is no recording"):
        bin_events([], 1, 1.0)


@pytest.mark.parametrize(("name", "value"), [("x", 1.5), ("y", 0.25), ("p", 0.5), ("x", math.nan), ("t", 1e300)])
def test_numbers_that_are_no_events_are_refused(name, value):
    events = np.zeros(2, [(n, "f8") for n in "xytp"])
    assert float(bin_events([events], 1, 1.0).sum()) == 2
    events[name][1] = value
    with pytest.raises(ValueError, match=f"{name} is .* at event 1"):
        bin_events([events], 1, 1.0)


def test_what_is_no_array_and_markers_alone_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one axis with x, y, t and p"):
        bin_events([[1, 2]], 1, 1.0)
    (tmp_path / "markers.bs2").write_bytes(bytes([0, 240, 0, 0, 0]) * 3)
    with pytest.raises(ValueError, match="expected a whole number of events"):
        read_bs2(tmp_path / "markers.bs2")


@pytest.mark.skipif(not NMNIST.is_dir(), reason="N-MNIST is not at ../shared/data/nmnist")
def test_nmnist_is_read():
    recordings, labels = read_nmnist(NMNIST, train=False)
    assert len(recordings) == 100 and len(labels) == 100
    assert all(300_000 < r["t"][-1] < 340_000 for r in recordings)  # three saccades of some 100 ms
    frames = bin_events(recordings, 30, 10.0)
    counted = sum(int((r["t"] < 300_000).sum()) for r in recordings)
    assert int(frames.sum()) == counted > 300_000
