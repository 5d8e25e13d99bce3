"""A layer's own numbers are fixed, or keep their domain when they are set again: found by themselves."""

import pytest
import torch

import ranvier as rv
from tests.nn.cases import CELLS, OTHERS

F32 = torch.float32


def parts_of_layers():
    """Every module of the package's own within the cases, by its class."""
    layers = [case.layer(F32) for case in CELLS.values()] + [make() for make, _ in OTHERS.values()]
    layers.append(rv.energies.ModernHopfield(torch.eye(4)))
    return {type(m): m for layer in layers for m in layer.modules() if type(m).__module__.startswith("ranvier")}


PARTS = parts_of_layers()
#: what a module says of its last call
COUNTED = {("Hopfield", "updates")}


def numbers(module):
    own = {name: v for name, v in vars(module).items() if not name.startswith("_") and type(v) in (int, float)}
    return [name for name in own if (type(module).__name__, name) not in COUNTED]


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_numbers_outside_their_domain_are_refused_later_too(kind):
    """Of sizes any other value: what the module is made of is settled. None of these is in any domain."""
    module = PARTS[kind]
    for name in numbers(module):
        before = getattr(module, name)
        for wrong in (-1e3, float("nan"), "x"):
            with pytest.raises((ValueError, TypeError, AttributeError), match="expected"):
                setattr(module, name, wrong)
            assert getattr(module, name) == before, f"{name} of {kind.__name__} took {wrong}"


def test_a_step_of_another_length_is_another_layer():
    """Coefficients are computed once: a new dt was ignored."""
    layer = rv.nn.from_neuron(rv.LIF(), 3, dt=0.1)
    with pytest.raises(AttributeError, match=r"dt of a NeuronLayer is fixed at 0\.1, not 0\.5"):
        layer.dt = 0.5
    elm = rv.nn.ELM(3, 2)
    with pytest.raises(AttributeError, match="dt of a ELM is fixed"):
        elm.dt = 2.0
    elm.lam = 3.0
    assert elm.lam == 3.0
