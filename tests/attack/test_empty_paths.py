"""A folder whose name is empty would be the current one: written to, or read, without a word."""

import pytest
import torch

import ranvier as rv
from tests.attack.runs import network


def fit(path):
    model = torch.nn.Linear(3, 2)
    learner = rv.learners.BPTT(
        model, torch.nn.functional.cross_entropy, torch.optim.SGD(model.parameters(), 0.1), accuracy=None
    )
    rv.fit(learner, [(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]))], 1, path, progress=False)


FOLDERS = {
    "simulate": lambda path: rv.simulate(network(), 1.0, dt=0.5, path=path, engine="torch"),
    "Recording.save": lambda path: rv.simulate(network(), 1.0, dt=0.5, engine="torch").save(path),
    "Recording.open": rv.Recording.open,
    "write_network": lambda path: rv.write_network(network(), path),
    "read_network": rv.read_network,
    "fit": fit,
    "activations": lambda path: rv.interpret.activations(torch.nn.Linear(3, 2), [torch.ones(2, 3)], [""], path),
    "read_activations": rv.interpret.read_activations,
    "atlas.run": lambda path: list(rv.atlas.run([], path, seed=0)),
    "write_nir": lambda path: rv.nn.write_nir(torch.nn.Sequential(rv.nn.LIF(2, 2)), path),
    "read_edges": rv.read_edges,
    "read_nir": rv.read_nir,
    "verify.load": rv.verify.load,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_paths_that_name_nothing_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in ("", 5, []):
        with pytest.raises((ValueError, TypeError), match="expected"):
            FOLDERS[name](wrong)
    assert not list(tmp_path.iterdir())
