"""Event cameras and cochleas: words written by hand, damage, what generators and augmentations do to known flow."""

import math
import struct
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.learners.datasets import cochleas
from ranvier.learners.datasets.events import as_events

L = rv.learners
AEDAT3 = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
#: what takes the size of a sensor, here of files that are not there
SIZED = [
    lambda size: L.read_aedat("absent", size=size), lambda size: L.read_evt("absent", size=size),
    lambda size: L.read_bs2("absent", size=size), lambda size: L.moving_grating((0.1, 0.0), size=size),
    lambda size: L.EventFrames(5, 10.0, size=size)([(L.moving_grating((0.1, 0.0), duration=20.0), 1)]),
]  # fmt: skip
EVT2, EVT3 = b"% evt 2.0\n% geometry 640x480\n% end\n", b"% date x\n% format EVT3;height=480;width=640\n% end\n"


def rows(events):
    return [tuple(map(int, e)) for e in events]


def test_words_of_evt_2(tmp_path):
    """Time high 28 bits of 64 µs, low 6 bits, x 11, y 11; a trigger, and an event before the first time, count not."""
    words = [1 << 28 | 5 << 22 | 7 << 11 | 8, 8 << 28 | 2, 0 << 28 | 63 << 22 | 639 << 11 | 479, 10 << 28 | 1,
             8 << 28 | 3, 1 << 28 | 0 << 22 | 1 << 11 | 2]  # fmt: skip
    (tmp_path / "a.raw").write_bytes(EVT2 + struct.pack("<6I", *words))
    assert rows(L.read_evt(tmp_path / "a.raw")) == [(639, 479, 0, 0), (1, 2, 3 * 64 - (2 * 64 + 63), 1)]


def test_words_of_evt_3(tmp_path):
    """Rows, single pixels, vectors of 12, 12 and 8 from a base, and an overflow of the 24 bits of time."""
    words = [8 << 12 | 0xFFF, 6 << 12 | 0xFF0, 0 << 12 | 9, 2 << 12 | 1 << 11 | 100, 3 << 12 | 0 << 11 | 200,
             4 << 12 | 0b100000000001, 4 << 12 | 0b10, 5 << 12 | 0b10000000, 6 << 12 | 0xFF5, 14 << 12,
             8 << 12 | 0, 6 << 12 | 3, 0 << 12 | 479, 2 << 12 | 0 << 11 | 639]  # fmt: skip
    (tmp_path / "a.raw").write_bytes(EVT3 + struct.pack("<14H", *words))
    vector = [(200, 9, 0, 0), (211, 9, 0, 0), (213, 9, 0, 0), (231, 9, 0, 0)]
    last = (639, 479, (1 << 24) + 3 - 0xFFFFF0, 0)
    assert rows(L.read_evt(tmp_path / "a.raw")) == [(100, 9, 0, 1), *vector, last]


