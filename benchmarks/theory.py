"""How long the theory of networks takes: `OMP_NUM_THREADS=1 python -m benchmarks.theory [CASE ...]`.

Each case runs in a separate process, on one thread, after a small one has compiled what is compiled; its
time is the median of three, and its memory the process's peak. NNMT runs in a separate environment, in turn
with us. Prints one JSON object a line.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

TARGETS = {
    "nnmt": "a value of the susceptibility 300 times faster than NNMT's transfer function",
    "rates": "1000 different EIF neurons' stationary rates in 0.1 s",
    "pairs": "all pairs of 100 neurons at 1000 frequencies in 3 s",
    "thousand": "1000 different neurons at 200 frequencies in 60 s and 2 GB",
    "larva": "2952 neurons, all pairs at frequency 0 in 30 s",
    "backward": "backward at most 4 times forward",
    "simulation": "prediction against simulation to equal accuracy",
}


def network(size: int, edges: Any, weight: Any, seed: int) -> Any:
    """EIF neurons that all differ."""
    import torch

    import ranvier as rv

    g = torch.Generator().manual_seed(seed)

    def between(low: float, high: float) -> Any:
        return low + (high - low) * torch.rand(size, generator=g, dtype=torch.float64)

    neuron = rv.EIF(
        tau_m=between(8, 12), E_L=-72.0, Delta_T=1.4, V_T=between(-50, -46), V_th=30.0,
        V_reset=between(-74, -70), t_ref=between(1, 3),
    )  # fmt: skip
    net = rv.Network()
    cells = net.add(neuron, size, drive=between(8, 12), noise=between(8, 10))
    net.connect(cells, cells, weight=weight, delay=1.0, synapse=rv.Exponential(tau=5.0), edges=edges)
    return net


def random_network(size: int, excitation: float, *, gradient: bool = False) -> Any:
    """80 % excitatory, 20 % inhibitory of four times the weight, each pair with probability 0.2."""
    import torch

    g = torch.Generator().manual_seed(size)
    targets, sources = torch.nonzero(torch.rand(size, size, generator=g) < 0.2).T
    weight = torch.where(sources < 0.8 * size, excitation, -4 * excitation).double()
    return network(size, (sources, targets), weight.requires_grad_(gradient), seed=1)


def clock(run: Callable[[], Any], times: int = 3) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(times):
        a, b = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - a)
        cpu.append(time.process_time() - b)
    return {"wall_s": round(statistics.median(wall), 3), "cpu_s": round(statistics.median(cpu), 3)}


def lif_neurons(size: int) -> dict[str, list[float]]:
    """LIF neurons from noise-driven to mean-driven; mu is the free membrane's mean; no refractory time."""
    import numpy as np

    draw = np.random.default_rng(1).uniform
    bounds = {"mu": (5.0, 18.0), "sigma": (2.0, 6.0), "tau_m": (8.0, 20.0), "V_reset": (0.0, 5.0), "V_th": (15.0, 20.0)}
    return {name: draw(*bound, size).tolist() for name, bound in bounds.items()} | {"t_ref": [0.0] * size}


def nnmt(few: int = 8, rounds: int = 3) -> dict[str, Any]:
    """Rates of 1000 LIF neurons by Siegert's formula; susceptibilities of `few` at 100 frequencies."""
    import numpy as np

    import ranvier as rv
    from benchmarks import _peers

    if missing := _peers.prepare(("nnmt",)):
        return {"missing": missing["nnmt"]}
    neurons, f = lif_neurons(1000), np.linspace(0.0, 300.0, 101)[1:]
    p = {name: np.array(value) for name, value in neurons.items()}
    named = {"tau": p["tau_m"], "V_th": p["V_th"], "V_reset": p["V_reset"]}
    first = {name: value[:few] for name, value in named.items()}

    def susceptibility() -> Any:
        mu = rv.theory.membrane(lambda V: mean - V, sigma=p["sigma"][:few], **first)
        return rv.theory.response(mu, f)

    import torch

    mean = torch.as_tensor(p["mu"][:few])
    A = susceptibility().current.numpy()
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(_peers.nnmt(neurons, f.tolist(), few, rounds))
        ours.append(
            (
                clock(susceptibility)["cpu_s"],
                clock(lambda: rv.theory.siegert(p["mu"], p["sigma"], tau=p["tau_m"], V_th=p["V_th"],
                                                V_reset=p["V_reset"]))["cpu_s"],
            )
        )  # fmt: skip
    values = few * len(f)
    own, siegert = (statistics.median(column) for column in zip(*ours, strict=True))
    other = {name: statistics.median(t[f"{name}_s"] for t in theirs) for name in ("shift", "taylor", "rates")}
    B = (np.array(theirs[0]["shift"][0]) + 1j * np.array(theirs[0]["shift"][1])) / 1000  # Hz/V -> Hz/mV
    rates = rv.theory.siegert(p["mu"], p["sigma"], tau=p["tau_m"], V_th=p["V_th"], V_reset=p["V_reset"]).rate.numpy()
    return {
        "ours_us_a_value": round(1e6 * own / values, 2),
        "shift_us_a_value": round(1e6 * other["shift"] / values),
        "taylor_us_a_value": round(1e6 * other["taylor"] / values),
        "ratio_to_shift": round(other["shift"] / own), "ratio_to_taylor": round(other["taylor"] / own),
        "largest_relative_difference": float(f"{np.abs(A / B - 1).max():.2g}"),
        "siegert_1000_ms": round(1000 * siegert, 2), "nnmt_siegert_1000_ms": round(1000 * other["rates"], 2),
        "siegert_relative_difference": float(f"{np.abs(rates / np.array(theirs[0]['rates']) - 1).max():.2g}"),
    }  # fmt: skip


