"""Weight standardisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class _Standardised(nn.Module):
    """gain (w − mean)/√(fan_in · variance + eps), over each output's inputs."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(len(weight), *[1] * (weight.ndim - 1), dtype=weight.dtype))

    def forward(self, weight: Tensor) -> Tensor:
        axes = tuple(range(1, weight.ndim))
        variance, mean = torch.var_mean(weight, axes, keepdim=True)
        return self.gain * (weight - mean) * torch.rsqrt(weight[0].numel() * variance + self.eps)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def standardise(model: nn.Module, *, eps: float = 1e-4) -> nn.Module:
    """Give every nn.Linear and nn.Conv2d within `model`, those of layers included, standardised weights with one
    learned gain an output (Qiao et al. 2019; scaled by the fan-in as in Brock et al. 2021); returns `model`.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.learners.standardise(torch.nn.Sequential(torch.nn.Linear(50, 3)))
    >>> bool(model[0].weight.mean(1).abs().max() < 1e-6)
    True
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Linear | nn.Conv2d) and not parametrize.is_parametrized(module, "weight"):
            parametrize.register_parametrization(module, "weight", _Standardised(module.weight, eps))
    return model


__all__ = ["standardise"]
