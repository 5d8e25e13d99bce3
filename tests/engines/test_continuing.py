"""Runs in a folder: continued beyond their end, written by one at a time, stopped where the folder is gone."""

import os
import shutil
import threading
from pathlib import Path

import pytest
import torch

import ranvier as rv
from ranvier.engines import _run
from ranvier.files.atomic import atomic_path
from ranvier.files.locks import FolderInUseError


def network() -> rv.Network:
    """Noise, delays, a drive that changes, synapses that learn."""
    net = rv.Network(seed=2)
    source = net.add(rv.Poisson(rate=400.0), 6, "source")
    cells = net.add(rv.LIF(), 9, "cells", drive=rv.TimeSeries([12.0, 20.0], interval=3.0), noise=4.0)
    net.connect(source, cells, weight=1.0, delay=1.3, probability=0.5, plasticity=rv.rules.STDP(A_plus=0.1))
    net.connect(cells, cells, weight=4.0, delay=0.7, in_degree=3, synapse=rv.Exponential(tau=4.0))
    return net


RECORD = [rv.Probe("V", neurons=[7, 9], interval=0.4)]


def same(x: rv.Recording, y: rv.Recording) -> bool:
    return (
        x.duration == y.duration
        and torch.equal(x.times, y.times)
        and torch.equal(x.neurons, y.neurons)
        and torch.equal(x.states["V"].times, y.states["V"].times)
        and torch.equal(x.states["V"].values, y.states["V"].values)
        and all(torch.equal(x.weights[k], y.weights[k]) for k in y.weights)
    )


@pytest.fixture(params=["compiled", "torch"], scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(engine: str) -> rv.Recording:
    recording = rv.simulate(network(), 60.0, seed=3, record=RECORD, engine=engine)
    assert recording.n_spikes > 50 and len(recording.weights)
    return recording


def test_a_finished_run_goes_on_as_one_long_run(engine, whole, tmp_path):
    for duration in (0.1, 0.2, 24.3, 24.3, 60.0):
        recording = rv.simulate(network(), duration, seed=3, record=RECORD, engine=engine, path=tmp_path / "run")
        assert recording.duration == duration
    assert same(recording, whole)
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "run").iterdir())
    assert same(rv.simulate(network(), 60.0, seed=3, record=RECORD, engine=engine, path=tmp_path / "run"), whole)
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in (tmp_path / "run").iterdir())


def test_a_simulation_goes_on_in_a_folder(engine, whole, tmp_path):
    options = {"seed": 3, "record": RECORD, "engine": engine}
    with rv.Simulation(network(), path=tmp_path / "run", **options) as simulation:
        first, second = simulation.run(10.2), simulation.run(13.9)
        assert (first.start, second.start, simulation.time) == pytest.approx((0.0, 10.2, 24.1))
        assert torch.equal(torch.cat([first.times, second.times]), whole.times[whole.times < 24.15])
        with pytest.raises(FolderInUseError, match="in use by another simulation of this process"):
            rv.simulate(network(), 30.0, path=tmp_path / "run", **options)
    with rv.Simulation(network(), path=tmp_path / "run", **options) as simulation:
        assert simulation.time == pytest.approx(24.1)
        simulation.run(5.0)
    assert same(rv.simulate(network(), 60.0, path=tmp_path / "run", **options), whole)


def test_an_unfinished_run_may_go_on_for_longer(engine, whole, tmp_path, monkeypatch):
    options = {"seed": 3, "record": RECORD, "engine": engine, "path": tmp_path / "run"}
    spans = _run._spans

    def cut(engine, steps):
        yield min(steps, engine.step + 77)
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "_spans", cut)
    with pytest.raises(KeyboardInterrupt):
        rv.simulate(network(), 30.0, **options)
    monkeypatch.setattr(_run, "_spans", spans)
    assert rv.Recording.open(tmp_path / "run").duration == 7.7
    assert same(rv.simulate(network(), 60.0, **options), whole)


