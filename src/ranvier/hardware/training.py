"""Training for the numbers that a chip has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ranvier._checks import count, instance
from ranvier.hardware.quantisation import weights_of


class FixedPointRounding(nn.Module):
    """x rounded to `bits` bits, as whole multiples of a unit, with a straight-through gradient (Bengio et al. 2013): 1
    where x lies within the range, 0 beyond.

    unit : of the last bit; None: chosen again so that the largest |x| is the largest number. `fraction` b is the unit
        2^−b, as for states in Q format.

    >>> from ranvier.hardware import FixedPointRounding
    >>> FixedPointRounding(4, unit=0.5)(torch.tensor([0.3, -9.0, 0.74])).tolist()
    [0.5, -4.0, 0.5]
    """

    def __init__(self, bits: int, *, unit: float | None = None, fraction: int | None = None) -> None:
        super().__init__()
        if count(bits, "bits", 2) > 32:
            raise ValueError(f"bits is {bits}; expected 2 to 32")
        if unit is not None and fraction is not None:
            raise ValueError("unit and fraction are both set; expected one: fraction b is the unit 2^-b")
        self.bits, self.unit = bits, 2.0**-fraction if fraction is not None else unit
        if self.unit is not None and not 0 < self.unit < float("inf"):
            raise ValueError(f"unit is {self.unit}; expected a number above 0")

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.numel() == 0:
            what = f"a tensor of {x.dtype}, {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"x is {what}; expected a floating tensor with entries")
        low, high = -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        unit = x.detach().abs().max() / high if self.unit is None else torch.as_tensor(self.unit, dtype=x.dtype)
        unit = torch.where(unit > 0, unit, 1.0)
        inner = x.clamp(low * unit, high * unit)
        return inner + ((inner / unit).round() * unit - inner).detach()


def quantise_in_training(model: nn.Module, bits: int) -> nn.Module:
    """`model`, whose layers' weights, recurrent ones too, are from now on used as numbers of `bits` bits, one unit a
    layer: training goes on with them (quantisation-aware training), and
    `torch.nn.utils.parametrize.remove_parametrizations` ends it. `quantise_weights` rounds without training.

    Returns the model itself. Raises ValueError for a model without weights of two or more axes.

    >>> model = rv.hardware.quantise_in_training(torch.nn.Linear(50, 1, bias=False), bits=2)
    >>> len(model.weight.unique()) <= 4  # numbers of two bits
    True
    """
    instance(model, nn.Module, "model", "a torch.nn.Module")
    for _, layer, name in list(weights_of(model)):
        parametrize.register_parametrization(layer, name, FixedPointRounding(bits))
    return model


class FixedPointStates(nn.Module):
    """A `Cell` whose state is rounded to Q format after every step: `bits` bits, of which `fraction` are binary places
    (NeuroCoreX: 18 and 10), with the straight-through gradient of `FixedPointRounding`. It is a `Cell` itself.

    Raises TypeError for a module that is no `Cell`.

    >>> from ranvier.hardware import FixedPointStates
    >>> import ranvier as rv
    >>> cell = FixedPointStates(rv.nn.LI(3, 2, beta=0.9), 8, 4)
    >>> y, state = cell(torch.rand(5, 1, 3))
    >>> bool((state["v"] * 16 == (state["v"] * 16).round()).all())
    True
    """

    def __init__(self, cell: nn.Module, bits: int = 18, fraction: int = 10) -> None:
        super().__init__()
        if not (isinstance(cell, nn.Module) and hasattr(cell, "init_state") and hasattr(cell, "step")):
            raise TypeError(f"cell is {type(cell).__name__}; expected one with init_state and step, as rv.nn.LIF")
        self.cell: Any = cell
        self.rounding = FixedPointRounding(bits, fraction=count(fraction, "fraction"))

    def init_state(self, batch: int) -> Any:
        return self._rounded(self.cell.init_state(batch))

    def step(self, state: Any, x: Tensor) -> tuple[Any, Tensor]:
        """One step of the cell, and its state rounded."""
        state, y = self.cell.step(state, x)
        return self._rounded(state), y

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """x (T, B, in) -> (y (T, B, out), state)."""
        state = self.init_state(x.shape[1]) if state is None else state
        outputs = []
        for row in x.unbind(0):
            state, y = self.step(state, row)
            outputs.append(y)
        return torch.stack(outputs), state

    def _rounded(self, state: Any) -> Any:
        if isinstance(state, dict):
            return {name: self._rounded(value) for name, value in state.items()}
        if isinstance(state, list | tuple):
            return type(state)(self._rounded(value) for value in state)
        return self.rounding(state) if state.is_floating_point() else state


__all__ = ["FixedPointRounding", "FixedPointStates", "quantise_in_training"]
