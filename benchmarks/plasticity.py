"""A sparse network that learns, side by side with Brian2's C++ standalone mode: prints a table.

python -m benchmarks.plasticity [--size 10000] [--duration 1000] [--rounds 5] [--threads 1] [--float32]

10 000 LIF neurons, each hearing 1000 others by plastic synapses (pair STDP, all pairs, additive, bounded), and
9.5 kHz of Poisson spikes; delays of 1.5 ms, steps of 0.1 ms. Figures are medians of process-CPU seconds
of the run phase, over rounds in turn; Brian2 computes in its own default, float64, unless requested float32.

The floor: every spike makes one event at each of its 1000 synapses, and a synapse that learns must at least be read
and written: 2 bytes for its target, 4 read and 4 written for its weight. It is the time of copying that many bytes.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _standalone

ROOT = Path(__file__).parents[1]
DT, DELAY, TAU, W, W_MAX = 0.1, 1.5, 20.0, 0.005, 0.01  # ms, mV
RATE, JUMP = 9_500.0, 0.1  # Hz, mV: each neuron's own Poisson input
A_PLUS, A_MINUS = 0.01 * W_MAX, 0.0105 * W_MAX


def ranvier_side(size: int, duration: float, threads: int) -> Any:
    """A function of the seed: CPU seconds of the run phase, rate (Hz), mean and SD of the weights over w_max."""
    import ranvier as rv
    from ranvier.engines.compiled.engine import CompiledEngine
    from ranvier.engines.protocol import EngineOptions

    def run(seed: int) -> dict[str, float]:
        net = rv.Network(seed=seed)
        cell = rv.LIF(tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
        cells = net.add(cell, size, initial={"V": rv.Uniform(0.0, 20.0)})
        rule = rv.rules.STDP(tau_plus=TAU, tau_minus=TAU, A_plus=A_PLUS, A_minus=A_MINUS, w_max=W_MAX)
        net.connect(cells, cells, weight=W, delay=DELAY, in_degree=size // 10, plasticity=rule)
        net.background(cells, rate=RATE, weight=JUMP)
        engine = CompiledEngine.prepare(net, EngineOptions(DT, seed=seed, threads=threads))
        began = time.process_time()
        steps, _, _ = engine.advance(round(duration / DT))
        engine.weights()
        cpu = time.process_time() - began
        w = engine.current.plastic[0].weights[0] / W_MAX
        return {"cpu": cpu, "rate": len(steps) / size / duration * 1000, "mean": float(w.mean()), "sd": float(w.std())}

    return run


def brian2_build(folder: str, size: int, duration: float, float32: bool) -> None:
    """In Brian2's own environment: build the standalone binary, which notes its CPU time around the run."""
    import brian2 as b2
    import numpy as np

    if float32:
        b2.prefs.core.default_float_dtype = np.float32
    _standalone.begin(b2, folder, DT)
    ms, mV = b2.ms, b2.mV
    names = {"tau_m": 20 * ms, "tau": TAU * ms, "ap": A_PLUS * mV, "am": A_MINUS * mV, "top": W_MAX * mV}
    cells = b2.NeuronGroup(
        size, "dv/dt = -v/tau_m : volt (unless refractory)", threshold="v > 20*mV", reset="v = 10*mV",
        refractory=2 * ms, method="exact", namespace=names,
    )  # fmt: skip
    cells.v = "rand()*20*mV"
    synapses = b2.Synapses(
        cells, cells,
        "w : volt\ndx/dt = -x/tau : 1 (event-driven)\ndy/dt = -y/tau : 1 (event-driven)",
        on_pre="v_post += w\nw = clip(w - am*y, 0*mV, top)\nx += 1",
        on_post="w = clip(w + ap*x, 0*mV, top)\ny += 1",
        delay=DELAY * ms, namespace=names,
    )  # fmt: skip
    degree = size // 10
    synapses.connect(i=f"(j + 1 + k) % {size} for k in sample(0, {size - 1}, size={degree})")
    synapses.w = W * mV
    outside = b2.PoissonInput(cells, "v", 1000, RATE / 1000 * b2.Hz, weight=JUMP * mV)
    monitor = b2.SpikeMonitor(cells, name="spikes", record=False)
    _standalone.end(b2, folder, b2.Network(cells, synapses, outside, monitor), duration)


def brian2_run(folder: Path, seed: int, size: int, duration: float, float32: bool) -> dict[str, float]:
    import numpy as np

    cpu = _standalone.run(folder, seed)
    results = folder / "results"
    kind = np.float32 if float32 else np.float64
    w = np.fromfile(next(results.glob("_dynamic_array_synapses_w_*")), kind) * 1000 / W_MAX
    count = np.fromfile(next(results.glob("_array_spikes_count_*")), np.int32).sum()
    return {"cpu": cpu, "rate": count / size / duration * 1000, "mean": float(w.mean()), "sd": float(w.std())}


def floor(events: float) -> float:
    """Seconds to copy 5 bytes an event (each is read and written)."""
    import numpy as np

    a = np.zeros(50_000_000, np.uint8)
    b = np.ones_like(a)
    began = time.process_time()
    for _ in range(5):
        np.copyto(b, a)
    return (time.process_time() - began) / 5 / len(a) * 5 * events


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plasticity", description=__doc__)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--duration", type=float, default=1000.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="Brian2 in float32")
    options = parser.parse_args()
    from benchmarks import _peers

    folder = Path(tempfile.mkdtemp(prefix="ranvier-plasticity-"))
    missing = _peers.prepare(("brian2",))
    request = [str(folder), options.size, options.duration, options.float32]
    code = f"from benchmarks.plasticity import brian2_build; brian2_build(*{request!r})"
    try:
        sides: dict[str, Any] = {"Ranvier": ranvier_side(options.size, options.duration, options.threads)}
        if missing:
            print("Brian2 is left out:", missing)
        else:
            subprocess.run([str(_peers.PYTHON), "-c", code], cwd=ROOT, env=_peers.environment(), check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            sides["Brian2"] = lambda seed: brian2_run(folder, seed, options.size, options.duration, options.float32)
        result: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for turn in range(options.rounds + 1):
            for name, side in sides.items():
                answer = side(turn + 1)
                if turn:
                    result[name].append(answer)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    events = options.size // 10 * result["Ranvier"][0]["rate"] * options.size * options.duration / 1000
    print(f"{events / 1e6:.0f} M events of a spike at a synapse; floor {floor(events):.3f} s")
    ours = statistics.median(r["cpu"] for r in result["Ranvier"])
    print("| | CPU s | × ours | ns an event | rate (Hz) | weight / w_max, mean | SD |")
    print("|---|---|---|---|---|---|---|")
    for name, rounds in result.items():
        cpu = statistics.median(r["cpu"] for r in rounds)
        rate, mean, sd = (statistics.fmean(r[k] for r in rounds) for k in ("rate", "mean", "sd"))
        times = f"{cpu:.3f} | {cpu / ours:.1f} | {cpu / events * 1e9:.1f}"
        print(f"| {name} | {times} | {rate:.2f} | {mean:.4f} | {sd:.4f} |")


if __name__ == "__main__":
    sys.exit(main())
