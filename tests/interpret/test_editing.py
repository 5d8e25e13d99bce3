"""Edits act as arithmetic says, and leave nothing behind."""

import pytest
import torch
from torch import nn

from ranvier.interpret import UnitLayer, activations, edit, mlps
from tests.interpret.conftest import language_model
from tests.laws.oracles import oracle


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


X = torch.tensor([[0.3, -1.0, 2.0], [1.0, 0.0, -0.5]], dtype=torch.float64)


@oracle
def by_hand(net, function):
    first, last = net[0], net[2]  # by their weights: calling them would call their hooks
    return function(torch.tanh(X @ first.weight.T + first.bias)) @ last.weight.T + last.bias


@pytest.mark.parametrize(
    ("change", "function"),
    [
        (lambda e: e.ablate("1", [0, 2]), lambda h: h * torch.tensor([0.0, 1, 0, 1])),
        (lambda e: e.ablate("1"), lambda h: h * 0),
        (lambda e: e.ablate("1", slice(1, 3)), lambda h: h * torch.tensor([1.0, 0, 0, 1])),
        (lambda e: e.clamp("1", 3, 0.7), lambda h: torch.where(torch.arange(4) == 3, 0.7, h)),
        (lambda e: e.clamp("1", [3, 0], torch.tensor([5.0, 6.0])),
         lambda h: torch.stack([torch.full_like(h[:, 0], 6), h[:, 1], h[:, 2], torch.full_like(h[:, 0], 5)], 1)),
        (lambda e: e.scale("1", [1], -2.0), lambda h: h * torch.tensor([1.0, -2, 1, 1])),
        (lambda e: e.steer("1", torch.tensor([1.0, 0, -1, 0]), 0.5), lambda h: h + torch.tensor([0.5, 0, -0.5, 0])),
        (lambda e: e.clamp("1", 0, 2.0).scale("1", 0, 3.0),
         lambda h: torch.cat([torch.full((2, 1), 6.0).double(), h[:, 1:]], 1)),
    ],
)  # fmt: skip
def test_changes_are_arithmetic_and_are_undone(net, change, function):
    before, weights = net(X), {name: value.clone() for name, value in net.state_dict().items()}
    with edit(net) as context:
        change(context)
        edited = net(X)
    torch.testing.assert_close(edited, by_hand(net, function), atol=1e-14, rtol=0)
    assert not torch.equal(edited, before)
    assert torch.equal(net(X), before) and hooks(net) == 0
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())


def test_an_exception_undoes_it_too(net):
    before = net(X)
    with pytest.raises(KeyError), edit(net) as change:
        change.ablate("1")
        raise KeyError
    assert torch.equal(net(X), before) and hooks(net) == 0


def test_a_refused_change_leaves_the_earlier_ones_to_the_exit(net):
    with edit(net) as change:
        change.ablate("1", 0)
        with pytest.raises(ValueError, match="unit 4 of layer 0 is outside; expected 0 to 3"):
            change.ablate("0", 4)
        assert hooks(net) == 1
    assert hooks(net) == 0


def test_contexts_nest_and_end_in_any_order(net):
    a, b = edit(net), edit(net)
    before = net(X)
    a.__enter__().scale("1", 0, 2.0)
    only_a = net(X)
    b.__enter__().scale("1", 0, 3.0)
    torch.testing.assert_close(net(X), by_hand(net, lambda h: h * torch.tensor([6.0, 1, 1, 1])), atol=1e-14, rtol=0)
    b.__exit__(None, None, None)
    assert torch.equal(net(X), only_a)
    b = edit(net).__enter__().scale("1", 0, 3.0)
    a.__exit__(None, None, None)
    torch.testing.assert_close(net(X), by_hand(net, lambda h: h * torch.tensor([3.0, 1, 1, 1])), atol=1e-14, rtol=0)
    b.__exit__(None, None, None)
    assert torch.equal(net(X), before)


def test_other_hooks_stay(net):
    calls = []
    net[1].register_forward_hook(lambda *a: calls.append(1))
    with edit(net) as change:
        change.ablate("1")
        net(X)
    net(X)
    assert len(calls) == 2 and hooks(net) == 1


