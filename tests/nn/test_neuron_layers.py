"""Layers from equations: laws; compiled against autograd; against the torch engine and `rv.simulate`."""

import math

import pytest
import torch

import ranvier as rv
from tests.laws.cells import check_cell
from tests.nn.layers import F64
from tests.nn.test_fused import outcome


class Odd(rv.Neuron):
    """Every function that equations may use, and a threshold from below that must be passed."""

    equations = rv.Equations(
        """dV/dt = (I + drive - V - k*tanh(w) + 0.1*sin(V) + max(0, V - 3)/4 + where(V > 1, exp(-V*V), cos(w)))/tau
        dw/dt = (abs(V) - w + log(1 + V*V) + sqrt(2 + w*w) - 1.5 + 0.2*exprel(V/3) + sinh(w/9)*cosh(w/9))/(3*tau)""",
        threshold="-V < -V_th",
        reset="V = V_reset + 0.1*w; w = w + b",
        refractory="t_ref",
    )
    initial = {"V": "V_reset", "w": 0.5}
    tau: float = 5.0
    k: float = 1.5
    b: float = 0.3
    V_th: float = 4.0
    V_reset: float = -1.0
    t_ref: float = 1.0


#: neuron, dt (ms), the input's scale (mV), method
CASES = {
    "LIF": (rv.LIF(t_ref=2.0), 0.5, 60.0, None),
    "EIF": (rv.EIF(V_th=-40.0), 0.2, 60.0, None),
    "EIF-euler": (rv.EIF(V_th=-40.0), 0.2, 60.0, "euler"),
    "QIF": (rv.QIF(tau_m=10.0), 0.5, 120.0, "heun"),
    "AdEx": (rv.AdEx(C_m=200.0, V_th=-40.0), 0.5, 80.0, None),
    "AdEx-euler": (rv.AdEx(C_m=200.0, V_th=-40.0), 0.5, 80.0, "euler"),
    "Izhikevich": (rv.Izhikevich(), 0.5, 30.0, None),
    "HodgkinHuxley": (rv.HodgkinHuxley(), 0.05, 80.0, None),
    "Graded": (rv.Graded(), 0.5, 10.0, None),
    "Odd": (Odd(), 0.3, 12.0, None),
}
UNLEARNED = {"noise", "s", "t_ref", "t_spike"}


def build(name: str, inputs=4, outputs=None, **more):
    neuron, dt, scale, method = CASES[name]
    learn = tuple(p for p in neuron.equations.parameters if p not in UNLEARNED)
    options = {"dt": dt, "method": method, "learn": learn, "dtype": F64} | more
    torch.manual_seed(0)
    return rv.nn.from_neuron(neuron, inputs, outputs, **options), scale


def current(scale: float, steps: int = 60, size: int = 4) -> torch.Tensor:
    return scale * torch.rand(steps, 3, size, dtype=F64, generator=torch.Generator().manual_seed(2))


SYNAPSES = {"current": (None, 1.0), "filtered": (rv.Exponential(tau=5.0), 4.0), "jump": (rv.Delta(), 0.15)}
# every neuron, every way in: their codes are set side by side, and compiling all pairs takes two minutes
PAIRS = [(name, way) for k, name in enumerate(CASES) for j, way in enumerate(SYNAPSES)
         if name in ("LIF", "Izhikevich") or j == k % 3]  # fmt: skip


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_both_paths_agree(name, way):
    synapse, factor = SYNAPSES[way]
    cell, scale = build(name, synapse=synapse)
    x = current(factor * scale)
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True, state=cell.init_state(3)), outcome(
        cell, x, False, state=cell.init_state(3)
    )
    assert name == "Graded" or 3 <= plain[0].sum() < 0.9 * plain[0].numel()
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    for a, b in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_every_neuron_is_a_lawful_cell(name, fused):
    cell, scale = build(name, fused=fused)
    check_cell(cell, current(scale), list(cell.parameters()))


