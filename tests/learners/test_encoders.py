"""Encoders and the idx reader against closed forms and bytes written by hand."""

import gzip
import itertools
import math
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ranvier.learners import delta, latency, phase, population, rate, read_idx, read_mnist

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def test_rates_are_the_inputs():
    x = torch.tensor([[0.0, 0.1, 0.5, 1.0]])
    spikes = rate(x, 20_000, generator=torch.Generator().manual_seed(0))
    assert spikes.shape == (20_000, 1, 4) and set(spikes.unique().tolist()) == {0.0, 1.0}
    error = 4 * (x * (1 - x) / 20_000).sqrt()
    assert ((spikes.mean(0) - x).abs() <= error).all()
    a, b = spikes[:-1, 0, 2], spikes[1:, 0, 2]
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 4 / math.sqrt(20_000)


def test_images_are_flattened():
    assert rate(torch.ones(3, 2, 4), 5).shape == (5, 3, 8)


def test_latencies_are_the_rc_circuits():
    x = torch.tensor([[0.02, 0.1, 0.4, 1.0, 0.01, 0.0]], dtype=torch.float64)
    spikes = latency(x, 30, tau=20.0)
    assert spikes.sum(0)[0].tolist() == [1, 1, 1, 1, 0, 0]
    for n in range(4):
        v = float(x[0, n])
        expected = 20 * math.log(v / (v - 0.01)) - 20 * math.log(1 / 0.99)
        assert int(spikes[:, 0, n].argmax()) == round(expected)
    linear = latency(torch.tensor([[1.0, 0.5, 0.011]]), 11, threshold=0.0)
    assert linear.argmax(0)[0].tolist() == [0, 5, 10]


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_inputs_out_of_range_are_refused(bad):
    for encode in (rate, latency, phase):
        with pytest.raises(ValueError, match="within"):
            encode(torch.tensor([[0.5, bad]]), 3)
        with pytest.raises(ValueError, match="steps"):
            encode(torch.ones(1, 1), 0)


def test_phases_are_the_binary_digits():
    x = torch.tensor([[0.0, 0.5, 0.8125, 1.0, 0.3]])
    spikes = phase(x, 8, period=4)
    digits = [[int(c) for c in f"{min(int(v * 16), 15):04b}" * 2] for v in x[0].tolist()]
    assert spikes[:, 0].T.tolist() == digits
    prediction = phase(x, 8, weighted=True).sum(0)
    assert ((x - prediction) >= 0).all() and ((x - prediction) <= 2**-8).all()
    assert phase(x, 11, weighted=True)[8:].equal(phase(x, 3, weighted=True))  # and over again
    with pytest.raises(ValueError, match="period is 0"):
        phase(x, 4, period=0)


def delta_by_hand(train: list[float], threshold: float, track: bool) -> list[int]:
    out, prediction = [0], train[0]
    for before, now in itertools.pairwise(train):
        change = now - (prediction if track else before)
        out.append(1 if change >= threshold else -1 if change <= -threshold else 0)
        prediction += threshold * out[-1]
    return out


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=20), st.booleans())
def test_changes_are_those_of_one_pixel_after_the_other(train, track):
    x = torch.tensor(train, dtype=torch.float64) / 4  # exact sums
    expected = delta_by_hand(x.tolist(), 0.5, track)
    assert delta(x[:, None, None], 0.5, track=track)[:, 0, 0].tolist() == expected
    on = delta(x[:, None, None], 0.5, track=track, off=False)[:, 0, 0]
    assert on.tolist() == [max(s, 0) for s in expected]


def test_a_slow_drift_is_told_by_tracking_alone():
    x = torch.linspace(0, 3, 301, dtype=torch.float64)[:, None, None]
    prediction = 0.1 * delta(x, 0.1).cumsum(0)
    assert ((x - prediction).abs() < 0.1 + 1e-9).all() and float(prediction[-1]) > 2.85
    assert not delta(x, 0.1, track=False).any()


def test_bad_sequences_are_refused():
    with pytest.raises(ValueError, match="at step 1, batch 0, feature 2"):
        delta(torch.tensor([[[0.0, 0, 0]], [[0, 0, math.nan]]]), 0.1)
    with pytest.raises(ValueError, match=r"expected floating point \(T, B"):
        delta(torch.ones(3, 4), 0.1)
    with pytest.raises(ValueError, match="threshold"):
        delta(torch.ones(3, 1, 1), 0.0)


