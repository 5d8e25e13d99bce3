"""Slow-feature analysis, and how many dimensions codes use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier._checks import count, floating
from ranvier._results import Fields


@dataclass(frozen=True)
class SlowFeatures(Fields):
    """y = (x − mean) W of unit variance; `slowness` (k,) is the mean square of each one's change from step to step.
    Returned by `slow_features`.
    """

    mean: Tensor
    weight: Tensor
    slowness: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Features (..., k) of x (..., N), the slowest first."""
        return (x - self.mean) @ self.weight


def slow_features(x: Tensor, features: int, *, share: float = 1e-6) -> SlowFeatures:
    """Linear slow-feature analysis (Wiskott & Sejnowski 2002) of sequences (T, B, N), in float64.

    Among directions of unit variance, those whose mean squared change is least, uncorrelated with each other.
    Directions of less than `share` of the largest variance are left out. Raises ValueError where fewer remain.

    >>> t = torch.arange(500.0)
    >>> slow, fast = torch.sin(0.02 * t), torch.sin(1.3 * t)
    >>> x = torch.stack([slow + fast, slow - fast], 1)[:, None]  # mixed
    >>> y = rv.worlds.slow_features(x, 1)(x.double())[:, 0, 0]
    >>> bool(torch.corrcoef(torch.stack([y, slow.double()]))[0, 1].abs() > 0.99)
    True
    """
    x = floating(x, "x", "(T, B, N) with two steps or more", 3).double()
    if len(x) < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, N) with two steps or more")
    rows = x.flatten(0, 1)
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    varied = values > share * values[-1]
    if count(features, "features", 1) > int(varied.sum()):
        raise ValueError(f"features is {features}; expected at most {int(varied.sum())}, directions that vary")
    white = vectors[:, varied] / values[varied].sqrt()
    change = (x.diff(dim=0) @ white).flatten(0, 1)
    slowness, turns = torch.linalg.eigh(change.T @ change / len(change))
    return SlowFeatures(mean, white @ turns[:, :features], slowness[:features])


def effective_rank(codes: Tensor) -> float:
    """exp of the entropy of the singular values of codes (n, size), each divided by their sum (Roy & Vetterli 2007).

    Means are left in, as by RankMe (Garrido et al. 2023): codes that are all alike have rank 1. NaN for codes of zero.

    >>> from ranvier.worlds import effective_rank
    >>> effective_rank(torch.eye(3)), effective_rank(torch.ones(5, 3))
    (3.0, 1.0)
    """
    floating(codes, "codes", "(n, size)", 2)
    values = torch.linalg.svdvals(codes.detach().double())
    p = values / values.sum()
    p = p[(p > 1e-12) | p.isnan()]
    return round(float(torch.exp(-(p * p.log()).sum())), 12)


__all__ = ["SlowFeatures", "effective_rank", "slow_features"]
