"""Runs on disk: whole after a crash at any moment, refused when another's, the same when streamed."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier import analysis
from ranvier.engines.recording.segments import RunFolder
from tests.engines import toy_writer
from tests.engines.toy_writer import MANIFEST, STEPS, TRACES, write


def content(path):
    """Everything a reader sees of a run."""
    run = RunFolder.read(path)
    ((steps, neurons),) = run.spikes().cut([0, run.spikes().n_steps]) if run.segments else (((), ()),)
    at, of, values = run.trace("V")
    state = {name: value.tolist() for name, value in (run.state() or {}).items()}
    return (
        run.completed_steps, list(steps), list(neurons), at.tolist(), of.tolist(), values.tolist(), state
    )  # fmt: skip


def files(path):
    return {p.name: p.read_bytes() for p in path.iterdir() if p.name != ".lock"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "whole"
    write(path).close()
    return path


def test_a_run_is_read_as_it_was_written(tmp_path):
    run = RunFolder.create_or_resume(tmp_path / "run", MANIFEST, trace_neurons=TRACES)
    assert (run.completed_steps, run.state()) == (0, None)
    v = np.array([[1.5, 2.5]], np.float32)
    run.append(10, [1, 1, 9], [0, 5, 2], {"V": ([4], v)}, {"x": np.arange(3), "on": np.array([True, False])})
    run.append(25, [], [], {"V": ([], np.empty((0, 2), np.float32))}, {"x": np.arange(4)})
    run.append(STEPS, [26], [3], {"V": ([30], v + 1)}, {"x": np.array(7, dtype=np.uint64)})
    run.close()
    again = RunFolder.read(tmp_path / "run")
    assert again.completed_steps == STEPS
    ((steps, neurons),) = again.spikes().cut([0, STEPS])
    assert (steps + 1).tolist() == [1, 1, 9, 26] and neurons.tolist() == [0, 5, 2, 3]
    at, of, values = again.trace("V")
    assert at.tolist() == [4, 30] and of.tolist() == [4, 1]
    assert values.tolist() == [[1.5, 2.5], [2.5, 3.5]] and values.dtype == np.float32
    state = again.state()
    assert list(state) == ["x"] and state["x"] == np.uint64(7) and state["x"].dtype == np.uint64


def test_only_one_state_is_kept(whole):
    names = [name for name in files(whole) if name.startswith("state-")]
    assert names == [f"state-{STEPS // toy_writer.SEGMENT - 1:06d}.safetensors"]


def test_another_run_is_refused_by_the_entries_that_differ(whole):
    before = files(whole)
    other = {**MANIFEST, "seed": 6, "network": {"name": "toy", "size": 3}}
    with pytest.raises(
        ValueError, match=r"network.size: nothing there, 3 here\n  seed: 5 there, 6 here"
    ) as result:
        RunFolder.create_or_resume(whole, other, trace_neurons=TRACES)
    assert "\n  duration:" not in str(result.value)
    with pytest.raises(ValueError, match="traces of V of 2 neurons; expected those of this run, none"):
        RunFolder.create_or_resume(whole, MANIFEST)
    assert files(whole) == before


def test_other_software_is_recorded_not_refused(tmp_path):
    write(tmp_path / "run", {**MANIFEST, "threads": 1, "written": "then"}, until=100).close()
    write(tmp_path / "run", {**MANIFEST, "threads": 1, "written": "now"}, until=200).close()
    assert "resumed" not in RunFolder.read(tmp_path / "run").manifest
    for _ in range(2):
        write(tmp_path / "run", {**MANIFEST, "threads": 2, "written": "later"}, until=300).close()
    manifest = RunFolder.read(tmp_path / "run").manifest
    assert manifest["resumed"] == [{"threads": 2, "written": "later"}] and manifest["threads"] == 1


@pytest.mark.parametrize("what", ["notes.txt", "segment-000000.safetensors"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, what):
    (tmp_path / what).write_text("mine")
    with pytest.raises(ValueError, match=rf"holds {what} but no manifest.json"):
        write(tmp_path)
    assert files(tmp_path) == {what: b"mine"}
    with pytest.raises(ValueError, match="is a file"):
        write(tmp_path / what)


def test_nothing_to_read_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        RunFolder.read(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="folder without one"):
        RunFolder.read(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        RunFolder.read(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match="holds list"):
        RunFolder.read(tmp_path)
    (tmp_path / "manifest.json").write_text('{"dt": 0.1}')
    with pytest.raises(ValueError, match="no entry 'n_neurons'"):
        RunFolder.read(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, [], [], {"V": ([], np.empty((0, 2)))}), "0 < last_step"),
        ((STEPS + 1, [], [], {"V": ([], np.empty((0, 2)))}), f"≤ {STEPS}"),
        ((10, [11], [0], {"V": ([], np.empty((0, 2)))}), "step 11"),
        ((10, [1], [6], {"V": ([], np.empty((0, 2)))}), "neuron 6"),
        ((10, [1], [0], {}), "expected \\['V'\\]"),
        ((10, [1], [0], {"V": ([1], np.empty((1, 3)))}), r"expected \(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, arguments, message):
    run = RunFolder.create_or_resume(tmp_path, MANIFEST, trace_neurons=TRACES)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=message):
        run.append(*arguments)
    assert files(tmp_path) == before


class Crash(BaseException):
    """The process is gone."""


def test_a_crash_at_every_single_write_loses_nothing(tmp_path, monkeypatch, whole):
    """Each change of the disk fails once, with clean-up after it (an error) and without (a kill)."""
    expected, saved = content(whole), tmp_path / "kept"
    calls, fatal, gone = 0, -1, False
    real = {name: getattr(os, name) for name in ("replace", "fsync", "unlink", "chmod", "mkdir")}

    def wrapped(name):
        def call(*args, **kwargs):
            nonlocal calls, gone
            if str(args[0]).endswith(".lock"):  # the system lets go of a dead process's lock
                return real[name](*args, **kwargs)
            if gone:  # a dead process does nothing more
                raise Crash
            calls += 1
            if calls == fatal:
                gone = kill
                raise Crash
            return None if name == "fsync" else real[name](*args, **kwargs)  # a sync takes most of the time

        return call

    for name in real:
        monkeypatch.setattr(os, name, wrapped(name))
    monkeypatch.setattr(toy_writer, "SEGMENT", STEPS // 4)
    kill = False
    write(saved).close()
    needed, expected = calls, content(saved)
    assert needed > 20
    for kill in (False, True):
        for fatal in range(1, needed + 1):
            path = tmp_path / f"{kill}-{fatal}"
            calls, gone = 0, False
            with pytest.raises(Crash):
                write(path)
            calls, gone = needed + 1, False  # from here on nothing fails
            if (path / "manifest.json").exists():
                steps = RunFolder.read(path).completed_steps
                assert steps % toy_writer.SEGMENT == 0
            write(path).close()
            assert content(path) == expected
            assert not [p for p in path.iterdir() if p.name.startswith(".") and p.name != ".lock"]
            shutil.rmtree(path)
            calls = 0


class Writers:
    """Processes that write runs, one at a time, to be killed."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, toy_writer.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._pid = None
        return self

    def start(self, path, until=STEPS):
        self._process.stdin.write(f"{path} {until}\n")
        self._process.stdin.flush()
        self._pid = int(self._process.stdout.readline())

    def kill(self):
        os.kill(self._pid, signal.SIGKILL)
        self._pid = None
        assert self._process.stdout.readline() == "gone\n"

    def __exit__(self, *_):
        if self._pid is not None:
            self.kill()
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def writers():
    with Writers() as writers:
        yield writers