def test_weights_and_recurrent_connections_with_delays():
    cell, _ = build("AdEx", 6, 5, synapse=rv.Exponential(tau=5.0))
    again = rv.nn.from_neuron(
        CASES["AdEx"][0], 6, 5, dt=0.5, synapse=rv.Exponential(tau=5.0), recurrent=True, recurrent_delay=3, dtype=F64
    )
    with torch.no_grad():
        for layer in (cell, again):
            layer.linear.weight.copy_(200 * torch.rand(5, 6, generator=torch.Generator().manual_seed(1)))
        again.recurrent.mul_(300.0)
    x = (current(1.0, 60, 6) > 0.7).double()
    check_cell(again, x, list(again.parameters()))
    (ours, our_grads), (plain, plain_grads) = (
        outcome(again, x, fused, state=again.init_state(3)) for fused in (True, False)
    )
    torch.testing.assert_close(ours[0], plain[0])
    for a, b in zip(our_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8 * float(b.abs().max()))
    assert not torch.equal(plain[0], cell(x)[0])


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_torch_engines_step(name):
    """The same currents into a network of such neurons: the same output, and gradients by their parameters."""
    neuron, dt, scale, method = CASES[name]
    x = current(scale)
    cell, _ = build(name, learn=())
    learned = {p: torch.tensor(float(v), dtype=F64, requires_grad=True) for p, v in neuron.parameters.items()
               if p in neuron.equations.parameters and p not in UNLEARNED}  # fmt: skip
    net = rv.Network()
    net.add(type(neuron)(**{**neuron.parameters, **learned}), 4, method=method)
    expected, _ = rv.as_cell(net, dt, dtype=F64)(x)
    y, _ = cell(x)
    torch.testing.assert_close(y, expected.detach(), rtol=1e-9, atol=1e-9)
    cell, _ = build(name, learn=tuple(learned))
    y, _ = cell(x)
    generator = torch.rand(y.shape, dtype=F64, generator=torch.Generator().manual_seed(5))
    ours = torch.autograd.grad((y * generator).sum(), [getattr(cell, p) for p in learned], allow_unused=True)
    theirs = torch.autograd.grad((expected * generator).sum(), list(learned.values()), allow_unused=True)
    result = 0
    for a, b in zip(ours, theirs, strict=True):
        if b is not None and b.abs() > 0:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)
            result += 1
    assert result > 2 or name == "Graded"


def test_spikes_are_those_of_simulate():
    drives = torch.linspace(12.0, 40.0, 8, dtype=F64)
    neuron = rv.AdEx(V_th=-40.0)
    net = rv.Network()
    net.add(neuron, 8, drive=drives)
    recording = rv.simulate(net, 200.0, dt=0.1, dtype=F64)
    y, _ = rv.nn.from_neuron(neuron, 8, dt=0.1, drive=drives, dtype=F64)(torch.zeros(2000, 1, 8, dtype=F64))
    steps, _, neurons = y.nonzero().T
    assert len(steps) > 30
    assert torch.equal(neurons, recording.neurons.long()) or sorted(
        zip(steps.tolist(), neurons.tolist(), strict=True)
    ) == sorted(zip(((recording.times / 0.1).round().long() - 1).tolist(), recording.neurons.tolist(), strict=True))


@pytest.mark.parametrize(
    ("synapse", "weight"),
    [(rv.Delta(), 6.0), (rv.Exponential(tau=4.0), 150.0), (rv.ExponentialConductance(tau=3.0, E_rev=0.0), 6.0)],
    ids=["jump", "current", "conductance"],
)
def test_weights_are_those_of_a_networks_synapses(synapse, weight):
    """Spikes of sources through a projection of the compiled engine, jumps that meet a refractory neuron among them."""
    spikes = torch.rand(300, 5, generator=torch.Generator().manual_seed(3)) < 0.3
    spikes[0] = False  # a spike at t = 0 would come before the first step
    steps, sources = spikes.nonzero().T
    net = rv.Network()
    neuron = rv.LIF(t_ref=2.0)
    source = net.add(rv.SpikeTimes(times=0.5 * steps.double(), neurons=sources), 5)
    cells = net.add(neuron, 5)
    net.connect(source, cells, weight=weight, delay=0.5, synapse=synapse, edges=(torch.arange(5), torch.arange(5)))
    recording = rv.simulate(net, 150.0, dt=0.5, dtype=F64)
    ours = recording.neurons >= 5
    x = torch.zeros(300, 1, 5, dtype=F64)
    x[1:, 0] = weight * spikes[:-1].double()
    y, _ = rv.nn.from_neuron(neuron, 5, dt=0.5, synapse=synapse, dtype=F64)(x)
    expected = torch.zeros_like(y)
    expected[(recording.times[ours] / 0.5).round().long() - 1, 0, recording.neurons[ours].long() - 5] = 1
    assert expected.sum() > 20 and torch.equal(y.detach(), expected)


def test_a_filtered_input_has_the_area_of_its_weight():
    """Σ V dt of a membrane far from threshold after one weight w: w, as an area in mV·ms says."""
    neuron = rv.LIF(V_th=1e6)
    for synapse, area in ((rv.Exponential(tau=5.0), 3.0), (rv.Delta(), 3.0 * 20.0)):
        cell = rv.nn.from_neuron(neuron, 1, dt=0.05, synapse=synapse, dtype=F64)
        x = torch.zeros(8000, 1, 1, dtype=F64)
        x[0] = 3.0
        total, state = 0.0, cell.init_state(1)
        for row in x.split(40):
            _, state = cell(row, state)
            total += 40 * 0.05 * float(state["V"] + 65.0)
        assert math.isclose(total, area, rel_tol=0.05)


