"""Operations, joules and bytes against counts by hand, one connection after the other."""

import itertools

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.nn.counting.operations import FLOAT32, INT8, count_operations, spike_operations

F64 = torch.float64


def spikes(*shape: int, share: float = 0.3) -> torch.Tensor:
    return (torch.rand(shape, dtype=F64, generator=torch.Generator().manual_seed(2)) < share).double()


def test_a_rectified_net_of_numbers_is_its_macs():
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    with count_operations(model) as counts:
        model(torch.rand(3, 64))
    assert (counts.macs, counts.dense, counts.synops, counts.updates) == (
        3 * (64 * 128 + 1280),
        3 * (64 * 128 + 1280),
        0,
        0,
    )
    assert counts.joules() == pytest.approx(3 * 9472 * 4.6e-12)
    assert counts.joules(INT8) == pytest.approx(3 * 9472 * 0.23e-12)
    assert counts.uncounted == ()


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("way", ["sequence", "given state", "steps"])
def test_spiking_layers_by_hand(way, fused, recurrent):
    torch.manual_seed(1)
    T, B, inputs, hidden, outputs = 9, 4, 6, 7, 3
    model = rv.nn.Sequential(
        rv.nn.LIF(inputs, hidden, recurrent=recurrent, fused=fused, dtype=F64), nn.Dropout(0.0),
        rv.nn.LI(hidden, outputs, fused=fused, dtype=F64),
    )  # fmt: skip
    x = 3 * spikes(T, B, inputs)  # of one size: spikes all the same
    state, before = model.init_state(B), torch.zeros(B, hidden, dtype=F64)
    if way == "given state" and recurrent:
        before = spikes(B, hidden, share=0.5)
        state[0]["y"] = before
    y, _ = model[0](x, state[0])
    assert y.any()
    with count_operations(model) as counts:
        if way == "sequence":
            model(x)
        elif way == "given state":
            model(x, state)
        else:
            for row in x:
                state, _ = model.step(state, row)
    first = second = 0
    for t, b in itertools.product(range(T), range(B)):
        first += sum(hidden for n in range(inputs) if x[t, b, n])
        sent = y[t - 1] if t else before
        first += sum(hidden for n in range(hidden) if recurrent and sent[b, n])
        second += sum(outputs for n in range(hidden) if y[t, b, n])
    assert [layer.synops for layer in counts.layers] == [first, second] and counts.macs == 0
    fed = hidden if recurrent else 0
    assert [layer.dense for layer in counts.layers] == [T * B * (inputs + fed) * hidden, T * B * hidden * outputs]
    assert [layer.updates for layer in counts.layers] == [T * B * hidden, T * B * outputs]
    # LIF: decay and sum, threshold, reset; LI: decay and sum
    assert [layer.multiplications for layer in counts.layers] == [2 * T * B * hidden, T * B * outputs]
    assert [layer.additions for layer in counts.layers] == [3 * T * B * hidden, T * B * outputs]
    assert counts.joules(updates=False) == pytest.approx((first + second) * 0.9e-12)
    own = T * B * (hidden * (2 * 3.7 + 3 * 0.9) + outputs * 4.6) * 1e-12
    assert counts.joules() == pytest.approx((first + second) * FLOAT32.add + own)
    assert counts.state_bytes == B * 8 * (hidden * (2 if recurrent else 1) + outputs)


def test_recurrent_spikes_are_counted_as_they_arrive():
    torch.manual_seed(1)
    delay = torch.tensor([1, 3, 2])
    layer = rv.nn.LIF(4, 3, recurrent=True, recurrent_delay=delay, dtype=F64)
    x = 3 * spikes(12, 2, 4)
    first, state = layer(x[:5])
    y, _ = layer(x)
    with count_operations(layer) as counts:
        layer(x[5:], state)
    fed = sum(3 for t in range(5, 12) for b in range(2) for n in range(3) if y[t - int(delay[n]), b, n])
    assert first.any() and counts.synops == fed + 3 * int((x[5:] != 0).sum())


def test_neurons_given_by_equations_are_counted_and_other_cells_named():
    layer = rv.nn.from_neuron(rv.LIF(), 4, 3, dt=0.5)

    class Other(nn.Module):
        def init_state(self, batch):
            return ()

        def step(self, state, x):
            return state, x

    with count_operations(rv.nn.Sequential(layer, Other())) as counts:
        layer(torch.rand(5, 2, 4))
    assert counts.uncounted == ("1: Other",) and counts.updates == 5 * 2 * 3
    assert counts.layers[0].multiplications >= 30 and counts.layers[0].additions >= 30  # the membrane's own, at least


def test_falls_are_spikes_as_rises_are():
    x = spikes(20, 1, 5) - spikes(20, 1, 5).flip(0)
    assert set(x.unique().tolist()) == {-1.0, 0.0, 1.0}
    with count_operations(layer := rv.nn.LIF(5, 4, dtype=F64)) as counts:
        layer(x)
    assert counts.synops == 4 * int(x.abs().sum()) and counts.macs == 0


