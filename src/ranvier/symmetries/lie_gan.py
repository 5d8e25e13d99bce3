"""LieGAN: generators of a symmetry of data, that a discriminator cannot tell from the data after they acted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier._checks import count, number, positive
from ranvier._results import Fields


@dataclass(frozen=True)
class LieGANResult(Fields):
    """basis: (K, d, d), of norm 1 each. advantage: what the discriminator knows at the end, log 4 less its loss, in
    nats: 0 where moved data cannot be distinguished from the data, up to log 4. A basis with an advantage near those of
    random generators is no symmetry. restarts: the advantage of each start, of which the smallest is taken.
    Returned by `lie_gan`.
    """

    basis: Tensor
    advantage: float
    restarts: tuple[float, ...]


def lie_gan(
    x: Tensor,
    y: Tensor,
    channels: int = 1,
    *,
    reach: float = 0.5,
    correlation: float = 0.1,
    steps: int = 600,
    restarts: int = 1,
    width: int = 64,
    seed: int = 0,
) -> LieGANResult:
    """Generators L_i of a symmetry of the joint distribution of x (B, d) and y (B, m), after Yang, Walters, Dehmamy &
    Yu (2023, ICML, LieGAN): x → exp(Σ z_i L_i) x at random z, with y as it was.

    Generators are normalised, so that the identity is no answer, and pay `correlation` for the cosines between them.
    reach: standard deviation of z, times √d. As the distribution must be invariant, not the relation alone, data should
    spread much wider than `reach` along the orbits.

    Raises ValueError for shapes that do not fit, values that are not finite, and wrong numbers.

    >>> x = 5 * torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> result = rv.symmetries.lie_gan(x, x.norm(dim=1, keepdim=True), steps=20, width=16)
    >>> round(result.basis[0].norm().item(), 4)
    1.0
    """
    for name, values in (("x", x), ("y", y)):
        if not isinstance(values, Tensor) or not values.is_floating_point() or values.ndim != 2:
            what = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(f"{name} is {what}; expected a floating tensor, (B, d) of x and (B, m) of y")
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name} is not finite; expected finite numbers: leave such rows out")
    if len(x) != len(y) or len(x) < 50 or x.dtype != y.dtype:
        raise ValueError(f"x and y are {len(x)} and {len(y)} rows; expected as many, 50 or more, of one dtype")
    if not 1 <= count(channels, "channels", 1) <= x.shape[1] ** 2:
        raise ValueError(f"channels is {channels}; expected 1 to {x.shape[1] ** 2}, the square of x's {x.shape[1]}")
    reach, correlation = positive(reach, "reach"), number(correlation, "correlation")
    steps, restarts, width = count(steps, "steps", 1), count(restarts, "restarts", 1), count(width, "width", 1)
    runs = [_run(x, y, channels, reach, correlation, steps, width, seed + 1000 * k) for k in range(restarts)]
    basis, advantage = min(runs, key=lambda run: run[1])
    return LieGANResult(basis, advantage, tuple(a for _, a in runs))


def _run(
    x: Tensor, y: Tensor, channels: int, reach: float, correlation: float, steps: int, width: int, seed: int
) -> tuple[Tensor, float]:
    d, generator = x.shape[1], torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        judge = nn.Sequential(
            nn.Linear(d + y.shape[1], width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        ).to(x.dtype)
    raw = torch.randn(channels, d, d, generator=generator, dtype=x.dtype).requires_grad_()
    movers = torch.optim.Adam([raw], 5e-3, betas=(0.5, 0.9), fused=True)
    judges = torch.optim.Adam(judge.parameters(), 1e-2, betas=(0.5, 0.9), fused=True)
    centre, spread = y.mean(0), y.std(0).clamp_min(1e-12)
    size = x.square().mean(0).sqrt().clamp_min(1e-12)

    def logits(moved: Tensor, labels: Tensor) -> Tensor:
        return judge(torch.cat([moved / size, (labels - centre) / spread], 1))[:, 0]

    losses = []
    for _ in range(steps):
        basis = raw / raw.flatten(1).norm(dim=1)[:, None, None]
        real, other = torch.randint(len(x), (2, 256), generator=generator)
        z = reach * d**0.5 * torch.randn(256, channels, generator=generator, dtype=x.dtype)
        g = torch.linalg.matrix_exp(torch.einsum("bk,kij->bij", z, basis))
        moved = (g @ x[other, :, None])[:, :, 0]
        loss = F.softplus(-logits(x[real], y[real])).mean() + F.softplus(logits(moved.detach(), y[other])).mean()
        judges.zero_grad()
        loss.backward()
        judges.step()
        flat = basis.flatten(1)
        cost = F.softplus(-logits(moved, y[other])).mean() + correlation * (flat @ flat.T).triu(1).abs().sum()
        movers.zero_grad()
        cost.backward()
        movers.step()
        losses.append(float(loss.detach()))
    last = losses[-max(1, steps // 6) :]
    basis = raw.detach() / raw.detach().flatten(1).norm(dim=1)[:, None, None]
    return basis, math.log(4) - sum(last) / len(last)
