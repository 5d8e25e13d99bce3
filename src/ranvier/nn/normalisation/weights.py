"""Weight standardisation: weights of mean 0 and fixed variance a neuron."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class _WeightStandardisation(nn.Module):
    """W ← gain (W − mean)/√(fan_in · variance + eps), row by row of (neurons, ...)."""

    def __init__(self, weight: Tensor, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full_like(weight[:, :1].flatten(1)[:, 0], gain))
        self.fan_in = math.prod(weight.shape[1:])

    def forward(self, weight: Tensor) -> Tensor:
        rows = weight.flatten(1)
        var, mean = torch.var_mean(rows, 1, correction=0, keepdim=True)
        return ((rows - mean) * (self.gain[:, None] * torch.rsqrt(self.fan_in * var + 1e-8))).view_as(weight)


def standardise_weights(module: nn.Module, *, gain: float = 1.0) -> nn.Module:
    """Standardise the weights of a linear or convolutional module in place (Qiao et al. 2019; Brock et al. 2021).

    Each neuron's weights then have mean 0 and sum of squares gain²: for inputs of equal variance and no correlation
    its drive has gain times their standard deviation, whatever the batch. `gain` starts the learned gains, one a
    neuron. What learns is the weight before; `torch.nn.utils.parametrize` keeps it as `parametrizations.weight`, so
    that a `LIF`'s inner module is `standardise_weights(layer.linear)`. Returns the module. Raises TypeError for a
    module without a weight of two or more axes, ValueError for one that is standardised already, for neurons with a
    single input, and for a gain that is not finite.

    >>> layer = rv.nn.LIF(6, 5)
    >>> weight = rv.nn.standardise_weights(layer.linear).weight.detach()
    >>> bool(torch.allclose(weight.sum(1), torch.zeros(5), atol=1e-6)), round(float(weight.square().sum()), 3)
    (True, 5.0)
    """
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim < 2 or isinstance(module, nn.modules.conv._ConvTransposeNd):
        raise TypeError(
            f"module is {type(module).__name__}; expected one with weights (neurons, inputs, ...), such as nn.Linear "
            "or nn.Conv2d: give a layer's inner module"
        )
    if not math.isfinite(gain):
        raise ValueError(f"gain is {gain}; expected a finite number")
    if math.prod(weight.shape[1:]) < 2:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected two or more inputs a neuron: the mean of one is itself"
        )
    if parametrize.is_parametrized(module, "weight") and any(
        isinstance(part, _WeightStandardisation)
        for part in module.parametrizations["weight"]  # type: ignore[index,union-attr]
    ):
        raise ValueError(f"the weight of {type(module).__name__} is standardised already; expected it plain")
    parametrize.register_parametrization(module, "weight", _WeightStandardisation(weight.detach(), gain))
    return module


__all__ = ["standardise_weights"]
