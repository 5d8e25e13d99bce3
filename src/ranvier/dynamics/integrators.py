"""Integrators of known order: symplectic compositions for separable Hamiltonians, Gauss's methods for any field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ranvier._checks import count, function, number, returned

Field = Callable[[Tensor], Tensor]
Method = Literal["euler", "rk4", "gauss2", "gauss4"]

#: order -> the stages of Gauss's collocation: matrix, weights (Hairer, Lubich & Wanner 2006, II.1.3)
_ROOT = 3**0.5 / 6
_GAUSS: dict[str, tuple[list[list[float]], list[float]]] = {
    "gauss2": ([[0.5]], [1.0]),
    "gauss4": ([[0.25, 0.25 - _ROOT], [0.25 + _ROOT, 0.25]], [0.5, 0.5]),
}
#: order -> the fractions of a step that leapfrogs take in turn (Yoshida 1990; order 6: solution A)
_CUBE = 2 ** (1 / 3)
_SIX = (0.784513610477560, 0.235573213359357, -1.17767998417887)
COMPOSITIONS: dict[int, tuple[float, ...]] = {
    2: (1.0,),
    4: (1 / (2 - _CUBE), -_CUBE / (2 - _CUBE), 1 / (2 - _CUBE)),
    6: (*_SIX, 1 - 2 * sum(_SIX), *reversed(_SIX)),
}
_MOST_ITERATIONS = 100


def integrate(field: Field, x: Tensor, dt: float, steps: int, method: Method = "gauss4", every: int = 1) -> Tensor:
    """States (steps // every + 1, B, d) of dx/dt = field(x) from x (B, d), every `every`-th step of dt.

    method: "euler" (order 1), "rk4" (order 4), or Gauss's implicit collocation "gauss2" (the midpoint rule) and
    "gauss4", of orders 2 and 4: symplectic for every Hamiltonian, and exact for quadratic invariants.
    Raises ValueError for another method, states or steps, for a field of another shape, and where an implicit
    step does not converge or a state is not finite.

    >>> field = lambda x: torch.stack([x[:, 1], -x[:, 0]], 1)  # a circle, once round in 2π
    >>> states = rv.dynamics.integrate(field, torch.tensor([[1.0, 0.0]], dtype=torch.float64), 2 * np.pi / 100, 100)
    >>> bool(torch.allclose(states[-1], states[0], atol=1e-5))
    True
    """
    if method not in ("euler", "rk4", *_GAUSS):
        raise ValueError(f"method is {method!r}; expected euler, rk4, {' or '.join(_GAUSS)}")
    dt, steps, every = _checked(x, dt, steps, every)
    function(field, "field", "states (B, d) -> their rates of change (B, d)")
    returned(field(x), "field", tuple(x.shape))
    states = [x]
    for k in range(steps):
        x = _explicit(field, x, dt, method) if method in ("euler", "rk4") else _implicit(field, x, dt, *_GAUSS[method])
        _require_finite(x, k + 1, dt)
        if (k + 1) % every == 0:
            states.append(x)
    return torch.stack(states)


def leapfrog(
    velocity: Field, force: Field, x: Tensor, dt: float, steps: int, order: int = 2, every: int = 1
) -> Tensor:
    """States (steps // every + 1, B, 2 n) of dq/dt = velocity(p), dp/dt = force(q), from x = (q, p) (B, 2 n).

    Symplectic and reversible, of order 2 (Störmer and Verlet), 4 or 6 (Yoshida 1990, Phys. Lett. A 150:262): the error
    of the energy stays bounded. Raises ValueError for another order, states or steps.

    >>> x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)  # (q, p) of an oscillator: energy 1/2
    >>> states = rv.dynamics.leapfrog(lambda p: p, lambda q: -q, x, 0.1, 1000)
    >>> bool((states.square().sum(2) / 2 - 0.5).abs().max() < 0.002)  # stays within dt²/8 of it
    True
    """
    if order not in COMPOSITIONS:
        raise ValueError(f"order is {order!r}; expected {', '.join(map(str, COMPOSITIONS))}")
    dt, steps, every = _checked(x, dt, steps, every)
    if x.shape[1] % 2:
        raise ValueError(f"states have {x.shape[1]} coordinates; expected positions and as many momenta")
    q, p = x.chunk(2, 1)
    for name, part, at in (("velocity", velocity, p), ("force", force, q)):
        function(part, name, "(B, n) -> (B, n)")
        returned(part(at), name, tuple(at.shape))
    states = [x]
    for k in range(steps):
        for share in COMPOSITIONS[order]:
            p = p + 0.5 * share * dt * force(q)
            q = q + share * dt * velocity(p)
            p = p + 0.5 * share * dt * force(q)
        x = torch.cat([q, p], 1)
        _require_finite(x, k + 1, dt)
        if (k + 1) % every == 0:
            states.append(x)
    return torch.stack(states)


def _explicit(field: Field, x: Tensor, dt: float, method: str) -> Tensor:
    a = field(x)
    if method == "euler":
        return x + dt * a
    b = field(x + dt / 2 * a)
    c = field(x + dt / 2 * b)
    return x + dt / 6 * (a + 2 * b + 2 * c + field(x + dt * c))


def _implicit(field: Field, x: Tensor, dt: float, matrix: list[list[float]], weights: list[float]) -> Tensor:
    """One step of collocation; its stages by fixed-point iteration, to rounding."""
    slopes = [field(x)] * len(weights)
    tolerance = 8 * torch.finfo(x.dtype).eps
    before = float("inf")
    for _ in range(_MOST_ITERATIONS):
        new = [field(x + dt * sum(a * s for a, s in zip(row, slopes, strict=True))) for row in matrix]
        change = max(float((n - s).detach().abs().max()) for n, s in zip(new, slopes, strict=True))
        scale = max(float(n.detach().abs().max()) for n in new)
        slopes = new
        # converged to rounding, or rounding alone moves it
        if change <= tolerance * scale or (change <= 1e3 * tolerance * scale and change >= before):
            return x + dt * sum(w * s for w, s in zip(weights, slopes, strict=True))
        before = change
    raise ValueError(f"an implicit step of dt = {dt:g} does not converge; expected a contraction: take a smaller dt")


def _checked(x: Tensor, dt: float, steps: int, every: int) -> tuple[float, int, int]:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        what = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"the states are {what}; expected a floating tensor (B, d)")
    if x.ndim != 2 or x.numel() == 0:
        raise ValueError(f"the states have shape {tuple(x.shape)}; expected (B, d), a row each")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("a starting state is not finite; expected finite numbers: look where it was computed")
    return number(dt, "dt"), count(steps, "steps", 0), count(every, "every", 1)


def _require_finite(x: Tensor, step: int, dt: float) -> None:
    bad = ~torch.isfinite(x.detach())
    if bool(bad.any()):
        row, coordinate = bad.nonzero()[0].tolist()
        raise ValueError(
            f"coordinate {coordinate} of state {row} is not finite at step {step}; expected a bounded motion: take a "
            f"dt smaller than {dt:g}, or another start"
        )
