"""What a loss on spike trains is made of: counts of populations, and a cost of rates outside a band."""

from __future__ import annotations

import torch
from torch import Tensor

from ranvier.nn.checks import require_tensor
from ranvier.nn.domains import NOT_NEGATIVE


def population_counts(y: Tensor, classes: int) -> Tensor:
    """Spikes of each class's population: y (T, B, N) -> (B, classes), for N a multiple of `classes`.

    Neurons k · N/classes to (k + 1) · N/classes are the population of class k. The counts are the logits of
    torch.nn.functional.cross_entropy, and their argmax is the answer. Raises ValueError for another shape, TypeError
    for what is no tensor.

    >>> rv.nn.population_counts(torch.eye(4).reshape(2, 2, 4), 2)
    tensor([[1., 1.],
            [1., 1.]])
    """
    require_tensor(y)
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"classes is {classes!r}; expected a positive whole number")
    if y.ndim != 3 or 0 in y.shape or y.shape[2] % classes:
        raise ValueError(
            f"y has shape {tuple(y.shape)} for {classes} classes; expected (T, B, N) with N a multiple of {classes}: "
            "give the layer as many neurons for every class"
        )
    return y.sum(0).unflatten(1, (classes, -1)).sum(2)


def rate_penalty(y: Tensor, low: float = 0.0, high: float = 1.0, *, power: int = 2, of: str = "neuron") -> Tensor:
    """Mean distance of rates from the band [low, high], to the first or second power: y (T, B, ...) -> ().

    A rate is in spikes a step. The lower bound wakes silent neurons, the upper one holds down busy ones; within the
    band there is neither cost nor gradient.

    Parameters
    ----------
    power : 1 or 2, of the distance (L1, L2). `low=0, high=0, power=1` is the mean rate: a cost of every spike.
    of : whose rates. "neuron": each neuron's mean over steps and batch (Zenke & Vogels 2021, of single neurons);
        "population": the mean over neurons as well, one number (their upper bound of a layer); "example": each
        neuron's in each example.

    Raises ValueError for a y of other shape, for bounds that are negative or not in order, other powers and words,
    TypeError for what is no tensor.

    >>> y = torch.tensor([[[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]])  # rates 1, 0.5, 0
    >>> round(rv.nn.rate_penalty(y, 0.25, 0.5).item(), 6)  # (0.5² + 0.25²)/3
    0.104167
    >>> rv.nn.rate_penalty(y, 0.25, 0.5, power=1).item(), rv.nn.rate_penalty(y, 0.25, 0.5, of="population").item()
    (0.25, 0.0)
    """
    require_tensor(y)
    if y.ndim < 3 or 0 in y.shape:
        raise ValueError(f"y has shape {tuple(y.shape)}; expected (T, B, ...) with spikes of one neuron or more")
    NOT_NEGATIVE.require("low", low)
    NOT_NEGATIVE.require("high", high)
    if low > high:
        raise ValueError(f"low is {low:g} and high {high:g}; expected low <= high: swap them")
    if power not in (1, 2):
        raise ValueError(f"power is {power!r}; expected 1 or 2")
    axes = {"neuron": (0, 1), "population": tuple(range(y.ndim)), "example": (0,)}
    if of not in axes:
        raise ValueError(f"of is {of!r}; expected one of {', '.join(axes)}")
    rates = y.mean(axes[of])
    distance = torch.relu(low - rates) + torch.relu(rates - high)
    return (distance if power == 1 else distance.square()).mean()


__all__ = ["population_counts", "rate_penalty"]