def test_kill_minus_nine_at_random_moments_loses_nothing(writers, tmp_path, whole, rng):
    path = tmp_path / "run"
    before, progress, patience = 0, set(), 0.02
    for _ in range(20):
        writers.start(path)
        time.sleep(float(rng.uniform(0, patience)))
        writers.kill()
        after = RunFolder.read(path).completed_steps if (path / "manifest.json").exists() else 0
        assert after >= before
        progress.add(after)
        if after == STEPS:
            break
        if after == before:
            patience *= 1.3  # a machine busy with other things
        before = after
    assert len(progress) > 3  # it was cut several times on its way
    write(path).close()
    assert content(path) == content(whole)


def test_two_processes_do_not_write_to_one_folder(writers, tmp_path):
    path = tmp_path / "run"
    writers.start(path, until=2 * toy_writer.SEGMENT)
    for _ in range(4000):
        time.sleep(0.005)
        if (path / "segment-000001.safetensors").exists():
            break
    with pytest.raises(RuntimeError, match="in use by another run"):
        write(path)
    writers.kill()
    write(path).close()


def test_streaming_over_segments_changes_no_bit(whole):
    run = RunFolder.read(whole)
    stream = run.spikes()
    ((steps, neurons),) = stream.cut([0, STEPS])
    memory = analysis.Spikes.from_steps(steps + 1, neurons, n_neurons=6, dt=0.5, stop=STEPS)
    # Windows of 15 ms = 30 steps cross the borders of the segments of 40.
    for question in (
        lambda s: analysis.rates(s, return_error=True),
        lambda s: [analysis.cv(s)],
        lambda s: analysis.covariance(s, 15.0, return_error=True),
        lambda s: analysis.correlation(s, 15.0, return_error=True),
        lambda s: analysis.cross_correlation(s, np.arange(-45.0, 46.0, 15.0), return_error=True, blocks=6),
        lambda s: [analysis.spectrum(s, [3.0, 20.0], segment=110.0)],
        lambda s: [analysis.fano(s.after(17), 15.0), analysis.cv(s.after(17).select([3, 1]))],
    ):
        for one, other in zip(question(memory), question(stream), strict=True):
            assert np.array_equal(one, other)