def test_words_of_aedat(tmp_path):
    """2.0: big-endian, x from the right, 0 on. 3.1: packets, of which one is of another kind, one event invalid."""
    path = tmp_path / "a.aedat"
    old = struct.pack(">4I", 127 << 8 | 127 << 1 | 1, 50, 0, 40)
    path.write_bytes(b"#!AER-DAT2.0\r\n# a comment\r\n" + old)
    assert rows(L.read_aedat(path)) == [(127, 0, 0, 1), (0, 127, 10, 0)]
    packet = struct.pack("<HHIIIIII", 1, 0, 8, 4, 1, 3, 3, 2)
    events = struct.pack("<6I", 5 << 17 | 6 << 2 | 0b11, 9, 1 << 17 | 0b10, 5, 7 << 17 | 8 << 2 | 0b01, 4)
    other = struct.pack("<HHIIIIII", 2, 0, 4, 0, 0, 1, 1, 1) + b"abcd"
    path.write_bytes(b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n" + other + packet + events)
    assert rows(L.read_aedat(path)) == [(7, 8, 0, 0), (5, 6, 5, 1)]


def test_counters_that_begin_anew_go_on(tmp_path):
    """Times of 32 bits in AEDAT 2.0, 34 in EVT 2.0; a small step back is no overflow. Bits 15 and 31 are no pixel."""
    old = struct.pack(">10I", 2, 0xFFFFFFF0, 4, 5, 6, 2, 0x8000, 3, 1 << 31, 4)
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n" + old)
    assert rows(L.read_aedat(tmp_path / "a.aedat")) == [(126, 0, 0, 1), (124, 0, 18, 1), (125, 0, 21, 1)]
    words = [8 << 28 | 0xFFFFFFF, 1 << 28 | 60 << 22, 8 << 28, 1 << 28 | 2 << 22]
    (tmp_path / "a.raw").write_bytes(EVT2 + struct.pack("<4I", *words))
    assert rows(L.read_evt(tmp_path / "a.raw")) == [(0, 0, 0, 1), (0, 0, 6, 1)]


def test_a_small_step_back_of_evt_3_is_no_overflow(tmp_path):
    words = [8 << 12 | 5, 6 << 12 | 7, 0 << 12 | 1, 2 << 12 | 2, 8 << 12 | 4, 2 << 12 | 3]
    (tmp_path / "a.raw").write_bytes(EVT3 + struct.pack("<6H", *words))
    assert rows(L.read_evt(tmp_path / "a.raw")) == [(3, 1, 0, 0), (2, 1, 1 << 12, 0)]


def test_packets_of_aedat_3_count_overflows(tmp_path):
    """Times of 31 bits."""
    head = [struct.pack("<HHIIIIII", 1, 0, 8, 4, overflow, 1, 1, 1) for overflow in (0, 1)]
    events = [struct.pack("<2I", 1 << 17 | 2 << 2 | 3, time) for time in (0x7FFFFFFF, 4)]
    (tmp_path / "a.aedat").write_bytes(AEDAT3 + head[0] + events[0] + head[1] + events[1])
    assert rows(L.read_aedat(tmp_path / "a.aedat")) == [(1, 2, 0, 1), (1, 2, 5, 1)]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("evt", b"", "begins with"),
        ("evt", b"% evt 4.0\n% end\n", "expected a header"),
        ("evt", b"% evt 2.0\n% end\n" + bytes(8), "sensor's size"),
        ("evt", EVT2 + bytes(7), "multiple of 4"),
        ("evt", EVT3 + bytes(3), "multiple of 2"),
        ("evt", EVT2 + bytes(8), "no change event"),
        ("evt", EVT2 + struct.pack("<2I", 8 << 28, 700 << 11), "x is 700"),
        ("aedat", b"#!AER-DAT4.0\r\n", "expected #!AER-DAT2.0 or"),
        ("aedat", b"#!AER-DAT2.0\r\n" + bytes(12), "multiple of 8"),
        ("aedat", b"#!AER-DAT2.0\r\n", "no change event"),
        ("aedat", b"#!AER-DAT2.0\r\n" + struct.pack(">2I", 1 << 20, 0), "camera is no DVS128"),
        ("aedat", AEDAT3 + bytes(20), "within the header"),
        ("aedat", AEDAT3 + struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, 9, 9, 9), "promises 9"),
        ("aedat", AEDAT3 + struct.pack("<HHIIIIII", 1, 0, 4, 4, 0, 1, 1, 1) + bytes(4), "of 4 bytes"),
        ("aedat", AEDAT3 + struct.pack("<HHIIiIII", 1, 0, 8, 4, -1, 1, 1, 1) + bytes(8), "overflows of its clock"),
    ],
)  # fmt: skip
def test_damaged_recordings_are_refused(name, data, words, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words):
        getattr(L, f"read_{name}")(path)


