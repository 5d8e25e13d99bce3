"""Predictive coding: free energy, inference by Gaussian conditioning, limits that are backpropagation, precision."""

import pytest
import torch
from torch import nn

from ranvier.energies import Backtracking, Clamp, Descent, Fixed
from ranvier.energies.predictive.hierarchy import FixedPredictions, Hierarchy
from tests.laws.cells import check_cell

F64 = torch.float64


def maps():
    torch.manual_seed(0)
    model = [nn.Linear(8, 12), nn.Sequential(nn.Tanh(), nn.Linear(12, 9)), nn.Sequential(nn.Tanh(), nn.Linear(9, 4))]
    return [m.double() for m in model]


def problem():
    g = torch.Generator().manual_seed(1)
    return torch.randn(6, 8, generator=g, dtype=F64), torch.eye(4, dtype=F64)[torch.arange(6) % 4]


def collected(modules):
    result = torch.cat([p.grad.flatten() for m in modules for p in m.parameters()])
    for m in modules:
        m.zero_grad()
    return result


def backpropagated(modules, x, target, precision=1.0):
    (0.5 * precision * (nn.Sequential(*modules)(x) - target).square().sum(1)).mean().backward()
    return collected(modules)


def inferred(modules, x, target, precision=1.0, steps=None):
    """The free energy's gradient at equilibrium, or after some steps."""
    model = Hierarchy(modules, (8,), precision=[1.0, 1.0, precision])
    clamp = model.layout.clamp(layer0=x, layer3=target)
    with torch.no_grad():
        start = model.predict(x)
        if steps is None:
            state = Descent(model, tol=1e-10, max_steps=20_000).settle(start, clamp).x
        else:
            state = Descent(model, Fixed(0.1)).relax({"x": start}, steps, clamp)["x"]
    model.energy(state).mean().backward()
    return collected(modules)


def relative(result, true):
    return float((result - true).norm() / true.norm())


def test_the_free_energy_is_the_negative_log_density():
    model = Hierarchy(maps(), (8,), prior=True, precision=[2.0, 0.5, 3.0]).double()
    x = torch.randn(5, model.units, dtype=F64)
    layers = list(model.layout.split(x).values())
    total = torch.distributions.Normal(0.0, 1.0).log_prob(layers[0]).sum(1)
    for l, precision in enumerate((2.0, 0.5, 3.0)):
        predicted = model.maps[l](layers[l])
        total = total + torch.distributions.Normal(predicted, precision**-0.5).log_prob(layers[l + 1]).sum(1)
    torch.testing.assert_close(model.energy(x), -total)


def linear_gaussian():
    """z ~ N(0, 1), h = A z + a + noise, x = B h + b + noise, and the mean and covariance of (z, h, x)."""
    torch.manual_seed(3)
    modules = [nn.Linear(3, 4).double(), nn.Linear(4, 5).double()]
    model = Hierarchy(modules, (3,), prior=True, precision=[4.0, 2.0]).double()
    (A, a), (B, b) = ((m.weight.detach(), m.bias.detach()) for m in modules)
    eye = torch.eye
    cov_h = A @ A.T + eye(4, dtype=F64) / 4
    cov_x = B @ cov_h @ B.T + eye(5, dtype=F64) / 2
    rows = [
        torch.cat([eye(3, dtype=F64), A.T, (B @ A).T], 1),
        torch.cat([A, cov_h, (B @ cov_h).T], 1),
        torch.cat([B @ A, B @ cov_h, cov_x], 1),
    ]
    return model, torch.cat([torch.zeros(3, dtype=F64), a, B @ a + b]), torch.cat(rows)


@pytest.mark.parametrize("known", [slice(7, 12), slice(7, 10), slice(0, 3)], ids=["data", "part of the data", "cause"])
def test_linear_inference_is_gaussian_conditioning(known):
    """Whatever is clamped, the rest settles at its conditional mean: Σ_uk Σ_kk⁻¹ (x_k − μ_k) + μ_u."""
    model, mean, cov = linear_gaussian()
    held = torch.zeros(12, dtype=torch.bool)
    held[known] = True
    values = torch.randn(4, int(held.sum()), dtype=F64)
    expected = mean[~held] + (values - mean[held]) @ torch.linalg.solve(cov[held][:, held], cov[held][:, ~held])
    with torch.no_grad():
        settled = Descent(model, Fixed(0.05), tol=1e-9, max_steps=20_000).settle(
            model.predict(batch=4), Clamp.at(known, values, 12), trace=True
        )
    torch.testing.assert_close(settled.x[:, ~held], expected)
    assert settled.trace.diff(dim=0).max() <= 1e-10
    few = Descent(model, Fixed(0.05)).relax({"x": model.predict(batch=4).detach()}, 3, Clamp.at(known, values, 12))
    assert (few["x"].detach()[:, ~held] - expected).abs().max() > 0.05


