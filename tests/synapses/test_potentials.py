"""Postsynaptic potentials of every synapse on a membrane that does not spike."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp

import ranvier as rv

TAU, DT, FIRST, DELAY, W = 10.0, 0.25, 1.0, 0.75, 3.0


def rise(a, b):
    """The kernel exp(−t/a) convolved with the membrane's exp(−t/b)/b."""
    return lambda t: t / b * np.exp(-t / b) if a == b else a / (a - b) * (np.exp(-t / a) - np.exp(-t / b))


def alpha(tau, b):
    """t/tau² exp(−t/tau) convolved with exp(−t/b)/b."""
    k = 1 / tau - 1 / b
    return lambda t: np.exp(-t / b) / b / tau**2 * (1 - np.exp(-k * t) * (1 + k * t)) / k**2


def difference(slow, fast, b):
    return lambda t: (rise(slow, b)(t) - rise(fast, b)(t)) / (slow - fast)


#: synapse, its current I(t) after a spike of weight 1, the potential
CURRENTS = [
    (rv.Exponential(tau=4.0), lambda t: np.exp(-t / 4) / 4, lambda t: rise(4.0, TAU)(t) / 4),
    (rv.Exponential(tau=TAU), lambda t: np.exp(-t / TAU) / TAU, lambda t: rise(TAU, TAU)(t) / TAU),
    (rv.Alpha(tau=3.0), lambda t: t / 9 * np.exp(-t / 3), alpha(3.0, TAU)),
    (
        rv.BiExponential(tau_rise=1.0, tau_decay=6.0),
        lambda t: (np.exp(-t / 6) - np.exp(-t)) / 5,
        difference(6.0, 1.0, TAU),
    ),
    (rv.BiExponential(tau_rise=3.0, tau_decay=3.0), lambda t: t / 9 * np.exp(-t / 3), alpha(3.0, TAU)),
    (rv.Exponential(tau=4.0, normalise="peak"), lambda t: np.exp(-t / 4), rise(4.0, TAU)),
    (
        rv.Alpha(tau=3.0, normalise="peak"),
        lambda t: t / 3 * np.exp(1 - t / 3),
        lambda t: alpha(3.0, TAU)(t) * 3 * math.e,
    ),
    (rv.Delta(), None, lambda t: np.exp(-t / TAU)),
]  # fmt: skip


