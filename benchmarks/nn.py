"""Training layers side by side with snnTorch and SpikingJelly, forward and backward: prints a table.

python -m benchmarks.nn [--cases lif100 norm100 ff rec online] [--threads 1 2] [--rounds 7] [--device cuda]

Figures are median process-CPU milliseconds (wall with more threads, and on a GPU) over rounds in turn, and ratios to
ours; a round is the median of the passes of 0.2 s, after 0.1 s that are not counted. The floor is the time of copying
as many bytes as a pass must read and write (x, y and the tape forward; tape and two gradients backward). The peers
live in a separate environment.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from benchmarks._processes import ROOT, Failed, Process, answering, in_turn, install

FOLDER = ROOT / ".venv-peers-nn"
PYTHON = FOLDER / "bin" / "python"
SIDES = ("ranvier", "plain", "snntorch", "spikingjelly")
#: T, B, N of one layer of neurons
LAYERS = {"lif100": (100, 64, 512), "lif500": (500, 32, 1024), "norm100": (100, 64, 512)}
#: of these, with batch normalisation over steps and examples before the neurons (tdBN)
NORMED = ("norm100",)
#: 700-256-256-20, T 100, B 64, one step of Adam: recurrent hidden layers, share of inputs that spike
STEPS = {"ff": (False, 0.1), "rec": (True, 0.1), "ff_dense": (False, 1.0), "rec_dense": (True, 1.0)}
SIZES = (700, 256, 256, 20)
#: 8-16-2, B 1, this many calls of one step each, as in a control loop
ONLINE, CONTROLLER = 100, (8, 16, 2)
CASES = [*LAYERS, *STEPS, "online"]
UNCOUNTED, COUNTED = 0.1, 0.2  # seconds of a round
#: torchvision, which a peer asks for, has no build for a CPU torch
PACKAGES = (
    ("torch==2.13.0", "numpy", "scipy", "matplotlib", "tqdm", "h5py", "pandas", "einops", "loguru", "scienceplots",
     "tensorboard"),
    ("--no-deps", "snntorch==1.0.0", "spikingjelly==2.0.0"),
)  # fmt: skip


def layer(side: str, size: int, normed: bool) -> Callable[[Any], Any]:
    """x (T, B, N) -> spikes, subtractive reset, decay 0.9, threshold 1, arctan slope; `normed`: after a batch norm."""
    import torch

    if normed:
        neurons = layer(side, size, normed=False)
        if side in ("ranvier", "plain"):
            import ranvier as rv

            ours = rv.nn.ThresholdBatchNorm(size)
            return lambda x: neurons(ours(x)[0])
        norm = torch.nn.BatchNorm1d(size)  # snnTorch's own, BatchNormTT1d, is one such layer a step: more work
        return lambda x: neurons(norm(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
    if side in ("ranvier", "plain"):
        import ranvier as rv

        cell = rv.nn.LIF(size, fused=side == "ranvier")
        return lambda x: cell(x)[0]
    if side == "snntorch":
        import snntorch

        leaky = snntorch.Leaky(beta=0.9, spike_grad=snntorch.surrogate.atan())

        def run(x):
            membrane, spikes = leaky.reset_mem(), []
            for row in x.unbind(0):
                spike, membrane = leaky(row, membrane)
                spikes.append(spike)
            return torch.stack(spikes)

        return run
    from spikingjelly.activation_based import functional

    node = jelly("m")

    def multi(x):
        functional.reset_net(node)
        return node(x)

    return multi


def jelly(mode: str) -> Any:
    """SpikingJelly's neuron of the same equations."""
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(
        tau=10.0, decay_input=False, v_reset=None, step_mode=mode, surrogate_function=surrogate.ATan()
    )


def network(side: str, recurrent: bool) -> tuple[Callable[[Any], Any], list]:
    """700-256-256-20 and its parameters; the first two layers recurrent if requested."""
    import torch
    from torch import nn

    shapes = list(pairwise(SIZES))
    if side in ("ranvier", "plain"):
        import ranvier as rv

        fused = side == "ranvier"
        ours = rv.nn.Sequential(*(rv.nn.LIF(a, b, recurrent=recurrent and b == 256, fused=fused) for a, b in shapes))
        return (lambda x: ours(x)[0]), list(ours.parameters())
    linear: Any = nn.ModuleList(nn.Linear(a, b) for a, b in shapes)
    if side == "snntorch":
        import snntorch

        slope = snntorch.surrogate.atan()
        neurons: Any = nn.ModuleList(
            snntorch.RLeaky(beta=0.9, linear_features=b, spike_grad=slope)
            if recurrent and b == 256
            else snntorch.Leaky(beta=0.9, spike_grad=slope)
            for _, b in shapes
        )

        def run(x):
            states = [list(n.init_rleaky()) if isinstance(n, snntorch.RLeaky) else [n.reset_mem()] for n in neurons]
            spikes = []
            for row in x.unbind(0):
                for k, (weights, n) in enumerate(zip(linear, neurons, strict=True)):
                    row, membrane = n(weights(row), *states[k])
                    states[k] = [row, membrane] if len(states[k]) == 2 else [membrane]
                spikes.append(row)
            return torch.stack(spikes)

        return run, [*linear.parameters(), *neurons.parameters()]
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based import layer as layers

    nodes: list[nn.Module] = []
    for weights, (_, b) in zip(linear, shapes, strict=True):
        nodes.append(layers.SeqToANNContainer(weights))
        if recurrent and b == 256:
            nodes.append(
                layers.LinearRecurrentContainer(jelly("s"), in_features=b, out_features=b, bias=False, step_mode="m")
            )
        else:
            nodes.append(jelly("m"))
    model = nn.Sequential(*nodes)

    def multi(x):
        functional.reset_net(model)
        return model(x)

    return multi, list(model.parameters())


