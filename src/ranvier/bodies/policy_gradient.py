"""The policy gradient: what a body earned teaches the circuit that moves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._checks import count, number, positive


class Episode(Protocol):
    """What `policy_gradient` asks of an episode: rewards (T,)."""

    @property
    def rewards(self) -> np.ndarray: ...


class Body(Protocol):
    """What `policy_gradient` asks of a body, such as `Swimmer`."""

    def run(self, control: Callable[[np.ndarray, int], np.ndarray], steps: int, *, seed: int) -> Episode:
        """An episode of control(joints (J,), step) -> torques (A,)."""


def policy_gradient(
    body: Body, cell: nn.Module, iterations: int, *, episodes: int = 4, steps: int = 1000, sigma: float = 0.2,
    lr: float = 0.01, discount: float = 0.95, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train `cell`, a `Cell` from joints (B, J) to torques (B, A), in place; returns the mean return of each iteration.

    REINFORCE (Williams 1992): torques are drawn from a normal distribution about the cell's, of deviation `sigma`;
    Adam of rate `lr` follows the mean over steps of A_t ∇ log p(torques_t). A_t is the reward from step t on,
    discounted, less its mean over the iteration's `episodes`, over its deviation. There is no critic, and no bound of
    a step, as PPO has. The same seed gives the same result.

    Raises ValueError for numbers out of range, TypeError for a module that is no `Cell`, FloatingPointError for rewards
    that are not finite.

    >>> class Body:  # one joint, still; every episode is rewarded by 1 a step
    ...     def run(self, control, steps, *, seed):
    ...         torques = [control(np.zeros(1), step) for step in range(steps)]
    ...         return type("Episode", (), {"rewards": np.ones(len(torques))})()
    >>> rv.bodies.policy_gradient(Body(), rv.nn.LI(1, 1, beta=0.5), 2, steps=5)
    [5.0, 5.0]
    """
    iterations, steps = count(iterations, "iterations"), count(steps, "steps", 1)
    episodes = count(episodes, "episodes", 2)  # each is compared with the others
    sigma, lr, discount = positive(sigma, "sigma"), positive(lr, "lr"), number(discount, "discount")
    if not 0 <= discount <= 1:
        raise ValueError(f"discount is {discount}; expected 0 to 1")
    if not (hasattr(cell, "init_state") and hasattr(cell, "step")):
        raise TypeError(f"cell is {type(cell).__name__}; expected one with init_state and step, as rv.bodies.NCAP")
    optimizer = torch.optim.Adam(cell.parameters(), lr)
    dtype = next(cell.parameters()).dtype
    rng, log = np.random.default_rng(seed), []
    for k in range(iterations):
        runs = [_episode(body, cell, steps, sigma, rng, dtype) for _ in range(episodes)]
        joints, torques = torch.stack([run[0] for run in runs], 1), torch.stack([run[1] for run in runs], 1)
        rewards = np.stack([run[2] for run in runs], 1)  # (T, B)
        if not np.isfinite(rewards).all():
            raise FloatingPointError(f"a reward of iteration {k} is not finite; expected finite numbers: see the body")
        advantage = torch.from_numpy(_advantages(rewards, discount)).to(dtype)
        error = (torques - cell(joints)[0]).square().sum(2) / (2 * sigma**2)
        optimizer.zero_grad()
        (advantage * error).mean().backward()
        optimizer.step()
        log.append(float(rewards.sum(0).mean()))
    return log


def _episode(
    body: Body, cell: Any, steps: int, sigma: float, rng: np.random.Generator, dtype: torch.dtype
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Joints (T, J) and torques (T, A) of an episode with noise, and its rewards (T,)."""
    state, inputs, drawn = cell.init_state(1), [], []

    def control(joints: np.ndarray, step: int) -> np.ndarray:
        nonlocal state
        x = torch.from_numpy(joints).to(dtype)
        with torch.no_grad():
            state, mean = cell.step(state, x[None])
        torque = mean[0] + sigma * torch.from_numpy(rng.standard_normal(mean.shape[1])).to(dtype)
        inputs.append(x)
        drawn.append(torque)
        values: np.ndarray = torque.double().numpy()
        return values

    rewards = body.run(control, steps, seed=int(rng.integers(2**31))).rewards
    return torch.stack(inputs), torch.stack(drawn), np.asarray(rewards, np.float64)


def _advantages(rewards: np.ndarray, discount: float) -> np.ndarray:
    """Rewards (T, B) from each step on, discounted, less their mean over B, over their deviation."""
    to_go, later = np.zeros_like(rewards), np.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        later = rewards[t] + discount * later
        to_go[t] = later
    advantage = to_go - to_go.mean(1, keepdims=True)
    spread = advantage.std()
    return advantage / spread if spread > 0 else advantage


__all__ = ["Body", "Episode", "policy_gradient"]