def test_channels_of_images_are_units(convolutional):
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    with edit(convolutional) as change:
        change.clamp("2", [1], 4.0)
        values = activations(convolutional, [x], "2", dtype=torch.float64)["2"]
    assert bool((values[:, 1] == 4).all()) and not bool((values[:, 0] == 4).any())


def test_gradients_pass_by_ablated_units(net):
    x = X.clone().requires_grad_()
    with edit(net) as change:
        change.ablate("1", [0, 1, 2])
        net(x).sum().backward()
    h = net[1](net[0](X))[:, 3]
    expected = (net[2].weight[:, 3].sum() * (1 - h**2))[:, None] * net[0].weight[3]
    torch.testing.assert_close(x.grad, expected.detach(), atol=1e-14, rtol=0)


@pytest.mark.parametrize("tokens", [-1, 2, slice(1, 3), slice(-2, None)])
def test_tokens_alone(tokens):
    model = language_model("llama")
    ids = {"input_ids": torch.randint(0, 30, (2, 5))}
    block = mlps(model)[0]
    before = activations(model, [ids], block.neurons)[block.neurons.name]
    with edit(model) as change:
        change.ablate(block.neurons, tokens=tokens)
        after = activations(model, [ids], block.neurons)[block.neurons.name]
    zero = torch.zeros(5, dtype=torch.bool)
    zero[tokens] = True
    assert bool((after[:, :, zero] == 0).all()) and torch.equal(after[:, :, ~zero], before[:, :, ~zero])


def test_a_decoder_layers_output_is_the_first_of_its_tuple():
    model = language_model("llama")
    ids = torch.randint(0, 30, (2, 5))
    direction = torch.randn(12)
    following = UnitLayer("following", model.model.layers[1], "input")
    hidden = activations(model, [ids], following)["following"]
    with edit(model) as change:
        change.steer("model.layers.0", direction, 2.0)
        edited = activations(model, [ids], following)["following"]
    torch.testing.assert_close(edited, hidden + 2 * direction[:, None])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.ablate("7", 0), "layer is '7'; expected one of"),
        (lambda e: e.ablate("", 0), "expected one of"),
        (lambda e: e.ablate("1:neurons", 0), "has no MLP block"),
        (lambda e: e.ablate(UnitLayer("x", nn.Tanh()), 0), "belongs to another model"),
        (lambda e: e.clamp("1", 0, float("nan")), "value is not finite"),
        (lambda e: e.clamp("0", [0, 1], torch.ones(3)), r"expected one number, or one a unit: \(2,\)"),
        (lambda e: e.scale("1", 0, torch.tensor([float("inf")])), "factor is not finite"),
        (lambda e: e.steer("0", torch.ones(3)), r"expected one number, or one a unit: \(4,\)"),
        (lambda e: e.steer("0", torch.ones(2, 2)), "a vector over the layer"),
        (lambda e: e.ablate("0", [1, 1]), "units name one twice"),
        (lambda e: e.ablate("0", [-1]), "unit -1 of layer 0 is outside"),
        (lambda e: (e.ablate("1", 9), e.model(X)), "unit 9 of layer 1 is outside; expected 0 to 3"),
        (lambda e: (e.ablate("1", tokens=0), e.model(X)), r"expected \(B, T, units\)"),
    ],
)
def test_mistakes_are_named(net, change, message):
    before = net(X)
    with pytest.raises((ValueError, TypeError), match=message), edit(net) as context:
        change(context)
    assert torch.equal(net(X), before) and hooks(net) == 0


def test_numbers_keep_their_precision(net):
    with edit(net) as change:
        change.clamp("1", 0, 0.1).scale("1", 0, 1e308)
        assert bool((net[:2](X)[:, 0] == 0.1 * 1e308).all())


def test_no_unit_is_no_change(net):
    before = net(X)
    with edit(net) as change:
        change.ablate("0", []).scale("1", torch.tensor([], dtype=torch.long), 2.0)
        assert torch.equal(net(X), before)


def test_units_that_are_no_indices(net):
    with edit(net) as change:
        for units in (True, [0.5], torch.ones(4, dtype=torch.bool), [[1]], "a"):
            with pytest.raises(TypeError):
                change.ablate("0", units)


def test_a_change_outside_the_block_is_refused(net):
    with edit(net) as change:
        pass
    with pytest.raises(RuntimeError, match="edit is not active"):
        change.ablate("1")
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module"):
        edit("model")
