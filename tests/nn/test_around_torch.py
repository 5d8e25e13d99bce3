"""What torch does around layers: transforms, autocast, pickling, gradients of gradients; and what newcomers pass."""

import pickle

import pytest
import torch
from torch.func import functional_call, grad, vmap

import ranvier as rv

F64 = torch.float64
CELLS = {
    "LIF": lambda **like: rv.nn.LIF(6, 5, alpha=0.5, learn=("beta",), **like),
    "recurrent": lambda **like: rv.nn.LIF(6, 5, recurrent=True, **like),
    "LI": lambda **like: rv.nn.LI(6, 5, **like),
    "from_neuron": lambda **like: rv.nn.from_neuron(rv.EIF(), 6, dt=0.5, drive=20.0, learn="V_th", **like),
    "LTC": lambda **like: rv.nn.LTC(6, 8, **like),
    "CfC": lambda **like: rv.nn.CfC(6, 8, **like),
    "ELM": lambda **like: rv.nn.ELM(6, 4, learn_tau=True, **like),
    "astrocyte": lambda **like: rv.nn.AstrocyteLIF(6, 4, astrocytes=2, **like),
}


def build(name: str, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(1)
    return CELLS[name](dtype=dtype)


def data(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 2 * torch.rand(20, 3, 6, generator=torch.Generator().manual_seed(2), dtype=F64).to(dtype)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_each_sample_by_vmap_are_those_of_samples_alone(name):
    cell, x = build(name, F64), data(F64)
    learned = {n: p.detach() for n, p in cell.named_parameters() if p.requires_grad}

    def loss(parameters, one):
        y, _ = functional_call(cell, parameters, (one[:, None],))
        return y.square().mean()

    each = vmap(grad(loss), (None, 1))(learned, x)
    assert sum(float(g.abs().sum()) for g in each.values()) > 0
    for b in range(3):
        y, _ = cell(x[:, b : b + 1])
        alone = torch.autograd.grad(y.square().mean(), [dict(cell.named_parameters())[n] for n in learned])
        for n, expected in zip(learned, alone, strict=True):
            torch.testing.assert_close(each[n][b], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_autocast_leaves_a_cell_its_precision(name):
    cell, x = build(name), data()
    expected, after = cell(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = cell(x)
        again, _ = cell(torch.nn.functional.linear(x, torch.eye(6)), state)  # that is bfloat16
    assert torch.equal(y, expected) and again.dtype == torch.float32
    assert all(torch.equal(state[k], after[k]) for k in after)
    y.sum().backward()


@pytest.mark.parametrize("name", CELLS)
def test_cells_are_pickled_after_use(name):
    """As by torch.save(model), and by a DataLoader that spawns workers."""
    cell, x = build(name), data()
    expected, state = cell(x)
    cell.step(state, x[0])
    result, _ = pickle.loads(pickle.dumps(cell))(x)
    assert torch.equal(result, expected)


@pytest.mark.parametrize("name", CELLS)
def test_a_state_of_another_type_is_refused(name):
    """The loops would read it as numbers of the layer's own width."""
    cell, other = build(name, F64), build(name)
    with pytest.raises(ValueError, match=r"state \w+ is torch.float32 on cpu; expected torch.float64"):
        cell(data(F64), other.init_state(3))
    with pytest.raises(ValueError, match=r"state \w+ is torch.float64 on cpu; expected torch.float32"):
        other(data(), cell.init_state(3))


@pytest.mark.parametrize("name", [n for n in CELLS if n != "astrocyte"])
def test_loops_do_not_leave_out_gradients_of_gradients(name):
    cell, x = build(name, F64), data(F64).requires_grad_()
    y, _ = cell(x)
    with pytest.raises(RuntimeError, match="fused=False"):
        torch.autograd.grad(y.square().sum(), x, create_graph=True)


def test_plain_layers_give_gradients_of_gradients():
    cell, x = rv.nn.LI(6, 5, fused=False, dtype=F64), data(F64).requires_grad_()
    y, _ = cell(x)
    (g,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
    assert float(torch.autograd.grad(g.square().sum(), x)[0].abs().sum()) > 0


@pytest.mark.parametrize("name", CELLS)
def test_layers_in_torchs_own_sequential_say_what_to_do(name):
    model = torch.nn.Sequential(rv.nn.LIF(6, 6), build(name))
    with pytest.raises(TypeError, match=r"layers return \(y, state\); put them into rv.nn.Sequential"):
        model(data())


def test_what_newcomers_pass():
    with pytest.raises(TypeError, match=r"surrogate is 'atan'; expected a Surrogate, such as rv.nn.surrogates.ArcTan"):
        rv.nn.LIF(4, surrogate="atan")
    with pytest.raises(TypeError, match="expected a Surrogate"):
        rv.nn.LIF(4, surrogate=rv.nn.surrogates.ArcTan)
    with pytest.raises(ValueError, match=r"in_features is 2.0; expected a positive whole number"):
        rv.nn.LIF(2.0, 3)
