"""Generators from functions with known symmetries, from data, and nothing where nothing is."""

import math

import pytest
import torch

from ranvier.symmetries import alignment, boosts, fit_function, invariance_generators, lie_gan, rotations, scaling

F64 = torch.float64


def states(n, d, seed=0, dtype=F64):
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_rotations_of_n_dimensions_have_n_times_n_minus_one_over_two_parameters(n):
    """By the function that they leave unchanged, and by the tangent of the orthogonal matrices at the identity."""
    result = invariance_generators(lambda x: x.square().sum(1), states(200, n))
    assert len(result.basis) == n * (n - 1) // 2
    assert alignment(result.basis, rotations(n)) > 1 - 1e-12
    slope = torch.autograd.functional.jacobian(lambda Q: Q.T @ Q, torch.eye(n, dtype=F64)).reshape(n * n, n * n)
    assert n * n - int(torch.linalg.matrix_rank(slope)) == n * (n - 1) // 2


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize(
    ("function", "truth"),
    [
        (lambda x: x[:, 0] ** 2 - x[:, 1] ** 2, boosts(2)),
        (lambda x: (x[:, 0] / x[:, 1]).atan(), scaling(2)),
        (lambda x: (x[:, 0] ** 2 + x[:, 1] ** 2).sin() + x[:, 2], None),
    ],
)
def test_boosts_scaling_and_a_rotation_within_three_dimensions(dtype, function, truth):
    d = 2 if truth is not None else 3
    if truth is None:
        truth = torch.zeros(1, 3, 3, dtype=F64)
        truth[0, 0, 1], truth[0, 1, 0] = 1.0, -1.0
    result = invariance_generators(function, states(300, d, dtype=dtype), 1e-8)
    assert len(result.basis) == 1 and alignment(result.basis, truth) > 1 - 1e-5


def test_lorentz_group_of_two_places():
    """x0² − x1² − x2²: one rotation and two boosts."""
    result = invariance_generators(lambda x: x[:, 0] ** 2 - x[:, 1:].square().sum(1), states(200, 3))
    turn = torch.zeros(1, 3, 3, dtype=F64)
    turn[0, 1:, 1:] = rotations(2)[0]
    assert alignment(result.basis, torch.cat([boosts(3), turn])) > 1 - 1e-12


def test_a_symmetry_in_other_coordinates_is_conjugate():
    """f(A x) has the symmetries A^-1 L A."""
    A = torch.tensor([[2.0, 0.3], [-0.5, 1.0]], dtype=F64)
    result = invariance_generators(lambda x: (x @ A.T).square().sum(1), states(200, 2))
    assert alignment(result.basis, (torch.linalg.inv(A) @ rotations(2)[0] @ A)[None]) > 1 - 1e-12


def test_nothing_is_found_where_nothing_is():
    def function(x):
        return x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.3 * x[:, 0] ** 3

    result = invariance_generators(function, states(500, 2), 0.02)
    assert len(result.basis) == 0 and float(result.residuals[0]) > 0.04


def test_the_generator_moves_no_value():
    function = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x = states(200, 3)
    result = invariance_generators(lambda x: function(x.norm(dim=1, keepdim=True)), x)
    for L in result.basis:
        moved = x @ torch.linalg.matrix_exp(0.7 * L).T
        assert torch.allclose(function(x.norm(dim=1)[:, None]), function(moved.norm(dim=1)[:, None]), atol=1e-12)
    assert len(result.basis) == 3


def test_from_data_by_a_fitted_function():
    x = states(3000, 2, dtype=torch.float32)
    net = fit_function(x, x.norm(dim=1, keepdim=True), width=32, steps=400)
    result = invariance_generators(net, x[:500], 0.02)
    assert alignment(result.basis, rotations(2)) > 0.99


def rings(n):
    """Points of a circle-symmetric distribution, with their radius."""
    x = states(n, 2, dtype=torch.float32)
    return x, x.norm(dim=1, keepdim=True)


@pytest.mark.long
def test_lie_gan_finds_a_rotation_and_nothing_in_data_without():
    x, y = rings(4000)
    result = lie_gan(x, y, steps=400)
    assert alignment(result.basis, rotations(2)) > 0.99 and result.advantage < 0.02
    lost = lie_gan(x, x[:, :1] + 0.5 * x[:, 1:] ** 2, steps=250)
    assert lost.advantage > 0.1 > 5 * result.advantage


def test_lie_gan_repeats_and_leaves_the_global_stream():
    x, y = rings(200)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (lie_gan(x, y, 2, steps=5, restarts=2, width=8) for _ in range(2))
    assert torch.equal(first.basis, second.basis) and first.basis.shape == (2, 2, 2) and len(first.restarts) == 2
    assert torch.equal(before, torch.get_rng_state())
    assert torch.allclose(first.basis.flatten(1).norm(dim=1), torch.ones(2))
    assert first.advantage == min(first.restarts) < math.log(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: invariance_generators(lambda x: x[:, 0], x[:2]), "2 states.*expected 4 or more"),
        (lambda x: invariance_generators(lambda x: x[:, 0], x[:, :1].expand(50, 2)), "in a plane through the origin"),
        (lambda x: invariance_generators(lambda x: x[:, 0] * 0, x), "function is constant; expected"),
        (lambda x: invariance_generators(lambda x: torch.ones(len(x)), x), "do not depend on x"),
        (lambda x: invariance_generators(lambda x: x.sum(), x), r"shape \(\); expected \(B,\)"),
        (lambda x: invariance_generators(lambda x: (x - x).sqrt()[:, 0], x), "not finite at a state"),
        (lambda x: invariance_generators(lambda x: x[:, 0], x, -1.0), "tolerance is -1.0; expected"),
        (lambda x: invariance_generators(lambda x: x[:, 0], x.long()), "int64"),
        (lambda x: lie_gan(x, x[:, 0]), r"y is .*\(50,\); expected"),
        (lambda x: lie_gan(x / 0, x), "x is not finite"),
        (lambda x: lie_gan(x, x[:20]), "50 and 20 rows"),
        (lambda x: lie_gan(x, x, 5), "channels is 5; expected 1 to 4"),
        (lambda x: fit_function(x, x[:10]), r"expected \(B, d\) and \(B, m\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(states(50, 2))
