"""Layers from neurons: parameters outside their domain are named, when the layer is made and after training."""

import pytest
import torch

import ranvier as rv


def test_impossible_neurons_make_no_layer():
    with pytest.raises(ValueError, match="tau_m of LIF is -1 ms; expected a number above 0 ms"):
        rv.nn.from_neuron(rv.LIF(tau_m=-1.0), 3, dt=0.1)


@pytest.mark.parametrize("how", ["forward", "step"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tau_m", -2.0, r"tau_m of the layer of LIF is -2 ms at neuron 1; expected a number above 0 ms.*optimiser"),
        ("t_ref", -0.5, r"t_ref of the layer of LIF is -0.5 ms at neuron 1"),
        ("V_th", -70.0, r"V_reset of the layer of LIF is -65 mV and V_th of the layer of LIF -70 mV at neuron 1"),
        ("tau_m", float("nan"), r"tau_m of the layer of LIF is nan at neuron 1; expected a number above 0 ms"),
    ],
)
def test_a_learned_parameter_that_left_its_domain_is_named(how, name, value, message):
    start = {"tau_m": 20.0, "t_ref": 2.0, "V_th": -50.0}[name]
    neuron = rv.LIF(**{name: torch.full((3,), start)})
    layer = rv.nn.from_neuron(neuron, 3, dt=0.1, drive=20.0, learn=(name,))
    x = torch.zeros(4, 2, 3)
    use = (lambda: layer(x)) if how == "forward" else (lambda: layer.step(layer.init_state(2), x[0]))
    use()
    with torch.no_grad():
        getattr(layer, name)[1] = value
    with pytest.raises(ValueError, match=message):
        use()
    with torch.no_grad():
        getattr(layer, name)[1] = start
    use()
