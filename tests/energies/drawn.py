"""Strategies of hypothesis: every kind of energy in the package, and graphs, with states and clamps to go with them.

Sizes, kinds and constants are drawn; what fills the tensors comes from a drawn seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from ranvier.atlas.energies.loss_surfaces import SphericalGlass
from ranvier.energies import (
    Boltzmann,
    Clamp,
    ContinuousHopfield,
    DenseMemory,
    Energy,
    EnergyGraph,
    ExponentialInteraction,
    Hopfield,
    Ising,
    Layer,
    Layered,
    ModernHopfield,
    PolynomialInteraction,
    RectifiedInteraction,
)
from ranvier.energies.graphs.lagrangians import Identity, Lagrangian, LayerNorm, ReLU, Sigmoid, Softmax, Spherical, Tanh
from ranvier.energies.graphs.synapses import Attention, Bias, Conv, Dense, GraphSynapse, Memories
from ranvier.energies.predictive.active_inference import BeliefEnergy
from ranvier.energies.predictive.hierarchy import Hierarchy
from ranvier.energies.sparse_coding import SparseCode, normalised
from ranvier.learners.energy_based._nudged import Nudged


@dataclass(frozen=True)
class Case:
    """An energy, states (B, N) to begin from, an input, and units that must be held together, as (start, stop)."""

    energy: Energy
    x: Tensor
    field: Tensor | None = None
    rows: tuple[tuple[int, int], ...] = ()
    clamp: Clamp | None = None
    bounded: bool = True  # from below; else a descent need not end
    free: bool = False  # no unit may be held


class Random:
    """Tensors from a seed."""

    def __init__(self, seed: int) -> None:
        self.g = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(*shape, generator=self.g, dtype=torch.float64)

    def symmetric(self, n: int, scale: float, diagonal: bool = False) -> Tensor:
        W = self.normal(n, n, scale=scale / math.sqrt(n))
        W = (W + W.T) / 2
        return W if diagonal else W.fill_diagonal_(0)

    def signs(self, *shape: int) -> Tensor:
        return self.normal(*shape).sign()

    def fill(self, module: nn.Module, scale: float) -> None:
        """New weights, by the number of their inputs."""
        with torch.no_grad():
            for p in module.parameters():
                p.copy_(self.normal(*p.shape, scale=scale / math.sqrt(max(1, p[0].numel()))))


sizes = st.integers(1, 6)
scales = st.floats(0.1, 3.0)
betas = st.floats(0.2, 4.0)
smooth = st.one_of(betas.map(Tanh), betas.map(Sigmoid))
elementwise = st.one_of(smooth, st.just(Identity()), st.sampled_from([2.0, 2.5, 3.0]).map(ReLU))
rowwise = st.one_of(
    betas.map(Softmax),
    st.builds(LayerNorm, betas, st.floats(-1, 1), st.sampled_from([1e-5, 0.1])),
    st.builds(Spherical, betas, st.sampled_from([1e-5, 0.1])),
)
lagrangians = st.one_of(elementwise, rowwise)


def growth(lagrangian: Lagrangian) -> float:
    """The power with which activations grow."""
    return {Identity: 1.0, ReLU: getattr(lagrangian, "n", 2.0) - 1}.get(type(lagrangian), 0.0)


@st.composite
def graphs(draw: Callable) -> Case:
    """Two to four layers of any shape and Lagrangian; any synapses between any of them, or of a layer with itself."""
    rng = Random(draw(st.integers(0, 2**31)))
    scale = draw(st.floats(0.1, 1.5))
    layers: dict[str, Layer] = {}
    joined: list[tuple[tuple[str, ...], GraphSynapse]] = []
    shapes = st.one_of(
        st.tuples(sizes), st.tuples(st.integers(1, 3), st.integers(1, 4)),
        st.tuples(st.integers(1, 2), st.integers(3, 5), st.integers(3, 5)),
    )  # fmt: skip
    for k in range(draw(st.integers(2, 4))):
        layers[f"l{k}"] = Layer(draw(lagrangians), draw(shapes), draw(st.sampled_from([1.0, 0.5, 2.0])))
    for name, layer in list(layers.items()):
        if len(layer.shape) == 3:
            kernel, stride, padding = (draw(st.integers(a, b)) for a, b in ((1, 3), (1, 2), (0, 1)))
            synapse = Conv(layer.shape[0], draw(st.integers(1, 2)), kernel, stride, padding)
            sides = tuple((n + 2 * padding - kernel) // stride + 1 for n in layer.shape[1:])
            layers[f"{name}_maps"] = Layer(draw(lagrangians), (synapse.weight.shape[0], *sides))
            joined.append(((name, f"{name}_maps"), synapse))
    names = list(layers)
    for a, first in enumerate(names):
        for second in names[a:]:
            one, two = layers[first].shape, layers[second].shape
            if not draw(st.booleans()) and not (first != second and len(names) == 2):
                continue
            if len(one) == len(two) == 2 and draw(st.booleans()):
                own = not (first == second and one[0] > 1 and draw(st.booleans()))
                heads, dim = draw(st.integers(1, 2)), draw(st.integers(1, 3))
                beta = draw(st.one_of(st.none(), betas))
                joined.append(((first, second), Attention(one[1], two[1], dim=dim, heads=heads, beta=beta, own=own)))
            else:
                joined.append(((first, second), Dense(math.prod(one), math.prod(two))))
        if draw(st.booleans()):
            joined.append(((first,), Bias(rng.normal(*layers[first].shape))))
        if draw(st.integers(0, 3)) == 0:
            patterns = rng.normal(draw(sizes), math.prod(layers[first].shape), scale=0.5)
            joined.append(((first,), Memories(patterns, draw(lagrangians))))
    graph = EnergyGraph(layers, joined).double().requires_grad_(False)
    for _, synapse in joined:
        rng.fill(synapse, scale)
    rows = []
    for name, layer in layers.items():
        if layer.lagrangian.rowwise:
            where = graph.layout.slices[name]
            rows += [(k, k + layer.shape[-1]) for k in range(where.start, where.stop, layer.shape[-1])]
    flat = any(growth(layer.lagrangian) for layer in layers.values())
    x = rng.normal(draw(st.integers(1, 3)), graph.units, scale=draw(st.floats(0.3, 3.0)))
    field = rng.normal(*x.shape) if draw(st.booleans()) else None
    return Case(graph, x, field, tuple(rows), bounded=not flat)


def _case(rng: Random, energy: Energy, draw: Callable, **more: object) -> Case:
    x = rng.normal(draw(st.integers(1, 3)), energy.units, scale=draw(st.floats(0.3, 2.0)))
    field = rng.normal(*x.shape) if draw(st.booleans()) else None
    return Case(energy.requires_grad_(False), x, field, **more)  # type: ignore[arg-type]


@st.composite
def spins(draw: Callable, kind: type[Energy]) -> Case:
    rng, n = Random(draw(st.integers(0, 2**31))), draw(st.integers(2, 8))
    return _case(rng, kind(rng.symmetric(n, draw(scales)), rng.normal(n)), draw)  # type: ignore[call-arg]


@st.composite
def graded(draw: Callable) -> Case:
    rng, n = Random(draw(st.integers(0, 2**31))), draw(st.integers(1, 8))
    W = rng.symmetric(n, draw(scales), diagonal=True)
    lagrangian = draw(st.one_of(smooth, betas.map(Softmax)))
    energy = ContinuousHopfield(W, rng.normal(n), lagrangian=lagrangian, tau=draw(st.sampled_from([0.5, 1.0, 3.0])))
    return _case(rng, energy, draw, rows=((0, n),) if lagrangian.rowwise else ())


@st.composite
def dense_memories(draw: Callable) -> Case:
    rng, n = Random(draw(st.integers(0, 2**31))), draw(st.integers(1, 8))
    powers = st.integers(2, 9)
    rectified, exponential = powers.map(RectifiedInteraction), st.just(ExponentialInteraction())
    kind = draw(st.one_of(powers.map(PolynomialInteraction), rectified, exponential))
    patterns = rng.signs(draw(sizes), n) if draw(st.booleans()) else rng.normal(draw(sizes), n)
    return _case(rng, DenseMemory(patterns, kind), draw)


@st.composite
def modern(draw: Callable) -> Case:
    rng = Random(draw(st.integers(0, 2**31)))
    energy = ModernHopfield(rng.normal(draw(sizes), draw(sizes)), draw(st.one_of(st.none(), betas)))
    return _case(rng, energy, draw)


def _maps(draw: Callable, rng: Random, scale: float) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Dense ones, or a convolution and what follows it."""
    if draw(st.booleans()):
        widths = draw(st.lists(sizes, min_size=2, max_size=4))
        maps: list[nn.Module] = [nn.Linear(a, b) for a, b in pairwise(widths)]
        shape: tuple[int, ...] = (widths[0],)
    else:
        channels, shape = draw(st.integers(1, 2)), (1, 5, 4)
        maps = [nn.Conv2d(1, channels, 2), nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2 * channels, 3))]
    for module in maps:
        rng.fill(module.double(), scale)
    return maps, shape


