"""One animal's responses in another's coordinates, from stimuli that both have been shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import count, reals
from ranvier.analysis.manifolds.components import Components, principal_components, table

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Maps responses (T, N) of one animal into the first k components (T, k) of a reference animal.
    Returned by `align`.
    """

    own: Components
    rotation: Array
    scale: float
    center: Array
    origin: Array

    def __call__(self, x: ArrayLike) -> Array:
        """Responses (T, N) in the reference's coordinates."""
        return self.scale * (self.own.project(reals(x, "x")) - self.origin) @ self.rotation + self.center


def align(
    responses: ArrayLike, labels: ArrayLike, reference: ArrayLike, reference_labels: ArrayLike, *, k: int = 10
) -> tuple[Alignment, Components]:
    """The rotation and scale (Procrustes) that lays an animal's mean responses to each label upon the reference's.

    responses (T, N) and reference (S, M) need not have neurons in common, nor trials: only labels. Give training trials
    alone. Both are reduced to k components first (fewer where there are fewer labels). Returns the alignment, and the
    reference's components, whose `project` gives its responses in the same coordinates. Raises ValueError where fewer
    than two labels are common.

    >>> rng = np.random.default_rng(0)
    >>> x, labels = rng.normal(size=(60, 3)), np.arange(60) % 6
    >>> turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    >>> alignment, reference = rv.analysis.decoding.align(x, labels, 2 * x @ turn, labels, k=3)
    >>> round(float(alignment.scale), 3), np.allclose(alignment(x), reference.project(2 * x @ turn))
    (2.0, True)
    """
    x, z = table(responses, "responses"), table(reference, "reference")
    a, b = np.asarray(labels), np.asarray(reference_labels)
    common = np.intersect1d(a, b)
    if len(common) < 2 or len(a) != len(x) or len(b) != len(z):
        raise ValueError(f"{len(common)} labels are common, of {len(a)} for {len(x)} and {len(b)} for {len(z)} trials; "
                         "expected one a trial, and at least two in common")  # fmt: skip
    k = min(count(k, "k", 1), x.shape[1], z.shape[1], len(x) - 1, len(z) - 1)
    own, other = principal_components(x, k), principal_components(z, k)
    p, q = own.project(x), other.project(z)
    p = np.stack([p[a == label].mean(0) for label in common])
    q = np.stack([q[b == label].mean(0) for label in common])
    origin, center = p.mean(0), q.mean(0)
    left, strength, right = np.linalg.svd((p - origin).T @ (q - center))
    size = float(((p - origin) ** 2).sum())
    scale = float(strength.sum()) / size if size > 0 else 1.0
    return Alignment(own, left @ right, scale, center, origin), other


__all__ = ["Alignment", "align"]
