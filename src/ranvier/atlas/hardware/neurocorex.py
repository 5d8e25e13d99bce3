"""NeuroCoreX: digits on an emulated chip, the same network in real numbers, in fixed point and over the wire."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import ranvier as rv
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register, tutorial_digits
from ranvier.hardware import (
    Board,
    ChipProgram,
    Integrator,
    Link,
    LinkError,
    from_network,
    quantise,
    quantise_in_training,
    run,
    run_float,
    to_network,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 32
LOWEST = -0.03  # of a weight: a membrane that nothing pulls back would leave the chip's range below


class Floor(nn.Module):
    """Weights not below a floor."""

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, weight: Tensor) -> Tensor:
        return weight.clamp(min=self.floor)


class Cable:
    """What the host writes the board reads, and back."""

    def __init__(self, flip: int = 0) -> None:
        self.queues, self.flip = (bytearray(), bytearray()), flip

    def end(self, side: int) -> Any:
        cable = self

        class End:
            def write(self, data: bytes) -> int:
                changed = bytearray(data)
                if side == 1 and cable.flip and changed:
                    changed[len(changed) // 2] ^= cable.flip
                cable.queues[1 - side].extend(changed)
                return len(data)

            def read(self, size: int = 1) -> bytes:
                data = bytes(cable.queues[side][:size])
                del cable.queues[side][:size]
                return data

        return End()


def measure(
    seed: int,
    size: Size,
    train: bool = True,
    refractory: int = 0,
    weight: int = 6,
    flip: int = 0,
    window: int = 12,
    floor: float = LOWEST,
    same: bool = True,
    aware: bool = True,
) -> dict[str, Any]:
    """Digits' accuracy in training's numbers and on the chip; disagreements of four ways to run one network; STDP.

    train: whether the digits' layer is. refractory, weight: of the network in fixed point, where the others keep 0 and
    6. flip: bits that the cable changes in an answer's middle. window: of learning, in steps. floor: of
    weights in training. same: whether the chip has the network's own program; else that of another seed's.
    aware: whether training knows that weights will have two bits.
    """
    rng = np.random.default_rng(seed)
    layered = graph(rng, weight=6)
    x = rng.random((200, layered.inputs)) < 0.15
    other = graph(np.random.default_rng(seed), weight=weight, refractory=refractory)
    chip, real = run(other, x).spikes, run_float(layered, x).spikes
    accuracy, on_chip, overflows = digits(seed, train, floor)
    lags = np.arange(-20, 21)
    changes = np.array([stdp(int(lag), window) for lag in lags])
    return {
        "accuracy": accuracy,
        "chip_accuracy": on_chip,
        "accuracy_cost": accuracy - on_chip,
        "overflows": overflows,
        "float_disagreement": float((real != chip).mean()),
        "engine_disagreement": float((simulated(layered, x) != chip).mean()),
        "wire_disagreement": float((wired(layered, x, flip) != run(layered, x).spikes).mean()),
        "ltp_width": float((changes > 0).sum()),
        "ltd_width": float((changes < 0).sum()),
        "network_disagreement": one_network(seed, same),
        "two_bits": two_bits(seed, aware) if size == "full" else None,
        "activity": float(real.mean()),
        "lags": lags,
        "changes": changes,
        "raster": chip,
    }


def graph(rng: np.random.Generator, weight: int, refractory: int = 0) -> ChipProgram:
    """A small world (Watts & Strogatz) of 60 neurons, driven by 30 inputs."""
    n, m = 60, 30
    recurrent = np.zeros((n, n), int)
    for i in range(n):
        for k in (1, 2, 3):
            j = int(rng.integers(n)) if rng.random() < 0.1 else (i + k) % n
            recurrent[i, j] = weight if i != j else 0
    return ChipProgram(
        np.where(rng.random((n, m)) < 0.2, 4, 0), recurrent, threshold=20.0, leak=0.25, refractory=refractory
    )


def one_network(seed: int, same: bool, steps: int = 120) -> float:
    """Disagreements of the compiled engine and of the chip, on one `rv.Network`: a small world (Watts & Strogatz) of
    forty neurons, which drives two layers of twelve and six."""
    net, other = joint_network(seed, steps), joint_network(seed if same else seed + 1, steps)
    program, x = from_network(other, steps)
    recording = rv.simulate(net, (steps + 2) * 0.96, dt=0.96, dtype=torch.float64)
    own = recording.neurons >= x.shape[1]
    step, neuron = np.rint(recording.times[own].numpy() / 0.96).astype(int) - 2, recording.neurons[own].numpy()
    spikes = np.zeros((steps + 2, program.neurons), bool)
    spikes[step, neuron - x.shape[1]] = True
    return float((spikes[:steps] != run(program, x).spikes).mean())


def joint_network(seed: int, steps: int) -> rv.Network:
    rng, net, drive = np.random.default_rng(seed), rv.Network(), -0.25
    times, sources = np.nonzero(rng.random((steps, 20)) < 0.2)
    stimulus = net.add(rv.SpikeTimes(torch.from_numpy((times + 1) * 0.96), torch.from_numpy(sources)), 20)
    options: Any = {"drive": drive, "initial": {"V": -2 * drive}}
    world, first, second = (net.add(Integrator(V_th=v), n, **options) for v, n in ((20.0, 40), (9.0, 12), (7.0, 6)))
    near = [(i, int(rng.integers(40)) if rng.random() < 0.1 else (i + k) % 40) for i in range(40) for k in (1, 2, 3)]
    ends = np.array([pair for pair in near if pair[0] != pair[1]]).T
    for a, b, weight, edges in (
        (stimulus, world, 4.0, np.nonzero(rng.random((20, 40)) < 0.25)), (world, world, 5.0, (ends[0], ends[1])),
        (world, first, 3.0, np.nonzero(rng.random((40, 12)) < 0.4)),
        (first, second, 4.0, np.nonzero(rng.random((12, 6)) < 0.6)),
    ):  # fmt: skip
        net.connect(a, b, weight=weight, delay=0.96, edges=(edges[0], edges[1]))
    return net


@cache  # mutants share what they do not change
def two_bits(seed: int, aware: bool) -> float:
    """What training with weights of two bits gains over rounding them afterwards, in accuracy on held-out digits."""
    x, y, x_test, y_test = tutorial_digits()

    def accuracy(known: bool) -> float:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        if known:
            quantise_in_training(model, 2)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(30):
            for rows in torch.randperm(len(x)).split(64):
                loss = nn.functional.cross_entropy(model(x[rows].float()), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        if not known:
            quantise_in_training(model, 2)
        with torch.no_grad():
            return float((model(x_test.float()).argmax(1) == y_test).float().mean())

    return accuracy(aware) - accuracy(False)


def simulated(program: ChipProgram, x: np.ndarray) -> np.ndarray:
    """The compiled engine's spikes."""
    net = to_network(program, x)
    recording = rv.simulate(net, (len(x) + 2) * 0.96, dt=0.96, dtype=torch.float64)
    step, neuron = np.rint(recording.times.numpy() / 0.96).astype(int) - 2, recording.neurons.numpy()
    spikes = np.zeros((len(x), program.neurons), bool)
    chosen = (neuron < program.neurons) & (step < len(x))
    spikes[step[chosen], neuron[chosen]] = True
    return spikes


