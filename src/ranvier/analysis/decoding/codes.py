"""Values read back from spike trains (T, B, N): the inverses of the encoders in `ranvier.learners.encoders`.

Each takes the parameters that its encoder was given.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor


def rate(spikes: Tensor) -> Tensor:
    """Spikes a step: (T, B, N) -> (B, N), the most likely x of Bernoulli spikes, with variance x (1 − x)/T.

    Examples
    --------
    >>> import torch
    >>> from ranvier.analysis import decoding
    >>> decoding.rate(torch.tensor([[[1.0]], [[0.0]]])).tolist()
    [[0.5]]
    """
    return _checked(spikes).mean(0)


def latency(spikes: Tensor, *, tau: float | None = None, threshold: float = 0.01) -> Tensor:
    """x from the step of the first spike: (T, B, N) -> (B, N); NaN where there is none.

    Exact up to the step: |Δx| ≤ (1 − threshold)/(2 (T − 1)) without `tau`.

    >>> x = torch.tensor([[1.0, 0.505, 0.109]])  # the strongest fires first, at step 0 of 11
    >>> [round(v, 3) for v in rv.analysis.decoding.latency(rv.learners.latency(x, steps=11))[0].tolist()]
    [1.0, 0.505, 0.109]
    """
    spikes = _checked(spikes)
    steps = len(spikes)
    first = (spikes != 0).to(spikes.dtype).argmax(0).to(spikes.dtype)
    if tau is None:
        x = 1 - first * (1 - threshold) / max(steps - 1, 1)
    else:
        # t = τ ln(x/(x − θ)) − τ ln(1/(1 − θ)), solved for x
        x = threshold / -torch.expm1(-first / tau + math.log1p(-threshold))
    return torch.where((spikes != 0).any(0), x, torch.nan)


def phase(spikes: Tensor, *, period: int = 8, weighted: bool = False) -> Tensor:
    """x from its binary digits: (T, B, N) -> (B, N), the mean over periods; below x by less than 2^−period.

    What remains of T after whole periods is left out. Raises ValueError for fewer steps than a period.

    >>> x = torch.tensor([[0.25, 0.625]])
    >>> rv.analysis.decoding.phase(rv.learners.phase(x, steps=8)).tolist()  # the binary digits 0.01 and 0.101
    [[0.25, 0.625]]
    """
    spikes = _checked(spikes)
    if not isinstance(period, int) or not 1 <= period <= len(spikes):
        raise ValueError(f"period is {period!r}; expected a whole number from 1 to the {len(spikes)} steps")
    whole = spikes[: len(spikes) // period * period].unflatten(0, (-1, period))
    if weighted:
        return whole.sum(1).mean(0)
    height = torch.exp2(-torch.arange(1, period + 1, dtype=spikes.dtype, device=spikes.device))
    return torch.einsum("rpbn,p->bn", whole, height) / len(whole)


def delta(spikes: Tensor, threshold: float, *, start: Tensor | float = 0.0) -> Tensor:
    """The sequence that changes encode: (T, B, N) -> (T, B, N), `start` (B, N), x[0], plus threshold times their
    sum; within `threshold` of an x that moves less than that a step (with `track=True`). ValueError for a threshold
    that is not positive.

    >>> x = torch.tensor([0.0, 0.5, 1.0, 0.5]).reshape(4, 1, 1)
    >>> rv.analysis.decoding.delta(rv.learners.delta(x, 0.5), 0.5).flatten().tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold}; expected a positive number")
    return start + threshold * _checked(spikes).cumsum(0)


def population(activity: Tensor, size: int, *, low: float = 0.0, high: float = 1.0, beta: float = 1.5) -> Tensor:
    """x from the activities of its Gaussian fields: (B, N · size) -> (B, N), NaN where fewer than two are active.

    The least squares fit of the fields to the activities, by Gauss and Newton from the most active field's centre:
    the most likely x under equal normal noise, exact without noise. Raises ValueError for another shape, negative
    activities, and parameters that `learners.population` refuses.

    >>> x = torch.tensor([[0.2, 0.7]])
    >>> decoded = rv.analysis.decoding.population(rv.learners.population(x, 10), 10)
    >>> bool(torch.allclose(decoded.float(), x, atol=1e-4))
    True
    """
    activity = _tensor(activity)
    if not isinstance(size, int) or size < 3 or activity.ndim != 2 or activity.shape[1] % size:
        raise ValueError(f"activity has shape {tuple(activity.shape)}, size is {size!r}; expected (B, N · size), "
                         "and at least 3 fields")  # fmt: skip
    if not (low < high and beta > 0) or not bool((activity >= 0).all()):
        raise ValueError(f"low is {low}, high {high}, beta {beta}; expected low < high, beta > 0, no negative activity")
    a = activity.unflatten(1, (-1, size)).double()
    spacing = (high - low) / (size - 2)
    centres = low + (torch.arange(size, dtype=a.dtype, device=a.device) - 0.5) * spacing
    x = centres[a.argmax(-1)]
    for _ in range(30):
        away = (x[..., None] - centres) * (beta / spacing)
        field = torch.exp(-0.5 * away**2)
        slope = -away * field * (beta / spacing)
        move = ((a - field) * slope).sum(-1) / (slope**2).sum(-1)
        x = x + move.clamp(-0.3 * spacing, 0.3 * spacing)
    return torch.where((a > 0).sum(-1) > 1, x, torch.nan).to(activity.dtype)


def _tensor(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values
    try:
        return torch.from_numpy(np.array(values))
    except TypeError as error:
        kind = np.asarray(values).dtype
        raise TypeError(f"spikes or values are {kind}; expected real numbers in an array or tensor") from error


def _checked(spikes: Any) -> Tensor:
    spikes = _tensor(spikes)
    if spikes.ndim != 3 or len(spikes) == 0 or not spikes.is_floating_point():
        raise ValueError(
            f"spikes has shape {tuple(spikes.shape)} and type {spikes.dtype}; expected floating point (T, B, N)"
        )
    return spikes


__all__ = ["delta", "latency", "phase", "population", "rate"]
