"""How many quantities a motion conserves: the dimension that it fills, by walking off it and being pulled back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ranvier._checks import count, instance, positive
from ranvier._results import Fields

#: a direction counts where more than this share of a walk's variance is left after the pull: 1 along the manifold, 0
#: across it. Set once, on oscillators, Kepler's ellipse, Hénon and Heiles' and the double pendulum's chaos
THRESHOLD = 0.4
_FLAT = 1e-5  # of the largest standard deviation: a direction in which nothing moves


@dataclass(frozen=True)
class ManifoldDimension(Fields):
    """What `manifold_dimension` measures.

    ratios: (scales, d), the share of a walk's variance that a pull leaves, by falling size: the explained-ratio
    diagram. flat: directions without any variance (linear constraints), which come before the d others.
    dimension: n_eff (scales,), how many ratios exceed `THRESHOLD`. scales: of the walks, in standard deviations.
    """

    ratios: Tensor
    flat: int
    dimension: Tensor
    scales: tuple[float, ...]

    def conserved(self, phase_space: int) -> Tensor:
        """phase_space − n_eff (scales,): of a motion that fills what it can reach, its conserved quantities."""
        return count(phase_space, "phase_space", 1) - self.dimension


class Denoiser(nn.Module):
    """d → width → width → d: predicts the noise, in units of its scale, that was added to points (B, d).

    >>> generator = torch.Generator().manual_seed(0)
    >>> denoiser = rv.dynamics.Denoiser(1, width=32)
    >>> denoiser.fit(torch.zeros(64, 1), 1.0, steps=100, generator=generator) < 0.1  # all points alike: all is noise
    True
    """

    def __init__(self, d: int, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, d)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def fit(self, points: Tensor, scale: float, steps: int, generator: torch.Generator, batch: int = 256) -> float:
        """Train on points (P, d) by Adam; the last batch's mean squared error, 1 where nothing was learnt."""
        optimizer = torch.optim.Adam(self.parameters(), 3e-3, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        error = points.new_ones(())
        for _ in range(steps):
            clean = points[torch.randint(len(points), (batch,), generator=generator)]
            noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
            error = (self(clean + scale * noise) - noise).square().mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
        return float(error.detach())


def whiten(points: Tensor) -> tuple[Tensor, int]:
    """Points (P, d) in their principal axes with variance 1 (P, d − flat), and the number of flat axes left out."""
    centred = (points - points.mean(0)).double()
    _, spread, axes = torch.linalg.svd(centred / len(points) ** 0.5, full_matrices=False)
    chosen = spread > _FLAT * spread[0]
    return (centred @ axes[chosen].T / spread[chosen]).to(points), int((~chosen).sum())


def manifold_dimension(
    points: Tensor,
    scales: tuple[float, ...] = (0.1, 0.2, 0.4),
    *,
    width: int = 256,
    steps: int = 600,
    walks: int = 2000,
    bases: int = 40,
    seed: int = 0,
) -> ManifoldDimension:
    """The dimension of the manifold that points (P, d) of one recurrent motion fill (Liu & Tegmark 2021, AI Poincaré).

    For each scale L a denoiser learns to take noise of standard deviation L off whitened points. `walks` walks of that
    size from `bases` points are pulled back by it; across the manifold nothing of them is left, along it all. The
    number of ratios left is the dimension, and what a phase space has more is conserved.

    The motion must come back on itself: every transient is a line, of dimension 1, whatever it conserves. L must
    exceed the distance of neighbouring points and be below the manifold's radius of curvature.

    Raises ValueError for points that do not move, are not finite or too few, and for wrong numbers; TypeError for
    other than a floating tensor.

    >>> theta = torch.linspace(0, 2 * torch.pi, 200)
    >>> circle = torch.stack([theta.cos(), theta.sin()], 1)
    >>> result = rv.dynamics.manifold_dimension(circle, (0.2,), width=32, steps=200, walks=200)
    >>> result.conserved(phase_space=2).tolist()  # one dimension is left of two: the energy is conserved
    [1]
    """
    _check(points)
    instance(scales, (tuple, list), "scales", "a tuple of numbers, such as (0.2,)")
    scales = tuple(positive(scale, "a scale") for scale in scales)
    if not scales:
        raise ValueError("scales is empty; expected at least one, in standard deviations: try (0.2,)")
    steps, walks, bases = count(steps, "steps", 1), count(walks, "walks", 1), count(bases, "bases", 1)
    x, flat = whiten(points)
    each = walks // bases
    if each <= x.shape[1]:
        raise ValueError(
            f"walks is {walks} from {bases} bases; expected more than {x.shape[1]} a base: "
            f"give {2 * bases * x.shape[1]}"
        )
    rows = []
    for scale in scales:
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            denoiser = Denoiser(x.shape[1], count(width, "width", 1)).to(x.dtype)
        denoiser.fit(x, scale, steps, generator)
        start = x[torch.randint(len(x), (bases, 1), generator=generator)]
        walk = start + scale * torch.randn(bases, each, x.shape[1], generator=generator, dtype=x.dtype)
        with torch.no_grad():
            pulled = walk - scale * denoiser(walk)
        rows.append(_local_variances(pulled).mean(0) / scale**2)
    ratios = torch.stack(rows)
    return ManifoldDimension(ratios, flat, (ratios > THRESHOLD).sum(1), scales)


def _local_variances(pulled: Tensor) -> Tensor:
    """(bases, d) variances of points (bases, n, d) along their own principal axes, the largest first."""
    centred = pulled - pulled.mean(1, keepdim=True)
    return torch.linalg.eigvalsh(centred.mT @ centred / (pulled.shape[1] - 1)).flip(1)


def _check(points: Tensor) -> None:
    if not isinstance(points, Tensor) or points.dtype not in (torch.float32, torch.float64):
        what = f"a tensor of {points.dtype}" if isinstance(points, Tensor) else type(points).__name__
        raise TypeError(f"points is {what}; expected a tensor (P, d) of float32 or float64")
    if points.ndim != 2 or len(points) < 50 or points.shape[1] < 1:
        raise ValueError(f"points has shape {tuple(points.shape)}; expected (P, d), 50 points or more of a motion")
    if not bool(torch.isfinite(points).all()):
        raise ValueError("a point is not finite; expected finite coordinates: leave such points out")
    if float((points - points[0]).abs().max()) == 0.0:
        raise ValueError("all points are the same; expected a motion: a state at rest conserves everything")
