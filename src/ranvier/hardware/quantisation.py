"""Weights of few bits: rounded once training is over, or while it lasts, and what is lost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ranvier._checks import count, instance
from ranvier._results import Columns, Curves

_SHARES = torch.linspace(0.2, 1.0, 81, dtype=torch.float64)  # of the largest weight, that the largest number may be


def weights_of(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """(name of the module, module, name of its parameter) of every matrix or kernel of weights, recurrent ones too;
    gains of norms, delays and time constants are none. ValueError for a model without any."""
    empty = True
    for name, module in model.named_modules():
        if "norm" in type(module).__name__.lower() or "parametrizations" in name.split("."):
            continue
        for key, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1 and (key.startswith("weight") or key == "recurrent"):
                empty = False
                yield name, module, key
    if empty:
        raise ValueError(f"the model is {type(model).__name__}; expected layers with weights, such as nn.Linear, in it")


def quantise_weights(model: nn.Module, bits: int = 8, *, share: str = "neuron") -> nn.Module:
    """A copy of a trained model whose weights, recurrent ones too, are numbers of `bits` bits times a unit
    (post-training quantisation); biases, thresholds and time constants stay.

    Numbers go from −2^(bits−1) to 2^(bits−1) − 1. The unit is, of 81, that of the least squared error of the weights
    that share it: the largest weights are clipped where that makes the others finer (Choukroun et al. 2019).

    Parameters
    ----------
    bits : 2 to 16.
    share : what shares a unit, a "neuron" (a row, or the kernels of an output channel) or a "layer".

    Raises ValueError for a model without weights of two or more axes, or with ones that are parametrised or not finite.

    >>> layer = rv.nn.LIF(20, 4, recurrent=True)
    >>> rounded = rv.hardware.quantise_weights(layer, 3)
    >>> [len(row.unique()) <= 8 for row in rounded.recurrent]
    [True, True, True, True]
    """
    instance(model, nn.Module, "model", "a torch.nn.Module")
    if not 2 <= count(bits, "bits", 2) <= 16:
        raise ValueError(f"bits is {bits}; expected 2 to 16")
    if share not in ("neuron", "layer"):
        raise ValueError(f"share is {share!r}; expected 'neuron' or 'layer'")
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module):
            raise ValueError(
                f"{name or type(module).__name__} is parametrised; expected plain weights: use "
                "torch.nn.utils.parametrize.remove_parametrizations first"
            )
    rounded = copy.deepcopy(model)
    for name, module, key in list(weights_of(rounded)):
        weight: Tensor = getattr(module, key).data
        if not bool(weight.isfinite().all()):
            raise ValueError(f"{key} of {name or type(module).__name__} is not finite; expected a trained model")
        neurons = len(weight)
        if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            neurons = module.groups * weight.shape[1]
            weight = weight.unflatten(0, (module.groups, -1)).transpose(1, 2)  # a view, output channels first
        rows = weight.reshape(neurons if share == "neuron" else 1, -1)
        weight.copy_(_rounded(rows.double(), bits).reshape(weight.shape))
    return rounded


def _rounded(rows: Tensor, bits: int) -> Tensor:
    """Each row on the grid of least squared error (rows, n)."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    largest = rows.abs().amax(1, keepdim=True)
    best, least = torch.zeros_like(rows), torch.full_like(largest, torch.inf)
    for part in _SHARES.to(rows.device):
        unit = torch.where(largest > 0, part * largest / high, 1.0)
        candidate = (rows / unit).round().clamp(low, high) * unit
        error = (candidate - rows).square().sum(1, keepdim=True)
        best, least = torch.where(error < least, candidate, best), torch.minimum(error, least)
    return best


@dataclass(frozen=True)
class QuantisationLoss(Columns):
    """What `quantisation_loss` measured: the model's score, scores after rounding to `bits`, and by layer the root of
    the rounding's squared error over that of the weights' squares."""

    bits: tuple[int, ...]
    score: tuple[float, ...]
    model_score: float
    error: dict[str, tuple[float, ...]]

    @property
    def loss(self) -> tuple[float, ...]:
        """Score lost at each number of bits; negative where rounding helps."""
        return tuple(self.model_score - s for s in self.score)

    def _columns(self) -> dict[str, Any]:
        errors = {f"error of {name}": row for name, row in self.error.items()}
        return {"bits": self.bits, "score": self.score, "loss": self.loss, **errors}

    def _curves(self) -> Curves:
        model = (self.model_score,) * len(self.bits)
        return Curves(self.bits, {"rounded": self.score, "model": model}, "bits", "score")

    def __str__(self) -> str:
        lines = [f"bits  score (model {self.model_score:.4f})  " + "  ".join(f"error of {name}" for name in self.error)]
        for k, (b, s) in enumerate(zip(self.bits, self.score, strict=True)):
            lines.append(f"{b:4d}  {s:.4f}  " + "  ".join(f"{row[k]:.4f}" for row in self.error.values()))
        return "\n".join(lines)


def quantisation_loss(
    model: nn.Module, score: Callable[[nn.Module], float], bits: Iterable[int] = range(2, 9), *, share: str = "neuron"
) -> QuantisationLoss:
    """What `quantise_weights` loses, at each number of bits: `score(model)` of the model and of every rounded copy.

    Raises what `quantise_weights` raises.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model, x = rv.nn.LIF(10, 3), (torch.rand(20, 8, 10) < 0.5).float()
    >>> labels = model(x)[0].sum(0).argmax(1)
    >>> measured = rv.hardware.quantisation_loss(model, lambda m: rv.learners.accuracy(m(x)[0], labels), bits=(2, 16))
    >>> measured.error["linear.weight"][1] < 1e-4
    True
    """
    instance(model, nn.Module, "model", "a torch.nn.Module")
    chosen = tuple(bits)
    if not chosen:
        raise ValueError("bits are (); expected whole numbers from 2 to 16")
    plain = {_name(*where): _weight(where) for where in weights_of(model)}
    scores: list[float] = []
    errors: dict[str, list[float]] = {name: [] for name in plain}
    for b in chosen:
        rounded = quantise_weights(model, b, share=share)
        scores.append(float(score(rounded)))
        for where in weights_of(rounded):
            weight = plain[_name(*where)]
            errors[_name(*where)].append(float((_weight(where) - weight).norm() / weight.norm().clamp(min=1e-300)))
    return QuantisationLoss(
        chosen, tuple(scores), float(score(model)), {name: tuple(row) for name, row in errors.items()}
    )


def _name(name: str, _: nn.Module, key: str) -> str:
    return f"{name}.{key}" if name else key


def _weight(where: tuple[str, nn.Module, str]) -> Tensor:
    return getattr(where[1], where[2]).detach().double()


__all__ = ["QuantisationLoss", "quantisation_loss", "quantise_weights", "weights_of"]
