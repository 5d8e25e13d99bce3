"""What the layers that know their own arithmetic count, against loops over every synapse, sample and step."""

import itertools

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier.nn.counting.operations import count_operations

F64 = torch.float64
T, B = 5, 3
SAMPLES = list(itertools.product(range(T), range(B)))


def spikes(size: int) -> torch.Tensor:
    return (torch.rand(T, B, size, dtype=F64, generator=torch.Generator().manual_seed(2)) < 0.4).double()


def numbers(size: int) -> torch.Tensor:
    return torch.rand(T, B, size, dtype=F64, generator=torch.Generator().manual_seed(2)) + 0.1


def counted(layer: nn.Module, x: torch.Tensor, way: str = "sequence") -> rv.nn.Operations:
    with count_operations(layer) as counts:
        if way == "sequence":
            layer(x)
        else:
            state = layer.init_state(x.shape[1])
            for row in x:
                state, _ = layer.step(state, row)
    assert counts.uncounted == () and len(counts.layers) == 1
    return counts


def own(observed: rv.nn.Operations) -> tuple[int, int, int]:
    return observed.updates, observed.layers[0].multiplications, observed.layers[0].additions


ways = pytest.mark.parametrize("way", ["sequence", "steps"])


@ways
@pytest.mark.parametrize("mixed", [False, True])
def test_liquid_networks_evaluate_every_synapse_at_every_unfold(way, mixed):
    wiring = rv.nn.NCP(inter=4, command=3, motor=2, sensory_fanout=2, inter_fanout=2, recurrent_command=2,
                       motor_fanin=2, seed=0)  # fmt: skip
    layer = rv.nn.LTC(3, wiring, unfolds=4, projection=5, mixed_memory=mixed, dtype=F64)
    macs = multiplications = additions = 0
    for _ in SAMPLES:
        multiplications, additions = multiplications + 3, additions + 3  # input map
        for times, synapses in ((1, layer.sensory_w), (4, layer.w)):
            for _ in range(times * len(synapses)):
                macs += 2  # Σ w s and Σ w s E
                multiplications, additions = multiplications + 2, additions + 1  # σ(v − μ), sigmoid
        for _ in range(9):  # units
            multiplications += 1 + 4 * 2  # C/h; C/h v and the quotient
            additions += 4 * 4  # leak and sensory sums in numerator and denominator
            if mixed:
                macs += 4 * (3 + 9)
                multiplications, additions = multiplications + 3 + 5, additions + 1
        multiplications, additions = multiplications + 2, additions + 2  # output map
        macs += 2 * 5
    observed = counted(layer, numbers(3), way)
    assert (observed.macs, observed.dense, observed.synops) == (macs, macs, 0)
    assert own(observed) == (9 * len(SAMPLES), multiplications, additions)
    assert observed.state_bytes == 8 * B * 9 * (2 if mixed else 1)


@ways
@pytest.mark.parametrize(("mode", "of_unit"), [("default", (6, 3)), ("no_gate", (5, 2)), ("pure", (4, 2))])
def test_closed_form_networks_with_a_backbone(way, mode, of_unit):
    layer = rv.nn.CfC(4, 6, backbone=(7, 5), mode=mode, dtype=F64)
    heads = 1 if mode == "pure" else 4
    x = spikes(4)
    observed = counted(layer, x, way)
    assert observed.synops == 7 * int(x.sum())
    assert observed.macs == len(SAMPLES) * (6 * 7 + 7 * 5 + 5 * 6 * heads)
    assert observed.dense == observed.macs + len(SAMPLES) * 4 * 7
    assert own(observed) == (len(SAMPLES) * 6, len(SAMPLES) * 6 * of_unit[0], len(SAMPLES) * 6 * of_unit[1])


