"""Short-term plasticity against the recursion of Maass & Markram (2002), spike by spike."""

import math

import numpy as np
import pytest
import torch

import ranvier as rv

DT = 0.1


def amplitudes(times: list[float], U: float, tau_rec: float, tau_facil: float) -> list[float]:
    """u x of each spike: u' = U + u (1 − U) e^(−Δ/τ_facil), x' = 1 + (x − x u − 1) e^(−Δ/τ_rec)."""
    u, x, out = U, 1.0, []
    for k in range(len(times)):
        if k:
            gap = times[k] - times[k - 1]
            x = 1 + (x - x * u - 1) * math.exp(-gap / tau_rec)
            u = U + (u * (1 - U) * math.exp(-gap / tau_facil) if tau_facil else 0.0)
        out.append(u * x)
    return out


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("values", [(0.5, 800.0, 0.0), (0.05, 100.0, 600.0), (1.0, 30.0, 20.0), (0.3, 50.0, 10.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_amplitudes_follow_the_recursion(engine, values, dtype):
    """Each spike moves V by its amplitude, which then decays; two spikes fall into one step."""
    U, tau_rec, tau_facil = values
    times = [5.0, 15.0, 22.5, 23.0, 60.0, 60.0, 61.0]
    net = rv.Network()
    source = net.add(rv.SpikeTimes(times, [0] * len(times)), 1)
    rule, tau = rv.rules.TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=tau_facil), 4.0
    cells = net.add(rv.LIF(tau_m=tau, V_th=1e6, E_L=0.0, V_reset=0.0), 2, initial={"V": 0.0})
    net.connect(source, cells, weight=[1.0, -3.0], delay=1.5, edges=([0, 0], [0, 1]), plasticity=rule)
    V = rv.simulate(net, 80.0, dt=DT, record="V", engine=engine, dtype=dtype).states["V"].values.double().numpy()
    t = DT * np.arange(1, len(V) + 1)
    expected = np.zeros(len(V))
    for time, size in zip(times, amplitudes(times, U, tau_rec, tau_facil), strict=True):
        after = t - time - 1.5
        expected += np.where(after > DT / 2, size * np.exp(-np.maximum(after, 0.0) / tau), 0.0)
    assert np.abs(V - expected[:, None] * [1.0, -3.0]).max() < (1e-10 if dtype == torch.float64 else 2e-6)
    assert expected.max() > 0.04


def test_threads_and_cuts_change_no_bit():
    net = rv.Network(seed=1)
    source = net.add(rv.Poisson(rate=200.0), 40)
    cells = net.add(rv.LIF(), 900, drive=10.0)
    rule = rv.rules.TsodyksMarkram(tau_facil=50.0)
    net.connect(source, cells, weight=4.0, delay=rv_delays(), in_degree=10, plasticity=rule)
    whole = rv.simulate(net, 100.0)
    simulation = rv.Simulation(net, threads=2)
    pieces = [simulation.run(d) for d in (0.1, 33.3, 66.6)]
    assert torch.equal(torch.cat([p.times for p in pieces]), whole.times) and whole.n_spikes > 100
    assert torch.equal(torch.cat([p.neurons for p in pieces]), whole.neurons)


def rv_delays() -> torch.Tensor:
    return 0.5 + 0.1 * (torch.arange(9000) % 20).double()


def test_a_prediction_refuses():
    net = rv.Network()
    cells = net.add(rv.LIF(), 10, drive=10.0, noise=3.0)
    net.connect(cells, cells, weight=0.1, in_degree=2, plasticity=rv.rules.TsodyksMarkram())
    with pytest.raises(ValueError, match="short-term plasticity"):
        rv.predict(net)


class Own(rv.rules.Rule):
    """Every spike halves the next one's effect, for good: a rule of ten lines."""

    traces = (rv.rules.Trace("n", "pre", tau="tau", jump="(1 - n)/2"),)
    transmitted = "w*(1 - n)"
    tau: float = rv.parameter(1e9, "ms", "recovery", above=0)


def test_a_user_writes_one():
    net = rv.Network()
    source = net.add(rv.SpikeTimes([1.0, 2.0, 3.0], [0, 0, 0]), 1)
    cell = net.add(rv.LIF(tau_m=1e9, E_L=0.0, V_th=1e6, V_reset=-1.0), 1, initial={"V": 0.0})
    net.connect(source, cell, weight=8.0, edges=([0], [0]), plasticity=Own())
    V = rv.simulate(net, 6.0, record="V", dtype=torch.float64).states["V"].values[-1]
    assert V.tolist() == pytest.approx([8.0 + 4.0 + 2.0], abs=1e-6)


@pytest.mark.parametrize(
    ("jump", "transmitted", "message"),
    [("post", "w", "uses 'post'"), ("1", "w*q", "uses 'q'"), ("1", "w > 1", "is a condition")],
)
def test_what_is_none_is_refused(jump, transmitted, message):
    text = {"traces": (rv.rules.Trace("n", "pre", tau="tau", jump=jump),), "transmitted": transmitted, "tau": 1.0}
    with pytest.raises(ValueError, match=message):
        type("Wrong", (rv.rules.Rule,), text | {"__annotations__": {"tau": float}})().law  # noqa: B018
