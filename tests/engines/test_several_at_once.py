"""What a population or projection may have several of: two at once, against plain recursions and closed forms."""

import numpy as np
import pytest
import scipy.linalg
import torch

import ranvier as rv
from ranvier._steps import rounded_steps
from ranvier.engines.compiled.engine import CompiledEngine
from ranvier.engines.protocol import EngineOptions
from ranvier.engines.recording.probes import resolve_probes
from ranvier.engines.step_model import step_models
from ranvier.engines.torch.engine import TorchEngine
from tests.engines import plain_plastic, plastic

F64, DT = torch.float64, 0.1
ENGINES = ["compiled", "torch"]


@pytest.mark.parametrize("engine", [CompiledEngine, TorchEngine])
def test_two_time_series_of_two_populations(engine):
    """Drive and leak potential of each change at their own intervals, one a neuron or one for all.

    Networks refuse series of other parameters than drive as yet; the engines take any number.
    """
    rng = np.random.default_rng(0)
    net, expected = rv.Network(), []
    for size, intervals in ((3, (0.5, 0.3)), (2, (0.2, 0.7))):
        drive, rest = rng.uniform(-5, 5, (40, size)), rng.uniform(-70, -60, 30)
        cells = net.add(rv.LIF(V_th=1e9), size, drive=rv.TimeSeries(drive, intervals[0]), initial={"V": -65.0})
        dict.__setitem__(cells.parameters, "E_L", rv.TimeSeries(rest, intervals[1]))
        V, course, fall = np.full(size, -65.0), [], np.exp(-DT / 20)
        for k in range(100):
            at = [min(k // round(x / DT), len(v) - 1) for x, v in zip(intervals, (drive, rest), strict=True)]
            to = rest[at[1]] + drive[at[0]]
            V = to + fall * (V - to)
            course.append(V)
        expected.append(np.array(course))
    probes = resolve_probes("V", net, step_models(net), DT)
    out = engine.prepare(net, EngineOptions(DT, 0, 1, F64, probes, None)).advance(100).samples["V"][1]
    assert np.abs(out - np.hstack(expected)).max() < 1e-10 and np.ptp(out, 0).min() > 0.2


@pytest.mark.parametrize("engine", ENGINES)
def test_two_backgrounds_a_synapse(engine):
    """Two by Delta synapses and two by Exponential ones: V's mean and variance are sums of Campbell's (1909).

    A kernel h of each spike, of weight w at rate r, adds r w ∫h and r w² ∫h². Of the sample of 400 independent cells
    the standard errors are sd/20 of the mean and √(2/400) of the variance; bounds are 5 of them.
    """
    tau, tau_s, size = 20.0, 5.0, 400
    net = rv.Network()
    cells = net.add(rv.LIF(tau_m=tau, V_th=1e9), size, initial={"V": -65.0})
    kinds = [(2000.0, 0.3, None), (400.0, -0.9, None), (1500.0, 5.0, tau_s), (300.0, -12.0, tau_s)]
    t = np.arange(0.0, 400.0, DT) + DT / 2
    mean = variance = 0.0
    for rate, weight, filtered in kinds:
        net.background(cells, rate, weight, None if filtered is None else rv.Exponential(tau=filtered))
        h = np.exp(-t / tau)
        if filtered is not None:  # of a current of area 1 that decays: tau V' = -V + I
            h = (h - np.exp(-t / filtered)) / (tau - filtered)
        mean += rate / 1000 * weight * h.sum() * DT
        variance += rate / 1000 * weight**2 * (h**2).sum() * DT
    V = rv.simulate(net, 150.0, dt=DT, engine=engine, record=rv.Probe("V", interval=150.0)).states["V"].values[-1] + 65
    assert abs(float(V.mean()) - mean) < 5 * np.sqrt(variance / size)
    assert abs(float(V.var()) / variance - 1) < 5 * np.sqrt(2 / size)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_continuous_projections_a_population_and_kind(engine):
    """Two within a population and two from another, all gap junctions: against the matrix exponential."""
    tau, leak = np.repeat([20.0, 10.0], 3), np.repeat([1.0, 2.0], 3)
    drive, start = np.linspace(-5, 5, 6), np.linspace(-70, -60, 6)
    net = rv.Network()
    a, b = (
        net.add(rv.LIF(tau_m=tau[k], g_L=leak[k], V_th=1e9), 3, drive=torch.tensor(drive[k : k + 3]),
                initial={"V": torch.tensor(start[k : k + 3])})
        for k in (0, 3)
    )  # fmt: skip
    A = np.diag(-1 / tau)
    projections = [
        (a, a, 0.5, [0, 1], [1, 2]), (a, a, 0.25, [1, 2], [0, 0]), (b, a, 0.3, [0, 1], [2, 0]), (b, a, 0.7, [0], [2]),
        (a, b, 0.4, [0, 2], [0, 1]), (a, b, 0.2, [1], [1]), (b, b, 0.6, [0], [2]), (b, b, 0.1, [1], [2]),
    ]  # fmt: skip
    for source, target, w, sources, targets in projections:
        net.connect(source, target, weight=w, edges=(sources, targets), synapse=rv.Electrical())
        for i, j in zip(sources, targets, strict=True):
            i, j = i + source.start, j + target.start
            A[j, i] += w / leak[j] / tau[j]
            A[j, j] -= w / leak[j] / tau[j]
    whole = np.zeros((7, 7))
    whole[:6, :6], whole[:6, 6] = A, (drive - 65.0) / tau
    exact = (scipy.linalg.expm(8.0 * whole) @ np.array([*start, 1.0]))[:6]
    V = rv.simulate(net, 8.0, dt=DT, engine=engine, dtype=F64, record="V").states["V"].values[-1].numpy()
    assert np.abs(V - exact).max() < 1e-4 and np.ptp(exact) > 1


@pytest.mark.parametrize("engine", ENGINES)
def test_two_kinds_of_graded_synapse_keep_their_own_parameters(engine):
    """Two Sigmoidal kinds, with state and without: against small steps of Euler's method from their text."""
    net = rv.Network()
    cells = net.add(rv.Graded(g_L=1.0), 2, initial={"V": torch.tensor([-45.0, -30.0]).double()})
    kinds = [rv.Sigmoidal(V_half=-40.0, slope=4.0, tau=3.0, E_rev=0.0),
             rv.Sigmoidal(V_half=-30.0, slope=2.0, E_rev=-70.0)]  # fmt: skip
    for synapse, w in zip(kinds, (0.6, 0.4), strict=True):
        net.connect(cells, cells, weight=w, edges=([0, 1], [1, 0]), synapse=synapse)
    V, s, small = np.array([-45.0, -30.0]), np.zeros(2), 0.001
    for _ in range(6000):
        one, other = (1 / (1 + np.exp((k.V_half - V[::-1]) / k.slope)) for k in kinds)
        V, s = V + small * (-35.0 - V + 0.6 * s * (0 - V) + 0.4 * other * (-70 - V)) / 10.0, s + small * (one - s) / 3.0
    out = rv.simulate(net, 6.0, dt=DT, engine=engine, dtype=F64, record="V").states["V"].values[-1].numpy()
    assert np.abs(out - V).max() < 5e-3  # order 1 of the small steps


@pytest.mark.parametrize("engine", ENGINES)
def test_probes_of_one_variable_at_different_intervals(engine):
    net = rv.Network()
    a, b = (net.add(rv.LIF(), n, drive=torch.linspace(5, 25, n).double()) for n in (300, 4))
    net.background(a, 500.0, 0.2)
    record = ["V", rv.Probe("V", neurons=a, interval=0.3, name="a"), rv.Probe("V", neurons=[302, 7], name="two"),
              rv.Probe("V", neurons=b, interval=0.7, name="b")]  # fmt: skip
    states = rv.simulate(net, 10.0, dt=DT, engine=engine, record=record).states
    V = states["V"].values
    assert torch.equal(states["a"].values, V[2::3, :300]) and torch.equal(states["two"].values, V[:, [7, 302]])
    assert torch.equal(states["b"].values, V[6::7, 300:]) and states["b"].times.tolist() == pytest.approx(
        [0.7 * k for k in range(1, 15)]
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_two_modulators_onto_one_population(engine):
    """Two rules with series of different intervals and one with none, against a plain simulation of each synapse."""
    net = plastic.network(plastic.RULES["additive"], size=10, delays=False)
    cells, src = net["cells"], net["src"]
    sources = {}
    for rule, interval in ((plastic.RULES["reward"], 2.5), (plastic.RULES["gated"], 4.0)):
        values = np.random.default_rng(len(net.projections)).normal(0.05, 0.1, 30)
        p = net.connect(src, cells, weight=0.3, delay=0.5, edges=(range(10), range(10)), plasticity=rule,
                        modulator=rv.TimeSeries(values, interval))  # fmt: skip
        every = round(interval / DT)
        sources[p.index] = lambda k, _, v=values, every=every: float(v[min((k - 1) // every, 29)])
    steps, who, weights = plain_plastic.simulate(net, DT, 300, sources)
    out = rv.simulate(net, 30.0, dt=DT, engine=engine, dtype=F64)
    assert np.array_equal(rounded_steps(out.times.numpy(), DT), steps) and np.array_equal(out.neurons.numpy(), who)
    for p in net.projections:
        if p.plasticity is not None:
            assert np.allclose(out.weights[p].numpy(), weights[p.index], rtol=0, atol=1e-12)
    assert all(np.abs(weights[k] - 0.3).max() > 1e-3 for k in sources)
