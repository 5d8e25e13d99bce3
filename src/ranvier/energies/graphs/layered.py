"""Layers that drive each other both ways: the energy behind equilibrium propagation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.codegen.arithmetic.products import linear, matmul
from ranvier.energies._arrays import as_floats
from ranvier.energies._energy import Energy
from ranvier.energies._layout import Layout
from ranvier.energies.graphs.lagrangians import Identity, Lagrangian

#: m(z) = m(Re z) + i (m(Im z) − m(0)) holds for these, and for rows of them
_AFFINE = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.AvgPool2d, nn.Flatten, nn.Unflatten, nn.Identity)


class Layered(Energy):
    """E(x) = Σ_l [Φ(x_l) − y_l · m_l(y_{l−1})], y = ρ(x), l = 2 ... L; the input enters by the field `drive`.

    Scellier and Bengio (2017, eq. 1) for any affine maps m_l: as one map serves both directions (y_{l−1} sees its
    transpose), weights are symmetric by construction. Φ(x) = x · y − L(x) with a Lagrangian L, ρ = ∇L, so that the
    force −∂E/∂y is m_l(y_{l−1}) + m_{l+1}ᵀ(y_{l+1}) − x_l.

    Parameters
    ----------
    modules : m_1 ... m_L, such as nn.Linear(784, 500), or nn.Sequential(nn.Conv2d(...), nn.AvgPool2d(2)). m_1 takes
        the input, and appears in `drive` alone.
    shape : of one input, such as (784,) or (1, 28, 28).
    lagrangian : L, elementwise, such as `lagrangians.Sigmoid()`. None: ρ(x) = x, and x is confined to [0, 1] (the
        paper's hard sigmoid).

    States are flat (B, N); `layout` says which units are "layer1" ... "layerL". The last layer is the output.

    Raises ValueError for no module, modules whose shapes do not follow each other, and a softmax or norm.

    >>> model = rv.energies.Layered([torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)], (3,))
    >>> x = torch.rand(5, 3)
    >>> end = rv.energies.Descent(model).settle(model.init_state(5), field=model.drive(x))
    >>> model.output(end.x).shape, bool(((end.y >= 0) & (end.y <= 1)).all())
    (torch.Size([5, 2]), True)
    """

    def __init__(
        self, modules: Sequence[nn.Module], shape: Sequence[int], lagrangian: Lagrangian | None = None
    ) -> None:
        super().__init__()
        if not modules:
            raise ValueError("there is no module; expected one at least")
        self.maps, self.shape, self.confined = nn.ModuleList(modules), tuple(shape), lagrangian is None
        self.lagrangian = lagrangian or Identity()
        if self.lagrangian.rowwise:
            raise ValueError(f"the value is {lagrangian}; expected a Lagrangian of single units, such as Sigmoid()")
        sizes: dict[str, tuple[int, ...]] = {}
        like = next(self.parameters(), torch.empty(()))
        with torch.no_grad():
            x = like.new_zeros(1, *self.shape)
            for l, module in enumerate(modules, 1):
                try:
                    x = module(x)
                except RuntimeError as error:
                    raise ValueError(
                        f"layer {l}, {module}, cannot take {tuple(x.shape[1:])}, which comes before: {error}"
                    ) from None
                sizes[f"layer{l}"] = tuple(x.shape[1:])
        self.layout = Layout(sizes)
        self.units = self.layout.units

    @classmethod
    def dense(cls, *sizes: int, lagrangian: Lagrangian | None = None) -> Layered:
        """Fully connected layers, inputs first: weights after Glorot and Bengio (2010), biases 0, as in the paper."""
        modules = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        for module in modules:
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        return cls(modules, sizes[:1], lagrangian)

    def drive(self, x: Tensor) -> Tensor:
        """The field (B, N) of inputs (B, *shape): m_1(x) on the first layer, 0 elsewhere."""
        x = as_floats("x", x, next(self.parameters(), None))
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"inputs have shape {tuple(x.shape)}; expected (B, {', '.join(map(str, self.shape))})")
        first = self.maps[0](x).flatten(1)
        return F.pad(first, (0, self.units - first.shape[1]))

    def output(self, x: Tensor) -> Tensor:
        """The last layer's activations, (B, classes) or flattened, of states (B, N)."""
        return self.activations(x[:, self.outputs])

    @property
    def outputs(self) -> slice:
        """Where the last layer lies in a state."""
        return self.layout.slices[f"layer{len(self.maps)}"]

    def activations(self, x: Tensor) -> Tensor:
        """ρ(x), (B, N)."""
        return self.lagrangian.activations(x)

    def project(self, x: Tensor) -> Tensor:
        """x (B, N), into [0, 1] where there is no Lagrangian."""
        return x.clamp(0, 1) if self.confined else x

    def coupling(self, y: Tensor) -> Tensor:
        """Σ_l y_l · m_l(y_{l−1}) (B,) of activations (B, N), l from 2: all of −E that holds parameters."""
        layers = list(self.layout.split(y).values())
        terms = [
            (after * _map(module, before)).flatten(1).sum(1)
            for module, (before, after) in zip(self.maps[1:], pairwise(layers), strict=True)
        ]
        return torch.stack(terms).sum(0) if terms else y.new_zeros(len(y))

    def _value(self, x: Tensor) -> Tensor:
        y = self.activations(x)
        return self.lagrangian.energy(x, y) - self.coupling(y)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, lagrangian={None if self.confined else self.lagrangian}"

    def _force(self, x: Tensor) -> Tensor:
        y = self.activations(x)
        by_hand = not x.is_complex() and all(map(_is_plain_linear, self.maps[1:]))
        return (self._by_hand(y) if by_hand else self._by_autograd(y)) - x

    def _by_hand(self, y: Tensor) -> Tensor:
        """∂coupling/∂y where all maps are nn.Linear."""
        layers = list(self.layout.split(y).values())
        pulls = [torch.zeros_like(layers[0])]
        for module, (before, after) in zip(self.maps[1:], pairwise(layers), strict=True):
            assert isinstance(module, nn.Linear)
            pulls[-1] = pulls[-1] + matmul(after, module.weight)
            pulls.append(linear(before, module.weight, module.bias))
        return torch.cat(pulls, 1)

    def _by_autograd(self, y: Tensor) -> Tensor:
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            at = y if y.requires_grad else y.detach().requires_grad_()
            total = self.coupling(at).sum()
            (pull,) = torch.autograd.grad(total, at, torch.ones_like(total), create_graph=graph)
        return pull.conj() if y.is_complex() else pull


def _is_plain_linear(module: nn.Module) -> bool:
    """Whether a map is an nn.Linear on which nothing hangs: adapters, parametrisations and hooks are called."""
    hooks = module._forward_pre_hooks or module._forward_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) is nn.Linear and not hooks and "forward" not in module.__dict__


def _map(module: nn.Module, y: Tensor) -> Tensor:
    """The module, also where y is complex and it knows only real numbers."""
    if not y.is_complex():
        return module(y)
    for part in module.modules():
        if not isinstance(part, (*_AFFINE, nn.Sequential)):
            raise ValueError(f"there are {part} among complex states; expected affine maps: it is not holomorphic")
    return torch.complex(module(y.real), module(y.imag) - module(torch.zeros_like(y.real[:1])))


__all__ = ["Layered"]
