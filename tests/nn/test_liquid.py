"""Liquid and closed-form cells: laws, the equation, bounds, gradients of the compiled loops, time spans."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import ranvier as rv
from ranvier.nn import LTC as Liquid
from ranvier.nn import AutoNCP, CfC, FullyConnected
from tests.laws.cells import check_cell

F64 = torch.float64
VARIANTS = {
    "full": lambda **o: Liquid(5, 9, **o),
    "ncp": lambda **o: Liquid(5, AutoNCP(12, 3), **o),
    "clamp": lambda **o: Liquid(5, FullyConnected(8, 2, self_connections=False), constraint="clamp", unfolds=3, **o),
    "mixed": lambda **o: Liquid(5, AutoNCP(12, 3), mixed_memory=True, projection=2, **o),
    "timed": lambda **o: Liquid(4, 9, timed=True, **o),
    "cfc": lambda **o: CfC(5, 9, **o),
    "cfc_deep": lambda **o: CfC(5, 9, backbone=(8, 7), activation="tanh", mode="no_gate", **o),
    "cfc_ncp": lambda **o: CfC(5, AutoNCP(12, 3), **o),
    "cfc_mixed": lambda **o: CfC(5, 9, backbone=(), mixed_memory=True, projection=2, **o),
}


def cell(name, **options):
    torch.manual_seed(0)
    return VARIANTS[name](**{"dtype": F64, **options})


def inputs(name, steps=9, batch=3):
    x = torch.randn(steps, batch, 5, dtype=F64, generator=torch.Generator().manual_seed(1))
    return torch.cat([x[..., :-1], x[..., -1:].abs() + 0.1], 2) if name == "timed" else x


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_laws(name, fused):
    layer = cell(name, fused=fused)
    learned = [p for k, p in layer.named_parameters() if k != "A"]
    check_cell(layer, inputs(name), learned)


def outcome(layer, x, spans, fused):
    layer.fused = fused
    x, spans = x.clone().requires_grad_(), spans.clone().requires_grad_()
    random = torch.Generator().manual_seed(3)

    def draw(like):
        return torch.randn(like.shape, dtype=F64, generator=random).to(like.dtype)

    state = {k: draw(v).requires_grad_() for k, v in layer.init_state(x.shape[1]).items()}
    y, last = layer(x, state, spans)
    loss = (y * draw(y)).sum()
    for value in last.values():
        loss = loss + (value * draw(value)).sum()
    grads = torch.autograd.grad(loss, [x, spans, *state.values(), *layer.parameters()])
    return [y.detach(), *(v.detach() for v in last.values()), *grads]


@pytest.mark.parametrize("batch", [3, 70])  # within one block of lanes; two blocks and a rest
@pytest.mark.parametrize("name", [n for n in VARIANTS if n != "timed"])
def test_compiled_loops_agree_with_autograd(name, batch):
    layer, x = cell(name), inputs(name, 6, batch)
    spans = 0.1 + 2 * torch.rand(6, batch, dtype=F64, generator=torch.Generator().manual_seed(2))
    for ours, plain in zip(outcome(layer, x, spans, True), outcome(layer, x, spans, False), strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["full", "ncp", "cfc", "cfc_ncp"])
def test_float32_is_near_float64(name):
    layer, x = cell(name), inputs(name, 30, 40)
    spans = 0.1 + 2 * torch.rand(30, 40, dtype=F64, generator=torch.Generator().manual_seed(2))
    exact = outcome(layer, x, spans, False)
    for ours, plain in zip(outcome(layer.float(), x.float(), spans.float(), True), exact, strict=True):
        torch.testing.assert_close(ours.double(), plain, rtol=0, atol=2e-5 * float(plain.abs().max()))


def test_threads_change_no_bit():
    layer, x = cell("ncp"), inputs("ncp", 20, 200)
    spans = torch.ones(20, 200, dtype=F64)
    one = outcome(layer, x, spans, True)
    torch.set_num_threads(2)
    try:
        two = outcome(layer, x, spans, True)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_inference_keeps_nothing_and_has_the_same_values():
    layer, x = cell("full"), inputs("full")
    with torch.no_grad():
        y, state = layer(x)
    again, state_again = layer(x)
    torch.testing.assert_close(y, again.detach(), rtol=0, atol=1e-14)
    torch.testing.assert_close(state["v"], state_again["v"].detach(), rtol=0, atol=1e-14)


# -- the equation ----------------------------------------------------------------------------------------------


def membranes(layer, v, x):
    """dv/dt once more, from the synapses' conductances, neuron by neuron."""
    p = {k: q.detach().numpy() for k, q in layer.named_parameters()}
    positive = {k: np.log1p(np.exp(p[k])) for k in ("gleak", "cm", "w", "sensory_w")}
    current = positive["gleak"] * (p["vleak"] - v)
    for prefix, pre, synapses in (("", v, layer.wiring.recurrent), ("sensory_", x, layer.wiring.sensory)):
        for k, (i, j) in enumerate(zip(synapses.sources, synapses.targets, strict=True)):
            s = 1 / (1 + np.exp(-p[f"{prefix}sigma"][k] * (pre[i] - p[f"{prefix}mu"][k])))
            current[j] += positive[f"{prefix}w"][k] * s * (p[f"{prefix}erev"][k] - v[j])
    return current / positive["cm"]


