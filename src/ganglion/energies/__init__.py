"""Energies of networks, and the descent along them."""

from ganglion.energies._descent import Backtracking, Descent, Fixed, Settled
from ganglion.energies._energy import Clamp, Energy, check_symmetric
from ganglion.energies._implicit import ConvergenceWarning
from ganglion.energies._layout import Layout

__all__ = [
    "Backtracking", "Clamp", "ConvergenceWarning", "Descent", "Energy", "Fixed", "Layout", "Settled", "check_symmetric",
]  # fmt: skip