def test_statistics_of_a_long_run_need_little_memory(tmp_path, rng):
    """40 segments of 50 000 spikes, 24 MB as a whole: no statistic takes a quarter of that."""
    run = RunFolder.create_or_resume(tmp_path, {"n_neurons": 50, "dt": 0.1, "duration": 400_000.0})
    for k in range(40):
        steps = np.sort(rng.integers(k * 100_000 + 1, (k + 1) * 100_000 + 1, size=50_000))
        run.append((k + 1) * 100_000, steps, rng.integers(0, 50, size=50_000))
    spikes = run.spikes()
    whole = sum(p.stat().st_size for parts in run.segments for p in parts)
    analysis.cross_correlation(spikes, [0.0, 5.0], pairs=[[0, 1]])  # compiled outside of the count
    tracemalloc.start()
    for question in (
        lambda: analysis.rates(spikes),
        lambda: analysis.cv(spikes),
        lambda: analysis.covariance(spikes, 100.0, return_error=True),
        lambda: analysis.cross_correlation(spikes, np.arange(-50.0, 51.0, 5.0), pairs=[[0, 1], [2, 3]]),
        lambda: analysis.spectrum(spikes, [5.0, 10.0], pairs=[[0, 0]]),
    ):
        tracemalloc.reset_peak()
        question()
        assert tracemalloc.get_traced_memory()[1] < whole / 4
    tracemalloc.stop()


@settings(max_examples=40)
@given(st.data())
def test_damaged_segments_are_refused_or_read(whole, tmp_path_factory, data):
    """Whatever bytes a segment holds: a ValueError that names it, or spikes in range."""
    path = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(whole, path)
    victim = path / "segment-000003.safetensors"
    raw = bytearray(victim.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    victim.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        run = RunFolder.read(path)
        rates = analysis.rates(run.spikes())
    except ValueError as error:
        assert "segment-00000" in str(error)
    else:
        assert np.isfinite(rates).all()
    shutil.rmtree(path)


def test_a_missing_state_is_told(tmp_path):
    write(tmp_path / "run", until=200).close()
    for state in (tmp_path / "run").glob("state-*"):
        state.unlink()
    with pytest.raises(FileNotFoundError, match="cannot go on"):
        write(tmp_path / "run")


def test_segments_of_two_runs_are_not_mixed(whole, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    shutil.copy(Path(whole) / "segment-000005.safetensors", path / "segment-000004.safetensors")
    with pytest.raises(ValueError, match="different runs are mixed"):
        RunFolder.read(path)