@st.composite
def layered(draw: Callable, nudge: bool = False) -> Case:
    rng = Random(draw(st.integers(0, 2**31)))
    maps, shape = _maps(draw, rng, draw(st.floats(0.1, 2.0)))
    energy: Energy = (model := Layered(maps, shape, draw(st.one_of(st.none(), smooth))).double())
    case = _case(rng, energy, draw)
    with torch.no_grad():
        case = replace(case, field=model.drive(rng.normal(len(case.x), *shape)))
    if nudge:
        target = rng.normal(*model.output(case.x).shape)
        case = replace(case, energy=Nudged(model, target, draw(st.sampled_from([-1.0, -0.3, 0.1, 0.5, 2.0]))))
    return case


@st.composite
def hierarchies(draw: Callable) -> Case:
    rng = Random(draw(st.integers(0, 2**31)))
    maps, shape = _maps(draw, rng, draw(st.floats(0.1, 1.5)))
    maps = [m if draw(st.booleans()) else nn.Sequential(nn.Tanh(), m) for m in maps]
    precision = [draw(st.floats(0.1, 10.0)) for _ in maps]
    prior = draw(st.booleans())
    model = Hierarchy(maps, shape, prior=prior, precision=precision, learn_precision=draw(st.booleans()))
    case = _case(rng, model.double(), draw)
    return replace(case, bounded=prior or case.field is None)  # an input to the top layer may push it for ever


