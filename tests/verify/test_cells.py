"""Bounds on our own cells hold over time: against runs of the layers themselves, closed forms, and exhaustion."""

import itertools

import pytest
import torch
from torch import nn

import ranvier as rv
from ranvier import verify
from ranvier.energies import ContinuousHopfield, ModernHopfield
from ranvier.energies import Hopfield as Binary
from ranvier.energies.graphs.lagrangians import Tanh


def runs(cell: nn.Module, lower, upper, count: int = 300, spans=None, state=None):
    """Outputs (T, count, outputs) of the layer as it runs, a third of the inputs at corners."""
    g = torch.Generator().manual_seed(0)

    def between(a, b):
        share = torch.rand(count, *a.shape, generator=g, dtype=torch.float64)
        share[::3] = share[::3].round()
        return a + (b - a) * share

    x = between(lower, upper).transpose(0, 1)
    options = {}
    if spans is not None:
        options["timespans"] = between(*spans).T
    start = None if state is None else {name: between(*r) for name, r in state.items()}
    with torch.no_grad():
        y = cell.double()(x, start, **options)
    return y[0] if isinstance(y, tuple) else y


CELLS = {
    "ltc": lambda: rv.nn.LTC(2, 3, unfolds=1), "cfc": lambda: rv.nn.CfC(2, 3, backbone=(4,)),
    "cfc pure": lambda: rv.nn.CfC(2, 3, backbone=(4,), mode="pure"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CELLS))
def test_liquid_cells_over_tubes_of_inputs_spans_and_states(name: str):
    torch.manual_seed(0)
    cell = CELLS[name]()
    centre = torch.randn(2, 2).double()
    lower, upper = centre - 0.1, centre + 0.1
    spans = torch.full((2,), 0.9).double(), torch.full((2,), 1.1).double()
    key = cell.state_name
    state = {key: (torch.full((cell.units,), -0.1).double(), torch.full((cell.units,), 0.1).double())}
    y = runs(cell, lower, upper, spans=spans, state=state)
    low, high = verify.tube(cell, lower, upper, spans=spans, state=state)
    assert bool((y >= low[:, None]).all() & (y <= high[:, None]).all())
    assert float((y.amax(1) - y.amin(1)).mean()) > 0.1 * float((high - low).mean())


def test_spikes_that_no_perturbation_changes():
    torch.manual_seed(1)
    layer = rv.nn.LIF(3, 6, recurrent=True, beta=0.8)
    layer.linear.weight.data *= 3
    x = torch.randn(5, 3).double()
    certificate = verify.spike_certificate(layer, x, 0.02)
    y = runs(layer, x - 0.02, x + 0.02)
    by_neuron = y.transpose(1, 2)
    assert bool((by_neuron[certificate.always] == 1).all()) and bool((by_neuron[certificate.never] == 0).all())
    assert certificate.certain > 0.5 and bool(certificate.always.any())
    changed = y.amax(1) != y.amin(1)
    assert not bool((changed & ~certificate.open).any())
    assert verify.spike_certificate(layer, x, 0.0).certain == 1.0
    assert verify.spike_certificate(layer, x, 50.0).certain < 0.5


def test_the_certified_radius_of_one_neuron_is_its_distance_to_the_threshold():
    """u = beta v + x, threshold 1: inputs .3, .3 with beta .5 leave u = .3, .45; a radius r adds r, then 1.5 r."""
    layer = rv.nn.LIF(1, beta=0.5)
    x = torch.full((2, 1), 0.3).double()
    radius = verify.certified_radius(layer, x, halvings=20)
    assert radius == pytest.approx(0.55 / 1.5, rel=1e-4)
    assert radius <= 0.55 / 1.5


def test_a_layer_without_spikes_has_no_certificate():
    with pytest.raises(ValueError, match="expected spikes"):
        verify.spike_certificate(nn.Linear(2, 2), 5 * torch.ones(1, 2), 0.1)
    with pytest.raises(ValueError, match="radius"):
        verify.spike_certificate(rv.nn.LIF(2), torch.ones(1, 2), -1.0)
    with pytest.raises(ValueError, match="ranges above 0"):
        verify.tube(rv.nn.CfC(2, 2), torch.zeros(2, 2), torch.ones(2, 2), spans=(torch.zeros(2), torch.ones(2)))