def controller(side: str) -> Callable[[Any], Any]:
    """The rows of x (T, 1, 8) one after the other, each in a call of its own -> the last output (1, 2)."""
    from torch import nn

    shapes = list(pairwise(CONTROLLER))
    if side in ("ranvier", "plain"):
        import ranvier as rv

        cell = rv.nn.Sequential(*(rv.nn.LIF(a, b, fused=side == "ranvier") for a, b in shapes))

        def ours(x):
            state = cell.init_state(1)
            for row in x.unbind(0):
                state, y = cell.step(state, row)
            return y

        return ours
    linear: Any = nn.ModuleList(nn.Linear(a, b) for a, b in shapes)
    if side == "snntorch":
        import snntorch

        neurons: Any = [snntorch.Leaky(beta=0.9, spike_grad=snntorch.surrogate.atan()) for _ in shapes]

        def run(x):
            membranes = [n.reset_mem() for n in neurons]
            for row in x.unbind(0):
                for k, n in enumerate(neurons):
                    row, membranes[k] = n(linear[k](row), membranes[k])
            return row

        return run
    from spikingjelly.activation_based import functional

    model = nn.Sequential(*(module for weights in linear for module in (weights, jelly("s"))))

    def single(x):
        functional.reset_net(model)
        for row in x.unbind(0):
            y = model(row)
        return y

    return single


def prepare(side: str, case: str) -> tuple[Callable[[], Any], Callable[[], float]]:
    """What is timed, and the mean of its output."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(0)
    if case in LAYERS:
        shape = LAYERS[case]
        if side == "floor":
            memory = [torch.randn(shape) for _ in range(6)]
            return (lambda: [memory[k].copy_(memory[k + 1]) for k in (0, 2, 4)]), lambda: 0.0
        x, g, run = torch.randn(shape, requires_grad=True), torch.randn(shape), layer(side, shape[2], case in NORMED)

        def once():
            x.grad = None
            run(x).backward(g)

        return once, lambda: float(run(x).detach().mean())
    if case == "online":
        x, run = 3 * torch.rand(ONLINE, 1, CONTROLLER[0]), controller(side)
        return (lambda: run(x)), lambda: float(run(x).detach().mean())
    recurrent, density = STEPS[case]
    x = torch.rand(100, 64, SIZES[0])
    x = (x < density).float() if density < 1 else x
    labels = torch.randint(SIZES[-1], (64,))
    run, parameters = network(side, recurrent)
    optimizer = torch.optim.Adam(parameters, 1e-3)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(10 * run(x).mean(0), labels).backward()
        optimizer.step()

    return step, lambda: float(run(x).detach().mean())


def worker(side: str, case: str, threads: int, device: str) -> None:
    """Say the mean output, then answer every line of input with the ms of one pass."""
    answer = answering()
    import torch

    torch.set_num_threads(threads)
    torch.set_default_device(device)
    once, mean = prepare(side, case)
    gpu = device == "cuda"
    finish = torch.cuda.synchronize if gpu else lambda: None
    clock = time.process_time if threads == 1 and not gpu else time.perf_counter
    for _ in range(3):
        once()
    answer(mean())
    for _ in sys.stdin:
        # the others' turns have cooled caches and put threads to sleep: not so in training
        passes(once, finish, time.perf_counter, UNCOUNTED)
        answer(1000 * statistics.median(passes(once, finish, clock, COUNTED)))


def passes(once: Callable[[], Any], finish: Callable[[], Any], clock: Callable[[], float], span: float) -> list[float]:
    """What each of the passes takes that begin within `span` seconds."""
    taken: list[float] = []
    until = time.perf_counter() + span
    while not taken or time.perf_counter() < until:
        began = clock()
        once()
        finish()
        taken.append(clock() - began)
    return taken


def started(side: str, case: str, threads: int, device: str) -> Process:
    """One side with one case in its own process."""
    python = str(PYTHON) if side in ("snntorch", "spikingjelly") else sys.executable
    count = str(threads)
    return Process(
        side, [python, "-m", "benchmarks.nn", "--worker", side, case, count, "--device", device],
        {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count},
    )  # fmt: skip


def compare(case: str, threads: list[int], device: str, sides: list[str], rounds: int) -> list[str]:
    """Rows of the table; all sides with all numbers of threads in turn."""
    workers, missing = {}, []
    for count in threads:
        for side in [*(["floor"] if case in LAYERS else []), *sides]:
            try:
                workers[side, count] = started(side, case, count, device)
            except Failed as error:
                missing.append(f"| {case} | {count} | {side} | missing: {error} | | |")
    times = in_turn({key: process.ask for key, process in workers.items()}, rounds)
    rows = []
    for (side, count), values in times.items():
        middle = statistics.median(values)
        ours = statistics.median(times.get(("ranvier", count), [float("nan")]))
        rows.append(
            f"| {case} | {count} | {side} | {middle:.1f} ({min(values):.1f}) | {middle / ours:.2f} "
            f"| {workers[side, count].first:.3f} |"
        )
    for each in workers.values():
        each.close()
    return rows + missing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nn", description=__doc__)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="the peers' torch must have it, too")
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker[0], options.worker[1], int(options.worker[2]), options.device)
    reason = install(FOLDER, *PACKAGES)
    sides = list(SIDES[:2] if reason else SIDES)
    if reason:
        print(f"the peers are missing: {reason}")
    print("| case | threads | side | ms, median (least) | over ours | mean output |\n|---|---|---|---|---|---|")
    for case in options.cases:
        print("\n".join(compare(case, options.threads, options.device, sides, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
