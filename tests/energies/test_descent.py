"""`Descent` on energies whose every answer is known: minima, gradients, walls, clamps, errors."""

import math
import weakref

import pytest
import torch
from torch import Tensor, nn

from ranvier.energies import (
    Backtracking,
    Clamp,
    Conjugate,
    ConvergenceWarning,
    Descent,
    Energy,
    Fixed,
    Layout,
    ModernHopfield,
    check_symmetric,
)
from ranvier.energies._implicit import gmres
from tests.laws.cells import check_cell
from tests.laws.energies import check_energy

pytestmark = pytest.mark.usefixtures("float64")


class Quadratic(Energy):
    """½ xᵀA x − b·x: at rest at A⁻¹ b."""

    def __init__(self, A: Tensor, b: Tensor) -> None:
        super().__init__()
        self.units, self.A, self.b = len(b), nn.Parameter(A), nn.Parameter(b)

    def _value(self, x: Tensor) -> Tensor:
        return 0.5 * ((x @ self.A) * x).sum(1) - x @ self.b


class ByHand(Quadratic):
    def _force(self, x: Tensor) -> Tensor:
        return self.b - x @ self.A


class Walled(Quadratic):
    def project(self, x: Tensor) -> Tensor:
        return x.clamp(-0.3, 0.3)


class Rippled(Quadratic):
    """With many minima."""

    def _value(self, x: Tensor) -> Tensor:
        return super()._value(x) + torch.cos(3 * x).sum(1)


