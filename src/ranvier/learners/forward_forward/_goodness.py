"""What both forward-forward learners share: goodness, normalisation, labels in the input, peers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PEER_MEMORY = 0.9  # of a unit's mean activity, a batch


def goodness(z: Tensor) -> Tensor:
    """Σ z² less the number of units, (B,), of z (B, ...): the logit of an example's being real (Hinton 2022)."""
    flat = z.flatten(1)
    return flat.square().sum(1) - flat.shape[1]


def normalised(z: Tensor) -> Tensor:
    """z (B, ...) at root mean square 1 an example, so that the next layer does not receive this one's goodness."""
    size = z.flatten(1).square().mean(1).sqrt()
    return z / (size.reshape(-1, *[1] * (z.ndim - 1)) + torch.finfo(z.dtype).eps ** 0.5)


def layer_loss(logits: Tensor, real: Tensor) -> Tensor:
    """Binary cross-entropy of goodness (B,) and whether an example is real (B,)."""
    return F.binary_cross_entropy_with_logits(logits, real)


def peer_loss(z: Tensor, average: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance of the units' mean activity from that of all, and the new running means (units,).

    z (B, units): of real examples. average: running means (units,); through the batch's share the gradient goes.
    """
    average = PEER_MEMORY * average + (1 - PEER_MEMORY) * z.mean(0)
    return (average.mean() - average).square().mean(), average.detach()


def with_label(x: Tensor, code: Tensor, place: str) -> Tensor:
    """x (B, ...) with a code (B, C): in the place of its first C values, or as C more channels, (B, N + C, ...)."""
    if place == "channels":
        plane = code.reshape(*code.shape, *[1] * (x.ndim - 2)).expand(*code.shape, *x.shape[2:])
        return torch.cat([x, plane], 1)
    flat = x.flatten(1)
    return torch.cat([code, flat[:, code.shape[1] :]], 1).view_as(x)


def wrong_labels(logits: Tensor, labels: Tensor) -> Tensor:
    """Labels (B,) drawn by softmax(logits (B, C)) from all but the right ones."""
    chances = logits.scatter(1, labels[:, None], -torch.inf).softmax(1)
    return torch.multinomial(chances, 1)[:, 0]


__all__ = ["goodness", "layer_loss", "normalised", "peer_loss", "with_label", "wrong_labels"]
