"""Energies side by side with what bounds them: memory bandwidth, attention, hamux. Prints a table.

OMP_NUM_THREADS=1 python -m benchmarks.energies [--cases sweep attention hamux] [--rounds 7] [--units 10000]

Figures are median process-CPU milliseconds over rounds in turn, after a warm-up, and ratios to ours. hamux (JAX,
compiled) lives in a separate environment, .venv-peers-hamux, which the first run makes.

sweep: one sweep over a dense float32 network. A unit that does not flip is one comparison, as the fields are kept;
    each flip reads one row. The floor is reading as many bytes, rows × N × 4, as fast as a sum over the same matrix.
    At "hot" all proposals of Metropolis are taken (infinite temperature): every row is read. "quench" is recall from
    a pattern with a tenth of its units turned over; "row dots" is a sweep that sums each unit's field again.
attention: the static modern Hopfield layer, and the one with projections, against scaled_dot_product_attention on the
    same tensors (and the same projections).
hamux: two hundred steps of graphs of an Identity and two Softmax layers: 20–15–6 (batch 64), 200–100–50 (32),
    784–256–10 (32), and of its README's 7–9–8 (batch 3), by hamux's steps under jax.jit, and all inside one jax.jit.
    The floor is the products' operations, 4 (a b + b c) a step and entry, at the speed of this machine's own product of
    512 × 512 matrices in float32.

classifier (only if requested): the dense associative memory on MNIST, with the paper's n = 20, m = 30, T = 540,
    momentum 0.6, batches of 1000 and a first step of 0.04, which falls to an eighth; errors on the test set.
    `--mnist FOLDER` names the folder with the four idx files. The paper has 2000 memories and 3000 epochs: 1.44 %.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._processes import ROOT, Process, in_turn, install

FOLDER = ROOT / ".venv-peers-hamux"
PYTHON = FOLDER / "bin" / "python"
GRAPHS = {
    "20-15-6 x 64": ((20, 15, 6), 64), "200-100-50 x 32": ((200, 100, 50), 32), "784-256-10 x 32": ((784, 256, 10), 32),
    "readme, 7-9-8 x 3": ((7, 9, 8), 3),
}  # fmt: skip
STEPS, WIDTH = 200, 0.1
PACKAGES = ("hamux==0.2.2", "fastcore")

PEER = '''
import json, sys, time
import numpy as np, jax, jax.numpy as jnp, hamux as hmx
sizes, batch, steps, width, way = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
kinds = (hmx.lagr_identity, hmx.lagr_softmax, hmx.lagr_softmax)
names = ("input", "hidden", "labels")
neurons = {k: hmx.NeuronLayer(f, (n,)) for k, f, n in zip(names, kinds, sizes)}
W = [0.1 * rng.normal(size=(sizes[0], sizes[1])), 0.1 * rng.normal(size=(sizes[1], sizes[2]))]
synapses = {f"w{k}": hmx.LinearSynapse(W=jnp.array(w, dtype=jnp.float32)) for k, w in enumerate(W)}
ham = hmx.HAM(neurons, synapses, [(("input", "hidden"), "w0"), (("hidden", "labels"), "w1")]).vectorize()
start = {k: jnp.array(rng.normal(size=(batch, n)), dtype=jnp.float32) for k, n in zip(names, sizes)}
def step(xs):
    slope = ham.dEdact(ham.activations(xs), xs)
    return {k: xs[k] - width * slope[k] for k in xs}
one = jax.jit(step)
def whole(xs):
    return jax.lax.fori_loop(0, steps, lambda _, x: step(x), xs)
whole = jax.jit(whole)
def go():
    xs = start
    if way == "whole":
        xs = whole(xs)
    else:
        for _ in range(steps):
            xs = one(xs)
    return jax.block_until_ready(xs)
go(); go()
print(json.dumps({"end": float(sum(np.abs(np.asarray(v)).sum() for v in go().values()))}), flush=True)
for line in sys.stdin:
    count = int(line)
    began = time.process_time()
    for _ in range(count):
        go()
    print(json.dumps((time.process_time() - began) / count * 1e3), flush=True)
'''


def hamux_process(graph: str, way: str) -> Process:
    """hamux in a separate process, which runs a number of times and answers the mean ms."""
    sizes, batch = GRAPHS[graph]
    request = json.dumps([sizes, batch, STEPS, WIDTH, way])
    alone = {**os.environ, "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    return Process("hamux", [str(PYTHON), "-c", PEER, request], alone)


def timed(run: Callable[[], Any]) -> Callable[[int], float]:
    """Mean process-CPU milliseconds of a number of calls."""

    def measure(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            run()
        return (time.process_time() - began) / count * 1e3

    return measure


def table(case: str, sides: dict[str, Callable[[int], float]], rounds: int, least: float = 20.0) -> None:
    """Sides in turn; the first is ours. Each round lasts at least `least` ms."""
    counts = {name: max(1, round(least / max(run(1), 1e-3))) for name, run in sides.items()}
    readings = in_turn({name: partial(run, counts[name]) for name, run in sides.items()}, rounds)
    ours = statistics.median(next(iter(readings.values())))
    for name, values in readings.items():
        middle = statistics.median(values)
        print(f"| {case} | {name} | {middle:.3f} ({min(values):.3f}) | {middle / ours:.2f} |", flush=True)


def sweep(rounds: int, units: int) -> None:
    """Sweeps against the bandwidth of reading the rows that they must read."""
    import numpy as np

    from ranvier.energies.machines.sweeps import METROPOLIS, QUENCH
    from ranvier.energies.machines.sweeps import sweep as one

    rng = np.random.default_rng(0)
    xi = rng.choice(np.array([-1, 1], np.float32), (units // 20, units))
    W = xi.T @ xi / np.float32(units)
    np.fill_diagonal(W, 0)
    order, u = np.arange(units), rng.random(units)

    def floor(rows: int) -> Callable[[int], float]:
        return timed(lambda: W[:rows].sum())

    hot = xi[0].copy()
    field = W @ hot

    def at_infinity() -> None:
        assert one(W, hot, field, order, u, 0.0, METROPOLIS) == units

    table(f"sweep {units}, hot", {"ranvier": timed(at_infinity), "floor: read once": floor(units)}, rounds, 1.0)

    noisy = xi[0] * np.where(np.arange(units) % 10 == 0, np.float32(-1), np.float32(1))
    start = W @ noisy
    flips = one(W, noisy.copy(), start.copy(), order, u, 1.0, QUENCH)

    def recall() -> None:
        one(W, noisy.copy(), start.copy(), order, u, 1.0, QUENCH)

    def dots() -> None:
        s = noisy.copy()
        for i in range(units):
            s[i] = 1 if W[i] @ s > 0 else -1

    table(
        f"sweep {units}, quench, {flips} flips",
        {"ranvier": timed(recall), "floor: read the flipped rows": floor(flips), "floor: read once": floor(units),
         "row dots": timed(dots)}, rounds, 1.0,
    )  # fmt: skip


def attention(rounds: int) -> None:
    """The layer against the function under it, forward, and forward and backward."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    import ranvier as rv

    torch.manual_seed(0)
    for batch, length, size, heads in ((8, 256, 256, 4), (4, 1024, 64, 1)):
        x = torch.randn(batch, length, size)
        static, layer = rv.nn.Hopfield(size, static=True), rv.nn.Hopfield(size, num_heads=heads, normalize=False)

        def plain(x: torch.Tensor = x) -> torch.Tensor:
            return scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])

        def projected(x: torch.Tensor = x, layer: Any = layer, heads: int = heads) -> torch.Tensor:
            q, k, v = (m(x).unflatten(2, (heads, -1)).transpose(1, 2) for m in (layer.query, layer.key, layer.value))
            return layer.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

        name = f"{batch} × {length} × {size}"
        with torch.no_grad():
            table(f"static {name}", {"ranvier": timed(lambda s=static, x=x: s(x)), "attention": timed(plain)}, rounds)
            table(f"{heads} heads {name}",
                  {"ranvier": timed(lambda m=layer, x=x: m(x)), "attention": timed(projected)}, rounds)  # fmt: skip

        def both(run: Callable[[], torch.Tensor]) -> Callable[[int], float]:
            return timed(lambda: run().sum().backward())

        table(f"{heads} heads, with gradients, {name}",
              {"ranvier": both(lambda m=layer, x=x: m(x)), "attention": both(projected)}, rounds)  # fmt: skip


