"""Hopfield networks against plain loops, algebra, and an ODE solver."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ranvier.energies import Clamp, ContinuousHopfield, Descent, Ending, Fixed, Hopfield, lagrangians, storage
from tests.laws.cells import check_cell
from tests.laws.energies import check_energy

pytestmark = pytest.mark.usefixtures("float64")


def patterns(count, n, seed=0):
    return torch.where(torch.randn(count, n, generator=torch.Generator().manual_seed(seed)) > 0, 1.0, -1.0)


def symmetric(n, seed=0, diagonal=False):
    W = torch.randn(n, n, generator=torch.Generator().manual_seed(seed)) / n**0.5
    W = W + W.T
    return W if diagonal else W.fill_diagonal_(0)


def test_hebb_and_storkey_against_their_sums():
    xi = patterns(4, 9)
    n, P = 9, len(xi)
    W = np.zeros((n, n))
    S = np.zeros((n, n))
    for p in xi.numpy():
        new = S.copy()
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                W[i, j] += p[i] * p[j] / n
                h_ij = sum(S[i, k] * p[k] for k in range(n) if k not in (i, j))
                h_ji = sum(S[j, k] * p[k] for k in range(n) if k not in (i, j))
                new[i, j] += (p[i] * p[j] - p[i] * h_ji - h_ij * p[j]) / n
        S = new
    np.testing.assert_allclose(storage.hebb(xi), W, atol=1e-14)
    np.testing.assert_allclose(storage.storkey(xi), S, atol=1e-14)
    assert P == 4


def test_pseudo_inverse_is_the_projection_and_holds_what_hebb_cannot():
    xi = patterns(40, 60)
    W = storage.pseudo_inverse(xi)
    full = torch.linalg.pinv(xi) @ xi
    torch.testing.assert_close(W, full - full.diagonal().diag(), atol=1e-12, rtol=0)
    assert torch.equal(Hopfield(W).settle(xi).x, xi)
    assert not torch.equal(Hopfield.store(xi, "hebb").settle(xi).x, xi)
    torch.testing.assert_close(storage.pseudo_inverse(torch.cat([xi, xi])), W, atol=1e-12, rtol=0)


def plain_recall(W, theta, s, sweeps=100):
    s = s.copy()
    for sweep in range(sweeps):
        flips = 0
        for i in range(len(s)):
            h = W[i] @ s - theta[i]
            new = np.sign(h) if h != 0 else s[i]
            flips += new != s[i]
            s[i] = new
        if not flips:
            return s, sweep + 1
    return s, sweeps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sequential_recall_against_a_plain_loop(dtype):
    W, x = symmetric(40, 1).to(dtype), patterns(6, 40, 2).to(dtype)
    theta = 0.3 * torch.randn(40, generator=torch.Generator().manual_seed(3)).to(dtype)
    end = Hopfield(W, theta).settle(x, order="sequential")
    for b in range(6):
        expected, taken = plain_recall(W.double().numpy(), theta.double().numpy(), x[b].double().numpy())
        assert np.array_equal(end.x[b].double().numpy(), expected) and int(end.entry_steps[b]) == taken > 2
    assert end.converged.all() and not (end.ending == Ending.CYCLE).any()


@pytest.mark.parametrize("order", ["sequential", "random", "uniform"])
def test_recall_lowers_the_energy_and_ends_at_rest(order):
    model = Hopfield(symmetric(50, 4), 0.2)
    x = patterns(8, 50, 5)
    end = model.settle(x, order=order, seed=1)
    assert end.converged.all()
    torch.testing.assert_close(end.trace[0], model.energy(x))
    assert (end.trace.diff(dim=0) <= 1e-12).all() and (end.trace[-1] < end.trace[0]).all()
    torch.testing.assert_close(end.trace[-1], end.energy)
    assert end.trace.shape == (end.steps + 1, 8) and int(end.entry_steps.max()) == end.steps
    again = model.settle(end.x, order=order)
    assert torch.equal(again.x, end.x)
    torch.testing.assert_close(model.energy(end.x), end.energy)


def test_recall_from_a_tenth_of_errors_below_capacity():
    """α = 0.1, 10 % flipped: overlap near 1; at 0.2 it is lost (0.138 lies between)."""
    overlap = {}
    for count in (40, 80):
        xi = patterns(count, 400, 7)
        noisy = xi * torch.where(torch.rand(count, 400, generator=torch.Generator().manual_seed(8)) < 0.1, -1.0, 1.0)
        overlap[count] = float((Hopfield.store(xi).settle(noisy).x * xi).mean())
    assert overlap[40] > 0.98 and overlap[80] < 0.75


def test_synchronous_updates_may_cycle_and_say_so():
    W = -(torch.ones(2, 2) - torch.eye(2))
    model = Hopfield(W)
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    end = model.settle(x, synchronous=True)
    assert (end.ending == Ending.CYCLE).tolist() == [True, False] and end.converged.tolist() == [False, True]
    assert model.settle(x).converged.all()
    xi = patterns(3, 100)
    noisy = xi.clone()
    noisy[:, :10] *= -1
    end = Hopfield.store(xi).settle(noisy, synchronous=True)
    assert torch.equal(end.x, xi) and end.converged.all()


def test_clamped_units_complete_a_pattern():
    xi = patterns(3, 120, 9)
    clamp = Clamp.at(slice(0, 60), xi[:, :60], 120)
    end = Hopfield.store(xi).settle(patterns(3, 120, 10), clamp=clamp)
    assert torch.equal(end.x, xi)
    wrong = Clamp.at(slice(0, 60), patterns(3, 60, 11), 120)
    end = Hopfield.store(xi).settle(xi, clamp=wrong)
    assert torch.equal(end.x[:, :60], patterns(3, 60, 11))


def test_laws_of_the_binary_network():
    check_energy(Hopfield(symmetric(12, 6), 0.1), 0.8 * torch.rand(4, 12) - 0.4)


@pytest.mark.parametrize(
    "lagrangian", [lagrangians.Tanh(1.0), lagrangians.Tanh(6.0), lagrangians.Sigmoid(3.0)], ids=str
)
def test_laws_of_graded_neurons(lagrangian):
    model = ContinuousHopfield(symmetric(12, 6, diagonal=True), 0.1, lagrangian=lagrangian, tau=0.7)
    check_energy(model, torch.randn(4, 12, generator=torch.Generator().manual_seed(0)), tol=1e-6, max_steps=20_000)


def test_graded_neurons_follow_their_equation():
    """Euler's error is of first order: halved with the step, and the limit is the solver's."""
    W, theta, tau, beta = symmetric(6, 2), 0.3, 0.8, 2.0
    model = ContinuousHopfield(W, theta, lagrangian=lagrangians.Tanh(beta), tau=tau)
    u0 = torch.randn(1, 6, generator=torch.Generator().manual_seed(1))

    def slope(_, u):
        return -u / tau + W.numpy() @ np.tanh(beta * u) - theta

    expected = solve_ivp(slope, (0, 2), u0[0].numpy(), rtol=1e-10, atol=1e-12).y[:, -1]
    errors = []
    for steps in (400, 800):
        x = Descent(model, Fixed(2 / steps)).relax({"x": u0}, steps)["x"][0].numpy()
        errors.append(np.abs(x - expected).max())
    assert errors[0] < 0.02 and errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_the_energy_needs_its_integral_term():
    """At low gain all activity dies: −½ V W V without ∫g⁻¹ rises from a state aligned with W, along the very path
    that lowers the energy."""
    model = ContinuousHopfield(symmetric(10, 3), lagrangian=lagrangians.Tanh(0.3))
    state = {"x": 2 * torch.linalg.eigh(model.weight).eigenvectors[None, :, -1]}
    descent, loose, energies = Descent(model, Fixed(0.01)), [], []
    for _ in range(300):
        state = descent.relax(state, 1)
        V = model.activations(state["x"])
        loose.append(float(-0.5 * (V @ model.weight * V).sum()))
        energies.append(float(model.energy(state["x"])))
    assert (np.diff(loose) > 1e-9).all() and (np.diff(energies) < 0).all()


def test_the_integral_by_quadrature():
    from scipy.integrate import quad

    model = ContinuousHopfield(torch.zeros(1, 1), lagrangian=lagrangians.Tanh(1.7), tau=0.5)
    V = 0.83
    expected = quad(lambda v: np.arctanh(v) / 1.7, 0, V)[0] / 0.5
    assert float(model.energy(torch.tensor([[np.arctanh(V) / 1.7]]))) == pytest.approx(expected, rel=1e-10)


def test_it_is_a_cell():
    model = ContinuousHopfield(symmetric(7, 1), 0.2, learn=True)
    x = torch.randn(9, 3, 7, generator=torch.Generator().manual_seed(2))
    check_cell(Descent(model, Fixed(0.2)), x, list(model.parameters()))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: storage.hebb(torch.zeros(2, 3)), "not ±1"),
        (lambda: storage.hebb(torch.ones(3)), r"shape \(3,\)"),
        (lambda: Hopfield(torch.tensor([[0.0, 1.0], [0.5, 0.0]])), "expected symmetric weights"),
        (lambda: Hopfield(torch.eye(3)), "diagonal of zeros"),
        (lambda: Hopfield.store(patterns(2, 5), "oja"), "'oja'"),
        (lambda: Hopfield(torch.zeros(2, 2)).settle(torch.zeros(1, 2)), "not ±1"),
        (lambda: Hopfield(torch.zeros(2, 2)).settle(torch.ones(1, 2), max_sweeps=0), "max_sweeps is 0"),
        (lambda: ContinuousHopfield(torch.zeros(2, 2), tau=0.0), "tau is 0"),
        (lambda: ContinuousHopfield(torch.zeros(2, 2), torch.zeros(3)), r"threshold has shape \(3,\)"),
        (lambda: ContinuousHopfield(torch.zeros(2, 2), float("nan")), "finite"),
    ],
)
def test_errors(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
