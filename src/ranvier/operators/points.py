"""Operators on scattered points: sums that are integrals."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.operators._grids import check_dims


def quadrature_weights(points: Tensor) -> Tensor:
    """Weights w (N,) so that Σ w v(x) is the integral over the points' convex hull, of any v linear between them.

    points (N, dims), of 1 to 3 dims. Each triangle of Delaunay's gives its volume in equal parts to its corners; the
    weights sum to the hull's volume. Raises ValueError for points that fill no volume.

    >>> from ranvier.operators import quadrature_weights
    >>> quadrature_weights(torch.tensor([[0.0], [0.5], [2.0]])).tolist()
    [0.25, 1.0, 0.75]
    """
    if points.ndim != 2 or not bool(torch.isfinite(points).all()):
        raise ValueError(f"points have shape {tuple(points.shape)}; expected (N, dims) of finite numbers")
    check_dims(points.shape[1])
    x = points.detach().cpu().double().numpy()
    if points.shape[1] == 1:
        order = np.argsort(x[:, 0], kind="stable")
        corners = np.stack([order[:-1], order[1:]], 1)
    else:
        from scipy.spatial import Delaunay, QhullError

        try:
            corners = Delaunay(x).simplices
        except (QhullError, ValueError) as error:
            raise ValueError(
                f"{len(x)} points in {x.shape[1]} dimensions span no volume; expected points that do"
            ) from error
    edges = x[corners[:, 1:]] - x[corners[:, :1]]
    volume = np.abs(np.linalg.det(edges)) / [1, 1, 2, 6][x.shape[1]]
    if not volume.sum() > 0:
        raise ValueError(f"{len(x)} points span no volume; expected two that differ at least")
    weights = np.zeros(len(x))
    np.add.at(weights, corners.ravel(), np.repeat(volume / corners.shape[1], corners.shape[1]))
    return torch.from_numpy(weights).to(points)


class PointIntegral(nn.Module):
    """(K v)(x) = ∫ κ(x − y) v(y) dy within a radius, as a sum over points with quadrature weights (Li et al. 2020,
    "Graph kernel network"; Berner et al. 2025): the same operator on any set of points.

    v (batch, points, in_channels) at `points` (points, dims) -> (batch, at, out_channels) at the places `at`.
    κ is a perceptron of one hidden layer from the displacement, in radii, to a matrix of the channels; it goes to zero
    at the radius, as (1 − r²)².

    Parameters
    ----------
    dims : of the space.
    radius : of the neighbourhood, in the points' units.
    hidden : units of the perceptron.

    >>> layer = rv.operators.PointIntegral(1, 2, dims=1, radius=0.1)
    >>> points = torch.tensor([[0.0], [0.05], [0.9]])
    >>> y = layer(torch.tensor([[[1.0], [1.0], [0.0]]]), points, weights=torch.ones(3))
    >>> y[0, 2].abs().max().item()  # nothing but zeros within the radius
    0.0
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        radius: float = 0.2,
        hidden: int = 32,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_dims(dims)
        if not 0 < radius < float("inf"):
            raise ValueError(f"radius is {radius}; expected a length above 0")
        self.in_channels, self.out_channels, self.radius = in_channels, out_channels, radius
        self.kernel = nn.Sequential(
            nn.Linear(dims, hidden, dtype=dtype), nn.GELU(),
            nn.Linear(hidden, in_channels * out_channels, dtype=dtype),
        )  # fmt: skip

    def forward(self, v: Tensor, points: Tensor, *, weights: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """weights (points,): of the quadrature; those of `quadrature_weights` where None."""
        if v.ndim != 3 or v.shape[1:] != (len(points), self.in_channels):
            raise ValueError(
                f"v has shape {tuple(v.shape)}; expected (batch, {len(points)}, {self.in_channels}): a value a point"
            )
        weights = quadrature_weights(points) if weights is None else weights
        if weights.shape != points.shape[:1]:
            raise ValueError(f"weights have shape {tuple(weights.shape)}; expected ({len(points)},): one a point")
        at = points if at is None else at
        near, source, offset = self._pairs(points, at)
        envelope = (1 - offset.square().sum(1)).square()
        kernel = self.kernel(offset).unflatten(1, (self.in_channels, self.out_channels))
        share = (weights[source] * envelope / self.radius ** points.shape[1])[:, None]
        messages = torch.einsum("bei,eio->beo", v[:, source] * share, kernel)
        return v.new_zeros(len(v), len(at), self.out_channels).index_add(1, near, messages)

    def _pairs(self, points: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Targets, sources, and displacements in radii, of the pairs within the radius."""
        offset = (at[:, None] - points[None]) / self.radius
        near, source = (offset.square().sum(2) < 1).nonzero(as_tuple=True)
        return near, source, offset[near, source]


__all__ = ["PointIntegral", "quadrature_weights"]