def test_the_derivative_is_the_equation(rng):
    layer = cell("ncp")
    v, x = rng.normal(size=12), rng.normal(size=5)
    ours = layer.derivative(torch.from_numpy(v)[None], torch.from_numpy(x)[None])[0]
    np.testing.assert_allclose(ours.detach().numpy(), membranes(layer, v, x), rtol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
def test_the_solver_is_of_first_order(fused, rng):
    layer, x, spans = cell("ncp", fused=fused), rng.normal(size=(4, 5)), [0.3, 1.1, 0.2, 0.7]
    v = np.zeros(12)
    for row, span in zip(x, spans, strict=True):
        solution = solve_ivp(lambda t, v, row=row: membranes(layer, v, row), (0, span), v, rtol=1e-10, atol=1e-12)
        v = solution.y[:, -1]
    errors = []
    for unfolds in (40, 80, 160):
        layer.unfolds = unfolds
        layer.epsilon = 0.0
        _, state = layer(torch.from_numpy(x)[:, None], timespans=torch.tensor(spans, dtype=F64))
        errors.append(np.abs(state["v"][0].detach().numpy() - v).max())
    assert errors[0] < 0.02
    orders = np.log2(errors[:-1]) - np.log2(errors[1:])
    assert np.all(np.abs(orders - 1) < 0.1), orders


# -- time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ncp", "cfc"])
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_spans_that_are_no_time_are_refused(name, bad):
    layer, spans = cell(name), torch.ones(9, 3)
    spans[4, 1] = bad
    with pytest.raises(ValueError, match="at step 4, batch 1; expected positive"):
        layer(inputs(name), timespans=spans)
    with pytest.raises(ValueError, match="expected positive"):
        layer.step(layer.init_state(3), inputs(name)[0], bad)


@pytest.mark.parametrize("shape", [(8,), (9, 2), (3,), (9, 3, 1)])
def test_spans_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(9,\), \(9, 1\) or \(9, 3\)"):
        cell("ncp")(inputs("ncp"), timespans=torch.ones(shape))


def test_a_span_in_the_input_is_the_span_given():
    layer, x = cell("timed"), inputs("timed")
    y, _ = layer(x)
    layer.timed = False
    expected, _ = layer(x[..., :-1], timespans=x[..., -1])
    assert torch.equal(y, expected)
    assert not torch.equal(y, layer(x[..., :-1])[0])
    layer.timed = True
    with pytest.raises(ValueError, match="beside a time span in x"):
        layer(x, timespans=x[..., -1])


def test_spans_of_one_are_the_default():
    layer, x = cell("ncp"), inputs("ncp")
    assert torch.equal(layer(x)[0], layer(x, timespans=torch.ones(9))[0])
    _, y = layer.step(layer.init_state(3), x[0], 0.5)
    assert torch.equal(y, layer(x[:1], timespans=torch.full((1,), 0.5))[0][0])


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ncp", "cfc"])
def test_bad_input_is_refused(name):
    layer, x = cell(name), inputs(name)
    for wrong in (x[0], x[..., :4], x[:0], x.float()):
        with pytest.raises(ValueError, match=r"x (has|is)"):
            layer(wrong)
    x[2, 1, 3] = float("nan")
    with pytest.raises(ValueError, match="nan in x at step 2, batch 1, feature 3"):
        layer(x)
    with pytest.raises(ValueError, match="state with"):
        layer(inputs(name), {"a": torch.zeros(3, 12)})
    with pytest.raises(ValueError, match="state"):
        layer(inputs(name), layer.init_state(4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Liquid(0, 4), lambda: Liquid(3, 0), lambda: Liquid(3, 4, unfolds=0),
        lambda: Liquid(3, 4, input_map="x"), lambda: Liquid(3, 4, constraint="x"),
        lambda: Liquid(3, AutoNCP(12, 3).draw(4)), lambda: CfC(3, 4, mode="x"),
        lambda: CfC(3, 4, dropout=1.0), lambda: CfC(3, 4, backbone=(0,)), lambda: CfC(3, 4, activation="x"),
        lambda: CfC(3, AutoNCP(12, 3).draw(4)), lambda: CfC(3, 0),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


def test_they_train_in_a_sequence():
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LTC(1, AutoNCP(12, 3), timed=True), rv.nn.CfC(3, 6, projection=1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x = torch.cat([torch.rand(1, 16, 1).expand(20, 16, 1), torch.full((20, 16, 1), 0.5)], 2)
    losses = []
    for _ in range(80):
        loss = (model(x)[0][..., 0] - x[..., 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