def rates() -> dict[str, Any]:
    """From the parameters: force on the grid, rate, CV and density."""
    import torch

    import ranvier as rv

    g = torch.Generator().manual_seed(1)

    def between(low: float, high: float) -> Any:
        return low + (high - low) * torch.rand(1000, generator=g, dtype=torch.float64)

    V_T, mu = between(-52, -48), between(-60, -52)

    def force(V: Any) -> Any:
        return mu - V + 1.4 * torch.exp((V - V_T) / 1.4)

    inputs = {"tau": between(8, 12), "sigma": between(3, 8), "V_th": 0.0, "V_reset": between(-70, -60), "t_ref": 2.0}

    def run() -> Any:
        return rv.theory.stationary(rv.theory.membrane(force, **inputs))

    run()
    return clock(run, 7)


def pairs() -> dict[str, Any]:
    import torch

    import ranvier as rv

    net, f = random_network(100, 20.0), torch.linspace(0.0, 500.0, 1000)
    rv.predict(net).spectrum(f)
    return clock(lambda: rv.predict(net).spectrum(f))


def thousand() -> dict[str, Any]:
    import ranvier as rv

    net = random_network(1000, 4.0)
    rv.predict(random_network(100, 20.0)).covariance(100.0)
    prediction = rv.predict(net)
    return {"frequencies": len(prediction.frequencies), **clock(lambda: rv.predict(net).covariance(100.0), 1)}


def larva() -> dict[str, Any]:
    import ranvier as rv
    from ranvier.brains import larva as job

    net = job().network
    rv.predict(random_network(100, 20.0)).spectrum([0.0])
    return {"neurons": net.size, **clock(lambda: rv.predict(net).spectrum([0.0]), 1)}


def backward() -> dict[str, Any]:
    import ranvier as rv

    result = {}
    for size in (100, 300):
        net, ratios = random_network(size, 1200.0 / size, gradient=True), []
        rv.predict(net).covariance(100.0).square().sum().backward()
        for _ in range(5):
            a = time.process_time()
            loss = rv.predict(net).covariance(100.0).square().sum()
            b = time.process_time()
            loss.backward()
            ratios.append((time.process_time() - b) / (b - a))
        result[f"ratio_{size}"] = round(statistics.median(ratios), 2)
    return result


def simulation(duration: float = 100_000.0) -> dict[str, Any]:
    """The time that a simulation needs until a covariance's sampling error is the theory's own error."""
    import torch

    import ranvier as rv

    net = random_network(100, 10.0)
    rv.predict(net).covariance(100.0)
    prediction = clock(lambda: rv.predict(net).covariance(100.0))
    rv.simulate(net, 100.0, dt=0.05)
    began = time.perf_counter(), time.process_time()
    recording = rv.simulate(net, duration, dt=0.05, seed=1)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    P = rv.predict(net).covariance(100.0)
    C, error = recording.after(500.0).covariance(100.0, return_error=True)
    off = ~torch.eye(100, dtype=torch.bool)
    sampling = float(error[off].square().mean().sqrt())
    # what is left of the deviation when the sampling error is taken out, regressed on the prediction
    scale = float((C * P)[off].sum() / P[off].square().sum())
    theory = abs(scale - 1) * float(P[off].square().mean().sqrt())
    longer = (sampling / theory) ** 2
    return {
        "predict_cpu_s": prediction["cpu_s"], "simulate_cpu_s": round(took[1], 2), "simulated_s": duration / 1000,
        "scale": round(scale, 4), "sampling_error": sampling, "theory_error": theory,
        "ratio_to_equal_accuracy": round(longer * took[1] / prediction["cpu_s"]),
    }  # fmt: skip


def main(names: list[str]) -> None:
    if len(names) == 1 and os.environ.get("RANVIER_BENCHMARK") == names[0]:
        import torch

        torch.set_num_threads(1)
        result = {"case": names[0], "target": TARGETS[names[0]], **globals()[names[0]]()}
        result["peak_GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        print(json.dumps(result), flush=True)
        return
    if unknown := [name for name in names if name not in TARGETS]:
        raise SystemExit(f"unknown case {unknown[0]!r}; expected one of {', '.join(TARGETS)}")
    for name in names or list(TARGETS):
        own = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RANVIER_BENCHMARK": name}
        subprocess.run([sys.executable, "-m", "benchmarks.theory", name], env=own, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
