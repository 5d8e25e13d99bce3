"""What every `Energy` must keep; import `check_energy` and give it an energy and states, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.energies import Backtracking, Clamp, Descent, Energy

ROUNDING = 1e-12  # of the energies' size


def check_energy(
    energy: Energy,
    x: Tensor,
    *,
    tol: float = 1e-7,
    max_steps: int = 4000,
    width: float = 1e-6,
    clamped: slice | None = None,
) -> None:
    """All laws. x (B, N), B >= 2, float64, away from rest. width: of a step so small that only slopes count. clamped:
    units that may be held; every third, if none are named."""
    if x.dtype != torch.float64 or len(x) < 2:
        raise ValueError("give at least two states in float64, or the laws say little")
    with torch.no_grad():
        x = energy.project(x)
    shape_and_batch(energy, x)
    force_is_minus_the_gradient(energy, x)
    clamped = slice(0, None, 3) if clamped is None else clamped
    clamp = Clamp.at(clamped, x[:, clamped], energy.units)
    for held in (None, clamp):
        energy_never_rises(energy, x, held, tol, max_steps)
    small_steps_go_down(energy, x, width)


def shape_and_batch(energy: Energy, x: Tensor) -> None:
    """One number an entry, which depends on that entry alone."""
    with torch.no_grad():
        value, force = energy.energy_and_force(x)
        assert value.shape == (len(x),) and force.shape == x.shape
        for b in range(len(x)):
            torch.testing.assert_close(energy.energy(x[b : b + 1])[0], value[b], rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(energy.force(x[b : b + 1])[0], force[b], rtol=1e-9, atol=1e-9)


def force_is_minus_the_gradient(energy: Energy, x: Tensor) -> None:
    """dE/dx = −(∂y/∂x)ᵀ force by autograd: hand-written forces too. Held units feel none, and do not count."""
    at = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy.energy(at).sum(), at)
    force = energy.force(x.detach()).detach()
    assert force.abs().max() > 0, "at rest already: give other states"
    y = energy.activations(at)
    expected = -force if y is at else torch.autograd.grad(y, at, -force)[0]
    torch.testing.assert_close(slope, expected, rtol=1e-7, atol=1e-9)

    held = Clamp.at([0], x[:, :1], energy.units)
    other = x.detach().clone()
    other[:, 0] = 77.0
    with torch.no_grad():
        torch.testing.assert_close(energy.energy(other, held), energy.energy(x), rtol=1e-12, atol=1e-12)
        assert not energy.force(other, held)[:, 0].any()


def energy_never_rises(energy: Energy, x: Tensor, clamp: Clamp | None, tol: float, max_steps: int) -> None:
    """Along `Descent` energy falls, held units stay, and where it rests it stays at rest."""
    descent = Descent(energy, Backtracking(), tol=tol, max_steps=max_steps)
    with torch.no_grad():
        end = descent.settle(x, clamp, trace=True, warn=False)
        assert end.trace is not None
        size = end.trace.abs().amax().clamp_min(1.0)
        assert float(end.trace.diff(dim=0).amax()) <= ROUNDING * float(size)
        assert (end.trace[-1] < end.trace[0]).all()
        assert end.converged.all(), f"forces of {end.residual.tolist()} after {end.steps} steps"
        if clamp is not None:
            assert torch.equal(end.x[:, clamp.mask], x[:, clamp.mask])
        again = descent.settle(end.x, clamp)
        assert again.steps == 0 and torch.equal(again.x, end.x)


def small_steps_go_down(energy: Energy, x: Tensor, width: float) -> None:
    """The first order: a small step loses width · Σ force · Δy/Δx · force, to a hundredth of it and rounding."""
    with torch.no_grad():
        value, force = energy.energy_and_force(x)
        moved = energy.project(x + width * energy.flow(force))
        lost = value - energy.energy(moved)
        predicted = (force * (energy.activations(moved) - energy.activations(x))).sum(1)
        assert (predicted > 0).all()
        torch.testing.assert_close(lost, predicted, rtol=0.02, atol=float(1e-13 * value.abs().max()))
