"""Losses (), and shares of right answers, of the output y (T, B, C) of a model and labels (B,), whole numbers.

Each raises ValueError for labels of another shape or type, or outside 0 to C − 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def check_labels(y: Tensor, labels: Tensor) -> Tensor:
    """The labels as int64. ValueError unless they are whole numbers (B,) within 0 .. C − 1, and T and B above 0."""
    if y.ndim != 3 or y.numel() == 0:
        raise ValueError(f"output has shape {tuple(y.shape)}; expected (T, B, classes), none of them 0")
    if not isinstance(labels, Tensor):
        raise TypeError(f"there are labels of type {type(labels).__name__}; expected a tensor (B,) of whole numbers")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels are {labels.dtype}; expected whole numbers")
    labels = labels.long()
    if labels.shape != y.shape[1:2]:
        raise ValueError(f"labels have shape {tuple(labels.shape)}; expected ({y.shape[1]},)")
    wrong = (labels < 0) | (labels >= y.shape[2])
    if bool(wrong.any()):
        k = int(wrong.nonzero()[0])
        raise ValueError(f"there is label {int(labels[k])} at position {k}; expected 0 to {y.shape[2] - 1}")
    return labels


def rate_cross_entropy(y: Tensor, labels: Tensor, *, scale: float = 10.0) -> Tensor:
    """Cross-entropy of softmax(scale · spikes a step), y (T, B, C), labels (B,); it does not depend on T (Eshraghian
    et al. 2023, cross-entropy spike rate, whose `scale` is T; so is that of snnTorch's ce_count_loss).

    `scale` lies between the rates' range, 0 to 1, and the logits': without it a neuron that always fires has
    only e times the chance of one that never does.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> round(float(rv.learners.rate_cross_entropy(torch.zeros(5, 2, 10), torch.tensor([3, 4]))), 3)  # ln 10
    2.303
    """
    labels = check_labels(y, labels)
    return F.cross_entropy(scale * y.mean(0), labels)


def rate_mse(y: Tensor, labels: Tensor, *, correct: float = 0.8, incorrect: float = 0.2) -> Tensor:
    """Squared distance of spikes a step from `correct` at the label and `incorrect` elsewhere, summed over classes,
    averaged over the batch (Eshraghian et al. 2023, mean square spike rate); y (T, B, C), labels (B,); it does not
    depend on T.

    Targets within (0, 1) keep neurons from falling silent, and from firing at every step.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y = torch.tensor([[[0.8, 0.2]]])  # (T, B, C)
    >>> round(float(rv.learners.rate_mse(y, torch.tensor([0]))), 6)
    0.0
    """
    labels = check_labels(y, labels)
    if not (0 <= incorrect <= 1 and 0 <= correct <= 1):
        raise ValueError(f"correct is {correct}, incorrect is {incorrect}; expected rates within [0, 1]")
    target = torch.full_like(y[0], incorrect).scatter_(1, labels[:, None], correct)
    return (y.mean(0) - target).square().sum(1).mean()


def membrane_cross_entropy(y: Tensor, labels: Tensor) -> Tensor:
    """Mean over steps of the cross-entropy of softmax(membrane), of a readout such as `rv.nn.LI`; y (T, B, C), labels
    (B,) (Eshraghian et al. 2023, cross-entropy spike-rate loss on membranes; snnTorch's ce_rate_loss).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> round(float(rv.learners.membrane_cross_entropy(torch.zeros(5, 2, 10), torch.tensor([3, 4]))), 3)  # ln 10
    2.303
    """
    labels = check_labels(y, labels)
    return F.cross_entropy(y.flatten(0, 1), labels.repeat(len(y)))


def first_spike(y: Tensor) -> Tensor:
    """Step (...) of the first spike of y (T, ...) of 0 and 1, counted from 0, or T where there is none.

    It is written as the sum over t of (1 − y[0]) ... (1 − y[t]), so its gradient is the exact change that one spike
    more or less makes: −(t₁ − s) at a step s before the first spike t₁, −(t₂ − t₁) at t₁ itself, where t₂ is the
    second (T if none), and 0 later. A silent neuron is thus drawn to spike, the sooner the better.
    Raises ValueError for other values than 0 and 1.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.learners.first_spike(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
    [2.0, 0.0, 1.0]
    """
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError("there are values other than 0 and 1 in y; expected spikes; a membrane has no first spike")
    return torch.cumprod(1 - y, 0).sum(0)


def first_spike_cross_entropy(y: Tensor, labels: Tensor, *, scale: float = 10.0) -> Tensor:
    """Cross-entropy of softmax(−scale · step of the first spike / T), of spikes: the label's neuron shall spike first
    (Eshraghian et al. 2023, cross-entropy spike time; gradient as `first_spike`).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]])  # (T, B, C)
    >>> loss = rv.learners.first_spike_cross_entropy
    >>> bool(loss(y, torch.tensor([1])) < loss(y, torch.tensor([0])))
    True
    """
    labels = check_labels(y, labels)
    return F.cross_entropy(-scale / len(y) * first_spike(y), labels)


def accuracy(y: Tensor, labels: Tensor) -> float:
    """Share of examples whose largest output, summed over steps, is their label; k that share the largest get 1/k.

    y (T, B, C), labels (B,).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.learners.accuracy(torch.tensor([[[0.0, 2.0], [3.0, 1.0]]]), torch.tensor([1, 1]))
    0.5
    """
    labels = check_labels(y, labels)
    return _share(y.sum(0), labels)


def first_spike_accuracy(y: Tensor, labels: Tensor) -> float:
    """Share of examples whose first neuron to spike is their label; k that are first together get 1/k.

    Spikes y (T, B, C), labels (B,).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]])  # (T, B, C)
    >>> rv.learners.first_spike_accuracy(y, torch.tensor([1]))
    1.0
    """
    labels = check_labels(y, labels)
    return _share(-first_spike(y), labels)


def _share(score: Tensor, labels: Tensor) -> float:
    best = (score == score.max(1, keepdim=True).values).double()
    return float((best / best.sum(1, keepdim=True)).gather(1, labels[:, None]).mean())
