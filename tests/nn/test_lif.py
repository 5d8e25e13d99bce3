"""LIF layers: laws, a plain re-derivation, the library's own LIF, closed forms, refusals."""

import math

import pytest
import torch

import ranvier as rv
from ranvier.engines.surrogates import ArcTan, Triangle
from tests.laws.cells import check_cell
from tests.laws.oracles import oracle
from tests.nn.layers import F64, VARIANTS, drive, layer


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_lawful_cell(name, fused):
    cell = layer(name, fused=fused)
    check_cell(cell, drive(24, 3, 7), list(cell.parameters()))


@pytest.mark.parametrize("fused", [True, False])
def test_layers_in_a_row_are_a_lawful_cell(fused):
    torch.manual_seed(0)
    model = rv.nn.Sequential(
        rv.nn.LIF(7, 9, recurrent=True, fused=fused), torch.nn.Linear(9, 6), rv.nn.LIF(6, fused=fused),
        rv.nn.LI(6, 3, alpha=0.5, learn=("beta", "alpha"), fused=fused),
    ).double()  # fmt: skip
    check_cell(model, drive(24, 3, 7, 4.0), list(model.parameters()))


@oracle
def by_hand(options: dict, x, weight, recurrent, beta, threshold):
    """One neuron at a time, in Python numbers, from the equations in the papers."""
    steps, batch, size = x.shape[0], x.shape[1], weight.shape[0]
    alpha, (rho, kappa) = options.get("alpha", 0.0), options.get("adaptation", (0.0, 0.0))
    out = torch.zeros(steps, batch, size, dtype=F64)
    for b in range(batch):
        u, i, a, spikes = [0.0] * size, [0.0] * size, [0.0] * size, [0.0] * size
        delays = torch.as_tensor(options.get("recurrent_delay", 1)).expand(size).tolist()
        for t in range(steps):
            last = list(spikes)
            arriving = [float(out[t - d, b, k]) if t >= d else 0.0 for k, d in enumerate(delays)]
            for n in range(size):
                current = sum(float(weight[n, k]) * float(x[t, b, k]) for k in range(x.shape[2]))
                if options.get("recurrent"):
                    current += sum(float(recurrent[n, k]) * arriving[k] for k in range(size))
                i[n] = alpha * i[n] + current
                reset = options.get("reset", "subtract")
                if reset == "delayed":
                    u[n] = beta * u[n] + i[n] - threshold * last[n]
                else:
                    after = u[n] - threshold * last[n] if reset == "subtract" else u[n] * (1 - last[n])
                    u[n] = beta * after + i[n]
                spikes[n] = float(u[n] >= threshold + kappa * a[n])
                a[n] = rho * a[n] + spikes[n]
                out[t, b, n] = spikes[n]
    return out


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_spikes_agree_with_a_plain_re_derivation(name, fused):
    cell = layer(name, bias=False, beta=0.8, threshold=0.7, fused=fused)
    x = drive(30, 2, 7)
    y, _ = cell(x)
    recurrent = None if cell.recurrent is None else cell.recurrent.detach()
    expected = by_hand(VARIANTS[name], x, cell.linear.weight.detach(), recurrent, 0.8, 0.7)
    assert 20 < expected.sum() < 0.9 * expected.numel()
    assert torch.equal(y, expected)


