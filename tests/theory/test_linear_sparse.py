"""A few rows of a large sparse network: iterated, equal to the factorisation."""

import pytest
import torch

import ranvier as rv
from ranvier.theory.network.fluctuations import linear_response


def network(weight: float) -> rv.Network:
    net = rv.Network(seed=1)
    neuron = rv.LIF(tau_m=20.0, E_L=-65.0, V_th=-45.0, V_reset=-55.0)
    exc = net.add(neuron, 450, drive=15.0, noise=3.5)
    inh = net.add(neuron, 100, drive=14.0, noise=3.5)
    # in-degrees alike, or 550 neurons of as many rates are solved for, which is not what is compared
    net.connect(exc, [exc, inh], weight=weight, in_degree=9, delay=1.0, synapse=rv.Exponential(tau=5.0))
    net.connect(inh, [exc, inh], weight=-3 * weight, in_degree=2, delay=2.0, synapse=rv.Exponential(tau=3.0))
    return net


@pytest.mark.parametrize("weight", [5.0, 30.0])
def test_iterated_rows_equal_factorised_ones(monkeypatch: pytest.MonkeyPatch, weight: float):
    prediction = rv.predict(network(weight))
    pairs = torch.tensor([[0, 5], [5, 0], [7, 500], [3, 3]])
    f = [0.0, 7.0, 60.0]
    iterated = prediction.spectrum(f, pairs=pairs)
    full = prediction.spectrum(f)[:, pairs[:, 0], pairs[:, 1]]
    torch.testing.assert_close(iterated, full, rtol=1e-9, atol=1e-12)
    assert full[1, 2].abs() > 1e-7 * full[1, 3].abs()  # and so not both zero
    called = []
    few = linear_response._few_rows
    monkeypatch.setattr(linear_response, "_few_rows", lambda *a: called.append(few(*a)) or called[-1])
    prediction.spectrum(f, pairs=pairs)
    assert called and all(c is not None for c in called)