def wired(program: ChipProgram, x: np.ndarray, flip: int) -> np.ndarray:
    """The spikes that come over the wire."""
    cable = Cable()
    link = Link(cable.end(0), serve=Board(cable.end(1)).serve)
    link.load(program)
    cable.flip = flip
    try:
        return link.run(x)
    except LinkError:  # an answer that the host refuses has no spikes in common
        return ~run(program, x).spikes


@cache  # mutants share what they do not change
def digits(seed: int, train: bool, floor: float) -> tuple[float, float, int]:
    """Accuracy of 64 → 10 on 594 held-out digits in 32 steps of rates, trained as the tutorial's split has it: in
    training's numbers, and on the chip; and how many of its sums overflowed."""
    x, y, x_test, y_test = tutorial_digits()
    torch.manual_seed(seed)
    layer = rv.nn.LIF(64, 10, beta=1.0, reset="zero", bias=False, threshold=4.0)
    assert layer.linear is not None
    parametrize.register_parametrization(layer.linear, "weight", Floor(floor))
    model = rv.nn.Sequential(layer)

    def encode(images: Tensor) -> Tensor:
        return rv.learners.rate(images, steps=STEPS)

    learner = rv.learners.BPTT(
        model, rv.learners.rate_cross_entropy, torch.optim.Adam(model.parameters(), 1e-2), encode=encode
    )
    pairs = torch.utils.data.TensorDataset(x.float(), y)
    rv.fit(learner, torch.utils.data.DataLoader(pairs, 64, shuffle=True), 12 if train else 0, progress=False)
    parametrize.remove_parametrizations(layer.linear, "weight")
    test, examples = encode(x_test.float()), encode(x[:200].float())
    with torch.no_grad():
        own = model(test)[0].sum(0).argmax(1).numpy()
    program = quantise(model, examples.permute(1, 0, 2).numpy())
    runs = [run(program, test[:, k].numpy()) for k in range(len(y_test))]
    chip = np.array([r.spikes.sum(0).argmax() for r in runs])
    return float((own == y_test.numpy()).mean()), float((chip == y_test.numpy()).mean()), sum(r.overflows for r in runs)