def test_wired_closed_form_networks_have_fewer_connections():
    """By its layers: f₁ and f₂ along the wires there are, the two of time along all; within a layer all to all."""
    wiring = rv.nn.NCP(inter=4, command=3, motor=2, sensory_fanout=2, inter_fanout=2, recurrent_command=2,
                       motor_fanin=2, seed=0)  # fmt: skip
    layer = rv.nn.CfC(3, wiring, dtype=F64)
    x, synops, macs = spikes(3), 0, 0
    for k, part in enumerate(layer.layers):
        for unit, source in itertools.product(range(part.units), range(part.in_features + part.units)):
            connections = 2 + 2 * bool(part.heads.mask[unit, source])
            if k == 0 and source < 3:
                synops += connections * int(x[..., source].sum())
            else:
                macs += connections * len(SAMPLES)
    observed = counted(layer, x)
    assert (observed.synops, observed.macs) == (synops, macs)
    assert macs < len(SAMPLES) * 4 * sum(p.units * (p.in_features + p.units) for p in layer.layers)


@ways
@pytest.mark.parametrize("routing", ["neighbours", "random"])
def test_expressive_leaky_memory(way, routing):
    layer = rv.nn.ELM(6, 2, memory=4, branches=3, per_branch=3, routing=routing, hidden=(8, 5), dtype=F64)
    x = spikes(6)
    synops = sum(int(x[..., source].sum()) for branch in layer.indices for source in branch.tolist())
    macs = len(SAMPLES) * ((3 + 4) * 8 + 8 * 5 + 5 * 4 + 4 * 2)
    observed = counted(layer, x, way)
    assert (observed.synops, observed.macs, observed.dense) == (synops, macs, macs + len(SAMPLES) * 9)
    assert own(observed) == (len(SAMPLES) * 4, len(SAMPLES) * (3 + 4 * 5), len(SAMPLES) * (3 + 4))
    assert counted(layer, numbers(6), way).macs == macs + len(SAMPLES) * 9


@ways
def test_active_dendrites(way):
    synapses = torch.tensor([[0, 1, 2], [2, 3, -1], [4, 0, -1]])
    layer = rv.nn.ActiveDendrites(5, 4, synapses, torch.tensor([0, 0, 2]), threshold=2.0, decay=0.5, dtype=F64)
    x = spikes(5)
    observed = counted(layer, x, way)
    assert observed.synops == sum(int(x[..., k].sum()) for k in synapses.flatten().tolist() if k >= 0) > 0
    assert (observed.macs, observed.dense) == (0, 7 * len(SAMPLES))
    assert own(observed) == (4 * len(SAMPLES), 4 * len(SAMPLES), (2 * 3 + 4) * len(SAMPLES))


@ways
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("modulated", [False, True])
def test_astrocytes_sense_and_gate(way, recurrent, modulated):
    torch.manual_seed(0)
    layer = rv.nn.AstrocyteLIF(5, 6, astrocytes=2, recurrent=recurrent, modulated=modulated, dtype=F64)
    x = 3 * spikes(5)
    y, _ = layer(x)
    assert y[:-1].any()
    each = 12 if modulated else 6
    synops = sum((each + 2) * int((x[t, b] != 0).sum()) for t, b in SAMPLES)
    synops += sum(each * int(y[t - 1, b].sum()) for t, b in SAMPLES if t and recurrent)
    observed = counted(layer, x, way)
    assert (observed.synops, observed.macs) == (synops, 0)
    assert observed.dense == len(SAMPLES) * (5 * (each + 2) + (6 * each if recurrent else 0))
    of_neuron, of_astrocyte = ((2, 4), (3, 2)) if modulated else ((1, 3), (1, 1))
    own_m, own_a = (len(SAMPLES) * (6 * n + 2 * a) for n, a in zip(of_neuron, of_astrocyte, strict=True))
    assert own(observed) == (6 * len(SAMPLES), own_m, own_a)


def test_spikes_of_the_state_given_are_counted_too():
    layer = rv.nn.AstrocyteLIF(5, 6, astrocytes=2, dtype=F64)
    state = layer.init_state(B)
    state["y"][0, :4] = 1.0
    with count_operations(layer) as counts:
        layer(torch.zeros(1, B, 5, dtype=F64), state=state)
    assert counts.synops == 4 * 12


