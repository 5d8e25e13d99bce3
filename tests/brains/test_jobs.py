"""What `ranvier run` builds: signs, strengths and working points, by plain re-derivation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.brains import celegans, from_edges, larva, read_signs
from ranvier.brains._job import input_fractions
from ranvier.brains._signs import signs_of
from ranvier.brains._spiking import REGIMES, susceptibility
from ranvier.cli.runs import RunSettings
from ranvier.networks import EdgeList
from ranvier.networks.store import fingerprint


def edge_list(weights=(1.0, 3.0, -4.0, 2.0)):
    return EdgeList.build(
        ["a", "b", "c"], [1, 2, 0, 0], [0, 0, 1, 2], np.array(weights), classes=["x", "y", "y"]
    )


def test_signs_from_text_and_file(tmp_path):
    assert read_signs("LNs=-1, APL = inhibitory,a=b=1") == {"LNs": -1, "APL": -1, "a=b": 1}
    path = tmp_path / "signs.txt"
    path.write_text("class,sign\n# a comment\nLNs,-1\nvisual PNs\t+1\nAPL excitatory\n\nKC 0\n")
    assert read_signs(str(path)) == {"LNs": -1, "visual PNs": 1, "APL": 1, "KC": 0}


@pytest.mark.parametrize("text", ["", "# nothing\n", "class,sign\n", "one\n", "a,2\n", "a,b,c\n"])
def test_bad_sign_files_are_refused(tmp_path, text):
    path = tmp_path / "signs.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"signs\.csv"):
        read_signs(str(path))


def test_a_name_goes_before_its_class():
    assert signs_of(["a", "b", "c"], ["x", "y", "y"], {"y": -1, "c": 1}).tolist() == [1, -1, 1]
    with pytest.raises(ValueError, match="names 'z'"):
        signs_of(["a"], ["x"], {"z": -1})


def test_weights_are_input_fractions_times_gain_and_sign():
    edges = edge_list()
    assert input_fractions(edges).tolist() == [0.25, 0.75, -1.0, 1.0]
    job = from_edges(edges, title="t", gain=100.0, signs={"y": -1}, delay=2.0)
    (projection,) = job.network.projections
    assert np.allclose(projection.weight, [-25.0, -75.0, -100.0, 100.0])
    assert projection.delay == 2.0
    drive = job.network.populations[0].parameters["drive"]
    assert drive == pytest.approx(10.0 + 100.0 / 3 * 7.5 / 1000.0)  # the three get −100, −100 and +100


def test_the_average_neuron_sits_at_its_working_point():
    job = larva()
    (projection,) = job.network.projections
    population = job.network.populations[0]
    _, targets = (np.asarray(part) for part in projection.edges())
    recurrent = np.bincount(targets, weights=np.asarray(projection.weight), minlength=2952) * 7.5 / 1000.0
    assert population.parameters["drive"] + recurrent.mean() == pytest.approx(REGIMES["EIF"].drive)
    total = np.bincount(targets, weights=np.abs(np.asarray(projection.weight)), minlength=2952)
    assert np.allclose(total[total > 0], 200.0)
    inhibitory = np.isin(np.asarray(population.classes), ["LNs", "APL"])
    sources, _ = (np.asarray(part) for part in projection.edges())
    assert (np.sign(np.asarray(projection.weight)) == np.where(inhibitory[sources], -1, 1)).all()


def test_susceptibility_of_the_reference_neuron():
    """A(0) = 1.337434 Hz/mV, of the network of Trousdale et al. 2012 by threshold integration."""
    import ranvier as rv

    neuron = rv.EIF(**REGIMES["EIF"].parameters)
    assert susceptibility(neuron, np.array([10.0]), 9.0)[0] == pytest.approx(1.337434, rel=1e-3)


def test_coupling_at_measured_rates():
    """Two neurons that drive each other: ρ = A sqrt(w₁ w₂) exactly."""
    edges = EdgeList.build(["a", "b"], [0, 1], [1, 0], np.array([1.0, 1.0]))
    job = from_edges(edges, title="t", gain=300.0)
    facts = job.facts(np.array([7.5, 7.5]))
    assert float(facts["spectral radius of the linearised coupling (unstable from 1 on)"]) == pytest.approx(
        0.3 * 1.3374, abs=0.006
    )
    # the variance of a filtered Poisson input: w² r / (2 (τ_m + τ_s)) over σ²
    ratio = 300.0**2 * 0.0075 / 2 / (10.0 + 5.0) / 81.0
    assert float(facts["variance from recurrent input over that of the noise, mean"]) == pytest.approx(
        ratio, abs=6e-4
    )


@pytest.mark.parametrize("neuron", REGIMES)
def test_every_regime_fires_at_its_rate_alone(neuron):
    import ranvier as rv

    regime = REGIMES[neuron]
    net = rv.Network()
    net.add(getattr(rv, neuron)(**regime.parameters), 100, drive=regime.drive, noise=regime.noise)
    recording = rv.simulate(net, 4000.0, seed=3).after(500.0)
    assert float(recording.rates().mean()) == pytest.approx(regime.rate, rel=0.1)


def test_the_worm_rests_at_its_working_point():
    """At V = −35 mV everywhere, synapses half open, every neuron's drift is 0."""
    job = celegans()
    population = job.network.populations[0]
    current = np.zeros(302)
    for projection in job.network.projections:
        _, targets = (np.asarray(part) for part in projection.edges())
        reversal = getattr(projection.synapse, "E_rev", None)
        if reversal is not None:
            weight = np.asarray(projection.weight) * 0.5 * (reversal + 35.0)
            current += np.bincount(targets, weights=weight, minlength=302)
    assert np.allclose(np.asarray(population.parameters["drive"]) + current, 0.0, atol=1e-9)
    gap = job.network.projections[-1]
    assert np.asarray(gap.weight).sum() / 302 == pytest.approx(1.0)
    names = dict(zip(population.names, range(302)))
    inhibitory = next(p for p in job.network.projections if getattr(p.synapse, "E_rev", None) == -48.0)
    assert set(np.asarray(inhibitory.edges()[0])) <= {
        i for name, i in names.items() if name[:2] in ("DD", "VD", "RM", "RI", "AV", "DV")
    }
    assert float(next(iter(job.facts(np.zeros(302)).values()))) < 1.0