@pytest.mark.parametrize("leak", [1.0, 0.3])
def test_reservoirs_contract_as_certified(leak: float):
    g = torch.Generator().manual_seed(2)
    W = torch.randn(40, 40, generator=g, dtype=torch.float64)
    W = 0.9 * W / torch.linalg.matrix_norm(W, 2)
    result = verify.contraction(W, leak=leak)
    assert result.certain and result.rate == pytest.approx(1 - leak + 0.9 * leak, rel=0.2)
    a, b = (torch.rand(50, 40, generator=g, dtype=torch.float64) * 2 - 1 for _ in range(2))

    def norm(d):
        return (d * result.weights).norm(dim=1) if result.euclidean else (d.abs() / result.weights).amax(1)

    for _ in range(20):
        drive = torch.randn(40, generator=g, dtype=torch.float64)
        before = norm(a - b)
        a, b = ((1 - leak) * r + leak * torch.tanh(r @ W.T + drive) for r in (a, b))
        assert bool((norm(a - b) <= result.rate * before + 1e-15).all())


def test_what_does_not_contract_is_not_certified():
    assert not verify.contraction(1.5 * torch.eye(3)).certain
    assert verify.contraction(0.999 * torch.eye(3)).certain
    turn = torch.tensor([[0.0, 3.0], [0.1, 0.0]])  # spectral radius .55, norm 3: a scaled norm shows it
    assert verify.contraction(turn).rate == pytest.approx(0.3**0.5, rel=1e-2)
    strong = torch.full((2,), 6.0)  # deep in saturation even a large weight contracts
    gains = verify.tanh_gains(2 * torch.eye(2), strong, strong)
    assert verify.contraction(2 * torch.eye(2), gains=gains).certain
    with pytest.raises(ValueError, match="expected a finite"):
        verify.contraction(torch.ones(2, 3))


def test_hopfield_basins_against_all_states():
    torch.manual_seed(3)
    patterns = torch.sign(torch.randn(2, 11))
    network = Binary.store(patterns)
    radii = verify.hopfield_radius(network, patterns)
    for pattern, radius in zip(patterns, radii.tolist(), strict=True):
        assert radius >= 1
        for count in range(radius + 1):
            for flipped in itertools.combinations(range(11), count):
                state = pattern.clone()
                state[list(flipped)] *= -1
                for synchronous in (True, False):
                    settled = network.settle(state[None], synchronous=synchronous, max_sweeps=3).x[0]
                    assert torch.equal(settled, pattern)
        # one more flip, the worst: some unit is not set right at once
        support = network.weight * pattern[:, None] * pattern
        worst = support.sort(1, descending=True)
        unit = int((support.sum(1) - 2 * worst.values[:, : radius + 1].clamp(min=0).sum(1)).argmin())
        state = pattern.clone()
        state[worst.indices[unit, : radius + 1]] *= -1
        assert float((network.weight @ state)[unit] * pattern[unit]) <= 1e-6
    assert verify.hopfield_radius(Binary(torch.zeros(3, 3)), torch.ones(1, 3)).tolist() == [-1]


def test_continuous_and_modern_basins_hold_their_runs():
    W = torch.tensor([[0.0, 2.0], [2.0, 0.0]]).double()
    network = ContinuousHopfield(W, lagrangian=Tanh(1.0))
    u = torch.ones(2).double()
    for _ in range(200):
        u = W @ torch.tanh(u)
    radius = verify.continuous_basin(network, u)
    assert 0.3 < radius < float(u[0])  # the saddle at 0 bounds it
    start = u + radius * (2 * torch.rand(500, 2).double() - 1)
    x = start
    for _ in range(4000):
        x = x + 0.01 * network.force(x)
        assert bool(((x - u).abs() <= radius + 1e-9).all())
    torch.testing.assert_close(x, u.expand_as(x), atol=1e-6, rtol=0)
    assert verify.continuous_basin(network, torch.zeros(2)) == 0.0

    torch.manual_seed(5)
    patterns = torch.sign(torch.randn(4, 16)).double()
    modern = ModernHopfield(patterns, beta=2.0)
    radius = verify.modern_basin(modern, patterns[0])
    assert radius > 0.2
    state = patterns[0] + radius * torch.sign(torch.randn(300, 16)).double()
    assert bool(((modern.update(state, 1) - patterns[0]).abs() <= radius + 1e-12).all())
