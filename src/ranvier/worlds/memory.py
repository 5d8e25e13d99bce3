"""The Hebbian memory of the Tolman-Eichenbaum machine, which is attention without a softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ranvier._checks import floating


def attend(query: Tensor, keys: Tensor, values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Σ_i w_i (q·k_i) v_i: query (B, K), keys (B, n, K), values (B, n, V), weights (n,) or none -> (B, V).

    >>> query, keys = torch.tensor([[1.0, 0.0]]), torch.eye(2)[None]
    >>> rv.worlds.attend(query, keys, torch.tensor([[[5.0], [7.0]]])).tolist()
    [[5.0]]
    """
    batch, size = floating(query, "query", "(B, K)", 2).shape
    n = floating(keys, "keys", f"({batch}, n, {size})", 3).shape[1]
    floating(values, "values", f"({batch}, {n}, V)", 3)
    if keys.shape != (batch, n, size) or values.shape[:2] != (batch, n):
        raise ValueError(
            f"query, keys and values have shapes {(batch, size)}, {tuple(keys.shape)}, {tuple(values.shape)}; expected "
            "(B, K), (B, n, K), (B, n, V)"
        )
    scores = (keys @ query[:, :, None])[:, :, 0]
    return ((scores if weights is None else scores * weights)[:, None] @ values)[:, 0]


class HebbianMemory:
    """M ← λ M + η (p + p̂)(p − p̂)ᵀ for each pattern p inferred and p̂ retrieved, as keys and values (B, n, P).

    The query's product with the matrix is a sum over what was stored, q M = η Σ_i λ^(n−i) (q·(p_i + p̂_i)) (p_i − p̂_i):
    dot-product attention without a softmax (Whittington et al. 2022), and with n < P the cheaper way. `modules` are
    the sizes of the blocks of P, the fastest first; where they are given, M keeps weights from slower or equal blocks
    to faster ones only, which gives each block its own scores, as heads have them.
    Nothing is changed: `store` returns a new memory.

    >>> p = torch.tensor([[1.0, 0.0, 0.0]])
    >>> memory = rv.worlds.HebbianMemory(rate=0.5).store(p, torch.zeros(1, 3))
    >>> memory.matrix()[0].tolist()  # (p + 0)(p − 0)ᵀ/2
    [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(
        self, *, forgetting: float = 0.9999, rate: float = 0.5, modules: Sequence[int] | None = None,
        keys: Tensor | None = None, values: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.forgetting, self.rate = forgetting, rate
        self.modules = None if modules is None else tuple(modules)
        self._keys: list[Tensor] = [] if keys is None else list(keys.unbind(1))
        self._values: list[Tensor] = [] if values is None else list(values.unbind(1))

    def __len__(self) -> int:
        return len(self._keys)

    def store(self, inferred: Tensor, retrieved: Tensor) -> HebbianMemory:
        """With one pattern more, (B, P) both."""
        floating(inferred, "inferred", "(B, P)", 2), floating(retrieved, "retrieved", "(B, P)", 2)
        if inferred.shape != retrieved.shape or (self._keys and inferred.shape != self._keys[0].shape):
            raise ValueError(
                f"inferred and retrieved are {tuple(inferred.shape)} and {tuple(retrieved.shape)}; expected (B, P) "
                "both, as those stored"
            )
        later = HebbianMemory(forgetting=self.forgetting, rate=self.rate, modules=self.modules)
        later._keys = [*self._keys, inferred + retrieved]
        later._values = [*self._values, inferred - retrieved]
        return later

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Keys and values (B, n, P), what is left of each in them."""
        n = len(self)
        keys, values = torch.stack(self._keys, 1), torch.stack(self._values, 1)
        left = self.rate * self.forgetting ** torch.arange(n - 1, -1, -1, dtype=keys.dtype)
        return keys, values * left[:, None]

    def matrix(self) -> Tensor:
        """M (B, P, P), rows the query's entries."""
        keys, values = self.pairs()
        matrix = keys.transpose(1, 2) @ values
        return matrix if self.modules is None else matrix * connections(self.modules).to(matrix)

    def product(self) -> Callable[[Tensor], Tensor]:
        """The map of queries (B, Q, P) to their products with M (B, Q, P), by attention."""
        if not len(self):
            return torch.zeros_like
        keys, values = self.pairs()
        modules = self.modules
        if modules is None:
            return lambda query: (query @ keys.transpose(1, 2)) @ values
        blocks = [k.transpose(1, 2) for k in keys.split(modules, 2)], values.split(modules, 2)

        def blockwise(query: Tensor) -> Tensor:
            scores, parts = query.new_zeros(()), []
            for q, k, v in zip(query.split(modules, 2)[::-1], *(part[::-1] for part in blocks), strict=True):
                scores = scores + q @ k  # the slowest first: what it hears is heard by all
                parts.append(scores @ v)
            return torch.cat(parts[::-1], 2)

        return blockwise

    def attractor(self, query: Tensor, *, decay: float = 0.8, steps: int | Sequence[int] = 5) -> Tensor:
        """Retrieval from queries (B, P) or (B, Q, P): h ← f(decay h + h M) from h = f(query).

        f clamps to ±1 and leaks .01 below 0.

        steps : how often, or how often for each module, whose activity then stays.
        """
        floating(query, "query", "(B, P) or (B, Q, P)")
        size = self._keys[0].shape[1] if self._keys else sum(self.modules or (query.shape[-1],))
        if query.ndim not in (2, 3) or query.shape[-1] != size:
            raise ValueError(f"query has shape {tuple(query.shape)}; expected (B, {size}) or (B, Q, {size})")
        sizes = self.modules or (query.shape[-1],)
        counts = [steps] * len(sizes) if isinstance(steps, int) else list(steps)
        if len(counts) != len(sizes):
            raise ValueError(f"steps has {len(counts)} numbers; expected one a module: {len(sizes)}")
        product, h = self.product(), leaky_clamp(query if query.ndim == 3 else query[:, None])
        for k in range(max(counts)):
            new = leaky_clamp(decay * h + product(h))
            if all(k < count for count in counts):
                h = new
                continue
            active = torch.cat([torch.full((s,), k < c) for s, c in zip(sizes, counts, strict=True)])
            h = torch.where(active, new, h)
        return h if query.ndim == 3 else h[:, 0]


def leaky_clamp(p: Tensor) -> Tensor:
    """Clamped to ±1, and a hundredth of it below 0."""
    return torch.nn.functional.leaky_relu(p.clamp(-1, 1), 0.01)


def connections(modules: Sequence[int]) -> Tensor:
    """(P, P): 1 from a slower or equal module (rows) to a faster one (columns), modules from fast to slow."""
    edges = torch.tensor([0, *torch.tensor(list(modules)).cumsum(0).tolist()])
    mask = torch.zeros(int(edges[-1]), int(edges[-1]))
    for low, high in pairwise(edges.tolist()):
        mask[low:, low:high] = 1.0
    return mask


__all__ = ["HebbianMemory", "attend", "connections", "leaky_clamp"]