def test_receptive_fields_are_those_of_the_paper():
    """Its formulas, one neuron at a time; and its spike times, 10 (1 − activity) rounded, none after 9."""
    x = torch.tensor([[-2.0, 1.0], [0.3, 6.0]], dtype=torch.float64)
    low, high, m, beta = -2.0, 6.0, 8, 1.5
    expected = torch.zeros(2, 16, dtype=torch.float64)
    for b in range(2):
        for n in range(2):
            for i in range(1, m + 1):
                centre = low + (2 * i - 3) / 2 * (high - low) / (m - 2)
                width = (high - low) / (m - 2) / beta
                expected[b, n * m + i - 1] = math.exp(-((x[b, n] - centre) ** 2) / (2 * width**2))
    result = population(x, m, low=low, high=high)
    torch.testing.assert_close(result, expected)
    times = (10 * (1 - expected)).round()
    spikes = latency(result, 10, threshold=0.1)
    assert spikes.sum(0).equal((expected > 0.1).double())
    fires = expected > 0.1
    assert spikes.argmax(0)[fires].tolist() == times[fires].tolist()


def test_receptive_fields_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="at least 3 fields"):
        population(torch.ones(1, 1), 2)
    with pytest.raises(ValueError, match="low < high"):
        population(torch.ones(1, 1), 4, low=1.0)
    with pytest.raises(ValueError, match=r"1\.5 in x"):
        population(torch.full((1, 1), 1.5), 4)


def idx(kind: int, shape: tuple[int, ...], data: bytes) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + data


def test_idx_types_and_byte_order(tmp_path):
    cases = [(0x08, "4B", (1, 2, 3, 250)), (0x09, "4b", (1, -2, 3, 4)), (0x0B, ">4h", (1, -300, 3, 4)),
             (0x0C, ">4i", (1, -70000, 3, 4)), (0x0D, ">4f", (0.5, -1.5, 3.0, 4.0)),
             (0x0E, ">4d", (0.1, -1.5, 3.0, 4.0))]  # fmt: skip
    for kind, layout, values in cases:
        data = idx(kind, (2, 2), struct.pack(layout, *values))
        for name, text in (("plain", data), ("packed.gz", gzip.compress(data))):
            (tmp_path / name).write_bytes(text)
            assert read_idx(tmp_path / name).flatten().tolist() == list(values)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda b: b"\0\0\x08\x01" + b))
def test_foreign_bytes_give_an_array_or_a_value_error(data):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(data)
        try:
            result = read_idx(path)
        except ValueError:
            return
        assert data[:2] == b"\0\0" and result.numel() * result.element_size() == len(data) - 4 - 4 * data[3]


def test_truncated_files_are_refused(tmp_path):
    data = idx(8, (2, 2), b"abcd")
    for text in (data[:-1], data + b"x", data[:7], gzip.compress(data)[:-6]):
        (tmp_path / "x").write_bytes(text)
        with pytest.raises(ValueError, match="expected"):
            read_idx(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="expected an idx file"):
        read_idx(tmp_path / "none")


def test_images_and_labels_must_fit(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(8, (2, 1, 2), b"\0\xff\0\0"))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(8, (2,), b"\1\2"))
    images, labels = read_mnist(tmp_path)
    assert images.tolist() == [[0.0, 1.0], [0.0, 0.0]] and labels.tolist() == [1, 2]
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(8, (3,), b"\1\2\3"))
    with pytest.raises(ValueError, match="expected"):
        read_mnist(tmp_path)


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST is not at ../shared/data/mnist")
def test_mnist_is_read():
    images, labels = read_mnist(MNIST)
    assert images.shape == (60_000, 784) and torch.bincount(labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert float(images.mean()) == pytest.approx(0.1307, abs=1e-4)
    assert float(images.std()) == pytest.approx(0.3081, abs=1e-4)


def test_latencies_later_than_the_last_step_come_there():
    x = torch.tensor([[1.0, 0.0100001]], dtype=torch.float64)
    assert latency(x, 5, tau=20.0).argmax(0)[0].tolist() == [0, 4]


def test_images_get_their_axes_back():
    x = torch.rand(3, 2, 4, 5)
    spikes = latency(x, 6)
    assert torch.equal(spikes.unflatten(2, x.shape[1:])[:, 1, 1, 3, 2], latency(x[1, 1, 3, 2].view(1, 1), 6)[:, 0, 0])


def test_labels_that_are_no_bytes_are_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(8, (2, 1, 2), b"\0\xff\0\0"))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(0x0D, (2,), struct.pack(">2f", 1.5, 2.0)))
    with pytest.raises(ValueError, match="all of bytes"):
        read_mnist(tmp_path)
    (tmp_path / "many").write_bytes(idx(8, 100 * (1,), b"a"))
    with pytest.raises(ValueError, match="up to 32 axes"):
        read_idx(tmp_path / "many")
