"""Spikes of Shiu et al.'s model of the fly's brain in Brian2, on a small random wiring: writes the reference.

The equations, threshold, reset, order of events and parameters are those of the paper's published program (Shiu et al.
2024, Nature 634:210). Run it by a Python that has Brian2:

    .venv-peers/bin/python tests/oracles/brian2_fly.py
"""

import json
from pathlib import Path

NEURONS, EDGES, DRIVEN, DT, DURATION = 120, 3000, 8, 0.1, 400.0
EQUATIONS = """dv/dt = (v_0 - v + g)/t_mbr : volt (unless refractory)
dg/dt = -g/tau : volt (unless refractory)
rfc : second"""


def wiring(rng):
    """(sources, targets, signed counts of synapses): a fifth of the neurons inhibits."""
    import numpy as np

    pairs = np.sort(rng.choice(NEURONS * NEURONS, EDGES, replace=False))
    sources, targets = pairs // NEURONS, pairs % NEURONS
    counts = rng.geometric(0.08, EDGES) * np.where(sources % 5 == 4, -1, 1)
    return sources, targets, counts


def group(b2, sources, targets, counts):
    ms, mV = b2.ms, b2.mV
    space = {"v_0": -52 * mV, "v_rst": -52 * mV, "v_th": -45 * mV, "t_mbr": 20 * ms, "tau": 5 * ms}
    neurons = b2.NeuronGroup(NEURONS, EQUATIONS, method="linear", threshold="v > v_th", refractory="rfc",
                             reset="v = v_rst; g = 0*mV", namespace=space)  # fmt: skip
    neurons.v, neurons.g, neurons.rfc = -52 * mV, 0 * mV, 2.2 * ms
    neurons.rfc[:DRIVEN] = 0 * ms
    synapses = b2.Synapses(neurons, neurons, "w : volt", on_pre="g += w", delay=1.8 * ms)
    synapses.connect(i=sources, j=targets)
    synapses.w = counts * 0.275 * mV
    return neurons, synapses


def main() -> None:
    import brian2 as b2
    import numpy as np

    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = DT * b2.ms
    rng = np.random.default_rng(1)
    edges = wiring(rng)
    times = [np.sort(rng.choice(np.arange(5, int(DURATION / DT) - 40), 60, replace=False)) for _ in range(DRIVEN)]
    steps, cells = np.concatenate(times), np.repeat(np.arange(DRIVEN), 60)
    neurons, synapses = group(b2, *edges)
    source = b2.SpikeGeneratorGroup(DRIVEN, cells, steps * DT * b2.ms)
    kick = b2.Synapses(source, neurons, on_pre="v += 68.75*mV")
    kick.connect(j="i")
    monitor = b2.SpikeMonitor(neurons)
    b2.Network(neurons, synapses, source, kick, monitor).run(DURATION * b2.ms)
    spikes = np.rint(monitor.t / b2.ms / DT).astype(int), np.asarray(monitor.i)
    order = np.lexsort(spikes[::-1])
    counts = []
    for seed in range(24):
        b2.seed(seed)
        neurons, synapses = group(b2, *edges)
        inputs = [b2.PoissonInput(neurons[i : i + 1], "v", 1, 150 * b2.Hz, 68.75 * b2.mV) for i in range(DRIVEN)]
        monitor = b2.SpikeMonitor(neurons, record=False)
        b2.Network(neurons, synapses, *inputs, monitor).run(1000 * b2.ms)
        counts.append(np.asarray(monitor.count))
    out = {
        "neurons": NEURONS, "driven": DRIVEN, "dt": DT, "duration": DURATION, "brian2": b2.__version__,
        "sources": edges[0].tolist(), "targets": edges[1].tolist(), "counts": edges[2].tolist(),
        "given_steps": steps.tolist(), "given_cells": cells.tolist(),
        "spike_steps": spikes[0][order].tolist(), "spike_neurons": spikes[1][order].tolist(),
        "rates": np.mean(counts, 0).round(4).tolist(),
        "rates_sd": np.std(counts, 0, ddof=1).round(4).tolist(), "seeds": len(counts),
    }  # fmt: skip
    path = Path(__file__).parent / "reference" / "fly.json"
    path.write_text(json.dumps(out) + "\n")
    print(len(order), "spikes,", np.mean(counts, 0).mean(), "Hz")


if __name__ == "__main__":
    main()
