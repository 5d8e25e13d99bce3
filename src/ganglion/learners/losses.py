"""Losses on the output y (T, B, C) of a model and labels (B,)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def check_labels(y: Tensor, labels: Tensor) -> None:
    """ValueError unless labels are whole numbers (B,) within 0 .. C − 1."""
    if y.ndim != 3:
        raise ValueError(f"found an output of shape {tuple(y.shape)}, expected (T, B, classes)")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"found labels of {labels.dtype}, expected whole numbers")
    if labels.shape != y.shape[1:2]:
        raise ValueError(f"found labels of shape {tuple(labels.shape)}, expected ({y.shape[1]},)")
    wrong = (labels < 0) | (labels >= y.shape[2])
    if bool(wrong.any()):
        k = int(wrong.nonzero()[0])
        raise ValueError(f"found label {int(labels[k])} at position {k}, expected 0 to {y.shape[2] - 1}")


def rate_cross_entropy(y: Tensor, labels: Tensor, *, scale: float = 10.0) -> Tensor:
    """Cross-entropy of softmax(scale · spikes a step), which does not depend on the number of steps.

    `scale` lies between the rates' range, 0 to 1, and the logits': without it a neuron that always fires has
    only e times the chance of one that never does.
    """
    check_labels(y, labels)
    return F.cross_entropy(scale * y.mean(0), labels)


def membrane_cross_entropy(y: Tensor, labels: Tensor) -> Tensor:
    """Mean over steps of the cross-entropy of softmax(membrane), of a readout such as `gg.nn.LI`
    (Eshraghian et al. 2023, cross-entropy spike-rate loss on membranes)."""
    check_labels(y, labels)
    return F.cross_entropy(y.flatten(0, 1), labels.repeat(len(y)))


def accuracy(y: Tensor, labels: Tensor) -> float:
    """Share of examples whose largest output, summed over steps, is their label."""
    check_labels(y, labels)
    return float((y.sum(0).argmax(1) == labels).double().mean())
