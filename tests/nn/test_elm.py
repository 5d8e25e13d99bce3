"""The expressive leaky memory: laws, its published equations, compiled loops, routing, what is refused."""

import math

import numpy as np
import pytest
import torch

from ranvier.nn import ELM
from tests.laws.cells import check_cell

F64 = torch.float64
VARIANTS = {
    "plain": {}, "branches": {"branches": 3, "per_branch": 4}, "random": {"branches": 2, "routing": "random"},
    "deep": {"hidden": (7, 5), "learn_tau": True}, "linear": {"hidden": ()},
}  # fmt: skip


def cell(name, **options):
    torch.manual_seed(0)
    layer = ELM(6, 2, memory=4, **{"dtype": F64, **VARIANTS[name], **options})
    with torch.no_grad():
        layer.synapses.copy_(torch.rand(layer.synapses.shape) + 0.1)
    return layer


def spikes(steps=12, batch=3):
    return (torch.rand(steps, batch, 6, generator=torch.Generator().manual_seed(1)) < 0.3).to(F64)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_laws(name, fused):
    layer = cell(name, fused=fused)
    check_cell(layer, spikes(), [p for p in layer.parameters() if p.requires_grad])


def published(layer, x):
    """Synapse by synapse, as the paper has it; numbers only."""
    p = {k: v.detach().numpy() for k, v in layer.named_parameters()}
    weights = np.maximum(p["synapses"], 0)
    tau = layer.tau_m.detach().numpy()
    kappa, kappa_s = np.exp(-layer.dt / tau), math.exp(-layer.dt / 5.0)
    traces, memory, outputs = np.zeros_like(weights), np.zeros(layer.memory), []
    for row in x:
        traces = kappa_s * traces + weights * row[layer.indices.numpy()]
        z = np.concatenate([traces.sum(1), kappa * memory])
        layers = len(layer.mlp)
        for k in range(layers):
            z = p[f"mlp.{k}.weight"] @ z + p[f"mlp.{k}.bias"]
            if k < layers - 1:
                z = np.maximum(z, 0)
        memory = kappa * memory + 5.0 * (1 - kappa) * 1.7159 * np.tanh(2 / 3 * z)
        outputs.append(p["readout.weight"] @ memory + p["readout.bias"])
    return np.array(outputs)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_published_equations(name):
    layer, x = cell(name), spikes(30, 2)
    with torch.no_grad():
        layer.synapses[0, 0] = -0.3  # counts as 0
    y, _ = layer(x)
    for b in range(2):
        np.testing.assert_allclose(y[:, b].detach().numpy(), published(layer, x[:, b].numpy()), rtol=1e-11, atol=1e-12)


def outcome(layer, x, fused):
    layer.fused = fused
    x = x.clone().requires_grad_()
    random = torch.Generator().manual_seed(3)

    def draw(shape):
        return torch.randn(shape, generator=random, dtype=F64).to(x.dtype)

    state = {k: draw(v.shape).requires_grad_() for k, v in layer.init_state(x.shape[1]).items()}
    y, last = layer(x, state)
    loss = (y * draw(y.shape)).sum() + sum((last[k] * draw(last[k].shape)).sum() for k in "sm")
    grads = torch.autograd.grad(loss, [x, *state.values(), *(p for p in layer.parameters() if p.requires_grad)])
    return [y.detach(), *(v.detach() for v in last.values()), *grads]


@pytest.mark.parametrize("name", VARIANTS)
def test_compiled_loops_agree_with_autograd(name):
    layer, x = cell(name), spikes(15, 5)
    for ours, plain in zip(outcome(layer, x, True), outcome(layer, x, False), strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-11)


def test_float32_is_near_float64():
    layer, x = cell("deep"), spikes(40, 20)
    exact = outcome(layer, x, False)
    for ours, plain in zip(outcome(layer.float(), x.float(), True), exact, strict=True):
        torch.testing.assert_close(ours.double(), plain, rtol=0, atol=3e-5 * float(plain.abs().max()))


def test_memory_lasts_as_long_as_its_time_constant():
    layer = cell("plain", tau_m=(10.0, 1000.0), dt=2.0)
    expected = torch.tensor([10.0, 10 ** (5 / 3), 10 ** (7 / 3), 1000.0], dtype=F64)
    torch.testing.assert_close(layer.tau_m.detach(), expected)
    with torch.no_grad():
        for p in layer.mlp.parameters():
            p.zero_()
    _, state = layer(torch.zeros(50, 1, 6, dtype=F64), {**layer.init_state(1), "m": torch.ones(1, 4, dtype=F64)})
    torch.testing.assert_close(state["m"][0].detach(), torch.exp(-100.0 / layer.tau_m.detach()))


def test_branches_cover_the_inputs():
    layer = ELM(10, 1, branches=4)
    assert layer.indices.shape == (4, 3) and set(layer.indices.flatten().tolist()) == set(range(10))
    assert (layer.indices.diff(dim=1) == 1).all()
    paper = ELM(1278, 2, memory=20, branches=45, per_branch=100)
    assert sum(p.numel() for p in paper.parameters() if p.requires_grad) == 8002


@pytest.mark.parametrize(
    "options",
    [
        {"memory": 0}, {"branches": 0}, {"tau_m": (0.0, 10.0)}, {"tau_m": (20.0, 10.0)}, {"tau_s": 0.0}, {"dt": -1.0},
        {"routing": "x"}, {"per_branch": 7}, {"lam": 0.0},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        ELM(6, 2, **options)


def test_bad_input_is_refused():
    layer = cell("plain")
    for x in (spikes()[0], spikes()[..., :5], spikes()[:0], spikes().float()):
        with pytest.raises(ValueError, match=r"x (has|is)"):
            layer(x)
    x = spikes()
    x[3, 1, 2] = float("inf")
    with pytest.raises(ValueError, match="inf in x at step 3, batch 1, feature 2"):
        layer(x)
    for state in ({"s": torch.zeros(3, 6)}, layer.init_state(4)):
        with pytest.raises(ValueError, match="expected"):
            layer(spikes(), state)
