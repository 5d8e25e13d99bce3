"""Bounds of every node of random graphs hold at samples, at corners, and, for ReLU networks, in rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ranvier import verify
from ranvier.verify import functions as f
from ranvier.verify.graphs.builder import Builder, Value
from ranvier.verify.graphs.graph import ComputationGraph
from ranvier.verify.relaxation import intervals
from ranvier.verify.relaxation.backward import crown, output_bound
from ranvier.verify.relaxation.forward import forward_bounds
from ranvier.verify.relaxation.optimise import alpha_crown, optimise

FUNCTIONS = [
    f.LeakyRelu(), f.LeakyRelu(0.2), f.Abs(), f.Clip(-1.0, 2.0), f.Heaviside(), f.Logistic(), f.HyperbolicTangent(),
    f.Erf(), f.Power(2),
    f.Power(3), f.Softplus(), f.Elu(), f.Sine(), f.Sine(True), f.Gelu(), f.GeluTanh(), f.Silu(),
]  # fmt: skip


def random_graph(seed: int, scale: float = 1.0, operations: int = 9) -> ComputationGraph:
    """Values of shape (3, 4), joined at random by all kinds of operators."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=g, dtype=torch.float64)

    def pick(n: int) -> int:
        return int(torch.randint(n, (), generator=g))

    b = Builder((3, 4), "random")
    values: list[Value] = [b.input]
    for _ in range(operations):
        x, y = values[pick(len(values))], values[-1]
        match pick(9):
            case 0:
                new = b.matmul(y, draw(4, 4) / 2, draw(4))
            case 1:
                new = b.matmul(draw(3, 3) / 2, y)
            case 2:
                new = b.multiply(x, y)
            case 3:
                new = b.add(x, y, 1 - 2 * pick(2))
            case 4:
                new = b.softmax(y, pick(2))
            case 5:
                new = b.normalise(y, [pick(2)], 0.1)
            case 6:
                new = b.combine([x, y, draw(1, 4)], lambda p, q, r: torch.cat([p[:1], q[1:2], r]))
            case 7:
                new = b.divide(x, b.add(b.multiply(y, y), torch.tensor(1.0).double()))
            case _:
                new = b.matmul(y, b.permute(x, [1, 0]))
                new = b.matmul(new, draw(3, 4) / 3)
        new = new if isinstance(new, Value) else b.add(b.input, new)
        values.append(b.unary(FUNCTIONS[pick(len(FUNCTIONS))], new))  # type: ignore[arg-type]
    return b.graph(values[-1])


def samples(l: torch.Tensor, u: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """(count, size) points of a box, a third of them corners."""
    g = torch.Generator().manual_seed(seed)
    share = torch.rand(count, l.numel(), generator=g, dtype=torch.float64)
    share[::3] = share[::3].round()
    return torch.minimum(l.reshape(-1) + (u - l).reshape(-1) * share, u.reshape(-1))


def worst_excess(graph: ComputationGraph, bounds: intervals.NodeBounds, x: torch.Tensor) -> float:
    """Of a sampled value beyond a node's bounds, relative to the node's terms (0 if none is beyond)."""
    worst = 0.0
    for k, v in enumerate(graph.values(x)):
        l, u, m = bounds.lower[k][0], bounds.upper[k][0], bounds.magnitude[k][0].clamp(min=1e-30)
        beyond = torch.maximum(l - v, v - u) / m
        worst = max(worst, float(torch.where(v.isfinite(), beyond, 0.0).nan_to_num(0.0).amax()))
    return worst


METHODS = {
    "interval": lambda g, l, u: intervals.propagate(g, l, u), "forward": forward_bounds, "crown": crown,
    "alpha": lambda g, l, u: alpha_crown(g, l, u, steps=1),
}  # fmt: skip


@pytest.mark.parametrize("method", list(METHODS))
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-9, 0.01, 0.3, 3.0]))
@settings(max_examples=5)
def test_every_node_of_random_graphs(method: str, seed: int, radius: float):
    graph = random_graph(seed, operations=6)
    centre = samples(-torch.ones(12).double(), torch.ones(12).double(), 1, seed + 1)
    l, u = centre - radius, centre + radius
    if radius == 0.3:
        l[:, :6], u[:, :6] = centre[:, :6], centre[:, :6]  # half of the inputs are fixed
    bounds = METHODS[method](graph, l, u)
    # a sample is itself rounded: by less than the allowance, of at least 16 eps of the terms
    assert worst_excess(graph, bounds, samples(l, u, 600, seed)) < 1e-14


