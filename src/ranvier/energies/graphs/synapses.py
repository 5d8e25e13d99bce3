"""Synapses between neuron layers: energies of activations, and what they pull at each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.codegen.arithmetic.products import matmul
from ranvier.energies._arrays import as_floats
from ranvier.energies.graphs.lagrangians import Lagrangian


class GraphSynapse(nn.Module):
    """`synapse(y, ...) -> (B,)`, the energy of the activations (B, *shape) of the layers it joins, and
    `pulls(y, ...)`, −∂E/∂y for each of them: by autograd, unless a subclass writes it by hand.

    `check(shape, ...)` raises ValueError for layers that do not fit.

    >>> class Product(rv.energies.synapses.GraphSynapse):
    ...     def forward(self, a, b):
    ...         return -(a * b).sum(1)
    >>> [pull.tolist() for pull in Product().pulls(torch.tensor([[2.0]]), torch.tensor([[3.0]]))]
    [[[3.0]], [[2.0]]]
    """

    def pulls(self, *ys: Tensor) -> tuple[Tensor, ...]:
        """−∂E/∂y of every layer, of its shape (B, *shape)."""
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
            # a layer joined to itself occurs twice: each occurrence has its own derivative
            at = [y.view_as(y) if y.requires_grad else y.detach().requires_grad_() for y in ys]
            return tuple(-g for g in torch.autograd.grad(self(*at).sum(), at, create_graph=graph))

    def check(self, *shapes: tuple[int, ...]) -> None:
        """Whether layers of these shapes can be joined."""


class Dense(GraphSynapse):
    """E = −y_a·W y_b, layers of more axes flattened: the linear layer's counterpart. weight: (a, b).

    >>> synapse = rv.energies.synapses.Dense(2, 1, torch.tensor([[0.5], [1.0]]))
    >>> a, b = torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0]])
    >>> synapse(a, b).tolist(), synapse.pulls(a, b)[1].tolist()
    ([-4.0], [[4.0]])
    """

    def __init__(self, a: int, b: int, weight: Tensor | None = None, scale: float | None = None) -> None:
        super().__init__()
        start = torch.randn(a, b) * (1 / math.sqrt(max(a, b)) if scale is None else scale) if weight is None else weight
        start = as_floats("the weight", start)
        if start.shape != (a, b):
            raise ValueError(f"weight has shape {tuple(start.shape)}; expected ({a}, {b})")
        self.weight = nn.Parameter(start.detach().clone())

    def forward(self, y_a: Tensor, y_b: Tensor) -> Tensor:
        """(B,)."""
        return -(matmul(y_a.flatten(1), self.weight) * y_b.flatten(1)).sum(1)

    def pulls(self, *ys: Tensor) -> tuple[Tensor, ...]:
        y_a, y_b = ys
        to_a, to_b = matmul(y_b.flatten(1), self.weight.T), matmul(y_a.flatten(1), self.weight)
        return to_a.view(y_a.shape), to_b.view(y_b.shape)

    def check(self, *shapes: tuple[int, ...]) -> None:
        _expect(self, [math.prod(s) for s in shapes], list(self.weight.shape))


class Bias(GraphSynapse):
    """E = −b·y: a constant input. value: of the layer's shape.

    >>> synapse = rv.energies.synapses.Bias(torch.tensor([1.0, 2.0]))
    >>> synapse(torch.tensor([[3.0, 4.0]])).tolist()
    [-11.0]
    """

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(as_floats("the bias", value).detach().clone())

    def forward(self, y: Tensor) -> Tensor:
        """(B,)."""
        return -(y * self.value).flatten(1).sum(1)

    def pulls(self, *ys: Tensor) -> tuple[Tensor, ...]:
        return (self.value.expand_as(ys[0]),)

    def check(self, *shapes: tuple[int, ...]) -> None:
        _expect(self, list(shapes), [tuple(self.value.shape)])


class Conv(GraphSynapse):
    """E = −y_b·(W ∗ y_a): images (channels, rows, columns) to maps of features.

    in_channels, out_channels, kernel_size, stride, padding: as in nn.Conv2d, for the way from a to b.

    >>> synapse = rv.energies.synapses.Conv(1, 1, 2, weight=torch.ones(1, 1, 2, 2))
    >>> synapse(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).tolist()  # four places of four pixels
    [-16.0]
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
        weight: Tensor | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        start = torch.randn(shape) / math.sqrt(in_channels * kernel_size**2) if weight is None else weight
        start = as_floats("the weight", start)
        if tuple(start.shape) != shape:
            raise ValueError(f"weight has shape {tuple(start.shape)}; expected {shape}")
        self.weight = nn.Parameter(start.detach().clone())
        self.stride, self.padding = stride, padding

    def forward(self, y_a: Tensor, y_b: Tensor) -> Tensor:
        """(B,)."""
        return -(F.conv2d(y_a, self.weight, None, self.stride, self.padding) * y_b).flatten(1).sum(1)

    def pulls(self, *ys: Tensor) -> tuple[Tensor, ...]:
        y_a, y_b = ys
        forth = F.conv2d(y_a, self.weight, None, self.stride, self.padding)
        reached = [(n - 1) * self.stride + self.weight.shape[2] - 2 * self.padding for n in y_b.shape[2:]]
        rest = [n - r for n, r in zip(y_a.shape[2:], reached, strict=True)]  # rows a stride does not reach
        return F.conv_transpose2d(y_b, self.weight, None, self.stride, self.padding, rest), forth

    def check(self, *shapes: tuple[int, ...]) -> None:
        if len(shapes) != 2 or len(shapes[0]) != 3:
            raise ValueError(f"Conv joins layers of shapes {shapes}; expected two of (channels, rows, columns)")
        k = self.weight.shape[2]
        sides = tuple((n + 2 * self.padding - k) // self.stride + 1 for n in shapes[0][1:])
        _expect(self, list(shapes), [(self.weight.shape[1], *shapes[0][1:]), (self.weight.shape[0], *sides)])


class Attention(GraphSynapse):
    """E = −Σ_heads Σ_C log(Σ_B exp(β k_B·q_C))/β, q = W_Q y_a, k = W_K y_b (Hoover et al. 2023, Energy Transformer).

    Layers of tokens (tokens, features). A layer joined to itself attends within itself; `own` False leaves each
    token's own key out, as the paper does. The pull at the queries is attention; that at the keys is its return path.

    beta: 1/√dim if none is given.

    >>> synapse = rv.energies.synapses.Attention(2, dim=2, beta=1.0)
    >>> with torch.no_grad():
    ...     _ = synapse.query.zero_()
    >>> round(synapse(torch.ones(1, 3, 2), torch.ones(1, 4, 2)).item(), 4)  # equal scores: -3 ln 4
    -4.1589
    """

    def __init__(
        self, features: int, keys_features: int | None = None, *, dim: int = 64, heads: int = 1,
        beta: float | None = None, own: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = (features, features if keys_features is None else keys_features)
        self.query = nn.Parameter(torch.randn(heads, features, dim) / math.sqrt(features))
        self.key = nn.Parameter(torch.randn(heads, self.features[1], dim) / math.sqrt(self.features[1]))
        self.beta = 1 / math.sqrt(dim) if beta is None else beta
        self.own = own

    def forward(self, y_a: Tensor, y_b: Tensor) -> Tensor:
        """(B,)."""
        return -torch.logsumexp(self._scores(*self._both(y_a, y_b)), -1).flatten(1).sum(1) / self.beta

    def pulls(self, *ys: Tensor) -> tuple[Tensor, ...]:
        q, k = self._both(*ys)
        weights = torch.softmax(self._scores(q, k), -1)  # (B, heads, C, B')
        to_q, to_k = weights @ k, weights.mT @ q
        return (to_q @ self.query.mT).sum(1), (to_k @ self.key.mT).sum(1)

    def check(self, *shapes: tuple[int, ...]) -> None:
        if len(shapes) != 2 or any(len(s) != 2 for s in shapes):
            raise ValueError(f"Attention joins layers of shapes {shapes}; expected two of (tokens, features)")
        if not self.own and (shapes[0] != shapes[1] or shapes[0][0] < 2):
            raise ValueError(f"own is False between layers of {shapes}; expected a layer twice, of several tokens")
        _expect(self, [s[1] for s in shapes], list(self.features))

    def _both(self, y_a: Tensor, y_b: Tensor) -> tuple[Tensor, Tensor]:
        return y_a[:, None] @ self.query, y_b[:, None] @ self.key  # (B, heads, tokens, dim)

    def _scores(self, q: Tensor, k: Tensor) -> Tensor:
        scores = self.beta * q @ k.mT
        if self.own:
            return scores
        return scores.masked_fill(torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device), -math.inf)


class Memories(GraphSynapse):
    """E = −L(ξ y): a layer of hidden neurons with Lagrangian L that is always at its own rest, ξ (P, N) its memories.

    With `Softmax(beta)` and a layer of `Identity` neurons this is `ModernHopfield`; with `ReLU(n)` a dense associative
    memory of power n.

    >>> patterns = torch.eye(2)
    >>> synapse = rv.energies.synapses.Memories(patterns, rv.energies.lagrangians.Softmax(1.0))
    >>> (pull,) = synapse.pulls(torch.tensor([[1.0, 0.0]]))
    >>> bool(torch.allclose(pull, torch.softmax(torch.tensor([[1.0, 0.0]]), 1)))  # as `ModernHopfield`
    True
    """

    def __init__(self, patterns: Tensor, lagrangian: Lagrangian) -> None:
        super().__init__()
        patterns = as_floats("the patterns", patterns)
        if patterns.ndim != 2:
            raise ValueError(f"patterns have shape {tuple(patterns.shape)}; expected (P, N)")
        self.patterns, self.lagrangian = nn.Parameter(patterns.detach().clone()), lagrangian

    def forward(self, y: Tensor) -> Tensor:
        """(B,)."""
        return -self.lagrangian(matmul(y.flatten(1), self.patterns.T))

    def pulls(self, *ys: Tensor) -> tuple[Tensor, ...]:
        (y,) = ys
        hidden = self.lagrangian.activations(matmul(y.flatten(1), self.patterns.T))
        return (matmul(hidden, self.patterns).view(y.shape),)

    def check(self, *shapes: tuple[int, ...]) -> None:
        _expect(self, [math.prod(s) for s in shapes], [self.patterns.shape[1]])


def _expect(synapse: GraphSynapse, sizes: Sequence[object], expected: Sequence[object]) -> None:
    if sizes != expected:
        raise ValueError(f"there is a {type(synapse).__name__} between layers of sizes {sizes}; expected {expected}")


__all__ = ["Attention", "Bias", "Conv", "Dense", "GraphSynapse", "Memories"]
