"""Invariants as networks: functions whose gradients are orthogonal to the field and to each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ranvier._checks import count, function, returned
from ranvier._results import Fields
from ranvier.dynamics.integrators import Field


@dataclass(frozen=True)
class NetworkInvariants(Fields):
    """module: states (B, d) -> H (B, K). loss: (K,), the mean squared cosine between ∇H_k and the field, on states
    that were not trained on; a function without any relation to it has 1/d. overlap: the largest mean squared cosine
    between two gradients; near 1 they are the same function.
    Returned by `network_invariants`.
    """

    module: nn.Module
    loss: Tensor
    overlap: float


def network_invariants(
    field: Field,
    x: Tensor,
    k: int = 1,
    *,
    width: int = 64,
    steps: int = 600,
    independence: float = 0.1,
    seed: int = 0,
) -> NetworkInvariants:
    """k networks H with ∇H · field = 0 on states x (B, d), after AI Poincaré 2.0 (Liu, Madhavan & Tegmark 2022).

    The loss is the mean squared cosine between gradients and field, plus `independence` times that between gradients.
    A tenth of the states is held out. Every field has d − 1 invariants in a small enough region; what a smooth network
    finds in a large one are those that last.

    Raises ValueError for k outside 1 .. d − 1, and states that are too few or not finite.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> field = lambda x: torch.stack([x[:, 1], -x[:, 0]], 1)
    >>> found = rv.dynamics.network_invariants(field, x, width=16, steps=150)
    >>> bool(found.loss[0] < 0.1)  # 1/2 for a function without any relation to the field
    True
    """
    if not isinstance(x, Tensor) or x.ndim != 2 or not x.is_floating_point():
        what = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"the states are {what}; expected a floating tensor (B, d)")
    if len(x) < 50 or not bool(torch.isfinite(x).all()):
        raise ValueError(f"there are {len(x)} states, or some are not finite; expected 50 or more finite ones")
    if count(k, "k", 1) > x.shape[1] - 1:
        raise ValueError(f"k is {k}; expected 1 to {x.shape[1] - 1}: a flow in d dimensions has d - 1 at most")
    with torch.no_grad():
        function(field, "field", "states (B, d) -> their rates of change (B, d)")
        direction = nn.functional.normalize(returned(field(x), "field", tuple(x.shape)), dim=1)
    centre, spread = x.mean(0), x.std(0).clamp_min(1e-12)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = _Scaled(centre, spread, k, count(width, "width", 1)).to(x.dtype)
    order = torch.randperm(len(x), generator=generator)
    held, train = order[: len(x) // 10], order[len(x) // 10 :]
    optimizer = torch.optim.Adam(module.parameters(), 3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count(steps, "steps", 1))
    for _ in range(steps):
        rows = train[torch.randint(len(train), (256,), generator=generator)]
        loss, overlap = _cosines(module, x[rows], direction[rows])
        optimizer.zero_grad()
        (loss.sum() + independence * overlap.sum()).backward()
        optimizer.step()
        schedule.step()
    loss, overlap = _cosines(module, x[held], direction[held])
    return NetworkInvariants(module, loss.detach(), float(overlap.detach().amax()) if k > 1 else 0.0)


class _Scaled(nn.Module):
    """d → width → width → k networks side by side, of inputs in units of their spread."""

    centre: Tensor
    spread: Tensor

    def __init__(self, centre: Tensor, spread: Tensor, k: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        self.parts = nn.ModuleList(
            nn.Sequential(
                nn.Linear(len(centre), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
            )
            for _ in range(k)
        )

    def forward(self, x: Tensor) -> Tensor:
        z = (x - self.centre) / self.spread
        return torch.cat([part(z) for part in self.parts], 1)


def _cosines(module: nn.Module, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared cosines between gradients and field (K,), and between gradients (pairs,)."""
    at = x.detach().requires_grad_()
    values = module(at)
    gradients = torch.stack(
        [torch.autograd.grad(values[:, k].sum(), at, create_graph=True)[0] for k in range(values.shape[1])], 1
    )
    unit = nn.functional.normalize(gradients, dim=2)
    along = (unit @ direction[:, :, None])[:, :, 0].square().mean(0)
    first, second = torch.triu_indices(values.shape[1], values.shape[1], 1)
    return along, (unit[:, first] * unit[:, second]).sum(2).square().mean(0)
