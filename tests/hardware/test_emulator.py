"""The chip against an oracle in Python's own integers, which shares nothing with the package but the numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier.hardware import (
    ChipProgram,
    FixedPointStates,
    from_network,
    from_word,
    quantise,
    quantise_in_training,
    run,
    run_float,
    to_network,
    to_word,
)
from ranvier.hardware.training import FixedPointRounding


def oracle(program: ChipProgram, inputs: np.ndarray) -> tuple[list, list, list, list]:
    """Spikes, membranes (words), and the learned matrices, neuron by neuron."""
    n, m = program.neurons, program.inputs
    w = [[int(x) for x in row] for row in program.feed_forward]
    u = [[int(x) for x in row] for row in program.recurrent]
    theta, bias, pause = ([int(x) for x in a] for a in (program.threshold, program.bias, program.refractory))
    V, wait, last = [0] * n, [0] * n, [0] * n
    clocks = {"in": [-1] * m, "out": [-1] * n, "source": [-1] * n, "target": [-1] * n}
    spikes, trace = [], []
    for row in inputs.tolist():
        now = []
        for i in range(n):
            if V[i] + bias[i] >= theta[i] and wait[i] == 0:
                V[i], wait[i] = 0, pause[i]
                now.append(1)
                continue
            total = V[i] + bias[i] - program.leak
            total += 1024 * sum(u[i][j] for j in range(n) if last[j])
            total += 1024 * program.scale * sum(w[i][j] for j in range(m) if row[j])
            total %= 1 << 18
            V[i] = total - (1 << 18) if total >= 1 << 17 else total
            wait[i] = max(0, wait[i] - 1)
            now.append(0)
        for weights, learn, source, before, after in (
            (w, program.learn_feed_forward, row, clocks["in"], clocks["out"]),
            (u, program.learn_recurrent, now, clocks["source"], clocks["target"]),
        ):
            for i in range(n):
                for j in range(len(source)):
                    if learn[i][j] and now[i] and before[j] >= 0:
                        weights[i][j] = min(127, weights[i][j] + program.potentiation)
            for i in range(n):
                for j in range(len(source)):
                    if learn[i][j] and source[j] and after[i] >= 0 and weights[i][j] > -1:
                        weights[i][j] = max(-1, weights[i][j] - program.depression)
        for (name, spiking), window in zip(
            (("in", row), ("out", now), ("source", now), ("target", now)), program.windows, strict=True
        ):
            for j, spike in enumerate(spiking):
                clock = clocks[name]
                clock[j] = 0 if spike else (-1 if clock[j] < 0 or clock[j] >= window else clock[j] + 1)
        last = now
        spikes.append(now)
        trace.append(list(V))
    return spikes, trace, w, u


def random_program(rng: np.random.Generator, n: int = 5, m: int = 4, wide: bool = True) -> ChipProgram:
    top = 128 if wide else 6
    return ChipProgram(
        rng.integers(-top, top, (n, m)), rng.integers(-top, top, (n, n)) * (1 - np.eye(n, dtype=int)),
        threshold=rng.uniform(-20, 127, n), bias=rng.uniform(-2, 2, n), leak=rng.uniform(-1, 2),
        refractory=rng.integers(0, 4, n), scale=int(rng.integers(0, 4)), learn_feed_forward=rng.random((n, m)) < 0.5,
        learn_recurrent=rng.random((n, n)) < 0.5, windows=tuple(rng.integers(0, 8, 4).tolist()),
        potentiation=int(rng.integers(0, 9)), depression=int(rng.integers(0, 9)),
    )  # fmt: skip


def assert_same(program: ChipProgram, inputs: np.ndarray) -> None:
    result, (spikes, trace, w, u) = run(program, inputs), oracle(program, inputs)
    np.testing.assert_array_equal(result.spikes, spikes)
    np.testing.assert_array_equal(result.V, from_word(np.array(trace)))
    np.testing.assert_array_equal(result.program.feed_forward, w)
    np.testing.assert_array_equal(result.program.recurrent, u)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_bit(seed, wide):
    """Any weights, overflow included, refractory, learning; golden traces by another road."""
    rng = np.random.default_rng(seed)
    assert_same(random_program(rng, wide=wide), rng.random((40, 4)) < 0.3)


def test_the_whole_chip():
    rng = np.random.default_rng(0)
    assert_same(random_program(rng, 90, 94, wide=False), rng.random((12, 94)) < 0.1)


def test_one_neuron_by_hand():
    """2 a step up to 5: 2, 4, 6, then the spike, whose own input is lost."""
    result = run(ChipProgram(np.array([[2]]), threshold=5.0), np.ones((8, 1)))
    assert result.V[:, 0].tolist() == [2, 4, 6, 0, 2, 4, 6, 0]
    assert result.spikes[:, 0].nonzero()[0].tolist() == [3, 7]
    leaky = run(ChipProgram(np.array([[2]]), threshold=5.0, leak=0.5, refractory=3), np.ones((10, 1)))
    assert leaky.V[:6, 0].tolist() == [1.5, 3.0, 4.5, 6.0, 0.0, 1.5]
    assert leaky.V[7, 0] == 4.5  # goes on integrating while refractory
    assert run(ChipProgram(np.array([[127]]), threshold=127.5), np.ones((2, 1))).V[:, 0].tolist() == [127, -2]  # wraps


def test_the_window_of_learning():
    """Potentiation by pre before post within its window, depression by post before pre, nothing at once, floor -1."""

    def change(lag: int, start: int = 5) -> int:
        """Source 0 drives the neuron in a step; source 1, which learns, spikes `lag` steps after the neuron."""
        learn = np.array([[False, True]])
        program = ChipProgram(np.array([[10, start]]), threshold=9.0, learn_feed_forward=learn, windows=(3, 2, 0, 0),
                          potentiation=4, depression=3)  # fmt: skip
        x = np.zeros((20, 2))
        x[9, 0] = 1  # the neuron's spike is in step 10
        x[10 + lag, 1] = 1
        if lag < 0:  # its own input must not move the spike
            program = ChipProgram(np.array([[10, 0]]), threshold=9.0, learn_feed_forward=learn, windows=(3, 2, 0, 0),
                              potentiation=4, depression=3)  # fmt: skip
            return int(run(program, x).program.feed_forward[0, 1])
        return int(run(program, x).program.feed_forward[0, 1]) - start

    assert [change(lag) for lag in (-6, -5, -4, -3, -1)] == [0, 0, 4, 4, 4]
    assert [change(lag) for lag in (0, 1, 3)] == [0, -3, -3]
    assert change(4) == 0
    assert change(1, start=1) == -2  # to -1
    assert change(1, start=-20) == 0


@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_float_fixed_and_the_simulator_agree(leak):
    """Where nothing overflows and every number has ten binary places, rounding has nothing to do."""
    rng = np.random.default_rng(1)
    n = 30
    program = ChipProgram(rng.integers(-1, 6, (n, 20)), rng.integers(-1, 3, (n, n)) * (1 - np.eye(n, dtype=int)),
                      threshold=rng.integers(20, 60, n), bias=0.125, leak=leak)  # fmt: skip
    x = rng.random((200, 20)) < 0.2
    fixed, real = run(program, x), run_float(program, x)
    assert fixed.overflows == real.overflows == 0
    assert fixed.spikes.mean() > 0.05
    np.testing.assert_array_equal(fixed.spikes, real.spikes)
    np.testing.assert_array_equal(fixed.V, real.V)
    net = to_network(program, x)
    recording = rv.simulate(net, 202 * 0.96, dt=0.96, dtype=torch.float64)
    step, neuron = np.rint(recording.times.numpy() / 0.96).astype(int) - 2, recording.neurons.numpy()
    simulated = np.zeros((200, n), bool)
    chosen = (neuron < n) & (step < 200)
    simulated[step[chosen], neuron[chosen]] = True
    np.testing.assert_array_equal(simulated, fixed.spikes)


def test_words():
    assert to_word([0.5, -128.0, 100.0, 1 / 2048]).tolist() == [512, -131072, 0x19000, 1]
    assert from_word(to_word(3.1415)) == pytest.approx(3.1415, abs=2**-11)
    for value in (128.0, -129.0, np.nan):
        with pytest.raises(ValueError, match="expected it from -128"):
            to_word(value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"feed_forward": np.full((2, 2), 128)}, "reaches from 128"),
        ({"feed_forward": np.full((2, 2), 0.5)}, "whole numbers"),
        ({"feed_forward": np.zeros((91, 2))}, "1 to 90 neurons"),
        ({"feed_forward": np.zeros((2, 95))}, "at most 94"),
        ({"feed_forward": np.zeros(3)}, "two axes"),
        ({"feed_forward": np.zeros((2, 2)), "recurrent": np.eye(2)}, "connects neuron 0 to itself"),
        ({"feed_forward": np.zeros((2, 2)), "recurrent": np.zeros((3, 3))}, r"expected \(2, 2\)"),
        ({"feed_forward": np.zeros((2, 2)), "threshold": [1.0, 2.0, 3.0]}, "one a neuron"),
        ({"feed_forward": np.zeros((2, 2)), "windows": (1, 2, 3)}, "expected four"),
        ({"feed_forward": np.zeros((2, 2)), "refractory": -1}, "refractory reaches from -1"),
    ],
)  # fmt: skip
def test_wrong_programs(arguments, words):
    with pytest.raises(ValueError, match=words):
        ChipProgram(**arguments)


def test_wrong_inputs():
    program = ChipProgram(np.zeros((2, 3)))
    for x, words in ((np.zeros((4, 2)), r"expected \(steps, 3\)"), (np.full((4, 3), 0.5), "0 and 1"),
                     (np.full((4, 3), np.nan), "0 and 1")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            run(program, x)
    assert run(program, np.zeros((0, 3))).spikes.shape == (0, 2)
    with pytest.raises(ValueError, match="refractory"):
        to_network(ChipProgram(np.zeros((2, 3)), refractory=2), np.zeros((4, 3)))


def layers(*sizes: int, **options) -> rv.nn.Sequential:
    settings_ = {"beta": 1.0, "reset": "zero", "bias": False} | options
    return rv.nn.Sequential(*(rv.nn.LIF(a, b, **settings_) for a, b in pairwise(sizes)))


def test_a_model_and_its_program():
    """Weights that are whole multiples of one unit lose nothing; spikes come three steps later, with no input in
    spikes' steps for the layers to lose."""
    torch.manual_seed(0)
    model = layers(6, 5, 3)
    with torch.no_grad():
        for layer in model:
            layer.linear.weight.copy_(torch.randint(0, 8, layer.linear.weight.shape) / 8)
    program = quantise(model, bits=4)
    np.testing.assert_array_equal(program.feed_forward[:5], np.rint(model[0].linear.weight.detach().numpy() * 8))
    np.testing.assert_array_equal(program.recurrent[5:, :5], np.rint(model[1].linear.weight.detach().numpy() * 8))
    assert not program.feed_forward[5:].any()
    x = torch.zeros(60, 1, 6)
    x[::6, 0] = (torch.rand(10, 6) < 0.7).float()  # between volleys everything has settled
    y = model(x)[0][:, 0].detach()
    spikes = run(program, x[:, 0].numpy()).spikes[:, 5:]
    assert y.sum() > 3
    np.testing.assert_array_equal(spikes[3:], y[:-3].numpy() > 0)


