"""The neurons of transformers of every make, against their equations."""

import pytest
import torch
from torch import nn

from ranvier.interpret import activations, edit, mlps
from tests.interpret.conftest import language_model

KINDS = {"llama": "SwiGLU", "gemma": "GeGLU", "gpt2": "?", "opt": "ReLU", "neox": "GELU", "bert": "GELU",
         "vit": "GELU", "torch": "ReLU"}  # fmt: skip


def inputs(kind: str):
    torch.manual_seed(3)
    if kind == "vit":
        return torch.randn(3, 1, 8, 8)
    if kind == "torch":
        return torch.randn(3, 5, 12)
    return {"input_ids": torch.randint(1, 30, (3, 7))}


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_read_in_order(kind):
    model = language_model(kind)
    blocks = mlps(model)
    assert len(blocks) == 2 and [mlp.size for mlp in blocks] == [20, 20]
    assert all(mlp.kind in (KINDS[kind], "NewGELUActivation".lower(), "GELU") for mlp in blocks), blocks[0].kind
    assert all(mlp.read_weights.shape == mlp.write_weights.shape == (20, 12) for mlp in blocks)
    assert all(mlp.neurons.width == 20 for mlp in blocks)


@pytest.mark.parametrize("kind", KINDS)
def test_a_neuron_writes_its_weights_times_its_activation(kind):
    """What the block adds without its last neuron differs by that neuron's activation times its output weights."""
    model = language_model(kind).double()
    mlp = mlps(model)[0]
    x = inputs(kind)
    x = x.double() if not isinstance(x, dict) else x
    outputs = []
    handle = mlp.down.register_forward_hook(lambda module, args, y: outputs.append(y.detach().clone()))
    record = activations(model, [x], mlp.neurons, dtype=torch.float64)[mlp.neurons.name]
    with edit(model) as change:
        change.ablate(mlp.neurons, 19)
        activations(model, [x], mlp.neurons)
    handle.remove()
    torch.testing.assert_close(
        (outputs[0] - outputs[1]).reshape(3, -1, 12), record[:, 19, :, None] * mlp.write_weights[19],
        atol=1e-12, rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_gated_neurons_are_gate_times_up(kind):
    model = language_model(kind).double()
    block = mlps(model)[1]
    record = activations(model, [inputs(kind)], block.layers, dtype=torch.float64)
    neurons, gate, up = (record[one.name] for one in block.layers)
    function = nn.functional.silu if kind == "llama" else lambda x: nn.functional.gelu(x, approximate="tanh")
    torch.testing.assert_close(neurons, function(gate) * up, atol=1e-12, rtol=1e-12)


def test_a_network_without_mlps_is_refused():
    with pytest.raises(ValueError, match=r"Sequential has no MLP block"):
        mlps(nn.Sequential(nn.Conv2d(1, 1, 3)))


def test_an_mlp_without_a_gate_says_so():
    with pytest.raises(ValueError, match="has no gate"):
        _ = mlps(language_model("gpt2"))[0].gate_weights
