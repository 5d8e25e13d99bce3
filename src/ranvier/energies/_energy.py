"""`Energy`: a scalar of a state, the force that lowers it, and units that are held."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from ranvier.energies._arrays import as_floats, as_tensor


@dataclass(frozen=True)
class Clamp:
    """Units that are held at given values and never move.

    mask: bool, (N,) or (B, N), True where held. values: (N,) or (B, N), read only where held; gradients with
    respect to them are those of the held units.
    Raises TypeError for a mask that is not bool, ValueError for other shapes and for held values that are not finite.

    >>> clamp = rv.energies.Clamp.at([0], torch.tensor([1.0]), size=3)
    >>> clamp.free(torch.tensor([[0.2, 0.3, 0.4]]))[0, 0].item()
    0.0
    """

    mask: Tensor
    values: Tensor

    def __post_init__(self) -> None:
        for name in ("mask", "values"):
            object.__setattr__(self, name, as_tensor(f"a clamp's {name}", getattr(self, name)))
        if self.mask.dtype != torch.bool:
            raise TypeError(f"clamp's mask is {self.mask.dtype}; expected torch.bool")
        for name in ("mask", "values"):
            shape = tuple(getattr(self, name).shape)
            if len(shape) not in (1, 2) or shape[-1] != self.mask.shape[-1]:
                raise ValueError(f"clamp's {name} has shape {shape}; expected (N,) or (B, N), N of the mask")
        held = self.values.detach().expand(torch.broadcast_shapes(self.mask.shape, self.values.shape))
        if bool((~torch.isfinite(held) & self.mask).any()):
            raise ValueError("clamped value is not finite; expected finite values where the mask is True")

    @staticmethod
    def at(units: Tensor | list[int] | slice, values: Tensor, size: int) -> Clamp:
        """Hold the units given by index at values (n,) or (B, n), in a state of `size` units; ValueError for others."""
        values = as_floats("a clamp's values", values)
        index = torch.arange(size, device=values.device)[units]
        if values.ndim not in (1, 2) or values.shape[-1] != len(index):
            raise ValueError(
                f"values have shape {tuple(values.shape)} ; expected ({len(index)},), or (batch, {len(index)}): "
                "one a clamped unit"
            )
        mask = torch.zeros(size, dtype=torch.bool, device=values.device).index_fill(0, index, True)
        whole = values.new_zeros(*values.shape[:-1], size)
        return Clamp(mask, whole.index_copy(-1, index, values))

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, N) with the held units at their values, in the precision of x."""
        return torch.where(self.mask, self.values.to(x.dtype), x)

    def free(self, x: Tensor) -> Tensor:
        """x (B, N), zero where units are held."""
        return x.masked_fill(self.mask, 0.0)


