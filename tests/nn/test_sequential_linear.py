"""nn.Linear between layers goes by the layers' own products: against nn.Linear itself, and what is left to it."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import ranvier as rv
from tests.nn.layers import F64


def spikes(*shape: int, share: float = 0.1, dtype: torch.dtype = F64) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(2)) < share).to(dtype)


def linear(bias: bool = True, dtype: torch.dtype = F64, inputs: int = 30, outputs: int = 21) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(inputs, outputs, bias=bias, dtype=dtype)


def ours(y: torch.Tensor) -> bool:
    """Whether a product of the library's own is in the graph of y."""
    observed, edge = set(), [y.grad_fn]
    while edge:
        node = edge.pop()
        if node is None or node in observed:
            continue
        observed.add(node)
        if type(node).__name__ in ("_ProductBackward", "_LinearBackward"):
            return True
        edge += [before for before, _ in node.next_functions]
    return False


@pytest.mark.parametrize("place", ["Sequential", "TimeDistributed", "step"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 3, 30), (7, 3, 4, 30)], ids=["rows", "more axes"])
@pytest.mark.parametrize("share", [0.1, 1.0], ids=["spikes", "numbers"])
def test_values_and_gradients_are_those_of_the_module(place, bias, shape, share):
    module = linear(bias)
    x = (spikes(*shape, share=share) * torch.rand(shape, dtype=F64)).requires_grad_()
    expected = module(x)
    if place == "step":
        model = rv.nn.Sequential(module)
        y = torch.stack([model.step(((),), row)[1] for row in x])
    else:
        y, _ = getattr(rv.nn, place)(module)(x)
    assert ours(y) == (share < 1) and not ours(expected)
    torch.testing.assert_close(y, expected, rtol=1e-13, atol=1e-14)
    g = torch.rand(expected.shape, dtype=F64)
    inputs = [x, *module.parameters()]
    for a, b in zip(torch.autograd.grad(y, inputs, g), torch.autograd.grad(expected, inputs, g), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_large_dense_products_are_the_layers_own_to_the_bit():
    module = linear(dtype=torch.float32, inputs=300, outputs=256)
    layer = rv.nn.LIF(300, 256)
    layer.linear.load_state_dict(module.state_dict())
    for x in (torch.rand(20, 16, 300), spikes(20, 16, 300, dtype=torch.float32)):
        y, _ = rv.nn.Sequential(module, rv.nn.LIF())(x)
        assert y.any() and torch.equal(y, layer(x)[0])


@pytest.mark.parametrize("kind", ["forward", "pre", "backward", "backward pre", "global"])
def test_hooks_fire(kind):
    module, fired = linear(), []

    def hook(*args):
        fired.append(args[0])

    register = {
        "forward": module.register_forward_hook,
        "pre": module.register_forward_pre_hook,
        "backward": module.register_full_backward_hook,
        "backward pre": module.register_full_backward_pre_hook,
        "global": nn.modules.module.register_module_forward_hook,
    }[kind]
    handle = register(hook)
    try:
        y, _ = rv.nn.TimeDistributed(module)(spikes(5, 2, 30).requires_grad_())
        y.sum().backward()
    finally:
        handle.remove()
    assert module in fired and not ours(y)


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def parametrised() -> nn.Linear:
    return parametrizations.weight_norm(linear())


def replaced() -> nn.Linear:
    module = linear()
    module.forward = lambda x: x[:, :21] + module.bias
    return module


def subclassed() -> nn.Linear:
    torch.manual_seed(1)
    return Doubled(30, 21, dtype=F64)


@pytest.mark.parametrize("make", [parametrised, replaced, subclassed])
def test_what_is_more_than_a_linear_is_called_itself(make):
    module, x = make(), spikes(5, 2, 30)
    y, _ = rv.nn.Sequential(module)(x)
    assert torch.equal(y, module(x.flatten(0, 1)).unflatten(0, (5, 2))) and not ours(y)


def test_transforms_and_autocast_see_torchs_own():
    module, x = linear(), spikes(2, 5, 1, 30)
    model = rv.nn.Sequential(module)
    parameters = dict(model.named_parameters())

    def total(inputs, row):
        return torch.func.functional_call(model, inputs, (row,))[0].square().sum()

    result = torch.func.vmap(torch.func.grad(total), in_dims=(None, 0))(parameters, x)
    for b in range(2):
        y = module(x[b])
        for name, expected in zip(parameters, torch.autograd.grad(y.square().sum(), list(module.parameters()))):
            torch.testing.assert_close(result[name][b], expected)
    single = linear(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = rv.nn.Sequential(single)(x.float())
    assert y.dtype == torch.bfloat16


def test_what_does_not_fit_is_refused_in_torchs_words():
    with pytest.raises(RuntimeError, match="10x29 and 30x21"):
        rv.nn.Sequential(linear())(spikes(5, 2, 29))
    with pytest.raises(RuntimeError, match="dtype"):
        rv.nn.Sequential(linear())(spikes(5, 2, 30).float())


def test_the_result_may_be_written_over():
    module, x = linear(), spikes(5, 2, 30)
    y, _ = rv.nn.Sequential(module, nn.ReLU(inplace=True))(x)
    expected = module(x).relu()
    assert ours(y) and torch.allclose(y, expected)
    for a, b in zip(*(torch.autograd.grad(z.sum(), list(module.parameters())) for z in (y, expected)), strict=True):
        torch.testing.assert_close(a, b)


def test_counting_leaves_the_product_as_it_is():
    module, x = linear(dtype=torch.float32, inputs=200, outputs=256), spikes(40, 8, 200, dtype=torch.float32)
    model = rv.nn.Sequential(module, rv.nn.LIF(256))
    plain, _ = model(x)
    with rv.nn.count_operations(model) as counts:
        y, _ = model(x)
        model.step(model.init_state(8), x[0])
    active = int(x.count_nonzero() + x[0].count_nonzero())
    assert torch.equal(y, plain) and plain.any()
    assert (counts.layers[0].synops, counts.layers[0].macs) == (256 * active, 0)
    assert counts.layers[0].dense == 41 * 8 * 200 * 256 and not module._forward_hooks


def test_small_products_are_torchs(dense_when_small):
    """To look where a small input is zero takes longer than its dense product."""
    module, x = linear(), spikes(7, 3, 30)
    assert not ours(rv.nn.Sequential(module)(x)[0]) and not ours(rv.nn.LIF(30, 21, dtype=F64)(x)[0])
    large = spikes(40, 8, 300)
    assert ours(rv.nn.Sequential(linear(inputs=300))(large)[0])