def hamux(rounds: int) -> None:
    """The same descent, all steps of it."""
    import numpy as np
    import torch

    from ranvier.energies import Descent, EnergyGraph, Fixed, Layer, lagrangians, synapses

    reason = install(FOLDER, PACKAGES)
    if reason:
        print(f"hamux is missing: {reason}")
        return
    for name, ((a, b, c), batch) in GRAPHS.items():
        rng = np.random.default_rng(0)
        W = [0.1 * rng.normal(size=(a, b)), 0.1 * rng.normal(size=(b, c))]
        W1, W2 = (torch.tensor(w, dtype=torch.float32) for w in W)
        graph = EnergyGraph(
            {"input": Layer(lagrangians.Identity(), (a,)), "hidden": Layer(lagrangians.Softmax(), (b,)),
             "labels": Layer(lagrangians.Softmax(), (c,))},
            [(("input", "hidden"), synapses.Dense(a, b, W1)), (("hidden", "labels"), synapses.Dense(b, c, W2))],
        )  # fmt: skip
        parts = {k: torch.tensor(rng.normal(size=(batch, n)), dtype=torch.float32)
                 for k, n in zip(("input", "hidden", "labels"), (a, b, c))}  # fmt: skip
        x, descent = graph.layout.join(parts), Descent(graph, Fixed(WIDTH))

        def ours(x: torch.Tensor = x, descent: Descent = descent) -> torch.Tensor:
            with torch.no_grad():
                return descent.relax({"x": x}, STEPS)["x"]

        square = torch.randn(512, 512)
        speed = 2 * 512**3 / min(timed(lambda m=square: m @ m)(20) for _ in range(5))  # operations a millisecond
        floor = 4 * (a * b + b * c) * batch * STEPS / speed
        peers = {way: hamux_process(name, way) for way in ("step", "whole")}
        end = float(ours().abs().sum())
        for peer in peers.values():
            theirs = peer.first["end"]
            if abs(theirs - end) > 1e-3 * end:
                raise RuntimeError(f"the two sides end at {end} and {theirs}, expected the same states")
        table(f"hamux {name}", {"ranvier": timed(ours), "hamux, a step compiled": peers["step"].ask,
                                "hamux, all steps compiled": peers["whole"].ask,
                                "floor: the products": lambda _, ms=floor: ms}, rounds)  # fmt: skip
        for peer in peers.values():
            peer.close()