class Energy(nn.Module):
    """A function of states x (B, N), one number an entry of the batch, and the force that lowers it.

    A subclass sets `units` (N) and writes `_value(x) -> (B,)`. It may also write `_force(x) -> (B, N)`, by hand
    what autograd would give, `_both(x)`, where the two share work, `project(x)`, where states are confined to
    a set, and `activations(x)`.

    The force is −∂E/∂y with y = activations(x): x itself, unless an energy says otherwise. Along dx/dt = force
    the energy falls wherever the Jacobian of the activations is positive semi-definite, as it is for the
    gradient of a convex Lagrangian.

    Raises ValueError for states of another shape, TypeError for such as are not floating.

    >>> class Bowl(rv.energies.Energy):
    ...     units = 2
    ...     def _value(self, x):
    ...         return x.square().sum(1) / 2
    >>> Bowl().energy(torch.tensor([[3.0, 4.0]])).tolist(), Bowl().force(torch.tensor([[3.0, 4.0]])).tolist()
    ([12.5], [[-3.0, -4.0]])
    """

    units: int

    def energy(self, x: Tensor, clamp: Clamp | None = None) -> Tensor:
        """E (B,) of states x (B, N), with clamped units at the clamp's values whatever x has there."""
        self.check_type(x)
        return self._value(self.place(x, clamp))

    def forward(self, x: Tensor, clamp: Clamp | None = None) -> Tensor:
        """As `energy`: x (B, N) -> (B,)."""
        return self.energy(x, clamp)

    def force(self, x: Tensor, clamp: Clamp | None = None) -> Tensor:
        """−∂E/∂y (B, N) at x, y the activations; zero at clamped units."""
        self.check_type(x)
        force = self._force(self.place(x, clamp))
        return force if clamp is None else clamp.free(force)

    def energy_and_force(self, x: Tensor, clamp: Clamp | None = None) -> tuple[Tensor, Tensor]:
        """E (B,) and the force (B, N) at once, for less than the two."""
        value, force = self._both(self.place(x, clamp))
        return value, force if clamp is None else clamp.free(force)

    def activations(self, x: Tensor) -> Tensor:
        """y (B, N): what the energy is differentiated by."""
        return x

    def flow(self, force: Tensor) -> Tensor:
        """dx/dt (B, N) of a force (B, N): the force itself, or positive multiples where units differ in their time
        constants."""
        return force

    def project(self, x: Tensor) -> Tensor:
        """The nearest allowed state to each of x, (B, N)."""
        return x

    def advance(
        self, x: Tensor, steps: int, width: float, clamp: Clamp | None, field: Tensor | None
    ) -> Tensor | None:
        """x (B, N) after `steps` steps of `Fixed(width)`, without gradients, or None where there is no quicker way than
        step by step."""
        return None

    def check_clamp(self, clamp: Clamp) -> None:
        """Raise ValueError if descent with these units held could raise the energy."""

    def init_state(self, batch: int) -> Tensor:
        """States (batch, N) of zeros, of the energy's own dtype and device."""
        like = next(chain(self.parameters(), self.buffers()), None)
        like = torch.empty(()) if like is None or not like.is_floating_point() else like
        return like.new_zeros(batch, self.units)

    def place(self, x: Tensor, clamp: Clamp | None = None) -> Tensor:
        """x (B, N), checked, with clamped units at their values."""
        if not isinstance(x, Tensor):
            x = as_tensor("the states", x, self._own())
        if x.ndim != 2 or x.shape[1] != self.units:
            raise ValueError(f"states have shape {tuple(x.shape)}; expected (B, {self.units})")
        if not x.is_floating_point():
            raise TypeError(f"states are {x.dtype}; expected floating ones; convert by .to(torch.float64)")
        if clamp is None:
            return x
        if clamp.mask.shape[-1] != self.units:
            raise ValueError(f"there is a clamp of {clamp.mask.shape[-1]} units; expected {self.units}")
        for name, value in (("mask", clamp.mask), ("values", clamp.values)):
            if value.ndim == 2 and len(value) != len(x):
                raise ValueError(f"there is a clamp's {name} for a batch of {len(value)}; expected {len(x)}")
        return clamp(x)

    def place_of(self, unit: int) -> str:
        """Where a unit, given by index, lies, such as " (layer 'hidden', 3)": for errors; empty where there is no
        `layout` of layers."""
        layout = getattr(self, "layout", None)
        return "" if layout is None else layout.place_of(unit)

    def check_type(self, x: Tensor) -> None:
        """Raise TypeError for floating states of another type than all that the energy holds."""
        own = self._own()
        if own is None or not isinstance(x, Tensor) or not x.is_floating_point() or x.dtype == own.dtype:
            return
        if all(t.dtype == own.dtype for t in chain(self.parameters(), self.buffers()) if t.is_floating_point()):
            raise TypeError(f"the states are {x.dtype}; expected {own.dtype}: convert by .to()")

    def _own(self) -> Tensor | None:
        return next((t for t in chain(self.parameters(), self.buffers()) if t.is_floating_point()), None)

    def _value(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no energy; expected a method _value(x) -> (B,)")

    def _force(self, x: Tensor) -> Tensor:
        return self._both(x)[1]

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if type(self)._force is not Energy._force:
            return self._value(x), self._force(x)
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            value = self._value(at)
            if value.shape != (len(x),):
                raise ValueError(f"energy has shape {tuple(value.shape)}; expected ({len(x)},)")
            (slope,) = torch.autograd.grad(value.sum(), at, create_graph=graph)
        return value if graph else value.detach(), -slope


def check_whole_rows(mask: Tensor, layer: str) -> None:
    """Raise ValueError if part of a row of a layer (..., row) is held, where activations depend on all of the row, as
    a softmax's do: the energy may rise when a part of it moves by its own force."""
    if bool((mask.any(-1) & ~mask.all(-1)).any()):
        raise ValueError(f"there is a clamp on part of a row of the {layer}; expected whole rows")


def check_symmetric(weight: Tensor, *, zero_diagonal: bool = True) -> Tensor:
    """The weight, if it is (N, N), finite and symmetric; else ValueError with what is wrong where.

    >>> rv.energies.check_symmetric(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    weight = as_tensor("the weights", weight)
    if weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
        raise ValueError(f"weights have shape {tuple(weight.shape)}; expected (N, N)")
    if not weight.is_floating_point():
        raise TypeError(f"weights are {weight.dtype}; expected floating ones")
    W = weight.detach()
    if not bool(torch.isfinite(W).all()):
        i, j = (~torch.isfinite(W)).nonzero()[0].tolist()
        raise ValueError(f"weight[{i}, {j}] is {W[i, j].item()}; expected finite weights")
    scale = float(W.abs().max()) if W.numel() else 0.0
    gap = (W - W.T).abs()
    if bool((gap > 1e-6 * scale).any()):
        i, j = divmod(int(gap.argmax()), len(W))
        raise ValueError(
            f"weight[{i}, {j}] is {W[i, j].item():g} and weight[{j}, {i}] is {W[j, i].item():g}; expected "
            "symmetric weights, or there is no energy: symmetrise them by (W + W.T)/2, or simulate the network "
            "without an energy"
        )
    if zero_diagonal and bool(W.diagonal().any()):
        i = int(W.diagonal().abs().argmax())
        raise ValueError(f"weight[{i}, {i}] is {W[i, i].item():g}; expected a diagonal of zeros: no self-coupling")
    return weight


__all__ = ["Clamp", "Energy", "check_symmetric", "check_whole_rows"]
