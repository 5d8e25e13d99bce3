"""Recordings saved and opened, and finished runs of a folder opened as recordings."""

import pytest
import torch

from ranvier.engines.recording import recording as recording_file
from ranvier.engines.recording.recording import Recording
from tests.engines.recorded import NETWORK, random_spikes, recorded
from tests.engines.toy_writer import MANIFEST, STEPS, write


@pytest.fixture
def recording(rng, monkeypatch):
    monkeypatch.setattr(recording_file, "SAVED_STEPS", 700)  # several segments, cut off any round time
    return recorded(random_spikes(rng), rng, seed=3, threads=2)


def same(one, other):
    assert (one.start, one.duration, one.dt, one.n_neurons) == (other.start, other.duration, other.dt, 5)
    assert torch.equal(one.times, other.times) and torch.equal(one.neurons, other.neurons)
    assert set(one.states) == set(other.states)
    for name in one.states:
        for field in ("times", "neurons", "values"):
            left, right = getattr(one.states[name], field), getattr(other.states[name], field)
            assert torch.equal(left, right) and left.dtype == right.dtype


def test_saved_and_opened_it_is_the_same(recording, tmp_path):
    opened = Recording.open(recording.save(tmp_path / "deep" / "run"))
    same(opened, recording)
    assert opened.manifest["seed"] == 3 and opened.manifest["threads"] == 2
    places = [(g.name, g.start, g.size) for g in recording.populations]
    assert [(g.name, g.start, g.size) for g in opened.populations] == places
    assert torch.equal(opened.rates(neurons="inh"), recording.rates()[3:])
    assert torch.equal(opened.covariance(50.0), recording.covariance(50.0))
    assert repr(opened) == repr(recording)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["run"]


def test_a_cut_recording_is_saved_as_cut_and_again(recording, tmp_path):
    cut = recording.after(600.5)
    opened = Recording.open(cut.save(tmp_path / "one"))
    same(opened, cut)
    same(Recording.open(opened.after(1000.0).save(tmp_path / "two")), recording.after(1000.0))


def test_silence_is_saved_too(tmp_path):
    silent = Recording([], [], n_neurons=5, dt=0.1, duration=50.0)
    same(Recording.open(silent.save(tmp_path / "run")), silent)


def test_a_name_that_is_taken_is_refused(recording, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FileExistsError, match="not yet taken"):
        recording.save(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_a_save_that_fails_leaves_nothing(recording, tmp_path, monkeypatch):
    from ranvier.engines.recording.segments import RunFolder

    append, calls = RunFolder.append, []

    def failing(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise OSError("no space left")
        append(self, *arguments)

    monkeypatch.setattr(RunFolder, "append", failing)
    with pytest.raises(OSError, match="no space"):
        recording.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_run_folder_opens_as_a_recording_while_it_grows(tmp_path):
    with write(tmp_path / "run", until=400):
        early = Recording.open(tmp_path / "run")
    assert early.duration == 200.0
    write(tmp_path / "run").close()
    whole = Recording.open(tmp_path / "run", network=NETWORK)
    assert whole.duration == MANIFEST["duration"] and whole.network is NETWORK
    assert torch.equal(whole.times[: len(early.times)], early.times) and early.times[-1] <= 200.0
    trace = whole.states["V"]
    assert trace.times.tolist() == [1.5 * k for k in range(1, STEPS // 3 + 1)]
    assert trace.neurons.tolist() == [4, 1] and trace.values.dtype == torch.float32
    memory = Recording(
        torch.round(whole.times / 0.5).long(), whole.neurons, n_neurons=6, dt=0.5, duration=STEPS * 0.5
    )
    for question in ("covariance", "correlation"):
        for one, other in zip(
            getattr(whole, question)(15.0, return_error=True),
            getattr(memory, question)(15.0, return_error=True),
            strict=True,
        ):
            assert torch.equal(one, other)


def test_a_folder_without_a_segment_is_said_so(tmp_path):
    with write(tmp_path / "run", until=0), pytest.raises(ValueError, match="no whole segment yet"):
        Recording.open(tmp_path / "run")
