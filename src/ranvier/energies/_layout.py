"""Where the layers of a network lie in a flat state (B, N)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ranvier.energies._arrays import as_tensor
from ranvier.energies._energy import Clamp


@dataclass(frozen=True)
class Layout:
    """Named layers, in order: name -> shape, such as {"image": (1, 28, 28), "hidden": (500,)}.

    Raises ValueError for no layer, and for sizes that are not positive.

    >>> layout = rv.energies.Layout({"image": (2, 2), "hidden": (3,)})
    >>> layout.units, layout.split(torch.arange(7.0)[None])["hidden"].tolist()
    (7, [[4.0, 5.0, 6.0]])
    """

    shapes: Mapping[str, tuple[int, ...]]
    slices: dict[str, slice] = field(init=False, repr=False)
    units: int = field(init=False)

    def __post_init__(self) -> None:
        slices, start = {}, 0
        for name, shape in self.shapes.items():
            if not shape or any(n < 1 for n in shape):
                raise ValueError(f"the layer {name!r} has shape {shape}; expected positive sizes")
            slices[name] = slice(start, start := start + math.prod(shape))
        if not slices:
            raise ValueError("there is no layer; expected at least one")
        object.__setattr__(self, "shapes", {name: tuple(shape) for name, shape in self.shapes.items()})
        object.__setattr__(self, "slices", slices)
        object.__setattr__(self, "units", start)

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """x (B, N) -> the layers (B, *shape), views of x."""
        return {name: x[:, where].unflatten(1, self.shapes[name]) for name, where in self.slices.items()}

    def join(self, layers: Mapping[str, Tensor]) -> Tensor:
        """The layers (B, *shape) -> (B, N)."""
        return torch.cat([self._checked(name, layers).flatten(1) for name in self.shapes], 1)

    def place_of(self, unit: int) -> str:
        """Where a unit of the flat state lies: " (layer 'image', 0, 3, 7)"."""
        name = next(n for n, where in self.slices.items() if unit < where.stop)
        index: list[int] = []
        at = unit - self.slices[name].start
        for size in reversed(self.shapes[name]):
            index.insert(0, at % size)
            at //= size
        return f" (layer {name!r}, {', '.join(map(str, index))})"

    def clamp(self, **layers: Tensor) -> Clamp:
        """Hold whole layers at values (B, *shape); ValueError for names and shapes that are not there."""
        if not layers:
            raise ValueError(f"there is no layer to clamp; expected some among {', '.join(self.shapes)}")
        first = self._checked(next(iter(layers)), layers)
        mask = torch.zeros(self.units, dtype=torch.bool, device=first.device)
        parts = []
        for name, where in self.slices.items():
            held = name in layers
            mask[where] = held
            parts.append(
                self._checked(name, layers).flatten(1) if held
                else first.new_zeros(len(first), where.stop - where.start)
            )  # fmt: skip
        for name in layers:
            self._known(name)
        return Clamp(mask, torch.cat(parts, 1))

    def _checked(self, name: str, layers: Mapping[str, Tensor]) -> Tensor:
        self._known(name)
        if name not in layers:
            raise ValueError(f"there is no layer {name!r}; expected all of {', '.join(self.shapes)}")
        value = as_tensor(f"the layer {name!r}", layers[name])
        if tuple(value.shape[1:]) != self.shapes[name]:
            raise ValueError(
                f"the layer {name!r} has shape {tuple(value.shape)}; expected (B, {self.shapes[name]})"
            )
        return value

    def _known(self, name: str) -> None:
        if name not in self.shapes:
            raise ValueError(f"there is a layer {name!r}; expected names among {', '.join(self.shapes)}")


__all__ = ["Layout"]