@oracle
def backwards(u, weights, beta, threshold, reset):
    """d(Σ weights y)/dx by hand, backwards in time; dy/du = max(0, 1 − |u − threshold|), no gradient by the reset's y.

    dv/du is 1 where the reset subtracts (delayed or not), 1 − y where it goes to 0.
    """
    gradient, carry = torch.zeros_like(u), torch.zeros_like(u[0])
    for t in reversed(range(len(u))):
        distance = u[t] - threshold
        passes = 1 - (distance >= 0).to(u) if reset == "zero" else 1.0
        carry = weights[t] * (1 - distance.abs()).clamp(min=0) + beta * passes * carry
        gradient[t] = carry
    return gradient


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("reset", ["subtract", "zero", "delayed"])
def test_no_gradient_passes_through_the_reset(reset, fused):
    x, beta, threshold = drive(25, 2, 4, 1.1), 0.83, 0.71
    y, _ = rv.nn.LIF(
        4, beta=beta, threshold=threshold, reset=reset, surrogate=Triangle(1.0), dtype=F64, fused=fused
    )(x.requires_grad_())  # fmt: skip
    u, v, last = [], torch.zeros(2, 4, dtype=F64), torch.zeros(2, 4, dtype=F64)
    for row in x.detach():
        u.append(beta * v + row - (threshold * last if reset == "delayed" else 0))
        last = (u[-1] >= threshold).to(F64)
        v = {"subtract": u[-1] - threshold * last, "zero": u[-1] * (1 - last), "delayed": u[-1]}[reset]
    u = torch.stack(u)
    weights = torch.randn(25, 2, 4, dtype=F64, generator=torch.Generator().manual_seed(3))
    (gradient,) = torch.autograd.grad((weights * y).sum(), x)
    assert 40 < y.sum() < 160 and torch.equal(y.detach(), (u >= threshold).to(F64))
    torch.testing.assert_close(gradient, backwards(u, weights, beta, threshold, reset), rtol=1e-10, atol=1e-12)


def test_it_is_the_librarys_lif():
    """beta = exp(−dt/tau_m), x = (1 − beta) drive, reset to rest: the spikes of `rv.simulate`."""
    drives = torch.linspace(10.0, 40.0, 16, dtype=F64)
    net = rv.Network()
    net.add(rv.LIF(tau_m=20.0, E_L=0.0, V_reset=0.0, V_th=15.0, t_ref=0.0), 16, drive=drives)
    recording = rv.simulate(net, 200.0, dt=0.5, dtype=F64)
    beta = math.exp(-0.5 / 20.0)
    cell = rv.nn.LIF(16, beta=beta, threshold=15.0, reset="zero", dtype=F64)
    y, _ = cell(((1 - beta) * drives).expand(400, 1, 16))
    counts = torch.bincount(recording.neurons.long(), minlength=16)
    assert counts.max() > 10 and torch.equal(y.sum((0, 1)).long(), counts)
    steps = (recording.times / 0.5).round().long() - 1
    assert torch.equal(y[steps, 0, recording.neurons.long()], torch.ones(len(steps), dtype=F64))


def test_intervals_under_constant_input_follow_the_closed_form():
    """u_n = x (1 − beta^n)/(1 − beta) from 0: the first n that reaches the threshold is the interval."""
    beta, x = 0.9, torch.tensor([0.12, 0.2, 0.35, 0.8], dtype=F64)
    interval = (torch.log(1 - (1 - beta) / x) / math.log(beta)).ceil()
    y, _ = rv.nn.LIF(4, beta=beta, reset="zero", dtype=F64)(x.expand(200, 1, 4))
    for n in range(4):
        assert torch.equal(y[:, 0, n].nonzero()[:, 0].diff().unique(), interval[n : n + 1].long())


def test_integrators_are_geometric_sums():
    x = drive(20, 2, 3)
    y, state = rv.nn.LI(3, beta=0.8, dtype=F64)(x)
    powers = 0.8 ** torch.arange(19, -1, -1, dtype=F64)
    torch.testing.assert_close(y[-1], (powers[:, None, None] * x).sum(0))
    assert torch.equal(state["v"], y[-1])


def test_parameters_may_be_one_a_neuron():
    betas = torch.linspace(0.1, 0.95, 6, dtype=F64)
    cell = rv.nn.LIF(6, beta=betas, learn="beta", dtype=F64)
    x = drive(30, 2, 6)
    whole, _ = cell(x)
    for n in range(6):
        alone, _ = rv.nn.LIF(1, beta=float(betas[n]), dtype=F64)(x[:, :, n : n + 1])
        assert torch.equal(whole[:, :, n : n + 1], alone)
    assert cell.beta.shape == (6,) and [name for name, _ in cell.named_parameters()] == ["beta"]


