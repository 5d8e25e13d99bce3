"""Lines below and above a function hold for any slope, on any interval; an unsound one is noticed."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranvier.verify import functions as f
from ranvier.verify.branch_and_bound.branching import branching_points, point_table
from tests.laws.discovery import require_cases

ALL = [
    f.LeakyRelu(), f.LeakyRelu(0.1), f.Abs(), f.Clip(-1.0, 1.0), f.Clip(0.0, 6.0), f.Heaviside(),
    f.Heaviside(strict=True), f.Logistic(), f.HyperbolicTangent(), f.Erf(), f.Exp(), f.Logarithm(),
    f.Sqrt(), f.ReciprocalSqrt(), f.Reciprocal(), f.Power(2),
    f.Power(3), f.Power(4), f.Power(5), f.Softplus(), f.Softplus(3.0), f.Elu(), f.Elu(0.5), f.Sine(), f.Sine(True),
    f.Gelu(), f.GeluTanh(), f.Silu(),
]  # fmt: skip
#: bases, which name no function
BASES = {
    "Gated": "the base of Silu, Gelu and GeluTanh",
    "Saturating": "the base of Logistic, HyperbolicTangent and Erf",
}
POSITIVE = {"logarithm", "sqrt", "reciprocalsqrt"}


def test_every_function_has_a_case() -> None:
    require_cases(f.Function, {type(function) for function in ALL}, BASES)


def intervals(function: f.Function, seed: int, count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Of widths from 1e-6 to 100, some of width 0, within the domain."""
    g = torch.Generator().manual_seed(seed)
    centre = torch.randn(count, generator=g, dtype=torch.float64) * 10 ** (3 * torch.rand(count, generator=g) - 1.5)
    width = 10 ** (8 * torch.rand(count, generator=g, dtype=torch.float64) - 6)
    width[:10] = 0.0
    l, u = centre - width / 2, centre + width / 2
    if function.name in POSITIVE:
        l = l.abs() + 1e-6
        u = l + width
    if function.name == "reciprocal":
        l = l.abs() + 1e-6
        u, odd = l + width, torch.arange(count) % 2 == 0
        l, u = torch.where(odd, -u, l), torch.where(odd, -l, u)
    if function.name == "exp":
        l, u = l.clamp(-100, 100), u.clamp(-100, 100)
    return l, u


def excess(function: f.Function, seed: int, points: int = 129) -> float:
    """By how much f leaves its lines, relative to f and the line, for default and random slopes."""
    l, u = intervals(function, seed)
    g = torch.Generator().manual_seed(seed + 1)
    low, high = function.slope_range(l, u)
    between = low + (high - low) * torch.rand(len(l), generator=g, dtype=torch.float64)
    anything = 3 * torch.randn(len(l), generator=g, dtype=torch.float64)
    default = function.slopes(l, u)
    x = torch.minimum(l + (u - l) * torch.linspace(0, 1, points, dtype=torch.float64)[:, None], u)
    y = function.value(x)
    worst = 0.0
    for lower, upper in ((default.lower, default.upper), *((s, s) for s in (between, anything, torch.zeros_like(l)))):
        t, T = function.intercept(lower, l, u, False), function.intercept(upper, l, u, True)
        scale = y.abs() + (lower.abs() + upper.abs()) * x.abs() + 1e-200
        worst = max(worst, float(((lower * x + t - y) / scale).amax()), float(((y - upper * x - T) / scale).amax()))
    return worst


@pytest.mark.parametrize("function", ALL, ids=lambda g: f"{g.name}-{g}")
def test_a_function_stays_between_its_lines(function: f.Function):
    # the samples' own rounding: a few units in the last place of f and of the line
    assert excess(function, 0) < 1e-15


