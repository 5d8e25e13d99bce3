"""Layers as NIR: the same bits after a file, the spikes of snnTorch and SpikingJelly, those of the engine."""

import zipfile
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import ranvier as rv
from ranvier.nn import LI, LIF, Delay, Sequential, from_nir, read_nir, to_nir, write_nir

DATA = Path(__file__).parent / "data"
REFERENCE = load_file(DATA / "nir.safetensors")


def spikes(*shape, seed=0, p=0.4):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < p).float()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(3)


def lif(*sizes, **options):
    return LIF(*sizes, **{"reset": "zero", "threshold": 0.5, **options})


MODELS = {
    "plain": lambda: Sequential(
        lif(12, 9, beta=torch.rand(9)), nn.Linear(9, 7), lif(threshold=0.1 + torch.rand(7)), LI(7, 4)
    ),
    "currents": lambda: Sequential(
        lif(12, 9, alpha=torch.rand(9), beta=0.7, bias=False), LI(9, 3, alpha=0.4, beta=0.4, bias=False)
    ),
    "recurrent": lambda: Sequential(lif(12, 9, recurrent=True), lif(9, 5, recurrent=True, alpha=0.2, bias=False)),
    "slow recurrent": lambda: lif(12, 9, recurrent=True, recurrent_delay=3),
    "mixed recurrent": lambda: lif(12, 3, recurrent=True, recurrent_delay=torch.tensor([1, 4, 2])),
    "delays": lambda: Sequential(
        Delay(12, torch.arange(12)), lif(12, 9), Delay(9, 2), nn.Dropout(), Delay(9, 3.0, learn=True, longest=5),
        LI(9, 2),
    ),
    "never leaking": lambda: Sequential(lif(12, 9, beta=1.0, threshold=2.0), LI(9, 3, beta=1.0)),
    "alone": lambda: lif(12),
    "learned": lambda: lif(12, 9, beta=torch.rand(9), learn=("beta", "threshold")),
    "noted": lambda: Sequential(
        LIF(12, 9), LIF(9, 8, alpha=0.5, bias=False, reset="delayed"), LIF(8, 3, beta=1.0, reset="subtract")
    ),
}  # fmt: skip
IMAGES = {
    "images": lambda: Sequential(
        Sequential(nn.Conv2d(2, 3, 3, padding=1, stride=2), lif()), nn.AvgPool2d(2, 1), nn.Flatten(), lif(27, 4)
    ),
    "sums": lambda: Sequential(
        nn.Conv2d(2, 3, 3, padding="same", bias=False), lif(beta=torch.rand(3, 1, 1)),
        nn.AvgPool2d((2, 3), padding=1, divisor_override=1), nn.Flatten(2), nn.Conv1d(3, 2, 3, dilation=2), lif(),
        nn.Flatten(-2, -1), LI(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("decay", ["euler", "exponential"])
@pytest.mark.parametrize("name", [*MODELS, *IMAGES])
def test_a_model_comes_back_from_a_file_bit_for_bit(name, decay, tmp_path):
    images = name in IMAGES
    model = (MODELS | IMAGES)[name]().eval()
    x = spikes(30, 4, 2, 7, 8) if images else spikes(30, 4, 12)
    options = {"input_shape": (2, 7, 8)} if images else {"soft_reset": name == "noted"}
    if name == "alone":
        options["input_shape"] = 12
    path = write_nir(model, tmp_path / "model.nir", 0.5, decay=decay, **options)
    before = torch.get_rng_state()
    back = read_nir(path, 0.5, decay=decay)
    assert torch.equal(before, torch.get_rng_state())
    expected, _ = model(x)
    result, _ = back(x)
    assert expected.float().abs().sum() > 0 and torch.equal(result, expected)
    again, state = from_nir(nir.read(path), 0.5, decay=decay)(x[:17])
    assert torch.equal(torch.cat([again, back(x[17:], state)[0]]), expected)


def stored(name, tmp_path):
    with zipfile.ZipFile(DATA / "nir.zip") as packed:
        return Path(packed.extract(f"{name}.nir", tmp_path))


@pytest.mark.parametrize(
    ("name", "reset"),
    [
        ("snntorch_zero", None),
        ("snntorch_delayed", "delayed"),
        ("snntorch_subtract", "subtract"),
        ("snntorch_images", None),
        ("spikingjelly", None),
    ],
)
def test_what_others_wrote_spikes_as_theirs(name, reset, tmp_path):
    model = read_nir(stored(name, tmp_path), reset=reset)
    y, _ = model(REFERENCE[f"{name}.x"].float())
    assert torch.equal(y, REFERENCE[f"{name}.y"].float())
    if name == "snntorch_zero":  # its r is float32, and says 1 but for rounding
        assert torch.equal(model[0].threshold, torch.tensor(0.6)) and torch.equal(model[0].beta, torch.tensor(0.85))


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("ours_plain", "snntorch"),
        ("ours_plain", "spikingjelly"),
        ("ours_recurrent", "spikingjelly"),
        ("ours_images", "snntorch"),
        ("ours_images", "spikingjelly"),
    ],
)
def test_what_others_read_spikes_as_ours(name, reader, tmp_path):
    """The stored file is what is written of its model today, and the reader's spikes are the model's."""
    graph = nir.read(stored(name, tmp_path))
    model = from_nir(graph)
    written = to_nir(model, input_shape=tuple(graph.nodes["input"].input_type["input"]))
    assert sorted(map(kind, written.nodes.values())) == sorted(map(kind, graph.nodes.values()))
    assert len(written.edges) == len(graph.edges)
    y, _ = model(REFERENCE[f"{name}.{reader}.x"].float())
    assert torch.equal(y, REFERENCE[f"{name}.{reader}.y"].float())


def kind(node):
    """Its type and values, comparable."""
    values = {k: np.asarray(v).round(12).tolist() for k, v in vars(node).items() if not isinstance(v, dict)}
    return f"{type(node).__name__} {sorted(values.items())}"


STEP = 0.1  # ms


def engine_spikes(model, x, **options):
    """(T, N) spikes of the last population, and its potential (T, N) at the ends of the steps, by `rv.simulate`."""
    steps, neurons = x[:, 0].nonzero().unbind(1)
    source = rv.SpikeTimes((steps + 1) * STEP, neurons)  # a step's spikes are emitted at its end
    graph = to_nir(model, STEP, decay="exponential", **options)
    net = rv.networks.from_nir(graph, pulse=STEP, delay=STEP, inputs={"input": source})
    last = net.populations[-1]
    recording = rv.simulate(net, len(x) * STEP, dt=STEP, dtype=torch.float64, record=[rv.Probe("V", neurons=last)])
    y = torch.zeros(len(x), last.size)
    mine = (recording.neurons >= last.start) & (recording.neurons < last.start + last.size)
    y[torch.round(recording.times[mine] / STEP).long() - 1, recording.neurons[mine] - last.start] = 1.0
    return y, recording.states["V"].values


def late(*parts):
    """Layers as the engine has them: what one sends, or the input, arrives two steps later."""
    return Sequential(*(part for layer in parts for part in (Delay(layer.linear.in_features, 2), layer)))


def test_a_trained_model_gives_its_spikes_in_the_engine():
    """Trained on images of digits, read as a network, simulated: the layers' spikes, two steps a layer later."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    data = torch.utils.data.TensorDataset(torch.tensor(pixels / 16).float()[:640], torch.tensor(labels)[:640])
    model = Sequential(lif(64, 40, bias=False), lif(40, 10, bias=False, beta=0.8))
    first = [p.detach().clone() for p in model.parameters()]
    learner = rv.learners.BPTT(
        model, rv.learners.rate_cross_entropy, torch.optim.Adam(model.parameters(), 1e-2),
        encode=lambda x: rv.learners.latency(x, steps=5, threshold=0.1),
    )  # fmt: skip
    rv.fit(learner, torch.utils.data.DataLoader(data, 64), epochs=2)
    assert all((p - q).abs().max() > 0.02 for p, q in zip(model.parameters(), first, strict=True))
    x = torch.cat([rv.learners.latency(data[k][0][None], steps=20, threshold=0.1) for k in range(10)])
    y, _ = model(x)
    result, _ = engine_spikes(model, x)
    assert y.sum() > 20 and torch.equal(result[4:], y[:-4, 0]) and not result[:4].any()


@pytest.mark.parametrize("alpha", [None, 0.3, 0.9])
def test_layers_and_engine_agree_in_every_kind(alpha):
    """With bias, several decays, currents (also of the membrane's own decay) and a readout, to rounding."""
    parts = [
        lif(12, 9, beta=torch.linspace(0.3, 0.95, 9)), lif(9, 7, beta=0.9, alpha=alpha, bias=False, threshold=0.3),
        LI(7, 3, beta=0.8, bias=True),
    ]  # fmt: skip
    x = spikes(200, 1, 12)
    model = Sequential(*parts).double()
    expected, _ = late(*parts).double()(x.double())
    _, v = engine_spikes(model, x)
    torch.testing.assert_close(v, expected[:, 0], rtol=1e-9, atol=1e-9)
    inner, _ = late(*parts[:2]).double()(x.double())
    result, _ = engine_spikes(Sequential(*parts[:2]), x)
    assert 0.02 < inner.mean() < 0.9 and torch.equal(result, inner[:, 0].float())


def test_recurrence_and_delays_in_the_engine_are_one_step_more():
    """A way back of d steps is one of d − 1 there, which is why it takes two at least."""
    layer = lif(12, 9, recurrent=True, recurrent_delay=torch.tensor([2, 3, 4] * 3))
    with torch.no_grad():
        layer.recurrent.mul_(2.0)
    x = spikes(200, 1, 12)
    expected, _ = late(layer).double()(x.double())
    result, _ = engine_spikes(layer, x)
    assert torch.equal(result, expected[:, 0].float())
    with torch.no_grad():
        layer.recurrent.zero_()
    assert not torch.equal(engine_spikes(layer, x)[0], result)
    delayed = Sequential(Delay(12, 3), lif(12, 9).double())
    expected, _ = Sequential(Delay(12, 1), delayed).double()(x.double())
    assert torch.equal(engine_spikes(delayed, x)[0], expected[:, 0].float())


@pytest.mark.filterwarnings("ignore:.*is a memory of:RuntimeWarning")
@pytest.mark.parametrize("decay", ["euler", "exponential"])
def test_every_decay_of_float32_comes_back(decay):
    g = np.random.default_rng(0)
    small = 10.0 ** -g.uniform(0.0, 7.0, 20_000)
    beta = np.unique(np.concatenate([small, 1.0 - small]).astype(np.float32))
    beta = torch.as_tensor(beta[(beta > 0) & (beta < 1)])
    model = LIF(len(beta), beta=beta, reset="zero")
    assert torch.equal(from_nir(to_nir(model, 0.3, decay=decay), 0.3, decay=decay)[0].beta, beta)


def test_a_learned_decay_below_zero_is_written_as_it_is_used():
    model = lif(12, 9, beta=torch.rand(9), learn="beta")
    with torch.no_grad():
        model.beta[:3] = -0.2
    x = spikes(40, 2, 12)
    back = from_nir(to_nir(model))
    assert torch.equal(back[0].beta, model.beta.clamp(0.0)) and torch.equal(back(x)[0], model(x)[0])


def random_nodes(g):
    """One node a kind, in the units of nobody: r, w_in, thresholds and rests as they come."""
    n = 6
    common = {"r": g.uniform(0.5, 2.0, n), "v_leak": np.zeros(n)}
    fast, slow = g.uniform(2e-3, 5e-3, n), g.uniform(5e-3, 2e-2, n)
    rest = g.uniform(-70.0, -60.0, n)
    spiking = common | {"v_leak": rest, "v_reset": rest, "v_threshold": rest + g.uniform(0.2, 0.4, n)}
    w_in = g.uniform(0.5, 2.0, n)
    return [
        nir.LIF(tau=slow, **spiking),
        nir.CubaLIF(tau_mem=slow, tau_syn=fast, w_in=w_in, **spiking),
        nir.LI(tau=slow, **common),
        nir.CubaLI(tau_mem=slow, tau_syn=fast, w_in=w_in, **common),
        nir.IF(r=g.uniform(20.0, 50.0, n), v_threshold=np.full(n, 0.3)),
        nir.I(r=g.uniform(20.0, 50.0, n)),
    ]


@pytest.mark.parametrize("which", range(6))
def test_equations_of_others_by_eulers_method(which):
    """NIR's own, step by step, currents before membranes as snnTorch takes them: same spikes, potentials to 1e-9."""
    g = np.random.default_rng(which)
    node, weight, bias, dt = random_nodes(g)[which], g.normal(0.0, 2.0, (6, 12)), g.normal(0.0, 0.2, 6), 1e-3
    x = spikes(100, 1, 12, seed=which)
    model = from_nir(nir.NIRGraph.from_list(nir.Affine(weight, bias), node), 1.0, dtype=torch.float64)
    y, _ = model(x.double())
    leaks = hasattr(node, "v_leak")
    v, current = node.v_leak.copy() if leaks else np.zeros(6), np.zeros(6)
    tau = getattr(node, "tau_mem", getattr(node, "tau", None))
    for t, s in enumerate(x[:, 0].double().numpy()):
        drive = weight @ s + bias
        if hasattr(node, "tau_syn"):
            current += dt / node.tau_syn * (node.w_in * drive - current)
            drive = current
        v = v + (dt / tau * (node.v_leak - v + node.r * drive) if leaks else dt * node.r * drive)
        if hasattr(node, "v_threshold"):
            fired = v > node.v_threshold
            v = np.where(fired, node.v_reset, v)
            assert np.array_equal(y[t, 0].detach().numpy(), fired)
        else:
            np.testing.assert_allclose(y[t, 0].detach(), v, rtol=1e-9, atol=1e-9)
    assert y.abs().sum() > 20


def test_a_subgraph_and_the_bias_of_its_recurrence_are_unfolded():
    """As snnTorch nests them: the bias of the way back is added at every step."""
    g = np.random.default_rng(0)
    weight, back, bias = g.normal(0, 0.5, (5, 12)), g.normal(0, 0.5, (5, 5)), g.normal(0, 0.3, 5)
    tau, ones = np.full(5, 1e-3), np.ones(5)
    inner = nir.NIRGraph(
        {"input": nir.Input(np.array([5])), "output": nir.Output(np.array([5])), "w": nir.Affine(back, bias),
         "lif": nir.LIF(tau, r=ones * 10.0, v_leak=ones * 0.0, v_threshold=ones, v_reset=ones * 0.0)},
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    )  # fmt: skip
    graph = nir.NIRGraph(
        {"in": nir.Input(np.array([12])), "a": nir.Linear(weight), "cell": inner, "out": nir.Output(np.array([5]))},
        [("in", "a"), ("a", "cell"), ("cell", "out")],
    )
    x = spikes(60, 2, 12).double()
    result, _ = from_nir(graph, 0.1, dtype=torch.float64)(x)
    v, y = torch.zeros(2, 5).double(), torch.zeros(2, 5).double()
    for now, got in zip(x, result, strict=True):
        v = 0.9 * v + now @ torch.as_tensor(weight).T + y @ torch.as_tensor(back).T + torch.as_tensor(bias)
        y = (v > 1.0).double()
        v = v * (1 - y)
        assert torch.equal(got, y)
    assert result.sum() > 20


def test_a_bias_far_from_its_neurons_comes_back_with_exact_decay():
    model = Sequential(nn.Linear(12, 9), Delay(9), nn.Linear(9, 5), lif(beta=0.7))
    x = spikes(40, 2, 12)
    graph = to_nir(model, decay="exponential")
    back = from_nir(graph, decay="exponential")
    assert np.abs(graph.nodes["linear_0"].bias / model[0].bias.detach().numpy()).max() > 0.0
    torch.testing.assert_close(back(x)[0], model(x)[0], rtol=0.0, atol=0.0)
