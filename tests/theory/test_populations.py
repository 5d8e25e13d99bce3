"""Populations as nodes: beside all their neurons, published rates of the microcircuit, several states, folds."""

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.atlas.theory import microcircuit
from tests.theory.beside import gradient_is_that_of_differences


def two(weight=1.5, drive=12.0, sizes=(12, 6)):
    net = rv.Network(seed=1)
    e = net.add(rv.EIF(tau_m=10.0), sizes[0], name="e", drive=drive - 12.0, noise=5.0)
    i = net.add(rv.LIF(), sizes[1], name="i", drive=drive, noise=4.0)
    everyone = rv.wiring.AllToAll(autapses=True)
    net.connect(e, [e, i], weight=weight, delay=1.5, synapse=rv.Exponential(tau=2.0), wiring=everyone)
    net.connect(i, [e, i], weight=-4 * weight, delay=1.0, synapse=rv.Exponential(tau=4.0), wiring=everyone)
    net.background(e, rate=2000.0, weight=2.0, synapse=rv.Exponential(tau=2.0))
    return net


def test_populations_are_means_of_their_neurons():
    """All-to-all every neuron is alike: the spectra of all, averaged in blocks, are those of two nodes."""
    net = two()
    every, prediction = rv.predict(net), rv.theory.predict_populations(net)
    torch.testing.assert_close(every.rates()[[0, 12]], prediction.rates(), rtol=1e-6, atol=0)
    f = [0.0, 15.0, 60.0]
    C, blocks = every.spectrum(f), [slice(0, 12), slice(12, 18)]
    means = torch.stack([torch.stack([C[:, a, b].mean((1, 2)) for b in blocks], 1) for a in blocks], 1)
    torch.testing.assert_close(prediction.spectrum(f), means, rtol=1e-6, atol=1e-12)
    assert prediction.stable and prediction.names == ["e", "i"]
    torch.testing.assert_close(prediction.cv(), every.cv()[[0, 12]], rtol=1e-6, atol=0)


def test_gradients():
    def loss(x):
        prediction = rv.theory.predict_populations(two(x[0], x[1]), exact=False)
        return prediction.rates().sum() + 100 * prediction.spectrum([20.0])[0, 0, 0].real

    gradient_is_that_of_differences(loss, torch.tensor([1.5, 12.0]).double(), rel=5e-3)


def test_gradients_of_exact_responses():
    def loss(x):
        net = rv.Network()
        cells = net.add(rv.LIF(tau_m=10.0), 50, drive=12.0, noise=2.0)
        net.connect(cells, cells, weight=x[0], in_degree=20, synapse=rv.Exponential(tau=1.3))
        net.background(cells, rate=4000.0, weight=4.0, synapse=rv.Exponential(tau=1.3))
        return rv.theory.predict_populations(net).coupling([70.0])[0, 0, 0].imag

    gradient_is_that_of_differences(loss, torch.tensor([-0.9]).double(), rel=2e-3)


#: at f Hz: power of L2/3E's activity times its size, Hz, by NNMT 1.3.0 (`_transfer_function_shift`, trains as Poisson)
NNMT_POWER = {1.0: 1.8936, 20.0: 1.7405, 40.0: 2.5533, 120.0: 4.8813, 180.0: 5.0379}


def test_the_microcircuit():
    """77 169 neurons as eight nodes. NNMT's rates are first order in sqrt(tau_s/tau_m) = 0.22, and 1 % off for that,
    its transfer functions 3 %, of white noise, as `exact=False` has; off the peak spectra then agree to 5 %, while at
    the peak the mode is too near 1. The peak near 80 Hz is that of Bos et al. 2016, and the loop of L4 makes it."""
    prediction = rv.theory.predict_populations(microcircuit.network(1.0, 0, spread=False), exact=False)
    np.testing.assert_allclose(prediction.rates(), microcircuit.REFERENCE, rtol=0.02)
    mode = prediction.dominant_mode()
    assert 70.0 < mode.frequency < 95.0 and abs(mode.eigenvalue - 1) < 0.1
    f = torch.arange(20.0, 200.0, 1.0).double()
    power = prediction.spectrum(f)[:, 0, 0].real
    assert abs(float(f[power.argmax()]) - mode.frequency) <= 2.0
    for f, expected in NNMT_POWER.items():
        M = prediction.coupling([f])[0]
        Q = torch.linalg.inv(torch.eye(8) - M)
        power = float((Q[0].abs() ** 2 * prediction.rates() / prediction.sizes).sum())
        assert power * microcircuit.SIZES[0] == pytest.approx(expected, rel=0.05)
    Z = prediction.sensitivity(mode.frequency)
    # the sum of what all connections do is the eigenvalue itself
    direction = (1 - mode.eigenvalue) / abs(1 - mode.eigenvalue)
    assert complex(Z.sum() * direction) == pytest.approx(mode.eigenvalue, abs=1e-6)


def bistable(drive=6.0, weight=10.0):
    net = rv.Network(seed=1)
    a = net.add(rv.LIF(), 200, drive=drive, noise=3.0)
    net.connect(a, a, weight=weight, probability=0.2, synapse=rv.Exponential(tau=5.0))
    return net


def test_two_states_and_the_one_between():
    """Simulated from rest 0.57 Hz (at a step of 0.1 ms, 13 % below none), from near threshold 91.8 Hz."""
    low, middle, high = rv.theory.stationary_states(bistable())
    assert [s.stable for s in (low, middle, high)] == [True, False, True]
    assert float(low.rates()) == pytest.approx(0.57 / 0.865, rel=0.15)
    assert float(high.rates()) == pytest.approx(91.8, rel=0.15)
    assert "one of 3 stationary states" in str(low.report)
    # each solves r = phi(r): by itself, from there
    for state in (low, middle, high):
        again = rv.theory.predict_populations(bistable(), initial_rates=state.rates())
        assert float(again.rates()) == pytest.approx(float(state.rates()), rel=1e-6)
    assert float(rv.predict(bistable(), initial_rates=100.0, stability="nyquist").rates().mean()) > 80.0


def test_a_branch_turns_at_its_folds():
    branch = rv.theory.follow(lambda drive: bistable(drive), 4.0, 9.0, step=0.35, points=30)
    # 7.414 and 4.614 with ten times as many points
    kinds = [b.kind for b in branch.bifurcations]
    assert kinds[:2] == ["fold", "fold"]
    upper, lower = (b.value for b in branch.bifurcations[:2])
    assert (upper, lower) == (pytest.approx(7.41, abs=0.15), pytest.approx(4.61, abs=0.15))
    assert bool(branch.stable[0]) and not bool(branch.stable.all())


def test_refusals():
    net = rv.Network()
    net.add(rv.LIF(), 3, name="a", drive=torch.tensor([1.0, 2.0, 3.0]).double(), noise=3.0)
    with pytest.raises(ValueError, match=r"drive of population 'a' differs.*from 1 to 3"):
        rv.theory.predict_populations(net)
    for rates in (-1.0, [1.0, 2.0]):
        with pytest.raises(ValueError, match="initial_rates"):
            rv.predict(bistable(), initial_rates=rates)
        with pytest.raises(ValueError, match="initial_rates"):
            rv.theory.predict_populations(bistable(), initial_rates=rates)
