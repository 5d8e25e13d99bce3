"""The layered energy: its force, against autograd and by hand; its descent; shapes that do not fit."""

import pytest
import torch
from torch import nn

from ranvier.energies import Backtracking, Descent, Fixed
from ranvier.energies.graphs.lagrangians import Sigmoid, Softmax, Tanh
from ranvier.energies.graphs.layered import Layered
from tests.laws.cells import check_cell

F64 = torch.float64


def models(lagrangian):
    torch.manual_seed(0)
    yield Layered([nn.Linear(6, 7), nn.Linear(7, 5), nn.Linear(5, 3)], (6,), lagrangian).double()
    maps = [nn.Conv2d(2, 3, 3, padding=1), nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 4))]
    yield Layered(maps, (2, 4, 4), lagrangian).double()


@pytest.mark.parametrize("lagrangian", [None, Sigmoid(), Tanh(2.0)], ids=["confined", "sigmoid", "tanh"])
def test_the_force_is_the_gradient_by_activations(lagrangian):
    for model in models(lagrangian):
        x = torch.rand(4, model.units, dtype=F64).requires_grad_()
        value, force = model.energy_and_force(x)
        (slope,) = torch.autograd.grad(value.sum(), x)  # ∂E/∂x = ∂E/∂y ρ'(x)
        y = model.activations(x)
        (bend,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(force.detach(), -slope / bend)


@pytest.mark.parametrize("lagrangian", [None, Tanh()], ids=["confined", "tanh"])
@pytest.mark.parametrize("rule", [Backtracking(), Fixed(0.05)], ids=["backtracking", "fixed"])
def test_energy_never_rises_and_states_come_to_rest(lagrangian, rule):
    for model in models(lagrangian):
        x = torch.rand(4, *model.shape, dtype=F64)
        with torch.no_grad():
            settled = Descent(model, rule, tol=1e-9, max_steps=5000).settle(
                model.init_state(4), field=model.drive(x), trace=True
            )
        assert settled.trace.diff(dim=0).max() <= 1e-13 and settled.converged.all()
        if lagrangian is None:
            assert settled.x.min() >= 0 and settled.x.max() <= 1


def test_a_feed_forward_limit():
    """Two layers: with nothing above, the first rests at its drive, confined to [0, 1]."""
    model = Layered([nn.Linear(6, 7)], (6,)).double()
    x = 3 * torch.rand(4, 6, dtype=F64)
    with torch.no_grad():
        settled = Descent(model, Fixed(0.5), tol=1e-12).settle(model.init_state(4), field=model.drive(x))
        torch.testing.assert_close(settled.x, model.maps[0](x).clamp(0, 1))
        torch.testing.assert_close(model.output(settled.x), settled.x)


def test_its_descent_is_a_lawful_cell():
    for model in models(Tanh()):
        drives = model.drive(torch.rand(12, *model.shape, dtype=F64)).detach().reshape(4, 3, -1)
        later = [p for m in model.maps[1:] for p in m.parameters()]
        check_cell(Descent(model, Fixed(0.3), steps=3), drives, later)


def test_glorots_weights():
    torch.manual_seed(0)
    model = Layered.dense(50, 40, 10)
    for module, bound in zip(model.maps, ((6 / 90) ** 0.5, (6 / 50) ** 0.5), strict=True):
        assert 0.95 * bound < module.weight.abs().max() <= bound and not module.bias.any()


def test_refusals():
    with pytest.raises(ValueError, match="layer 2"):
        Layered([nn.Linear(3, 4), nn.Linear(5, 2)], (3,))
    with pytest.raises(ValueError, match="one at least"):
        Layered([], (3,))
    with pytest.raises(ValueError, match="single units"):
        Layered.dense(3, 2, lagrangian=Softmax())
    with pytest.raises(ValueError, match=r"expected \(B, 3\)"):
        Layered.dense(3, 2).drive(torch.zeros(2, 4))