@settings(max_examples=60)
@given(st.sampled_from([EVT2, EVT3, b"#!AER-DAT2.0\r\n", AEDAT3]), st.binary(max_size=96))
def test_foreign_bytes_give_events_or_a_value_error(head, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(head + data)
        read, size = (L.read_evt, (480, 640)) if head[:1] == b"%" else (L.read_aedat, (128, 128))
        try:
            result = read(path)
        except ValueError as error:
            assert str(path) in str(error)
            return
        as_events(result, size)


def shd(path, times, units, labels):
    with h5py.File(path, "w") as file:
        for name, kind, values in (("times", "f4", times), ("units", "i4", units)):
            data = file.create_dataset(f"spikes/{name}", (len(values),), h5py.vlen_dtype(np.dtype(kind)))
            for k, row in enumerate(values):
                data[k] = np.array(row, kind)
        file["labels"] = labels
        file["extra/speaker"] = [0] * len(labels)


@pytest.mark.parametrize(
    ("times", "units", "words"),
    [
        ([0.1], [700], "unit 700"),
        ([0.1], [-1], "unit -1"),
        ([0.1, 0.2], [1], "as many numbers"),
        ([float("nan")], [1], "a time outside"),
        ([-0.5], [1], "a time outside"),
        ([0.1], [1.5], "as many numbers"),
    ],
)
def test_damaged_cochleas_are_refused(times, units, words):
    with pytest.raises(ValueError, match=words):
        cochleas._events(np.array(times), np.array(units), 700, 0)


def test_cochleas_are_read_and_others_refused(tmp_path):
    shd(tmp_path / "a.h5", [[0.25, 0.125], []], [[3, 699], []], [19, 0])
    recordings, labels = L.read_shd(tmp_path / "a.h5")
    assert rows(recordings[0]) == [(699, 0, 125000, 1), (3, 0, 250000, 1)] and len(recordings[1]) == 0
    assert labels.tolist() == [19, 0]
    frames, _ = L.EventFrames(10, 100.0, size=(1, 700), flat=True)(list(zip(recordings, labels, strict=True)))
    assert frames.shape == (10, 2, 700) and frames[1, 0, 699] == frames[2, 0, 3] == 1 and frames.sum() == 2
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["labels"] = [1]
    shd(tmp_path / "c.h5", [[0.1]], [[1]], [1, 2])
    shd(tmp_path / "d.h5", [[0.1]], [[1]], np.array([1 << 63], "u8"))
    for name in "bcd":
        with pytest.raises(ValueError, match=f"{name}.h5"):
            L.read_shd(tmp_path / f"{name}.h5")


@pytest.mark.parametrize("velocity", [(0.1, 0.0), (-0.06, 0.08)])
def test_a_gratings_events_have_its_flow_and_its_number(velocity):
    """Times of one multiple, on: t = (u − u0)/|v| a period; so a pixel's neighbour along x fires v_x/|v|² later, along
    y v_y/|v|² (Benosman et al. 2014). In whole periods a pixel passes each of 8 multiples up and down once."""
    events = L.moving_grating(velocity, duration=600.0, wavelength=12.0)  # five periods of 120 ms
    speed2 = velocity[0] ** 2 + velocity[1] ** 2
    per_pixel = len(events) / 34**2 / 5
    assert per_pixel == pytest.approx(16, rel=0.01) and abs(events["p"].mean() - 0.5) < 0.01
    period = 120_000

    def times(x, y):
        own = events[(events["x"] == x) & (events["y"] == y) & (events["p"] == 1)]
        phases = 2 * np.pi * own["t"] / period
        return phases

    for dx, dy, expected in ((1, 0, velocity[0]), (0, 1, velocity[1])):
        shift = np.angle(np.exp(1j * times(15 + dx, 15 + dy)).mean() / np.exp(1j * times(15, 15)).mean())
        assert shift * period / (2 * np.pi) == pytest.approx(1000 * expected / speed2, abs=30)  # µs, of steps of 500


def test_spoken_digits_have_the_statistics_of_shd_and_are_told_apart():
    """About 8000 spikes of 700 channels within about a second; nearest class means of other utterances are right."""
    pairs = [L.spiking_digits(80, seed=s) for s in (0, 1)]
    counts = [len(r) for r in pairs[0][0]]
    assert np.mean(counts) == pytest.approx(8000, rel=0.1) and int(pairs[0][1].max()) + 1 == 20
    assert max(r["x"].max() for r in pairs[0][0]) == 699 and max(r["t"].max() for r in pairs[0][0]) < 1.2e6
    frames = L.EventFrames(8, 100.0, size=(1, 700), flat=True)
    x, y = (frames(list(zip(*pair, strict=True))) for pair in pairs)
    coarse = [torch.nn.functional.avg_pool1d(f.permute(1, 0, 2), 70).flatten(1) for f in (x[0], y[0])]
    known = x[1].unique()
    means = torch.stack([coarse[0][x[1] == k].mean(0) for k in known])
    right = known[torch.cdist(coarse[1], means).argmin(1)] == y[1]
    assert right.double().mean() > 0.5  # ten times chance, from four utterances a word
    again, _ = L.spiking_digits(3, seed=0)
    assert np.array_equal(again[0], L.spiking_digits(3, seed=0)[0][0])


AUGMENTATIONS = [
    L.TimeJitter(3.0), L.DropEvents(0.3), L.FlipSides(34, 1.0), L.CropPixels((34, 34), (20, 10)), L.SwapPolarity(1.0),
    L.ReverseTime(1.0), L.StretchTime(0.5, 2.0),
]  # fmt: skip


@pytest.mark.parametrize("change", AUGMENTATIONS, ids=lambda c: type(c).__name__)
def test_augmented_events_are_events(change):
    events = L.moving_grating((0.1, 0.05), duration=100.0)
    before, rng = events.copy(), np.random.default_rng(0)
    after = change(events, rng)
    assert np.array_equal(events, before) and len(change(events[:0], rng)) == 0
    size = change.to if isinstance(change, L.CropPixels) else (34, 34)
    assert np.array_equal(as_events(after, size), after) and not np.array_equal(after, before)
    x, y, t, p = (after[n].astype(float) for n in "xytp")
    match change:
        case L.TimeJitter():
            assert np.std(np.sort(t[t > 2e4]) - np.sort(before["t"])[t > 2e4]) < 3000 and len(after) == len(events)
        case L.DropEvents():  # five standard deviations of a binomial share
            assert abs(len(after) / len(events) - 0.7) < 5 * np.sqrt(0.21 / len(events))
        case L.FlipSides():
            assert np.array_equal(x, 33 - before["x"]) and np.array_equal(t, before["t"])
        case L.CropPixels():
            assert abs(len(after) / len(events) - 200 / 34**2) < 0.02
        case L.SwapPolarity():
            assert np.array_equal(p, 1 - before["p"])
        case L.ReverseTime():
            assert np.array_equal(np.diff(t), np.diff(before["t"])[::-1]) and np.array_equal(y, before["y"][::-1])
            assert np.array_equal(p, 1 - before["p"][::-1])
        case L.StretchTime():
            slope = np.polyfit(before["t"], t, 1)[0]
            assert 0.5 <= slope <= 2.0 and np.abs(t - slope * before["t"]).max() < 1


def test_frames_are_augmented_by_torchs_seed():
    pairs = [(L.moving_grating((0.1, 0.0), duration=50.0), 3)]
    collate = L.EventFrames(5, 10.0, augment=(L.DropEvents(0.5),))
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(collate(pairs)[0])
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    loader = torch.utils.data.DataLoader(pairs * 4, 2, collate_fn=L.EventFrames(5, 10.0, flat=True))
    frames, labels = next(iter(loader))
    assert frames.shape == (5, 2, 2 * 34 * 34) and labels.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: L.TimeJitter(0.0), "deviation"), (lambda: L.DropEvents(1.5), "chance"),
        (lambda: L.TimeJitter(1e300), "deviation"), (lambda: L.StretchTime(1.0, 1e30), "high <= 1e"),
        (lambda: L.CropPixels((4, 4), (5, 4)), "to is"), (lambda: L.StretchTime(2.0, 1.0), "low <= high"),
        (lambda: L.moving_grating((0.0, 0.0)), "moves 0 pixels"), (lambda: L.spiking_digits(0), "n is 0"),
        (lambda: L.moving_grating((0.1, 0.0), threshold=3.0), "threshold"),
        (lambda: L.moving_grating((0.1, 0.0), threshold=1e-12), "expected at most 1e.08"),
        (lambda: L.moving_grating((0.1, 0.0), duration=1e12), "expected at most 1e.08"),
        (lambda: L.moving_grating((0.1, 0.0), step=math.nan), "step"),
        *((lambda call=call: call(size=(128.5, 128)), "sensor is 128.5") for call in SIZED),
        *((lambda call=call: call(size=(1, 40_000)), "at most 32768 pixels") for call in SIZED),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("call", SIZED)
def test_a_size_is_a_pair(call):
    for wrong in ("ab", (128,), 34):
        with pytest.raises(TypeError, match=r"expected \(height, width\) of the sensor"):
            call(size=wrong)
