"""The largest eigenvalue of an interaction: linear response and graded networks are stable below 1."""

from __future__ import annotations

from typing import Any

import numpy as np

DENSE = 400


def spectral_radius(sources: Any, targets: Any, values: Any, size: int) -> float:
    """Largest absolute eigenvalue of the (size, size) matrix with the entries values (E,) at [target, source].

    Repeated entries add. Found for each strongly connected part alone, for wiring without loops has no
    eigenvalue but 0, and Arnoldi's iteration does not converge on it.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.theory.spectral_radius([0, 1], [1, 0], [2.0, 0.5], 2)  # a loop of gain 1
    1.0
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    entries = np.asarray(values, dtype=float), (np.asarray(targets), np.asarray(sources))
    matrix = coo_array(entries, shape=(size, size)).tocsr()
    _, part = connected_components(matrix, directed=True, connection="strong")
    sizes = np.bincount(part, minlength=1)
    largest = float(np.abs(matrix.diagonal()).max(initial=0.0))
    for k in np.flatnonzero(sizes > 1):
        of = np.flatnonzero(part == k)
        block = matrix[of][:, of]
        if len(of) <= DENSE:
            eigenvalues = np.linalg.eigvals(block.toarray())
        else:
            try:
                eigenvalues = eigs(block, k=1, v0=np.ones(len(of)), return_eigenvectors=False)
            except ArpackNoConvergence:
                eigenvalues = np.linalg.eigvals(block.toarray())
        largest = max(largest, float(np.abs(eigenvalues).max()))
    return largest
