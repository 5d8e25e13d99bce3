"""Training for the numbers that a chip has."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class FixedPointRounding(nn.Module):
    """x rounded to `bits` bits, as whole multiples of a unit, with a straight-through gradient (Bengio et al. 2013): 1
    where x lies within the range, 0 beyond.

    unit : of the last bit; None: chosen anew so that the largest |x| is the largest number. `fraction` b is the unit
        2^−b, as for states in Q format.

    >>> FixedPointRounding(4, unit=0.5)(torch.tensor([0.3, -9.0, 0.74])).tolist()
    [0.5, -4.0, 0.5]
    """

    def __init__(self, bits: int, *, unit: float | None = None, fraction: int | None = None) -> None:
        super().__init__()
        if not 2 <= bits <= 32:
            raise ValueError(f"bits is {bits}; expected 2 to 32")
        if unit is not None and fraction is not None:
            raise ValueError("unit and fraction are both set; expected one: fraction b is the unit 2^-b")
        self.bits, self.unit = bits, 2.0**-fraction if fraction is not None else unit
        if self.unit is not None and not 0 < self.unit < float("inf"):
            raise ValueError(f"unit is {self.unit}; expected a number above 0")

    def forward(self, x: Tensor) -> Tensor:
        low, high = -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        unit = x.detach().abs().max() / high if self.unit is None else torch.as_tensor(self.unit, dtype=x.dtype)
        unit = torch.where(unit > 0, unit, 1.0)
        inner = x.clamp(low * unit, high * unit)
        return inner + ((inner / unit).round() * unit - inner).detach()


def quantise_in_training(model: nn.Module, bits: int) -> nn.Module:
    """`model`, whose layers' weights are from now on used as numbers of `bits` bits, one unit a layer: training goes
    on with them (quantisation-aware training), and `torch.nn.utils.parametrize.remove_parametrizations` ends it.

    Returns the model itself. Raises ValueError for a model without linear layers or convolutions.
    """
    kinds = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
    layers = [m for m in model.modules() if isinstance(m, kinds)]
    if not layers:
        raise ValueError(f"the model is {type(model).__name__}; expected linear layers or convolutions in it")
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", FixedPointRounding(bits))
    return model


__all__ = ["FixedPointRounding", "quantise_in_training"]