@pytest.mark.parametrize("function", ALL, ids=lambda g: f"{g.name}-{g}")
def test_lines_touch(function: f.Function):
    """A line is no looser than it has to be: the gap closes at one of many points, to a thousandth of f's range."""
    if function.name == "heaviside":
        pytest.skip("of a step both values count where it jumps")
    l, u = intervals(function, 3)
    wide = (u - l > 1e-3) & (u - l < 6) & (l.abs() < 30)
    l, u = l[wide], u[wide]
    x = l + (u - l) * torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    y, slopes = function.value(x), function.slopes(l, u)
    span = y.amax(0) - y.amin(0)
    for s, upper in ((slopes.upper, True), (slopes.lower, False)):
        t = function.intercept(s, l, u, upper)
        gap = (s * x + t - y).abs().amin(0)
        assert bool((gap <= 1e-3 * span + 1e-9).all())


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.floats(-1e3, 1e3), st.sampled_from(range(len(ALL))), st.floats(0, 1))
@settings(max_examples=80)
def test_any_slope_any_interval_any_point(l: float, width: float, s: float, k: int, share: float):
    function = ALL[k]
    a, b = (torch.tensor([v], dtype=torch.float64) for v in (l, l + width))
    if bool(function.outside(a, b)) or (function.name == "exp" and l + width > 600):
        assert function.range(a, b)[0] == -torch.inf or function.name == "exp"
        return
    slope = torch.tensor([s], dtype=torch.float64)
    x = torch.minimum(a + share * (b - a), b)
    y, line = function.value(x), slope * x
    slack = 1e-14 * (y.abs() + line.abs())
    assert bool(line + function.intercept(slope, a, b, False) <= y + slack)
    assert bool(line + function.intercept(slope, a, b, True) >= y - slack)


def test_infinite_and_empty_intervals():
    infinite = torch.tensor([-math.inf]), torch.tensor([math.inf])
    l, u = (v.double() for v in infinite)
    for function in ALL:
        low, high = function.range(l, u)
        assert not bool(low > 0) and not bool(high < 0)  # nan is made infinite by whoever reads it
        slopes = function.slopes(l, u)
        assert bool(torch.isfinite(slopes.lower).all() & torch.isfinite(slopes.upper).all())
    assert f.Logistic().range(l, u)[1] <= 1.0 + 1e-13
    assert f.Logarithm().range(torch.tensor([-1.0]).double(), torch.tensor([1.0]).double())[0] == -math.inf
    assert f.Reciprocal().range(torch.tensor([-1.0]).double(), torch.tensor([1.0]).double())[1] == math.inf


@dataclass(frozen=True)
class _NoWaves(f.Sine):
    def critical(self, s, l, u):
        return []


@dataclass(frozen=True)
class _EarlyTangent(f.Logistic):
    def critical(self, s, l, u):
        return [0.9 * p for p in super().critical(s, l, u)]


@dataclass(frozen=True)
class _OneSided(f.Gelu):
    def critical(self, s, l, u):
        return super().critical(s, l, u)[1:]


@dataclass(frozen=True)
class _Swapped(f.Exp):
    def intercept(self, s, l, u, upper):
        return super().intercept(s, l, u, upper) + (-1e-9 if upper else 0.0)


@pytest.mark.parametrize("function", [_NoWaves(), _EarlyTangent(), _OneSided(), _Swapped()], ids=lambda g: g.name)
def test_a_planted_unsound_relaxation_is_caught(function: f.Function):
    assert excess(function, 0) > 1e-12


def test_the_table_minimises_area_and_falls_back_to_the_middle():
    sigmoid = (f.Logistic(),)
    assert bool(torch.isfinite(point_table(sigmoid)).any())
    l, u = torch.tensor([-4.0, -3.0, -40.0]).double(), torch.tensor([4.0, 1.0, 40.0]).double()
    p = branching_points(sigmoid, l, u)
    assert float(p[2]) == 0.0  # beyond the table

    def area(function, a, b):
        s, m = function.slopes(a, b), 0.5 * (a + b)
        high = s.upper * m + function.intercept(s.upper, a, b, True)
        return (high - s.lower * m - function.intercept(s.lower, a, b, False)) * (b - a)

    g = torch.Generator().manual_seed(0)
    centre, width = (torch.randn(200, generator=g).double(), 6 * torch.rand(200, generator=g).double() + 0.5)
    l, u = centre - width / 2, centre + width / 2
    for function in (f.Logistic(), f.HyperbolicTangent(), f.Sine(), f.Gelu()):
        chosen = branching_points((function,), l, u)
        assert bool(((chosen > l) & (chosen < u)).all())
        total = [
            float((area(function, l, c) + area(function, c, u)).sum()) for c in (chosen, 0.5 * (l + u))
        ]  # fmt: skip
        assert total[0] < 0.99 * total[1]
    l, u = torch.tensor([-4.0, -3.0, -40.0]).double(), torch.tensor([4.0, 1.0, 40.0]).double()
    assert bool((branching_points((f.LeakyRelu(),), l, u) == 0).all())
