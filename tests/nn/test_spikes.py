"""Products with spikes against dense ones, forward and backward, at densities on both sides of the choice."""

import pytest
import torch

from ranvier.nn.spiking.products import find_active, linear

F64 = torch.float64


def sparse(rows: int, inputs: int, density: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    values = torch.rand(rows, inputs, generator=generator, dtype=F64) + 0.5
    return values * (torch.rand(rows, inputs, generator=generator) < density)


@pytest.mark.parametrize("density", [0.0, 0.03, 0.15, 0.6])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (40, 30, 20), (64, 7, 300)])
@pytest.mark.parametrize("start", [None, "bias", "rows"])
def test_the_product_and_its_gradients_are_the_dense_ones(density, sizes, start):
    rows, inputs, outputs = sizes
    z = sparse(rows, inputs, density).requires_grad_()
    weight = torch.randn(outputs, inputs, dtype=F64, requires_grad=True)
    added = {None: None, "bias": torch.randn(outputs), "rows": torch.randn(rows, outputs)}[start]
    arguments = [z, weight] if added is None else [z, weight, added.double().requires_grad_()]
    ours = linear(z, weight, arguments[2] if added is not None else None)
    plain = z @ weight.T + (arguments[2] if added is not None else 0)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    g = torch.randn(rows, outputs, dtype=F64)
    for a, b in zip(torch.autograd.grad(ours, arguments, g), torch.autograd.grad(plain, arguments, g), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_the_choice_is_by_density():
    assert find_active(sparse(200, 100, 0.1)) is not None
    assert find_active(sparse(200, 100, 0.4)) is None
    assert find_active(sparse(200, 100, 0.4), densest=1.0) is not None


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("inputs", [1, 15, 16, 53])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_what_is_not_zero_is_listed_in_order(inputs, density, dtype):
    z = sparse(50, inputs, density).to(dtype)
    z[::7, -1] = float("nan")
    result = find_active(z, densest=1.0)
    assert result is not None
    where = z.nonzero()
    assert result.table.tolist() == [50, *torch.cat([torch.tensor([0]), (z != 0).sum(1).cumsum(0)]).tolist()]
    assert result.index[: len(where)].tolist() == where[:, 1].tolist()
    torch.testing.assert_close(result.values[: len(where)], z[where[:, 0], where[:, 1]], rtol=0, atol=0, equal_nan=True)


def test_threads_change_no_bit():
    z, weight = sparse(400, 300, 0.1).requires_grad_(), torch.randn(200, 300, dtype=F64, requires_grad=True)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            y = linear(z, weight, None)
            results.append([y, torch.autograd.grad(y.square().sum(), weight)[0]])
        finally:
            torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, results[0], strict=True))


def test_what_is_not_finite_passes():
    z = torch.zeros(10, 20)
    z[3, 4] = float("nan")
    y = linear(z, torch.ones(5, 20), None)
    assert y[3].isnan().all() and (y[:3] == 0).all()


def test_gradients_have_gradients():
    """A gradient penalty on a layer's weight and input, against the dense product's."""
    z, weight = sparse(40, 30, 0.1).requires_grad_(), torch.randn(20, 30, dtype=F64, requires_grad=True)
    result = []
    for y in (linear(z, weight, None), z @ weight.T):
        first = torch.autograd.grad(y.pow(3).sum(), [z, weight], create_graph=True)
        penalty = sum(g.square().sum() for g in first)
        result.append(torch.autograd.grad(penalty, [z, weight]))
    for a, b in zip(*result, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
