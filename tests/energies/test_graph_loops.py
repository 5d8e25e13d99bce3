"""The compiled loops over all steps of a graph against steps by plain torch, for every Lagrangian, batch and option."""

import pytest
import torch

from ranvier.energies import Clamp, Descent, EnergyGraph, Fixed, Layer
from ranvier.energies.graphs import _lanes, lagrangians
from ranvier.energies.graphs._loop import LEAST_BATCH
from ranvier.energies.graphs.lagrangians import (
    Identity,
    Lagrangian,
    LayerNorm,
    ReLU,
    Sigmoid,
    Softmax,
    Spherical,
    Tanh,
)
from ranvier.energies.graphs.synapses import Bias, Dense

KINDS = [Identity(), ReLU(), ReLU(2.5), Tanh(1.7), Sigmoid(2.0), Softmax(3.0), LayerNorm(0.8, 0.1), Spherical(1.3)]
#: of 30 steps, whose sums are ordered otherwise: some hundred roundings of numbers near 1
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def graph(kind, dtype, sizes=(9, 7, 6), tau=1.0):
    g = torch.Generator().manual_seed(3)
    a, b, c = sizes
    layers = {"a": Layer(Tanh(), (a,)), "b": Layer(kind, (b,), tau), "c": Layer(kind, (2, c // 2))}
    scale = 0.05 if isinstance(kind, ReLU) else 0.3  # else its energy has no minimum
    weights = [scale * torch.randn(*shape, generator=g) for shape in ((a, b), (b, c), (a, c), (b, b))]
    joined = [(("a", "b"), weights[0]), (("b", "c"), weights[1]), (("a", "c"), weights[2]), (("b", "b"), weights[3])]
    synapses = [(names, Dense(*w.shape, w)) for names, w in joined]
    return EnergyGraph(layers, [*synapses, ("a", Bias(torch.randn(a, generator=g)))]).to(dtype).requires_grad_(False)


def plain(graph, x, steps, width, clamp, field):
    x = x if clamp is None else clamp(x)
    for _ in range(steps):
        force = graph.force(x, clamp) + (0 if field is None else field)
        moved = x + width * graph.flow(force)
        x = moved if clamp is None else clamp(moved)
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("batch", [1, LEAST_BATCH, 2 * _lanes.LANES + 3])
def test_steps_are_those_of_torch(kind, batch, dtype):
    model = graph(kind, dtype, tau=0.7)
    g = torch.Generator().manual_seed(batch)
    x, field, mask = (torch.randn(batch, model.units, generator=g).to(dtype) for _ in range(3))
    for clamp, pull in (
        (None, None), (None, field), (None, field[0]), (Clamp.at(range(9), x[:, :9], model.units), None),
        (Clamp((mask > 0.5) & (torch.arange(model.units) < 9), 0.5 * x), field),
    ):  # fmt: skip
        with torch.no_grad():
            expected = plain(model, x, 30, 0.1, clamp, pull)
            assert model.advance(x, 30, 0.1, clamp, pull) is not None
            end = Descent(model, Fixed(0.1)).relax({"x": x}, 30, clamp, pull)["x"]
        torch.testing.assert_close(end, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_every_lagrangian_has_a_loop():
    kinds = {each for each in vars(lagrangians).values() if isinstance(each, type) and issubclass(each, Lagrangian)}
    assert {type(kind) for kind in KINDS} == {each for each in kinds if "activations" in vars(each)} - {Lagrangian}


def test_many_units_and_the_caller_s_state():
    """Layers that are no multiple of a tile's rows; the state handed in stays."""
    model = graph(Softmax(), torch.float32, (131, 65, 34))
    x = torch.randn(40, model.units, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    with torch.no_grad():
        torch.testing.assert_close(model.advance(x, 7, 0.2, None, None), plain(model, x, 7, 0.2, None, None))
    assert torch.equal(x, before)


def test_a_few_entries_of_a_large_graph_are_torch_s():
    model = graph(Softmax(), torch.float32, (400, 65, 34))
    x = torch.randn(2, model.units)
    with torch.no_grad():
        assert model.advance(x, 2, 0.1, None, None) is None
        end = Descent(model, Fixed(0.1)).relax({"x": x}, 2)["x"]
        torch.testing.assert_close(end, plain(model, x, 2, 0.1, None, None))
