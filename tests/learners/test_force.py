"""FORCE and full-FORCE: recursive least squares against ridge regression, and runs by plain NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from ranvier.learners import FORCE, FullFORCE, RateNetwork, RecursiveLeastSquares

F64 = torch.float64
T, B, N, OUT, REC = 40, 2, 12, 2, 3


def signals(width, seed, dtype=F64, batch=B):
    """Sinusoids of the trial, (T, B, width)."""
    t = torch.arange(T, dtype=F64)[:, None, None] / T
    phase = torch.rand(1, batch, width, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return torch.sin(2 * np.pi * (t + phase)).to(dtype)


def network(feedback=False, dtype=F64, outputs=OUT):
    torch.manual_seed(0)
    return RateNetwork(1, N, outputs, feedback=feedback, tau=5.0, dt=1.0, dtype=dtype)


@pytest.mark.parametrize("rows", [1, 4])
def test_recursive_least_squares_is_ridge_regression(rows):
    """One row at a time, or four: the solution of (RᵀR + αI) Wᵀ = RᵀF + αW₀ᵀ."""
    draw = torch.Generator().manual_seed(0)
    r, f, start = (torch.randn(*shape, generator=draw, dtype=F64) for shape in ((80, 6), (80, 3), (3, 6)))
    squares, weight = RecursiveLeastSquares(6, alpha=0.5), start.clone()
    for part in range(0, 80, rows):
        x, goal = r[part : part + rows], f[part : part + rows]
        squares.update([weight], x, [x @ weight.T - goal])
    gram = r.T @ r + 0.5 * torch.eye(6, dtype=F64)
    expected = torch.linalg.solve(gram, r.T @ f + 0.5 * start.T).T
    torch.testing.assert_close(weight, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(squares.inverse, torch.linalg.inv(gram), rtol=1e-10, atol=1e-12)
    assert torch.equal(squares.inverse, squares.inverse.T)


def test_weights_in_float32_have_their_inverse_in_float64():
    """A thousand nearly equal inputs: in float32 P would no longer be positive."""
    draw = torch.Generator().manual_seed(0)
    squares, weight = RecursiveLeastSquares(20, alpha=1e-4), torch.zeros(1, 20)
    base = torch.randn(20, generator=draw)
    for _ in range(1000):
        r = (base + 1e-3 * torch.randn(20, generator=draw))[None]
        squares.update([weight], r, [r @ weight.T - 1.0])
    assert squares.inverse.dtype == F64 and torch.linalg.eigvalsh(squares.inverse).min() > 0
    assert abs(float(base @ weight[0]) - 1) < 1e-3


def test_force_by_plain_numpy():
    model, x, f = network(feedback=True), signals(1, 1, batch=1), signals(OUT, 2, batch=1)
    J, W_in, W_fb = (p.detach().numpy().copy() for p in (model.recurrent, model.inputs, model.feedback))
    metrics = FORCE(model, alpha=0.7, every=3).step((x, f))
    state, w, P, total = np.zeros(N), np.zeros((OUT, N)), np.eye(N) / 0.7, []
    for t in range(T):
        r = np.tanh(state)
        state = state + (-state + J @ r + W_in @ x[t, 0].numpy() + W_fb @ (w @ r)) / 5
        r = np.tanh(state)
        if (t + 1) % 3 == 0 or t + 1 == T:
            e = w @ r - f[t, 0].numpy()
            k = P @ r / (1 + r @ P @ r)
            w, P = w - np.outer(e, k), P - np.outer(k, r @ P)
            total.append(np.mean(e**2))
    np.testing.assert_allclose(model.outputs.detach().numpy(), w, rtol=1e-8, atol=1e-10)
    assert metrics["loss"] == pytest.approx(np.mean(total)) and metrics["examples"] == 1
    np.testing.assert_array_equal(model.recurrent.detach().numpy(), J)


def test_full_force_by_plain_numpy():
    model = network()
    x, f, h = signals(1, 1, batch=1), signals(OUT, 2, batch=1), signals(REC, 3, batch=1)
    learner = FullFORCE(model, recorded=REC, alpha=0.7, every=2, strength=0.8)
    J, W_in, w = (p.detach().numpy().copy() for p in (model.recurrent, model.inputs, model.outputs))
    J_d, (W_t, W_h) = learner.driven.numpy(), [d.numpy() for d in learner.drives]
    learner.step((x, f, h))
    own, driven, P = np.zeros(N), np.zeros(N), np.eye(N) / 0.7
    for t in range(T):
        r, r_d = np.tanh(own), np.tanh(driven)
        u, goal = W_in @ x[t, 0].numpy(), J_d @ r_d + W_t @ f[t, 0].numpy() + W_h @ h[t, 0].numpy()
        if (t + 1) % 2 == 0:
            k = P @ r / (1 + r @ P @ r)
            errors = J @ r - goal, w @ r - f[t - 1, 0].numpy()
            J, w, P = J - np.outer(errors[0], k), w - np.outer(errors[1], k), P - np.outer(k, r @ P)
        own, driven = own + (J @ r + u - own) / 5, driven + (goal + u - driven) / 5
    np.testing.assert_allclose(model.recurrent.detach().numpy(), J, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.outputs.detach().numpy(), w, rtol=1e-7, atol=1e-9)


def test_a_rate_network_is_a_cell():
    model = network(feedback=True)
    with torch.no_grad():
        model.outputs.normal_()
    x = signals(1, 4)
    whole, end = model(x)
    first, state = model(x[:15])
    second, last = model(x[15:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(last["x"], end["x"], rtol=1e-12, atol=1e-14)
    whole.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_both_learn_to_give_sinusoids_by_themselves():
    """A pulse at the beginning, then no input: what is left of the error is below 5 % of the signal's power."""
    torch.manual_seed(0)
    x, t = torch.zeros(100, 1, 1, dtype=F64), torch.arange(100, dtype=F64)[:, None, None]
    x[:5] = 2.0
    f = torch.sin(2 * np.pi * t / 50)
    for kind, feedback in ((FORCE, True), (FullFORCE, False)):
        torch.manual_seed(1)
        learner = kind(RateNetwork(1, 60, 1, feedback=feedback, tau=5.0, dtype=F64), every=1)
        before = learner.evaluate((x, f))["relative"]
        for _ in range(15):
            learner.step((x, f))
        assert before > 0.9 and learner.evaluate((x, f))["relative"] < 0.05, kind.__name__


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda: RateNetwork(0, 4, 1), "expected at least one"), (lambda: RateNetwork(1, 4, 1, dt=20.0), "dt <= tau"),
        (lambda: RateNetwork(1, 4, 1, gain=float("nan")), "gain"), (lambda: RecursiveLeastSquares(3, 0.0), "alpha"),
        (lambda: FORCE(nn.Linear(2, 2)), "expected a rv.learners.RateNetwork"),
        (lambda: FORCE(network(), every=0), "every is 0"), (lambda: FullFORCE(network(feedback=True)), "feedback"),
        (lambda: FullFORCE(network(), recorded=-1), "recorded is -1"),
        (lambda: FullFORCE(network(), strength=0.0), "strength"),
        (lambda: FORCE(network()).step((signals(1, 0),)), "expected 2"),
        (lambda: FORCE(network()).step((signals(1, 0), signals(3, 0))), "targets has shape"),
        (lambda: FORCE(network()).step((signals(1, 0), signals(2, 0)[:-1])), "targets has shape"),
        (lambda: FORCE(network()).step((signals(1, 0), signals(2, 0, torch.float32))), "float32"),
        (lambda: FORCE(network()).step((signals(1, 0), [1])), "targets is a list"),
        (lambda: FullFORCE(network(), recorded=2).step((signals(1, 0), signals(2, 0))), "expected 3"),
    ],
)  # fmt: skip
def test_refusals(refused, error):
    with pytest.raises((ValueError, TypeError), match=error):
        refused()