def test_float32_and_inference():
    neuron = rv.EIF(V_th=-40.0)
    cell = rv.nn.from_neuron(neuron, 300, dt=0.2)
    x = current(60.0, 50, 300).float()
    ours, state = cell(x)
    assert ours.dtype == state["V"].dtype == torch.float32
    cell.fused = False
    plain, _ = cell(x)
    assert plain.dtype == torch.float32
    assert (ours != plain).float().mean() < 1e-3 and ours.sum() > 100


def test_parameters_may_be_one_a_neuron_or_a_channel():
    taus = torch.tensor([5.0, 10.0, 30.0], dtype=F64)
    x = current(60.0, 60, 6).unflatten(2, (3, 2))
    cell = rv.nn.from_neuron(rv.LIF(tau_m=taus[:, None]), (3, 2), dt=0.5, learn="tau_m", dtype=F64)
    y, _ = cell(x)
    for c in range(3):
        alone, _ = rv.nn.from_neuron(rv.LIF(tau_m=float(taus[c])), 2, dt=0.5, dtype=F64)(x[:, :, c])
        assert torch.equal(y[:, :, c], alone)
    y.sum().backward()
    assert cell.tau_m.grad.shape == (3, 1) and (cell.tau_m.grad != 0).all()
    open_shape, _ = rv.nn.from_neuron(rv.LIF(tau_m=taus[:, None]), dt=0.5, dtype=F64)(x)
    assert torch.equal(open_shape, y)


def test_coefficients_follow_the_parameters():
    """What is kept from call to call is made again when a parameter changes."""
    cell = rv.nn.from_neuron(rv.LIF(), 4, dt=0.5, learn="tau_m", dtype=F64)
    x = current(60.0)
    with torch.no_grad():
        before, _ = cell(x)
        again, _ = cell(x)
        cell.tau_m.fill_(60.0)
        after, _ = cell(x)
    assert torch.equal(before, again) and not torch.equal(before, after)
    assert torch.equal(after, rv.nn.from_neuron(rv.LIF(tau_m=60.0), 4, dt=0.5, dtype=F64)(x)[0])
    assert set(cell.state_dict()) == {"tau_m", "E_L", "V_th", "V_reset", "t_ref", "drive"}


def test_it_trains():
    """The parameter that made a target rate is approached."""
    x = current(80.0, 100, 20)
    target = rv.nn.from_neuron(rv.LIF(V_th=-55.0), 20, dt=0.5, dtype=F64)(x)[0].mean()
    cell = rv.nn.from_neuron(rv.LIF(), 20, dt=0.5, learn="V_th", dtype=F64)
    optimizer = torch.optim.Adam(cell.parameters(), 0.5)
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        loss = (cell(x)[0].mean() - target).square()
        loss.backward()
        optimizer.step()
        first = first or float(loss.detach())
    assert abs(float(cell.V_th.detach()) + 55.0) < 2.0 and float(loss.detach()) < 0.05 * first


class Silent(rv.Neuron):
    """No input."""

    equations = rv.Equations("dV/dt = (drive - V)/tau_m : mV", threshold="V >= V_th", reset="V = 0")
    tau_m: float = 10.0
    V_th: float = 1.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="dt"):
        rv.nn.from_neuron(rv.LIF(), 4, dt=0.0)
    with pytest.raises(TypeError, match="with equations"):
        rv.nn.from_neuron(rv.Poisson(), 4, dt=0.1)
    with pytest.raises(ValueError, match="without an input I"):
        rv.nn.from_neuron(Silent(), 4, dt=0.1)
    with pytest.raises(ValueError, match="spikes act on"):
        rv.nn.from_neuron(rv.Graded(), 4, dt=0.1, synapse=rv.Electrical())
    with pytest.raises(ValueError, match="method"):
        rv.nn.from_neuron(rv.EIF(), 4, dt=0.1, method="leapfrog")
    with pytest.raises(ValueError, match="names among"):
        rv.nn.from_neuron(rv.LIF(), 4, dt=0.1, learn="tau")
    cell = rv.nn.from_neuron(rv.LIF(), 4, dt=0.1)
    x = torch.zeros(5, 2, 4)
    for shape in [(5, 2, 3), (0, 2, 4), (5, 4)]:
        with pytest.raises(ValueError, match=r"expected \(T, B, 4\)"):
            cell(torch.zeros(shape))
    for bad in (math.nan, math.inf):
        x[1, 0, 2] = bad
        with pytest.raises(ValueError, match="in x at step 1, batch 0, feature 2"):
            cell(x)
    assert rv.nn.from_neuron(Silent(), 4, dt=0.1, synapse=rv.Delta())(torch.ones(9, 1, 4))[0].any()
