"""Systems whose first integrals are known: fields, splittings and invariants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ranvier.dynamics.integrators import Field, integrate, leapfrog


@dataclasses.dataclass(frozen=True)
class System:
    """dx/dt = field(x) of states x (B, dimension), and what it conserves.

    invariants: name -> function of states (B, dimension) -> (B,), constant along every motion.
    split: velocity(p) and force(q) where the system is a separable Hamiltonian with x = (q, p), else None.
    """

    dimension: int
    field: Field
    invariants: Mapping[str, Callable[[Tensor], Tensor]] = dataclasses.field(default_factory=dict)
    split: tuple[Field, Field] | None = None

    def run(self, x: Tensor, dt: float, steps: int, every: int = 1) -> Tensor:
        """States (steps // every + 1, B, d) from x (B, d): leapfrogs of order 4 where it is split, else Gauss's method
        of order 4."""
        if self.split is not None:
            return leapfrog(*self.split, x, dt, steps, order=4, every=every)
        return integrate(self.field, x, dt, steps, "gauss4", every=every)


def hamiltonian(energy: Callable[[Tensor], Tensor], units: int) -> System:
    """dq/dt = ∂H/∂p, dp/dt = −∂H/∂q of H = energy(x) (B,), x = (q, p) (B, 2 units), by automatic differentiation."""

    def flow(x: Tensor) -> Tensor:
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(energy(at).sum(), at, create_graph=x.requires_grad)
        return torch.cat([slope[:, units:], -slope[:, :units]], 1)

    return System(2 * units, flow, {"energy": energy})


def mechanical(potential: Callable[[Tensor], Tensor], force: Field, units: int) -> System:
    """H = |p|²/2 + potential(q) with force(q) = −∂potential/∂q, x = (q, p) (B, 2 units)."""

    def energy(x: Tensor) -> Tensor:
        return 0.5 * x[:, units:].square().sum(1) + potential(x[:, :units])

    def flow(x: Tensor) -> Tensor:
        return torch.cat([x[:, units:], force(x[:, :units])], 1)

    return System(2 * units, flow, {"energy": energy}, (lambda p: p, force))


def oscillator(*frequencies: float) -> System:
    """H = Σ (p_i² + ω_i² q_i²)/2: every oscillator's own energy is conserved."""
    omega = torch.tensor(frequencies or (1.0,), dtype=torch.float64)
    n = len(omega)
    base = mechanical(
        lambda q: 0.5 * (omega.to(q).square() * q.square()).sum(1), lambda q: -omega.to(q).square() * q, n
    )

    def own(i: int) -> Callable[[Tensor], Tensor]:
        return lambda x: 0.5 * (x[:, n + i].square() + float(omega[i]) ** 2 * x[:, i].square())

    names = {"energy": own(0)} if n == 1 else {f"energy of {i}": own(i) for i in range(n)}
    return System(base.dimension, base.field, names, base.split)


def kepler() -> System:
    """A planet in a plane, H = |p|²/2 − 1/r: energy, angular momentum and the ellipse's direction are conserved."""

    def force(q: Tensor) -> Tensor:
        return -q / q.norm(dim=1, keepdim=True) ** 3

    def angular(x: Tensor) -> Tensor:
        return x[:, 0] * x[:, 3] - x[:, 1] * x[:, 2]

    def direction(x: Tensor) -> Tensor:
        """Abscissa of the Laplace-Runge-Lenz vector, which points along the ellipse's long axis."""
        return x[:, 3] * angular(x) - x[:, 0] / x[:, :2].norm(dim=1)

    base = mechanical(lambda q: -1 / q.norm(dim=1), force, 2)
    return System(4, base.field, {**base.invariants, "angular momentum": angular, "axis": direction}, base.split)


def henon_heiles() -> System:
    """H = (|p|² + x² + y²)/2 + x² y − y³/3 (Hénon & Heiles 1964, Astron. J. 69:73): only the energy is conserved;
    below E = 1/12 nearly all motions keep to tori, as if there were a second one. Bound below E = 1/6."""

    def force(q: Tensor) -> Tensor:
        x, y = q.unbind(1)
        return torch.stack([-x - 2 * x * y, -y - x * x + y * y], 1)

    def potential(q: Tensor) -> Tensor:
        x, y = q.unbind(1)
        return 0.5 * (x * x + y * y) + x * x * y - y**3 / 3

    return mechanical(potential, force, 2)


def double_pendulum() -> System:
    """Two equal pendulums in a row (mass, length and gravity 1), angles and momenta: only the energy is conserved."""

    def energy(x: Tensor) -> Tensor:
        a, b, p, q = x.unbind(1)
        kinetic = (p * p + 2 * q * q - 2 * p * q * torch.cos(a - b)) / (2 * (1 + torch.sin(a - b).square()))
        return kinetic - 2 * torch.cos(a) - torch.cos(b)

    def flow(x: Tensor) -> Tensor:
        a, b, p, q = x.unbind(1)
        c, s = torch.cos(a - b), torch.sin(a - b)
        mass = 1 + s * s
        slope = p * q * s / mass - (p * p + 2 * q * q - 2 * p * q * c) * s * c / mass.square()
        return torch.stack(
            [(p - q * c) / mass, (2 * q - p * c) / mass, -slope - 2 * torch.sin(a), slope - torch.sin(b)], 1
        )

    return System(4, flow, {"energy": energy})


def damped_oscillator(rate: float = 0.1) -> System:
    """d²q/dt² = −q − rate dq/dt: the energy falls."""
    return System(2, lambda x: torch.stack([x[:, 1], -x[:, 0] - rate * x[:, 1]], 1))