def test_a_learned_decay_is_kept_in_bounds_and_can_return():
    cell = rv.nn.LIF(3, learn="beta", dtype=F64)
    x = drive(20, 2, 3)
    with torch.no_grad():
        cell.beta.fill_(1.2)
    y, _ = cell(x)
    assert torch.equal(y, rv.nn.LIF(3, beta=1.0, dtype=F64)(x)[0])
    y.sum().backward()
    assert cell.beta.grad.abs() > 0


def test_the_state_dict_holds_parameters_and_no_state():
    cell = layer("all")
    before = {k: v.clone() for k, v in cell.state_dict().items()}
    assert set(before) == {
        "linear.weight", "linear.bias", "recurrent", "beta", "threshold", "alpha", "rho", "kappa",
    }  # fmt: skip
    cell(drive(10, 2, 7))
    assert all(torch.equal(before[k], v) for k, v in cell.state_dict().items())


def test_two_layers_share_no_state():
    x = drive(20, 2, 5)
    one, two = rv.nn.LIF(5, dtype=F64), rv.nn.LIF(5, dtype=F64)
    expected, _ = one(x)
    two(3 * x)
    assert torch.equal(one(x)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16])
def test_dtype_is_kept(dtype):
    cell = rv.nn.LIF(4, 3, dtype=dtype)
    y, state = cell(torch.ones(5, 2, 4, dtype=dtype))
    assert y.dtype == state["v"].dtype == cell.linear.weight.dtype == dtype


def test_device_argument_reaches_every_tensor():
    cell = rv.nn.LIF(4, 3, alpha=0.5, recurrent=True, device="meta")
    assert {t.device.type for t in cell.state_dict().values()} == {"meta"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1.1}, r"beta is 1.1; expected a number in \[0, 1\]"),
        ({"threshold": 0.0}, "threshold is 0; expected a number above 0"),
        ({"beta": torch.ones(4)}, "expected a number or"),
        ({"reset": "none"}, "expected one of"),
        ({"learn": ("tau",)}, "names among"),
        ({"learn": ("alpha",)}, "names among"),
        ({"beta": 0.0, "reset": "delayed"}, r"beta is 0; expected a number in \(0, 1\]: use reset=\"subtract\""),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rv.nn.LIF(7, 5, **options)


@pytest.mark.parametrize("fused", [True, False])
def test_bad_input_is_refused(fused):
    cell = rv.nn.LIF(7, 5, fused=fused)
    for shape in [(4, 2, 6), (0, 2, 7), (4, 7), (4, 2, 7, 1)]:
        with pytest.raises(ValueError, match=r"expected \(T, B, 7\)"):
            cell(torch.zeros(shape))
    with pytest.raises(ValueError, match="float64"):
        cell(torch.zeros(4, 2, 7, dtype=F64))
    x = torch.zeros(4, 2, 7)
    x[2, 1, 3] = math.nan
    with pytest.raises(ValueError, match="nan in x at step 2, batch 1, feature 3"):
        cell(x)
    x[2, 1, 3] = math.inf
    with pytest.raises(ValueError, match="inf in x at step 2, batch 1, feature 3"):
        cell(x)
    with pytest.raises(ValueError, match="expected \\(3, 5\\)"):
        cell(torch.zeros(4, 3, 7), cell.init_state(2))
    with pytest.raises(ValueError, match="of another layer"):
        cell(torch.zeros(4, 3, 7), rv.nn.LIF(7, 5, alpha=0.5).init_state(3))
    with torch.no_grad():
        cell.linear.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="though x is finite"):
        cell(torch.ones(4, 2, 7))


def test_gradients_of_subthreshold_neurons_are_those_of_finite_differences():
    # without spikes and with slopes nearly zero the step is smooth
    cell = rv.nn.LIF(4, 3, alpha=0.6, threshold=1e6, surrogate=ArcTan(width=1e-9), dtype=F64)

    def last(x, weight):
        _, state = torch.func.functional_call(cell, {"linear.weight": weight}, (x,))
        return state["v"]

    x, weight = drive(6, 2, 4).requires_grad_(), cell.linear.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(last, (x, weight))