@st.composite
def sparse(draw: Callable, penalty: str) -> Case:
    rng = Random(draw(st.integers(0, 2**31)))
    atoms = normalised(rng.normal(draw(st.integers(1, 8)), draw(st.integers(1, 5))))
    case = _case(rng, energy := SparseCode(atoms, draw(st.floats(0.05, 0.5)), penalty), draw)  # type: ignore[arg-type]
    return replace(case, field=energy.drive(rng.normal(len(case.x), atoms.shape[1])))


@st.composite
def beliefs(draw: Callable) -> Case:
    rng = Random(draw(st.integers(0, 2**31)))
    states = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    batch = draw(st.integers(1, 3))
    prior = [torch.softmax(rng.normal(n, scale=2), 0) for n in states]
    energy = BeliefEnergy(rng.normal(batch, *states, scale=draw(scales)) - 3, prior)
    ends = torch.tensor([0, *states]).cumsum(0).tolist()
    case = Case(energy, rng.normal(batch, energy.units), rows=tuple(pairwise(ends)))
    return replace(case, field=rng.normal(*case.x.shape) if draw(st.booleans()) else None)


@st.composite
def glasses(draw: Callable) -> Case:
    rng, n = Random(draw(st.integers(0, 2**31))), draw(st.integers(2, 7))
    J = rng.normal(n, n, n)
    J = sum((J.permute(p) for p in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))), 0 * J) / n
    return _case(rng, SphericalGlass(J), draw, free=True)


#: how to draw each kind of energy
DRAWN: dict[str, st.SearchStrategy[Case]] = {
    "Ising": spins(Ising), "Hopfield": spins(Hopfield), "Boltzmann": spins(Boltzmann), "ContinuousHopfield": graded(),
    "DenseMemory": dense_memories(), "ModernHopfield": modern(), "EnergyGraph": graphs(), "Layered": layered(),
    "Nudged": layered(nudge=True), "Hierarchy": hierarchies(), "SparseCode": sparse("soft"),
    "SparseCode, hard": sparse("hard"), "BeliefEnergy": beliefs(), "SphericalGlass": glasses(),
}  # fmt: skip


@st.composite
def clamped(draw: Callable, cases: st.SearchStrategy[Case]) -> Case:
    """With some units held, the same in all entries or each entry's own; rows as a whole."""
    case = draw(cases)
    if case.free:
        return case
    entries = len(case.x) if draw(st.booleans()) else 1
    rng = Random(draw(st.integers(0, 2**31)))
    mask = rng.normal(entries, case.energy.units) > draw(st.sampled_from([0.0, 1.0]))
    for start, stop in case.rows:
        mask[:, start:stop] = mask[:, start : start + 1]
    values = rng.normal(len(case.x), case.energy.units)  # within the allowed set or not
    return replace(case, clamp=Clamp(mask[0] if entries == 1 else mask, values))


__all__ = ["DRAWN", "Case", "clamped", "graphs"]