def classifier(folder: str, memories: int, epochs: int) -> None:
    """MNIST, and the memories' nearness to digits."""
    import torch

    from ranvier.energies import DenseClassifier, MaxNormMomentum
    from ranvier.learners import read_mnist

    (x, y), (x_test, y_test) = (read_mnist(folder, train=train) for train in (True, False))
    x, x_test = 2 * x - 1, 2 * x_test - 1
    torch.manual_seed(0)
    model = DenseClassifier(memories=memories, n=20, temperature=540.0)
    optimiser = MaxNormMomentum(model.parameters(), lr=0.04, momentum=0.6)
    began = time.process_time()
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(x)).split(1000):
            optimiser.zero_grad()
            model.loss(x[rows], y[rows], 30).backward()
            optimiser.step()
        optimiser.param_groups[0]["lr"] *= 0.13 ** (1 / epochs)
        if epoch % 10 == 0 or epoch == epochs:
            with torch.no_grad():
                answers = torch.cat([model(part).argmax(1) for part in x_test.split(1000)])
            error = 100 * float((answers != y_test).float().mean())
            print(f"| classifier, epoch {epoch} | {error:.2f} % | {time.process_time() - began:.0f} s | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.energies", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--cases", nargs="+", choices=["sweep", "attention", "hamux", "classifier"],
                        default=["sweep", "attention", "hamux"])  # fmt: skip
    parser.add_argument("--mnist", default=str(Path(os.environ.get("RANVIER_DATA", "data")) / "mnist"))
    parser.add_argument("--memories", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--units", type=int, default=10_000)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    print("| case | side | CPU ms, median (least) | over ours |\n|---|---|---|---|")
    if "sweep" in options.cases:
        sweep(options.rounds, options.units)
    if "attention" in options.cases:
        attention(options.rounds)
    if "hamux" in options.cases:
        hamux(options.rounds)
    if "classifier" in options.cases:
        classifier(options.mnist, options.memories, options.epochs)


if __name__ == "__main__":
    main()
