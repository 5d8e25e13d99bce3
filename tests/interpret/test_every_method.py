"""Laws of every function that reads a model: it leaves the model as it was, whatever happens on the way."""

import copy

import pytest
import torch

from tests.interpret.cases import CASES, methods

every = pytest.mark.parametrize("name", CASES)


def test_every_method_has_a_case():
    missing = methods() - set(CASES)
    assert not missing, f"give a Case in tests/interpret/cases.py to: {', '.join(sorted(missing))}"
    assert not set(CASES) - methods(), "a case for what is none"


def state(model):
    """What a method must leave alone: values, gradients, modes, hooks."""
    values = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]
    gradients = [p.grad is None and p.requires_grad for p in model.parameters()]
    return values, hooks, gradients, [m.training for m in model.modules()]


def assert_same(before, after):
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())
    assert before[1:] == after[1:]


def half_in_training(model):
    """Modes that no blanket call restores."""
    for k, module in enumerate(model.modules()):
        module.training = k % 3 == 1
    return model


@every
def test_a_model_is_left_as_it_was(name):
    case = CASES[name]
    model = half_in_training(case.make())
    before = state(model)
    case.act(model)
    assert_same(before, state(model))


@every
def test_a_failure_on_the_way_leaves_nothing_behind(name):
    case = CASES[name]
    if not case.runs:
        pytest.skip("the model is not run")
    model = half_in_training(case.make())
    before, last = state(model), list(model.modules())[-1]

    def fail(*_):
        raise RuntimeError("planted")

    last.forward = fail
    with pytest.raises(RuntimeError, match="planted"):
        case.act(model)
    del last.forward
    assert_same(before, state(model))


@every
def test_the_answer_is_the_same_again(name):
    case = CASES[name]
    model = case.make().eval()
    assert_equal(case.act(copy.deepcopy(model)), case.act(model))


def assert_equal(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, tuple | list):
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif hasattr(a, "__dataclass_fields__"):
        for field in a.__dataclass_fields__:
            assert_equal(getattr(a, field), getattr(b, field))
    elif not isinstance(a, torch.nn.Module):
        assert a == b