def test_many_samples_and_all_corners():
    graph = random_graph(5)
    l = torch.full((1, 12), -0.2, dtype=torch.float64)
    bounds = crown(graph, l, -l)
    corners = torch.cartesian_prod(*[torch.tensor([-0.2, 0.2], dtype=torch.float64)] * 12)
    assert worst_excess(graph, bounds, corners) < 1e-14
    assert worst_excess(graph, bounds, samples(l, -l, 50_000, 0)) < 1e-14


@given(st.integers(0, 1000), st.sampled_from([1e-6, 1.0, 1e6, 1e12, 1e40, 1e90]))
@settings(max_examples=8)
def test_extreme_weights_and_infinite_inputs_never_give_a_false_bound(seed: int, scale: float):
    graph = random_graph(seed, scale, operations=4)
    l = torch.full((1, 12), -1.0, dtype=torch.float64)
    for low, high in ((l, -l), (l * torch.inf, -l), (l * 1e200, -l * 1e200)):
        inside = samples(low.clamp(min=-1e3), high.clamp(max=1e3), 200, seed)
        for method in ("interval", "forward", "crown"):
            bounds = METHODS[method](graph, low, high)
            assert all(not bool(v.isnan().any()) for side in (bounds.lower, bounds.upper) for v in side)
            assert worst_excess(graph, bounds, inside) < 1e-12


def rational(weights: list[torch.Tensor], x: list[Fraction]) -> list[Fraction]:
    """A ReLU network without rounding."""
    for k, w in enumerate(weights):
        x = [sum((Fraction(float(w[i, j])) * x[i] for i in range(w.shape[0])), Fraction(0)) for j in range(w.shape[1])]
        if k < len(weights) - 1:
            x = [max(v, Fraction(0)) for v in x]
    return x


def cancelling(seed: int, spread: float = 6.0) -> tuple[ComputationGraph, list[torch.Tensor]]:
    """A ReLU network whose weights spread over decades, with columns that nearly cancel."""
    g = torch.Generator().manual_seed(seed)
    weights = []
    for n, m in ((3, 6), (6, 6), (6, 2)):
        size = 10 ** (spread * torch.rand(n, m, generator=g) - spread / 2)
        w = size * torch.randn(n, m, generator=g, dtype=torch.float64)
        w[n // 2 :] = -w[: n - n // 2] * (1 + 1e-15)
        weights.append(w)
    b = Builder((3,), "cancelling")
    y = b.reshape(b.input, (1, 3))
    for k, w in enumerate(weights):
        y = b.matmul(y, w)
        y = b.unary(f.LeakyRelu(), y) if k < 2 else y
    return b.graph(y), weights


def misses(seed: int) -> int:
    """Of exact values at single points outside crown's bounds there, and outside those of 1e-13 around."""
    graph, weights = cancelling(seed)
    x = samples(-torch.ones(3).double(), torch.ones(3).double(), 4, seed)
    count = 0
    for point in x:
        exact = rational(weights, [Fraction(float(v)) for v in point])
        for radius in (0.0, 1e-13):
            b = verify.bounds(graph, point[None] - radius, point[None] + radius)
            for low, high, value in zip(b.lower.reshape(-1), b.upper.reshape(-1), exact, strict=True):
                count += not (low == -torch.inf or Fraction(float(low)) <= value)
                count += not (high == torch.inf or value <= Fraction(float(high)))
    return count


def test_bounds_hold_in_rational_arithmetic():
    assert sum(misses(seed) for seed in range(5)) == 0


def test_without_the_allowance_for_rounding_they_would_not(monkeypatch: pytest.MonkeyPatch):
    from ranvier.verify.functions import piecewise
    from ranvier.verify.relaxation import backward

    for module in (intervals, backward):
        monkeypatch.setattr(module, "EPS", 0.0)
        monkeypatch.setattr(module, "TINY", 0.0)
    monkeypatch.setattr(piecewise, "ROUNDING", 0.0)
    assert sum(misses(seed) for seed in range(8)) > 0


def test_optimised_bounds_are_sound_and_no_looser():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 12), nn.Sigmoid(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    graph = verify.from_module(module, torch.zeros(1, 4))
    l = torch.randn(5, 1, 4, dtype=torch.float64)
    u = l + 0.8
    y = module(samples(torch.zeros(4).double(), torch.ones(4).double(), 3000, 0)[:, None, None] * 0.8 + l)
    width = {}
    for method in ("interval", "forward", "crown", "alpha"):
        low, high = verify.bounds(graph, l, u, method=method, steps=30)  # type: ignore[arg-type]
        assert bool((y >= low).all() & (y <= high).all())
        width[method] = float((high - low).mean())
    assert width["alpha"] < 0.97 * width["crown"] < 0.97 * width["forward"] < 0.97 * width["interval"]


def test_a_batch_of_domains_is_the_domains_one_by_one():
    graph = random_graph(7, operations=3)
    l = torch.randn(1000, 3, 4, dtype=torch.float64)
    u = l + torch.rand(1000, 1, 1, dtype=torch.float64)
    together = verify.bounds(graph, l, u)
    for k in (0, 499, 999):
        alone = verify.bounds(graph, l[k : k + 1], u[k : k + 1])
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[k], rtol=1e-9, atol=1e-12)


