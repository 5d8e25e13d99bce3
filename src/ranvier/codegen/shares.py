# mypy: ignore-errors
"""What each of several threads runs: the shares of a loop that no other has taken.

team: the loop's address, that of a table with one row of whole numbers a share, bytes a row, rows, rows taken.
"""

import numpy as np
from numba import njit

from ranvier.codegen.pointers import INNER, atomic_add, call1, pointer


def take32(team):
    """Shares of a loop over float32 numbers."""
    _take(team, np.float32(0))


def take64(team):
    """Shares of a loop over float64 numbers."""
    _take(team, np.float64(0))


@njit(**INNER)
def _take(team, one):
    P = pointer(team, 0)
    share = atomic_add(team + 32, 1)
    while share < P[3]:
        call1(P[0], P[1] + share * P[2], one)
        share = atomic_add(team + 32, 1)
