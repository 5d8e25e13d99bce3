"""Dense products by oneDNN: values and gradients against float64, and where torch's own are taken."""

import pytest
import torch
from torch.nn import functional as F

import ranvier as rv
from ranvier.codegen.arithmetic import products

LARGE, SMALL = (256, 128, 96), (8, 16, 4)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def matrices(shape, dtype=torch.float32):
    rows, inputs, outputs = shape
    return (
        torch.randn(rows, inputs, dtype=dtype, requires_grad=True),
        torch.randn(outputs, inputs, dtype=dtype, requires_grad=True),
    )


@pytest.mark.parametrize("shape", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("start", ["none", "bias", "rows"])
def test_values_and_gradients_are_those_of_double_precision(shape, start):
    x, weight = matrices(shape)
    begin = {"none": None, "bias": torch.randn(shape[2]), "rows": torch.randn(shape[0], shape[2])}[start]
    inputs = [x, weight] + ([] if begin is None else [begin.requires_grad_()])
    y = products.linear(*inputs)
    g = torch.randn_like(y)
    grads = torch.autograd.grad(y, inputs, g)
    exact = [t.detach().double().requires_grad_() for t in inputs]
    expected = exact[0] @ exact[1].T + (0 if begin is None else exact[2])
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-4)
    for a, b in zip(grads, torch.autograd.grad(expected, exact, g.double()), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-4)
    inner = products.product(x.detach(), weight.detach().T, None if begin is None else begin.detach())
    torch.testing.assert_close(inner, y.detach(), rtol=0, atol=0)


def test_gradients_have_gradients():
    x, weight = matrices(LARGE)

    def penalty(product):
        (g,) = torch.autograd.grad(product(x, weight).square().sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), [x, weight])

    for a, b in zip(penalty(products.linear), penalty(F.linear), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


def test_more_axes_and_turned_operands():
    x, weight = torch.randn(20, 16, 128), torch.randn(128, 96)
    torch.testing.assert_close(products.linear(x, weight.T), x @ weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        products.product(weight.T, x[0].T.contiguous().repeat(1, 20)), (x[0] @ weight).T.repeat(1, 20),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("case", ["small", "double", "switched off", "vmap"])
def test_torch_has_the_rest_to_the_last_bit(case):
    x, weight = matrices(SMALL if case == "small" else LARGE, torch.float64 if case == "double" else torch.float32)
    if case == "switched off":
        torch.backends.mkldnn.enabled = False
        try:
            y = products.linear(x, weight)
        finally:
            torch.backends.mkldnn.enabled = True
    elif case == "vmap":
        y = torch.func.vmap(products.linear, in_dims=(None, 0))(x, weight.unflatten(0, (1, -1)))[0]
    else:
        y = products.linear(x, weight)
    torch.testing.assert_close(y, F.linear(x, weight), rtol=0, atol=0 if case != "vmap" else 1e-4)
    assert "_Linear" not in type(y.grad_fn).__name__


def test_large_products_do_not_go_by_torch():
    x, weight = matrices(LARGE)
    assert "_Linear" in type(products.linear(x, weight).grad_fn).__name__


def test_both_ways_through_time_keep_the_same_bits():
    """Spikes are all or none: products that differ in a last bit would part the two."""
    x = 0.3 * torch.randn(12, 64, 192)
    layers = [rv.nn.LIF(192, 256, recurrent=True, fused=fused) for fused in (True, False)]
    layers[1].load_state_dict(layers[0].state_dict())
    with torch.no_grad():
        for layer in layers:
            layer.recurrent.mul_(4)
            layer.linear.bias.add_(0.4)
    result = []
    for layer in layers:
        y, state = layer(x)
        y.sum().backward()
        result.append((y.detach(), state["v"].detach(), layer.recurrent.grad, layer.linear.weight.grad))
    assert result[0][0].mean() > 0.2  # dense enough for dense products
    for a, b in zip(result[0][:2], result[1][:2], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for a, b in zip(result[0][2:], result[1][2:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.abs().max().item())


def test_what_does_not_fit_is_refused_in_torchs_words():
    with pytest.raises(RuntimeError, match="256x128 and 100x96"):
        products.linear(torch.randn(256, 128), torch.randn(96, 100))
