"""Rich and lazy learning where it can be solved: a linear network of two layers."""

from __future__ import annotations

import math
from typing import NamedTuple


class LinearRegime(NamedTuple):
    """Of a linear network that has learned: ‖ΔW‖_F, the alignment of its tangent kernel with the initial one, the size
    |a| of its readout.
    Returned by `linear_regime`.
    """

    change: float
    alignment: float
    readout: float


def linear_regime(size: int, rank: int, norm: float, target: float, overlap: float) -> LinearRegime:
    """y = aᵀ W x learns y = βᵀ x by gradient flow on white inputs (size,), from a = 0 and W of `rank` equal singular
    values and Frobenius norm `norm`; target = |β|, and `overlap` = |Pβ|²/|β|² is the share of β in W's row space.

    The flow keeps W Wᵀ − a aᵀ, and moves W and a along one hidden direction only, in which W has the singular value
    σ = norm/√rank: α = |a| solves α⁴ + σ²α² = |β|², and W's row there goes from σ Pβ/|Pβ| to β/α. Kernels over both
    layers are Wᵀ W + |a|² (Liu et al. 2024, section 4, with ranks, overlaps and finite learning put in by us).

    For random β the overlap is rank/size on average; a low rank with overlap 1 is aligned with the task.

    >>> result = rv.learners.regimes.linear_regime(size=10, rank=10, norm=1000.0, target=1.0, overlap=1.0)
    >>> bool(result.change < 0.01), round(float(result.alignment), 3)  # large weights learn lazily
    (True, 1.0)
    """
    if not (1 <= rank <= size and norm > 0 and target > 0 and 0 < overlap <= 1) or (rank == size and overlap != 1):
        raise ValueError(
            f"size is {size}, rank {rank}, norm {norm}, target {target}, overlap {overlap}; expected 1 <= rank <= "
            "size, norm and target > 0, and an overlap in (0, 1], at full rank 1"
        )
    s2 = norm**2 / rank  # the squared singular value
    a2 = (math.sqrt(s2 * s2 + 4 * target**2) - s2) / 2
    row2 = target**2 / a2  # = σ² + α²
    change2 = row2 - 2 * math.sqrt(overlap * s2 * row2) + s2
    # K₀ = σ² P; K = σ² (P − p pᵀ) + row² b bᵀ + α² I, with p = Pβ/|Pβ|, b = β/|β|, (b·p)² = overlap = |P b|²
    product = s2 * (s2 * (rank - 1) + row2 * overlap + a2 * rank)
    square = s2 * s2 * (rank - 1) + row2 * row2 + a2 * a2 * size
    square += 2 * a2 * (s2 * (rank - 1) + row2)  # the two parts with the identity; b has no part in P − p pᵀ
    return LinearRegime(math.sqrt(max(change2, 0.0)), product / math.sqrt(s2 * s2 * rank * square), math.sqrt(a2))


__all__ = ["LinearRegime", "linear_regime"]
