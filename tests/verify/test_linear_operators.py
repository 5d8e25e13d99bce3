"""Laws of every linear operator of a graph: linear, bounded by its absolute weights, transposed exactly."""

import pytest
import torch

from ranvier.verify.graphs import linear
from tests.laws.discovery import require_cases

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


#: operator -> sizes of its inputs
CASES = {
    linear.Take(torch.tensor([3, 0, 0, 4]), (3, 2)): (3, 2),
    linear.Take(torch.tensor([1, 3, 2]), (3,), normal(1)): (3,),
    linear.Diagonal(normal(4), normal(4, seed=1)): (4,),
    linear.Add((1, -1, 1)): (3, 3, 3),
    linear.MatrixProduct(normal(4, 3)): (4,),
    linear.MatrixProduct(normal(4, 3), rows=2, offset=normal(6)): (8,),
    linear.Sum(2, 3, 2): (12,),
    linear.Convolution(normal(4, 1, 3, 3), (1, 2, 6, 5), (2, 1), (1, 0), (1, 1), groups=2): (60,),
    linear.Convolution(normal(3, 2, 3), (1, 2, 9), (2,), (1,), (2,)): (18,),
}
every = pytest.mark.parametrize(
    ("operator", "sizes"), [pytest.param(o, s, id=type(o).__name__) for o, s in CASES.items()]
)


def test_every_operator_has_a_case_of_its_kind() -> None:
    require_cases(linear.LinearOperator, {type(operator) for operator in CASES})


@every
def test_it_is_linear(operator, sizes):
    x, y = ([normal(5, n, seed=seed + k) for k, n in enumerate(sizes)] for seed in (1, 9))
    both = [2.0 * a - 3.0 * b for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(operator.apply(both), 2.0 * operator.apply(x) - 3.0 * operator.apply(y))


@every
def test_the_transpose_is_the_adjoint(operator, sizes):
    """<A, L x> = <L^T A, x>, for rows of coefficients A."""
    x = [normal(1, n, seed=k) for k, n in enumerate(sizes)]
    y = operator.apply(x)
    A = normal(4, y.shape[1], seed=5)
    parts = operator.transpose(A)
    assert [part.shape for part in parts] == [(4, n) for n in sizes]
    torch.testing.assert_close(sum((part * v).sum(1) for part, v in zip(parts, x, strict=True)), (A * y).sum(1))


@every
def test_absolute_weights_bound_what_signed_ones_give(operator, sizes):
    x = [normal(50, n, seed=k) for k, n in enumerate(sizes)]
    bound = operator.apply_absolute([v.abs() for v in x])
    assert bool((operator.apply(x).abs() <= bound * (1 + 1e-12) + 1e-12).all())


class _Flipped(linear.Sum):
    """A transpose with the wrong sign."""

    def transpose(self, A):
        return [-part for part in super().transpose(A)]


def test_a_planted_mistake_is_noticed():
    with pytest.raises(AssertionError):
        test_the_transpose_is_the_adjoint(_Flipped(2, 3, 2), (12,))
