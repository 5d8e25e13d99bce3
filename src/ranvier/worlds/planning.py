"""Planning with a latent model: actions that lead to a goal's code with the least energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

from ranvier._checks import count, floating, positive


class LatentModel(Protocol):
    """What `plan` asks of a model."""

    actions: int

    def predict(self, code: Tensor, actions: Tensor) -> Tensor:
        """Codes (H, B, size) after each of the actions (H, B, actions), from a code (B, size)."""


def latent_energy(model: LatentModel, code: Tensor, goal: Tensor, actions: Tensor) -> Tensor:
    """Σ_h |z_h − goal|²/(H · size) of the codes that actions (H, B, A) lead to, (B,).

    >>> class Adds:  # z ← z + a
    ...     def predict(self, code, actions):
    ...         return code + actions.cumsum(0)
    >>> actions = torch.ones(2, 1, 1)
    >>> rv.worlds.latent_energy(Adds(), torch.zeros(1, 1), torch.full((1, 1), 2.0), actions).tolist()  # ((1−2)² + 0)/2
    [0.5]
    """
    return (model.predict(code, actions) - goal).square().mean((0, 2))


def plan(
    model: LatentModel,
    code: Tensor,
    goal: Tensor,
    horizon: int,
    *,
    method: Literal["cem", "gradient"] = "cem",
    iterations: int = 5,
    population: int = 64,
    elite: int = 8,
    rate: float = 0.3,
    limit: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Actions (H, B, A) within ±`limit` of least `latent_energy`, from codes (B, size) to goals (B, size).

    "cem": the cross-entropy method (Rubinstein 1999): of `population` plans drawn from a Gaussian the `elite` best make
    the next Gaussian, `iterations` times; its mean is the plan. "gradient": `iterations` steps of Adam of `rate`
    through the predictor, from no action at all. Raises ValueError for shapes that do not fit.

    >>> class Adds:  # z ← z + a
    ...     actions = 1
    ...     def predict(self, code, actions):
    ...         return code + actions.cumsum(0)
    >>> code, goal = torch.zeros(1, 1), torch.full((1, 1), 0.5)
    >>> actions = rv.worlds.plan(Adds(), code, goal, 3, method="gradient", iterations=50)
    >>> bool(abs(actions[0, 0, 0] - 0.5) < 0.1)  # to the goal in one step
    True
    """
    horizon, iterations = count(horizon, "horizon", 1), count(iterations, "iterations", 1)
    limit = positive(limit, "limit")
    floating(code, "code", "(B, size)", 2), floating(goal, "goal", "(B, size)", 2)
    if code.shape != goal.shape:
        raise ValueError(f"code and goal have shapes {tuple(code.shape)}, {tuple(goal.shape)}; expected (B, size) both")
    shape = (horizon, len(code), model.actions)
    if method == "gradient":
        return _descended(lambda a: latent_energy(model, code, goal, a), code.new_zeros(shape), iterations, rate, limit)
    if method != "cem":
        raise ValueError(f"method is {method!r}; expected 'cem' or 'gradient'")
    if not 1 <= count(elite, "elite", 1) <= count(population, "population", 1):
        raise ValueError(f"elite is {elite}; expected 1 to the population, {population}")
    mean, deviation = code.new_zeros(shape), code.new_full(shape, limit)
    many = code.repeat_interleave(population, 0), goal.repeat_interleave(population, 0)
    with torch.no_grad():
        for _ in range(iterations):
            noise = torch.randn(horizon, len(code), population, model.actions, generator=generator, dtype=code.dtype)
            plans = (mean[:, :, None] + deviation[:, :, None] * noise).clamp(-limit, limit)
            energies = latent_energy(model, *many, plans.flatten(1, 2)).unflatten(0, (len(code), population))
            best = energies.topk(elite, 1, largest=False).indices
            chosen = plans.gather(2, best[None, :, :, None].expand(horizon, -1, -1, model.actions))
            mean, deviation = chosen.mean(2), chosen.std(2, correction=0)
    return mean


def _descended(
    energy: Callable[[Tensor], Tensor], start: Tensor, iterations: int, rate: float, limit: float
) -> Tensor:
    actions = start.requires_grad_()
    optimizer = torch.optim.Adam([actions], positive(rate, "rate"))
    with torch.enable_grad():
        for _ in range(iterations):
            (actions.grad,) = torch.autograd.grad(energy(actions).sum(), [actions])
            optimizer.step()
            with torch.no_grad():
                actions.clamp_(-limit, limit)
    return actions.detach()


__all__ = ["latent_energy", "plan"]