def test_split_constraints_raise_the_bound_and_keep_it_sound():
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    graph = verify.from_module(module, torch.zeros(1, 3))
    l = torch.full((1, 3), -1.0, dtype=torch.float64)
    bounds = crown(graph, l, -l)
    C = torch.ones(1, 1, 1, dtype=torch.float64)
    k = graph.relaxed[-1]
    point = 0.5 * (bounds.lower[k] + bounds.upper[k])
    x = samples(l, -l, 20_000, 0)
    z, y = graph.values(x)[k], graph.values(x)[graph.output][:, 0]
    plain = float(output_bound(graph, C, bounds).least(l, -l))
    for element in (0, 3):
        cut = bounds.lower[k].clone()
        cut[0, element] = point[0, element]
        half = intervals.propagate(graph, l, -l, known={k: (cut, bounds.upper[k]), **{
            j: (bounds.lower[j], bounds.upper[j]) for j in graph.relaxed if j != k}})  # fmt: skip
        mask = torch.zeros_like(cut, dtype=torch.bool)
        mask[0, element] = True
        without = float(optimise(graph, graph.output, C, half, steps=60).least)
        with_beta = float(
            optimise(graph, graph.output, C, half, steps=60, constrained={k: (mask, ~mask & False)}).least
        )
        inside = z[:, element] >= point[0, element]
        assert plain <= without + 1e-9 and without <= with_beta + 1e-6
        assert with_beta <= float(y[inside].min())


def test_mistakes_are_refused_in_words():
    graph = random_graph(1)
    l = torch.zeros(1, 3, 4)
    with pytest.raises(ValueError, match="lower exceeds upper"):
        verify.bounds(graph, l + 1, l)
    with pytest.raises(ValueError, match="at least one box"):
        verify.bounds(graph, l[:0], l[:0])
    with pytest.raises(ValueError, match="nan"):
        verify.bounds(graph, l * torch.nan, l)
    with pytest.raises(ValueError, match="expected that of the network's input"):
        verify.bounds(graph, torch.zeros(1, 5), torch.zeros(1, 5))
    with pytest.raises(ValueError, match="expected one of interval"):
        verify.bounds(graph, l, l, method="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"C has the shape \(2, 3\)"):
        verify.bounds(graph, l, l, C=torch.zeros(2, 3))


def test_values_without_elements_are_refused():
    class Joined(nn.Module):
        def forward(self, x):
            return torch.cat([2 * x[:, :0] + 1, torch.relu(x)], 1)

    with pytest.raises(ValueError, match=r"shape \(1, 0\); expected one element"):
        verify.from_module(Joined(), torch.zeros(1, 3))
