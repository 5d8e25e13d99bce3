"""Neurons with tripartite synapses: laws, the documented equations synapse by synapse, the ablation."""

import numpy as np
import pytest
import torch

from ranvier.nn import AstrocyteLIF
from tests.laws.cells import check_cell

F64 = torch.float64


def cell(**options):
    torch.manual_seed(0)
    layer = AstrocyteLIF(5, 6, **{"astrocytes": 3, "tau": (3.0, 30.0), "dtype": F64, **options})
    with torch.no_grad():
        layer.weight.mul_(3)
        layer.bias.fill_(0.2)
        layer.sensing.copy_(0.3 * torch.randn(3, 5))
    return layer


def spikes(steps=15, batch=3):
    return (torch.rand(steps, batch, 5, generator=torch.Generator().manual_seed(1)) < 0.4).to(F64)


@pytest.mark.parametrize("recurrent", [True, False])
def test_laws(recurrent):
    layer = cell(recurrent=recurrent)
    check_cell(layer, spikes(), list(layer.parameters()))


def equations(layer, x):
    """Synapse by synapse, in numpy."""
    p = {k: v.detach().numpy() for k, v in layer.named_parameters()}
    alpha, tau = 1 / (1 + np.exp(-p["alpha_logit"])), np.exp(np.linspace(np.log(3), np.log(30), 3))
    v, y, c, outputs, calcium = np.zeros(6), np.zeros(6), np.zeros(3), [], []
    for row in x:
        z = np.concatenate([row, y])
        gamma = (c**2 / (1 + c**2))[[0, 0, 1, 1, 2, 2]] if layer.modulated else np.zeros(6)
        u = 0.9 * v + p["bias"]
        for n in range(6):
            for k in range(11):
                u[n] += p["weight"][n, k] * ((1 - gamma[n]) * 0.5 + gamma[n] * alpha[n, k]) * z[k]
        c = np.exp(-1 / tau) * c + np.maximum(p["sensing"], 0) @ row
        y = (u >= 1).astype(float)
        v = u - y
        outputs.append(y)
        calcium.append(c)
    return np.array(outputs), np.array(calcium)


@pytest.mark.parametrize("modulated", [True, False])
def test_the_documented_equations(modulated):
    layer, x = cell(modulated=modulated), spikes(40, 2)
    y, state = layer(x)
    assert 0.05 < y.mean() < 0.95
    for b in range(2):
        expected, calcium = equations(layer, x[:, b].numpy())
        assert (y[:, b].detach().numpy() == expected).all()
        np.testing.assert_allclose(state["c"][b].detach().numpy(), calcium[-1], rtol=1e-12)


def test_astrocytes_matter_and_only_where_they_are_meant_to():
    x = spikes(40, 2)
    on, off = cell(), cell(modulated=False)
    assert not torch.equal(on(x)[0], off(x)[0])
    with torch.no_grad():
        on.alpha_logit.zero_()  # alpha = U: an astrocyte without effect
    assert torch.equal(on(x)[0], off(x)[0])


def test_bad_settings_and_input_are_refused():
    for options in ({"astrocytes": 4}, {"astrocytes": 0}, {"tau": (0.0, 1.0)}, {"tau": (5.0, 1.0)}, {"beta": 1.5}):
        with pytest.raises(ValueError, match="expected"):
            AstrocyteLIF(5, 6, **options)
    layer = cell()
    for x in (spikes()[0], spikes()[..., :4], spikes()[:0]):
        with pytest.raises(ValueError, match=r"x (has|is)"):
            layer(x)
    x = spikes()
    x[2, 0, 1] = float("nan")
    with pytest.raises(ValueError, match="nan in x at step 2, batch 0, feature 1"):
        layer(x)
    with pytest.raises(ValueError, match="state c"):
        layer(spikes(), {**layer.init_state(3), "c": torch.zeros(3, 2)})
