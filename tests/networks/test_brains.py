"""Builders: weights against their definition, and the nematode's resting point against its equations."""

import numpy as np
import pytest
import torch

from ganglion.data import celegans, larva
from ganglion.networks import EdgeList, brains
from ganglion.neurons import EIF, LIF, Graded
from ganglion.synapses import Delta, Exponential

EDGES = EdgeList.build(
    ["a", "b", "c", "d"], [0, 1, 2, 2], [2, 2, 0, 1], [3.0, -1.0, 2.0, 5.0], classes=["x", "x", "LNs", "y"]
)


def test_input_fractions_and_signs():
    fractions = dict(
        zip(zip(EDGES.sources, EDGES.targets, strict=True), brains.input_fractions(EDGES), strict=True)
    )
    assert fractions == {(0, 2): 0.75, (1, 2): -0.25, (2, 0): 1.0, (2, 1): 1.0}
    assert brains.signs_of(EDGES, {"x": -1, "a": 2.0}).tolist() == [2.0, -1.0, 1.0, 1.0]
    assert brains.signs_of(EDGES).tolist() == [1.0] * 4
    with pytest.raises(ValueError, match="Did you mean 'LNs'"):
        brains.signs_of(EDGES, {"LN": -1})
    with pytest.raises(ValueError, match="finite"):
        brains.signs_of(EDGES, {"x": float("nan")})


def test_a_network_from_any_edges():
    net = brains.network_from_edges(EDGES, gain=100.0, signs={"LNs": -1.0}, drive=11.0, seed=5)
    (p,), (c,) = net.populations, net.projections
    assert isinstance(p.neuron, EIF) and p.parameters["drive"] == 11.0 and p.parameters["noise"] == 9.0
    assert c.synapse == Exponential(tau=5.0) and c.delay == 1.0 and net.seed == 5
    expected = np.zeros((4, 4))
    expected[2, 0], expected[2, 1], expected[0, 2], expected[1, 2] = 75.0, -25.0, -100.0, -100.0
    np.testing.assert_array_equal(c.matrix().toarray(), expected)
    other = brains.network_from_edges(EDGES, "lif", synapse=Delta(), delay=2.0, gain=1.0)
    assert isinstance(other.populations[0].neuron, LIF) and other.projections[0].delay == 2.0
    assert isinstance(brains.network_from_edges(EDGES, EIF()).populations[0].parameters["noise"], float)
    with pytest.raises(ValueError, match="Did you mean 'EIF'"):
        brains.network_from_edges(EDGES, "EIV")


def test_signs_as_text_and_from_a_file(tmp_path):
    assert brains.read_signs("LNs=-1, APL = -0.5") == {"LNs": -1.0, "APL": -0.5}
    (tmp_path / "signs").write_text("LNs=-1  # assumed\n\nKCs=1\n")
    assert brains.read_signs(str(tmp_path / "signs")) == {"LNs": -1.0, "KCs": 1.0}
    for wrong in ("LNs", "LNs=minus", "=1", "LNs=nan"):
        with pytest.raises(ValueError, match="expected"):
            brains.read_signs(wrong)


def test_larva_network_follows_its_definition():
    net = brains.larva_network(gain=100.0, signs={"KCs": 0.5})
    (p,), (c,) = net.populations, net.projections
    edges = larva()
    weight = c.matrix()
    sign = {"LNs": -1.0, "APL": -1.0, "KCs": 0.5}
    counts = edges.matrix()
    for target in (0, 17, 1500, 2951):
        row = counts[[target]].toarray().ravel()
        factor = np.array([sign.get(kind, 1.0) for kind in edges.classes])
        expected = 100.0 * factor * row / max(row.sum(), 1.0)
        np.testing.assert_allclose(weight[[target]].toarray().ravel(), expected, rtol=1e-12)
    assert p.size == 2952 and c.size == 110_677 and net.names[0] == edges.names[0]
    assert set(net.classes) == set(edges.classes)


def test_the_nematode_rests_at_half_activation():
    net = brains.celegans_network(gain=1.0, gap=0.5)
    (p,) = net.populations
    assert isinstance(p.neuron, Graded)
    # the right-hand side of dV/dt at V = E_L with every release at one half, summed edge by edge
    current = torch.zeros(302, dtype=torch.float64)
    conductance = np.zeros(302)
    for c in net.projections:
        _, targets = c.edges()
        if type(c.synapse).__name__ == "Sigmoidal":
            current.index_add_(0, targets, 0.5 * c.weight * (c.synapse.E_rev + 35.0))
            conductance += np.bincount(targets, c.weight, minlength=302)
    np.testing.assert_allclose(p.parameters["drive"] + current, np.zeros(302), atol=1e-12)
    chemical, electrical = celegans()
    wired = np.isin(np.arange(302), chemical.targets)
    np.testing.assert_allclose(conductance, wired.astype(float), rtol=1e-12)
    gaps = net.projections[-1].matrix()
    assert abs(gaps - gaps.T).max() == 0.0 and gaps.sum() == pytest.approx(0.5 * 302)
    assert gaps.nnz == len(electrical)
    gaba = {n for n, t in zip(chemical.names, chemical.attributes["transmitter"], strict=True) if t == "GABA"}
    inhibitory = next(c for c in net.projections if getattr(c.synapse, "E_rev", None) == -48.0)
    assert {net.names[i] for i in inhibitory.edges()[0]} <= gaba
    quiet = brains.celegans_network(signs={"AVL": -1.0})
    inhibitory = next(c for c in quiet.projections if getattr(c.synapse, "E_rev", None) == -48.0)
    assert {net.names[i] for i in inhibitory.edges()[0]} == {"AVL"}


@pytest.mark.parametrize("n", [40, 520])
def test_spectral_radius(n, rng):
    matrix = rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.1)
    matrix += 0.05  # one eigenvalue stands out
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    assert brains.spectral_radius(matrix) == pytest.approx(expected, rel=1e-8)
    assert brains.spectral_radius(np.triu(matrix, 1)) == 0.0  # no loops
    assert brains.spectral_radius(np.triu(matrix)) == np.abs(matrix.diagonal()).max()
    assert brains.spectral_radius(np.zeros((n, n))) == 0.0


def test_the_working_point_of_the_reference_rates():
    neuron, inputs = brains.working_point("eif")
    assert (neuron.tau_m, neuron.E_L, neuron.Delta_T, neuron.V_T) == (10.0, -72.0, 1.4, -48.0)
    assert inputs == {"drive": 10.0, "noise": 9.0}
