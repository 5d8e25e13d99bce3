"""Files from before the package took the name Ranvier are refused by name, or read where nothing has changed."""

import json

import pytest

import ranvier as rv
from ranvier.learners.fitting._checkpoint import Checkpoint
from tests.attack.runs import network


def renamed(file, **entries):
    value = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in value.items() if k not in entries or entries[k] is not None} | {
        k: v for k, v in entries.items() if v is not None}))  # fmt: skip


def test_a_network_is_refused(tmp_path):
    rv.write_network(network(), tmp_path)
    assert json.loads((tmp_path / "network.json").read_text())["format"] == "ranvier network"
    renamed(tmp_path / "network.json", format="ganglion network")
    with pytest.raises(ValueError, match="before the package took the name Ranvier"):
        rv.read_network(tmp_path)


def test_a_run_is_read_but_not_gone_on_with(tmp_path):
    first = rv.simulate(network(), 10.0, dt=0.5, seed=3, path=tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    renamed(manifest, ranvier=None, ganglion="0.1.0")
    before = manifest.read_bytes()
    assert rv.Recording.open(tmp_path / "run").times.tolist() == first.times.tolist()
    with pytest.raises(ValueError, match="before the package took the name Ranvier"):
        rv.simulate(network(), 10.0, dt=0.5, seed=3, path=tmp_path / "run")
    assert manifest.read_bytes() == before


def test_a_checkpoint_is_refused(tmp_path):
    Checkpoint(tmp_path, {"name": "a"}).save(1, {"x": 1})
    renamed(tmp_path / "checkpoint.json", format="ganglion checkpoint 1")
    with pytest.raises(ValueError, match='ganglion checkpoint 1", of before'):
        Checkpoint(tmp_path, {"name": "a"}).load()
