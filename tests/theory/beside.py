"""Predictions beside simulations, and gradients beside differences."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


def mean_rate(observed: Any, prediction: Any) -> tuple[float, float]:
    """The predicted mean rate over the simulated one, and the standard error of that."""
    r, error = observed.rates(return_error=True)
    return float(prediction.rates().sum() / r.sum()), float(error.pow(2).sum().sqrt() / r.sum())


def covariances(observed: Tensor, error: Tensor, prediction: Tensor, chosen: Tensor) -> tuple[float, float]:
    """Simulated covariances over predicted ones, those chosen weighed by their errors, and the error of that."""
    weight = torch.where(chosen & (error > 0), prediction / error**2, 0.0)
    total = (weight * prediction).sum()
    return float((weight * observed).sum() / total), float(total**-0.5)


def gradient_is_that_of_differences(
    loss: Callable[[Tensor], Tensor], x: Tensor, *, rel: float, least: float = 0.0
) -> None:
    """Every entry of x (n,), by central differences of 1e-4 of it, or of `least` where that is more."""
    x = x.detach().requires_grad_()
    (result,) = torch.autograd.grad(loss(x), x)
    with torch.no_grad():
        for k in range(len(x)):
            step = torch.zeros_like(x)
            step[k] = 1e-4 * max(abs(x[k].item()), least)
            expected = (loss(x + step) - loss(x - step)) / (2 * step[k])
            assert float(result[k]) == pytest.approx(float(expected), rel=rel)