def problem(kind=Quadratic, n=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    M = torch.randn(n, n, generator=g)
    return kind(M @ M.T / n + 0.3 * torch.eye(n), torch.randn(n, generator=g))


def states(batch=4, n=8, seed=1):
    return torch.randn(batch, n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", [Quadratic, ByHand, Walled, Rippled])
def test_laws(kind):
    check_energy(problem(kind), states())


def test_the_laws_catch_a_wrong_force():
    class Wrong(Quadratic):
        def _force(self, x):
            return self.b - 1.01 * x @ self.A

    with pytest.raises(AssertionError):
        check_energy(problem(Wrong), states())


def test_the_laws_catch_an_energy_that_rises(monkeypatch):
    monkeypatch.setattr("tests.laws.energies.Backtracking", lambda: Fixed(1.2))
    with pytest.raises(AssertionError):
        check_energy(problem(), states(), max_steps=6)


@pytest.mark.parametrize(
    "rule",
    [Backtracking(), Backtracking(step=1e4), Backtracking(step=1e-4), Fixed(0.3), Conjugate(), Conjugate(step=1e4)],
)
def test_a_quadratic_ends_at_its_minimum(rule):
    energy = problem()
    end = Descent(energy, rule, tol=1e-10, max_steps=5000).settle(states())
    expected = torch.linalg.solve(energy.A, energy.b)
    torch.testing.assert_close(end.x, expected.expand(4, -1), atol=1e-8, rtol=0)
    torch.testing.assert_close(end.energy, (-0.5 * expected @ energy.b).expand(4))
    assert end.converged.all() and (end.residual <= 1e-10).all()


def stiff(kappa, n=60):
    g = torch.Generator().manual_seed(0)
    U, _ = torch.linalg.qr(torch.randn(n, n, generator=g))
    return ByHand(U @ torch.logspace(0, -math.log10(kappa), n).diag() @ U.T, torch.randn(n, generator=g))


def test_conjugate_directions_need_the_root_of_the_steps():
    """By the bound of conjugate gradients, |r_k| <= 2√κ ((√κ − 1)/(√κ + 1))^k |r_0|; steepest descent needs κ."""
    taken = {}
    for kappa in (100, 10_000):
        energy, x = stiff(kappa), states(3, 60)
        for rule in (Conjugate(), Backtracking()):
            with torch.no_grad():
                end = Descent(energy, rule, tol=1e-6, max_steps=2000).settle(x, trace=True, warn=False)
            assert end.trace.diff(dim=0).max() <= 1e-12 * end.trace.abs().max()
            taken[type(rule).__name__, kappa] = end.steps
            if isinstance(rule, Conjugate):
                root, far = math.sqrt(kappa), float(energy.force(x).detach().norm(dim=1).max())
                assert end.converged.all() and end.steps < 0.5 * root * math.log(2 * root * far / 1e-6)
                expected = torch.linalg.solve(energy.A, energy.b).expand(3, -1).detach()
                torch.testing.assert_close(end.x, expected, atol=60**0.5 * kappa * 1e-6, rtol=0)
    assert taken["Backtracking", 100] > 5 * taken["Conjugate", 100] and taken["Backtracking", 10_000] == 2000


def test_a_loss_that_drowns_in_rounding_does_not_decide():
    """Where an energy's digits say nothing of a step's loss any more, its forces do: to 1e-14 in 463 steps together;
    765 if any loss counts that is not seen to be a gain. One that cancels to zero ends at rest, too."""
    steps = 0
    for seed in range(12):
        g = torch.Generator().manual_seed(seed)
        model = ModernHopfield(torch.randn(4, 6, generator=g), 0.5)
        with torch.no_grad():
            end = Descent(model, tol=1e-14, max_steps=500).settle(3 * torch.randn(2, 6, generator=g))
        steps += end.steps
    assert steps < 600
    single = Descent(ModernHopfield(torch.tensor([[0.7]])), Backtracking(0.3), tol=1e-10, max_steps=100)
    rest = single.settle(torch.tensor([[-0.3]])).x
    assert single.settle(rest, field=torch.tensor([[1e-5]])).converged.all()


def test_clamped_units_stay_and_the_rest_solves_what_is_left():
    energy, x = problem(), states()
    held, free = torch.tensor([1, 6]), torch.tensor([0, 2, 3, 4, 5, 7])
    values = states(4, 2, 5)
    end = Descent(energy, tol=1e-10).settle(x, Clamp.at(held, values, 8))
    right = energy.b[free] - values @ energy.A[held][:, free]
    assert torch.equal(end.x[:, held], values)
    expected = torch.linalg.solve(energy.A[free][:, free], right.T).T
    torch.testing.assert_close(end.x[:, free], expected, atol=1e-8, rtol=0)


def test_walls_hold_and_what_they_hold_counts_as_rest():
    energy = problem(Walled).requires_grad_(False)
    end = Descent(energy, tol=1e-9).settle(states())
    assert end.converged.all() and end.x.abs().max() <= 0.3
    force = energy.force(end.x).detach()
    inside = end.x.abs() < 0.3
    assert 0 < inside.sum() < inside.numel()
    assert force[inside].abs().max() < 1e-8 and (force * end.x)[~inside].ge(0).all()


def test_an_external_field_shifts_the_minimum():
    energy, field = problem(), states(4, 8, 9)
    end = Descent(energy, tol=1e-10).settle(states(), field=field)
    torch.testing.assert_close(end.x, torch.linalg.solve(energy.A, (energy.b + field).T).T, atol=1e-8, rtol=0)


def test_a_step_too_large_diverges_and_says_where():
    energy = problem()
    with pytest.raises(ValueError, match=r"force of .* on unit \d of entry \d at step \d+"):
        Descent(energy, Fixed(50.0), max_steps=10_000).settle(states())


def test_it_says_that_it_did_not_converge():
    with pytest.warns(ConvergenceWarning, match="4 of 4 states still move after 3 steps"):
        end = Descent(problem(), max_steps=3).settle(states())
    assert not end.converged.any() and end.steps == 3
    Descent(problem(), max_steps=3).settle(states(), warn=False)


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
@pytest.mark.parametrize("kind", [Quadratic, ByHand, Walled])
def test_gradients_in_parameters_clamp_and_field(kind, gradient):
    base = problem(kind, 4)

    def ends(A, b, values, field):
        energy = kind((A + A.T) / 2, b)
        del energy.A, energy.b
        energy.A, energy.b = (A + A.T) / 2, b
        descent = Descent(energy, tol=1e-10, gradient=gradient)
        end = descent.settle(states(1, 4), Clamp.at([2], values, 4), field)
        return end.x, end.energy

    inputs = (base.A.detach(), base.b.detach(), 0.2 * states(1, 1, 7), states(1, 4, 8))
    inputs = tuple(t.clone().requires_grad_() for t in inputs)
    assert torch.autograd.gradcheck(ends, inputs, eps=1e-5, atol=1e-5)


def test_unrolled_gradients_are_exact_far_from_rest():
    def ends(b, x):
        energy = problem(Rippled)
        del energy.b
        energy.b = b
        return Descent(energy, max_steps=4).settle(x, warn=False).x

    inputs = (problem().b.detach().clone().requires_grad_(), states(2).requires_grad_())
    assert torch.autograd.gradcheck(ends, inputs, eps=1e-6, atol=1e-6)


def test_implicit_and_unrolled_agree_and_implicit_forgets_the_start():
    x = states().requires_grad_()
    grads = []
    for gradient in ("unrolled", "implicit"):
        energy = problem(Rippled)
        end = Descent(energy, tol=1e-11, max_steps=5000, gradient=gradient).settle(x)
        end.x.square().sum().backward()
        grads.append(energy.A.grad)
    torch.testing.assert_close(*grads, atol=1e-7, rtol=1e-6)


def test_an_implicit_gradient_at_a_singular_state_says_so():
    class Flat(Quadratic):
        def _value(self, x):
            return 0.5 * x[:, 0] ** 2 - x[:, 0] * self.b[0] + 0 * (self.b * x).sum(1)

    end = Descent(problem(Flat), gradient="implicit", tol=1e-9).settle(states(2))
    with pytest.warns(ConvergenceWarning, match="implicit gradient"):
        end.x.sum().backward()


@pytest.mark.parametrize(("grad", "saved"), [(False, 4), (True, 500)])
def test_a_long_descent_keeps_nothing_unless_gradients_are_asked_for(grad, saved):
    """Of all the states at which the energy was evaluated, how many are still alive at the end."""
    met = []

    class Watched(ByHand):
        def _value(self, x):
            met.append(weakref.ref(x))
            return super()._value(x)

    with torch.set_grad_enabled(grad):
        state = Descent(problem(Watched)).relax({"x": states(8), "step": torch.ones(8, 1)}, 500)
        alive = sum(ref() is not None for ref in met)
    assert len(met) == 501 and alive <= saved + 4
    assert not grad or alive >= saved
    assert (state["x"].grad_fn is not None) is grad


@pytest.mark.parametrize("rule", [Fixed(0.2), Backtracking(0.5), Conjugate(0.5)])
@pytest.mark.parametrize("clamped", [None, [0, 4, 5]])
def test_it_is_a_cell(rule, clamped):
    energy = problem(Rippled)
    cell = Descent(energy, rule, clamped=clamped, steps=2)
    check_cell(cell, states(12 * 3, cell.in_features).unflatten(0, (12, 3)), [energy.A, energy.b])


def test_a_cell_with_clamped_input_relaxes_to_it():
    energy = problem()
    cell = Descent(energy, clamped=slice(0, 3))
    x = states(1, 3).expand(400, 2, 3)
    y, state = cell(x)
    end = Descent(energy, tol=1e-9).settle(torch.zeros(2, 8), Clamp.at(slice(0, 3), x[0], 8))
    torch.testing.assert_close(state["x"], end.x, atol=1e-7, rtol=0)
    assert torch.equal(y[:, :, :3], x) and torch.equal(y[-1], state["x"])


@pytest.mark.parametrize(("gradient", "grows"), [("implicit", False), ("unrolled", True)])
def test_the_memory_of_an_implicit_gradient_does_not_grow_with_the_steps(gradient, grows):
    """Of the states met on the way, those alive when the gradient is taken."""
    alive = []
    for steps in (20, 200):
        met = []

        class Watched(ByHand):
            def _value(self, x, met=met):
                met.append(weakref.ref(x))
                return super()._value(x)

        energy = problem(Watched)
        end = Descent(energy, tol=1e-300, max_steps=steps, gradient=gradient).settle(states(2), warn=False)
        alive.append(sum(ref() is not None for ref in met))
        end.x.sum().backward()
        assert energy.b.grad.abs().sum() > 0
    assert (alive[1] > alive[0] + 100) == grows and (grows or alive[1] <= 6)


def test_gmres_against_a_dense_solve():
    g = torch.Generator().manual_seed(3)
    A = torch.eye(30) + 0.4 * torch.randn(5, 30, 30, generator=g) / 30**0.5 * 3
    b = torch.randn(5, 30, generator=g)
    b[3] = 0
    v, error = gmres(lambda u: (A @ u[:, :, None])[:, :, 0], b, tol=1e-12)
    torch.testing.assert_close(v, torch.linalg.solve(A, b), atol=1e-9, rtol=1e-9)
    assert (error < 1e-12).all() and not v[3].any()
    _, error = gmres(lambda u: u * torch.tensor([1.0, 0.0]), torch.ones(1, 2), tol=1e-12)
    assert float(error) == pytest.approx(0.5**0.5)


def test_layout():
    layout = Layout({"image": (2, 3), "hidden": (4,)})
    x = states(3, 10)
    parts = layout.split(x)
    assert torch.equal(parts["image"], x[:, :6].reshape(3, 2, 3)) and torch.equal(parts["hidden"], x[:, 6:])
    assert torch.equal(layout.join(parts), x)
    clamp = layout.clamp(image=torch.ones(3, 2, 3))
    assert torch.equal(clamp(x)[:, :6], torch.ones(3, 6)) and torch.equal(clamp(x)[:, 6:], x[:, 6:])
    with pytest.raises(ValueError, match="'hidde'"):
        layout.clamp(hidde=torch.ones(3, 4))
    with pytest.raises(ValueError, match="expected \\(B, \\(4,\\)\\)"):
        layout.clamp(hidden=torch.ones(3, 5))


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (lambda e, x: e.energy(x[0]), ValueError, r"shape \(8,\); expected \(B, 8\)"),
        (lambda e, x: e.energy(x[:, :5]), ValueError, r"shape \(4, 5\)"),
        (lambda e, x: e.energy(x.long()), TypeError, "int64"),
        (lambda e, x: e.energy(x, Clamp(torch.ones(5, dtype=torch.bool), x[:, :5])), ValueError, "5 units; expected 8"),
        (lambda e, x: e.energy(x, Clamp.at([0], x[:3, :1], 8)), ValueError, "batch of 3; expected 4"),
        (lambda e, x: Clamp(x[0], x), TypeError, "torch.bool"),
        (lambda e, x: Clamp.at([0], torch.tensor([float("nan")]), 8), ValueError, "not finite"),
        (lambda e, x: Clamp.at([0, 1], x[:, :1], 8), ValueError, "expected .2,."),
        (lambda e, x: Descent(e).settle(x * float("nan")), ValueError, "force of nan on unit 0 of entry 0 at step 0"),
        (lambda e, x: Descent(e).settle(x, field=x[:, :3]), ValueError, r"field has shape \(4, 3\)"),
        (lambda e, x: Descent(e).step({"x": x}, x), ValueError, "another rule"),
        (lambda e, x: Descent(e)(x), ValueError, r"expected \(T, B, 8\)"),
        (lambda e, x: Descent(nn.Linear(2, 2)), TypeError, "Linear"),
        (lambda e, x: Descent(e, gradient="none"), ValueError, "'none'"),
        (lambda e, x: Descent(e, tol=0.0), ValueError, "tol is 0"),
        (lambda e, x: Fixed(-1.0), ValueError, "step is -1"),
        (lambda e, x: Backtracking(shrink=2.0), ValueError, "shrink"),
        (lambda e, x: Energy().energy(x), AttributeError, "units"),
        (lambda e, x: check_symmetric(x), ValueError, r"\(4, 8\); expected \(N, N\)"),
        (lambda e, x: check_symmetric(x[:, :4]), ValueError, "expected symmetric weights"),
        (lambda e, x: check_symmetric(torch.eye(4)), ValueError, "diagonal of zeros"),
        (lambda e, x: check_symmetric(torch.full((2, 2), float("inf"))), ValueError, r"weight\[0, 0\] is inf"),
    ],
)  # fmt: skip
def test_errors(wrong, error, text):
    with pytest.raises(error, match=text):
        wrong(problem(), states())
