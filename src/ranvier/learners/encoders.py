"""Inputs as spike trains (T, B, N): static ones (B, ...) within [0, 1], sequences (T, B, ...) for `delta`.

All axes but T and B become one; `.unflatten(2, x.shape[1:])` gives images theirs back, for convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.nn.checks import require_finite, require_tensor


def rate(x: Tensor, steps: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Independent Bernoulli spikes (steps, B, N): x (B, ...), within [0, 1], is the chance of a spike a step.

    generator: of the random numbers; torch's own if none is given. Raises ValueError for values outside [0, 1].

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> spikes = rv.learners.rate(torch.tensor([[0.0, 1.0]]), steps=4)
    >>> spikes.sum(0).tolist()
    [[0.0, 4.0]]
    """
    x = _checked(x, steps)
    return torch.rand((steps, *x.shape), generator=generator, dtype=x.dtype, device=x.device).lt_(x)


def latency(x: Tensor, steps: int, *, tau: float | None = None, threshold: float = 0.01) -> Tensor:
    """One spike each, (steps, B, N) from x (B, ...) within [0, 1], the earlier the larger x; none at or below
    `threshold`.

    With `tau` (steps), the time at which an RC circuit charged by x reaches the threshold,
    t = tau ln(x/(x − threshold)) (Eshraghian et al. 2023, eq. 3), counted from that of x = 1; later ones than
    T − 1 come there. Without it the time falls linearly from T − 1 at the threshold to 0 at x = 1.
    Raises ValueError for values outside [0, 1].

    >>> spikes = rv.learners.latency(torch.tensor([[1.0, 0.505, 0.0]]), steps=11)
    >>> spikes[:, 0].argmax(0).tolist(), spikes.sum(0)[0].tolist()  # the time of the spike; none for 0
    ([0, 5, 0], [1.0, 1.0, 0.0])
    """
    x = _checked(x, steps)
    if not 0 <= threshold < 1 or (tau is not None and not (tau > 0 and threshold > 0)):
        raise ValueError(f"threshold is {threshold}, tau is {tau}; expected 0 <= threshold < 1 and tau > 0")
    fires = x > threshold
    if tau is None:
        when = (1 - x) / (1 - threshold) * (steps - 1)
    else:
        when = tau * torch.log(x / (x - threshold).clamp(min=torch.finfo(x.dtype).tiny))
        when = when - tau * torch.log(torch.tensor(1 / (1 - threshold), dtype=x.dtype))
    last = torch.where(fires, when.clamp(0, steps - 1).round(), -1.0)
    return (torch.arange(steps, device=x.device)[:, None, None] == last).to(x.dtype)


def phase(x: Tensor, steps: int, *, period: int = 8, weighted: bool = False) -> Tensor:
    """The binary digits of x (B, ...), within [0, 1], the largest first, one a step, over and over: (steps, B, N)
    (Kim et al. 2018, "Deep neural networks with weighted spikes").

    Step t tells whether 2^−k, k = 1 + t mod `period`, is in x rounded down to `period` digits; x = 1 has all of
    them. Spikes are 1, or, `weighted`, carry their 2^−k as in the paper: then those of a period add up to x,
    to 2^−period. Raises ValueError for values outside [0, 1], and a period outside 1 to 23.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.learners.phase(torch.tensor([[0.75]]), steps=4, period=4)[:, 0, 0].tolist()  # .11 in binary
    [1.0, 1.0, 0.0, 0.0]
    """
    x = _checked(x, steps)
    if not isinstance(period, int) or not 1 <= period <= 23:
        raise ValueError(f"period is {period!r}; expected a whole number from 1 to 23, the digits of a float32")
    whole = (x.double() * 2**period).floor().clamp(max=2**period - 1).long()
    place = period - 1 - torch.arange(steps, device=x.device) % period
    spikes = (whole >> place[:, None, None]) & 1
    height = torch.exp2((place - period).to(x.dtype))[:, None, None] if weighted else 1
    return spikes.to(x.dtype) * height


def delta(x: Tensor, threshold: float, *, track: bool = True, off: bool = True) -> Tensor:
    """Changes (T, B, N) of a sequence x (T, B, ...): 1 where it rose by `threshold`, −1 where it fell by as much.

    Changes are measured from what the spikes so far have signalled, x[0] + threshold · their sum, as a pixel of an
    event camera does (Lichtsteiner, Posch & Delbruck 2008); a jump of several thresholds takes as many steps.
    That sum is then never further than `threshold` from an x that moves less than that a step. With
    `track=False` they are differences from the step before (Eshraghian et al. 2023), which lose
    whatever moves slowly. off=False leaves out the falls (with both, snnTorch's `delta` with padding=True).
    x may have any finite values; ValueError for others.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> x = torch.tensor([0.0, 0.6, 0.1]).view(3, 1, 1)
    >>> rv.learners.delta(x, threshold=0.5)[:, 0, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    require_tensor(x)
    if x.ndim < 3 or x.shape[0] == 0 or not x.is_floating_point():
        raise ValueError(f"x has shape {tuple(x.shape)} and {x.dtype}; expected floating point (T, B, ...)")
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold}; expected a positive number, in the units of x")
    require_finite(x)
    x = x.flatten(2)
    out, tracked = torch.zeros_like(x), x[0].clone()
    for t in range(1, len(x)):
        change = x[t] - (tracked if track else x[t - 1])
        out[t] = (change >= threshold).to(x.dtype) - (change <= -threshold).to(x.dtype)
        tracked += threshold * out[t]
    return out if off else out.clamp_(min=0)


def population(x: Tensor, size: int, *, low: float = 0.0, high: float = 1.0, beta: float = 1.5) -> Tensor:
    """Activities (B, N · size) within [0, 1] of `size` Gaussian receptive fields a feature (Bohte, Kok & La Poutré
    2002), to be made spikes by any other encoder.

    Field i = 1 .. size of a feature, side by side in the output, is centred on
    low + (2i − 3)/2 · (high − low)/(size − 2), the first and the last beyond the ends, with standard deviation
    (high − low)/(beta (size − 2)). The paper's spike times, 10 (1 − activity) rounded, none after 9, are
    `latency(population(x, size), 10, threshold=0.1)`. x (B, ...) lies within [low, high]; ValueError for others.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.learners.population(torch.tensor([[0.5]]), size=5).argmax().item()  # the middle field
    2
    """
    if not isinstance(size, int) or size < 3:
        raise ValueError(f"size is {size!r}; expected a whole number of at least 3 fields")
    if not (low < high and beta > 0):
        raise ValueError(f"low is {low}, high is {high}, beta is {beta}; expected low < high and beta > 0")
    x = _within(x, low, high)
    spacing = (high - low) / (size - 2)
    centres = low + (torch.arange(size, dtype=x.dtype, device=x.device) - 0.5) * spacing
    return torch.exp(-0.5 * ((x[..., None] - centres) * (beta / spacing)) ** 2).flatten(1)


def _checked(x: Tensor, steps: int) -> Tensor:
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is {steps!r}; expected a positive whole number")
    return _within(x, 0, 1)


def _within(x: Tensor, low: float, high: float) -> Tensor:
    require_tensor(x)
    if x.ndim < 2 or not x.is_floating_point():
        raise ValueError(f"x has shape {tuple(x.shape)} and {x.dtype}; expected floating point (B, ...)")
    if not bool(((x >= low) & (x <= high)).all()):  # NaN is not
        bad = x[~((x >= low) & (x <= high))][0].item()
        raise ValueError(f"there is {bad} in x; expected values within [{low}, {high}]; scale it first")
    return x.flatten(1)
