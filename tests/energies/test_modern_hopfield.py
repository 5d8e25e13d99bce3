"""Modern Hopfield networks against attention, their energy, and torch's own multi-head attention."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

import ranvier as rv
from ranvier.energies import Descent, Fixed, ModernHopfield
from tests.laws.cells import check_cell
from tests.laws.energies import check_energy

pytestmark = pytest.mark.usefixtures("float64")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("beta", [None, 0.3, 4.0])
def test_laws(beta):
    check_energy(ModernHopfield(normal(7, 12), beta), 2 * normal(5, 12, seed=1), tol=1e-8)


def test_a_step_of_descent_is_attention():
    X, x = normal(9, 16), normal(4, 16, seed=1)
    model = ModernHopfield(X)
    step = Descent(model, Fixed(1.0)).relax({"x": x}, 1)["x"]
    torch.testing.assert_close(step, scaled_dot_product_attention(x[None], X[None], X[None])[0])
    torch.testing.assert_close(step, model.update(x))


def test_the_update_never_raises_the_energy_and_the_energy_is_bounded():
    """Theorem 1 and the bounds of section 2: 0 <= E <= 2 max|x|² for states within the patterns' hull."""
    X = normal(20, 10)
    for beta in (0.1, 1.0, 10.0):
        model = ModernHopfield(X, beta)
        x, energies = X[:6] + 0.3 * normal(6, 10, seed=2), []
        for _ in range(30):
            energies.append(model.energy(x))
            x = model.update(x)
        whole = torch.stack(energies)
        assert (whole.diff(dim=0) <= 1e-12).all() and (whole >= 0).all()
        assert (model.energy(x) <= 2 * X.square().sum(1).max()).all()


def test_one_step_retrieves_separated_patterns_and_low_beta_averages_them():
    X = normal(50, 200)
    noisy = X[:10] + 0.5 * normal(10, 200, seed=3)
    torch.testing.assert_close(ModernHopfield(X, 1.0).update(noisy), X[:10], atol=1e-12, rtol=0)
    mean = ModernHopfield(X, 1e-4).update(noisy, steps=5)
    torch.testing.assert_close(mean, X.mean(0).expand(10, -1), atol=5e-3, rtol=0)


def test_it_is_a_cell():
    model = ModernHopfield(normal(5, 8), 1.0, learn=True)
    check_cell(Descent(model, Fixed(0.5)), normal(8, 3, 8, seed=2), [model.patterns])


def test_the_static_layer_is_attention():
    stored, state, values = normal(3, 9, 8), normal(3, 4, 8, seed=1), normal(3, 9, 8, seed=2)
    expected = scaled_dot_product_attention(state, stored, values)
    torch.testing.assert_close(rv.nn.Hopfield(8, static=True)((stored, state, values)), expected)
    steep = rv.nn.Hopfield(8, static=True, scaling=2.5)((stored, state, values))
    torch.testing.assert_close(steep, torch.softmax(2.5 * state @ stored.mT, -1) @ values)


def test_the_layer_is_torchs_multi_head_attention():
    torch.manual_seed(0)
    ours = rv.nn.Hopfield(12, num_heads=3, normalize=False)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    stored, state, values = normal(2, 7, 12), normal(2, 5, 12, seed=1), normal(2, 7, 12, seed=2)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 4:] = True
    causal = torch.ones(5, 7, dtype=torch.bool).triu(1)
    for pad, mask in ((None, None), (padding, None), (None, causal), (padding, causal)):
        expected = theirs(state, stored, values, key_padding_mask=pad, attn_mask=mask, need_weights=False)[0]
        torch.testing.assert_close(ours((stored, state, values), pad, mask), expected)
    added = torch.where(causal, -math.inf, 0.0)
    torch.testing.assert_close(
        ours((stored, state, values), padding, added), ours((stored, state, values), padding, causal)
    )
    last = rv.nn.Hopfield(12, num_heads=3, normalize=False, batch_first=False)
    last.load_state_dict(ours.state_dict())
    turned = last(tuple(x.transpose(0, 1) for x in (stored, state, values)))
    torch.testing.assert_close(turned.transpose(0, 1), ours((stored, state, values)))