@cache  # mutants share what they do not change
def stdp(lag: int, window: int) -> int:
    """Change of a weight where the source spikes `lag` steps before the target does (after it: below 0)."""
    start = 5
    program = ChipProgram(
        np.array([[30, start]]), threshold=20.0, learn_feed_forward=np.array([[False, True]]),
        windows=(window, window, 0, 0),
    )  # fmt: skip
    x = np.zeros((60, 2))
    x[29, 0] = 1  # the target spikes in step 30
    x[30 - lag, 1] = 1
    return int(run(program, x).program.feed_forward[0, 1]) - start


def pictures(material: dict[str, Any]) -> Figure:
    """The window of learning, and the graph's spikes."""
    figure, axes = canvas(7, 2.6, 1, 2)
    left, right = axes[0]
    left.step(material["lags"], material["changes"], where="mid", color=COLOURS[0])
    left.axhline(0, color=COLOURS[5], lw=0.6)
    left.set(xlabel="target's spike after source's (steps)", ylabel="change of the weight")
    step, neuron = np.nonzero(material["raster"])
    right.plot(step, neuron, "|", ms=2, color=COLOURS[4])
    right.set(xlabel="step", ylabel="neuron")
    return figure


PAPER = "Gautam et al. (2025), arXiv 2506.14138"
BITS = "equality to the bit"

register(
    Experiment(
        name="neurocorex",
        title="NeuroCoreX: a chip of 90 neurons",
        paper="A. Gautam, P. Date, S. Kulkarni, R. Patton and T. Potok (2025). NeuroCoreX: An open-source FPGA-based "
        "spiking neural network emulator with on-chip learning. arXiv 2506.14138.",
        summary="18-bit membranes with 10 binary places, 8-bit weights, a subtractive leak, a rectangular window of "
        "learning. One network runs in real numbers, in the compiled engine, in fixed point and over the serial wire. "
        "Membranes have no floor: a layer with strong negative weights leaves the chip's range, so training keeps them "
        "above -0.03.",
        claims=(
            Claim(
                "Fixed point and real numbers give the same spikes where numbers fit.",
                PAPER, "float_disagreement", 0.0, 0.0, BITS, {"weight": 7},
            ),
            Claim(
                "So does the compiled engine.", PAPER, "engine_disagreement", 0.0, 0.0, BITS, {"refractory": 3},
            ),
            Claim(
                "A small world and layers in one network run on the engine and on the chip alike.",
                PAPER, "network_disagreement", 0.0, 0.0, BITS, {"same": False},
            ),
            Claim("So does the chip over its wire.", PAPER, "wire_disagreement", 0.0, 0.0, BITS, {"flip": 1}),
            Claim(
                "Digits, 64 to 10, in 32 steps: 66 % in software.",
                f"{PAPER}; its tutorial: 392 of 594", "accuracy", AtLeast(0.66), 0.04,
                "two standard errors of a share of 594", {"train": False},
            ),
            Claim(
                "The chip costs little accuracy.",
                PAPER, "accuracy_cost", AtMost(0.1), 0.0, "a bound: weights of a handful of levels", {"floor": -1.0},
            ),
            Claim(
                "The window of potentiation is as long as its counter, from one step.",
                PAPER, "ltp_width", 13.0, 0.0, "counted", {"window": 5},
            ),
            Claim(
                "So is that of depression.", PAPER, "ltd_width", 13.0, 0.0, "counted", {"window": 5},
            ),
            Claim(
                "Training that knows of weights of two bits is more accurate than rounding them afterwards.",
                "the project's own", "two_bits", AtLeast(0.05), 0.0, "three standard errors of a share of 594",
                {"aware": False},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={"The window of learning, and a small world's spikes.": pictures},
    )
)  # fmt: skip
