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
    made = ELM(6, 2, memory=4, **{"dtype": F64, **VARIANTS[name], **options})
    with torch.no_grad():
        made.synapses.copy_(torch.rand(made.synapses.shape) + 0.1)
    return made


def spikes(steps=12, batch=3):
    return (torch.rand(steps, batch, 6, generator=torch.Generator().manual_seed(1)) < 0.3).to(F64)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_laws(name, fused):
    made = cell(name, fused=fused)
    check_cell(made, spikes(), [p for p in made.parameters() if p.requires_grad])


def published(made, x):
    """Synapse by synapse, as the paper has it; numbers only."""
    p = {k: v.detach().numpy() for k, v in made.named_parameters()}
    weights = np.maximum(p["synapses"], 0)
    tau = made.tau_m.detach().numpy()
    kappa, kappa_s = np.exp(-made.dt / tau), math.exp(-made.dt / 5.0)
    traces, memory, outputs = np.zeros_like(weights), np.zeros(made.memory), []
    for row in x:
        traces = kappa_s * traces + weights * row[made.indices.numpy()]
        z = np.concatenate([traces.sum(1), kappa * memory])
        layers = len(made.mlp)
        for k in range(layers):
            z = p[f"mlp.{k}.weight"] @ z + p[f"mlp.{k}.bias"]
            if k < layers - 1:
                z = np.maximum(z, 0)
        memory = kappa * memory + 5.0 * (1 - kappa) * 1.7159 * np.tanh(2 / 3 * z)
        outputs.append(p["readout.weight"] @ memory + p["readout.bias"])
    return np.array(outputs)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_published_equations(name):
    made, x = cell(name), spikes(30, 2)
    with torch.no_grad():
        made.synapses[0, 0] = -0.3  # counts as 0
    y, _ = made(x)
    for b in range(2):
        np.testing.assert_allclose(y[:, b].detach().numpy(), published(made, x[:, b].numpy()), rtol=1e-11, atol=1e-12)


def outcome(made, x, fused):
    made.fused = fused
    x = x.clone().requires_grad_()
    random = torch.Generator().manual_seed(3)

    def draw(shape):
        return torch.randn(shape, generator=random, dtype=F64).to(x.dtype)

    state = {k: draw(v.shape).requires_grad_() for k, v in made.init_state(x.shape[1]).items()}
    y, last = made(x, state)
    loss = (y * draw(y.shape)).sum() + sum((last[k] * draw(last[k].shape)).sum() for k in "sm")
    grads = torch.autograd.grad(loss, [x, *state.values(), *(p for p in made.parameters() if p.requires_grad)])
    return [y.detach(), *(v.detach() for v in last.values()), *grads]


@pytest.mark.parametrize("name", VARIANTS)
def test_compiled_loops_agree_with_autograd(name):
    made, x = cell(name), spikes(15, 5)
    for ours, plain in zip(outcome(made, x, True), outcome(made, x, False), strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-11)


def test_float32_is_near_float64():
    made, x = cell("deep"), spikes(40, 20)
    exact = outcome(made, x, False)
    for ours, plain in zip(outcome(made.float(), x.float(), True), exact, strict=True):
        torch.testing.assert_close(ours.double(), plain, rtol=0, atol=3e-5 * float(plain.abs().max()))


def test_memory_lasts_as_long_as_its_time_constant():
    made = cell("plain", tau_m=(10.0, 1000.0), dt=2.0)
    expected = torch.tensor([10.0, 10 ** (5 / 3), 10 ** (7 / 3), 1000.0], dtype=F64)
    torch.testing.assert_close(made.tau_m.detach(), expected)
    with torch.no_grad():
        for p in made.mlp.parameters():
            p.zero_()
    _, state = made(torch.zeros(50, 1, 6, dtype=F64), {**made.init_state(1), "m": torch.ones(1, 4, dtype=F64)})
    torch.testing.assert_close(state["m"][0].detach(), torch.exp(-100.0 / made.tau_m.detach()))


def test_branches_cover_the_inputs():
    made = ELM(10, 1, branches=4)
    assert made.indices.shape == (4, 3) and set(made.indices.flatten().tolist()) == set(range(10))
    assert (made.indices.diff(dim=1) == 1).all()
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
    made = cell("plain")
    for x in (spikes()[0], spikes()[..., :5], spikes()[:0], spikes().float()):
        with pytest.raises(ValueError, match=r"x (has|is)"):
            made(x)
    x = spikes()
    x[3, 1, 2] = float("inf")
    with pytest.raises(ValueError, match="inf in x at step 3, batch 1, feature 2"):
        made(x)
    for state in ({"s": torch.zeros(3, 6)}, made.init_state(4)):
        with pytest.raises(ValueError, match="expected"):
            made(spikes(), state)