def wired(neuron, synapses, weight, synaptic=()):
    """Neuron k receives one spike, through synapse k alone. `synaptic`: (variable, k) of synapses to record."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes([FIRST], torch.tensor([0])), 1)
    cells = net.add(neuron, len(synapses), "cells")
    projections = [
        net.connect(source, cells, edges=([0], [k]), weight=weight, delay=DELAY, synapse=synapse)
        for k, synapse in enumerate(synapses)
    ]
    record = ["V", *(rv.Probe(name, of=projections[k], name=f"{name}{k}") for name, k in synaptic)]
    out = rv.simulate(net, 60.0, dt=DT, dtype=torch.float64, record=record)
    times = out.states["V"].times.numpy() - FIRST - DELAY
    return times, {k: v.values.numpy() for k, v in out.states.items()}


def test_potentials_of_currents():
    t, result = wired(rv.LIF(tau_m=TAU, E_L=-60.0, V_th=1e9), [s for s, _, _ in CURRENTS], W)
    for k, (synapse, _, potential) in enumerate(CURRENTS):
        expected = -60.0 + W * np.where(t > 0, potential(np.maximum(t, 0.0)), 0.0)
        assert np.allclose(result["V"][:, k], expected, atol=1e-11), synapse


@pytest.mark.parametrize("synapse, current, potential", CURRENTS[:-1], ids=[repr(c[0]) for c in CURRENTS[:-1]])
def test_areas_and_peaks_are_as_the_table_says(synapse, current, potential):
    t = np.linspace(0.0, 60.0, 600_001)
    if synapse.normalise == "peak":
        assert current(t).max() == pytest.approx(1.0, abs=1e-8)
    else:
        assert quad(current, 0.0, np.inf)[0] == pytest.approx(1.0, rel=1e-8)
        assert synapse.peak() == pytest.approx(current(t).max(), rel=1e-8)


def test_peak_of_a_biexponential():
    s = rv.BiExponential(tau_rise=1.0, tau_decay=6.0, normalise="peak")
    t = np.linspace(0.0, 20.0, 2_000_001)
    jump = s.jump_sizes()["r"]
    scale = float(jump.subs({x: s.numbers[x.name] for x in jump.free_symbols}))
    assert scale * ((np.exp(-t / 6) - np.exp(-t)) / 5).max() == pytest.approx(1.0, rel=1e-9)
    assert rv.BiExponential(tau_rise=6.0, tau_decay=1.0).peak() == pytest.approx(s.peak(), rel=1e-12)


def test_potentials_of_conductances():
    """Peak w in nS; I = g (E_rev − V)/g_L: against the equation solved by SciPy."""
    leak, weight = 8.0, 6.0
    synapses = [
        rv.ExponentialConductance(tau=5.0, E_rev=0.0), rv.ExponentialConductance(tau=8.0, E_rev=-80.0),
        rv.AlphaConductance(tau=4.0, E_rev=0.0),
    ]  # fmt: skip
    shapes = [lambda t: np.exp(-t / 5), lambda t: np.exp(-t / 8), lambda t: t / 4 * np.exp(1 - t / 4)]
    t, result = wired(
        rv.LIF(tau_m=TAU, E_L=-60.0, g_L=leak, V_th=1e9), synapses, weight, [("g", 0), ("g", 2)]
    )
    after = t > 0
    for k, (synapse, shape) in enumerate(zip(synapses, shapes, strict=True)):

        def right(t, V, s=synapse, g=shape):
            return (-60.0 - V + weight * g(t) * (s.E_rev - V) / leak) / TAU

        exact = solve_ivp(right, (0, t[-1]), [-60.0], "DOP853", t_eval=t[after], rtol=1e-10, atol=1e-10).y[0]
        size = np.abs(exact + 60.0).max()
        assert np.all(result["V"][~after, k] == -60.0)
        assert np.abs(result["V"][after, k] - exact).max() < 2e-4 * size, synapse
    assert np.allclose(result["g0"][after, 0], weight * shapes[0](t[after]), rtol=1e-12)
    assert np.allclose(result["g2"][after, 2], weight * shapes[2](t[after]), rtol=1e-12)


PROPORTIONAL = rv.synapses.Proportional()
CONTINUOUS = [
    rv.Electrical(),
    PROPORTIONAL,
    rv.Sigmoidal(V_half=-30.0, slope=4.0),
    rv.Sigmoidal(V_half=-30.0, slope=4.0, tau=3.0),
    rv.Sigmoidal(V_half=-30.0, slope=4.0, tau=3.0, E_rev=-70.0),
    rv.Sigmoidal(V_half=-30.0, slope=4.0, E_rev=10.0),
]


@pytest.mark.parametrize("with_reversal", [False, True])
def test_continuous_synapses_against_scipy(with_reversal):
    """A driven graded neuron, and one target a synapse; the error falls with the square of dt."""
    synapses = CONTINUOUS if with_reversal else CONTINUOUS[:4]
    leak, tau, w = 2.0, 8.0, 5.0
    errors = []
    for dt in (0.1, 0.05):
        net = rv.Network()
        model = rv.Graded(tau_m=tau, g_L=leak)
        source = net.add(model, 1, drive=12.0, initial={"V": -45.0})
        cells = net.add(model, len(synapses), drive=2.0)
        for k, synapse in enumerate(synapses):
            net.connect(source, cells, edges=([0], [k]), weight=w / 100 if synapse is PROPORTIONAL else w,
                        synapse=synapse)  # fmt: skip
        net.connect(
            cells, source, edges=([0], [0]), weight=w, synapse=rv.Electrical()
        )  # a gap junction has two sides
        V = rv.simulate(net, 40.0, dt=dt, dtype=torch.float64, record=rv.Probe("V", interval=1.0)).states["V"]
        errors.append(np.abs(V.values.numpy() - exact(synapses, leak, tau, w)).max(0))
    assert errors[0].max() < 2e-3
    ratio = errors[0] / errors[1]
    assert ((ratio > 3.6) & (ratio < 4.4)).all(), (errors, ratio)


def exact(synapses, leak, tau, w):
    def right(t, y):
        V, s = y[: len(synapses) + 1], y[len(synapses) + 1 :]
        open_ = 1 / (1 + np.exp((-30.0 - V[0]) / 4.0))
        current, ds = np.zeros(len(V)), np.zeros(len(synapses))
        current[0] = w * (V[1] - V[0]) / leak
        for k, synapse in enumerate(synapses):
            if isinstance(synapse, rv.Electrical):
                current[k + 1] = w * (V[0] - V[k + 1]) / leak
                continue
            if synapse is PROPORTIONAL:
                current[k + 1] = w / 100 * V[0]
                continue
            active = s[k] if synapse.tau else open_
            ds[k] = (open_ - s[k]) / synapse.tau if synapse.tau else 0.0
            current[k + 1] = (
                w * active * (1.0 if synapse.E_rev is None else (synapse.E_rev - V[k + 1]) / leak)
            )
        drive = np.array([12.0] + [2.0] * len(synapses))
        return np.concatenate([(-35.0 - V + drive + current) / tau, ds])

    start = np.concatenate([[-45.0], [-35.0] * len(synapses), np.zeros(len(synapses))])
    return (
        solve_ivp(right, (0, 40), start, "DOP853", t_eval=np.arange(1, 41), rtol=1e-10, atol=1e-10)
        .y[: len(synapses) + 1]
        .T
    )


def test_many_sources_onto_few_targets():
    """A continuous projection from more sources than there are inputs: sums of all of them."""
    net = rv.Network()
    source = net.add(rv.Graded(tau_m=1e9), 3000, initial={"V": torch.linspace(-50.0, -20.0, 3000)})
    target = net.add(rv.Graded(E_L=0.0, tau_m=1e9), 3)
    net.connect(source, target, probability=1.0, weight=1e6, synapse=rv.Sigmoidal(V_half=-30.0, slope=4.0))
    V = (
        rv.simulate(net, 0.1, dtype=torch.float64, record=rv.Probe("V", neurons=target))
        .states["V"]
        .values.numpy()
    )
    total = (1 / (1 + np.exp((-30.0 - np.linspace(-50.0, -20.0, 3000)) / 4.0))).sum()
    assert np.allclose(V, 1e6 * total * 0.1 / 1e9, rtol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: rv.Exponential(tau=0.0), r"tau of Exponential is 0 ms; expected a number above 0 ms"),
        (lambda: rv.Exponential(tau=-1.0), r"tau of Exponential is -1 ms"),
        (lambda: rv.Alpha(tau=float("nan")), r"tau of Alpha is nan"),
        (lambda: rv.BiExponential(tau_rise=-1.0), r"tau_rise of BiExponential is -1 ms"),
        (lambda: rv.Sigmoidal(tau=-1.0), r"tau of Sigmoidal is -1 ms; expected 0 ms or above"),
        (lambda: rv.Sigmoidal(slope=0.0), r"slope of Sigmoidal is 0 mV; expected a number above 0 mV"),
        (lambda: rv.Exponential(normalise="sum"), r"normalise of Exponential is 'sum'; expected one of 'area', 'peak'"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
