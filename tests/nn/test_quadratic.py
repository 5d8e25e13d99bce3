"""Quadratic neurons: the formula, their start as linear layers, the groups an optimizer gets."""

import pytest
import torch
from torch import nn

from ranvier.nn import QuadraticConv2d, QuadraticLinear, quadratic_groups

F64 = torch.float64


def test_the_formula():
    torch.manual_seed(0)
    layer = QuadraticLinear(3, 2, start="random", dtype=F64)
    x = torch.randn(5, 3, dtype=F64)
    p = {k: v.detach() for k, v in layer.named_parameters()}
    y = layer(x)
    for b in range(5):
        for i in range(2):
            r = sum(p["reference.weight"][i, k] * x[b, k] for k in range(3)) + p["reference.bias"][i]
            g = sum(p["gate.weight"][i, k] * x[b, k] for k in range(3)) + p["gate.bias"][i]
            power = sum(p["power.weight"][i, k] * x[b, k] ** 2 for k in range(3)) + p["power.bias"][i]
            assert float(y[b, i].detach()) == pytest.approx(float(r * g + power), rel=1e-12)


def test_a_convolution_is_the_linear_layer_on_every_patch():
    torch.manual_seed(0)
    conv = QuadraticConv2d(2, 3, 3, start="random", stride=2, padding=1, dtype=F64)
    linear = QuadraticLinear(18, 3, dtype=F64)
    linear.load_state_dict({k: v.flatten(1) if k.endswith("weight") else v for k, v in conv.state_dict().items()})
    x = torch.randn(4, 2, 7, 7, dtype=F64)
    patches = nn.functional.unfold(x, 3, padding=1, stride=2).transpose(1, 2)
    torch.testing.assert_close(conv(x).flatten(2).transpose(1, 2), linear(patches))


@pytest.mark.parametrize("make", [lambda **o: QuadraticLinear(4, 3, **o), lambda **o: QuadraticConv2d(4, 3, 1, **o)])
def test_relinear_begins_as_the_linear_layer(make):
    torch.manual_seed(0)
    layer = make(dtype=F64)
    x = torch.randn(2, 4, 4, 4, dtype=F64)
    assert torch.equal(layer(x), layer.reference(x))
    random = make(start="random", dtype=F64)
    assert not torch.allclose(random(x), random.reference(x))
    random.relinear()
    assert torch.equal(random(x), random.reference(x))


def test_every_parameter_learns_from_the_start():
    layer = QuadraticLinear(3, 2, dtype=F64)
    layer(torch.randn(5, 3, dtype=F64)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())


def test_groups_part_the_quadratic_terms_from_the_rest():
    model = nn.Sequential(nn.Linear(2, 4), QuadraticLinear(4, 4), nn.Sequential(QuadraticLinear(4, 1)))
    fast, slow = quadratic_groups(model, 0.1, 1e-5, shrinkage=0.01)
    assert (fast["lr"], slow["lr"], slow["weight_decay"]) == (0.1, 1e-5, 0.01) and "weight_decay" not in fast
    names = {id(p): k for k, p in model.named_parameters()}
    assert {names[id(p)].split(".")[-2] for p in slow["params"]} == {"gate", "power"} and len(slow["params"]) == 8
    assert len(fast["params"]) + len(slow["params"]) == len(names)
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    optimizer = torch.optim.SGD(quadratic_groups(model, 0.1, 0.0))
    model(torch.randn(6, 2)).square().sum().backward()
    optimizer.step()
    moved = {k for k, p in model.named_parameters() if not torch.equal(p.detach(), before[k])}
    assert moved == {k for k in before if "gate" not in k and "power" not in k}
    with pytest.raises(ValueError, match="expected QuadraticLinear"):
        quadratic_groups(nn.Linear(2, 2), 0.1, 0.1)
    with pytest.raises(ValueError, match="expected one of"):
        QuadraticLinear(2, 2, start="x")
