"""Delays against loops over time and synapses; learned ones by finite differences."""

import pytest
import torch

import ranvier as rv
from tests.laws.cells import check_cell
from tests.nn.layers import F64, drive


def delayed(x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """One feature and step at a time."""
    out = torch.zeros_like(x)
    for t in range(len(x)):
        for n in range(x.shape[2]):
            if t >= (d := int(steps[n])):
                out[t, :, n] = x[t - d, :, n]
    return out


STEPS = {
    "none": 0, "one": 1, "same": 4, "each": torch.tensor([0, 3, 1, 7, 2]), "beyond": torch.tensor([30, 0, 1, 2, 40]),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_each_input_comes_later(name):
    x, cell = drive(20, 3, 5), rv.nn.Delay(5, STEPS[name], dtype=F64)
    y, state = cell(x)
    assert torch.equal(y, delayed(x, torch.as_tensor(STEPS[name]).expand(5)))
    assert state["past"].shape == (cell.longest, 3, 5)
    if name != "beyond":
        check_cell(cell, x.requires_grad_(), [])


def test_the_state_may_be_longer_than_the_delays():
    x = drive(12, 2, 3)
    for steps in (2, torch.tensor([0, 2, 1])):
        cell = rv.nn.Delay(3, steps, longest=6, dtype=F64)
        assert torch.equal(cell(x)[0], delayed(x, torch.as_tensor(steps).expand(3))) and cell.longest == 6
        check_cell(cell, x.clone().requires_grad_(), [])


def test_features_may_have_a_shape():
    steps = torch.tensor([0, 2, 5])
    x = drive(12, 2, 12).unflatten(2, (3, 4))
    y, _ = rv.nn.Delay((3, 4), steps[:, None], dtype=F64)(x)
    assert torch.equal(y.flatten(2), delayed(x.flatten(2), steps.repeat_interleave(4)))


@pytest.mark.parametrize("steps", [2, torch.randint(0, 6, (4, 7), generator=torch.Generator().manual_seed(0))])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_each_synapse_has_its_delay(steps, density):
    torch.manual_seed(0)
    cell = rv.nn.DelayedLinear(7, 4, steps, dtype=F64)
    x = drive(15, 3, 7)
    x = x * (torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < density)
    y, _ = cell(x)
    each, expected = torch.as_tensor(steps).expand(4, 7), torch.zeros(15, 3, 4, dtype=F64) + cell.bias.detach()
    for i in range(4):
        for k in range(7):
            expected[:, :, i] += cell.weight[i, k].detach() * delayed(x, each[i, k].expand(7))[:, :, k]
    torch.testing.assert_close(y.detach(), expected)
    check_cell(cell, x, list(cell.parameters()))


@pytest.mark.parametrize("kind", ["inputs", "synapses"])
def test_learned_delays_interpolate_and_have_their_gradients(kind):
    generator = torch.Generator().manual_seed(7)
    if kind == "inputs":
        cell = rv.nn.Delay(5, 0.1 + 3 * torch.rand(5, dtype=F64, generator=generator), learn=True, longest=6, dtype=F64)
    else:
        steps = 0.1 + 3 * torch.rand(4, 5, dtype=F64, generator=generator)
        cell = rv.nn.DelayedLinear(5, 4, steps, learn=True, longest=6, dtype=F64)
    x = drive(12, 2, 5)
    check_cell(cell, x, list(cell.parameters()))

    def output(steps, x):
        return torch.func.functional_call(cell, {"steps": steps}, (x,))[0]

    assert torch.autograd.gradcheck(output, (cell.steps.detach().clone().requires_grad_(), x.requires_grad_()))
    # at whole steps it is the delay that is not learned
    whole = output(torch.full_like(cell.steps, 2.0), x)
    if kind == "inputs":
        assert torch.equal(whole, rv.nn.Delay(5, 2, dtype=F64)(x)[0])
    else:
        plain = rv.nn.DelayedLinear(5, 4, 2, dtype=F64)
        plain.load_state_dict({"weight": cell.weight, "bias": cell.bias, "steps": plain.steps})
        torch.testing.assert_close(whole, plain(x)[0])


def test_a_learned_delay_finds_the_delay_that_made_its_target():
    x = torch.sin(torch.arange(200, dtype=F64)[:, None, None] * torch.tensor([0.2, 0.15, 0.25], dtype=F64))
    target = delayed(x, torch.tensor([2, 5, 1]))
    cell = rv.nn.Delay(3, 3.0, learn=True, longest=8, dtype=F64)
    optimizer = torch.optim.Adam(cell.parameters(), 0.05)
    for _ in range(150):
        optimizer.zero_grad()
        (cell(x)[0] - target)[8:].square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(cell.steps.detach(), torch.tensor([2.0, 5.0, 1.0], dtype=F64), atol=0.1, rtol=0)


def test_a_learned_delay_is_kept_in_bounds_and_can_return():
    cell = rv.nn.Delay(3, 2.0, learn=True, longest=4, dtype=F64)
    with torch.no_grad():
        cell.steps.copy_(torch.tensor([-1.0, 2.0, 9.0]))
    x = drive(20, 2, 3)
    y, _ = cell(x)
    assert torch.equal(y, delayed(x, torch.tensor([0, 2, 4])))
    (y * x.flip(0)).sum().backward()
    assert (cell.steps.grad[:2] != 0).all()


def test_delays_stand_in_the_state_dict_and_too_long_ones_are_refused():
    cell = rv.nn.DelayedLinear(3, 2, torch.tensor([[0, 1, 2], [3, 0, 0]]))
    assert set(cell.state_dict()) == {"weight", "bias", "steps"} and set(rv.nn.Delay(3).state_dict()) == {"steps"}
    longer = rv.nn.DelayedLinear(3, 2, torch.tensor([[0, 9, 2], [3, 0, 0]]))
    with pytest.raises(RuntimeError, match="up to 9 steps; expected at most longest = 3"):
        cell.load_state_dict(longer.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps is -1; expected a number of at least 0"),
        ({"steps": float("nan")}, "steps is nan; expected"),
        ({"steps": 1.5}, "expected whole numbers"),
        ({"steps": torch.ones(4)}, "expected a number or"),
        ({"steps": 5, "longest": 3}, "at least the 5 steps"),
        ({"features": 0}, "features is 0; expected a positive whole number"),
    ],
)
def test_bad_delays_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rv.nn.Delay(**({"features": 3} | options))


def test_bad_input_of_a_delay_is_refused():
    cell = rv.nn.Delay(3, 2)
    for shape in [(4, 2, 5), (0, 2, 3), (4, 3)]:
        with pytest.raises(ValueError, match=r"expected \(T, B, 3\)"):
            cell(torch.zeros(shape))
    with pytest.raises(ValueError, match="state past"):
        cell(torch.zeros(4, 2, 3), rv.nn.Delay(3, 4).init_state(2))
