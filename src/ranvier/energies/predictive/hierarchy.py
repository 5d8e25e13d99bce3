"""Predictive coding: layers that predict each other, and settle where precision-weighted errors balance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ranvier.energies._arrays import as_floats
from ranvier.energies._energy import Energy
from ranvier.energies._layout import Layout


class Hierarchy(Energy):
    """The free energy of a hierarchy of Gaussian layers (Rao and Ballard 1999; Friston 2005; Bogacz 2017, eq. 53),

        F = ½ Σ_l [Σ Π_l ε_l² − ln Π_l + ln 2π],   ε_l = x_l − f_l(x_{l−1}),

    at point beliefs: −ln p(x_0, ..., x_L), with precisions Π learned as the maps are. Its descent
    dx_l/dt = −Π_l ε_l + f_{l+1}'(x_l)ᵀ Π_{l+1} ε_{l+1} is inference; its gradient by parameters is local.

    Parameters
    ----------
    maps : f_1 ... f_L, such as nn.Sequential(nn.Tanh(), nn.Linear(20, 10)).
    shape : of x_0.
    prior : x_0 is itself predicted, by a learned mean with precision 1 at first, and so may be inferred. Without, x_0
        must be clamped.
    learn_precision : Π_l, one a unit, as parameters `log_precision`; else they stay at `precision`.
    precision : Π_l at first, one number a layer, l = 1 ... L, or one for all.

    States are flat (B, N), `layout` has "layer0" ... "layerL". Clamp whichever layers are known:
    `model.layout.clamp(layer0=x, layerL=y)`, by `Descent(model).settle(model.predict(x), clamp)`.

    Raises ValueError for maps whose shapes do not follow each other.

    >>> import math
    >>> model = rv.energies.predictive.Hierarchy([torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)], (2,))
    >>> x = model.predict(torch.ones(1, 2))
    >>> round(model.energy(x).item() / (0.5 * math.log(2 * math.pi)), 3)  # no errors: ln 2π/2 of each of 3 + 1 units
    4.0
    """

    def __init__(
        self,
        maps: Sequence[nn.Module],
        shape: Sequence[int],
        *,
        prior: bool = False,
        learn_precision: bool = False,
        precision: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__()
        count = len(maps)
        values = [precision] * count if isinstance(precision, int | float) else list(precision)
        if not count or len(values) != count or any(not 0 < p < math.inf for p in values):
            raise ValueError(f"{count} maps and precision is {precision}; expected a positive number a map")
        self.maps = nn.ModuleList(maps)
        like = next(self.parameters(), torch.empty(()))
        sizes = {"layer0": tuple(shape)}
        with torch.no_grad():
            x = like.new_zeros(1, *shape)
            for l, module in enumerate(maps, 1):
                try:
                    x = module(x)
                except RuntimeError as error:
                    raise ValueError(f"layer {l}, {module}, cannot take {tuple(x.shape[1:])}: {error}") from None
                sizes[f"layer{l}"] = tuple(x.shape[1:])
        self.layout, self.top = Layout(sizes), f"layer{count}"
        self.units = self.layout.units
        self.mean = nn.Parameter(like.new_zeros(tuple(shape))) if prior else None
        names = [*(["layer0"] if prior else []), *list(sizes)[1:]]
        firsts = [*([1.0] if prior else []), *values]
        logs = {n: like.new_full(sizes[n], math.log(p)) for n, p in zip(names, firsts, strict=True)}
        self.log_precision: nn.ParameterDict | _Fixed
        if learn_precision:
            self.log_precision = nn.ParameterDict({n: nn.Parameter(v) for n, v in logs.items()})
        else:
            self.log_precision = _Fixed(logs)

    def predict(self, x: Tensor | None = None, batch: int = 1) -> Tensor:
        """States (B, N) without errors: every layer as predicted by the one before, from x_0 = x or the prior mean."""
        if x is None:
            if self.mean is None:
                raise ValueError("there is no x and no prior; expected x (B, ...): nothing else says what layer0 is")
            x = self.mean.expand(batch, *self.mean.shape)
        layers = {"layer0": as_floats("x", x, next(self.parameters(), None))}
        for l, module in enumerate(self.maps, 1):
            layers[f"layer{l}"] = module(layers[f"layer{l - 1}"])
        return self.layout.join(layers)

    def errors(self, x: Tensor) -> dict[str, Tensor]:
        """ε of every predicted layer, (B, ...) each."""
        layers = self.layout.split(x)
        errors = {} if self.mean is None else {"layer0": layers["layer0"] - self.mean}
        for module, (before, after) in zip(self.maps, pairwise(layers), strict=True):
            errors[after] = layers[after] - module(layers[before])
        return errors

    def precision(self, name: str) -> Tensor:
        """Π of a predicted layer, of its shape without the batch."""
        return self.log_precision[name].exp()

    def _value(self, x: Tensor) -> Tensor:
        parts = []
        for name, error in self.errors(x).items():
            log = self.log_precision[name]
            parts.append((log.exp() * error.square() - log + math.log(2 * math.pi)).flatten(1).sum(1))
        return 0.5 * torch.stack(parts).sum(0)

    def extra_repr(self) -> str:
        learned = isinstance(self.log_precision, nn.ParameterDict)
        return f"{dict(self.layout.shapes)}, prior={self.mean is not None}, learn_precision={learned}"


class FixedPredictions(Energy):
    """A hierarchy's inference with predictions and their derivatives held where the states began (Millidge, Tschantz
    and Buckley 2022, eq. 8): errors then settle at backpropagation's, Π_l ε_l = −∂L/∂x_l, exactly.

    It is the gradient of no energy: use `Fixed` steps. `start` (B, N): the states of `Hierarchy.predict`.

    >>> model = rv.energies.predictive.Hierarchy([torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)], (2,))
    >>> start = model.predict(torch.ones(1, 2)).detach()
    >>> held = rv.energies.predictive.FixedPredictions(model, start)
    >>> bool(held.force(start).abs().max() < 1e-6)  # no errors where the states began
    True
    """

    def __init__(self, hierarchy: Hierarchy, start: Tensor) -> None:
        super().__init__()
        self.hierarchy, self.units = hierarchy, hierarchy.units
        self.start = start.detach()

    def _force(self, x: Tensor) -> Tensor:
        model = self.hierarchy
        layers, first = model.layout.split(x), model.layout.split(self.start)
        weighted = {n: model.precision(n) * (layers[n] - first[n]) for n in layers if n != "layer0"}
        pulls = {"layer0": torch.zeros_like(layers["layer0"])}
        pulls |= {name: -error for name, error in weighted.items()}
        for module, (before, after) in zip(model.maps, pairwise(layers), strict=True):
            with torch.enable_grad():
                at = first[before].detach().requires_grad_()
                (back,) = torch.autograd.grad(module(at), at, weighted[after].detach())
            pulls[before] = pulls[before] + back
        return model.layout.join(pulls)


class _Fixed(nn.Module):
    """Buffers by name."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in values.items():
            self.register_buffer(name, value)

    def __getitem__(self, name: str) -> Tensor:
        return self.get_buffer(name)


__all__ = ["FixedPredictions", "Hierarchy"]