def test_prediction_leaves_no_error():
    model = Hierarchy(maps(), (8,), prior=True).double()
    for x in (None, torch.randn(3, 8, dtype=F64)):
        errors = model.errors(model.predict(x, batch=3))
        for name in ("layer1", "layer2", "layer3"):
            assert errors[name].abs().max() < 1e-14
    with pytest.raises(ValueError, match="no prior"):
        Hierarchy(maps(), (8,)).predict()


def test_weak_output_precision_is_backpropagation():
    """The gradient differs by O(Π_L/Π_l) (Whittington and Bogacz 2017), and small errors alone do not suffice."""
    modules, (x, target) = maps(), problem()
    errors = []
    for precision in (0.01, 0.001):
        true = backpropagated(modules, x, target, precision)
        result = inferred(modules, x, target, precision)
        errors.append(relative(result, true))
        assert torch.cosine_similarity(result, true, dim=0) > 0.9999
    assert errors[0] / errors[1] == pytest.approx(10.0, rel=0.05)
    near = nn.Sequential(*modules)(x).detach()
    near = near + 1e-3 * (target - near)
    assert relative(inferred(modules, x, near), backpropagated(modules, x, near)) > 0.1


def test_too_few_steps_teach_the_last_layer_only():
    modules, (x, target) = maps(), problem()
    true = backpropagated(modules, x, target, 0.01)
    first = modules[0].weight.numel()
    assert not inferred(modules, x, target, 0.01, steps=1)[:first].any() and true[:first].any()
    assert relative(inferred(modules, x, target, 0.01, steps=300), true) < 0.01


def test_fixed_predictions_are_backpropagation():
    modules, (x, target) = maps(), problem()
    model = Hierarchy(modules, (8,))
    start = model.predict(x).detach()
    clamp = model.layout.clamp(layer0=x, layer3=target)
    state = Descent(FixedPredictions(model, start), Fixed(0.5)).relax({"x": start}, 80, clamp)["x"]
    errors = model.layout.split(state - start)
    h1 = modules[0](x)
    h2 = modules[1](h1)
    slopes = torch.autograd.grad((0.5 * (modules[2](h2) - target).square()).sum(), [h1, h2])
    for name, slope in zip(("layer1", "layer2"), slopes, strict=True):
        torch.testing.assert_close(errors[name], -slope)


def test_precisions_are_learned():
    """Regression with noise of a different size on every output: Π_i = 1/σ_i², up to sampling."""
    g = torch.Generator().manual_seed(4)
    x = torch.randn(4000, 3, generator=g, dtype=F64)
    sigma = torch.tensor([0.2, 0.5, 1.5], dtype=F64)
    y = x @ torch.randn(3, 3, generator=g, dtype=F64) + sigma * torch.randn(4000, 3, generator=g, dtype=F64)
    model = Hierarchy([nn.Linear(3, 3).double()], (3,), learn_precision=True).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = model.energy(model.layout.join({"layer0": x, "layer1": y})).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(model.precision("layer1").detach(), sigma**-2, rtol=4 * (2 / 4000) ** 0.5, atol=0)


def test_precision_decides_whom_to_believe():
    """One unit between a prior at 0 and data at 1: it settles at Π_1/(Π_0 + Π_1)."""
    for precision in (0.1, 1.0, 10.0):
        module = nn.Linear(1, 1, bias=False).double()
        nn.init.ones_(module.weight)
        model = Hierarchy([module], (1,), prior=True, precision=precision).double()
        with torch.no_grad():
            clamp = model.layout.clamp(layer1=torch.ones(1, 1, dtype=F64))
            settled = Descent(model, tol=1e-10).settle(model.predict(), clamp)
        assert float(settled.x[0, 0]) == pytest.approx(precision / (1 + precision))


@pytest.mark.parametrize("rule", [Backtracking(), Fixed(0.05)])
def test_inference_is_a_lawful_cell(rule):
    model = Hierarchy(maps(), (8,), prior=True, learn_precision=True).double()
    inputs = torch.randn(6, 3, 8, generator=torch.Generator().manual_seed(5), dtype=F64)
    check_cell(Descent(model, rule, clamped=slice(0, 8), steps=3), inputs, list(maps_of(model)))


def maps_of(model):
    return (p for m in model.maps for p in m.parameters())


def test_refusals():
    with pytest.raises(ValueError, match="layer 2"):
        Hierarchy([nn.Linear(3, 4), nn.Linear(5, 2)], (3,))
    for precision in (0.0, [1.0, 1.0], float("nan")):
        with pytest.raises(ValueError, match="a positive number a map"):
            Hierarchy([nn.Linear(3, 4)], (3,), precision=precision)
