"""What goes to other processes, as multiprocessing and joblib send it, answers there as it did here."""

import copy
import pickle

import pytest
import torch

import ranvier as rv

SENDING = pytest.mark.parametrize(
    "send", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy], ids=["pickle", "deepcopy", "copy"]
)


@pytest.fixture(scope="module")
def net():
    net = rv.Network(seed=1)
    cells = net.add(rv.LIF(), 4, "cells", drive=14.0, noise=4.0)
    net.connect(cells, cells, weight=1.0, in_degree=2)
    return net


@SENDING
def test_recordings(send, net, tmp_path):
    whole = rv.simulate(net, 300.0, dt=1.0, engine="torch", record="V", path=tmp_path / "run")
    in_memory = rv.simulate(net, 300.0, dt=1.0, engine="torch", record="V")
    opened = rv.Recording.open(tmp_path / "run")
    session = rv.recordings.Session.of_simulation(whole)
    assert whole.n_spikes > 10
    for recording in (whole, in_memory, in_memory.after(100.0), opened, session):
        other = send(recording)
        assert torch.equal(other.rates(), recording.rates())
        assert torch.equal(other.covariance(20.0), recording.covariance(20.0))
        if other is not session and hasattr(recording, "times"):
            assert torch.equal(other.times, recording.times) and torch.equal(other.neurons, recording.neurons)
            assert torch.equal(other.states["V"].values, recording.states["V"].values)
    pooled = whole.spikes.group([0, 0, 1, -1]).after(100)
    assert [x.tolist() for x in next(send(pooled).cut([0, 200]))] == [x.tolist() for x in next(pooled.cut([0, 200]))]


def junctions(net, cells):
    net.connect(cells, cells, weight=0.1, in_degree=1, synapse=rv.Electrical())


def conductances(net, cells):
    net.connect(cells, cells, weight=0.1, in_degree=1, synapse=rv.ExponentialConductance(tau=5.0, E_rev=0.0))


def currents(net, cells):
    net.connect(cells, cells, weight=2.0, in_degree=1, synapse=rv.Exponential(tau=5.0))


@pytest.mark.parametrize("connect", [currents, conductances, junctions])
def test_predictions(connect):
    net = rv.Network(seed=1)
    connect(net, net.add(rv.LIF(), 2, "cells", drive=10.0, noise=5.0))
    prediction = rv.predict(net)
    for other in (pickle.loads(pickle.dumps(prediction)), copy.deepcopy(prediction)):
        assert torch.equal(other.rates(), prediction.rates())
        assert torch.equal(other.spectrum([10.0]), prediction.spectrum([10.0]))
    if connect is currents:
        assert torch.equal(other.at_step(0.1).rates(), prediction.at_step(0.1).rates())


@SENDING
def test_a_simulation_stays_where_it_is(send, net):
    with pytest.raises(TypeError, match=r"expected it to stay in its process.*store\(\)"):
        send(rv.Simulation(net, engine="torch"))
