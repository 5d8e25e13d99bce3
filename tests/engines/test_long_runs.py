"""A biological day, to the step; and memory over many rebuilds."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.analysis import Spikes
from ranvier.engines._prepare import engine_class
from ranvier.engines.protocol import EngineOptions

DAY = 24 * 3600 * 1000  # ms


@pytest.mark.parametrize("dt", [0.1, 0.05])
@pytest.mark.parametrize("name", ["compiled", "torch"])
@pytest.mark.long
def test_times_are_exact_at_the_end_of_a_day(name, dt):
    """A clockwork neuron and given spikes, taken up 60 ms before midnight: every step is where it would be without
    the day before, and a time in ms is the float64 nearest to step·dt."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes(DAY - torch.tensor([50.0, 40.25, 0.0], dtype=torch.float64), [0, 0, 0]), 1)
    cell = net.add(rv.LIF(t_ref=2.0), 1, drive=20.0)
    delta = net.add(rv.LIF(tau_m=1e9), 1)
    net.connect(source, delta, weight=1.0, delay=1.5, edges=([0], [0]))
    net.connect(cell, cell, weight=0.0, delay=3.0, edges=([0], [0]), plasticity=rv.rules.STDP())
    last, first = round(DAY / dt), round((DAY - 60) / dt)
    engine = engine_class(name).prepare(net, EngineOptions(dt, dtype=torch.float64))
    early = engine_class(name).prepare(net, EngineOptions(dt, dtype=torch.float64)).advance(last - first)
    state = {k: np.array(v) for k, v in engine.state().items()}
    state["step" if "step" in state else "clock"][0] = first
    engine.load(state)
    out = engine.advance(last)
    assert engine.step == last and out.steps.dtype == np.int64
    assert (out.steps[out.neurons == 1] - first).tolist() == early.steps[early.neurons == 1].tolist()
    expected = [last - round(50 / dt), last - round(40.25 / dt), last]
    assert out.steps[out.neurons == 0].tolist() == expected
    spikes = Spikes.from_steps(out.steps, out.neurons, n_neurons=3, dt=dt, stop=last, start=first)
    times = rv.Recording._of(spikes, {}, net, {}).times.numpy()
    assert times.tolist() == [float(Fraction(int(s)) * Fraction(dt)) for s in out.steps]


REBUILDS = """
import gc, sys
import numpy as np
import ranvier as rv

def rss():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

def rebuild(k):
    net = rv.Network(seed=k)
    source = net.add(rv.Poisson(rate=500.0), 5)
    cells = net.add(rv.LIF(), 20, drive=20.0, noise=2.0)
    net.connect(source, cells, weight=1.0, probability=0.5, plasticity=rv.rules.STDP())
    net.connect(cells, cells, weight=1.0, probability=0.5, synapse=rv.Exponential(tau=4.0))
    return rv.simulate(net, 2.0, seed=k, record="V", engine=sys.argv[1]).n_spikes

count, sizes = int(sys.argv[2]), []
for k in range(count):
    rebuild(k)
    if k % (count // 8) == 0:
        gc.collect()
        sizes.append(rss())
print(*sizes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["compiled", "torch"])
@pytest.mark.long
def test_memory_does_not_grow_over_rebuilds(name):
    """The second half of the rebuilds adds less than 8 KB each: a network's tables alone take some 60 KB."""
    count, code = 48, [sys.executable, "-c", REBUILDS, name]
    done = subprocess.run([*code, str(count)], capture_output=True, text=True, check=True)
    sizes = [int(x) for x in done.stdout.split()]
    assert sizes[-1] - sizes[len(sizes) // 2] < 8 * count / 2, sizes
