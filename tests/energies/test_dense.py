"""Dense associative memories against plain loops and exact arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from ranvier.energies import (
    Clamp,
    DenseMemory,
    Descent,
    ExponentialInteraction,
    Hopfield,
    PolynomialInteraction,
    RectifiedInteraction,
)
from tests.laws.energies import check_energy

pytestmark = pytest.mark.usefixtures("float64")
KINDS = [
    *(PolynomialInteraction(n) for n in (2, 3, 4)), *(RectifiedInteraction(n) for n in (2, 3, 20)),
    ExponentialInteraction(),
]  # fmt: skip


def patterns(count, n, seed=0):
    return torch.where(torch.randn(count, n, generator=torch.Generator().manual_seed(seed)) > 0, 1.0, -1.0)


def paper(kind, overlap):
    """F as the paper has it, of a whole overlap, exactly or nearly so."""
    if isinstance(kind, ExponentialInteraction):
        return Fraction(math.exp(overlap))
    return Fraction(max(overlap, 0) if isinstance(kind, RectifiedInteraction) else overlap) ** kind.n


def plain_recall(xi, s, kind, sweeps=50):
    """Unit after unit, by the difference of the paper's two energies, all sums again and without rounding."""
    s = [int(v) for v in s]
    xi = xi.long().tolist()
    for done in range(sweeps):
        flips = 0
        for i in range(len(s)):
            gain = Fraction(0)
            for p in xi:
                rest = sum(p[j] * s[j] for j in range(len(s)) if j != i)
                gain += paper(kind, rest + p[i]) - paper(kind, rest - p[i])
            new = s[i] if gain == 0 else (1 if gain > 0 else -1)
            flips += new != s[i]
            s[i] = new
        if not flips:
            return s, done + 1
    return s, sweeps


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_laws(kind):
    xi = patterns(6, 9, 1)  # near a memory, or a power of 20 leaves nothing to feel
    check_energy(DenseMemory(xi, kind), 0.6 * xi[:4] + 0.5 * torch.rand(4, 9, generator=gen(2)) - 0.25, tol=1e-6)


def gen(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_recall_against_exact_sums(kind):
    xi, x = patterns(14, 16, 3), patterns(3, 16, 4)
    end = DenseMemory(xi, kind).settle(x, order="sequential")
    for b in range(3):
        expected, taken = plain_recall(xi, x[b], kind)
        assert end.x[b].tolist() == expected and int(end.entry_steps[b]) == taken
    assert end.converged.all()


@pytest.mark.parametrize("order", ["sequential", "random", "uniform"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_recall_never_raises_the_energy_and_rests(kind, order):
    model, x = DenseMemory(patterns(30, 40, 5), kind), patterns(5, 40, 6)
    end = model.settle(x, order=order)
    assert (end.trace.diff(dim=0) <= 1e-12 * end.trace.abs().max()).all()
    assert end.converged.all() and torch.equal(model.settle(end.x).x, end.x)


def test_a_square_is_hopfields_network():
    """n = 2: −N Σ m² = −½ Σ w v v − P with w = 2ξξᵀ/N off the diagonal."""
    xi, x = patterns(5, 60, 7), patterns(4, 60, 8)
    dense, square = DenseMemory(xi, PolynomialInteraction(2)), Hopfield.store(xi)
    torch.testing.assert_close(dense.energy(x), 2 * square.energy(x) - 5)
    a, b = dense.settle(x, order="sequential"), square.settle(x, order="sequential")
    assert torch.equal(a.x, b.x) and torch.equal(a.entry_steps, b.entry_steps)


def test_capacity_grows_with_the_power():
    """N = 100, 10 % of the units turned over (energies.md): n = 3 recalls 200 and loses 600, n = 2 loses 100."""
    result = {}
    square, cubic, exponential = PolynomialInteraction(2), PolynomialInteraction(3), ExponentialInteraction()
    for kind, count in ((cubic, 200), (cubic, 1000), (square, 100), (exponential, 1000)):
        xi = patterns(count, 100, 9)
        noisy = xi[:40] * torch.where(torch.rand(40, 100, generator=gen(10)) < 0.1, -1.0, 1.0)
        end = DenseMemory(xi, kind).settle(noisy)
        result[type(kind).__name__, getattr(kind, "n", 0), count] = float((end.x * xi[:40]).mean())
    assert result["PolynomialInteraction", 3, 200] > 0.99 and result["ExponentialInteraction", 0, 1000] == 1.0
    assert result["PolynomialInteraction", 3, 1000] < 0.9 and result["PolynomialInteraction", 2, 100] < 0.5


def test_a_rectified_memory_has_no_negatives():
    xi = patterns(3, 50, 11)
    assert torch.equal(DenseMemory(xi, PolynomialInteraction(4)).settle(-xi).x, -xi)
    assert not torch.equal(DenseMemory(xi, RectifiedInteraction(4)).settle(-xi).x, -xi)


def test_graded_descent_ends_in_the_memory():
    xi = patterns(20, 64, 12)
    start = 0.3 * xi[:4] + 0.1 * torch.randn(4, 64, generator=gen(13))
    for kind in (PolynomialInteraction(3), ExponentialInteraction()):
        assert torch.equal(Descent(DenseMemory(xi, kind)).settle(start).x, xi[:4])


def test_clamped_units_complete_a_pattern():
    xi = patterns(300, 100, 14)
    clamp = Clamp.at(slice(0, 70), xi[:5, :70], 100)
    end = DenseMemory(xi, RectifiedInteraction(5)).settle(patterns(5, 100, 15), clamp=clamp)
    assert torch.equal(end.x, xi[:5])


def test_capacity_formula():
    assert PolynomialInteraction(2).capacity(1000) == pytest.approx(1000 / (2 * math.log(1000)))
    assert PolynomialInteraction(3).capacity(100) == pytest.approx(100**2 / (6 * math.log(100)))
    assert np.isclose(PolynomialInteraction(4).capacity(50), 50**3 / (30 * math.log(50)))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: DenseMemory(torch.ones(3)), r"patterns \(3,\)"),
        (lambda: DenseMemory(torch.tensor([[1.0, float("nan")]])), r"patterns\[0, 1\] is nan"),
        (lambda: PolynomialInteraction(1), "n is 1"),
        (lambda: DenseMemory(0.5 * torch.ones(1, 2)).settle(torch.ones(1, 2)), "not ±1"),
        (lambda: DenseMemory(torch.ones(1, 2)).settle(torch.zeros(1, 2)), "not ±1"),
        (lambda: DenseMemory(torch.ones(1, 2)).settle(torch.ones(1, 2), order="x"), "'x'"),
    ],
)
def test_errors(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