def test_every_option_changes_the_networks_fingerprint():
    def of(**options):
        return fingerprint(from_edges(edge_list(), title="t", **options).network)

    same = of()
    assert of() == same
    for change in ({"gain": 199.0}, {"drive": 1.0}, {"noise": 1.0}, {"delay": 1.1}, {"signs": {"a": -1}}):
        assert of(**change) != same
    assert of(neuron="LIF") != same
    assert fingerprint(from_edges(edge_list((1.0, 3.0, -4.0, -2.0)), title="t").network) != same


def test_names_of_folders():
    assert RunSettings("larva").name == "larva"
    assert RunSettings("data/my.edges.csv.gz").name == "my"


def test_signs_of_a_run_may_name_transmitters(tmp_path):
    """`--signs glutamate=-1` for the fly: by any of its names, before the sign that the column gave."""
    from ranvier.brains import from_edges
    from ranvier.networks import read_edges

    path = tmp_path / "fly.csv"
    path.write_text("pre,post,syn_count,nt_type\na,b,5,GLUT\na,c,1,GLUT\nb,c,2,GABA\nc,a,3,ACH\n")
    edges = read_edges(path)
    for signs, expected in (({}, 1), ({"glutamate": -1}, -1), ({"GLUT": -1}, -1)):
        job = from_edges(edges, title="fly", signs=signs)
        weights = torch.cat([torch.as_tensor(p.weight).reshape(-1) for p in job.network.projections])
        assert len(weights) == 4 and int((weights < 0).sum()) == (1 if expected > 0 else 3)
    with pytest.raises(ValueError, match="neither a class nor a neuron nor a transmitter"):
        from_edges(edges, title="fly", signs={"dopamine": -1})


def test_signs_that_the_wiring_holds_are_not_called_assumed(tmp_path):
    """Those of the nodes' transmitters, here; a table without says that all excite, and that this is assumed."""
    (tmp_path / "e.csv").write_text("source,target,weight\na,b,2\nb,a,3\nb,c,1\n")
    (tmp_path / "n.csv").write_text("id,transmitter\na,GABA\nb,acetylcholine\nc,acetylcholine\n")
    signed, bare = rv.read_edges(tmp_path / "e.csv", nodes=tmp_path / "n.csv"), rv.read_edges(tmp_path / "e.csv")
    (caution,) = from_edges(signed, title="").cautions
    assert caution == "Signs: 1 of 3 connections inhibitory, by the wiring's own signs; all others excite."
    (caution,) = from_edges(bare, title="").cautions
    assert caution.startswith("Signs: all neurons excite.") and "assumed" in caution