def test_what_cannot_be_a_program():
    for model, words in ((layers(3, 2, beta=0.9), "beta 0.9"), (layers(3, 2, reset="subtract"), "'subtract'"),
                         (layers(3, 2, bias=True), "'bias': True"), (layers(3, 91), "91 neurons"),
                         (rv.nn.LI(3, 2), "is LI"), (layers(3, 2, alpha=0.5), "'i'")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            quantise(model)


def test_examples_keep_the_membranes_within_range():
    torch.manual_seed(0)
    model = layers(20, 4)
    with torch.no_grad():
        model[0].linear.weight.copy_(torch.full((4, 20), -0.5))
    x = np.ones((10, 30, 20))
    for options, sign in (({}, 1.0), ({"leak": 0.1}, -1.0)):  # with a weight below 0, or a leak, nothing bounds V
        with pytest.raises(ValueError, match="expected examples"):
            model[0].linear.weight.data.mul_(sign)
            quantise(model, **options)
    bounded = quantise(model)  # all weights 0.5: a unit that no volley exceeds
    assert run(bounded, x[0]).overflows == 0 and bounded.feed_forward.min() == 5  # 20 · 6 + threshold > 128
    model[0].linear.weight.data.mul_(-1.0)
    with pytest.raises(ValueError, match="round to 0"):
        quantise(model, x)
    assert run(quantise(model, x[:, :5]), x[0, :5]).overflows == 0


def test_fixed_point_training():
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    y = FixedPointRounding(3, fraction=1)(x)
    assert y.tolist() == [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 1.5]
    y.sum().backward()
    assert x.grad.tolist() == [1.0] * 8 + [0.0]
    model = quantise_in_training(torch.nn.Linear(8, 4), 2)
    data, target = torch.randn(32, 8), torch.randn(32, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(data) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    unit = model.weight.abs().max()
    assert set((model.weight / unit).round(decimals=4).unique().tolist()) <= {-2.0, -1.0, 0.0, 1.0}
    for wrong in (
        lambda: FixedPointRounding(1),
        lambda: FixedPointRounding(8, unit=0.0),
        lambda: quantise_in_training(torch.nn.ReLU(), 4),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()


def test_states_in_q_format():
    """v ← round(β v + W x) by hand, gradients as if nothing was rounded; the whole model is a Cell."""
    torch.manual_seed(0)
    cell = FixedPointStates(rv.nn.LI(3, 2, beta=0.9, bias=False, dtype=torch.float64), 10, 4)
    x = torch.rand(7, 2, 3, dtype=torch.float64)
    y, state = cell(x)
    W, v, beta = cell.cell.linear.weight.detach(), torch.zeros(2, 2, dtype=torch.float64), float(cell.cell.beta)
    for row in x:
        v = (16 * (beta * v + row @ W.T)).round() / 16
    torch.testing.assert_close(state["v"], v, rtol=0, atol=1e-12)
    free = cell.cell(x)[0]
    assert 0 < float((y - free).detach().abs().max()) < 0.5 / 16 / (1 - beta)
    (gradient,) = torch.autograd.grad(state["v"].sum(), cell.cell.linear.weight)
    (expected,) = torch.autograd.grad(cell.cell(x)[1]["v"].sum(), cell.cell.linear.weight)
    torch.testing.assert_close(gradient, expected)
    first, middle = cell(x[:3])
    torch.testing.assert_close(torch.cat([first, cell(x[3:], middle)[0]]), y)
    with pytest.raises(TypeError, match="init_state"):
        FixedPointStates(torch.nn.Linear(2, 2))


def test_a_network_becomes_a_program():
    """Small world and layers in one network: the program gives the simulator's spikes; there and back is the same."""
    net = rv.Network()
    times, sources = np.nonzero(np.random.default_rng(0).random((80, 6)) < 0.3)
    stimulus = net.add(rv.SpikeTimes((times + 1) * 0.96, sources), 6)
    ring = net.add(rv.hardware.Integrator(V_th=9.0), 10, drive=-0.25, initial={"V": 0.5})
    layer = net.add(rv.hardware.Integrator(V_th=5.0), 4, drive=-0.25, initial={"V": 0.5})
    net.connect(stimulus, ring, weight=4.0, delay=0.96, edges=(np.arange(20) % 6, np.arange(20) % 10))
    net.connect(ring, ring, weight=3.0, delay=0.96, edges=(np.arange(10), (np.arange(10) + 1) % 10))
    net.connect(ring, layer, weight=2.0, delay=0.96, edges=(np.arange(10), np.arange(10) % 4))
    program, inputs = from_network(net, 80)
    assert (program.neurons, program.inputs) == (14, 6) and program.recurrent[10:, :10].sum() == 20
    spikes = run(program, inputs).spikes
    recording = rv.simulate(net, 82 * 0.96, dt=0.96, dtype=torch.float64)
    own = recording.neurons >= 6
    step = np.rint(recording.times[own].numpy() / 0.96).astype(int) - 2
    simulated = np.zeros((82, 14), bool)
    simulated[step, recording.neurons[own].numpy() - 6] = True
    assert spikes[:, 10:].sum() > 5
    np.testing.assert_array_equal(simulated[3:80], spikes[3:])
    again, same = from_network(to_network(program, inputs), 80)
    assert again.same_as(program) and np.array_equal(same, inputs)


def test_what_network_is_no_program():
    """Each change alone."""

    def change(net, cells, kind):
        if kind == "another neuron":
            net.add(rv.LIF(), 1)
        elif kind == "weight":
            net.connect(cells, cells, weight=1.5, delay=0.96, edges=([0], [1]))
        elif kind == "delay":
            net.connect(cells, cells, weight=1.0, delay=1.92, edges=([0], [1]))
        elif kind == "drive":
            net.add(rv.hardware.Integrator(V_th=9.0), 1, drive=-1.0)

    for kind, words in (("another neuron", "is of LIF"), ("weight", "whole numbers"), ("delay", "one step of the chip"),
                        ("drive", "the leak is global")):  # fmt: skip
        net = rv.Network()
        change(net, net.add(rv.hardware.Integrator(V_th=9.0), 3), kind)
        with pytest.raises(ValueError, match=words):
            from_network(net, 5)
    with pytest.raises(ValueError, match="no population"):
        from_network(rv.Network(), 5)