def test_numbers_into_a_spiking_layer_are_multiplied():
    layer = rv.nn.LIF(5, 4)
    with count_operations(layer) as counts:
        layer(torch.rand(3, 2, 5) + 0.1)
    assert counts.macs == 3 * 2 * 5 * 4 and counts.synops == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv1d(4, 6, 3, dtype=F64),
        lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, dtype=F64),
        lambda: nn.Conv2d(4, 6, (1, 3), dilation=2, groups=2, dtype=F64),
        lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", dtype=F64),
    ],
    ids=["1d", "strided", "grouped", "circular"],
)
@pytest.mark.parametrize("spiking", [True, False])
def test_convolutions_by_the_connections_they_have(make, spiking):
    """Each input alone, through weights of one: the sum of the outputs is the number of its connections."""
    torch.manual_seed(0)
    layer = make()
    shape = (2, 4, 8) if isinstance(layer, nn.Conv1d) else (2, 4, 7, 6)
    x = spikes(*shape) if spiking else torch.rand(shape, dtype=F64) * spikes(*shape)
    with count_operations(layer) as counts:
        layer(x)
    probe = make()
    with torch.no_grad():
        probe.weight.fill_(1.0)
        probe.bias.zero_()
    active = dense = 0
    for place in itertools.product(*(range(n) for n in shape)):
        alone = torch.zeros(shape, dtype=F64)
        alone[place] = 1.0
        connections = round(float(probe(alone).sum().detach()))
        dense += connections
        active += connections if x[place] else 0
    assert (counts.synops, counts.macs, counts.dense) == ((active, 0, dense) if spiking else (0, dense, dense))


def test_what_is_not_known_is_named_and_nothing_stays_behind():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.GRU(3, 2), nn.Identity())
    lif = rv.nn.LIF(3, 3)
    with count_operations(nn.ModuleList([model, lif])) as counts:
        pass
    assert counts.uncounted == ("0.1: LayerNorm", "0.2: GRU")
    with pytest.raises(RuntimeError, match="on purpose"), count_operations(lif):
        raise RuntimeError("on purpose")
    assert "step" not in lif.__dict__ and not lif._forward_hooks
    before = (counts.synops, counts.macs)
    lif(torch.rand(2, 1, 3))
    assert (counts.synops, counts.macs) == before
    with pytest.raises(TypeError, match="expected a torch module"), count_operations(rv.LIF()):
        pass


def test_counting_changes_neither_outputs_nor_gradients():
    torch.manual_seed(0)
    model, x = rv.nn.Sequential(rv.nn.LIF(6, 5, recurrent=True), rv.nn.LI(5, 2)), torch.rand(12, 3, 6) * 2
    plain, _ = model(x)
    plain.square().sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with count_operations(model):
        y, _ = model(x)
        y.square().sum().backward()
    assert y.equal(plain)
    assert all(p.grad.equal(g) for p, g in zip(model.parameters(), expected, strict=True))


def test_bytes_kept_for_the_backward_pass():
    """x and tanh's output, once each, whatever they are held by; gone with the graph."""
    layer = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 5))
    x = torch.rand(100, 10)
    with count_operations(layer) as counts:
        for _ in range(3):
            layer(x).sum().backward()
    assert counts.activation_bytes == 4 * 100 * (10 + 20)
    with count_operations(layer) as counts, torch.no_grad():
        layer(x)
    assert counts.activation_bytes == 0


def test_bytes_of_backpropagation_through_time_grow_with_the_steps():
    model = rv.nn.Sequential(rv.nn.LIF(6, 50), rv.nn.LI(50, 2))
    result = []
    for steps in (100, 200, 400):
        with count_operations(model) as counts:
            model(torch.rand(steps, 3, 6))[0].sum().backward()
        result.append(counts.activation_bytes)
        assert counts.state_bytes == 4 * 3 * 52
    assert result[1] == pytest.approx(2 * result[0], rel=0.02) and result[2] == pytest.approx(4 * result[0], rel=0.02)


def test_a_simulated_network_by_hand():
    net = rv.Network(seed=3)
    exc = net.add(rv.LIF(), 30, name="exc", drive=25.0)
    inh = net.add(rv.LIF(), 10, name="inh", drive=30.0)
    some = net.connect(exc, [exc, inh], weight=0.1, probability=0.3)
    more = net.connect(inh, exc, weight=-0.1, edges=([0, 0, 3], [1, 1, 2]))
    recording = rv.simulate(net, 200.0, dt=0.1, seed=1)
    counted = spike_operations(recording)
    total = 0
    projections = [p for layer in (some, more) for p in (layer if isinstance(layer, list | tuple) else [layer])]
    for p in projections:
        for source in p.edges()[0].tolist():
            total += int((recording.neurons == p.source.start + source).sum())
    assert counted.synops == total > 0 and counted.updates == 40 * 2000
    assert [row.dense for row in counted.layers[:3]] == [p.size * 2000 for p in projections]
    with pytest.raises(ValueError, match="40 neurons in the recording, 30 in the network"):
        other = rv.Network()
        other.add(rv.LIF(), 30)
        spike_operations(recording, other)


def test_continuous_synapses_act_at_every_step():
    net = rv.Network()
    cells = net.add(rv.LIF(), 4, drive=25.0)
    net.connect(cells, cells, weight=0.1, synapse=rv.Electrical(), edges=([0, 1, 2], [1, 2, 3]))
    counted = spike_operations(rv.simulate(net, 10.0, dt=0.1))
    assert (counted.macs, counted.synops) == (3 * 100, 0)


def test_a_block_within_another_counts_for_both():
    layer, x = rv.nn.LIF(3, 2), torch.ones(4, 1, 3)
    with rv.nn.count_operations(layer) as outer:
        layer(x)
        with rv.nn.count_operations(layer) as inner:
            layer.step(layer.init_state(1), x[0])
        layer.step(layer.init_state(1), x[0])
    assert (inner.synops, outer.synops) == (6, 36) and "step" not in vars(layer)


def test_work_on_parameters_alone_is_not_missed():
    """A weight that is normalised as it is read: its inputs do not pass through the modules that do so."""
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(6, 5))
    model = rv.nn.Sequential(layer, rv.nn.LIF(5))
    with rv.nn.count_operations(model) as counts:
        model(torch.rand(4, 3, 6))
    assert counts.uncounted == () and counts.dense == 4 * 3 * 30