def test_a_shorter_run_and_a_saved_recording_are_not_continued(tmp_path):
    options = {"seed": 3, "record": RECORD}
    saved = rv.simulate(network(), 5.0, path=tmp_path / "run", **options)
    with pytest.raises(ValueError, match=r"duration: 5\.0 there, 4\.0 here\n.* at least its duration"):
        rv.simulate(network(), 4.0, path=tmp_path / "run", **options)
    saved.save(tmp_path / "saved")
    for duration in (5.0, 6.0):
        with pytest.raises(ValueError, match="a saved recording, without the state"):
            rv.simulate(network(), duration, path=tmp_path / "saved", **options)
    assert same(rv.Recording.open(tmp_path / "saved"), saved)


def test_a_run_in_a_folder_takes_no_intervention(tmp_path):
    net = network()
    p = net.projections[0]
    with rv.Simulation(net, path=tmp_path / "run") as simulation:
        with pytest.raises(ValueError, match=r"set is used in .*run, where a run is a function of network"):
            simulation.set(p, weight=torch.ones(p.size))
        with pytest.raises(ValueError, match=r"modulators= is used in .*run"):
            simulation.run(1.0, modulators={p: rv.TimeSeries([1.0], interval=1.0)})


@pytest.mark.parametrize("options", [{"dt": -1.0}, {"engine": "nest"}, {"record": "nothing"}, {"duration": 0.05}])
def test_what_is_refused_leaves_nothing_behind(tmp_path, options):
    options = {"duration": 5.0, "path": tmp_path / "a" / "run"} | options
    with pytest.raises(ValueError):
        rv.simulate(network(), **options)
    assert not list(tmp_path.iterdir())


def test_two_threads_do_not_write_to_one_folder(tmp_path, monkeypatch):
    """One of them runs; the other is refused before it has built anything, and changes nothing."""
    inside, done, problems, spans = threading.Event(), threading.Event(), [], _run._spans

    def slow(engine, steps):
        for last in spans(engine, steps):
            inside.set()
            done.wait()
            yield last

    monkeypatch.setattr(_run, "_spans", slow)

    def first():
        try:
            rv.simulate(network(), 30.0, seed=3, record=RECORD, path=tmp_path / "run")
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert inside.wait(60.0)
        before = sorted(p.name for p in (tmp_path / "run").iterdir())
        for seed in (3, 4):
            with pytest.raises(FolderInUseError, match=rf"another run of this process \({os.getpid()}\)"):
                rv.simulate(network(), 30.0, seed=seed, record=RECORD, path=tmp_path / "run")
        with monkeypatch.context() as patch, pytest.raises(FolderInUseError):
            patch.setattr("ranvier.engines._simulate.prepare", lambda *_, **__: pytest.fail("built before the lock"))
            rv.simulate(network(), 30.0, path=tmp_path / "run")
        assert sorted(p.name for p in (tmp_path / "run").iterdir()) == before
    finally:
        done.set()
        thread.join()
    assert not problems
    assert same(
        rv.simulate(network(), 30.0, seed=3, record=RECORD, path=tmp_path / "run"),
        rv.simulate(network(), 30.0, seed=3, record=RECORD),
    )


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_folder_deleted_in_mid_run_stops_the_run_and_is_the_named_cause(tmp_path, monkeypatch, how):
    folder, spans_done = tmp_path / "run", []

    def cut(engine, steps):
        while engine.step < steps:
            if len(spans_done) == 3:
                folder.rename(tmp_path / "elsewhere")
                if how != "moved":
                    shutil.rmtree(tmp_path / "elsewhere")
                if how == "replaced":
                    folder.mkdir()
            spans_done.append(engine.step)
            yield engine.step + 10

    monkeypatch.setattr(_run, "_spans", cut)
    with pytest.raises(FileNotFoundError, match=r"run was deleted or moved while this run wrote to it; expected"):
        rv.simulate(network(), 30.0, path=folder)
    assert len(spans_done) == 4  # noticed at the next segment
    assert sorted(p.name for p in tmp_path.rglob("*") if p.name.startswith((".seg", ".state"))) == []
    assert not folder.exists() if how != "replaced" else not list(folder.iterdir())


def test_cleaning_up_never_hides_the_first_error(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("clean-up failed")

    with pytest.raises(KeyError, match="first"), atomic_path(tmp_path / "x"):
        monkeypatch.setattr(Path, "unlink", refuse)
        raise KeyError("first")