@ways
@pytest.mark.parametrize("learn", [False, True])
def test_delayed_synapses_count_spikes_when_they_arrive(way, learn):
    steps = torch.tensor([[0.0, 2.0, 3.0], [1.0, 1.0, 0.0]]) + (0.25 if learn else 0.0)
    layer = rv.nn.DelayedLinear(3, 2, steps, learn=learn, longest=4, dtype=F64)
    x = spikes(3)
    taps = [(i, k, int(steps[i, k]) + n) for i in range(2) for k in range(3) for n in range(1 + learn)]
    synops = sum(int(x[t - d, b, k]) for t, b in SAMPLES for _, k, d in taps if t >= d)
    observed = counted(layer, x, way)
    assert (observed.synops, observed.dense) == (synops, len(taps) * len(SAMPLES)) and synops > 0
    assert observed.macs == 0


@pytest.mark.parametrize("learn", [False, True])
def test_delays_interpolate_where_they_are_learned(learn):
    observed = counted(rv.nn.Delay(3, 1.5 if learn else 1, learn=learn, dtype=F64), spikes(3))
    assert own(observed) == (0, 2 * 3 * len(SAMPLES) * learn, 2 * 3 * len(SAMPLES) * learn)


@pytest.mark.parametrize("updates", [0, 3])
@pytest.mark.parametrize("batch_first", [False, True])
def test_hopfield_layers_by_pairs_of_patterns(updates, batch_first):
    batch, states, stored, heads, width = 2, 4, 5, 2, 3
    layer = rv.nn.Hopfield(
        7, heads * width, 8, stored_pattern_size=6, num_heads=heads, update_steps_max=updates, update_steps_eps=0.0,
        normalize=False, batch_first=batch_first,
    )  # fmt: skip
    shapes = [(batch, stored, 6), (batch, states, 7), (batch, stored, 6)]
    inputs = tuple(torch.rand(s if batch_first else (s[1], s[0], s[2])) for s in shapes)
    with count_operations(layer) as counts:
        layer(inputs)
    pairs = multiplications = additions = 0
    for _ in range(updates + 1):
        for _ in range(batch * heads * states * stored):
            pairs += 2 * width  # similarity, and what is retrieved
            multiplications, additions = multiplications + 3, additions + 1
    row = next(row for row in counts.layers if row.name == "model: Hopfield")
    assert (row.macs, row.multiplications, row.additions) == (pairs, multiplications, additions)
    linear = batch * (2 * stored * 6 * 6 + states * 7 * 6 + states * 6 * 8)
    assert counts.macs == pairs + linear and counts.uncounted == ()


def test_hopfield_layers_count_the_updates_they_needed():
    """One stored pattern is found by the first update; the second does not move and ends it."""
    layer = rv.nn.Hopfield(4, static=True, update_steps_max=9)
    with count_operations(layer) as counts:
        layer((torch.rand(1, 1, 4), torch.rand(1, 2, 4), torch.rand(1, 1, 4)))
    assert layer.updates == 2 and counts.macs == 2 * 1 * 4 * 2 * (2 + 1)


def test_patterns_that_are_learned_are_no_arithmetic_of_their_own():
    layer = nn.ModuleList([rv.nn.HopfieldPooling(4), rv.nn.HopfieldLookup(4, normalize=False)])
    with count_operations(layer) as counts:
        layer[1](torch.rand(1, 2, 4))
    assert counts.uncounted == tuple(f"0.hopfield.norm_{k}: LayerNorm" for k in ("stored", "state", "projection"))
    # two states meet one stored pattern; key and value of that, queries of the states, and the way out
    assert counts.macs == 2 * 2 * 4 + 2 * 4 * 4 + 2 * (2 * 4 * 4)


def test_counting_changes_neither_outputs_nor_gradients_of_these_layers():
    for make in (lambda: rv.nn.LTC(3, 4), lambda: rv.nn.CfC(3, 4), lambda: rv.nn.ELM(3, 2),
                 lambda: rv.nn.AstrocyteLIF(3, 4, astrocytes=2)):  # fmt: skip
        torch.manual_seed(0)
        layer, x = make(), torch.rand(T, B, 3)
        plain, _ = layer(x)
        plain.square().sum().backward()
        expected = [None if p.grad is None else p.grad.clone() for p in layer.parameters()]
        layer.zero_grad()
        with count_operations(layer) as counts:
            y, _ = layer(x)
            y.square().sum().backward()
        assert y.equal(plain) and counts.activation_bytes > 0
        assert all(g is None or p.grad.equal(g) for p, g in zip(layer.parameters(), expected, strict=True))
