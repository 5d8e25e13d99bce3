"""Static inputs (B, ...) within [0, 1] as spike trains (T, B, N)."""

from __future__ import annotations

import torch
from torch import Tensor


def rate(x: Tensor, steps: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Independent Bernoulli spikes: x is the chance of a spike a step."""
    x = _checked(x, steps)
    return torch.rand((steps, *x.shape), generator=generator, dtype=x.dtype, device=x.device).lt_(x)


def latency(x: Tensor, steps: int, *, tau: float | None = None, threshold: float = 0.01) -> Tensor:
    """One spike each, the earlier the larger x; none at or below `threshold`.

    With `tau` (steps), the time at which an RC circuit charged by x reaches the threshold,
    t = tau ln(x/(x − threshold)) (Eshraghian et al. 2023, eq. 3), scaled so that x just above the threshold
    comes last; without it the time falls linearly from T − 1 at the threshold to 0 at x = 1.
    """
    x = _checked(x, steps)
    if not 0 <= threshold < 1 or (tau is not None and not (tau > 0 and threshold > 0)):
        raise ValueError(f"found threshold = {threshold}, tau = {tau}, expected 0 <= threshold < 1 and tau > 0")
    fires = x > threshold
    if tau is None:
        when = (1 - x) / (1 - threshold) * (steps - 1)
    else:
        when = tau * torch.log(x / (x - threshold).clamp(min=torch.finfo(x.dtype).tiny))
        when = when - tau * torch.log(torch.tensor(1 / (1 - threshold), dtype=x.dtype))
    last = torch.where(fires, when.clamp(0, steps - 1).round(), -1.0)
    return (torch.arange(steps, device=x.device)[:, None, None] == last).to(x.dtype)


def _checked(x: Tensor, steps: int) -> Tensor:
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"found steps = {steps!r}, expected a positive whole number")
    if x.ndim < 2 or not x.is_floating_point():
        raise ValueError(f"found x of shape {tuple(x.shape)} and {x.dtype}, expected floating point (B, ...)")
    if not bool(((x >= 0) & (x <= 1)).all()):  # NaN is not
        bad = x[~((x >= 0) & (x <= 1))][0].item()
        raise ValueError(f"found {bad} in x, expected values within [0, 1]; scale it first")
    return x.flatten(1)