def test_updates_descend_in_the_association_space():
    stored, state = normal(1, 6, 5), normal(1, 3, 5, seed=1)
    model = ModernHopfield(stored[0], 1.3)
    for steps in (1, 4):
        layer = rv.nn.Hopfield(5, static=True, scaling=1.3, update_steps_max=steps, update_steps_eps=0.0)
        torch.testing.assert_close(layer((stored, state, stored))[0], model.update(state[0], steps + 1))
    settled = rv.nn.Hopfield(5, static=True, scaling=1.3, update_steps_max=500, update_steps_eps=1e-10)
    end = Descent(model, tol=1e-10).settle(state[0]).x
    torch.testing.assert_close(settled((stored, state, stored))[0], end, atol=1e-7, rtol=0)


def test_pooling_and_lookup():
    torch.manual_seed(1)
    x = normal(4, 9, 6)
    pool = rv.nn.HopfieldPooling(6, 8, 5, quantity=2, num_heads=2)
    y = pool(x)
    expected = pool.hopfield((x, pool.pooling_weights.expand(4, -1, -1), x)).flatten(1)
    assert y.shape == (4, 10)
    torch.testing.assert_close(y, expected)
    order = torch.randperm(9)
    torch.testing.assert_close(pool(x[:, order]), y)
    padded = torch.cat([x, 1e3 * torch.ones(4, 3, 6)], 1)
    mask = torch.arange(12).expand(4, -1) >= 9
    torch.testing.assert_close(pool(padded, mask), y)

    look = rv.nn.HopfieldLookup(6, quantity=7, output_size=3)
    assert look(x).shape == (4, 9, 3)
    inputs = (look.lookup_weights.expand(4, -1, -1), x, look.target_weights.expand(4, -1, -1))
    torch.testing.assert_close(look(x), look.hopfield(inputs))
    for module in (pool, look):
        module(x).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters() if p.ndim > 1)
    assert rv.nn.HopfieldLookup(6, quantity=7, separate=False).target_weights is None


def test_a_pooling_layer_learns_which_instance_matters():
    """Multiple instances: a bag is positive if it holds one certain pattern among ten of noise."""
    torch.manual_seed(0)
    key = normal(8, seed=7)

    def bags(count, seed):
        x, y = normal(count, 10, 8, seed=seed), torch.arange(count) % 2
        x[y == 1, 3] = 1.5 * key + 0.3 * normal(count // 2, 8, seed=seed + 1)
        return x, y

    model = nn.Sequential(rv.nn.HopfieldPooling(8, 8, 8, scaling=1.0), nn.Linear(8, 2))
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    x, y = bags(200, 10)
    for _ in range(120):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    x, y = bags(400, 20)
    assert float((model(x).argmax(1) == y).double().mean()) > 0.9


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: ModernHopfield(normal(3)), r"\(3,\)"),
        (lambda: ModernHopfield(normal(3, 2), beta=0.0), "beta is 0"),
        (lambda: ModernHopfield(normal(3, 2) * float("nan")), "not finite"),
        (lambda: rv.nn.Hopfield(7, num_heads=2), "num_heads is 2"),
        (lambda: rv.nn.Hopfield(8, scaling=-1.0), "scaling of Hopfield is -1"),
        (lambda: rv.nn.Hopfield(8, static=True, num_heads=2), "static"),
        (lambda: rv.nn.Hopfield(8)(normal(2, 8)), "three axes"),
        (lambda: rv.nn.Hopfield(8)(normal(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)), "nothing but padding"),
        (lambda: rv.nn.HopfieldPooling(8, quantity=0), "quantity is 0"),
        (lambda: rv.nn.HopfieldLookup(8, quantity=2, pattern_projection_size=3, separate=False), "sizes 8 and 3"),
    ],
)
def test_errors(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
