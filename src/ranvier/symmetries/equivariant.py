"""Layers that treat n items alike: two weights in place of n²."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ranvier._checks import count, floating


class PermutationEquivariant(nn.Module):
    """y_i = A x_i + B mean_j x_j + c: x (B, n, in_features) → (B, n, out_features), for any number n of items.

    All linear maps that commute with every permutation of the items are of this form (Zaheer et al. 2017, Deep Sets,
    lemma 3). Raises ValueError for other shapes.

    >>> layer, x = rv.symmetries.PermutationEquivariant(3, 2), torch.rand(1, 4, 3)
    >>> order = torch.tensor([2, 0, 3, 1])
    >>> bool(torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-6))
    True
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.each = nn.Linear(count(in_features, "in_features", 1), count(out_features, "out_features", 1))
        self.mean = nn.Linear(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        floating(x, "x", f"(B, n, {self.each.in_features}), n items each", 3, last=self.each.in_features)
        if x.dtype != self.each.weight.dtype:
            raise ValueError(f"x is of {x.dtype}; expected the layer's {self.each.weight.dtype}: x.to() turns it")
        return self.each(x) + self.mean(x.mean(1, keepdim=True))


def commuting_maps(actions: Tensor) -> Tensor:
    """An orthonormal basis (K, n, n) of the matrices that commute with matrices actions (G, n, n).

    Of generators of a group: of all its equivariant linear maps. Raises ValueError for another shape.

    >>> quarter = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]], dtype=torch.float64)
    >>> maps = rv.symmetries.commuting_maps(quarter)  # multiples of complex numbers
    >>> len(maps), bool(torch.allclose(maps @ quarter, quarter @ maps, atol=1e-9))
    (2, True)
    """
    if not isinstance(actions, Tensor) or actions.ndim != 3 or actions.shape[1] != actions.shape[2]:
        what = tuple(actions.shape) if isinstance(actions, Tensor) else type(actions).__name__
        raise ValueError(f"actions is {what}; expected square matrices (G, n, n)")
    floating(actions, "actions", "(G, n, n)", 3)
    n = actions.shape[1]
    one = torch.eye(n, dtype=torch.float64)
    # vec(P W − W P) = (P ⊗ 1 − 1 ⊗ P') vec(W), rows first
    rows = torch.cat([torch.kron(P, one) - torch.kron(one, P.T.contiguous()) for P in actions.double()])
    _, sizes, axes = torch.linalg.svd(rows, full_matrices=True)
    sizes = torch.cat([sizes, sizes.new_zeros(len(axes) - len(sizes))])
    return axes[sizes < 1e-9 * sizes[0].clamp_min(1.0)].reshape(-1, n, n)
