"""Rich and lazy learning: initial weights of given rank, and how far training moves a network from them."""

from ranvier.learners.regimes.kernels import alignment, representation_kernel, tangent_kernel
from ranvier.learners.regimes.linear import LinearRegime, linear_regime
from ranvier.learners.regimes.weights import balanced_wiring, of_rank, stable_rank

__all__ = [
    "LinearRegime", "alignment", "balanced_wiring", "linear_regime", "of_rank", "representation_kernel", "stable_rank",
    "tangent_kernel",
]  # fmt: skip
