"""Integrators have the order, the symplecticity and the refusals that they state."""

import math

import pytest
import torch

from ranvier.dynamics import integrate, leapfrog, systems

F64 = torch.float64


def errors(method, steps):
    """Of a pendulum after a time of 2, against RK4 at steps of 5e-3, whose own error is below 1e-10."""
    x = torch.tensor([[1.0, 0.3]], dtype=F64)
    exact = integrate(pendulum().field, x, 5e-3, 400, "rk4")[-1]
    run = method(x, 2 / steps, steps)
    return float((run[-1] - exact).norm())


def pendulum():
    return systems.mechanical(lambda q: -torch.cos(q).sum(1), lambda q: -torch.sin(q), 1)


METHODS = {
    "euler": (1, lambda x, dt, n: integrate(pendulum().field, x, dt, n, "euler")),
    "gauss2": (2, lambda x, dt, n: integrate(pendulum().field, x, dt, n, "gauss2")),
    "rk4": (4, lambda x, dt, n: integrate(pendulum().field, x, dt, n, "rk4")),
    "gauss4": (4, lambda x, dt, n: integrate(pendulum().field, x, dt, n, "gauss4")),
    "leapfrog2": (2, lambda x, dt, n: leapfrog(*pendulum().split, x, dt, n, 2)),
    "leapfrog4": (4, lambda x, dt, n: leapfrog(*pendulum().split, x, dt, n, 4)),
    "leapfrog6": (6, lambda x, dt, n: leapfrog(*pendulum().split, x, dt, n, 6)),
}


@pytest.mark.parametrize("name", METHODS)
def test_order(name):
    order, method = METHODS[name]
    slope = math.log2(errors(method, 20) / errors(method, 40))
    assert abs(slope - order) < 0.2  # the next order's share at these steps


@pytest.mark.parametrize("name", METHODS)
def test_only_hamiltonian_methods_are_symplectic(name):
    """The Jacobian M of a step keeps the form: M^T J M = J."""
    _, method = METHODS[name]
    x = torch.tensor([0.7, -0.4], dtype=F64)
    M = torch.autograd.functional.jacobian(lambda z: method(z[None], 0.2, 1)[-1, 0], x)
    J = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64)
    defect = float((M.T @ J @ M - J).abs().max())
    if name in ("euler", "rk4"):
        assert defect > 1e-7
    else:
        assert defect < 1e-13


def test_gauss_is_symplectic_where_nothing_splits_and_keeps_quadratic_invariants():
    system, x = systems.double_pendulum(), torch.tensor([[0.9, -0.3, 0.2, 0.4]], dtype=F64)
    M = torch.autograd.functional.jacobian(lambda z: integrate(system.field, z, 0.1, 1, "gauss4")[-1], x)[0, :, 0]
    J = torch.kron(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64), torch.eye(2, dtype=F64))
    assert float((M.T @ J @ M - J).abs().max()) < 1e-13
    spin = torch.tensor([[1.0, 0.2, 0.5]], dtype=F64)  # a rigid body: |x|^2 and its energy, both quadratic
    inertia = torch.tensor([1.0, 2.0, 3.0], dtype=F64)
    run = integrate(lambda s: torch.linalg.cross(s, s / inertia), spin, 0.2, 200, "gauss2")
    for invariant in (run.square().sum(2), (run.square() / inertia).sum(2)):
        assert float((invariant - invariant[0]).abs().max()) < 1e-13


@pytest.mark.parametrize(
    ("system", "start", "dt", "tolerance"),
    [
        (systems.oscillator(1.0, 2**0.5), [1.0, 0.5, 0.0, 0.3], 0.05, 1e-6),
        (systems.kepler(), [1.0, 0.0, 0.0, 1.1], 0.02, 1e-5),
        (systems.henon_heiles(), [0.0, 0.1, 0.3, 0.0], 0.05, 1e-7),
        (systems.double_pendulum(), [0.7, 0.4, 0.0, 0.0], 0.05, 1e-5),
    ],
)
def test_stated_invariants_are_constant(system, start, dt, tolerance):
    """The error of order 4 falls by 16 at half the step."""
    drifts = []
    for halves in (1, 2):
        states = system.run(torch.tensor([start], dtype=F64), dt / halves, 200 * halves)[:, 0]
        drifts.append({k: float((f(states) - f(states[:1])).abs().max()) for k, f in system.invariants.items()})
    for name in system.invariants:
        assert drifts[0][name] < tolerance
        assert drifts[1][name] < 1e-12 or 11 < drifts[0][name] / drifts[1][name] < 23


def test_fields_are_those_of_their_energies():
    x = torch.randn(20, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    for system in (systems.kepler(), systems.henon_heiles(), systems.double_pendulum()):
        assert torch.allclose(
            system.field(x), systems.hamiltonian(system.invariants["energy"], 2).field(x), atol=1e-12, rtol=1e-10
        )


def test_in_single_precision_as_in_double():
    """100 steps of rounding at 6e-8 of states of size 1."""
    x = torch.tensor([[1.0, 0.3]])
    for method in ("rk4", "gauss4"):
        single = integrate(pendulum().field, x, 0.1, 100, method)
        assert single.dtype == torch.float32
        assert torch.allclose(single.double(), integrate(pendulum().field, x.double(), 0.1, 100, method), atol=1e-4)


def test_every_nth_state():
    x = torch.tensor([[1.0, 0.3]], dtype=F64)
    assert torch.equal(
        integrate(pendulum().field, x, 0.1, 10, "rk4", every=3), integrate(pendulum().field, x, 0.1, 9, "rk4")[::3]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: integrate(pendulum().field, x, 0.1, 1, "rk5"), "method is 'rk5'; expected"),
        (lambda x: leapfrog(*pendulum().split, x, 0.1, 1, 3), "order is 3; expected 2, 4, 6"),
        (lambda x: integrate(pendulum().field, x[0], 0.1, 1), r"shape \(2,\); expected \(B, d\)"),
        (lambda x: integrate(pendulum().field, x / 0, 0.1, 1), "not finite; expected"),
        (lambda x: integrate(pendulum().field, x.long(), 0.1, 1), "int64; expected a floating"),
        (lambda x: integrate(lambda z: z[:, :1], x, 0.1, 1), r"shape \(1, 1\); expected \(1, 2\)"),
        (lambda x: integrate(lambda z: z**3, x, 1.0, 50, "euler"), r"not finite at step \d+; expected"),
        (lambda x: integrate(lambda z: -1e3 * z, x, 1.0, 1, "gauss4"), "does not converge; expected"),
        (lambda x: leapfrog(*pendulum().split, x[:, :1], 0.1, 1), "1 coordinates; expected positions"),
        (lambda x: integrate(pendulum().field, x, float("nan"), 1), "dt is nan; expected"),
        (lambda x: integrate(pendulum().field, x, 0.1, -1), "steps is -1; expected"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(torch.tensor([[1.0, 0.3]], dtype=F64))
